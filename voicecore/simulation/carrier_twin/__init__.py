"""The carrier twin: a faithful fake Twilio for tests, demos and benchmarks. It places calls to us, and takes ours.

It is written from the protocol sheet with plain JSON objects and shares no code
with wire/, so that the two can disagree.  Read playout.py first (what the
caller hears), then caller.py (what the caller does), then line.py; for calls that
we place plan.py (what becomes of them), then phone.py.  tunnel.py goes between it and us.

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
from voicecore.simulation.carrier_twin.dial_request import Detection, DialRequest
from voicecore.simulation.carrier_twin.exchange import Account
from voicecore.simulation.carrier_twin.faults import (
    EchoOrder,
    Goodbye,
    LineFaults,
    MediaFormat,
    StatusFaults,
    WebhookFaults,
)
from voicecore.simulation.carrier_twin.inbound import InboundCall
from voicecore.simulation.carrier_twin.line import LedgerLine, Line
from voicecore.simulation.carrier_twin.phone import Dialled
from voicecore.simulation.carrier_twin.plan import DialPlan, DialPlans, MachineVerdict, Pickup, Refusal, UpdateFaults
from voicecore.simulation.carrier_twin.playout import Heard, LinePlayout, MarkReturn
from voicecore.simulation.carrier_twin.rest import RestRequest
from voicecore.simulation.carrier_twin.tunnel import Passed, RequestForm, Tunnel, TunnelSettings, open_tunnel
from voicecore.simulation.carrier_twin.twin import CarrierTwin, open_carrier

__all__ = [
    "Account",
    "AfterAgent",
    "At",
    "CarrierTwin",
    "Detection",
    "DialPlan",
    "DialPlans",
    "DialRequest",
    "Dialled",
    "EchoOrder",
    "Goodbye",
    "HangUp",
    "Heard",
    "InboundCall",
    "LedgerLine",
    "Line",
    "LineFaults",
    "LinePlayout",
    "MachineVerdict",
    "MarkReturn",
    "MediaFormat",
    "Passed",
    "Pickup",
    "Press",
    "Refusal",
    "RequestForm",
    "RestRequest",
    "Say",
    "StatusFaults",
    "Step",
    "Tunnel",
    "TunnelSettings",
    "UpdateFaults",
    "WebhookFaults",
    "WhileAgentSpeaks",
    "open_carrier",
    "open_tunnel",
]
