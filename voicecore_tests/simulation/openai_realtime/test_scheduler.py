"""Timed actions run in order, and only while they apply."""

from __future__ import annotations

from functools import partial

from hypothesis import given
from hypothesis import strategies as st

from voicecore.simulation.openai_realtime.scheduler import Agenda


def _note(ran: list[tuple[float, int]], number: int, at: float) -> None:
    ran.append((at, number))


@given(dues=st.lists(st.integers(0, 5)), now=st.integers(0, 6))
def test_actions_run_by_time_then_by_age(dues: list[int], now: int) -> None:
    """Everything due runs, sorted by time, equal times in the order of making; the rest waits."""
    agenda, ran = Agenda(), list[tuple[float, int]]()
    for number, due in enumerate(dues):
        agenda.at(due, partial(_note, ran, number))
    agenda.run(now)
    assert ran == sorted((due, number) for number, due in enumerate(dues) if due <= now)
    assert agenda.deadline() == min((due for due in dues if due > now), default=None)


def test_an_action_may_plan_another_for_now() -> None:
    """What an action plans for a time that has come runs in the same go."""
    agenda, ran = Agenda(), list[float]()

    def plan_another(due: float) -> None:
        agenda.at(due, ran.append)

    agenda.at(1.0, plan_another)
    agenda.run(1.0)
    assert ran == [1.0]


def test_a_struck_action_never_runs() -> None:
    """Striking off is legal at any time, also twice and for None; it moves the deadline."""
    agenda, ran = Agenda(), list[float]()
    handle = agenda.at(1.0, ran.append)
    agenda.at(2.0, ran.append)
    agenda.strike(handle)
    agenda.strike(handle)
    agenda.strike(None)
    assert agenda.deadline() == 2.0
    agenda.run(3.0)
    assert ran == [2.0]


def test_clear_forgets_all() -> None:
    """After the end of a session nothing is left to do."""
    agenda, ran = Agenda(), list[float]()
    agenda.at(1.0, ran.append)
    agenda.clear()
    agenda.run(5.0)
    assert ran == []
    assert agenda.deadline() is None
