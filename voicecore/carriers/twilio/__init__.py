"""Twilio as a carrier: calls that come in, calls that we place, and the media stream of both.

Read account.py first, then webhooks.py (what Twilio tells us), rest.py and
dialler.py (what we tell Twilio) and media.py (the stream as a `Leg`).
"""

from __future__ import annotations

from voicecore.carriers.twilio.account import TwilioAccount
from voicecore.carriers.twilio.carrier import OpenTwilio, Twilio
from voicecore.carriers.twilio.dialler import DialLimits, TwilioDialler
from voicecore.carriers.twilio.media import TwilioLeg, run_stream
from voicecore.carriers.twilio.rest import HangUpLimits, TwilioControl, TwilioRest
from voicecore.carriers.twilio.standing import read_standing
from voicecore.carriers.twilio.webhooks import TwilioInbound

__all__ = [
    "DialLimits",
    "HangUpLimits",
    "OpenTwilio",
    "Twilio",
    "TwilioAccount",
    "TwilioControl",
    "TwilioDialler",
    "TwilioInbound",
    "TwilioLeg",
    "TwilioRest",
    "read_standing",
    "run_stream",
]
