"""What is left of a call: its record, its recording, and the last word with the carrier.

Rule 1: a record is written as soon as nothing of the call runs any more; where
the carrier's last word comes later, it is completed by it.
Rule 2: a call that we placed and the carrier has not called over is hung up.
Rule 3: keeping a record may fail or take long; the call is over all the same, and told.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

import trio

from voicecore.audio.recording import Recording
from voicecore.engine.boundary import guarded
from voicecore.engine.hosted_call import HostedCall
from voicecore.engine.lifecycle import LifecycleParts, hang_up
from voicecore.engine.live_call import DETAIL_CHARS, Ending, LiveCall
from voicecore.engine.records import Records, trouble_of
from voicecore.engine.report import bare_report, call_report
from voicecore.errors import printable
from voicecore.facts import CallReport, EndCause
from voicecore.ports import CallStore

log = logging.getLogger("voicecore.engine")

_NO_AGENT = frozenset({EndCause.SESSION_LOST, EndCause.SESSION_REFUSED, EndCause.SESSION_UNAVAILABLE})
_RECORD_EVERY_S = 0.5  #: a crash costs at most so much of a recording


class WrapUp:
    """Files the calls of one host."""

    def __init__(self, parts: LifecycleParts, records: Records | None, may_wait: Callable[[], bool]) -> None:
        """Take ``may_wait``: whether a carrier's last word, or a disk, is still waited for."""
        self._parts = parts
        self._settings = parts.settings
        self._records = records
        self._may_wait = may_wait

    async def file(self, hosted: HostedCall, notify: Callable[[CallReport], None]) -> None:
        """Settle with the carrier, have the record written, ``tell`` the final report; not broken off.

        Returns when writing the record was tried, or ``closing_s`` after the final report.
        """
        with trio.CancelScope(shield=True):
            await hosted.placed.wait()
            if hosted.call is None:
                await self._hang_up(hosted)
            first = self._report(hosted)
            record = self._records.keep(first) if self._records is not None else None
            if self._may_wait() and _expects_status(hosted):
                with trio.move_on_after(self._settings.status_wait_s):
                    await hosted.final_status.wait()
                await self._hang_up(hosted)
            report = self._report(hosted)
            if record is not None and self._records is not None:
                self._records.complete(record, report)
            _log_end(report)
            notify(report)
            if record is not None and self._records is not None and self._may_wait():
                with trio.move_on_after(self._settings.closing_s):
                    await self._records.tried(record)

    def _report(self, hosted: HostedCall) -> CallReport:
        ending = hosted.call.ending if hosted.call is not None else hosted.ending
        ending = ending or Ending(EndCause.SHUT_DOWN, "", self._parts.world.now())
        whole: Callable[[], CallReport | None] = partial(call_report, hosted, ending, hosted.call)
        return guarded(f"call {hosted.call_id}: its report", whole, None) or bare_report(hosted, ending)

    async def _hang_up(self, hosted: HostedCall) -> None:
        with trio.move_on_after(self._settings.closing_s):
            await hang_up(hosted)


async def record_audio(
    store: CallStore, call_id: str, call: LiveCall, recording: Recording, parts: LifecycleParts
) -> None:
    """Write the recording beside the call, a piece at a time, to its end."""
    with trio.CancelScope(shield=True) as scope:
        try:
            async with store.recorder(call_id) as recorder:
                while call.ending is None:
                    with trio.move_on_after(_RECORD_EVERY_S):
                        await call.over.wait()
                    await recorder.write(recording.take(parts.world.now()))
                scope.deadline = parts.world.now() + parts.settings.closing_s
        except OSError as trouble:
            log.error("call %s: its recording stopped: %s", call_id, printable(trouble_of(trouble), 500))  # noqa: TRY400


def _log_end(report: CallReport) -> None:
    """Write the one line of a call's end; an error where there was no agent to go on with."""
    level = logging.ERROR if report.outcome in _NO_AGENT else logging.INFO
    detail = f" ({printable(report.outcome_detail, DETAIL_CHARS)})" if report.outcome_detail else ""
    log.log(level, "call %s ended: %s%s, %.1f s", report.call_id, report.outcome.value, detail, report.duration_s)


def _expects_status(hosted: HostedCall) -> bool:
    """Whether the carrier has a last word to say: of a live call, or of one that it was asked to place."""
    return hosted.call is not None or (hosted.options is not None and hosted.carrier_call_id is not None)
