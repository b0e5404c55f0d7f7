"""Which records are written when: each is kept in memory until it is, however long the disk fails.

    OPEN         a call's first report, not tried yet; a more complete one may follow
    OPEN_FAILED  writing it has failed; it is tried again
    OPEN_KEPT    the store has the first report
    LAST         the last report, not tried yet
    LAST_FAILED  writing it has failed; it is tried again
    DONE         the store has the last report
    LOST         given up

Rule 1: a call has one record at most; a newer report replaces the older one.
Rule 2: while writing fails, one record at a time is tried, after a pause that
doubles; one that fails goes behind the others, so that it cannot keep them waiting.
Rule 3: bounded: beyond ``limit`` the oldest is given up, and returned to whoever put in the newest.

Pure; time is an argument.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

import attrs

from voicecore import kinds
from voicecore.facts import CallReport


class Writing(enum.Enum):
    """Whether records can be written, as far as the last try shows."""

    WORKS = "works"
    FAILS = "fails"


class RecordStage(enum.Enum):
    """The stages; see the head of this file."""

    OPEN = "open"
    OPEN_FAILED = "open, failed"
    OPEN_KEPT = "open, kept"
    LAST = "last"
    LAST_FAILED = "last, failed"
    DONE = "done"
    LOST = "lost"


class RecordMove(enum.Enum):
    """What can happen to a record. The result of writing a report that was replaced meanwhile is no move."""

    COMPLETED = "completed"  #: the last report has come, and differs from the first
    CONFIRMED = "confirmed"  #: the last report has come, and is the same
    WRITTEN = "written"
    FAILED = "failed"
    HURRIED = "hurried"  #: it is tried once more, and that try counts
    GIVEN_UP = "given up"


_S, _M = RecordStage, RecordMove
NEXT_RECORD_STAGE: Mapping[RecordStage, Mapping[RecordMove, RecordStage]] = {
    _S.OPEN: {
        _M.COMPLETED: _S.LAST,
        _M.CONFIRMED: _S.LAST,
        _M.WRITTEN: _S.OPEN_KEPT,
        _M.FAILED: _S.OPEN_FAILED,
        _M.HURRIED: _S.OPEN,
        _M.GIVEN_UP: _S.LOST,
    },
    _S.OPEN_FAILED: {
        _M.COMPLETED: _S.LAST,
        _M.CONFIRMED: _S.LAST_FAILED,
        _M.WRITTEN: _S.OPEN_KEPT,
        _M.FAILED: _S.OPEN_FAILED,
        _M.HURRIED: _S.OPEN,
        _M.GIVEN_UP: _S.LOST,
    },
    _S.OPEN_KEPT: {**dict.fromkeys(RecordMove, _S.OPEN_KEPT), _M.COMPLETED: _S.LAST, _M.CONFIRMED: _S.DONE},
    _S.LAST: {
        _M.COMPLETED: _S.LAST,
        _M.CONFIRMED: _S.LAST,
        _M.WRITTEN: _S.DONE,
        _M.FAILED: _S.LAST_FAILED,
        _M.HURRIED: _S.LAST,
        _M.GIVEN_UP: _S.LOST,
    },
    _S.LAST_FAILED: {
        _M.COMPLETED: _S.LAST,
        _M.CONFIRMED: _S.LAST_FAILED,
        _M.WRITTEN: _S.DONE,
        _M.FAILED: _S.LAST_FAILED,
        _M.HURRIED: _S.LAST,
        _M.GIVEN_UP: _S.LOST,
    },
    _S.DONE: {**dict.fromkeys(RecordMove, _S.DONE), _M.COMPLETED: _S.LAST},
    _S.LOST: dict.fromkeys(RecordMove, _S.LOST),
}
_UNTRIED = frozenset({RecordStage.OPEN, RecordStage.LAST})
_KEPT = frozenset({RecordStage.OPEN_KEPT, RecordStage.DONE})


@attrs.define(eq=False, kw_only=True)
class Record:
    """One call's record on its way to the store."""

    report: CallReport
    stage: RecordStage = RecordStage.OPEN
    in_hand: CallReport | None = None
    """What is being written now."""
    due: float = float("-inf")
    """Not before this moment."""
    tries: int = 0
    """How often writing it has failed."""

    def move(self, move: RecordMove) -> None:
        """Make one move. Every pair is legal; see the table."""
        self.stage = NEXT_RECORD_STAGE[self.stage][move]

    @property
    def is_tried(self) -> bool:
        """Whether the report as it stands was written, or writing it has failed, or it was given up."""
        return self.stage not in _UNTRIED

    @property
    def is_kept(self) -> bool:
        """Whether the store has all there is."""
        return self.stage in _KEPT


@attrs.frozen(kw_only=True)
class WritingSettings:
    """Bounds of what waits to be written; seconds."""

    limit: int = attrs.field(default=1000, validator=kinds.whole(1))
    """Records that are kept in memory."""
    writers: int = attrs.field(default=4, validator=kinds.whole(1))
    """Records that are written at the same time."""
    pause_s: float = attrs.field(default=1.0, validator=kinds.seconds(above=0))
    """After a failure; doubled by each further one."""
    longest_pause_s: float = attrs.field(default=60.0, validator=kinds.seconds(above=0))
    slow_s: float = attrs.field(default=5.0, validator=kinds.seconds(above=0))
    """A write that takes longer is logged."""


class RecordQueue:
    """All records that are not written."""

    def __init__(self, settings: WritingSettings) -> None:
        self.state = Writing.WORKS
        self.completed = 0
        """Calls whose final record was written."""
        self.lost = 0
        """Records that were given up."""
        self._settings = settings
        self._records: dict[Record, None] = {}  # oldest first; bounded by settings.limit and what is in hand
        self._failures = 0  # in a row
        self._resumes_at = float("-inf")

    def put(self, report: CallReport) -> tuple[Record, Record | None]:
        """Take a call's first report; return its record, and the one that was given up to make room."""
        record = Record(report=report)
        return record, self._enter(record)

    def complete(self, record: Record, report: CallReport) -> Record | None:
        """Take a call's last report; one that is the same is not written again.

        Returns the record that was given up to make room.
        """
        if record.stage is RecordStage.LOST:
            return None  # it is in the log
        is_news = record.report != report
        if is_news:
            record.report = report
        record.move(RecordMove.COMPLETED if is_news else RecordMove.CONFIRMED)
        if record.stage is RecordStage.DONE:
            self.completed += 1
            return None
        return self._enter(record)

    def take(self, now: float) -> list[Record]:
        """Return the records to be written now; each of them comes back by `wrote` or by `failed`."""
        if now < self._resumes_at:
            return []
        due = [record for record in self._records if record.in_hand is None and record.due <= now]
        taken = due[: self._room()]
        for record in taken:
            record.in_hand = record.report
        return taken

    def wrote(self, record: Record) -> bool:
        """Take note that what was in hand is written; return whether writing had failed before."""
        recovered = self.state is Writing.FAILS
        self._works()
        if record.in_hand is record.report:
            record.move(RecordMove.WRITTEN)
        record.in_hand = None
        record.tries, record.due = 0, float("-inf")
        if record.is_kept:
            self._records.pop(record, None)
            self.completed += record.stage is RecordStage.DONE
        return recovered

    def failed(self, record: Record, now: float) -> bool:
        """Take note that what was in hand could not be written; return whether writing has worked before."""
        is_news = self.state is Writing.WORKS
        self.state = Writing.FAILS
        self._failures += 1
        self._resumes_at = now + self._pause_s(self._failures)
        record.tries += 1
        record.due = now + self._pause_s(record.tries)
        if record.in_hand is record.report:
            record.move(RecordMove.FAILED)
        record.in_hand = None
        if record in self._records:  # it goes behind the others
            del self._records[record]
            self._records[record] = None
        return is_news

    def hurry(self) -> None:
        """Have everything tried now, by all writers: the host is closing."""
        self._works()
        for record in self._records:
            record.due = float("-inf")
            record.move(RecordMove.HURRIED)

    def give_up(self, record: Record) -> None:
        """Forget a record; the caller logs it."""
        del self._records[record]
        self.lost += 1
        record.move(RecordMove.GIVEN_UP)

    def next_due(self) -> float | None:
        """Return when to call `take`; None: not before something happens."""
        dues = [record.due for record in self._records if record.in_hand is None]
        return max(min(dues), self._resumes_at) if dues and self._room() else None

    def unwritten(self) -> list[Record]:
        """Return every record whose newest report the store does not have, the oldest first."""
        return list(self._records)

    def _enter(self, record: Record) -> Record | None:
        lost = None
        if record not in self._records and len(self._records) >= self._settings.limit:
            lost = next((each for each in self._records if each.in_hand is None), None)
            if lost is not None:
                self.give_up(lost)
        self._records[record] = None
        return lost

    def _room(self) -> int:
        """Return how many more may be written at the same time."""
        in_hand = sum(1 for record in self._records if record.in_hand is not None)
        return max(0, (1 if self.state is Writing.FAILS else self._settings.writers) - in_hand)

    def _works(self) -> None:
        self.state, self._failures, self._resumes_at = Writing.WORKS, 0, float("-inf")

    def _pause_s(self, failures: int) -> float:
        return min(self._settings.pause_s * 2.0 ** min(failures - 1, 32), self._settings.longest_pause_s)
