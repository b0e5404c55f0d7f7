"""What is left of a call: its record, its recording, and the last word with the carrier.

Rule 1: a report is made once, when nothing of the call runs any more and the
carrier has had its time to say its last word.
Rule 2: a call that we placed and the carrier has not called over is hung up.
Rule 3: keeping a record may fail; the call is over all the same, and told.

Used by engine/host.py.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import trio

from voicecore.audio.recording import Recording
from voicecore.engine.call import Call, Ending
from voicecore.engine.entry import CallEntry
from voicecore.engine.life import LifeParts, hang_up
from voicecore.engine.report import call_report
from voicecore.errors import printable
from voicecore.facts import CallReport, EndCause
from voicecore.ports import CallStore

log = logging.getLogger("voicecore.engine")

_NO_AGENT = frozenset({EndCause.SESSION_LOST, EndCause.SESSION_REFUSED, EndCause.SESSION_UNAVAILABLE})
_RECORD_EVERY_S = 0.5  #: a crash costs at most so much of a recording


class Filing:
    """Files the calls of one host."""

    def __init__(self, parts: LifeParts, store: CallStore | None, may_wait: Callable[[], bool]) -> None:
        """Take ``may_wait``: whether a carrier's last word is still waited for."""
        self._parts = parts
        self._settings = parts.settings
        self._store = store
        self._may_wait = may_wait

    async def file(self, entry: CallEntry) -> CallReport:
        """Settle with the carrier, wait (bounded) for its last word, then keep the report; not broken off."""
        with trio.CancelScope(shield=True):
            await entry.placed.wait()
            if entry.call is None:
                await self._hang_up(entry)
            if self._may_wait() and _expects_status(entry):
                with trio.move_on_after(self._settings.status_wait_s):
                    await entry.final_status.wait()
                await self._hang_up(entry)
            ending = entry.call.ending if entry.call is not None else entry.ending
            report = call_report(entry, ending or Ending(EndCause.SHUT_DOWN, "", self._parts.world.now()))
            with trio.move_on_after(self._settings.closing_s):
                await self._save(report)
        _log_end(report)
        return report

    async def record(self, call_id: str, call: Call, recording: Recording) -> None:
        """Write the recording beside the call, a piece at a time, to its end."""
        if self._store is None:
            return
        with trio.CancelScope(shield=True) as scope:
            try:
                async with self._store.recorder(call_id) as recorder:
                    while call.ending is None:
                        with trio.move_on_after(_RECORD_EVERY_S):
                            await call.over.wait()
                        await recorder.write(recording.take(self._parts.world.now()))
                    scope.deadline = self._parts.world.now() + self._settings.closing_s
            except OSError as error:
                log.error("call %s: its recording stopped: %s", call_id, error.strerror)  # noqa: TRY400

    async def _hang_up(self, entry: CallEntry) -> None:
        with trio.move_on_after(self._settings.closing_s):
            await hang_up(entry, self._parts)

    async def _save(self, report: CallReport) -> None:
        if self._store is None:
            return
        try:
            await self._store.save(report)
        except OSError as error:
            log.error("call %s: its record could not be kept: %s", report.call_id, error.strerror)  # noqa: TRY400


def _log_end(report: CallReport) -> None:
    """Write the one line of a call's end; an error where there was no agent to go on with."""
    level = logging.ERROR if report.outcome in _NO_AGENT else logging.INFO
    detail = f" ({printable(report.outcome_detail)})" if report.outcome_detail else ""
    log.log(level, "call %s ended: %s%s, %.1f s", report.call_id, report.outcome.value, detail, report.duration_s)


def _expects_status(entry: CallEntry) -> bool:
    """Whether the carrier has a last word to say: of a live call, or of one that it was asked to place."""
    return entry.call is not None or (entry.options is not None and entry.carrier_call_id is not None)
