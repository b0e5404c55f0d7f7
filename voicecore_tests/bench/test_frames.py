"""Numbered frames: every one that was sent arrived in order, or is counted by its fault."""

from __future__ import annotations

import random

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicecore.bench.load.frames import FRAME_BYTES, Direction, Faults, Track, call_of


def track(call: int = 1) -> Track:
    return Track(call, random.Random(call))


def test_a_frame_names_its_call() -> None:
    """The first one of any message does; other audio names none."""
    assert call_of(track(7).frame(3) + track(7).frame(4)) == 7
    assert call_of(b"\xff" * FRAME_BYTES) is None
    assert call_of(track(7).frame(3)[:-1]) is None


@given(st.lists(st.integers(1, 5), min_size=1, max_size=10))
def test_frames_may_come_in_messages_of_any_number(sizes: list[int]) -> None:
    """All are there, and nothing is counted."""
    here = track()
    here.to_carrier.sent(sum(sizes), 1.0)
    numbers = iter(range(sum(sizes)))
    for size in sizes:
        here.take(b"".join(here.frame(next(numbers)) for _ in range(size)), here.to_carrier, 1.25)
    assert here.to_carrier.faults() == Faults()
    assert here.to_carrier.delays(0, 2) == [0.25] * sum(sizes)


@pytest.mark.parametrize(
    ("came", "expected"),
    [
        ([0, 1, 2], Faults()),
        ([0, 1], Faults(lost=1)),
        ([0, 2], Faults(lost=1)),
        ([0, 1, 1, 2], Faults(doubled=1)),
        ([0, 2, 1], Faults(reordered=1)),
        ([], Faults(lost=3)),
        ([0, 1, 2, 3], Faults(altered=1)),
    ],
)
def test_what_became_of_three_frames(came: list[int], expected: Faults) -> None:
    """Lost, doubled, reordered, and one that was never sent."""
    direction = Direction()
    direction.sent(3, 0.0)
    for number in came:
        direction.received(number, 1.0)
    assert direction.faults() == expected


@given(st.integers(0, FRAME_BYTES - 1), st.integers(1, 255))
def test_one_wrong_byte_is_noticed(at: int, change: int) -> None:
    """Also in the noise behind the stamp: frames are compared whole."""
    here = track()
    here.to_provider.sent(1, 0.0)
    frame = bytearray(here.frame(0))
    frame[at] ^= change
    here.take(bytes(frame), here.to_provider, 1.0)
    assert here.to_provider.faults() == Faults(altered=1, lost=1)


def test_frames_of_another_call_are_noticed() -> None:
    """Crosstalk would be the worst fault of all."""
    here, there = track(1), track(2)
    here.to_carrier.sent(1, 0.0)
    here.take(there.frame(0), here.to_carrier, 1.0)
    assert here.to_carrier.faults().altered == 1


def test_faults_add_up() -> None:
    """Over all directions."""
    assert attrs.astuple(Faults(1, 2, 3, 4) + Faults(10, 20, 30, 40)) == (11, 22, 33, 44)


def test_delays_are_those_of_a_window() -> None:
    """By the time of sending; the warm-up before and the end after it are left out."""
    direction = Direction()
    for number in range(4):
        direction.sent(1, float(number))
        direction.received(number, number + 0.5 + number / 10)
    assert direction.delays(1.0, 3.0) == pytest.approx([0.6, 0.7])
