"""The log of answers: every byte is accounted for, wherever it is cut."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicecore.bench.load.answer_log import Answer, AnswerLog, within
from voicecore.bench.load.frames import FRAME_BYTES

SECONDS = 0.1
SIZE = 5 * FRAME_BYTES


def new_log(call: int = 1) -> AnswerLog:
    return AnswerLog(call, random.Random(call))


def written(here: AnswerLog, began_at: float = 1.0) -> Answer:
    """Begin an answer of which everything has left."""
    answer = here.begin(SECONDS)
    answer.written_bytes, answer.began_at, answer.over_at = SIZE, began_at, began_at + SECONDS
    return answer


def pieces(audio: bytes, sizes: Sequence[int]) -> Iterator[bytes]:
    for size in sizes:
        yield audio[:size]
        audio = audio[size:]
    yield audio


def faults(here: AnswerLog, until: float = 9.0) -> tuple[int, int, int, int]:
    here.finish(until)
    return here.lost_bytes, here.doubled_bytes, here.altered_bytes, here.stale_bytes


@given(st.lists(st.integers(1, 300), max_size=6))
def test_audio_may_be_cut_anywhere(sizes: list[int]) -> None:
    """Two answers in pieces of any size: nothing is missing, and two first pieces had nothing to wait for."""
    here = new_log()
    for number in (1.0, 2.0):
        answer = written(here, number)
        silent_s = 0.5
        for piece in filter(None, pieces(answer.audio, sizes)):
            here.received(piece, silent_s, number + 0.25)
            silent_s = 0.0
    assert faults(here) == (0, 0, 0, 0)
    assert here.first_audio == [(1.0, 0.25), (2.0, 0.25)]
    assert here.holes == []
    assert sum(seconds for _, seconds in here.heard) == pytest.approx(2 * SECONDS)


def test_what_is_left_out_is_lost() -> None:
    """In the middle, and at the end once there was time for it."""
    here = new_log()
    audio = written(here).audio
    here.received(audio[:160], 1.0, 1.1)
    here.received(audio[320:480], 0.0, 1.2)
    assert faults(here, until=1.05)[0] == 160
    assert faults(here)[0] == 160 + 320


def test_what_comes_again_is_doubled() -> None:
    """Also when what follows is in the same message."""
    here = new_log()
    audio = written(here).audio
    here.received(audio[:320], 1.0, 1.1)
    here.received(audio[160:], 0.0, 1.2)
    assert here.doubled_bytes in {160, SIZE - 160}


@given(st.integers(0, SIZE - 1), st.integers(1, 255))
def test_one_wrong_byte_is_noticed(at: int, change: int) -> None:
    """As altered or as lost: never as nothing."""
    here = new_log()
    audio = bytearray(written(here).audio)
    audio[at] ^= change
    here.received(bytes(audio), 1.0, 1.1)
    assert sum(faults(here)) > 0


def test_audio_of_another_call_is_altered() -> None:
    """Crosstalk would be the worst fault of all."""
    here, there = new_log(1), new_log(2)
    written(here)
    here.received(written(there).audio, 1.0, 1.1)
    assert here.altered_bytes == SIZE


def test_after_the_clear_an_answer_is_stale() -> None:
    """Before it, it is heard; what never comes is not lost; the next answer is new."""
    here = new_log()
    audio = written(here).audio
    here.received(audio[:160], 1.0, 1.1)
    here.cut(1.2)
    here.received(audio[160:320], 0.0, 1.21)
    here.cleared(0.02, 1.25)
    here.received(audio[320:480], 0.0, 1.26)
    following = written(here, 2.0)
    here.received(following.audio, 0.7, 2.1)
    assert faults(here) == (0, 0, 0, 160)
    assert within(here.clears, 1.2, 1.3) == [pytest.approx(0.05)]
    assert here.missed(9.0) == 0
    assert [delay for _, delay in here.first_audio] == pytest.approx([0.1, 0.1])


def test_a_cut_without_a_clear_is_missed() -> None:
    """Once there was time for it."""
    here = new_log()
    written(here)
    here.cut(1.2)
    assert (here.missed(1.3), here.missed(9.0)) == (0, 1)


def test_a_clear_that_nobody_asked_for() -> None:
    """It counts only where it takes something away."""
    here = new_log()
    here.received(written(here).audio, 1.0, 1.1)
    here.cleared(0.0, 1.3)
    assert here.wrong_clears == 0
    here.cleared(0.08, 1.4)
    assert here.wrong_clears == 1


def test_silence_that_the_engine_puts_in_is_told_apart() -> None:
    """Behind an answer's last bytes, and between answers."""
    here = new_log()
    audio = written(here).audio
    here.received(audio[: SIZE - 20], 1.0, 1.1)
    here.received(audio[SIZE - 20 :] + b"\xff" * 140, 0.0, 1.2)
    here.received(b"\xff" * 160, 0.0, 1.3)
    assert faults(here) == (0, 0, 0, 0)
    assert here.filled_bytes == 300


def test_holes_are_those_within_an_answer() -> None:
    """Before it, the line may be silent."""
    here = new_log()
    audio = written(here).audio
    here.received(audio[:160], 1.0, 1.1)
    here.received(audio[160:], 0.03, 1.15)
    assert within(here.holes, 1.0, 2.0) == [0.03]
    assert within(here.holes, 1.2, 2.0) == []
