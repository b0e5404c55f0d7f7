"""The registry of calls: one object a call, one use a token, statuses that only rise."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicecore.engine.agent import Agent
from voicecore.engine.call_at_carrier import CallAtCarrier
from voicecore.engine.call_origin import Inbound
from voicecore.engine.call_registry import CallRegistry
from voicecore.engine.hosted_call import HostedCall
from voicecore.engine.past_calls import IDS_LIMIT, KEPT_S, PastCalls
from voicecore.facts import EndCause
from voicecore.ports import StatusReport
from voicecore.statuses import CarrierStatus

TOKEN_S = 120.0
STATUSES = [CarrierStatus.RINGING, CarrierStatus.IN_PROGRESS, CarrierStatus.COMPLETED, CarrierStatus.FAILED]


class Calls:
    """A registry, with ids of its own."""

    def __init__(self, max_calls: int = 3) -> None:
        self.registry = CallRegistry(max_calls)
        self.numbers = itertools.count(1)

    def hosted(self, *carrier_ids: str, now: float = 0.0) -> HostedCall:
        number = next(self.numbers)
        return HostedCall(
            call_id=f"call_{number}",
            caller="+1",
            callee="+2",
            agent=Agent(instructions="Be brief."),
            started_at="2026-01-01T09:00:00+00:00",
            announced_at=now,
            token=f"token-{number}",
            origin=Inbound(media_s=TOKEN_S),
            at_carrier=CallAtCarrier(ids=list(carrier_ids)),
        )

    def ring(self, carrier_id: str, now: float = 0.0) -> HostedCall:
        hosted = self.hosted(carrier_id, now=now)
        assert self.registry.enter(hosted)
        return hosted


def status(carrier_id: str, value: CarrierStatus, word: str = "", duration_s: int | None = None) -> StatusReport:
    return StatusReport(carrier_call_id=carrier_id, status=value, word=word or value.value, duration_s=duration_s)


def test_a14_every_name_of_a_call_leads_to_it() -> None:
    """Our id, the carrier's first id, and the one that it uses later."""
    it = Calls()
    hosted = it.ring("CA1")
    assert it.registry.alias(hosted, "CA2")
    assert {it.registry.find("CA1"), it.registry.find("CA2"), it.registry.find("?", hosted.call_id)} == {hosted}


def test_a14_a_name_belongs_to_one_call() -> None:
    """An id that another call has is refused."""
    it = Calls()
    it.ring("CA1")
    assert not it.registry.alias(it.ring("CA2"), "CA1")


def test_a14_the_names_of_one_call_are_bounded() -> None:
    """Eight; whoever sends more is confused."""
    it = Calls()
    hosted = it.ring("CA1")
    assert [it.registry.alias(hosted, f"CX{n}") for n in range(10)] == [True] * 7 + [False] * 3


def test_s14_a_token_is_used_once() -> None:
    """The second stream finds nothing."""
    it = Calls()
    hosted = it.ring("CA1")
    assert it.registry.take_token(hosted.token, 1.0) is hosted
    assert it.registry.take_token(hosted.token, 1.0) is None


@pytest.mark.parametrize(("now", "claimed"), [(TOKEN_S - 0.001, True), (TOKEN_S, False), (TOKEN_S + 0.001, False)])
def test_s14_a_token_expires(now: float, claimed: bool) -> None:
    """One tick before, at, and after its end."""
    it = Calls()
    hosted = it.ring("CA1")
    assert (it.registry.take_token(hosted.token, now) is not None) is claimed


def test_an_unknown_token_and_a_void_one_are_nothing() -> None:
    """A guess, and the token of a call that is over."""
    it = Calls()
    hosted = it.ring("CA1")
    assert not it.registry.token_valid("token-99", 0.0)
    assert it.registry.token_valid(hosted.token, 0.0)
    it.registry.stop(hosted, 0.0)
    assert not it.registry.token_valid(hosted.token, 0.0)


def test_more_calls_than_the_limit_are_not_taken() -> None:
    """Calls that only wait for their record do not count."""
    it = Calls(max_calls=2)
    first = it.ring("CA1")
    it.ring("CA2")
    assert not it.registry.enter(it.hosted("CA3"))
    it.registry.stop(first, 0.0)
    assert it.registry.enter(it.hosted("CA3"))


def test_a_filed_call_is_forgotten() -> None:
    """But for its carrier's names, which are remembered as those of a call that is over, for an hour."""
    it = Calls()
    hosted = it.ring("CA1")
    it.registry.alias(hosted, "CA2")
    it.registry.stop(hosted, 5.0)
    it.registry.remove(hosted, 5.0)
    assert (it.registry.hosted_calls(), it.registry.find("CA1"), it.registry.find("?", hosted.call_id)) == (
        [],
        None,
        None,
    )
    moments = [5.0, 5.0 + KEPT_S - 0.001, 5.0 + KEPT_S]
    assert [[it.registry.is_over(name, now) for now in moments] for name in ("CA1", "CA2", "CA3")] == [
        [True, True, False],
        [True, True, False],
        [False, False, False],
    ]


def test_a13_the_names_of_past_calls_are_bounded() -> None:
    """The newest ten thousand, however many calls end within the hour; those that are too old go first."""
    past = PastCalls()
    for number in range(IDS_LIMIT + 500):
        past.add([f"CA{number}"], number * 0.01)
    now = (IDS_LIMIT + 500) * 0.01
    assert len(past) == IDS_LIMIT
    assert not past.knows("CA499", now)
    assert past.knows("CA500", now)
    past.add(["CA500", "CA0"], now + KEPT_S)
    assert len(past) == 2


@pytest.mark.parametrize("ended", [False, True])
def test_a_call_that_has_ended_is_over_before_it_is_filed(ended: bool) -> None:
    """Whatever of it still has to be released."""
    it = Calls()
    hosted = it.ring("CA1")
    if ended:
        hosted.end(EndCause.MEDIA_NEVER_CAME, "", 1.0)
    assert it.registry.is_over("CA1", 1.0) is ended


def test_f1_a_terminal_status_that_overtakes_its_call_is_remembered() -> None:
    """By a word that we know; a new word may mean anything."""
    it = Calls()
    it.registry.status(status("CA1", CarrierStatus.COMPLETED), 0.0)
    it.registry.status(status("CA2", CarrierStatus.UNKNOWN, "a-new-word"), 0.0)
    it.registry.status(status("CA3", CarrierStatus.RINGING), 0.0)
    assert [it.registry.is_over(name, 1.0) for name in ("CA1", "CA2", "CA3")] == [True, False, False]


def test_a_status_of_an_unknown_call_is_ignored() -> None:
    """Late by minutes, or a stranger's."""
    assert Calls().registry.status(status("CA9", CarrierStatus.COMPLETED), 0.0) is None


def test_i14_every_order_of_statuses_leaves_the_same() -> None:
    """Ranked: a later, lower one takes nothing back; the terminal one absorbs."""
    seen = set()
    for order in itertools.permutations([*STATUSES[:3], STATUSES[2]]):
        it = Calls()
        hosted = it.ring("CA1")
        for value in order:
            it.registry.status(status("CA1", value), 0.0)
        assert hosted.at_carrier.status is not None
        seen.add((hosted.at_carrier.status.status, hosted.at_carrier.last_word.is_set()))
    assert seen == {(CarrierStatus.COMPLETED, True)}


@given(st.lists(st.sampled_from(STATUSES), max_size=8))
def test_the_rank_of_a_call_never_falls_and_the_first_terminal_status_stands(order: list[CarrierStatus]) -> None:
    """Whatever comes, however often."""
    it = Calls()
    hosted = it.ring("CA1")
    ranks = [-1]
    for value in order:
        it.registry.status(status("CA1", value), 0.0)
        assert hosted.at_carrier.status is not None
        ranks.append(hosted.at_carrier.status.status.rank())
    assert ranks == sorted(ranks)
    terminal = [value for value in order if value.is_terminal]
    if terminal:
        assert hosted.at_carrier.status is not None
        assert hosted.at_carrier.status.status is terminal[0]


def test_s32_the_token_is_not_in_the_repr_of_a_call() -> None:
    """Objects end up in debuggers and logs."""
    it = Calls()
    hosted = it.ring("CA1")
    assert hosted.token not in repr(hosted)
