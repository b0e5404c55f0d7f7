"""Reads the start message of Twilio's media stream: stream id, call id, audio format, parameters.

Rule 1: only the two ids are required.
Rule 2: the announced format is used, whatever was requested: the narrowband formats,
and the wideband formats of newer TwiML. An unsupported format is refused by name;
a missing one means Twilio's default.
Rule 3: parameters that are not strings are ignored.

Twilio does not document the byte order of `audio/l16`. It is read as little-endian,
as in other carriers' JSON streams.

Source: docs/protocols/twilio-media-streams.md, section 3; docs/protocols/twilio-transfer-and-wideband.md, section 7.
"""

from __future__ import annotations

from collections.abc import Mapping

from voicecore.audio.formats import AudioFormat, Encoding
from voicecore.events import LegStarted
from voicecore.wire.fields import Fields

_ENCODINGS: Mapping[str, Encoding] = {
    "audio/x-mulaw": Encoding.PCMU,
    "audio/mulaw": Encoding.PCMU,
    "audio/pcmu": Encoding.PCMU,
    "audio/x-alaw": Encoding.PCMA,
    "audio/alaw": Encoding.PCMA,
    "audio/pcma": Encoding.PCMA,
    "audio/l16": Encoding.PCM16,
    "audio/x-l16": Encoding.PCM16,
}
_RATES_HZ = frozenset({8000, 16_000, 24_000})
_USUAL_ENCODING, _USUAL_RATE_HZ, _USUAL_CHANNELS = "audio/x-mulaw", 8000, 1
_COUNT_DIGITS = 9


def read_start(message: Fields) -> LegStarted:
    """Read a start message.

    Raises:
        RemoteProtocolError: An id is missing, or the format is not supported.
    """
    start = message.child("start")
    owner = message if isinstance(message.raw.get("streamSid"), str) else start
    return LegStarted(owner.text("streamSid"), start.text("callSid"), _read_format(start), _read_parameters(start))


def _read_format(start: Fields) -> AudioFormat:
    given = start.raw.get("mediaFormat")
    announced = Fields(given if isinstance(given, dict) else {}, start.peer, start.path("mediaFormat"))
    name, _, parameters = _text(announced, "encoding", _USUAL_ENCODING).partition(";")
    rate_hz = _count(announced.raw.get("sampleRate"), _rate_in(parameters))
    channels = _count(announced.raw.get("channels"), _USUAL_CHANNELS)
    encoding = _ENCODINGS.get(name.strip().lower())
    if encoding is None or rate_hz not in _RATES_HZ or channels != _USUAL_CHANNELS:
        raise announced.wrong("encoding", f"is not supported ({rate_hz} Hz, channels: {channels})")
    return AudioFormat(encoding, rate_hz)


def _read_parameters(start: Fields) -> Mapping[str, str]:
    given = start.raw.get("customParameters")
    named = given if isinstance(given, dict) else {}
    return {name: value for name, value in named.items() if isinstance(value, str)}


def _rate_in(parameters: str) -> int:
    """Return the rate parameter of an encoding, as in ``audio/l16;rate=16000``."""
    name, _, value = parameters.strip().partition("=")
    return _count(value, _USUAL_RATE_HZ) if name.lower() == "rate" else _USUAL_RATE_HZ


def _text(fields: Fields, name: str, usual: str) -> str:
    value = fields.raw.get(name)
    return value if isinstance(value, str) and value else usual


def _count(value: object, usual: int) -> int:
    """Return an integer, written as a number or a string; the default for anything else."""
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= _COUNT_DIGITS:
        return int(value)
    if isinstance(value, int | float) and not isinstance(value, bool) and value == value // 1 and abs(value) < 1e9:
        return int(value)
    return usual
