"""The one place that puts the parts together: settings in, a running engine out.

    open_engine
    ├── host     all calls (engine/host.py)
    └── port     HTTP and WebSocket (net/http/server.py), the carriers' routes on it

Rule 1: a part never looks for another one; it is given what it needs here.
Rule 2: leaving the engine's block ends the port first (and with it every call),
then files what is left; nothing survives it.

Level 4.
"""

from __future__ import annotations

import enum
import logging
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import attrs
import trio

from voicecore import configured
from voicecore.audio.convert import converter
from voicecore.audio.formats import PCMU_8K
from voicecore.audio.level import has_sound
from voicecore.audio.wav import read_wav
from voicecore.config import (
    ServerSettings,
    Settings,
)
from voicecore.disk import RealFiles
from voicecore.engine.agent import Agent, ReadySpeech
from voicecore.engine.call_handle import CallHandle
from voicecore.engine.host import Host, open_host
from voicecore.engine.host_ports import ChooseAgent, HostPorts
from voicecore.engine.host_statistics import HostStatistics
from voicecore.engine.metrics import CONTENT_TYPE, exposition
from voicecore.engine.settings import DialOptions, HostSettings
from voicecore.errors import ConfigError, LocalProtocolError, printable
from voicecore.facts import Observer
from voicecore.net.http.client import open_http_client
from voicecore.net.http.health import MetricsGuard, Routes, health_routes, metrics_routes
from voicecore.net.http.messages import App, Request, ServerLimits
from voicecore.net.http.routes import Router
from voicecore.net.http.self_check import SelfCheck
from voicecore.net.http.server import serve
from voicecore.net.transport.network import RealNetwork
from voicecore.net.websocket.server import SocketLimits
from voicecore.nurseries import open_service_nursery
from voicecore.observe.store import FolderStore
from voicecore.ports import CallStore, Carrier, OpenCarrier, Provider
from voicecore.world import WebSocketTransport, World

_MESSAGE_MS = 20  #: audio in one message of a carrier


log = logging.getLogger("voicecore.net")


def real_world(websocket: WebSocketTransport = WebSocketTransport.OWN) -> World:
    """Return the operating system's clock, randomness, files and sockets.

    ``websocket``: the implementation that serves WebSockets, at both ends.
    """
    return World(
        network=RealNetwork(websocket=websocket),
        files=RealFiles(),
        random=random.SystemRandom(),
        wall_clock=lambda: datetime.now(UTC).astimezone(),
    )


@attrs.frozen(kw_only=True, eq=False)
class Engine:
    """A running engine. Made by `open_engine`."""

    url: str
    """Where it listens, on this machine; empty where it does not."""
    public_url: str
    """Where carriers are told to find it; `url` where the settings name no other."""
    app: App
    """Answers the carriers' requests: for a server that is not the engine's own, where it does not listen."""
    _host: Host
    _options: DialOptions
    _check: SelfCheck

    def dial(
        self,
        number: str,
        *,
        agent: Agent | None = None,
        options: DialOptions | None = None,
        carrier: str | None = None,
    ) -> AbstractAsyncContextManager[CallHandle]:
        """Place a call; see `voicecore.engine.host.Host.dial`.

        ``agent`` and ``options`` are this call's own; None: those of the settings. ``carrier``: the name of the
        carrier that places it; None: the first one that can.
        """
        return self._host.dial(number, agent=agent, options=options or self._options, carrier=carrier)

    def calls(self) -> list[CallHandle]:
        """Return a handle for each call that rings or talks, inbound and outbound alike, oldest first."""
        return self._host.calls()

    def find(self, call_id: str) -> CallHandle | None:
        """Return the handle of a call by our id of it or the carrier's; None where no such call rings or talks."""
        return self._host.find(call_id)

    def statistics(self) -> HostStatistics:
        """Return how many calls stand where."""
        return self._host.statistics()

    async def drain(self) -> None:
        """Take no more calls; return once every one is over and its record filed. See `Host.drain` for its bounds."""
        await self._host.drain()

    async def find_url_problem(self) -> str | None:
        """Ask `public_url` whether it leads to this engine; return what is wrong, None where it does. Bounded.

        Asked from this machine: a URL that only others can reach looks wrong.
        """
        return await self._check.problem(self.public_url)


class Unset(enum.Enum):
    """The default of a parameter for which None means something."""

    FROM_SETTINGS = "from the settings"


@asynccontextmanager
async def open_engine(
    settings: Settings | None = None,
    *,
    providers: Sequence[Provider] | None = None,
    carriers: Sequence[Carrier] | None = None,
    store: CallStore | Literal[Unset.FROM_SETTINGS] | None = Unset.FROM_SETTINGS,
    agent: Agent | None = None,
    on_incoming: ChooseAgent | None = None,
    observers: Sequence[Observer] = (),
    listen: bool = True,
    public_url: str | None = None,
    world: World | None = None,
    host_settings: HostSettings | None = None,
) -> AsyncIterator[Engine]:
    """Run an engine that answers and places calls; leaving the block ends them.

    Every part can be given; what is left out comes from the settings.

    Args:
        settings: See `voicecore.load_settings`; None: ``providers`` and ``agent`` are given, ``carriers`` too where
            there are any, and everything else has its default.
        providers: Who opens sessions; an agent names one of them, or gets the first.
        carriers: Who brings and places calls; empty: nobody does.
        store: Keeps what is left of a call; None: nothing is kept.
        agent: Who speaks in calls that name no other agent.
        on_incoming: Asked about each incoming call that rings; returns who takes it (None: ``agent``). It may take
            `HostSettings.choose_agent_s`; where it fails or is late, ``agent`` takes the call, and the log says so.
        observers: Notified of every fact of every call; they must not block.
        listen: False: no port is opened, and `Engine.app` answers requests on somebody else's server.
        public_url: How carriers reach the server; None: that of the settings, or where the engine listens.
        world: Clock, randomness, files and network; None: the operating system's.
        host_settings: Bounds; None: those of the settings.

    Raises (on entering):
        OSError: The port is taken.
        ConfigError: The parts do not fit together.
    """
    world = world or real_world(WebSocketTransport.OWN if settings is None else configured.websocket(settings.net))
    agent = agent or await _agent_of(world, settings)
    server = ServerSettings() if settings is None else settings.server
    chosen_carriers = _carriers(settings) if carriers is None else carriers
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(open_http_client(world.network))
        listening = await world.network.listen(server.host, server.port) if listen else None
        url = "" if listening is None else f"http://{_url_host(server.host)}:{listening.port}"
        reachable = public_url or server.public_url or url
        opened = [await stack.enter_async_context(each.open_carrier(world, reachable)) for each in chosen_carriers]
        parts = HostPorts(
            providers=_by_name(_providers(settings) if providers is None else providers),
            agent=agent,
            carriers=opened,
            choose_agent=on_incoming,
            store=_store(world, server) if store is Unset.FROM_SETTINGS else store,
            records_audio=server.record_audio,
            observers=observers,
        )
        parts.provider_of(agent)
        options = DialOptions() if settings is None else configured.dial_options(settings.outbound)
        bounds = host_settings or (HostSettings() if settings is None else configured.host_settings(settings))
        async with open_host(world, parts, bounds) as host, open_service_nursery() as nursery:
            check = SelfCheck(world, http)
            app = _app(server, host, opened, check)
            if listening is not None:
                await nursery.start(serve, listening.listeners, app, _port_limits(server, world))
            await _serve_metrics(world, server, host, nursery)
            yield Engine(url=url, public_url=reachable, app=app, host=host, options=options, check=check)


def _app(server: ServerSettings, host: Host, carriers: Sequence[OpenCarrier], check: SelfCheck) -> App:
    """Return what answers on the server's port."""
    routes = {**check.routes(), **health_routes(lambda: host.is_admitting)}
    for carrier in carriers:
        for route, handler in carrier.routes(host.for_carrier(carrier)).items():
            if route in routes:
                raise ConfigError("carriers", f"two of them answer {' '.join(route)}; one is {printable(carrier.name)}")
            routes[route] = handler
    if server.metrics_port is None:
        routes |= _metrics_routes(host, configured.metrics_guard(server))

    def unrouted(request: Request, status: int) -> None:
        check.unrouted(request)
        for carrier in carriers:
            carrier.unrouted(request, status)

    return Router(routes, unrouted)


def _by_name(providers: Sequence[Provider]) -> Mapping[str, Provider]:
    if not providers:
        raise ConfigError("providers", "missing; a call needs one that opens its session")
    named = {provider.name: provider for provider in providers}
    if len(named) < len(providers):
        raise ConfigError("providers", "two of them have the same name")
    return named


def _providers(settings: Settings | None) -> Sequence[Provider]:
    return () if settings is None else (configured.openai_realtime(settings.providers.openai_realtime),)


def _carriers(settings: Settings | None) -> Sequence[Carrier]:
    return () if settings is None else (configured.twilio(settings.carriers.twilio),)


def _store(world: World, server: ServerSettings) -> CallStore | None:
    return None if server.data_dir is None else FolderStore(world.files, Path(server.data_dir))


async def _agent_of(world: World, settings: Settings | None) -> Agent:
    if settings is None:
        raise ConfigError("agent", "missing; without settings, one has to be given to open_engine")
    ready = await _ready_speech(world, settings.agent.first_message_file, "agent.first_message_file")
    waiting = await _ready_speech(world, settings.agent.waiting_file, "agent.waiting_file")
    return configured.agent(settings, ready, waiting)


def _port_limits(server: ServerSettings, world: World) -> ServerLimits:
    messages = max(1, round(server.coalesce_ms / _MESSAGE_MS))
    sockets = SocketLimits(coalesce_messages=messages)
    return ServerLimits(sockets=sockets, websocket=world.network.websocket)


async def _ready_speech(world: World, path: Path | None, key: str) -> ReadySpeech | None:
    """Return a recording that a setting names. Raises ConfigError where the file is none."""
    if path is None:
        return None
    try:
        audio_format, samples = read_wav(await world.files.read_whole(path))
        converter(audio_format, PCMU_8K)  # whether it can be played at all
    except OSError as error:
        raise ConfigError(key, f"cannot be read: {error.strerror}") from error
    except (LocalProtocolError, ValueError) as error:
        raise ConfigError(key, str(error)) from error
    if not has_sound(samples, audio_format):
        raise ConfigError(key, "is silent from beginning to end")
    return ReadySpeech(samples, audio_format)


def _metrics_routes(host: Host, guard: MetricsGuard) -> Routes:
    return metrics_routes(lambda: exposition(host.statistics()), CONTENT_TYPE, guard)


async def _serve_metrics(world: World, settings: ServerSettings, host: Host, nursery: trio.Nursery) -> None:
    """Serve metrics on their own address, where one is set."""
    if settings.metrics_port is not None:
        host_name = settings.metrics_host or "127.0.0.1"
        listening = await world.network.listen(host_name, settings.metrics_port)
        log.info("metrics are served at http://%s:%d/metrics", _url_host(host_name), listening.port)
        routes = _metrics_routes(host, configured.metrics_guard(settings))
        await nursery.start(serve, listening.listeners, Router(routes))


def _url_host(host: str) -> str:
    return f"[{host}]" if ":" in host else host
