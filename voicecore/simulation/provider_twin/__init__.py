"""The provider twin: a faithful fake of the OpenAI Realtime server (GA), for tests, demos and benchmarks.

It is written from the protocol sheet with plain JSON objects and shares no code
with wire/, so that the two can disagree.  The session itself is synchronous and
needs no socket: read core.py first, then server.py.

Level 5; imports audio/, net/ and world.
"""

from voicecore.simulation.provider_twin.asides import Aside, errors
from voicecore.simulation.provider_twin.behaviour import (
    Behaviour,
    End,
    Ending,
    EnergyVad,
    Handshake,
    Pace,
    PartialTurnDetection,
    ResponseFault,
    ScriptedVad,
    Transcribing,
    Updates,
)
from voicecore.simulation.provider_twin.core import TwinSession
from voicecore.simulation.provider_twin.items import Item
from voicecore.simulation.provider_twin.ledger import Ledger, LedgerLine
from voicecore.simulation.provider_twin.objections import Objection
from voicecore.simulation.provider_twin.rewrites import (
    READY_MADE,
    Rewrite,
    bare_responses,
    deep_beside,
    dropped,
    echoed_formats,
    flat_errors,
    left_out,
    replaced,
)
from voicecore.simulation.provider_twin.script import (
    Echo,
    NumberedFrames,
    Recorded,
    Reply,
    Samples,
    Script,
    Silence,
    Tone,
    ToolCall,
)
from voicecore.simulation.provider_twin.server import ClientEvent, ProviderTwin, TwinConnection

__all__ = [
    "READY_MADE",
    "Aside",
    "Behaviour",
    "ClientEvent",
    "Echo",
    "End",
    "Ending",
    "EnergyVad",
    "Handshake",
    "Item",
    "Ledger",
    "LedgerLine",
    "NumberedFrames",
    "Objection",
    "Pace",
    "PartialTurnDetection",
    "ProviderTwin",
    "Recorded",
    "Reply",
    "ResponseFault",
    "Rewrite",
    "Samples",
    "Script",
    "ScriptedVad",
    "Silence",
    "Tone",
    "ToolCall",
    "Transcribing",
    "TwinConnection",
    "TwinSession",
    "Updates",
    "bare_responses",
    "deep_beside",
    "dropped",
    "echoed_formats",
    "errors",
    "flat_errors",
    "left_out",
    "replaced",
]
