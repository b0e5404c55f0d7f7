"""Twilio's REST interface for calls: forms out, answers in.

Rule 1: what Twilio would refuse is refused here, with what to do.
Rule 2: an answer is believed only as far as it can be read; its words lose the
secrets that they repeat, and are cut and made printable, before anybody sees them.

Source: docs/protocols/twilio-media-streams.md, sections 7 and 9.  Pure.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any
from urllib.parse import quote

import attrs
import orjson

from voicecore.errors import LocalProtocolError, RemoteProtocolError, printable

TWIML_LIMIT_CHARS = 4000  #: of a call's inline TwiML
TOO_MANY_REQUESTS = 429
_MESSAGE_LIMIT_CHARS = 300  #: of Twilio's own words, whose end often says what to do
_RING_LIMITS_S = (1, 600)
_PEER = "twilio"
_CALL_ID = re.compile(r"CA[0-9a-zA-Z]{1,62}")
_STATUS_EVENTS = ("initiated", "ringing", "answered", "completed")
_NOT_FOUND = 404
_CODES_OF_OVER = frozenset({20404, 21220})
_WORDS_OF_OVER = "not in-progress"
_NO_REASON = "no reason given"

Pairs = Sequence[tuple[str, str]]


@attrs.frozen(kw_only=True)
class NewCall:
    """A call to be placed. Exactly one of ``twiml`` and ``url`` says what to do when it is answered."""

    caller: str
    callee: str
    ring_timeout_s: int
    status_url: str
    twiml: bytes | None = attrs.field(default=None, repr=False)
    url: str | None = None
    detects_machines: bool = False
    waits_for_message_end: bool = False
    """Detection tells of a machine when its greeting has ended, not when it has begun."""
    verdict_url: str | None = None
    """Where the verdict of detection goes while the call goes on; None: detection comes before ``url`` is fetched."""


def calls_url(api_base_url: str, account_sid: str) -> str:
    """Return where calls are created."""
    return f"{api_base_url.rstrip('/')}/2010-04-01/Accounts/{quote(account_sid, safe='')}/Calls.json"


def account_url(api_base_url: str, account_sid: str) -> str:
    """Return where the account itself is read."""
    return f"{api_base_url.rstrip('/')}/2010-04-01/Accounts/{quote(account_sid, safe='')}.json"


@attrs.frozen
class AccountState:
    """How an account stands; None where that is not said."""

    status: str | None
    """active, suspended or closed."""
    kind: str | None
    """Full or Trial."""


def read_account(body: bytes) -> AccountState:
    """Return how an account stands.

    Raises:
        RemoteProtocolError: The answer is not an object.
    """
    fields = _object(body)
    status, kind = (value if isinstance(value := fields.get(name), str) else None for name in ("status", "type"))
    return AccountState(status and printable(status), kind and printable(kind))


def call_url(api_base_url: str, account_sid: str, call_sid: str) -> str:
    """Return where one call is changed."""
    return calls_url(api_base_url, account_sid).removesuffix(".json") + f"/{quote(call_sid, safe='')}.json"


def new_call_form(call: NewCall) -> Pairs:
    """Return the form that creates a call.

    Raises:
        LocalProtocolError: Both or neither of ``twiml`` and ``url``, TwiML that is too
            long, or a ring time out of bounds.
    """
    lowest, highest = _RING_LIMITS_S
    if not lowest <= call.ring_timeout_s <= highest:
        raise LocalProtocolError(f"a call rings for {lowest} to {highest} seconds")
    if (call.twiml is None) == (call.url is None):
        raise LocalProtocolError("a call needs either TwiML or a URL to fetch it from")
    pairs = [
        ("To", call.callee),
        ("From", call.caller),
        ("Timeout", str(call.ring_timeout_s)),
        ("StatusCallback", call.status_url),
        *(("StatusCallbackEvent", event) for event in _STATUS_EVENTS),
    ]
    if call.twiml is not None:
        pairs.append(("Twiml", _inline(call.twiml)))
    if call.url is not None:
        pairs.append(("Url", call.url))
    return pairs + _detection(call)


def end_call_form() -> Pairs:
    """Return the form that ends a call, ringing or live."""
    return [("Status", "completed")]


def read_call_sid(body: bytes) -> str:
    """Return the id of a call that was created.

    Raises:
        RemoteProtocolError: The answer has none.
    """
    sid = _object(body).get("sid")
    if not isinstance(sid, str) or _CALL_ID.fullmatch(sid) is None:
        raise RemoteProtocolError("must be a call's id (CA…)", peer=_PEER, field="sid")
    return sid


@attrs.frozen
class RestProblem:
    """What Twilio says is wrong."""

    status: int
    """Of the HTTP answer."""
    code: int | None = None
    message: str = _NO_REASON

    @property
    def says_that_the_call_is_over(self) -> bool:
        """Whether the call that was asked about is not, or no more, in progress."""
        return self.status == _NOT_FOUND or self.code in _CODES_OF_OVER or _WORDS_OF_OVER in self.message.lower()


def read_problem(status: int, body: bytes, secrets: Collection[str] = ()) -> RestProblem:
    """Return what an answer that is no success says, as far as it can be read.

    ``secrets`` are struck out of its words: a refusal may repeat what it refuses.
    """
    try:
        fields = _object(body)
    except RemoteProtocolError:
        return RestProblem(status)
    code, message = fields.get("code"), fields.get("message")
    known = isinstance(code, int) and not isinstance(code, bool)
    return RestProblem(
        status,
        code if known else None,
        printable(_without(secrets, message), _MESSAGE_LIMIT_CHARS) if isinstance(message, str) else _NO_REASON,
    )


def _inline(twiml: bytes) -> str:
    text = twiml.decode("utf-8")
    if len(text) > TWIML_LIMIT_CHARS:
        raise LocalProtocolError(f"inline TwiML may have {TWIML_LIMIT_CHARS} characters; shorten what is said")
    return text


def _without(secrets: Collection[str], text: str) -> str:
    for secret in secrets:
        text = text.replace(secret, "***")
    return text


def _detection(call: NewCall) -> list[tuple[str, str]]:
    if not call.detects_machines:
        return []
    pairs = [("MachineDetection", "DetectMessageEnd" if call.waits_for_message_end else "Enable")]
    if call.verdict_url is not None:
        pairs += [("AsyncAmd", "true"), ("AsyncAmdStatusCallback", call.verdict_url)]
    return pairs


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise RemoteProtocolError("not JSON", peer=_PEER) from None
    if not isinstance(value, dict):
        raise RemoteProtocolError("not a JSON object", peer=_PEER)
    return value
