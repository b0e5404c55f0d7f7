"""TwiML as Twilio reads it: the verbs of a call in order, or the code of what is wrong with them.

Rule 1: it is read strictly: a verb, attribute or nesting that this twin does not know
is an error of the application (12200), never skipped.
Rule 2: a media stream's URL is wss without a query; ws is accepted for loopback,
where tests and demos run.

Facts: docs/protocols/twilio-media-streams.md, sections 1 and 12.  Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit
from xml.etree import ElementTree as ET

import attrs

from voicecore.errors import RemoteProtocolError

PEER = "the application"
TWIML_LIMIT_BYTES = 64 * 1024

_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_PARAMETER_LIMIT_CHARS = 500  #: name and value together must be shorter
_ATTRIBUTES: Mapping[str, frozenset[str]] = {
    "Response": frozenset(),
    "Connect": frozenset({"action", "method"}),
    "Stream": frozenset({"url", "name", "track", "statusCallback", "statusCallbackMethod"}),
    "Parameter": frozenset({"name", "value"}),
    "Say": frozenset({"voice", "language", "loop"}),
    "Hangup": frozenset(),
    "Reject": frozenset({"reason"}),
}


@attrs.frozen
class ConnectStream:
    """``<Connect><Stream>``: run a bidirectional media stream until it ends."""

    url: str = attrs.field(repr=False)
    parameters: Mapping[str, str] = attrs.field(factory=dict, repr=False)


@attrs.frozen
class SpeakText:
    """``<Say>``: speak a text."""

    text: str


@attrs.frozen
class EndCall:
    """``<Hangup>``: end the call."""


@attrs.frozen
class RejectCall:
    """``<Reject>``: refuse an inbound call without answering it."""


Verb = ConnectStream | SpeakText | EndCall | RejectCall


def read_twiml(text: str | bytes) -> Sequence[Verb]:
    """Return the verbs of a ``<Response>``; an empty one ends the call.

    Raises:
        RemoteProtocolError: Twilio would not accept it; the message begins with Twilio's code.
    """
    if len(text) > TWIML_LIMIT_BYTES:
        raise _wrong("11750: TwiML of more than 64 kB")
    try:
        response = ET.fromstring(text)  # noqa: S314  (our own application's answer)
    except ET.ParseError as error:
        raise _wrong("12100: not XML") from error
    if response.tag != "Response":
        raise _wrong("12200: the root is not <Response>")
    _check_attributes(response)
    return [_verb(element) for element in response]


def _verb(element: ET.Element) -> Verb:
    _check_attributes(element)
    match element.tag:
        case "Connect":
            return _stream(element)
        case "Say":
            return SpeakText(element.text or "")
        case "Hangup":
            return EndCall()
        case "Reject":
            return RejectCall()
    raise _wrong(f"12200: <{element.tag}> is not a known verb of <Response>")


def _stream(connect: ET.Element) -> ConnectStream:
    if [child.tag for child in connect] != ["Stream"]:
        raise _wrong("12200: <Connect> takes exactly one <Stream>")
    stream = connect[0]
    _check_attributes(stream)
    parameters: dict[str, str] = {}
    for child in stream:
        if child.tag != "Parameter":
            raise _wrong("12200: <Stream> takes only <Parameter>")
        _check_attributes(child)
        name, value = child.get("name", ""), child.get("value", "")
        if not name or len(name) + len(value) >= _PARAMETER_LIMIT_CHARS:
            raise _wrong("12200: a <Parameter> needs a name, and less than 500 characters in all")
        parameters[name] = value
    return ConnectStream(_stream_url(stream.get("url", "")), parameters)


def _stream_url(url: str) -> str:
    parts = urlsplit(url)
    if not parts.hostname or parts.scheme not in {"ws", "wss"}:
        raise _wrong("31923: a stream's URL must begin with wss://")
    if parts.scheme == "ws" and parts.hostname not in _LOOPBACK:
        raise _wrong("31922: a stream's URL must begin with wss://")
    if "?" in url or "#" in url:
        raise _wrong("31920: a stream's URL must not have a query")
    return url


def _check_attributes(element: ET.Element) -> None:
    unknown = sorted(set(element.keys()) - _ATTRIBUTES.get(element.tag, frozenset()))
    if unknown:
        raise _wrong(f"12200: <{element.tag}> has no attribute {unknown[0]!r}")


def _wrong(problem: str) -> RemoteProtocolError:
    return RemoteProtocolError(problem, peer=PEER)
