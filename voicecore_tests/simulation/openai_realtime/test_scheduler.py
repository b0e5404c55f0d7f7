"""Timed actions run in order, and only while they apply."""

from __future__ import annotations

from functools import partial

from hypothesis import given
from hypothesis import strategies as st

from voicecore.simulation.openai_realtime.scheduler import Scheduler


def _note(ran: list[tuple[float, int]], number: int, at: float) -> None:
    ran.append((at, number))


@given(dues=st.lists(st.integers(0, 5)), now=st.integers(0, 6))
def test_actions_run_by_time_then_by_age(dues: list[int], now: int) -> None:
    """Everything due runs, sorted by time, equal times in the order of making; the rest waits."""
    scheduler, ran = Scheduler(), list[tuple[float, int]]()
    for number, due in enumerate(dues):
        scheduler.at(due, partial(_note, ran, number))
    scheduler.run(now)
    assert ran == sorted((due, number) for number, due in enumerate(dues) if due <= now)
    assert scheduler.deadline() == min((due for due in dues if due > now), default=None)


def test_an_action_may_plan_another_for_now() -> None:
    """What an action plans for a time that has come runs in the same go."""
    scheduler, ran = Scheduler(), list[float]()

    def plan_another(due: float) -> None:
        scheduler.at(due, ran.append)

    scheduler.at(1.0, plan_another)
    scheduler.run(1.0)
    assert ran == [1.0]


def test_a_struck_action_never_runs() -> None:
    """Striking off is legal at any time, also twice and for None; it moves the deadline."""
    scheduler, ran = Scheduler(), list[float]()
    action_id = scheduler.at(1.0, ran.append)
    scheduler.at(2.0, ran.append)
    scheduler.cancel(action_id)
    scheduler.cancel(action_id)
    scheduler.cancel(None)
    assert scheduler.deadline() == 2.0
    scheduler.run(3.0)
    assert ran == [2.0]


def test_clear_forgets_all() -> None:
    """After the end of a session nothing is left to do."""
    scheduler, ran = Scheduler(), list[float]()
    scheduler.at(1.0, ran.append)
    scheduler.clear()
    scheduler.run(5.0)
    assert ran == []
    assert scheduler.deadline() is None
