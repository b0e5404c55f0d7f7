"""Numbered audio tells its origin, whatever was cut off or put between."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from voicecore.audio import g711
from voicecore.audio.formats import PCMU_8K
from voicecore.audio.level import level_dbfs
from voicecore.simulation.numbered_audio import FRAME_BYTES, PIECE_BYTES, Piece, Run, numbered_audio, runs_in

SECOND = numbered_audio(call=3, response=2, seconds=1.0)


def test_every_frame_is_unique_and_twenty_milliseconds_long() -> None:
    """No two frames, of any call or response, are the same bytes."""
    audio = SECOND + numbered_audio(3, 1, 1.0) + numbered_audio(2, 2, 1.0)
    frames = [audio[begin : begin + FRAME_BYTES] for begin in range(0, len(audio), FRAME_BYTES)]
    assert len(frames) == len(set(frames)) == 150


def test_lengths_are_whole_frames() -> None:
    """A request is rounded up to whole frames; nothing asked is nothing made."""
    assert len(numbered_audio(1, 1, 0.021)) == 2 * FRAME_BYTES
    assert numbered_audio(1, 1, 0.0) == b""


def test_a_whole_stream_is_one_run() -> None:
    """Read back: call, response, first piece and length."""
    assert runs_in(SECOND) == [Run(0, Piece(3, 2, 0, 0), 8000)]


@given(begin=st.integers(0, 8000), size=st.integers(0, 8000), before=st.binary(max_size=50))
def test_any_cut_is_read_as_its_whole_pieces(begin: int, size: int, before: bytes) -> None:
    """Cut anywhere, behind anything: every whole piece is found at its place, and nothing else."""
    cut = SECOND[begin : begin + size]
    first = -(-begin // PIECE_BYTES) * PIECE_BYTES
    end = (begin + len(cut)) // PIECE_BYTES * PIECE_BYTES
    runs = runs_in(before + cut)
    if end <= first:
        assert runs == []
        return
    [run] = runs
    assert run.at_bytes == len(before) + first - begin
    assert (run.first.offset_bytes, run.end_bytes) == (first, end)


def test_what_is_missing_or_mixed_shows_as_another_run() -> None:
    """A gap, a repetition and another response each begin a new run."""
    other = numbered_audio(3, 3, 0.1)
    runs = runs_in(SECOND[:1600] + SECOND[3200:4800] + SECOND[3200:4800] + other + PCMU_8K.silence(160))
    assert [(run.first.response, run.first.offset_bytes, run.size_bytes) for run in runs] == [
        (2, 0, 1600),
        (2, 3200, 1600),
        (2, 3200, 1600),
        (3, 0, 800),
    ]


def test_it_survives_both_laws_and_linear_samples() -> None:
    """Behind a law conversion or a decode it is still the same bytes."""
    assert SECOND.translate(g711.ULAW_TO_ALAW).translate(g711.ALAW_TO_ULAW) == SECOND
    assert g711.encode_ulaw(g711.decode_ulaw(SECOND)) == SECOND


def test_one_wrong_byte_hides_only_its_piece() -> None:
    """A damaged piece is not read as another one; the rest is."""
    damaged = bytearray(SECOND)
    damaged[85] ^= 1
    assert [(run.at_bytes, run.size_bytes) for run in runs_in(bytes(damaged))] == [(0, 80), (120, 7880)]


def test_it_is_as_loud_as_speech() -> None:
    """It never counts as silence."""
    assert -25 < level_dbfs(SECOND, PCMU_8K) < -15
