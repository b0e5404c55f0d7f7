"""Codec of Twilio's REST API for calls: builds request forms and URLs, reads responses.

Rule 1: what Twilio would refuse is refused here, with an error that says what to do.
Rule 2: Twilio's messages are shown only after secrets are removed from them and
they are cut and made printable.

Source: docs/protocols/twilio-media-streams.md, sections 7 and 9. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any
from urllib.parse import quote

import attrs
import orjson

from voicecore.errors import LocalProtocolError, RemoteProtocolError, printable

TWIML_LIMIT_CHARS = 4000  #: limit of inline TwiML
TOO_MANY_REQUESTS = 429
_MESSAGE_LIMIT_CHARS = 300  #: Twilio's messages often end with what to do
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
    """A call to place. Exactly one of ``twiml`` and ``url`` says what Twilio does when it is answered."""

    caller: str
    callee: str
    ring_timeout_s: int
    status_url: str
    twiml: bytes | None = attrs.field(default=None, repr=False)
    url: str | None = None
    detects_machines: bool = False
    waits_for_message_end: bool = False
    """Whether detection reports a machine at the end of its greeting, not at its start."""
    verdict_url: str | None = None
    """Where Twilio posts the result of asynchronous detection; None: detection ends before ``url`` is fetched."""


def calls_url(api_base_url: str, account_sid: str) -> str:
    """Return the URL that creates calls."""
    return f"{api_base_url.rstrip('/')}/2010-04-01/Accounts/{quote(account_sid, safe='')}/Calls.json"


def account_url(api_base_url: str, account_sid: str) -> str:
    """Return the URL of the account."""
    return f"{api_base_url.rstrip('/')}/2010-04-01/Accounts/{quote(account_sid, safe='')}.json"


@attrs.frozen
class AccountState:
    """Status and type of an account; None if Twilio does not say."""

    status: str | None
    """active, suspended or closed."""
    kind: str | None
    """Full or Trial."""


def read_account(body: bytes) -> AccountState:
    """Return an account's status and type.

    Raises:
        RemoteProtocolError: The response is not a JSON object.
    """
    fields = _object(body)
    status, kind = (value if isinstance(value := fields.get(name), str) else None for name in ("status", "type"))
    return AccountState(status and printable(status), kind and printable(kind))


def call_url(api_base_url: str, account_sid: str, call_sid: str) -> str:
    """Return the URL that changes one call."""
    return calls_url(api_base_url, account_sid).removesuffix(".json") + f"/{quote(call_sid, safe='')}.json"


def new_call_form(call: NewCall) -> Pairs:
    """Return the form that creates a call.

    Raises:
        LocalProtocolError: Both or neither of ``twiml`` and ``url``, TwiML that is too
            long, or a ring timeout out of range.
    """
    lowest, highest = _RING_LIMITS_S
    if not lowest <= call.ring_timeout_s <= highest:
        raise LocalProtocolError(f"the ring timeout must be from {lowest} to {highest} seconds")
    if (call.twiml is None) == (call.url is None):
        raise LocalProtocolError("a call needs either TwiML or a URL that Twilio fetches it from")
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
    """Return the id of the call that was created.

    Raises:
        RemoteProtocolError: The response has none.
    """
    sid = _object(body).get("sid")
    if not isinstance(sid, str) or _CALL_ID.fullmatch(sid) is None:
        raise RemoteProtocolError("must be a call SID (CA…)", peer=_PEER, field="sid")
    return sid


@attrs.frozen
class RestProblem:
    """An error response of Twilio."""

    status: int
    """The HTTP status."""
    code: int | None = None
    message: str = _NO_REASON

    @property
    def says_that_the_call_is_over(self) -> bool:
        """Whether the call that the request was about is not in progress, or no longer."""
        return self.status == _NOT_FOUND or self.code in _CODES_OF_OVER or _WORDS_OF_OVER in self.message.lower()


def read_problem(status: int, body: bytes, secrets: Collection[str] = ()) -> RestProblem:
    """Read an error response as far as possible.

    ``secrets`` are removed from the message, which may repeat the request.
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
        raise LocalProtocolError(f"inline TwiML may have at most {TWIML_LIMIT_CHARS} characters; shorten the apology")
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
