"""The JSON of Twilio's media stream, from Twilio's side.

Rule 1: what is sent has exactly the shape in the sheet: numbers as strings, and a
sequence number on everything but `connected`.
Rule 2: what the application sends is checked as strictly as Twilio does: one key too
many is a violation.

Facts: docs/protocols/twilio-media-streams.md, sections 3, 4 and 12.  Pure.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

import attrs

from voicecore.simulation.twilio.faults import MediaFormat

_KEYS: Mapping[str, frozenset[str]] = {
    "media": frozenset({"event", "streamSid", "media"}),
    "mark": frozenset({"event", "streamSid", "mark"}),
    "clear": frozenset({"event", "streamSid"}),
}
_INNER_KEY = {"media": "payload", "mark": "name"}


@attrs.frozen
class FromApplication:
    """A valid message of the application."""

    kind: str
    audio: bytes = attrs.field(default=b"", repr=lambda audio: f"<{len(audio)} bytes>")
    name: str = ""


class StreamWriter:
    """Writes one stream's messages."""

    def __init__(
        self, account_sid: str, call_sid: str, stream_sid: str, media_format: MediaFormat | None = None
    ) -> None:
        self._account_sid = account_sid
        self._call_sid = call_sid
        self._stream_sid = stream_sid
        self._media_format = media_format or MediaFormat()
        self._sequence = 0
        self._chunk = 0

    def connected(self) -> str:
        return json.dumps({"event": "connected", "protocol": "Call", "version": "1.0.0"})

    def start(
        self,
        parameters: Mapping[str, str],
        call_sid: str | None = None,
        changes: Mapping[str, Any] | None = None,
    ) -> str:
        announced = self._media_format
        start: dict[str, Any] = {
            "accountSid": self._account_sid,
            "streamSid": self._stream_sid,
            "callSid": call_sid or self._call_sid,
            "tracks": ["inbound"],
            "customParameters": dict(parameters),
            "mediaFormat": {"encoding": announced.encoding, "sampleRate": announced.sample_rate, "channels": 1},
            **(changes or {}),
        }
        return self._message("start", start={name: value for name, value in start.items() if value is not None})

    def media(self, frame: bytes, timestamp_ms: int) -> str:
        self._chunk += 1
        payload = base64.b64encode(frame).decode()
        media = {"track": "inbound", "chunk": str(self._chunk), "timestamp": str(timestamp_ms), "payload": payload}
        return self._message("media", media=media)

    def dtmf(self, digit: str) -> str:
        return self._message("dtmf", dtmf={"track": "inbound_track", "digit": digit})

    def mark(self, name: str) -> str:
        return self._message("mark", mark={"name": name})

    def stop(self) -> str:
        return self._message("stop", stop={"accountSid": self._account_sid, "callSid": self._call_sid})

    def unknown(self) -> str:
        return self._message("future-event", future={"field": "value"})

    def _message(self, event: str, **fields: object) -> str:
        self._sequence += 1
        head = {"event": event, "sequenceNumber": str(self._sequence), "streamSid": self._stream_sid}
        return json.dumps({**head, **fields})


def read_application(text: str, stream_sid: str) -> FromApplication | str:
    """Return a message of the application, or Twilio's code for what is wrong with it."""
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        return "31951: not JSON"
    event = message.get("event") if isinstance(message, dict) else None
    if not isinstance(event, str) or event not in _KEYS:
        return "31951: unknown event"
    if set(message) != _KEYS[event]:
        return f"31951: {event} with missing or extra fields"
    if message["streamSid"] != stream_sid:
        return f"31951: {event} of another stream"
    return FromApplication("clear") if event == "clear" else _inner(event, message[event])


def _inner(event: str, inner: Any) -> FromApplication | str:
    key = _INNER_KEY[event]
    if not isinstance(inner, dict) or set(inner) != {key} or not isinstance(inner[key], str):
        return f"31951: {event} with missing or extra fields"
    if event == "mark":
        return FromApplication("mark", name=inner[key])
    try:
        audio = base64.b64decode(inner[key], validate=True)
    except ValueError:  # of its own, or of text beyond ASCII
        return "31951: media that is not base64"
    return FromApplication("media", audio=audio) if audio else "31951: media without audio"
