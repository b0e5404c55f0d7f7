"""voicecore: an engine for telephone calls that an AI answers or places.

Import the public names from here; the modules behind them may move.
"""

from __future__ import annotations

from voicecore import startup  # noqa: F401 - before everything else: see there
from voicecore.assembly import Engine, open_engine, real_world
from voicecore.audio.formats import PCM16_8K, PCM16_16K, PCM16_24K, PCMA_8K, PCMU_8K, AudioFormat
from voicecore.carriers.twilio import Twilio
from voicecore.config import Settings, load_settings
from voicecore.engine.agent import Agent, ReadySpeech
from voicecore.engine.call_handle import CallHandle
from voicecore.engine.parking.pool import ParkingSettings
from voicecore.engine.settings import CallSettings, DialOptions, HostSettings, OnVoicemail
from voicecore.errors import (
    CarrierError,
    ConfigError,
    EngineBusy,
    LegLost,
    LocalProtocolError,
    ProviderError,
    ProviderRefused,
    ProviderUnavailable,
    RemoteProtocolError,
    SessionLost,
    VoicecoreError,
)
from voicecore.events import AgentAudio, ResponseEnded
from voicecore.facts import (
    BargeInDecision,
    BargeInOutcome,
    CallReport,
    EndCause,
    Fact,
    MessageOutcome,
    Observer,
    ParkingOutcome,
    Percentiles,
    Speaker,
    SpeechEvidence,
    TurnEnd,
    TurnTimes,
)
from voicecore.gc_tuning import tune_gc
from voicecore.logs import hide_secrets
from voicecore.ports import CallStore, Carrier, MachineDetection, OpenCarrier, Provider, Session
from voicecore.providers.openai_realtime import OpenAIRealtime
from voicecore.sessions import StandaloneSession, open_session
from voicecore.turns.barge_in.policy import AcousticEcho, AfterCut, BargeInPolicy, decide_again
from voicecore.turns.barge_in.strategies import (
    AgentEcho,
    Backchannels,
    BargeInJudgement,
    BargeInStrategy,
    MinSpeech,
    MinWords,
)
from voicecore.turns.first_message.audio_gate import UserAudioRule
from voicecore.turns.first_message.message import FirstMessagePolicy, ProtectionRule, SpeaksFirst
from voicecore.turns.idle import IdlePolicy, ThenIdle
from voicecore.turns.keypad import KeypadSettings
from voicecore.turns.metrics.latencies import latencies
from voicecore.turns.metrics.turn_times import turn_times
from voicecore.turns.recovery import FallbackLines
from voicecore.version import __version__
from voicecore.wire.openai_realtime import (
    CustomVoice,
    NoiseReduction,
    Reasoning,
    RetentionRatio,
    SemanticVad,
    ServerVad,
    Tracing,
    Transcription,
)

__all__ = [
    "PCM16_8K",
    "PCM16_16K",
    "PCM16_24K",
    "PCMA_8K",
    "PCMU_8K",
    "AcousticEcho",
    "AfterCut",
    "Agent",
    "AgentAudio",
    "AgentEcho",
    "AudioFormat",
    "Backchannels",
    "BargeInDecision",
    "BargeInJudgement",
    "BargeInOutcome",
    "BargeInPolicy",
    "BargeInStrategy",
    "CallHandle",
    "CallReport",
    "CallSettings",
    "CallStore",
    "Carrier",
    "CarrierError",
    "ConfigError",
    "CustomVoice",
    "DialOptions",
    "EndCause",
    "Engine",
    "EngineBusy",
    "Fact",
    "FallbackLines",
    "FirstMessagePolicy",
    "HostSettings",
    "IdlePolicy",
    "KeypadSettings",
    "LegLost",
    "LocalProtocolError",
    "MachineDetection",
    "MessageOutcome",
    "MinSpeech",
    "MinWords",
    "NoiseReduction",
    "Observer",
    "OnVoicemail",
    "OpenAIRealtime",
    "OpenCarrier",
    "ParkingOutcome",
    "ParkingSettings",
    "Percentiles",
    "ProtectionRule",
    "Provider",
    "ProviderError",
    "ProviderRefused",
    "ProviderUnavailable",
    "ReadySpeech",
    "Reasoning",
    "RemoteProtocolError",
    "ResponseEnded",
    "RetentionRatio",
    "SemanticVad",
    "ServerVad",
    "Session",
    "SessionLost",
    "Settings",
    "Speaker",
    "SpeaksFirst",
    "SpeechEvidence",
    "StandaloneSession",
    "ThenIdle",
    "Tracing",
    "Transcription",
    "TurnEnd",
    "TurnTimes",
    "Twilio",
    "UserAudioRule",
    "VoicecoreError",
    "__version__",
    "decide_again",
    "latencies",
    "load_settings",
    "open_engine",
    "open_session",
    "real_world",
    "tune_gc",
    "turn_times",
]

hide_secrets()
