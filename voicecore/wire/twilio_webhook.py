"""Twilio's webhooks: forms in, typed values out.

Rule 1: a form is read strictly and within limits before anything is believed.
Rule 2: unknown fields are kept for the signature and otherwise ignored: new ones
appear any day.

Source: Twilio sheet, sections 8 to 10.  Used by carriers/twilio/webhooks.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from urllib.parse import unquote_to_bytes

import attrs

from voicecore.errors import RemoteProtocolError, printable
from voicecore.statuses import AnsweredBy, CarrierStatus

FIELD_LIMIT = 200  #: fields of one form; Twilio sends some forty
_PEER = "twilio"
_BAD_PERCENT = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_CALL_ID = re.compile(r"CA[0-9a-zA-Z]{1,62}")


@attrs.frozen(kw_only=True)
class IncomingCall:
    """A call rings and Twilio asks what to do with it."""

    carrier_call_id: str
    account_id: str
    caller: str
    callee: str


@attrs.frozen(kw_only=True)
class CallStatusReport:
    """A status callback."""

    carrier_call_id: str
    status: CarrierStatus
    word: str
    duration_s: int | None


@attrs.frozen(kw_only=True)
class MachineVerdict:
    """What machine detection heard at the other end of a call that we placed."""

    carrier_call_id: str
    answered_by: AnsweredBy
    word: str


Form = Mapping[str, Sequence[str]]

_ANSWERED_BY = {
    "human": AnsweredBy.HUMAN,
    "machine_start": AnsweredBy.MACHINE_SPEAKS,
    "machine_end_beep": AnsweredBy.MACHINE_LISTENS,
    "machine_end_silence": AnsweredBy.MACHINE_LISTENS,
    "machine_end_other": AnsweredBy.MACHINE_LISTENS,
    "fax": AnsweredBy.FAX,
}


def parse_form(body: bytes) -> Form:
    """Read a form body.

    Raises:
        RemoteProtocolError: Bad percent codes, not UTF-8, or more than FIELD_LIMIT fields.
    """
    if not body:
        raise RemoteProtocolError("an empty form", peer=_PEER)
    pairs = body.split(b"&")
    if len(pairs) > FIELD_LIMIT:
        raise RemoteProtocolError(f"a form of more than {FIELD_LIMIT} fields", peer=_PEER)
    form: dict[str, list[str]] = {}
    for pair in pairs:
        name, _, value = pair.partition(b"=")
        form.setdefault(_decoded(name), []).append(_decoded(value))
    return form


def read_incoming_call(form: Form) -> IncomingCall:
    """Read the form of a voice webhook.

    Raises:
        RemoteProtocolError: A field is missing or malformed.
    """
    return IncomingCall(
        carrier_call_id=_call_id(form),
        account_id=_one(form, "AccountSid"),
        caller=_one(form, "From"),
        callee=_one(form, "To"),
    )


def says_over(form: Form) -> bool:
    """Whether a webhook, of whatever kind, calls its call over by a status that we know."""
    return _status(_optional(form, "CallStatus") or "").is_surely_terminal


def read_call_status(form: Form) -> CallStatusReport:
    """Read the form of a status callback; a status word we do not know is UNKNOWN.

    Raises:
        RemoteProtocolError: A field is missing or malformed.
    """
    word = _one(form, "CallStatus")
    duration = _optional(form, "CallDuration")
    if duration is not None and not (duration.isascii() and duration.isdecimal() and len(duration) <= 9):
        raise RemoteProtocolError("must be whole seconds", peer=_PEER, field="CallDuration", excerpt=duration)
    return CallStatusReport(
        carrier_call_id=_call_id(form),
        status=_status(word),
        word=word,
        duration_s=None if duration is None else int(duration),
    )


def read_machine_verdict(form: Form) -> MachineVerdict:
    """Read the verdict of machine detection; a form without one, and a word we do not know, say UNKNOWN.

    Raises:
        RemoteProtocolError: The call's id is missing or malformed.
    """
    word = _optional(form, "AnsweredBy") or ""
    return MachineVerdict(
        carrier_call_id=_call_id(form), answered_by=_ANSWERED_BY.get(word, AnsweredBy.UNKNOWN), word=printable(word)
    )


def _status(word: str) -> CarrierStatus:
    known = word in CarrierStatus._value2member_map_
    return CarrierStatus(word) if known else CarrierStatus.UNKNOWN


def _call_id(form: Form) -> str:
    call_id = _one(form, "CallSid")
    if _CALL_ID.fullmatch(call_id) is None:
        raise RemoteProtocolError("must be a call's id (CA…)", peer=_PEER, field="CallSid", excerpt=call_id)
    return call_id


def _one(form: Form, name: str) -> str:
    value = _optional(form, name)
    if value is None:
        raise RemoteProtocolError("is missing", peer=_PEER, field=name)
    return value


def _optional(form: Form, name: str) -> str | None:
    values = form.get(name, ())
    return values[0] if values else None


def _decoded(text: bytes) -> str:
    if _BAD_PERCENT.search(text):
        raise RemoteProtocolError("a form with a bad percent code", peer=_PEER)
    try:
        return unquote_to_bytes(text.replace(b"+", b" ")).decode("utf-8")
    except UnicodeDecodeError:
        raise RemoteProtocolError("a form that is not UTF-8", peer=_PEER) from None
