"""The carrier twin: a faithful fake Twilio that places calls to us, for tests, demos and benchmarks.

It is written from the protocol sheet with plain JSON objects and shares no code
with wire/, so that the two can disagree.  Read playout.py first (what the
caller hears), then caller.py (what the caller does), then line.py.

Level 5; imports audio/, net/ and world.
"""

from __future__ import annotations

from voicecore.simulation.carrier_twin.caller import (
    AfterAgent,
    At,
    HangUp,
    Press,
    Say,
    Step,
    WhileAgentSpeaks,
)
from voicecore.simulation.carrier_twin.faults import EchoOrder, Goodbye, LineFaults, StatusFaults
from voicecore.simulation.carrier_twin.line import LedgerLine, Line
from voicecore.simulation.carrier_twin.playout import Heard, LinePlayout, MarkReturn
from voicecore.simulation.carrier_twin.twin import Account, CarrierTwin, open_carrier

__all__ = [
    "Account",
    "AfterAgent",
    "At",
    "CarrierTwin",
    "EchoOrder",
    "Goodbye",
    "HangUp",
    "Heard",
    "LedgerLine",
    "Line",
    "LineFaults",
    "LinePlayout",
    "MarkReturn",
    "Press",
    "Say",
    "StatusFaults",
    "Step",
    "WhileAgentSpeaks",
    "open_carrier",
]
