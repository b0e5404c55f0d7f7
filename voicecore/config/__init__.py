"""Settings of an engine; loader.py says where they come from, sections.py and openai_section.py what they are."""

from voicecore.config.loader import FILE_NAME, CarrierSettings, ProviderSettings, Settings
from voicecore.config.openai_section import OpenAIRealtimeSettings
from voicecore.config.reading import load_settings
from voicecore.config.sections import (
    AgentSettings,
    BargeInSettings,
    CallsSettings,
    IdleSettings,
    KeypadEntrySettings,
    NetSettings,
    OutboundSettings,
    ParkingLotSettings,
    PlayoutPaceSettings,
    ServerSettings,
    TwilioSettings,
)

__all__ = [
    "FILE_NAME",
    "AgentSettings",
    "BargeInSettings",
    "CallsSettings",
    "CarrierSettings",
    "IdleSettings",
    "KeypadEntrySettings",
    "NetSettings",
    "OpenAIRealtimeSettings",
    "OutboundSettings",
    "ParkingLotSettings",
    "PlayoutPaceSettings",
    "ProviderSettings",
    "ServerSettings",
    "Settings",
    "TwilioSettings",
    "load_settings",
]
