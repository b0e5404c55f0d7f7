"""The provider twin: a faithful simulation of the OpenAI Realtime server (GA), for tests, demos and benchmarks.

It is written from the sheet in docs/protocols/ with plain JSON objects and shares no code
with wire/, so that the two can disagree.  The session itself is synchronous and
needs no socket: read session.py first, then server.py.
"""

from voicecore.simulation.openai_realtime.behaviour import (
    Behaviour,
    End,
    Ending,
    Handshake,
    MeasuredVad,
    Pace,
    PartialTurnDetection,
    ResponseFault,
    ScriptedVad,
    Transcribing,
    Updates,
)
from voicecore.simulation.openai_realtime.items import Item
from voicecore.simulation.openai_realtime.ledger import Ledger, LedgerLine
from voicecore.simulation.openai_realtime.refused_events import RefusedEvent
from voicecore.simulation.openai_realtime.rewrites import (
    READY_MADE,
    Rewrite,
    acknowledged_formats,
    bare_responses,
    dropped,
    flat_errors,
    left_out,
    replaced,
    with_deep_field,
)
from voicecore.simulation.openai_realtime.script import (
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
from voicecore.simulation.openai_realtime.server import ClientEvent, RealtimeTwin, TwinConnection
from voicecore.simulation.openai_realtime.session import TwinSession
from voicecore.simulation.openai_realtime.unsolicited_events import UnsolicitedEvent, errors

__all__ = [
    "READY_MADE",
    "Behaviour",
    "ClientEvent",
    "Echo",
    "End",
    "Ending",
    "Handshake",
    "Item",
    "Ledger",
    "LedgerLine",
    "MeasuredVad",
    "NumberedFrames",
    "Pace",
    "PartialTurnDetection",
    "RealtimeTwin",
    "Recorded",
    "RefusedEvent",
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
    "UnsolicitedEvent",
    "Updates",
    "acknowledged_formats",
    "bare_responses",
    "dropped",
    "errors",
    "flat_errors",
    "left_out",
    "replaced",
    "with_deep_field",
]
