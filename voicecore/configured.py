"""From a configuration to the engine's own settings.

Each value is made by `voicecore.config.derived.built`, which knows from the sections
where every option belongs; the functions here add what a section cannot say by itself.

Level 4.  Used by assembly.py and the command line.
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import attrs

from voicecore.audio.formats import PCM16_24K
from voicecore.carriers.twilio import Twilio
from voicecore.config import (
    AgentSettings,
    BargeInSettings,
    IdleSettings,
    NetSettings,
    OpenAIRealtimeSettings,
    OutboundSettings,
    ServerSettings,
    Settings,
    TwilioSettings,
)
from voicecore.config.derived import built
from voicecore.config.kinds import is_loopback
from voicecore.engine.agent import DIRECTIONS, Agent, ReadySpeech
from voicecore.engine.parking.pool import ParkingSettings
from voicecore.engine.settings import CallSettings, DialOptions, HostSettings
from voicecore.net.http.health import MetricsGuard
from voicecore.providers.openai_realtime import OpenAIRealtime
from voicecore.turns.barge_in.policy import BargeInPolicy
from voicecore.turns.barge_in.strategies import AgentEcho, Backchannels, BargeInStrategy, MinSpeech, MinWords
from voicecore.turns.first_message.message import FirstMessagePolicy, ProtectionRule
from voicecore.turns.idle import IdlePolicy
from voicecore.turns.keypad import KeypadSettings
from voicecore.turns.playout.ledger import PlayoutSettings
from voicecore.turns.recovery import FallbackLines
from voicecore.turns.user_turns import UserTurnSettings
from voicecore.wire.openai_realtime import (
    CustomVoice,
    NoiseReduction,
    Reasoning,
    RetentionRatio,
    SemanticVad,
    ServerVad,
    TurnDetection,
)
from voicecore.world import WebSocketTransport

_OWN_VOICE = "voice_"  #: how the ids of custom voices begin
_PROTECTION = {
    "heard": ProtectionRule.WHOLE,
    "first_audio": ProtectionRule.FIRST_AUDIO,
    "off": ProtectionRule.OFF,
}


def openai_realtime(settings: OpenAIRealtimeSettings) -> OpenAIRealtime:
    """Return the provider that a configuration describes."""
    noise, effort, voice = settings.noise_reduction, settings.reasoning_effort, settings.voice
    return built(
        settings,
        OpenAIRealtime,
        api_key=settings.api_key,
        base_url=settings.base_url,
        voice=CustomVoice(voice) if voice.startswith(_OWN_VOICE) else voice,
        turn_detection=_turn_detection(settings),
        transcription=settings.transcription(),
        noise_reduction=None if noise == "off" else built(settings, NoiseReduction, type=noise),
        reasoning=None if effort is None else Reasoning(effort),
        truncation=_truncation(settings),
        tracing=None if settings.tracing == "off" else settings.tracing,
        audio_format=PCM16_24K if settings.audio == "pcm" else None,
    )


def _turn_detection(settings: OpenAIRealtimeSettings) -> TurnDetection:
    return built(settings, SemanticVad) if settings.turn_detection == "semantic_vad" else built(settings, ServerVad)


def _truncation(settings: OpenAIRealtimeSettings) -> object:
    return built(settings, RetentionRatio) if settings.truncation == "retention_ratio" else settings.truncation


def twilio(settings: TwilioSettings) -> Twilio:
    """Return the carrier that a configuration describes."""
    return Twilio(
        account_sid=settings.account_sid,
        auth_token=settings.auth_token,
        phone_number=settings.phone_number,
        api_base_url=settings.api_base_url,
        verify_signatures=settings.verify_signatures,
        apology=settings.apology,
    )


def host_settings(settings: Settings) -> HostSettings:
    """Return the bounds of all calls."""
    call = built(
        settings.calls,
        CallSettings,
        playout=built(settings.playout, PlayoutSettings),
        turns=built(settings.calls, UserTurnSettings),
    )
    parking = built(settings.parking, ParkingSettings)
    return built(settings.calls, HostSettings, max_calls=settings.server.max_calls, parking=parking, call=call)


def websocket(settings: NetSettings) -> WebSocketTransport:
    """Return the implementation that serves WebSockets."""
    return WebSocketTransport.OWN if settings.websocket == "own" else WebSocketTransport(settings.websocket)


def dial_options(settings: OutboundSettings) -> DialOptions:
    """Return how calls are placed."""
    return built(settings, DialOptions)


def agent(settings: Settings, ready: ReadySpeech | None, waiting: ReadySpeech | None) -> Agent:
    """Return who speaks; ``ready`` and ``waiting`` are the recordings that the settings name."""
    given = settings.agent
    agent = built(
        given,
        Agent,
        first_message_audio=ready,
        barge_in=barge_in(settings.barge_in),
        idle=idle(settings.idle),
        keypad=built(settings.keypad, KeypadSettings),
        waiting_sound=waiting,
        fallback=built(given, FallbackLines),
    )
    policies = {direction: _policy(given, agent.policy_for(direction)) for direction in DIRECTIONS}
    return attrs.evolve(agent, policies=policies)


def _policy(settings: AgentSettings, default: FirstMessagePolicy) -> FirstMessagePolicy:
    protection = _PROTECTION.get(settings.protect_first_message, default.protection)
    return built(settings, FirstMessagePolicy, protection=protection)


def barge_in(settings: BargeInSettings) -> BargeInPolicy:
    """Return when the user's speech stops the agent."""
    return built(settings, BargeInPolicy, strategies=tuple(_strategies(settings)))


def _strategies(settings: BargeInSettings) -> Iterator[BargeInStrategy]:
    if settings.stops_at == "onset":
        return
    if settings.acoustic_echo == "present":
        yield AgentEcho()
    if settings.backchannels_pass:
        yield Backchannels()
    yield built(settings, MinWords) if settings.stops_at == "words" else built(settings, MinSpeech)


def idle(settings: IdleSettings) -> IdlePolicy | None:
    """Return when the agent prompts a silent user; None: never."""
    return None if settings.after_ms == 0 else built(settings, IdlePolicy)


def metrics_guard(settings: ServerSettings) -> MetricsGuard:
    """Return who may read metrics."""
    is_proxied = settings.public_url is not None and not is_loopback(urlsplit(settings.public_url).hostname or "")
    return MetricsGuard(token=settings.metrics_token, is_open=settings.metrics_port is not None, is_proxied=is_proxied)
