"""The table of handlers: what has one, what is reported, and in which order steps are carried out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

import attrs
import pytest

from voicecore import events as ev
from voicecore import facts
from voicecore.turns import conversation
from voicecore.turns.machines import Machines, Step
from voicecore.turns.orders import Notify
from voicecore.turns.settings import ConversationSettings
from voicecore_tests.turns.first_message.pickup import DOES_ALL
from voicecore_tests.turns.talking import Talk

ELSEWHERE = {ev.UserAudio}  #: user audio does not pass the table: it is by far the most frequent event


@attrs.frozen
class Novelty:
    """An event that this version does not know."""

    name: str = "n"


@attrs.frozen
class Outer:
    """A step whose handler asks for two inner ones."""


@attrs.frozen
class Inner:
    """A step that leads to a fact."""

    name: str


def problem(name: str) -> Notify:
    return Notify(facts.ProblemSeen(0.0, name, ""))


def test_every_event_and_every_step_has_a_handler_or_leaves() -> None:
    """None of them can be forgotten: what is of no interest says so in its table."""
    members = {*get_args(ev.SessionEvent), *get_args(ev.LegEvent), *get_args(Step)} - ELSEWHERE
    assert {each.__name__ for each in members - set(conversation.HANDLERS) - conversation.ORDERS} == set()


@pytest.mark.parametrize("from_leg", [True, False], ids=["leg", "session"])
def test_an_event_that_nothing_handles_is_reported_once(from_leg: bool) -> None:
    """It is counted each time; nothing else follows from it."""
    talk = Talk(ConversationSettings(), DOES_ALL)
    handle = talk.machine.handle_leg if from_leg else talk.machine.handle_session
    for _ in range(3):
        talk.take(handle(Novelty(), talk.now))  # type: ignore[arg-type]
    assert [fact.code for fact in talk.facts if isinstance(fact, facts.ProblemSeen)] == ["unhandled: Novelty"]
    assert talk.machine.problems["unhandled: Novelty"] == 3


@pytest.mark.parametrize("event", [ev.ItemTruncated("a1", 20), ev.ItemDeleted("a1"), ev.SilenceTimedOut("u1")])
def test_an_event_of_no_interest_leads_to_nothing(event: ev.SessionEvent) -> None:
    """It is known and expected: no problem is counted."""
    talk = Talk(ConversationSettings(), DOES_ALL)
    assert talk.machine.handle_session(event, 0.0) == []
    assert not talk.machine.problems


def test_what_a_step_leads_to_comes_before_the_next_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """A handler goes on when all that its step has led to was carried out, however deep that is."""
    seen: list[str] = []

    def outer(_its: Machines, _step: Outer, _now: float) -> Iterator[object]:
        yield Inner("first")
        seen.append("between")
        yield problem("own")
        yield Inner("second")

    def inner(_its: Machines, step: Inner, _now: float) -> list[object]:
        seen.append(step.name)
        return [problem(f"{step.name} 1"), problem(f"{step.name} 2")]

    monkeypatch.setattr(conversation, "HANDLERS", {**conversation.HANDLERS, Outer: outer, Inner: inner})
    talk = Talk(ConversationSettings(), DOES_ALL)
    orders = talk.machine.handle_session(Outer(), 0.0)  # type: ignore[arg-type]
    assert seen == ["first", "between", "second"]
    names = [order.fact.code for order in orders if isinstance(order, Notify) and hasattr(order.fact, "code")]
    assert names == ["first 1", "first 2", "own", "second 1", "second 2"]
