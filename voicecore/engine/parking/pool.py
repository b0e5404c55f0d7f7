"""Which session is parked for which call, and what becomes of it.

    OPENING  it is being opened
    READY    it is open and waits for its call
    CLAIMED  its call was picked up: it is checked, or waited for while it is still opening
    ADOPTED  its call uses it
    CLOSING  no call will use it; its connection is being closed
    GONE     its connection is closed

Rule 1: a parked session has exactly one outcome.  Every change is one synchronous
step; of adopting, expiring, hanging up and shutting down in the same instant the
first wins, and the others find that it is settled.
Rule 2: a session is adopted only if it is the one that the call wants: the
fingerprint of its configuration decides.
Rule 3: at most ``max_sessions`` wait; `WhenFull` says which one gives way.
Rule 4: unused time is counted once, when the outcome is known.

Pure; time is an argument.  The tasks that own the sessions are in parked_session.py.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Mapping

import attrs

from voicecore import kinds
from voicecore.errors import LocalProtocolError
from voicecore.events import TokenUsage
from voicecore.facts import ParkedReport, ParkingOutcome


class WhenFull(enum.Enum):
    """What happens when ``max_sessions`` are parked and another call rings."""

    OLDEST_GIVES_WAY = "oldest_gives_way"  #: the one that has waited longest is closed; its call goes cold
    NEWEST_GOES_COLD = "newest_goes_cold"  #: the new call parks nothing


@attrs.frozen(kw_only=True)
class ParkingSettings:
    """Bounds of parked sessions; seconds."""

    enabled: bool = attrs.field(default=True, validator=kinds.SWITCH)
    """Off: every session is opened when the media begins."""
    max_sessions: int = attrs.field(default=200, validator=kinds.whole(1, 10_000))
    """Sessions that wait at once."""
    when_full: WhenFull = attrs.field(default=WhenFull.OLDEST_GIVES_WAY, validator=kinds.member(WhenFull))
    """Which call opens its session at pick-up when more calls ring than that."""
    probe_every_s: float = attrs.field(default=5.0, validator=kinds.seconds(above=0))
    """A parked peer that said nothing for so long is pinged: it may drop idle connections."""
    fresh_s: float = attrs.field(default=1.0, validator=kinds.seconds())
    """At adoption, a sign of life younger than this is proof; otherwise the peer is pinged."""
    proof_s: float = attrs.field(default=0.5, validator=kinds.seconds(above=0))
    """How long a ping may take; then the session counts as dead."""
    open_wait_s: float = attrs.field(default=5.0, validator=kinds.seconds(above=0))
    """How long a call waits at pick-up for a session that is still opening, before it goes cold."""
    retries: int = attrs.field(default=3, validator=kinds.whole(0))
    """How often a session that died while the phone rang is replaced."""
    retry_pause_s: float = attrs.field(default=0.5, validator=kinds.seconds())
    prepared_limit_s: float = attrs.field(default=60.0, validator=kinds.seconds(above=0))
    """Speech that a session may generate before pick-up; beyond it, it is given up."""
    close_s: float = attrs.field(default=2.0, validator=kinds.seconds(above=0))
    """How long the end of a call waits for its session to be closed."""


class ParkingStage(enum.Enum):
    """The stages; see the head of this file."""

    OPENING = "opening"
    READY = "ready"
    CLAIMED = "claimed"
    ADOPTED = "adopted"
    CLOSING = "closing"
    GONE = "gone"


class ParkingMove(enum.Enum):
    """What can happen to a parked session."""

    OPENED = "opened"
    CLAIM = "claim"  #: its call wants it
    ADOPT = "adopt"  #: it was checked, and its call has it
    GIVE_UP = "give up"  #: no call will use it
    CLOSED = "closed"


_S, _M = ParkingStage, ParkingMove
NEXT_PARKING_STAGE: Mapping[ParkingStage, Mapping[ParkingMove, ParkingStage]] = {
    _S.OPENING: {
        _M.OPENED: _S.READY,
        _M.CLAIM: _S.CLAIMED,
        _M.ADOPT: _S.OPENING,
        _M.GIVE_UP: _S.CLOSING,
    },
    _S.READY: {
        _M.OPENED: _S.READY,
        _M.CLAIM: _S.CLAIMED,
        _M.ADOPT: _S.READY,
        _M.GIVE_UP: _S.CLOSING,
    },
    _S.CLAIMED: {
        _M.OPENED: _S.CLAIMED,
        _M.CLAIM: _S.CLAIMED,
        _M.ADOPT: _S.ADOPTED,
        _M.GIVE_UP: _S.CLOSING,
    },
    _S.ADOPTED: {**dict.fromkeys(ParkingMove, _S.ADOPTED), _M.CLOSED: _S.GONE},
    _S.CLOSING: {**dict.fromkeys(ParkingMove, _S.CLOSING), _M.CLOSED: _S.GONE},
    _S.GONE: dict.fromkeys(ParkingMove, _S.GONE),
}
"""A session is closed only once it was adopted or given up; what comes too late, or too early, changes nothing."""


@attrs.define(eq=False)
class PoolEntry:
    """One session's entry."""

    call_id: str
    fingerprint: str
    deadline: float
    began_at: float
    stage: ParkingStage = ParkingStage.OPENING
    outcome: ParkingOutcome | None = None
    detail: str = ""
    settled_at: float | None = None
    prepared_s: float = 0.0
    """Speech that was generated before pick-up."""
    usage: TokenUsage = attrs.field(factory=TokenUsage)
    """What that cost."""

    @property
    def waits(self) -> bool:
        """Whether its outcome is open."""
        return self.stage in {ParkingStage.OPENING, ParkingStage.READY, ParkingStage.CLAIMED}

    def move(self, move: ParkingMove) -> bool:
        """Make one move; return whether the stage has changed.

        Raises:
            LocalProtocolError: The move is not possible in this stage.
        """
        before, after = self.stage, NEXT_PARKING_STAGE[self.stage].get(move)
        if after is None:
            raise LocalProtocolError(f'"{move.value}" cannot happen to a parked session that is {before.value}')
        self.stage = after
        return after is not before

    def report(self) -> ParkedReport | None:
        """Return what became of it; None while that is open."""
        if self.outcome is None or self.settled_at is None:
            return None
        return ParkedReport(
            outcome=self.outcome,
            detail=self.detail,
            parked_s=self.settled_at - self.began_at,
            wasted=self.outcome is not ParkingOutcome.ADOPTED,
            prepared_s=self.prepared_s,
        )


@attrs.frozen(kw_only=True)
class ParkingStatistics:
    """What became of all parked sessions so far."""

    waiting: int
    """Sessions that wait for their call now."""
    outcomes: Mapping[ParkingOutcome, int]
    used_s: float
    """Parked time of sessions that were adopted."""
    wasted_s: float
    """Parked time of those that were not."""

    @property
    def unused(self) -> int:
        """Sessions that no call adopted."""
        return sum(count for outcome, count in self.outcomes.items() if outcome is not ParkingOutcome.ADOPTED)


class SessionPool:
    """All parked sessions of one host."""

    def __init__(self, settings: ParkingSettings | None = None) -> None:
        self.settings = settings or ParkingSettings()
        self.outcomes: Counter[ParkingOutcome] = Counter()
        self.used_s = 0.0
        """Parked time of sessions that were adopted."""
        self.wasted_s = 0.0
        """Parked time of those that were not."""
        self._entries: list[PoolEntry] = []  # not gone, oldest first; those that wait are at most max_sessions

    def park(
        self, call_id: str, fingerprint: str, deadline: float, now: float
    ) -> tuple[PoolEntry | None, PoolEntry | None]:
        """Enter a session that is about to be opened.

        Returns its entry (None: the pool is full, and the call opens a session cold), and the entry that gave way.
        """
        waiting = [entry for entry in self._entries if entry.waits]
        gives_way = None
        if len(waiting) >= self.settings.max_sessions:
            gives_way = next((entry for entry in waiting if entry.stage is not ParkingStage.CLAIMED), None)
            if gives_way is None or self.settings.when_full is WhenFull.NEWEST_GOES_COLD:
                return None, None
            self.settle(gives_way, ParkingOutcome.EXPIRED, "gave way to a newer call", now)
        entry = PoolEntry(call_id, fingerprint, deadline, now)
        self._entries.append(entry)
        return entry, gives_way

    def opened(self, entry: PoolEntry) -> bool:
        """Its session is open; return whether it is still wanted."""
        entry.move(ParkingMove.OPENED)
        return entry.waits

    def extend(self, entry: PoolEntry, deadline: float) -> None:
        """Let it wait until ``deadline`` at least."""
        entry.deadline = max(entry.deadline, deadline)

    def claim(self, entry: PoolEntry, fingerprint: str, now: float) -> bool:
        """Take it for its call; from here on only the call, a lost connection or the shutdown decide its outcome."""
        if entry.stage not in {ParkingStage.OPENING, ParkingStage.READY}:
            return False
        if now >= entry.deadline:
            self.settle(entry, ParkingOutcome.EXPIRED, "its time was over", now)
        elif fingerprint != entry.fingerprint:
            self.settle(entry, ParkingOutcome.REFUSED, "the call wants another configuration", now)
        else:
            return entry.move(ParkingMove.CLAIM)
        return False

    def adopted(self, entry: PoolEntry, now: float) -> bool:
        """The call has it, alive: adopted. False where its outcome was settled first."""
        return entry.move(ParkingMove.ADOPT) and self._decide(entry, ParkingOutcome.ADOPTED, "", now)

    def settle(self, entry: PoolEntry, outcome: ParkingOutcome, detail: str, now: float) -> bool:
        """Give it up for a reason; return whether this was the first."""
        return entry.move(ParkingMove.GIVE_UP) and self._decide(entry, outcome, detail, now)

    def gone(self, entry: PoolEntry) -> None:
        """Its connection is closed."""
        if entry.move(ParkingMove.CLOSED):
            self._entries.remove(entry)

    def statistics(self) -> ParkingStatistics:
        """Return what became of all of them."""
        waiting = sum(entry.waits for entry in self._entries)
        return ParkingStatistics(
            waiting=waiting,
            outcomes=dict(self.outcomes),
            used_s=round(self.used_s, 3),
            wasted_s=round(self.wasted_s, 3),
        )

    def _decide(self, entry: PoolEntry, outcome: ParkingOutcome, detail: str, now: float) -> bool:
        entry.outcome, entry.detail, entry.settled_at = outcome, detail, now
        self.outcomes[outcome] += 1
        parked_s = now - entry.began_at
        if outcome is ParkingOutcome.ADOPTED:
            self.used_s += parked_s
        else:
            self.wasted_s += parked_s
        return True
