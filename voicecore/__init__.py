"""voicecore: an engine for telephone calls that an AI answers or places.

Import the public names from here; the modules behind them may move.
"""

from __future__ import annotations

from voicecore.assembly import Engine, open_engine, real_world
from voicecore.audio.formats import PCM16_8K, PCM16_16K, PCM16_24K, PCMA_8K, PCMU_8K, AudioFormat
from voicecore.config import Settings
from voicecore.engine.agent import Agent
from voicecore.engine.settings import CallSettings, HostSettings
from voicecore.errors import (
    CarrierError,
    ConfigError,
    LegLost,
    LocalProtocolError,
    ProviderError,
    ProviderRefused,
    ProviderUnavailable,
    RemoteProtocolError,
    SessionLost,
    VoicecoreError,
)
from voicecore.facts import CallReport, EndCause, Fact, Observer, Speaker
from voicecore.providers.openai_realtime import OpenAIRealtime
from voicecore.sessions import LoneSession, open_session
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
    "CarrierError",
    "ConfigError",
    "EndCause",
    "Engine",
    "Fact",
    "HostSettings",
    "LegLost",
    "LocalProtocolError",
    "LoneSession",
    "Observer",
    "OpenAIRealtime",
    "ProviderError",
    "ProviderRefused",
    "ProviderUnavailable",
    "RemoteProtocolError",
    "SemanticVad",
    "ServerVad",
    "SessionLost",
    "Settings",
    "Speaker",
    "VoicecoreError",
    "open_engine",
    "open_session",
    "real_world",
]
