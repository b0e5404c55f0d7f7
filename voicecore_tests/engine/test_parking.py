"""The parking lot's book: one fate a session, whatever happens in whatever order."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from voicecore.engine.parking import ParkingLot, ParkingSettings, Stage, Ticket, WhenFull
from voicecore.facts import ParkingFate

LIMIT_S = 40.0


def lot(max_sessions: int = 2, when_full: WhenFull = WhenFull.OLDEST_GIVES_WAY) -> ParkingLot:
    return ParkingLot(ParkingSettings(max_sessions=max_sessions, when_full=when_full))


def parked(it: ParkingLot, call_id: str = "call", now: float = 0.0) -> Ticket:
    ticket, _ = it.park(call_id, "print", now + LIMIT_S, now)
    assert ticket is not None
    return ticket


def test_a_session_that_is_ready_is_claimed_and_lent() -> None:
    """The plain way; its time counts as used."""
    it = lot()
    ticket = parked(it)
    assert it.opened(ticket)
    assert it.claim(ticket, "print", 10.0)
    assert it.lend(ticket, 10.0)
    it.gone(ticket)
    assert (ticket.fate, ticket.stage, it.used_s, it.wasted_s) == (ParkingFate.ADOPTED, Stage.GONE, 10.0, 0.0)


def test_what_is_gone_is_forgotten() -> None:
    """A lot that kept it would grow for as long as the process runs."""
    it = lot()
    ticket = parked(it)
    kept = weakref.ref(ticket)
    it.settle(ticket, ParkingFate.HUNG_UP, "its call ended first", 1.0)
    it.gone(ticket)
    del ticket
    assert kept() is None


def test_a_session_that_is_still_opening_can_be_claimed() -> None:
    """A1: its call waits for it; no second one is opened."""
    it = lot()
    ticket = parked(it)
    assert it.claim(ticket, "print", 1.0)
    assert it.opened(ticket)
    assert it.lend(ticket, 2.0)


def test_a3_another_configuration_is_refused() -> None:
    """What the call wants now is not what was opened."""
    it = lot()
    ticket = parked(it)
    it.opened(ticket)
    assert not it.claim(ticket, "another", 3.0)
    assert (ticket.fate, ticket.stage, it.wasted_s) == (ParkingFate.REFUSED, Stage.CLOSING, 3.0)


@pytest.mark.parametrize(("at_s", "claimed"), [(LIMIT_S - 0.001, True), (LIMIT_S, False), (LIMIT_S + 0.001, False)])
def test_a8_at_its_limit_a_session_is_over(at_s: float, claimed: bool) -> None:
    """One tick before, at, and after."""
    it = lot()
    ticket = parked(it)
    it.opened(ticket)
    assert it.claim(ticket, "print", at_s) is claimed
    assert ticket.fate is (None if claimed else ParkingFate.EXPIRED)


def test_a8_the_first_of_two_in_the_same_instant_wins() -> None:
    """Hang-up and adoption, in both orders."""
    first, second = lot(), lot()
    ticket = parked(first)
    assert first.settle(ticket, ParkingFate.HUNG_UP, "", 5.0)
    assert not first.claim(ticket, "print", 5.0)
    other = parked(second)
    assert second.claim(other, "print", 5.0)
    assert second.lend(other, 5.0)
    assert not second.settle(other, ParkingFate.HUNG_UP, "", 5.0)
    assert (ticket.fate, other.fate) == (ParkingFate.HUNG_UP, ParkingFate.ADOPTED)


def test_rg_the_oldest_gives_way_when_the_lot_is_full() -> None:
    """Its fate is told; those that are claimed keep their place."""
    it = lot(max_sessions=2)
    claimed, oldest = parked(it, "a"), parked(it, "b", 1.0)
    assert it.claim(claimed, "print", 2.0)
    ticket, gave_way = it.park("c", "print", 50.0, 3.0)
    assert (gave_way, oldest.fate, ticket is not None) == (oldest, ParkingFate.EXPIRED, True)


def test_rg_or_the_newest_goes_cold() -> None:
    """By policy."""
    it = lot(max_sessions=1, when_full=WhenFull.NEWEST_GOES_COLD)
    kept = parked(it)
    assert it.park("b", "print", 50.0, 3.0) == (None, None)
    assert kept.fate is None


def test_a_lot_of_claimed_sessions_takes_no_more() -> None:
    """Nobody gives way who is wanted."""
    it = lot(max_sessions=1)
    it.claim(parked(it), "print", 0.0)
    assert it.park("b", "print", 50.0, 3.0) == (None, None)


def test_a7_the_time_of_a_session_grows_with_the_ringing() -> None:
    """It is extended, never shortened."""
    it = lot()
    ticket = parked(it)
    it.extend(ticket, 100.0)
    it.extend(ticket, 50.0)
    assert ticket.deadline == 100.0
    assert it.claim(ticket, "print", 99.0)


def test_a12_unused_time_is_counted_once() -> None:
    """Whoever reports the end of the call again."""
    it = lot()
    ticket = parked(it)
    for now in (7.0, 8.0, 9.0):
        it.settle(ticket, ParkingFate.HUNG_UP, "", now)
    told = ticket.told()
    assert told is not None
    assert (it.wasted_s, it.fates, told.parked_s, told.wasted) == (7.0, {ParkingFate.HUNG_UP: 1}, 7.0, True)


Step = Callable[[ParkingLot, Ticket, float], object]

STEPS: dict[str, Step] = {
    "opened": lambda it, ticket, _now: it.opened(ticket),
    "claim": lambda it, ticket, now: it.claim(ticket, "print", now),
    "claim for another": lambda it, ticket, now: it.claim(ticket, "another", now),
    "lend": lambda it, ticket, now: it.lend(ticket, now),
    "died": lambda it, ticket, now: it.settle(ticket, ParkingFate.DIED, "", now),
    "hung up": lambda it, ticket, now: it.settle(ticket, ParkingFate.HUNG_UP, "", now),
    "shut down": lambda it, ticket, now: it.settle(ticket, ParkingFate.SHUT_DOWN, "", now),
    "expired": lambda it, ticket, now: it.settle(ticket, ParkingFate.EXPIRED, "", now),
}


def test_every_order_of_everything_that_can_happen_to_one_session() -> None:
    """Exhaustive: 40,320 orders; one fate each, decided once, and adopted only if it was claimed before."""
    for order in itertools.permutations(STEPS):
        it = lot()
        ticket = parked(it)
        fates: list[ParkingFate] = []
        for number, name in enumerate(order):
            STEPS[name](it, ticket, float(number))
            if ticket.fate is not None and (not fates or fates[-1] is not ticket.fate):
                fates.append(ticket.fate)
        assert len(fates) == 1
        assert it.fates == {fates[0]: 1}
        if fates[0] is ParkingFate.ADOPTED:
            assert order.index("claim") < order.index("lend")
        it.gone(ticket)
        assert (ticket.stage, it.statistics().waiting) == (Stage.GONE, 0)


class LotMachine(RuleBasedStateMachine):
    """Two calls and more, dialled again and again, with everything that can happen to their sessions."""

    @initialize(when_full=st.sampled_from(WhenFull))
    def begin(self, when_full: WhenFull) -> None:
        self.it = lot(max_sessions=2, when_full=when_full)
        self.now = 0.0
        self.tickets: list[Ticket] = []
        self.fates: dict[int, ParkingFate] = {}

    @rule(call=st.sampled_from(["a", "b"]))
    def park(self, call: str) -> None:
        ticket, gave_way = self.it.park(call, "print", self.now + LIMIT_S, self.now)
        assert gave_way is None or gave_way.fate is ParkingFate.EXPIRED
        if ticket is not None:
            self.tickets.append(ticket)

    @rule(which=st.integers(0, 5), name=st.sampled_from(sorted(STEPS)))
    def step(self, which: int, name: str) -> None:
        if self.tickets:
            STEPS[name](self.it, self.tickets[which % len(self.tickets)], self.now)

    @rule(seconds=st.sampled_from([0.0, 1.0, LIMIT_S - 1.0, LIMIT_S]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(which=st.integers(0, 5))
    def closed(self, which: int) -> None:
        """Only what has a fate closes; its keeper sees to that."""
        if self.tickets and (ticket := self.tickets[which % len(self.tickets)]).fate is not None:
            self.it.gone(ticket)

    @invariant()
    def a_fate_never_changes(self) -> None:
        for number, ticket in enumerate(self.tickets):
            if ticket.fate is not None:
                assert self.fates.setdefault(number, ticket.fate) is ticket.fate

    @invariant()
    def no_more_wait_than_there_is_room_for(self) -> None:
        assert self.it.statistics().waiting == sum(ticket.waits for ticket in self.tickets) <= 2
        assert self.it.fates.total() == sum(ticket.fate is not None for ticket in self.tickets)


TestLot = LotMachine.TestCase
