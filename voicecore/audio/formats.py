"""Audio formats: encoding, sampling rate, sizes and silence.

Rule: every stream has a format; nothing infers one from byte counts.
Sizes and silence values: docs/protocols/audio.md, section 2; G.711.
"""

from __future__ import annotations

import enum

import attrs


class Encoding(enum.Enum):
    """The encoding of a sample. All are mono; PCM16 is signed, little-endian."""

    PCMU = "pcmu"
    PCMA = "pcma"
    PCM16 = "pcm16"


_SILENCE = {Encoding.PCMU: b"\xff", Encoding.PCMA: b"\xd5", Encoding.PCM16: b"\x00\x00"}


@attrs.frozen
class AudioFormat:
    """The format of a mono stream; two equal formats need no conversion."""

    encoding: Encoding
    rate_hz: int

    @property
    def sample_bytes(self) -> int:
        """Bytes of one sample: 1 for G.711, 2 for PCM16."""
        return len(_SILENCE[self.encoding])

    @property
    def bytes_per_second(self) -> int:
        return self.rate_hz * self.sample_bytes

    def bytes_in(self, seconds: float) -> int:
        """Return the bytes of ``seconds`` of audio, rounded to whole samples."""
        return round(seconds * self.rate_hz) * self.sample_bytes

    def seconds_in(self, size_bytes: int) -> float:
        """Return the duration of ``size_bytes`` of this format."""
        return size_bytes / self.bytes_per_second

    def silence(self, size_bytes: int) -> bytes:
        """Return ``size_bytes`` (whole samples) of silence; for G.711 that is not 0x00."""
        return _SILENCE[self.encoding] * (size_bytes // self.sample_bytes)

    def __str__(self) -> str:
        return f"{self.encoding.value}@{self.rate_hz}"


PCMU_8K = AudioFormat(Encoding.PCMU, 8000)
PCMA_8K = AudioFormat(Encoding.PCMA, 8000)
PCM16_8K = AudioFormat(Encoding.PCM16, 8000)
PCM16_16K = AudioFormat(Encoding.PCM16, 16000)
PCM16_24K = AudioFormat(Encoding.PCM16, 24000)
