"""voicecore: an engine for telephone calls that an AI answers or places.

Import the public names from here; the modules behind them may move.
"""

from __future__ import annotations

from voicecore.assembly import Engine, open_engine, real_world
from voicecore.audio.formats import PCM16_8K, PCM16_16K, PCM16_24K, PCMA_8K, PCMU_8K, AudioFormat
from voicecore.config import Settings
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
from voicecore.facts import CallReport, EndCause, Fact, MessageFate, Observer, ParkingFate, Speaker
from voicecore.ports import MachineDetection
from voicecore.providers.openai_realtime import OpenAIRealtime
from voicecore.sessions import LoneSession, open_session
from voicecore.turns.first_message import FirstMessagePolicy, ProtectionRule, SpeaksFirst
from voicecore.turns.gate import CallerAudioRule
from voicecore.wire.openai_realtime import SemanticVad, ServerVad

__all__ = [
    "PCM16_8K",
    "PCM16_16K",
    "PCM16_24K",
    "PCMA_8K",
    "PCMU_8K",
    "Agent",
    "AudioFormat",
    "CallReport",
    "CallSettings",
    "CallerAudioRule",
    "CarrierError",
    "ConfigError",
    "DialOptions",
    "EndCause",
    "Engine",
    "EngineBusy",
    "Fact",
    "FirstMessagePolicy",
    "HostSettings",
    "LegLost",
    "LocalProtocolError",
    "LoneSession",
    "MachineDetection",
    "MessageFate",
    "Observer",
    "OnMachine",
    "OpenAIRealtime",
    "ParkingFate",
    "ParkingSettings",
    "PlacedCall",
    "ProtectionRule",
    "ProviderError",
    "ProviderRefused",
    "ProviderUnavailable",
    "ReadySpeech",
    "RemoteProtocolError",
    "SemanticVad",
    "ServerVad",
    "SessionLost",
    "Settings",
    "Speaker",
    "SpeaksFirst",
    "VoicecoreError",
    "open_engine",
    "open_session",
    "real_world",
]
