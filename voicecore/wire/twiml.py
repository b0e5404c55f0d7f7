"""Builds TwiML, the instructions that Twilio carries out on a call.

Rule 1: TwiML is built as a tree and serialised, so that all text is escaped.
Rule 2: what Twilio would refuse later is refused here, with an error that says what to do.

Source: docs/protocols/twilio-media-streams.md, section 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit
from xml.etree import ElementTree as ET

from voicecore.errors import LocalProtocolError

CONTENT_TYPE = "text/xml; charset=utf-8"
PARAMETER_LIMIT_CHARS = 500  #: name and value of one <Parameter> together
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


def connect_stream(url: str, parameters: Mapping[str, str] | None = None, apology: str | None = None) -> bytes:
    """Return TwiML that connects the call to a bidirectional media stream.

    Twilio continues after the stream only if our side closes it. ``apology`` is
    therefore what the user hears when we close the stream without hanging up.

    Raises:
        LocalProtocolError: The URL is not wss (ws is accepted for loopback) or has a
            query, or a parameter is too long.
    """
    _check_stream_url(url)
    response = ET.Element("Response")
    stream = ET.SubElement(ET.SubElement(response, "Connect"), "Stream", url=url)
    for name, value in (parameters or {}).items():
        if len(name) + len(value) >= PARAMETER_LIMIT_CHARS:
            raise LocalProtocolError(f"stream parameter {name[:40]!r} is too long: Twilio accepts under 500 characters")
        ET.SubElement(stream, "Parameter", name=_legal(name), value=_legal(value))
    if apology is not None:
        ET.SubElement(response, "Say").text = _legal(apology)
    return _text(response)


def reject(reason: str = "busy") -> bytes:
    """Return TwiML that rejects the call unanswered; ``reason`` is "busy" or "rejected"."""
    if reason not in {"busy", "rejected"}:
        raise LocalProtocolError("the reason of a rejection must be busy or rejected")
    response = ET.Element("Response")
    ET.SubElement(response, "Reject", reason=reason)
    return _text(response)


def hang_up() -> bytes:
    """Return TwiML that ends the call."""
    response = ET.Element("Response")
    ET.SubElement(response, "Hangup")
    return _text(response)


def _check_stream_url(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme != "wss" and not (parts.scheme == "ws" and parts.hostname in _LOOPBACK):
        raise LocalProtocolError("a media stream needs a wss:// URL; ws:// is accepted for loopback only")
    if parts.query or parts.fragment:
        raise LocalProtocolError("a media stream's URL must have no query: use the path or a parameter instead")


def _legal(text: str) -> str:
    """Return the text without characters that XML 1.0 cannot carry, even escaped."""
    return "".join(
        c for c in text if c in "\t\n\r" or "\x20" <= c <= "\ud7ff" or "\ue000" <= c <= "\ufffd" or c > "\uffff"
    )


def _text(response: ET.Element) -> bytes:
    text: bytes = ET.tostring(response, encoding="utf-8", xml_declaration=True)
    return text
