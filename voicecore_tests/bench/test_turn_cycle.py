"""How the load talks, and how its carrier plays."""

from __future__ import annotations

import itertools

import pytest

from voicecore.bench.load.playout_clock import PlayoutClock
from voicecore.bench.load.turn_cycle import QUICK_CYCLE, TurnCycle

CALLS = 200


def audible(cycle: TurnCycle, call: int, moment: float) -> bool:
    """Whether the agent of a call is heard so many seconds after the beginning."""
    wait_s, turns = cycle.begin(call)
    moment -= wait_s
    for turn in turns:
        before_s = cycle.length_s(turn) - cycle.after_answer_s(turn)
        heard_s = turn.answer_s if turn.cut_s is None else turn.cut_s
        if moment < cycle.length_s(turn):
            return before_s <= moment < before_s + heard_s
        moment -= cycle.length_s(turn)
    raise AssertionError("turns have no end")


@pytest.mark.parametrize("cycle", [TurnCycle(), QUICK_CYCLE], ids=["real", "quick"])
def test_every_turn_has_both_sides(cycle: TurnCycle) -> None:
    """Also the first one, of which only a rest is left."""
    for call in range(CALLS):
        for turn in itertools.islice(cycle.begin(call)[1], 7):
            assert turn.user_s > 0
            assert turn.answer_s > 0
            assert turn.cut_s is None or 0 < turn.cut_s <= turn.answer_s


def test_at_any_moment_about_as_many_agents_speak() -> None:
    """From the end of the warm-up on, the load is even."""
    speaking = [sum(audible(TurnCycle(), call, moment) for call in range(CALLS)) for moment in range(2, 20)]
    assert 0.3 * CALLS < min(speaking) <= max(speaking) < 0.6 * CALLS


def test_a_third_of_the_answers_is_cut() -> None:
    """One of two while it is being generated: that takes a fifth of its length."""
    cycle = TurnCycle().cycle
    cuts = [turn.cut_s / turn.answer_s for turn in cycle if turn.cut_s is not None]
    assert len(cuts) * 3 == len(cycle)
    assert [share < 0.2 for share in sorted(cuts)] == [True, False]


def test_the_carrier_plays_without_a_pause() -> None:
    """Audio follows audio; where it comes late, the line was silent."""
    clock = PlayoutClock()
    assert clock.put(800, 10.0) == 10.0
    assert clock.put(800, 10.05) == 0.0
    assert clock.empty_at == pytest.approx(10.2)
    assert clock.is_playing(10.19)
    assert clock.put(800, 10.25) == pytest.approx(0.05)
    assert clock.clear(10.3) == pytest.approx(0.05)
    assert not clock.is_playing(10.31)
    assert clock.clear(10.4) == 0.0
