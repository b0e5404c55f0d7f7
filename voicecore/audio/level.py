"""Audio levels in dBFS, and the energy VAD: onset and offset of speech by level alone.

Rule: the VAD works on fixed blocks of 10 ms, wherever its input is cut, so that the
same audio always gives the same onsets.

Pure.
"""

from __future__ import annotations

import math

import attrs
import numpy as np

from voicecore.audio.convert import WholeSamples, to_samples
from voicecore.audio.formats import AudioFormat

SILENCE_DBFS = -120.0  #: the level of digital silence
AUDIBLE_DBFS = -50.0  #: between line noise (-60 and below) and the quietest intelligible speech
BLOCK_S = 0.010
_FULL_SCALE = 32768.0


def level_dbfs(audio: bytes, audio_format: AudioFormat) -> float:
    """Return the RMS level of whole-sample bytes in dB below full scale; at least SILENCE_DBFS."""
    if not audio:
        return SILENCE_DBFS
    samples = to_samples(audio, audio_format).astype(np.float64)
    rms = math.sqrt(float(np.mean(samples * samples))) / _FULL_SCALE
    return max(SILENCE_DBFS, 20 * math.log10(rms)) if rms > 0 else SILENCE_DBFS


def levels_dbfs(audio: bytes, audio_format: AudioFormat, step_s: float) -> list[float]:
    """Return the level of each ``step_s`` of audio, the last one perhaps shorter."""
    step = audio_format.bytes_in(step_s)
    return [level_dbfs(audio[i : i + step], audio_format) for i in range(0, len(audio), step)]


def has_sound(audio: bytes, audio_format: AudioFormat) -> bool:
    """Return whether any 10 ms of whole-sample bytes are audible on a telephone."""
    step = audio_format.bytes_in(BLOCK_S)
    blocks = (audio[begin : begin + step] for begin in range(0, len(audio), step))
    return any(level_dbfs(block, audio_format) >= AUDIBLE_DBFS for block in blocks)


@attrs.frozen
class Onset:
    """Speech began; ``at_samples`` counts from the start of the stream."""

    at_samples: int


@attrs.frozen
class Offset:
    """Speech ended; ``at_samples`` is where its silence began."""

    at_samples: int


@attrs.frozen(kw_only=True)
class EnergyVadSettings:
    """Thresholds of the energy VAD."""

    threshold_dbfs: float = -42.0
    """Between line noise (-60 and below) and speech on telephone lines (-15 to -30)."""
    on_s: float = 0.06
    """How long sound must last to be an onset."""
    off_s: float = 0.5
    """How long silence must last to be an offset."""


class EnergyVad:
    """A voice activity detector by energy, with hysteresis in time."""

    def __init__(self, audio_format: AudioFormat, settings: EnergyVadSettings | None = None) -> None:
        self._settings = settings or EnergyVadSettings()
        self._format = audio_format
        self._whole = WholeSamples(audio_format)
        self._block_bytes = audio_format.bytes_in(BLOCK_S)
        self._block_samples = self._block_bytes // audio_format.sample_bytes
        self._rest = b""
        self.reset()

    @property
    def speaking(self) -> bool:
        """Whether the stream is inside speech."""
        return self._inside

    def reset(self) -> None:
        """Start a new stream at sample 0."""
        self._whole.reset()
        self._rest = b""
        self._inside = False
        self._blocks = 0
        self._run = 0  # consecutive blocks that contradict the current state

    def feed(self, audio: bytes) -> list[Onset | Offset]:
        """Return the onsets and offsets in the audio so far; it may have any length and be split anywhere."""
        self._rest += self._whole.convert(audio)
        found: list[Onset | Offset] = []
        while len(self._rest) >= self._block_bytes:
            block, self._rest = self._rest[: self._block_bytes], self._rest[self._block_bytes :]
            loud = level_dbfs(block, self._format) >= self._settings.threshold_dbfs
            self._blocks += 1
            self._run = self._run + 1 if loud != self._inside else 0
            if self._run >= self._needed():
                found.append(self._turn())
        return found

    def _needed(self) -> int:
        return max(1, round((self._settings.off_s if self._inside else self._settings.on_s) / BLOCK_S))

    def _turn(self) -> Onset | Offset:
        at_samples = (self._blocks - self._run) * self._block_samples
        self._inside, self._run = not self._inside, 0
        return Onset(at_samples) if self._inside else Offset(at_samples)
