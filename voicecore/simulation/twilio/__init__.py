"""The carrier twin: a faithful simulation of Twilio for tests, demos and benchmarks. It places and takes calls.

It is written from the sheets in docs/protocols/ with plain JSON objects and shares no code
with wire/, so that the two can disagree.  Read playout.py first (what the user
hears), then user.py (what the user does) and line.py (the media stream); for calls
that we place, plan.py (how they turn out), then dialled_call.py.  tunnel.py goes
between carrier and application.
"""

from __future__ import annotations

from voicecore.simulation.twilio.application_client import Account
from voicecore.simulation.twilio.dial_request import AmdRequest, DialRequest
from voicecore.simulation.twilio.dialled_call import DialledCall
from voicecore.simulation.twilio.faults import (
    LineFaults,
    MarkOrder,
    MediaFormat,
    StatusFaults,
    StreamEnd,
    WebhookFaults,
)
from voicecore.simulation.twilio.inbound import InboundCall
from voicecore.simulation.twilio.line import LedgerLine, Line
from voicecore.simulation.twilio.plan import AmdCallback, DialPlan, DialPlans, Pickup, Refusal, UpdateFaults
from voicecore.simulation.twilio.playout import LinePlayout, MarkReturn, PlayedAudio
from voicecore.simulation.twilio.rest import RestRequest
from voicecore.simulation.twilio.tunnel import ForwardedRequest, RequestForm, Tunnel, TunnelSettings, open_tunnel
from voicecore.simulation.twilio.twin import TwilioTwin, open_twilio
from voicecore.simulation.twilio.user import (
    AfterAgent,
    At,
    HangUp,
    Press,
    Say,
    Step,
    WhileAgentSpeaks,
)

__all__ = [
    "Account",
    "AfterAgent",
    "AmdCallback",
    "AmdRequest",
    "At",
    "DialPlan",
    "DialPlans",
    "DialRequest",
    "DialledCall",
    "ForwardedRequest",
    "HangUp",
    "InboundCall",
    "LedgerLine",
    "Line",
    "LineFaults",
    "LinePlayout",
    "MarkOrder",
    "MarkReturn",
    "MediaFormat",
    "Pickup",
    "PlayedAudio",
    "Press",
    "Refusal",
    "RequestForm",
    "RestRequest",
    "Say",
    "StatusFaults",
    "Step",
    "StreamEnd",
    "Tunnel",
    "TunnelSettings",
    "TwilioTwin",
    "UpdateFaults",
    "WebhookFaults",
    "WhileAgentSpeaks",
    "open_tunnel",
    "open_twilio",
]
