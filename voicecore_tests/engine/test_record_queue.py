"""Which records are written when: each is written in the end, or said to be lost, whatever the disk does."""

from __future__ import annotations

import itertools

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicecore.engine.record_queue import (
    NEXT_RECORD_STAGE,
    Record,
    RecordMove,
    RecordQueue,
    RecordStage,
    Writing,
    WritingSettings,
)
from voicecore.facts import CallReport
from voicecore_tests.observe.test_store import REPORT


def report_of(number: int) -> CallReport:
    return attrs.evolve(REPORT, call_id=f"call_{number}", carrier_status=None)


def queue(**settings: int) -> RecordQueue:
    return RecordQueue(WritingSettings(**settings))


OPEN = frozenset({RecordStage.OPEN, RecordStage.OPEN_FAILED, RecordStage.OPEN_KEPT})


def test_every_pair_of_stage_and_move_is_listed() -> None:
    """The table is whole; what is lost stays lost, and nothing goes back to a call that is open."""
    assert {(stage, move) for stage, row in NEXT_RECORD_STAGE.items() for move in row} == set(
        itertools.product(RecordStage, RecordMove)
    )
    assert set(NEXT_RECORD_STAGE[RecordStage.LOST].values()) == {RecordStage.LOST}
    assert not any(
        after in OPEN for stage, row in NEXT_RECORD_STAGE.items() if stage not in OPEN for after in row.values()
    )


def test_a_few_are_written_at_a_time_oldest_first() -> None:
    """200 ends at once need no 200 threads."""
    records = queue(writers=3)
    put = [records.put(report_of(number))[0] for number in range(8)]
    assert records.take(0.0) == put[:3]
    assert records.take(0.0) == []
    assert records.next_due() is None, "there is no room: asking again would spin"
    assert not records.wrote(put[1])
    assert records.take(0.0) == [put[3]]
    assert len(records.unwritten()) == 7


def test_a_failing_disk_is_tried_with_one_record_at_a_time_and_longer_pauses() -> None:
    """1, 2, 4 … 60 s; then everything at full width."""
    records = queue(writers=3)
    put = [records.put(report_of(number))[0] for number in range(5)]
    for index, record in enumerate(records.take(0.0)):
        assert records.failed(record, 0.0) is (index == 0)
    assert records.state is Writing.FAILS
    now, pauses = 0.0, []
    for _ in range(8):
        due = records.next_due()
        assert due is not None
        assert records.take(due - 0.001) == []
        pauses.append(due - now)
        now = due
        (record,) = records.take(now)
        assert not records.failed(record, now)
    assert pauses == [4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0, 60.0]
    now += 60.0
    (record,) = records.take(now)
    assert records.wrote(record), "that it works again is news"
    left = [each for each in put if each is not record]
    while records.unwritten():
        now = max(now, records.next_due() or now)
        for each in records.take(now):
            assert each in left
            records.wrote(each)


def test_one_record_that_cannot_be_written_keeps_nobody_waiting() -> None:
    """It goes behind the others, with a pause of its own."""
    records = queue()
    bad, good = (records.put(report_of(number))[0] for number in range(2))
    now, written_at = 0.0, None
    for _ in range(6):
        now = max(now, records.next_due() or now)
        for record in records.take(now):
            if record is bad:
                records.failed(record, now)
            else:
                records.wrote(record)
                written_at = now
    assert written_at == 0.0
    assert records.unwritten() == [bad]
    assert good.is_tried


def test_a_record_that_was_just_tried_goes_behind_one_that_was_not() -> None:
    """While writing fails one is tried at a time: the same one again would keep the others from it for ever."""
    records = queue(writers=1)
    tried, fresh = (records.put(report_of(number))[0] for number in range(2))
    assert records.take(0.0) == [tried]
    records.failed(tried, 0.0)
    due = records.next_due()
    assert due is not None
    assert records.take(due) == [fresh]


def test_in_a_hurry_what_was_put_off_is_tried_at_once() -> None:
    """However long its pause would be, and all of it at full width."""
    records = queue(writers=3)
    put = [records.put(report_of(number))[0] for number in range(3)]
    for record in records.take(0.0):
        records.failed(record, 0.0)
    assert records.take(0.5) == []
    records.hurry()
    assert set(records.take(0.5)) == set(put)


def test_beyond_the_bound_the_oldest_is_given_up() -> None:
    """Never one that is being written."""
    records = queue(limit=3, writers=1)
    put = [records.put(report_of(number))[0] for number in range(3)]
    assert records.take(0.0) == [put[0]]
    _, lost = records.put(report_of(3))
    assert lost is put[1]
    assert lost.is_tried
    assert records.lost == 1
    assert len(records.unwritten()) == 3


def test_a_last_report_that_says_nothing_new_is_not_written_again() -> None:
    """And one that does is; completed counts each call once."""
    records = queue()
    same, other = (records.put(report_of(number))[0] for number in range(2))
    for record in records.take(0.0):
        records.wrote(record)
    assert records.completed == 0
    assert records.complete(same, report_of(0)) is None
    assert (records.completed, records.unwritten()) == (1, [])
    assert records.complete(other, attrs.evolve(other.report, carrier_status="completed")) is None
    assert not other.is_tried
    assert records.take(0.0) == [other]
    records.wrote(other)
    assert (records.completed, records.unwritten(), other.is_tried) == (2, [], True)


def test_what_is_learned_while_the_first_report_is_being_written_is_written_after_it() -> None:
    """The newest report is the one that counts."""
    records = queue()
    record, _ = records.put(report_of(0))
    assert records.take(0.0) == [record]
    newest = attrs.evolve(record.report, carrier_status="completed")
    records.complete(record, newest)
    records.wrote(record)
    assert (records.completed, record.is_tried) == (0, False)
    assert records.take(0.0) == [record]
    assert record.in_hand is newest
    records.wrote(record)
    assert (records.completed, records.unwritten()) == (1, [])


class Disk:
    """A book, what was put into it, and what is being written."""

    def __init__(self, limit: int) -> None:
        self.queue = queue(limit=limit, writers=2)
        self.now = 0.0
        self.in_hand: list[Record] = []
        self.made: list[Record] = []
        self.lost: set[int] = set()

    def put(self, _: st.DataObject) -> None:
        record, lost = self.queue.put(report_of(len(self.made)))
        self.made.append(record)
        self._lose(lost)

    def complete(self, data: st.DataObject) -> None:
        if open_ones := [record for record in self.made if record.stage in OPEN]:
            record = data.draw(st.sampled_from(open_ones))
            word = data.draw(st.sampled_from([None, "completed"]))
            self._lose(self.queue.complete(record, attrs.evolve(record.report, carrier_status=word)))

    def take(self, _: st.DataObject) -> None:
        self.in_hand += self.queue.take(self.now)

    def wrote(self, data: st.DataObject) -> None:
        if self.in_hand:
            self.queue.wrote(self._pick(data))

    def failed(self, data: st.DataObject) -> None:
        if self.in_hand:
            self.queue.failed(self._pick(data), self.now)

    def wait(self, data: st.DataObject) -> None:
        self.now += data.draw(st.sampled_from([0.5, 1.0, 60.0]))

    def write_all(self) -> None:
        for record in self.in_hand:
            self.queue.wrote(record)
        for record in self.made:
            if record.stage in OPEN:
                self._lose(self.queue.complete(record, record.report))
        while (due := self.queue.next_due()) is not None:
            self.now = max(self.now, due)
            for record in self.queue.take(self.now):
                self.queue.wrote(record)

    def _pick(self, data: st.DataObject) -> Record:
        return self.in_hand.pop(data.draw(st.integers(0, len(self.in_hand) - 1)))

    def _lose(self, record: Record | None) -> None:
        if record is not None:
            self.lost.add(id(record))


STEPS = (Disk.put, Disk.complete, Disk.take, Disk.wrote, Disk.failed, Disk.wait)


@pytest.mark.parametrize("limit", [2, 1000])
@given(data=st.data())
def test_whatever_happens_each_record_is_written_or_lost_and_nothing_else(limit: int, data: st.DataObject) -> None:
    """Any order of ends, statuses, successes and failures: conservation, bounds, and an end where the disk works."""
    disk = Disk(limit)
    for step in data.draw(st.lists(st.sampled_from(STEPS), max_size=25)):
        step(disk, data)
        assert len(disk.in_hand) <= 2
        assert len(disk.queue.unwritten()) <= limit + 2
        assert disk.queue.lost == len(disk.lost)
    disk.write_all()
    assert disk.queue.unwritten() == []
    assert all(record.is_tried and (record.is_kept or id(record) in disk.lost) for record in disk.made)
    assert disk.queue.completed == sum(1 for record in disk.made if id(record) not in disk.lost)
