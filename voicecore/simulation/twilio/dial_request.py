"""The form that places a call, read as strictly as Twilio reads it.

Rule 1: a parameter that Twilio does not know, a value that it would not accept and a
single-valued parameter that is repeated are refused.
Rule 2: what Twilio knows and this twin does not simulate (recording, SIP, a stored
application) is refused as well, so that no test relies on it.

Facts: docs/protocols/twilio-media-streams.md, sections 7 and 9; codes 21200 and 21211: Twilio's error pages.
Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from urllib.parse import parse_qsl, urlsplit

import attrs

Form = Mapping[str, Sequence[str]]

EVENTS = frozenset({"initiated", "ringing", "answered", "completed"})
"""The call events that an application may subscribe to."""

TWIML_LIMIT_CHARS = 4000
WRONG_REQUEST = 21200
WRONG_NUMBER = 21211
NO_AMD_CALLBACK = 21262

_E164 = re.compile(r"\+[1-9][0-9]{1,14}")
_KEYS = re.compile(r"[0-9*#wW]{1,32}")
_URLS = ("Url", "FallbackUrl", "StatusCallback", "AsyncAmdStatusCallback")
_METHODS = ("Method", "FallbackMethod", "StatusCallbackMethod", "AsyncAmdStatusCallbackMethod")
_RANGES: Mapping[str, tuple[int, int]] = {
    "Timeout": (1, 600),
    "TimeLimit": (1, 14_400),
    "MachineDetectionTimeout": (3, 59),
    "MachineDetectionSpeechThreshold": (1000, 6000),
    "MachineDetectionSpeechEndThreshold": (500, 5000),
    "MachineDetectionSilenceTimeout": (2000, 10_000),
}
_PARAMETERS = frozenset(
    {"To", "From", "Twiml", "StatusCallbackEvent", "SendDigits", "MachineDetection", "AsyncAmd", "CallReason"}
    | {*_URLS, *_METHODS, *_RANGES}
)


class RestRefusal(Exception):
    """A request that is answered with an error: HTTP status, Twilio's code, and a message."""

    def __init__(self, status: int, code: int, problem: str) -> None:
        self.status = status
        self.code = code
        self.problem = problem
        super().__init__(f"{code}: {problem}")


@attrs.frozen(kw_only=True)
class AmdRequest:
    """Answering-machine detection (AMD) as it was requested."""

    waits_for_end: bool
    """DetectMessageEnd, not Enable."""
    callback: str | None = attrs.field(repr=False)
    """Where the verdict is sent; None: TwiML waits for it."""
    timeout_s: int


@attrs.frozen(kw_only=True)
class DialRequest:
    """One requested call."""

    to: str
    caller: str
    """``From``: the application's number."""
    url: str | None = attrs.field(repr=False)
    twiml: str | None = attrs.field(repr=False)
    fallback_url: str | None = attrs.field(repr=False)
    status_callback: str | None = attrs.field(repr=False)
    events: frozenset[str]
    """The call events that are sent to ``status_callback``."""
    timeout_s: int
    time_limit_s: int
    detection: AmdRequest | None
    form: Form = attrs.field(repr=False)
    """As it came."""


def read_form(body: bytes) -> Form:
    """Return a form's parameters with all their values, in order."""
    form: dict[str, list[str]] = {}
    for name, value in parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True):
        form.setdefault(name, []).append(value)
    return form


def read_dial_request(form: Form) -> DialRequest:
    """Return the request of a form.

    Raises:
        RestRefusal: Twilio would not accept it, or this twin does not simulate it.
    """
    given = single_values(form, _PARAMETERS, repeatable="StatusCallbackEvent")
    _check_values(given)
    if ("Url" in given) == ("Twiml" in given):
        raise _wrong("give exactly one of Url and Twiml")
    if len(given.get("Twiml", "")) > TWIML_LIMIT_CHARS:
        raise _wrong(f"Twiml has more than {TWIML_LIMIT_CHARS} characters")
    return DialRequest(
        to=_number(given, "To"),
        caller=_number(given, "From"),
        url=given.get("Url"),
        twiml=given.get("Twiml"),
        fallback_url=given.get("FallbackUrl"),
        status_callback=given.get("StatusCallback"),
        events=_events(form),
        timeout_s=int(given.get("Timeout", "60")),
        time_limit_s=int(given.get("TimeLimit", "14400")),
        detection=_detection(given),
        form=form,
    )


def single_values(form: Form, known: frozenset[str], repeatable: str = "") -> Mapping[str, str]:
    """Return a form's parameters, each with its one value. Raises RestRefusal for unknown and for repeated ones."""
    for name, values in form.items():
        if name not in known:
            raise _wrong(f"the parameter {name[:40]!r} is unknown, or not simulated by this twin")
        if len(values) > 1 and name != repeatable:
            raise _wrong(f"{name} is given more than once")
    return {name: values[0] for name, values in form.items() if name != repeatable}


def _check_values(given: Mapping[str, str]) -> None:
    for name, value in given.items():
        if name in _URLS and not _is_absolute(value):
            raise _wrong(f"{name} is not an absolute URL")
        if name in _METHODS and value != "POST":
            raise _wrong(f"{name} must be POST for this twin")
        if name in _RANGES and not _is_within(value, *_RANGES[name]):
            raise _wrong(f"{name} must be a number from {_RANGES[name][0]} to {_RANGES[name][1]}")
    if "SendDigits" in given and not _KEYS.fullmatch(given["SendDigits"]):
        raise _wrong("SendDigits takes up to 32 of 0-9 * # w W")
    if given.get("AsyncAmd", "true") not in {"true", "false"}:
        raise _wrong("AsyncAmd must be true or false")
    if given.get("MachineDetection", "Enable") not in {"Enable", "DetectMessageEnd"}:
        raise _wrong("MachineDetection must be Enable or DetectMessageEnd")


def _number(given: Mapping[str, str], name: str) -> str:
    if name not in given:
        raise _wrong(f"{name} is missing")
    if not _E164.fullmatch(given[name]):
        raise RestRefusal(400, WRONG_NUMBER if name == "To" else WRONG_REQUEST, f"{name} is not a number in E.164")
    return given[name]


def _events(form: Form) -> frozenset[str]:
    """Return the subscribed events; only the end where none are named."""
    events = frozenset(form.get("StatusCallbackEvent", ["completed"]))
    if not events <= EVENTS:
        raise _wrong(f"StatusCallbackEvent must be repeated, each one of {', '.join(sorted(EVENTS))}")
    return events


def _detection(given: Mapping[str, str]) -> AmdRequest | None:
    is_async = given.get("AsyncAmd") == "true"
    if is_async and "AsyncAmdStatusCallback" not in given:
        raise RestRefusal(400, NO_AMD_CALLBACK, "AsyncAmd needs an AsyncAmdStatusCallback")
    if "MachineDetection" not in given or "SendDigits" in given:  # SendDigits switches detection off
        return None
    return AmdRequest(
        waits_for_end=given["MachineDetection"] == "DetectMessageEnd",
        callback=given["AsyncAmdStatusCallback"] if is_async else None,
        timeout_s=int(given.get("MachineDetectionTimeout", "30")),
    )


def _is_absolute(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme in {"http", "https"} and bool(parts.hostname)


def _is_within(text: str, least: int, most: int) -> bool:
    return text.isascii() and text.isdigit() and least <= int(text) <= most


def _wrong(problem: str) -> RestRefusal:
    return RestRefusal(400, WRONG_REQUEST, problem)
