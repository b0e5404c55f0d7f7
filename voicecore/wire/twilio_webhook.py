"""Reads Twilio's webhook forms: incoming calls, status callbacks, answering-machine results.

Rule 1: forms are parsed strictly and within limits.
Rule 2: unknown fields are kept for the signature and otherwise ignored, because
Twilio adds new ones at any time.
Rule 3: only the call id is required, and the status of a status callback. Anything
else may be missing or malformed and is then left out; a missing number is "unknown".

Source: docs/protocols/twilio-media-streams.md, sections 8 to 10.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from urllib.parse import unquote_to_bytes

import attrs

from voicecore.errors import RemoteProtocolError, printable
from voicecore.statuses import AnsweredBy, CarrierFailure, CarrierStatus

FIELD_LIMIT = 200  #: fields of one form; Twilio sends about 40
WORD_LIMIT_CHARS = 40  #: of an unknown status
UNKNOWN_PARTY = "unknown"
_PEER = "twilio"
_SIP_SUCCESS = range(200, 300)
_DIGITS = re.compile(r"[0-9]{1,9}")
_BAD_PERCENT = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_CALL_ID = re.compile(r"CA[0-9a-zA-Z]{1,62}")


@attrs.frozen(kw_only=True)
class IncomingCall:
    """An incoming call, for which Twilio requests instructions."""

    carrier_call_id: str
    caller: str
    """As Twilio writes it: a number, "anonymous", a SIP address; UNKNOWN_PARTY if missing."""
    callee: str


@attrs.frozen(kw_only=True)
class CallStatusReport:
    """A status callback."""

    carrier_call_id: str
    status: CarrierStatus
    word: str
    duration_s: int | None = None
    failure: CarrierFailure | None = None


@attrs.frozen(kw_only=True)
class AmdCallback:
    """The result of answering-machine detection on a call that we placed."""

    carrier_call_id: str
    answered_by: AnsweredBy
    word: str


Form = Mapping[str, Sequence[str]]

_ANSWERED_BY = {
    "human": AnsweredBy.HUMAN,
    "machine_start": AnsweredBy.MACHINE_GREETING,
    "machine_end_beep": AnsweredBy.MACHINE_RECORDING,
    "machine_end_silence": AnsweredBy.MACHINE_RECORDING,
    "machine_end_other": AnsweredBy.MACHINE_RECORDING,
    "fax": AnsweredBy.FAX,
}


def parse_form(body: bytes) -> Form:
    """Parse a form body.

    Raises:
        RemoteProtocolError: Invalid percent escapes, not UTF-8, or more than FIELD_LIMIT fields.
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
        RemoteProtocolError: The call's id is missing or malformed.
    """
    return IncomingCall(carrier_call_id=_call_id(form), caller=_party(form, "From"), callee=_party(form, "To"))


def says_over(form: Form) -> bool:
    """Whether a webhook of any kind says, by a known status, that its call is over."""
    return _status(_optional(form, "CallStatus") or "").is_surely_terminal


def read_call_status(form: Form) -> CallStatusReport:
    """Read the form of a status callback; an unknown status is UNKNOWN.

    Raises:
        RemoteProtocolError: The call's id or its status is missing or malformed.
    """
    word = _one(form, "CallStatus")
    return CallStatusReport(
        carrier_call_id=_call_id(form),
        status=_status(word),
        word=printable(word, WORD_LIMIT_CHARS),
        duration_s=_whole(form, "CallDuration"),
        failure=_failure(form),
    )


def read_amd_callback(form: Form) -> AmdCallback:
    """Read a detection callback; a missing or unknown result is UNKNOWN.

    Raises:
        RemoteProtocolError: The call's id is missing or malformed.
    """
    word = _optional(form, "AnsweredBy") or ""
    return AmdCallback(
        carrier_call_id=_call_id(form), answered_by=_ANSWERED_BY.get(word, AnsweredBy.UNKNOWN), word=printable(word)
    )


def _status(word: str) -> CarrierStatus:
    known = word in CarrierStatus._value2member_map_
    return CarrierStatus(word) if known else CarrierStatus.UNKNOWN


def _failure(form: Form) -> CarrierFailure | None:
    sip_code, error_code = _whole(form, "SipResponseCode"), _whole(form, "ErrorCode")
    message = printable(_optional(form, "ErrorMessage") or "")
    went_well = sip_code is None or sip_code in _SIP_SUCCESS
    if went_well and not error_code and not message:
        return None
    return CarrierFailure(sip_code=sip_code, error_code=error_code or None, message=message)


def _party(form: Form, name: str) -> str:
    return printable(_optional(form, name) or UNKNOWN_PARTY)


def _whole(form: Form, name: str) -> int | None:
    """Return an integer, digits behind the point ignored; None for anything else."""
    digits, _, fraction = (_optional(form, name) or "").strip().partition(".")
    is_count = _DIGITS.fullmatch(digits) is not None and (not fraction or _DIGITS.fullmatch(fraction) is not None)
    return int(digits) if is_count else None


def _call_id(form: Form) -> str:
    call_id = _one(form, "CallSid")
    if _CALL_ID.fullmatch(call_id) is None:
        raise RemoteProtocolError("must be a call SID (CA…)", peer=_PEER, field="CallSid", excerpt=call_id)
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
        raise RemoteProtocolError("a form with an invalid percent escape", peer=_PEER)
    try:
        return unquote_to_bytes(text.replace(b"+", b" ")).decode("utf-8")
    except UnicodeDecodeError:
        raise RemoteProtocolError("a form that is not UTF-8", peer=_PEER) from None
