"""The book of calls: one entry a call, one use a token, statuses that only rise."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicecore.engine.agent import Agent
from voicecore.engine.call_registry import CallRegistry
from voicecore.engine.hosted_call import HostedCall
from voicecore.engine.past_calls import KEPT_S, NAMES_LIMIT, PastCalls
from voicecore.engine.ringing import Ringing
from voicecore.facts import EndCause
from voicecore.ports import StatusReport
from voicecore.statuses import CarrierStatus

TOKEN_S = 120.0
STATUSES = [CarrierStatus.RINGING, CarrierStatus.IN_PROGRESS, CarrierStatus.COMPLETED, CarrierStatus.FAILED]


class Book:
    """A book with ids of its own."""

    def __init__(self, max_calls: int = 3) -> None:
        self.book = CallRegistry(max_calls)
        self.numbers = itertools.count(1)

    def hosted(self, *carrier_ids: str, now: float = 0.0) -> HostedCall:
        number = next(self.numbers)
        return HostedCall(
            call_id=f"call_{number}",
            direction="inbound",
            caller="+1",
            callee="+2",
            agent=Agent(instructions="Be brief."),
            started_at="2026-01-01T09:00:00+00:00",
            announced_at=now,
            token=f"token-{number}",
            ringing=Ringing.incoming(now, TOKEN_S),
            carrier_call_ids=list(carrier_ids),
        )

    def ring(self, carrier_id: str, now: float = 0.0) -> HostedCall:
        hosted = self.hosted(carrier_id, now=now)
        assert self.book.enter(hosted)
        return hosted


def status(carrier_id: str, value: CarrierStatus, word: str = "", duration_s: int | None = None) -> StatusReport:
    return StatusReport(carrier_call_id=carrier_id, status=value, word=word or value.value, duration_s=duration_s)


def test_a14_every_name_of_a_call_leads_to_it() -> None:
    """Our id, the carrier's first id, and the one that it uses later."""
    it = Book()
    hosted = it.ring("CA1")
    assert it.book.alias(hosted, "CA2")
    assert {it.book.find("CA1"), it.book.find("CA2"), it.book.find("?", hosted.call_id)} == {hosted}


def test_a14_a_name_belongs_to_one_call() -> None:
    """An id that another call has is refused."""
    it = Book()
    it.ring("CA1")
    assert not it.book.alias(it.ring("CA2"), "CA1")


def test_a14_the_names_of_one_call_are_bounded() -> None:
    """Eight; a carrier that sends more is confused."""
    it = Book()
    hosted = it.ring("CA1")
    assert [it.book.alias(hosted, f"CX{n}") for n in range(10)] == [True] * 7 + [False] * 3


def test_s14_a_token_is_used_once() -> None:
    """The second stream finds nothing."""
    it = Book()
    hosted = it.ring("CA1")
    assert it.book.take_token(hosted.token, 1.0) is hosted
    assert it.book.take_token(hosted.token, 1.0) is None


@pytest.mark.parametrize(("now", "claimed"), [(TOKEN_S - 0.001, True), (TOKEN_S, False), (TOKEN_S + 0.001, False)])
def test_s14_a_token_expires(now: float, claimed: bool) -> None:
    """One tick before, at, and after its end."""
    it = Book()
    hosted = it.ring("CA1")
    assert (it.book.take_token(hosted.token, now) is not None) is claimed


def test_an_unknown_token_and_a_void_one_are_nothing() -> None:
    """A guess, and the token of a call that is over."""
    it = Book()
    hosted = it.ring("CA1")
    assert not it.book.token_valid("token-99", 0.0)
    assert it.book.token_valid(hosted.token, 0.0)
    it.book.over(hosted)
    assert not it.book.token_valid(hosted.token, 0.0)


def test_more_calls_than_the_limit_are_not_taken() -> None:
    """Calls that only wait for their record do not count."""
    it = Book(max_calls=2)
    first = it.ring("CA1")
    it.ring("CA2")
    assert not it.book.enter(it.hosted("CA3"))
    it.book.over(first)
    assert it.book.enter(it.hosted("CA3"))


def test_a_filed_call_is_forgotten() -> None:
    """But for its carrier's names, which are remembered as those of a call that is over, for an hour."""
    it = Book()
    hosted = it.ring("CA1")
    it.book.alias(hosted, "CA2")
    it.book.over(hosted)
    it.book.remove(hosted, 5.0)
    assert (it.book.hosted_calls(), it.book.find("CA1"), it.book.find("?", hosted.call_id)) == ([], None, None)
    moments = [5.0, 5.0 + KEPT_S - 0.001, 5.0 + KEPT_S]
    assert [[it.book.is_over(name, now) for now in moments] for name in ("CA1", "CA2", "CA3")] == [
        [True, True, False],
        [True, True, False],
        [False, False, False],
    ]


def test_a13_the_names_of_past_calls_are_bounded() -> None:
    """The newest ten thousand, however many calls end within the hour; those that are too old go first."""
    past = PastCalls()
    for number in range(NAMES_LIMIT + 500):
        past.add([f"CA{number}"], number * 0.01)
    now = (NAMES_LIMIT + 500) * 0.01
    assert len(past) == NAMES_LIMIT
    assert not past.knows("CA499", now)
    assert past.knows("CA500", now)
    past.add(["CA500", "CA0"], now + KEPT_S)
    assert len(past) == 2


@pytest.mark.parametrize("ended", [False, True])
def test_a_call_that_has_ended_is_over_before_it_is_filed(ended: bool) -> None:
    """Whatever of it still has to be released."""
    it = Book()
    hosted = it.ring("CA1")
    if ended:
        hosted.end(EndCause.MEDIA_NEVER_CAME, "", 1.0)
    assert it.book.is_over("CA1", 1.0) is ended


def test_f1_a_terminal_status_that_overtakes_its_call_is_remembered() -> None:
    """By a word that we know; a new word may mean anything."""
    it = Book()
    it.book.status(status("CA1", CarrierStatus.COMPLETED), 0.0)
    it.book.status(status("CA2", CarrierStatus.UNKNOWN, "a-new-word"), 0.0)
    it.book.status(status("CA3", CarrierStatus.RINGING), 0.0)
    assert [it.book.is_over(name, 1.0) for name in ("CA1", "CA2", "CA3")] == [True, False, False]


def test_a_status_of_an_unknown_call_is_ignored() -> None:
    """Late by minutes, or a stranger's."""
    assert Book().book.status(status("CA9", CarrierStatus.COMPLETED), 0.0) is None


def test_i14_every_order_of_statuses_leaves_the_same() -> None:
    """Ranked: a later, lower one takes nothing back; the terminal one absorbs."""
    seen = set()
    for order in itertools.permutations([*STATUSES[:3], STATUSES[2]]):
        it = Book()
        hosted = it.ring("CA1")
        for value in order:
            it.book.status(status("CA1", value), 0.0)
        assert hosted.status is not None
        seen.add((hosted.status.status, hosted.final_status.is_set()))
    assert seen == {(CarrierStatus.COMPLETED, True)}


@given(st.lists(st.sampled_from(STATUSES), max_size=8))
def test_the_rank_of_a_call_never_falls_and_the_first_terminal_status_stands(order: list[CarrierStatus]) -> None:
    """Whatever comes, however often."""
    it = Book()
    hosted = it.ring("CA1")
    ranks = [-1]
    for value in order:
        it.book.status(status("CA1", value), 0.0)
        assert hosted.status is not None
        ranks.append(hosted.status.status.rank())
    assert ranks == sorted(ranks)
    terminal = [value for value in order if value.is_terminal]
    if terminal:
        assert hosted.status is not None
        assert hosted.status.status is terminal[0]


def test_s32_the_token_is_not_in_the_repr_of_an_entry() -> None:
    """Entries end up in debuggers and logs."""
    it = Book()
    hosted = it.ring("CA1")
    assert hosted.token not in repr(hosted)
