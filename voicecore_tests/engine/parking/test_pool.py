"""The pool of parked sessions: one outcome each, whatever happens in whatever order."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from voicecore.engine.parking.pool import ParkingSettings, ParkingStage, PoolEntry, SessionPool, WhenFull
from voicecore.errors import LocalProtocolError
from voicecore.facts import ParkingOutcome

LIMIT_S = 40.0


def pool(max_sessions: int = 2, when_full: WhenFull = WhenFull.OLDEST_GIVES_WAY) -> SessionPool:
    return SessionPool(ParkingSettings(max_sessions=max_sessions, when_full=when_full))


def parked(it: SessionPool, call_id: str = "call", now: float = 0.0) -> PoolEntry:
    entry, _ = it.park(call_id, "print", now + LIMIT_S, now)
    assert entry is not None
    return entry


def test_a_session_that_is_ready_is_claimed_and_lent() -> None:
    """The plain way; its time counts as used."""
    it = pool()
    entry = parked(it)
    assert it.opened(entry)
    assert it.claim(entry, "print", 10.0)
    assert it.adopted(entry, 10.0)
    it.gone(entry)
    assert (entry.outcome, entry.stage, it.used_s, it.wasted_s) == (
        ParkingOutcome.ADOPTED,
        ParkingStage.GONE,
        10.0,
        0.0,
    )


def test_what_is_gone_is_forgotten() -> None:
    """A pool that kept it would grow for as long as the process runs."""
    it = pool()
    entry = parked(it)
    kept = weakref.ref(entry)
    it.settle(entry, ParkingOutcome.HUNG_UP, "its call ended first", 1.0)
    it.gone(entry)
    del entry
    assert kept() is None


def test_a_session_that_is_still_opening_can_be_claimed() -> None:
    """A1: its call waits for it; no second one is opened."""
    it = pool()
    entry = parked(it)
    assert it.claim(entry, "print", 1.0)
    assert it.opened(entry)
    assert it.adopted(entry, 2.0)


def test_a3_another_configuration_is_refused() -> None:
    """What the call wants now is not what was opened."""
    it = pool()
    entry = parked(it)
    it.opened(entry)
    assert not it.claim(entry, "another", 3.0)
    assert (entry.outcome, entry.stage, it.wasted_s) == (ParkingOutcome.REFUSED, ParkingStage.CLOSING, 3.0)


@pytest.mark.parametrize(("at_s", "claimed"), [(LIMIT_S - 0.001, True), (LIMIT_S, False), (LIMIT_S + 0.001, False)])
def test_a8_at_its_limit_a_session_is_over(at_s: float, claimed: bool) -> None:
    """One tick before, at, and after."""
    it = pool()
    entry = parked(it)
    it.opened(entry)
    assert it.claim(entry, "print", at_s) is claimed
    assert entry.outcome is (None if claimed else ParkingOutcome.EXPIRED)


def test_a8_the_first_of_two_in_the_same_instant_wins() -> None:
    """Hang-up and adoption, in both orders."""
    first, second = pool(), pool()
    entry = parked(first)
    assert first.settle(entry, ParkingOutcome.HUNG_UP, "", 5.0)
    assert not first.claim(entry, "print", 5.0)
    other = parked(second)
    assert second.claim(other, "print", 5.0)
    assert second.adopted(other, 5.0)
    assert not second.settle(other, ParkingOutcome.HUNG_UP, "", 5.0)
    assert (entry.outcome, other.outcome) == (ParkingOutcome.HUNG_UP, ParkingOutcome.ADOPTED)


def test_rg_the_oldest_gives_way_when_the_pool_is_full() -> None:
    """Its outcome says so; those that are claimed keep their place."""
    it = pool(max_sessions=2)
    claimed, oldest = parked(it, "a"), parked(it, "b", 1.0)
    assert it.claim(claimed, "print", 2.0)
    entry, gave_way = it.park("c", "print", 50.0, 3.0)
    assert (gave_way, oldest.outcome, entry is not None) == (oldest, ParkingOutcome.EXPIRED, True)


def test_rg_or_the_newest_goes_cold() -> None:
    """By policy."""
    it = pool(max_sessions=1, when_full=WhenFull.NEWEST_GOES_COLD)
    kept = parked(it)
    assert it.park("b", "print", 50.0, 3.0) == (None, None)
    assert kept.outcome is None


def test_a_pool_of_claimed_sessions_takes_no_more() -> None:
    """Nobody gives way who is wanted."""
    it = pool(max_sessions=1)
    it.claim(parked(it), "print", 0.0)
    assert it.park("b", "print", 50.0, 3.0) == (None, None)


def test_a7_the_time_of_a_session_grows_with_the_ringing() -> None:
    """It is extended, never shortened."""
    it = pool()
    entry = parked(it)
    it.extend(entry, 100.0)
    it.extend(entry, 50.0)
    assert entry.deadline == 100.0
    assert it.claim(entry, "print", 99.0)


def test_a12_unused_time_is_counted_once() -> None:
    """Whoever reports the end of the call again."""
    it = pool()
    entry = parked(it)
    for now in (7.0, 8.0, 9.0):
        it.settle(entry, ParkingOutcome.HUNG_UP, "", now)
    told = entry.report()
    assert told is not None
    assert (it.wasted_s, it.outcomes, told.parked_s, told.wasted) == (7.0, {ParkingOutcome.HUNG_UP: 1}, 7.0, True)


@pytest.mark.parametrize("stage", [ParkingStage.OPENING, ParkingStage.READY, ParkingStage.CLAIMED])
def test_no_session_is_closed_before_it_is_known_why(stage: ParkingStage) -> None:
    """That would be a session without an outcome: a bug, which is not passed over."""
    it = pool()
    entry = parked(it)
    entry.stage = stage
    with pytest.raises(LocalProtocolError, match=f'"closed" cannot happen to a parked session that is {stage.value}'):
        it.gone(entry)
    assert entry.stage is stage


Step = Callable[[SessionPool, PoolEntry, float], object]

STEPS: dict[str, Step] = {
    "opened": lambda it, entry, _now: it.opened(entry),
    "claim": lambda it, entry, now: it.claim(entry, "print", now),
    "claim for another": lambda it, entry, now: it.claim(entry, "another", now),
    "adopt": lambda it, entry, now: it.adopted(entry, now),
    "died": lambda it, entry, now: it.settle(entry, ParkingOutcome.DIED, "", now),
    "hung up": lambda it, entry, now: it.settle(entry, ParkingOutcome.HUNG_UP, "", now),
    "shut down": lambda it, entry, now: it.settle(entry, ParkingOutcome.SHUT_DOWN, "", now),
    "expired": lambda it, entry, now: it.settle(entry, ParkingOutcome.EXPIRED, "", now),
}


def test_every_order_of_everything_that_can_happen_to_one_session() -> None:
    """Exhaustive: 40,320 orders; one outcome each, decided once, and adopted only if it was claimed before."""
    for order in itertools.permutations(STEPS):
        it = pool()
        entry = parked(it)
        outcomes: list[ParkingOutcome] = []
        for number, name in enumerate(order):
            STEPS[name](it, entry, float(number))
            if entry.outcome is not None and (not outcomes or outcomes[-1] is not entry.outcome):
                outcomes.append(entry.outcome)
        assert len(outcomes) == 1
        assert it.outcomes == {outcomes[0]: 1}
        if outcomes[0] is ParkingOutcome.ADOPTED:
            assert order.index("claim") < order.index("adopt")
        it.gone(entry)
        assert (entry.stage, it.statistics().waiting) == (ParkingStage.GONE, 0)


class PoolMachine(RuleBasedStateMachine):
    """Two calls and more, dialled again and again, with everything that can happen to their sessions."""

    @initialize(when_full=st.sampled_from(WhenFull))
    def begin(self, when_full: WhenFull) -> None:
        self.it = pool(max_sessions=2, when_full=when_full)
        self.now = 0.0
        self.entries: list[PoolEntry] = []
        self.outcomes: dict[int, ParkingOutcome] = {}

    @rule(call=st.sampled_from(["a", "b"]))
    def park(self, call: str) -> None:
        entry, gave_way = self.it.park(call, "print", self.now + LIMIT_S, self.now)
        assert gave_way is None or gave_way.outcome is ParkingOutcome.EXPIRED
        if entry is not None:
            self.entries.append(entry)

    @rule(which=st.integers(0, 5), name=st.sampled_from(sorted(STEPS)))
    def step(self, which: int, name: str) -> None:
        if self.entries:
            STEPS[name](self.it, self.entries[which % len(self.entries)], self.now)

    @rule(seconds=st.sampled_from([0.0, 1.0, LIMIT_S - 1.0, LIMIT_S]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(which=st.integers(0, 5))
    def closed(self, which: int) -> None:
        """Only what has an outcome is closed; the task that owns it sees to that."""
        if self.entries and (entry := self.entries[which % len(self.entries)]).outcome is not None:
            self.it.gone(entry)

    @invariant()
    def an_outcome_never_changes(self) -> None:
        for number, entry in enumerate(self.entries):
            if entry.outcome is not None:
                assert self.outcomes.setdefault(number, entry.outcome) is entry.outcome

    @invariant()
    def no_more_wait_than_max_sessions(self) -> None:
        assert self.it.statistics().waiting == sum(entry.waits for entry in self.entries) <= 2
        assert self.it.outcomes.total() == sum(entry.outcome is not None for entry in self.entries)


TestPool = PoolMachine.TestCase
