"""voicecore: an engine for telephone calls that an AI answers or places.

Import the public names from here; the modules behind them may move.
"""

from __future__ import annotations

from voicecore import startup  # noqa: F401 - before everything else: see there
from voicecore.assembly import Engine, open_engine, real_world
from voicecore.audio.formats import PCM16_8K, PCM16_16K, PCM16_24K, PCMA_8K, PCMU_8K, AudioFormat
from voicecore.collector import settle_collector
from voicecore.config import Settings, load_settings
from voicecore.engine.agent import Agent, ReadySpeech
from voicecore.engine.parking import ParkingSettings
from voicecore.engine.placed import PlacedCall
from voicecore.engine.settings import CallSettings, DialOptions, HostSettings, OnMachine
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
    CallReport,
    Decision,
    EndCause,
    Fact,
    MessageFate,
    Observer,
    Outcome,
    ParkingFate,
    Percentiles,
    Speaker,
    SpeechEvidence,
    TurnEnd,
    TurnTimes,
)
from voicecore.logs import hide_secrets
from voicecore.ports import MachineDetection
from voicecore.providers.openai_realtime import OpenAIRealtime
from voicecore.sessions import LoneSession, open_session
from voicecore.turns.barge_in import AfterCut, BargeInPolicy, LineEcho, decide_again
from voicecore.turns.first_message import FirstMessagePolicy, ProtectionRule, SpeaksFirst
from voicecore.turns.gate import CallerAudioRule
from voicecore.turns.idle import IdlePolicy, ThenIdle
from voicecore.turns.keypad import KeypadSettings
from voicecore.turns.latencies import latencies
from voicecore.turns.recovery import FallbackLines
from voicecore.turns.strategies import Judgement, MinSpeech, MinWords, Murmurs, OwnWords, Strategy
from voicecore.turns.turn_times import turn_times
from voicecore.wire.openai_realtime import SemanticVad, ServerVad

__all__ = [
    "PCM16_8K",
    "PCM16_16K",
    "PCM16_24K",
    "PCMA_8K",
    "PCMU_8K",
    "AfterCut",
    "Agent",
    "AgentAudio",
    "AudioFormat",
    "BargeInPolicy",
    "CallReport",
    "CallSettings",
    "CallerAudioRule",
    "CarrierError",
    "ConfigError",
    "Decision",
    "DialOptions",
    "EndCause",
    "Engine",
    "EngineBusy",
    "Fact",
    "FallbackLines",
    "FirstMessagePolicy",
    "HostSettings",
    "IdlePolicy",
    "Judgement",
    "KeypadSettings",
    "LegLost",
    "LineEcho",
    "LocalProtocolError",
    "LoneSession",
    "MachineDetection",
    "MessageFate",
    "MinSpeech",
    "MinWords",
    "Murmurs",
    "Observer",
    "OnMachine",
    "OpenAIRealtime",
    "Outcome",
    "OwnWords",
    "ParkingFate",
    "ParkingSettings",
    "Percentiles",
    "PlacedCall",
    "ProtectionRule",
    "ProviderError",
    "ProviderRefused",
    "ProviderUnavailable",
    "ReadySpeech",
    "RemoteProtocolError",
    "ResponseEnded",
    "SemanticVad",
    "ServerVad",
    "SessionLost",
    "Settings",
    "Speaker",
    "SpeaksFirst",
    "SpeechEvidence",
    "Strategy",
    "ThenIdle",
    "TurnEnd",
    "TurnTimes",
    "VoicecoreError",
    "decide_again",
    "latencies",
    "load_settings",
    "open_engine",
    "open_session",
    "real_world",
    "settle_collector",
    "turn_times",
]

hide_secrets()
