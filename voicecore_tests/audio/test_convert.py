"""Conversion: nothing where formats agree, and never a torn sample."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicecore.audio.convert import converter, from_samples, to_samples
from voicecore.audio.formats import PCM16_8K, PCM16_16K, PCM16_24K, PCMA_8K, PCMU_8K, AudioFormat

FORMATS = (PCMU_8K, PCMA_8K, PCM16_8K, PCM16_16K, PCM16_24K)
PAIRS = list(itertools.product(FORMATS, FORMATS))
HZ = 1000


def tone(audio_format: AudioFormat, seconds: float = 1.0) -> bytes:
    t = np.arange(round(audio_format.rate_hz * seconds)) / audio_format.rate_hz
    return from_samples(np.rint(8000 * np.sin(2 * np.pi * HZ * t)).astype(np.int16), audio_format)


@pytest.mark.parametrize("audio_format", FORMATS, ids=str)
def test_passthrough_hands_on_the_very_same_object(audio_format: AudioFormat) -> None:
    """No decoding, no copy, no delay."""
    audio = tone(audio_format)
    same = converter(audio_format, audio_format)
    assert same.convert(audio) is audio
    assert (same.flush(), same.delay_s) == (b"", 0.0)


@pytest.mark.parametrize(("source", "target"), PAIRS, ids=str)
def test_h2_duration_in_is_duration_out_and_the_tone_stays_a_tone(source: AudioFormat, target: AudioFormat) -> None:
    """Each pair of formats, in frames of 20 ms: exact length, the same pitch, the same loudness."""
    audio = tone(source)
    conversion = converter(source, target)
    frame = source.bytes_in(0.02)
    out = b"".join(conversion.convert(audio[i : i + frame]) for i in range(0, len(audio), frame)) + conversion.flush()
    assert target.seconds_in(len(out)) == pytest.approx(1.0)
    samples = to_samples(out, target).astype(np.float64)
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    assert int(spectrum.argmax()) == HZ
    assert np.sqrt(np.mean(samples[400:-400] ** 2)) == pytest.approx(8000 / np.sqrt(2), rel=0.05)


@given(st.sampled_from(PAIRS), st.binary(max_size=2000), st.lists(st.integers(1, 400), max_size=20))
def test_h1_no_cut_of_the_bytes_shows_in_the_output(
    pair: tuple[AudioFormat, AudioFormat], audio: bytes, cuts: list[int]
) -> None:
    """Odd bytes wait for their other half; whole samples come out."""
    source, target = pair
    audio = audio[: len(audio) - len(audio) % source.sample_bytes]
    whole, split = converter(source, target), converter(source, target)
    pieces, rest = [], audio
    for cut in cuts:
        pieces.append(split.convert(rest[:cut]))
        rest = rest[cut:]
    pieces += [split.convert(rest), split.flush()]
    assert b"".join(pieces) == whole.convert(audio) + whole.flush()
    assert all(len(piece) % target.sample_bytes == 0 for piece in pieces)


@pytest.mark.parametrize(("source", "target"), PAIRS, ids=str)
def test_h1_odd_pieces_come_out_whole(source: AudioFormat, target: AudioFormat) -> None:
    """Every pair of formats, those that are alike among them, in pieces of three bytes."""
    audio = tone(source, 0.1)
    whole, split = converter(source, target), converter(source, target)
    pieces = [split.convert(audio[at : at + 3]) for at in range(0, len(audio), 3)] + [split.flush()]
    assert all(len(piece) % target.sample_bytes == 0 for piece in pieces)
    assert b"".join(pieces) == whole.convert(audio) + whole.flush()


@pytest.mark.parametrize(("source", "target"), PAIRS, ids=str)
def test_h6_a_reset_ends_an_utterance(source: AudioFormat, target: AudioFormat) -> None:
    """The next one begins as the first one did, and so it does after a flush; half a sample goes with its utterance."""
    for end in ("reset", "flush"):
        conversion, fresh = converter(source, target), converter(source, target)
        conversion.convert(tone(source)[: source.bytes_in(0.1)])
        if source.sample_bytes == 2:
            conversion.convert(b"\x01")
        conversion.reset() if end == "reset" else conversion.flush()
        assert conversion.convert(tone(source)) == fresh.convert(tone(source))
