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
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import attrs
import trio

from voicecore.audio.convert import converter
from voicecore.audio.formats import PCM16_24K, PCMU_8K
from voicecore.audio.level import has_sound
from voicecore.audio.wav import read_wav
from voicecore.carriers.twilio import TwilioAccount, TwilioControl, TwilioDialler, TwilioInbound, TwilioRest
from voicecore.config import (
    AgentSettings,
    BargeInSettings,
    IdleSettings,
    KeypadEntrySettings,
    OpenAIRealtimeSettings,
    OutboundSettings,
    PlayoutPaceSettings,
    ServerSettings,
    Settings,
    TwilioSettings,
)
from voicecore.config.kinds import is_loopback
from voicecore.disk import RealFiles
from voicecore.engine.agent import DIRECTIONS, Agent, ReadySpeech
from voicecore.engine.host import Host, open_host
from voicecore.engine.host_parts import HostParts, HostStatistics
from voicecore.engine.metrics import CONTENT_TYPE, exposition
from voicecore.engine.outbound_call import OutboundCall
from voicecore.engine.parking.pool import ParkingSettings, WhenFull
from voicecore.engine.settings import CallSettings, DialOptions, HostSettings, OnVoicemail
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
from voicecore.ports import MachineDetection, Provider
from voicecore.providers.openai_realtime import OpenAIRealtime
from voicecore.turns.barge_in.policy import AcousticEcho, AfterCut, BargeInPolicy
from voicecore.turns.barge_in.strategies import AgentEcho, Backchannels, BargeInStrategy, MinSpeech, MinWords
from voicecore.turns.first_message.audio_gate import UserAudioRule
from voicecore.turns.first_message.message import FirstMessagePolicy, ProtectionRule, SpeaksFirst
from voicecore.turns.idle import IdlePolicy, ThenIdle
from voicecore.turns.keypad import KeypadSettings
from voicecore.turns.playout.ledger import PlayoutSettings
from voicecore.turns.recovery import FallbackLines
from voicecore.wire.openai_realtime import NoiseReduction, SemanticVad, ServerVad, Transcription, TurnDetection
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
    host_settings = host_settings or _host_settings(settings)
    ready = await _ready_speech(world, settings.agent.first_message_file, "agent.first_message_file")
    waiting = await _ready_speech(world, settings.agent.waiting_file, "agent.waiting_file")
    async with open_http_client(world.network) as http:
        listening = await world.network.listen(settings.server.host, settings.server.port)
        local_url = f"http://{_url_host(settings.server.host)}:{listening.port}"
        account = twilio_account(settings.carriers.twilio, settings.server.public_url or local_url)
        agent = _agent(settings, ready, waiting)
        parts = _parts(settings, world, observers, rest=TwilioRest(account, http), agent=agent)
        async with open_host(world, parts, host_settings) as host, open_service_nursery() as nursery:
            twilio, check = TwilioInbound(world, account, host), SelfCheck(world, http)
            routes = {**twilio.routes(), **check.routes(), **health_routes(lambda: host.is_admitting)}
            if settings.server.metrics_port is None:
                routes |= _metrics_routes(host, _metrics_guard(settings.server))

            def unrouted(request: Request, status: int) -> None:
                check.unrouted(request)
                twilio.unrouted(request, status)

            await nursery.start(serve, listening.listeners, Router(routes, unrouted))
            await _serve_metrics(world, settings.server, host, nursery)
            options = _dial_options(settings.outbound)
            yield Engine(url=local_url, public_url=account.public_url, host=host, options=options, check=check)


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


def _parts(
    settings: Settings,
    world: World,
    observers: Sequence[Observer],
    *,
    rest: TwilioRest,
    agent: Agent,
) -> HostParts:
    provider: Provider = openai_realtime(settings.providers.openai_realtime)
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


def twilio_account(settings: TwilioSettings, public_url: str) -> TwilioAccount:
    """Return the account that a configuration file describes."""
    return TwilioAccount(
        account_sid=settings.account_sid,
        auth_token=settings.auth_token,
        public_url=public_url,
        api_base_url=settings.api_base_url,
        verify_signatures=settings.verify_signatures,
        apology=settings.apology,
    )


def _host_settings(settings: Settings) -> HostSettings:
    parking = ParkingSettings(
        enabled=settings.parking.enabled,
        max_sessions=settings.parking.max_sessions,
        when_full=WhenFull(settings.parking.when_full),
    )
    call = CallSettings(
        playout=_playout(settings.playout),
        coalesce_s=settings.server.coalesce_ms / 1000,
        outlives_stream=settings.carriers.twilio.apology is not None,
    )
    return HostSettings(max_calls=settings.server.max_calls, parking=parking, call=call)


def _dial_options(settings: OutboundSettings) -> DialOptions:
    return DialOptions(
        ring_timeout_s=settings.ring_timeout_s,
        detection=MachineDetection(settings.machine_detection),
        on_voicemail=OnVoicemail(settings.on_voicemail),
        voicemail_message=settings.voicemail_message,
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


def _agent(settings: Settings, ready: ReadySpeech | None, waiting: ReadySpeech | None) -> Agent:
    given = settings.agent
    agent = Agent(
        instructions=given.instructions,
        first_message=given.first_message,
        first_message_audio=ready,
        barge_in=_barge_in(settings.barge_in),
        idle=_idle(settings.idle),
        keypad=_keypad(settings.keypad),
        waiting_sound=waiting,
        waiting_after_s=given.waiting_after_ms / 1000,
        fallback=FallbackLines(sorry_text=given.sorry_text, did_not_catch_text=given.did_not_catch_text),
    )
    policies = {direction: _policy(given, agent.policy_for(direction)) for direction in DIRECTIONS}
    return attrs.evolve(agent, policies=policies)


def _barge_in(settings: BargeInSettings) -> BargeInPolicy:
    return BargeInPolicy(
        strategies=tuple(_strategies(settings)),
        confirm_s=settings.confirm_ms / 1000,
        echo=AcousticEcho(settings.acoustic_echo),
        guard_s=settings.guard_ms / 1000,
        echo_guard_s=settings.echo_guard_ms / 1000,
        after_cut=AfterCut(settings.history),
        keys_stop_agent=settings.keys_stop_agent,
    )


def _strategies(settings: BargeInSettings) -> Iterator[BargeInStrategy]:
    if settings.stops_at == "onset":
        return
    if settings.acoustic_echo == "present":
        yield AgentEcho()
    if settings.backchannels_pass:
        yield Backchannels()
    yield MinWords(settings.min_words) if settings.stops_at == "words" else MinSpeech(settings.min_speech_ms / 1000)


def _idle(settings: IdleSettings) -> IdlePolicy | None:
    if settings.after_ms == 0:
        return None
    after_s, then = settings.after_ms / 1000, ThenIdle(settings.then)
    return IdlePolicy(after_s=after_s, prompts=settings.prompts, text=settings.text, then=then)


def _keypad(settings: KeypadEntrySettings) -> KeypadSettings:
    terminator = None if settings.terminator == "none" else settings.terminator
    return KeypadSettings(pause_s=settings.pause_ms / 1000, terminator=terminator, most_keys=settings.most_keys)


def _playout(settings: PlayoutPaceSettings) -> PlayoutSettings:
    lead_s, limit_s, piece_s = settings.lead_ms / 1000, settings.lead_limit_ms / 1000, settings.piece_ms / 1000
    return PlayoutSettings(lead_s=lead_s, lead_limit_s=limit_s, piece_s=piece_s)


def _policy(settings: AgentSettings, default: FirstMessagePolicy) -> FirstMessagePolicy:
    return attrs.evolve(
        default,
        speaks_first=SpeaksFirst(settings.speaks_first),
        protection=_PROTECTION.get(settings.protect_first_message, default.protection),
        user_audio=UserAudioRule(settings.user_audio),
        hello_s=settings.hello_wait_ms / 1000,
        lead_in_s=settings.lead_in_ms / 1000,
        prepared=settings.prepare_first_message,
        first_audio_s=settings.message_answer_ms / 1000,
        announced_s=settings.message_audio_ms / 1000,
    )


_PROTECTION = {
    "heard": ProtectionRule.WHOLE,
    "first_audio": ProtectionRule.FIRST_AUDIO,
    "off": ProtectionRule.OFF,
}


def _metrics_routes(host: Host, guard: MetricsGuard) -> Routes:
    return metrics_routes(lambda: exposition(host.statistics()), CONTENT_TYPE, guard)


def _metrics_guard(settings: ServerSettings) -> MetricsGuard:
    is_proxied = settings.public_url is not None and not is_loopback(urlsplit(settings.public_url).hostname or "")
    return MetricsGuard(token=settings.metrics_token, is_open=settings.metrics_port is not None, is_proxied=is_proxied)


async def _serve_metrics(world: World, settings: ServerSettings, host: Host, nursery: trio.Nursery) -> None:
    """Serve metrics on their own address, where one is set."""
    if settings.metrics_port is not None:
        host_name = settings.metrics_host or "127.0.0.1"
        listening = await world.network.listen(host_name, settings.metrics_port)
        log.info("metrics are served at http://%s:%d/metrics", _url_host(host_name), listening.port)
        await nursery.start(serve, listening.listeners, Router(_metrics_routes(host, _metrics_guard(settings))))


def _url_host(host: str) -> str:
    return f"[{host}]" if ":" in host else host
