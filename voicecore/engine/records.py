"""Writes the records of one host: each is written, or kept in memory, retried and logged.

    open_records     one writer task, which outlives every call of the host
    └── write_one    one record at a time, a few of them side by side

Rule 1: only this task waits for the disk; others may wait for it, for a bounded time.
Rule 2: a failure is logged once, and so is its end; in between once a minute at most.
Rule 3: when the host closes, each record is tried once more, within a bound; one that is
then not known to be written goes into the log, whole, in lines that log collectors accept.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

import trio

from voicecore.engine.alarm import Alarm
from voicecore.engine.boundary import contained, guarded
from voicecore.engine.record_queue import Record, RecordQueue, Writing, WritingSettings
from voicecore.errors import pieces, printable
from voicecore.facts import CallReport
from voicecore.nurseries import open_service_nursery
from voicecore.ports import CallStore
from voicecore.world import World

log = logging.getLogger("voicecore.engine")

_LOG_EVERY_S = 60.0
_PIECE_BYTES = 6000  #: of a record, in one line of the log


class Records:
    """The records of one host. Made by `open_records`."""

    def __init__(self, store: CallStore, world: World, settings: WritingSettings) -> None:
        self.queue = RecordQueue(settings)
        self._store = store
        self._world = world
        self._slow_s = settings.slow_s
        self._alarm = Alarm()
        self._changed = trio.Event()
        self._scope = trio.CancelScope(shield=True)
        self._logs_again_at = float("-inf")

    def keep(self, report: CallReport) -> Record:
        """Have a call's first report written as soon as possible; a more complete one may follow."""
        record, lost = self.queue.put(report)
        self._wake(lost)
        return record

    def complete(self, record: Record, report: CallReport) -> None:
        """Take the last report of a call; where it differs from the first, the record is written again."""
        self._wake(self.queue.complete(record, report))

    async def tried(self, record: Record) -> None:
        """Return once the record as it stands was written, or writing it has failed."""
        while not record.is_tried:
            await self._changed.wait()

    async def idle(self) -> None:
        """Return once every record is written; where writing fails, at once: those that wait may wait long."""
        while self.queue.unwritten() and self.queue.state is Writing.WORKS:
            await self._changed.wait()

    # --- the writer's side ------------------------------------------------------------

    async def write(self) -> None:
        """Write what is due, until `close` ends it."""
        with self._scope:
            async with trio.open_nursery() as nursery:
                while True:
                    for record in self.queue.take(self._world.now()):
                        nursery.start_soon(self._write_one, record)
                    await self._alarm.wait_until(self.queue.next_due())

    async def close(self, bound_s: float) -> None:
        """Try everything once more, within ``bound_s``; log what is not known to be written, and end the writer."""
        self.queue.hurry()
        self._wake()
        with trio.move_on_after(bound_s):
            while not all(record.is_tried for record in self.queue.unwritten()):
                await self._changed.wait()
        for record in self.queue.unwritten():
            self.queue.give_up(record)
            self._log_whole(record, "could not be written before the engine closed; here it is")
        self._scope.cancel()

    async def _write_one(self, record: Record) -> None:
        call_id = record.report.call_id
        await contained(f"call {call_id}: the writing of its record", partial(self._try, record, record.report))
        if record.in_hand is not None:  # an exception that no disk raises; the traceback is in the log
            self._failed(record, "an unexpected error, see above")
        self._change()

    async def _try(self, record: Record, report: CallReport) -> None:
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._log_when_slow, report.call_id)
                await self._store.save(report)
                nursery.cancel_scope.cancel()
        except* OSError as trouble:
            self._failed(record, trouble_of(trouble))
        else:
            if self.queue.wrote(record):
                log.warning("records are being written again; %d still wait", len(self.queue.unwritten()))

    def _failed(self, record: Record, why: str) -> None:
        now = self._world.now()
        if self.queue.failed(record, now) or now >= self._logs_again_at:
            self._logs_again_at = now + _LOG_EVERY_S
            waiting = len(self.queue.unwritten())
            message = (
                "call %s: its record could not be written: %s; it is kept and will be retried; records waiting: %d"
            )
            log.error(message, record.report.call_id, printable(why, 500), waiting)

    async def _log_when_slow(self, call_id: str) -> None:
        await trio.sleep(self._slow_s)
        if self._world.now() >= self._logs_again_at:
            self._logs_again_at = self._world.now() + _LOG_EVERY_S
            waiting = len(self.queue.unwritten())
            log.warning(
                "call %s: writing its record has taken %.0f s so far; records waiting: %d",
                call_id,
                self._slow_s,
                waiting,
            )

    # --- inside -----------------------------------------------------------------------

    def _wake(self, lost: Record | None = None) -> None:
        if lost is not None:
            self._log_whole(lost, "was dropped to make room for newer ones; here it is")
        self._alarm.bring_forward(self.queue.next_due())
        self._change()

    def _change(self) -> None:
        self._changed.set()
        self._changed = trio.Event()
        self._alarm.bring_forward(self.queue.next_due())

    def _log_whole(self, record: Record, why: str) -> None:
        call_id, report = record.report.call_id, record.report
        whole: Callable[[], str] = partial(self._store.one_line, report)
        text = guarded(f"call {call_id}: putting its record into one line", whole, "")
        parts = pieces(text, _PIECE_BYTES)
        for number, part in enumerate(parts, 1):
            of = f" (part {number} of {len(parts)})" if len(parts) > 1 else ""
            log.error("call %s: its record %s%s: %s", call_id, why, of, part)


def trouble_of(trouble: BaseException) -> str:
    """Return a disk's error as one line: what was wrong, and with which file."""
    while isinstance(trouble, BaseExceptionGroup):
        trouble = trouble.exceptions[0]
    if isinstance(trouble, OSError) and trouble.strerror:
        return f"{trouble.filename}: {trouble.strerror}" if trouble.filename else trouble.strerror
    return str(trouble) or type(trouble).__name__


@asynccontextmanager
async def open_records(
    store: CallStore, world: World, settings: WritingSettings, closing_s: float
) -> AsyncIterator[Records]:
    """Write records until the block is left; then each that waits is tried once more, within ``closing_s``."""
    records = Records(store, world, settings)
    async with open_service_nursery() as nursery:
        nursery.start_soon(contained, "the writer of records", records.write)
        try:
            yield records
        finally:
            with trio.CancelScope(shield=True):
                await records.close(closing_s)
