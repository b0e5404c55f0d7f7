"""The one place that puts the parts together: settings in, a running engine out.

    open_engine
    ├── host     all calls (engine/host.py)
    └── port     HTTP and WebSocket (net/server.py), the carriers' routes on it

Rule 1: a part never looks for another one; it is given what it needs here.
Rule 2: leaving the engine's block ends the port first (and with it every call),
then files what is left; nothing survives it.

Level 4.  Used by the command line, embedding programs and tests.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import attrs
import trio

from voicecore.audio.formats import PCM16_24K
from voicecore.carriers.twilio import TwilioAccount, TwilioInbound
from voicecore.config import OpenAIRealtimeSettings, Settings
from voicecore.engine.agent import Agent
from voicecore.engine.host import Host, HostParts, HostStatistics, open_host
from voicecore.engine.settings import HostSettings
from voicecore.facts import Observer
from voicecore.net.disk import RealFiles
from voicecore.net.http_messages import Request, Response
from voicecore.net.routes import Handler, Parameters, Router
from voicecore.net.server import serve
from voicecore.net.sockets import RealNetwork
from voicecore.nurseries import open_service_nursery
from voicecore.observe.store import FolderStore
from voicecore.ports import Provider
from voicecore.providers.openai_realtime import OpenAIRealtime
from voicecore.wire.openai_realtime import NoiseReduction, SemanticVad, ServerVad, Transcription, TurnDetection
from voicecore.world import World


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
    _host: Host

    def statistics(self) -> HostStatistics:
        """Return how many calls stand where."""
        return self._host.statistics()

    async def drain(self) -> None:
        """Take no more calls, and return once every one is over and its record filed."""
        self._host.stop_admitting()
        await self._host.wait_idle()


@asynccontextmanager
async def open_engine(
    settings: Settings,
    *,
    world: World | None = None,
    observers: Sequence[Observer] = (),
    host_settings: HostSettings | None = None,
) -> AsyncIterator[Engine]:
    """Run an engine that answers calls; leaving the block ends them.

    Raises (on entering):
        OSError: The port is taken.
        ConfigError: The parts do not fit together.
    """
    world = world or real_world()
    host_settings = host_settings or HostSettings(max_calls=settings.server.max_calls)
    async with open_host(world, _parts(settings, world, observers), host_settings) as host:
        listening = await world.network.listen(settings.server.host, settings.server.port)
        local_url = f"http://{_url_host(settings.server.host)}:{listening.port}"
        async with open_service_nursery() as nursery:
            await nursery.start(serve, listening.listeners, Router(_routes(settings, world, host, local_url)))
            yield Engine(url=local_url, host=host)


def openai_realtime(settings: OpenAIRealtimeSettings) -> OpenAIRealtime:
    """Return the provider that a configuration file describes."""
    transcription = Transcription(model=settings.transcription_model, language=settings.language)
    noise = settings.noise_reduction
    return OpenAIRealtime(
        api_key=settings.api_key,
        base_url=settings.base_url,
        model=settings.model,
        voice=settings.voice,
        speed=settings.speed,
        turn_detection=_turn_detection(settings),
        transcription=transcription,
        noise_reduction=None if noise == "off" else NoiseReduction(type=noise),
        audio_format=PCM16_24K if settings.audio == "pcm" else None,
    )


def _turn_detection(settings: OpenAIRealtimeSettings) -> TurnDetection:
    if settings.turn_detection == "semantic_vad":
        return SemanticVad(eagerness=settings.eagerness)
    return ServerVad(threshold=settings.vad_threshold, silence_duration_ms=settings.silence_duration_ms)


def _parts(settings: Settings, world: World, observers: Sequence[Observer]) -> HostParts:
    provider: Provider = openai_realtime(settings.providers.openai_realtime)
    data_dir = settings.server.data_dir
    return HostParts(
        provider=provider,
        agent=Agent(instructions=settings.agent.instructions, first_message=settings.agent.first_message),
        store=None if data_dir is None else FolderStore(world.files, Path(data_dir)),
        records_audio=settings.server.record_audio,
        observers=observers,
    )


def _routes(settings: Settings, world: World, host: Host, local_url: str) -> Mapping[tuple[str, str], Handler]:
    account = settings.carriers.twilio
    twilio = TwilioInbound(
        world,
        TwilioAccount(
            account_sid=account.account_sid,
            auth_token=account.auth_token,
            public_url=settings.server.public_url or local_url,
            verify_signatures=account.verify_signatures,
            apology=account.apology,
        ),
        host,
    )
    return {**twilio.routes(), **_health_routes(host)}


def _health_routes(host: Host) -> Mapping[tuple[str, str], Handler]:
    async def health(_request: Request, _parameters: Parameters) -> Response:
        await trio.lowlevel.checkpoint()
        return Response(200, b"ok\n")

    async def ready(_request: Request, _parameters: Parameters) -> Response:
        await trio.lowlevel.checkpoint()
        return Response(200, b"ready\n") if host.is_admitting else Response(503, b"draining\n")

    async def metrics(_request: Request, _parameters: Parameters) -> Response:
        await trio.lowlevel.checkpoint()
        counts = attrs.asdict(host.statistics())
        text = "".join(f"voicecore_calls_{name} {count}\n" for name, count in counts.items())
        return Response(200, text.encode())

    return {("GET", "/health"): health, ("GET", "/ready"): ready, ("GET", "/metrics"): metrics}


def _url_host(host: str) -> str:
    return f"[{host}]" if ":" in host else host
