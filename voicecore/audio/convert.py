"""Converts an audio stream from one format to another, as cheaply as possible.

Rule 1: equal formats pass the same bytes through; µ-law and A-law are converted by
a table; only other pairs are decoded, resampled and encoded.
Rule 2: half a PCM16 sample waits for its other half; where the input is cut does
not affect the output.
Rule 3: a converter serves one stream; `reset` drops what is buffered, `flush`
returns it.

Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np

from voicecore.audio import g711
from voicecore.audio.formats import AudioFormat, Encoding
from voicecore.audio.g711 import Samples
from voicecore.audio.resample import Resampler


class Converter(Protocol):
    """Converts one stream."""

    @property
    def delay_s(self) -> float:
        """How far the output lags behind the input until `flush`."""
        ...

    def convert(self, audio: bytes) -> bytes:
        """Return the output that is available; the input may have any length, the output is whole samples."""
        ...

    def flush(self) -> bytes:
        """Return the rest of the output, and reset; half a sample is dropped."""
        ...

    def reset(self) -> None:
        """Drop what is buffered."""
        ...


def converter(source: AudioFormat, target: AudioFormat) -> Converter:
    """Return the cheapest converter from ``source`` to ``target``."""
    if source == target:
        return WholeSamples(source) if source.sample_bytes > 1 else Passthrough()
    laws = (source.encoding, target.encoding)
    if source.rate_hz == target.rate_hz and laws in _LAW_TABLES:
        return LawTable(_LAW_TABLES[laws])
    return Transcoder(source, target)


def to_samples(audio: bytes, audio_format: AudioFormat) -> Samples:
    """Return the linear samples of whole-sample bytes in any format."""
    return _DECODE[audio_format.encoding](audio)


def from_samples(samples: Samples, audio_format: AudioFormat) -> bytes:
    """Return linear samples (at the format's rate) as bytes of a format."""
    return _ENCODE[audio_format.encoding](samples)


class Passthrough:
    """Passes the same bytes object through."""

    delay_s = 0.0

    def convert(self, audio: bytes) -> bytes:
        return audio

    def flush(self) -> bytes:
        return b""

    def reset(self) -> None:
        """Nothing is buffered."""


class WholeSamples:
    """Passes bytes through, cut at sample boundaries."""

    delay_s = 0.0

    def __init__(self, audio_format: AudioFormat) -> None:
        self._sample_bytes = audio_format.sample_bytes
        self._rest = b""

    def convert(self, audio: bytes) -> bytes:
        if not self._rest and len(audio) % self._sample_bytes == 0:
            return audio
        joined = self._rest + audio
        whole = len(joined) - len(joined) % self._sample_bytes
        self._rest = joined[whole:]
        return joined[:whole]

    def flush(self) -> bytes:
        self._rest = b""
        return b""

    def reset(self) -> None:
        self._rest = b""


class LawTable:
    """Converts between µ-law and A-law, byte by byte."""

    delay_s = 0.0

    def __init__(self, table: bytes) -> None:
        self._table = table

    def convert(self, audio: bytes) -> bytes:
        return audio.translate(self._table)

    def flush(self) -> bytes:
        return b""

    def reset(self) -> None:
        """Nothing is buffered."""


class Transcoder:
    """Decodes, resamples if the rates differ, and encodes."""

    def __init__(self, source: AudioFormat, target: AudioFormat) -> None:
        self._source = source
        self._target = target
        self._whole = WholeSamples(source)
        same_rate = source.rate_hz == target.rate_hz
        self._resampler = None if same_rate else Resampler(source.rate_hz, target.rate_hz)

    @property
    def delay_s(self) -> float:
        return self._resampler.delay_s if self._resampler else 0.0

    def convert(self, audio: bytes) -> bytes:
        samples = to_samples(self._whole.convert(audio), self._source)
        return from_samples(self._resampler.process(samples) if self._resampler else samples, self._target)

    def flush(self) -> bytes:
        self._whole.reset()
        return from_samples(self._resampler.flush(), self._target) if self._resampler else b""

    def reset(self) -> None:
        self._whole.reset()
        if self._resampler is not None:
            self._resampler.reset()


def _decode_pcm16(audio: bytes) -> Samples:
    return np.frombuffer(audio, "<i2").astype(np.int16, copy=False)


def _encode_pcm16(samples: Samples) -> bytes:
    return samples.astype("<i2", copy=False).tobytes()


_DECODE: Mapping[Encoding, Callable[[bytes], Samples]] = {
    Encoding.PCMU: g711.decode_ulaw,
    Encoding.PCMA: g711.decode_alaw,
    Encoding.PCM16: _decode_pcm16,
}
_ENCODE: Mapping[Encoding, Callable[[Samples], bytes]] = {
    Encoding.PCMU: g711.encode_ulaw,
    Encoding.PCMA: g711.encode_alaw,
    Encoding.PCM16: _encode_pcm16,
}
_LAW_TABLES: Mapping[tuple[Encoding, Encoding], bytes] = {
    (Encoding.PCMU, Encoding.PCMA): g711.ULAW_TO_ALAW,
    (Encoding.PCMA, Encoding.PCMU): g711.ALAW_TO_ULAW,
}
