"""Codec of Twilio's media stream: the JSON messages of a bidirectional `<Connect><Stream>`.

    CONNECTING -connected-> CONNECTED -start-> STARTED -stop-> STOPPED

Rule 1: nothing is sent before `start`, and nothing after `stop`.
Rule 2: exactly the documented keys are sent; Twilio rejects any other with
error 31951.
Rule 3: a legal message that is out of place becomes `LegMessageIgnored`, an
illegal one raises; neither changes the state.
Rule 4: media messages, 50 a second, are decoded in one step. One that is unusual in
any way is read again field by field, so that the error names the field.
Rule 5: audio is returned in whole samples, wherever Twilio cut it.

Source: docs/protocols/twilio-media-streams.md, sections 3 to 5.
"""

from __future__ import annotations

import binascii
import enum
from collections.abc import Callable, Mapping
from typing import Literal

import msgspec
import orjson

from voicecore.audio.convert import Converter, converter
from voicecore.audio.formats import PCMU_8K
from voicecore.errors import LocalProtocolError
from voicecore.events import (
    ClearPlayout,
    DigitPressed,
    LegEvent,
    LegMessageIgnored,
    LegOrder,
    LegStopped,
    MarkReturned,
    PlayAudio,
    UserAudio,
)
from voicecore.wire.fields import Fields, fast_reader, parse_object
from voicecore.wire.twilio_start import read_start

_PEER = "twilio"
_INBOUND = frozenset({"inbound", "inbound_track"})
_DIGITS = frozenset("0123456789*#ABCDabcd")
_MEDIA = '"media"'
_USUAL_TRACKS = _INBOUND | {None}


class _State(enum.Enum):
    CONNECTING = "before its connected message"
    CONNECTED = "before its start message"
    STARTED = "started"
    STOPPED = "after its stop message"


class _Media(msgspec.Struct):
    payload: bytes
    track: str | None = None


class _MediaMessage(msgspec.Struct):
    """A media message, decoded in 0.3 µs with its base64; `Fields` takes 2.4."""

    event: Literal["media"]
    media: _Media
    stream_id: str = msgspec.field(name="streamSid")


_read_media_message = fast_reader(_MediaMessage)


class TwilioMedia:
    """The codec of one stream."""

    def __init__(self) -> None:
        self._state = _State.CONNECTING
        self._stream_id = ""
        self._whole: Converter = converter(PCMU_8K, PCMU_8K)  # cuts at whole samples of the announced format
        self._media_head = self._media_tail = self._clear = ""

    # --- from Twilio -----------------------------------------------------------

    def receive(self, text: str) -> LegEvent | None:
        """Read one message; None if it has no event.

        Raises:
            RemoteProtocolError: Malformed; it names the field.
        """
        if _MEDIA in text and (audio := self._read_usual_media(text)) is not None:
            return audio
        message = parse_object(text, _PEER)
        name = message.text("event")
        read = _READERS.get(name)
        if read is None:
            return LegMessageIgnored(name[:40], "an unknown event")
        return read(self, message)

    def _read_usual_media(self, text: str) -> UserAudio | None:
        """Read an ordinary media message; None if anything about it is unusual."""
        message = _read_media_message(text)
        if message is None:
            return None
        is_in_place = self._state is _State.STARTED and message.stream_id == self._stream_id
        if not is_in_place or message.media.track not in _USUAL_TRACKS:
            return None
        return self._audio(message.media.payload)

    def _read_connected(self, _message: Fields) -> LegEvent | None:
        if self._state is not _State.CONNECTING:
            return LegMessageIgnored("connected", f"the stream is {self._state.value}")
        self._state = _State.CONNECTED
        return None

    def _read_start(self, message: Fields) -> LegEvent:
        if self._state is not _State.CONNECTED:
            return LegMessageIgnored("start", f"the stream is {self._state.value}")
        started = read_start(message)
        self._state = _State.STARTED
        self._stream_id = started.stream_id
        self._whole = converter(started.audio_format, started.audio_format)
        self._prepare(started.stream_id)
        return started

    def _read_media(self, message: Fields) -> LegEvent:
        if (ignored := self._out_of_place(message, "media")) is not None:
            return ignored
        media = message.child("media")
        track = media.optional(Fields.text, "track", None)
        if track is not None and track not in _INBOUND:
            return LegMessageIgnored("media", "not the inbound track")
        return self._audio(media.base64("payload"))

    def _audio(self, payload: bytes) -> UserAudio:
        """Return audio in whole samples; half a sample waits for the next message."""
        return UserAudio(self._whole.convert(payload))

    def _read_dtmf(self, message: Fields) -> LegEvent:
        if (ignored := self._out_of_place(message, "dtmf")) is not None:
            return ignored
        digit = message.child("dtmf").text("digit")
        if digit not in _DIGITS:
            raise message.child("dtmf").wrong("digit", "must be one key of a telephone")
        return DigitPressed(digit)

    def _read_mark(self, message: Fields) -> LegEvent:
        if (ignored := self._out_of_place(message, "mark")) is not None:
            return ignored
        return MarkReturned(message.child("mark").text("name"))

    def _read_stop(self, message: Fields) -> LegEvent:
        if (ignored := self._out_of_place(message, "stop")) is not None:
            return ignored
        self._state = _State.STOPPED
        return LegStopped()

    def _out_of_place(self, message: Fields, name: str) -> LegMessageIgnored | None:
        if self._state is not _State.STARTED:
            return LegMessageIgnored(name, f"the stream is {self._state.value}")
        named = message.raw.get("streamSid", self._stream_id)
        if isinstance(named, str) and named != self._stream_id:
            return LegMessageIgnored(name, "it names another stream")
        return None

    # --- to Twilio ---------------------------------------------------------------

    def send(self, order: LegOrder) -> str:
        """Return the JSON message for an order.

        Raises:
            LocalProtocolError: Before start or after stop, or an order without audio.
        """
        if self._state is not _State.STARTED:
            raise LocalProtocolError(f"nothing can be sent to a stream {self._state.value}")
        if isinstance(order, PlayAudio):
            if not order.audio:
                raise LocalProtocolError("a media message needs audio")
            # About 16 a second for each call: a template is faster than a JSON encoder.
            payload = binascii.b2a_base64(order.audio, newline=False).decode("ascii")
            return f"{self._media_head}{payload}{self._media_tail}"
        if isinstance(order, ClearPlayout):
            return self._clear
        mark = {"event": "mark", "streamSid": self._stream_id, "mark": {"name": order.name}}
        return orjson.dumps(mark).decode()

    def _prepare(self, stream_id: str) -> None:
        media = {"event": "media", "streamSid": stream_id, "media": {"payload": ""}}
        whole = orjson.dumps(media).decode()
        self._media_head, self._media_tail = whole[: -len('"}}')], '"}}'
        self._clear = orjson.dumps({"event": "clear", "streamSid": stream_id}).decode()


_READERS: Mapping[str, Callable[[TwilioMedia, Fields], LegEvent | None]] = {
    "connected": TwilioMedia._read_connected,  # noqa: SLF001
    "start": TwilioMedia._read_start,  # noqa: SLF001
    "media": TwilioMedia._read_media,  # noqa: SLF001
    "dtmf": TwilioMedia._read_dtmf,  # noqa: SLF001
    "mark": TwilioMedia._read_mark,  # noqa: SLF001
    "stop": TwilioMedia._read_stop,  # noqa: SLF001
}
