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

import logging
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import attrs
import trio

from voicecore import configured
from voicecore.audio.convert import converter
from voicecore.audio.formats import PCMU_8K
from voicecore.audio.level import has_sound
from voicecore.audio.wav import read_wav
from voicecore.carriers.twilio import TwilioControl, TwilioDialler, TwilioInbound, TwilioRest
from voicecore.config import (
    ServerSettings,
    Settings,
)
from voicecore.disk import RealFiles
from voicecore.engine.agent import Agent, ReadySpeech
from voicecore.engine.host import Host, open_host
from voicecore.engine.host_parts import HostParts, HostStatistics
from voicecore.engine.metrics import CONTENT_TYPE, exposition
from voicecore.engine.outbound_call import OutboundCall
from voicecore.engine.settings import DialOptions, HostSettings
from voicecore.errors import ConfigError, LocalProtocolError
from voicecore.facts import Observer
from voicecore.net.http.client import open_http_client
from voicecore.net.http.health import MetricsGuard, Routes, health_routes, metrics_routes
from voicecore.net.http.messages import Request
from voicecore.net.http.routes import Router
from voicecore.net.http.self_check import SelfCheck
from voicecore.net.http.server import serve
from voicecore.net.transport.network import RealNetwork
from voicecore.nurseries import open_service_nursery
from voicecore.observe.store import FolderStore
from voicecore.ports import Provider
from voicecore.world import World

log = logging.getLogger("voicecore.net")


def real_world() -> World:
    """Return the operating system's clock, randomness, files and sockets."""
    return World(
        network=RealNetwork(),
        files=RealFiles(),
        random=random.SystemRandom(),
        wall_clock=lambda: datetime.now(UTC).astimezone(),
    )


@attrs.frozen(kw_only=True, eq=False)
class Engine:
    """A running engine. Made by `open_engine`."""

    url: str
    """Where it listens, on this machine."""
    public_url: str
    """Where carriers are told to find it; `url` where the settings name no other."""
    _host: Host
    _options: DialOptions
    _check: SelfCheck

    def dial(
        self, number: str, *, agent: Agent | None = None, options: DialOptions | None = None
    ) -> AbstractAsyncContextManager[OutboundCall]:
        """Place a call; see `voicecore.engine.host.Host.dial`.

        ``agent`` and ``options`` are this call's own; None: those of the settings.
        """
        return self._host.dial(number, agent=agent, options=options or self._options)

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


@asynccontextmanager
async def open_engine(
    settings: Settings,
    *,
    world: World | None = None,
    observers: Sequence[Observer] = (),
    host_settings: HostSettings | None = None,
) -> AsyncIterator[Engine]:
    """Run an engine that answers and places calls; leaving the block ends them.

    Raises (on entering):
        OSError: The port is taken.
        ConfigError: The parts do not fit together.
    """
    world = world or real_world()
    host_settings = host_settings or configured.host_settings(settings)
    ready = await _ready_speech(world, settings.agent.first_message_file, "agent.first_message_file")
    waiting = await _ready_speech(world, settings.agent.waiting_file, "agent.waiting_file")
    async with open_http_client(world.network) as http:
        listening = await world.network.listen(settings.server.host, settings.server.port)
        local_url = f"http://{_url_host(settings.server.host)}:{listening.port}"
        account = configured.twilio_account(settings.carriers.twilio, settings.server.public_url or local_url)
        agent = configured.agent(settings, ready, waiting)
        parts = _parts(settings, world, observers, rest=TwilioRest(account, http), agent=agent)
        async with open_host(world, parts, host_settings) as host, open_service_nursery() as nursery:
            twilio, check = TwilioInbound(world, account, host), SelfCheck(world, http)
            routes = {**twilio.routes(), **check.routes(), **health_routes(lambda: host.is_admitting)}
            if settings.server.metrics_port is None:
                routes |= _metrics_routes(host, configured.metrics_guard(settings.server))

            def unrouted(request: Request, status: int) -> None:
                check.unrouted(request)
                twilio.unrouted(request, status)

            await nursery.start(serve, listening.listeners, Router(routes, unrouted))
            await _serve_metrics(world, settings.server, host, nursery)
            options = configured.dial_options(settings.outbound)
            yield Engine(url=local_url, public_url=account.public_url, host=host, options=options, check=check)


def _parts(
    settings: Settings,
    world: World,
    observers: Sequence[Observer],
    *,
    rest: TwilioRest,
    agent: Agent,
) -> HostParts:
    provider: Provider = configured.openai_realtime(settings.providers.openai_realtime)
    data_dir, number = settings.server.data_dir, settings.carriers.twilio.phone_number
    return HostParts(
        provider=provider,
        agent=agent,
        control=TwilioControl(rest),
        dialler=None if number is None else TwilioDialler(rest, number),
        store=None if data_dir is None else FolderStore(world.files, Path(data_dir)),
        records_audio=settings.server.record_audio,
        observers=observers,
    )


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
        await nursery.start(
            serve, listening.listeners, Router(_metrics_routes(host, configured.metrics_guard(settings)))
        )


def _url_host(host: str) -> str:
    return f"[{host}]" if ":" in host else host
