"""Writes WAV files that are valid at every moment, and reads mono recordings.

The writer does no I/O but returns writes. Carried out in order, they leave a valid
file after each, even if the last one was cut short: data is written first, then
the sizes in the header.

Rule 1: the header never counts bytes that are not in the file.
Rule 2: bytes behind the size in the header are ignored by readers, and overwritten
by the next write.

Source: RIFF/WAVE, PCM.  Pure.
"""

from __future__ import annotations

import struct

import attrs

from voicecore.audio.formats import AudioFormat, Encoding
from voicecore.errors import LocalProtocolError

_HEADER = struct.Struct("<4sI4s4sIHHIIHH4sI")
_PCM = 1
_SAMPLE_BYTES = 2
_HEADER_BYTES = _HEADER.size
_MOST_DATA_BYTES = 2**32 - 1 - _HEADER_BYTES  #: sizes are 32 bits: 37 hours of 8 kHz stereo


@attrs.frozen
class Write:
    """Write ``data`` at ``offset_bytes``."""

    offset_bytes: int
    data: bytes = attrs.field(repr=lambda data: f"<{len(data)} bytes>")


class WavWriter:
    """The writer of one PCM16 file."""

    def __init__(self, rate_hz: int, channels: int) -> None:
        self.data_bytes = 0
        """Bytes of sample data, by the header after the last write."""
        self._rate_hz = rate_hz
        self._channels = channels

    def start(self) -> list[Write]:
        """Return the first write: a file without samples."""
        return [Write(0, self._header())]

    def append(self, interleaved_pcm16: bytes) -> list[Write]:
        """Return the writes that add whole sample frames.

        Raises:
            LocalProtocolError: Part of a sample frame, or more than a WAV file can hold.
        """
        if len(interleaved_pcm16) % (_SAMPLE_BYTES * self._channels):
            raise LocalProtocolError("only whole sample frames can be appended to a WAV file")
        if self.data_bytes + len(interleaved_pcm16) > _MOST_DATA_BYTES:
            raise LocalProtocolError("a WAV file is limited to 4 GiB; begin a new one")
        data = Write(_HEADER_BYTES + self.data_bytes, interleaved_pcm16)
        self.data_bytes += len(interleaved_pcm16)
        return [data, Write(0, self._header())]

    def _header(self) -> bytes:
        frame_bytes = _SAMPLE_BYTES * self._channels
        return _HEADER.pack(
            b"RIFF",
            _HEADER_BYTES - 8 + self.data_bytes,
            b"WAVE",
            b"fmt ",
            16,
            _PCM,
            self._channels,
            self._rate_hz,
            self._rate_hz * frame_bytes,
            frame_bytes,
            _SAMPLE_BYTES * 8,
            b"data",
            self.data_bytes,
        )


def read_wav(file: bytes) -> tuple[AudioFormat, bytes]:
    """Return format and samples of a mono PCM16 recording.

    Raises:
        LocalProtocolError: Not a WAV file, or not mono PCM16; the message says which.
    """
    if file[:4] != b"RIFF" or file[8:12] != b"WAVE":
        raise LocalProtocolError("not a WAV file: it does not begin with RIFF … WAVE")
    chunks = _chunks(file)
    if len(chunks.get(b"fmt ", b"")) < 16 or b"data" not in chunks:
        raise LocalProtocolError("a WAV file without its fmt or data chunk")
    kind, channels, rate_hz, _, _, bits = struct.unpack("<HHIIHH", chunks[b"fmt "][:16])
    if (kind, channels, bits) != (_PCM, 1, 16):
        raise LocalProtocolError(
            f"a mono 16-bit PCM recording is needed; this is kind {kind}, {channels} ch, {bits} bit"
        )
    data = chunks[b"data"]
    return AudioFormat(Encoding.PCM16, rate_hz), data[: len(data) - len(data) % _SAMPLE_BYTES]


def _chunks(file: bytes) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    offset = 12
    while offset + 8 <= len(file):
        name, size = struct.unpack_from("<4sI", file, offset)
        found.setdefault(name, file[offset + 8 : offset + 8 + size])
        offset += 8 + size + size % 2
    return found
