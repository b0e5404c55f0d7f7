"""Framing: whole frames out of any pieces, bounded, and padded with the codec's silence."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicecore.audio.formats import PCM16_24K, PCMA_8K, PCMU_8K, AudioFormat
from voicecore.audio.framing import Framer


@given(
    st.sampled_from([PCMU_8K, PCM16_24K]),
    st.lists(st.tuples(st.sampled_from(["push", "take"]), st.integers(0, 4000)), max_size=30),
)
def test_what_goes_in_comes_out_in_whole_frames(audio_format: AudioFormat, steps: list[tuple[str, int]]) -> None:
    """Against the dumbest queue: one bytearray.  The limit is no whole number of samples, what is kept is one."""
    framer, model, out, total = Framer(audio_format, limit_bytes=10_001), bytearray(), bytearray(), 0
    frame = audio_format.bytes_in(0.02)
    for kind, size in steps:
        if kind == "push":
            piece = bytes((total + i) % 251 for i in range(size * audio_format.sample_bytes))
            refused = framer.push(piece)
            assert refused % audio_format.sample_bytes == 0
            model += piece[: len(piece) - refused]
            total += len(piece) - refused
        else:
            taken = framer.take(size)
            assert len(taken) % frame == 0
            assert len(taken) == min(size, len(model) - len(out)) // frame * frame
            out += taken
        assert framer.size_bytes == len(model) - len(out) <= 10_001
    out += framer.take_last()
    assert out[: len(model)] == model
    assert set(out[len(model) :]) <= set(audio_format.silence(2))


@pytest.mark.parametrize(("audio_format", "silence"), [(PCMU_8K, 0xFF), (PCMA_8K, 0xD5), (PCM16_24K, 0x00)], ids=str)
def test_h8_the_tail_is_filled_with_the_codecs_silence(audio_format: AudioFormat, silence: int) -> None:
    """Never with zero bytes in G.711: that is a loud click."""
    framer = Framer(audio_format, limit_bytes=10_000)
    framer.push(b"\x11\x11")
    assert framer.take_last() == b"\x11\x11" + bytes([silence]) * (audio_format.bytes_in(0.02) - 2)
    assert framer.take_last() == b""


def test_what_exceeds_the_limit_is_refused_and_counted() -> None:
    """The user learns how much did not go in."""
    framer = Framer(PCMU_8K, limit_bytes=100)
    assert (framer.push(bytes(80)), framer.push(bytes(80)), framer.size_bytes) == (0, 60, 100)
    framer.clear()
    assert (framer.push(bytes(80)), framer.size_bytes) == (0, 80)


def test_an_hour_pushed_at_once_is_taken_without_copying_it_again_and_again() -> None:
    """A quadratic queue would copy 28.8 MB for each of 60,000 pieces; this ends in a blink."""
    framer = Framer(PCMU_8K, limit_bytes=10**9)
    framer.push(bytes(28_800_000))
    pieces = 0
    while framer.take(480):
        pieces += 1
    assert pieces == 60_000
