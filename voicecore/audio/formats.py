"""What a stretch of audio bytes means: its encoding and its rate.

Rule: a format travels with every stream; nothing guesses one from byte counts.
Sizes and silence values: docs/protocols/audio.md, section 2; G.711.
"""

from __future__ import annotations

import enum

import attrs


class Encoding(enum.Enum):
    """How one sample is written. All are mono; PCM16 is signed, little-endian."""

    PCMU = "pcmu"
    PCMA = "pcma"
    PCM16 = "pcm16"


_SILENCE = {Encoding.PCMU: b"\xff", Encoding.PCMA: b"\xd5", Encoding.PCM16: b"\x00\x00"}


@attrs.frozen
class AudioFormat:
    """One mono stream format; compare with ``==`` to decide on passthrough."""

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
        """Return how long ``size_bytes`` of this format play."""
        return size_bytes / self.bytes_per_second

    def silence(self, size_bytes: int) -> bytes:
        """Return ``size_bytes`` (whole samples) of this codec's silence; never 0x00 for G.711."""
        return _SILENCE[self.encoding] * (size_bytes // self.sample_bytes)

    def __str__(self) -> str:
        return f"{self.encoding.value}@{self.rate_hz}"


PCMU_8K = AudioFormat(Encoding.PCMU, 8000)
PCMA_8K = AudioFormat(Encoding.PCMA, 8000)
PCM16_8K = AudioFormat(Encoding.PCM16, 8000)
PCM16_16K = AudioFormat(Encoding.PCM16, 16000)
PCM16_24K = AudioFormat(Encoding.PCM16, 24000)
