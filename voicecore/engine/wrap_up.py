"""What is done once a call has ended: its record, its recording, and the carrier's final status.

Rule 1: a record is written as soon as nothing of the call runs any more; where the
carrier's final status comes later, it completes the record.
Rule 2: a call that we placed, and that is not known to be over at the carrier, is hung up.
Rule 3: writing a record may fail or take long; the call is over all the same, and observers are notified.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

import trio

from voicecore.audio.recording import Recording
from voicecore.engine.boundary import guarded
from voicecore.engine.call_origin import Outbound
from voicecore.engine.ending import DETAIL_CHARS, Ending
from voicecore.engine.hosted_call import HostedCall
from voicecore.engine.lifecycle import LifecycleParts, hang_up_unwanted
from voicecore.engine.live_call import LiveCall
from voicecore.engine.records import Records, trouble_of
from voicecore.engine.report import bare_report, call_report
from voicecore.errors import printable
from voicecore.facts import CallReport, EndCause
from voicecore.ports import CallStore

log = logging.getLogger("voicecore.engine")

_NO_AGENT = frozenset({EndCause.SESSION_LOST, EndCause.SESSION_REFUSED, EndCause.SESSION_UNAVAILABLE})
_RECORD_EVERY_S = 0.5  #: a crash loses at most the end of a recording, of this length


class WrapUp:
    """Files the calls of one host."""

    def __init__(self, parts: LifecycleParts, records: Records | None, may_wait: Callable[[], bool]) -> None:
        """``may_wait``: whether the carrier's final status, or a disk, is still waited for."""
        self._parts = parts
        self._settings = parts.settings
        self._records = records
        self._may_wait = may_wait

    async def file(self, hosted: HostedCall, ending: Ending, notify: Callable[[CallReport], None]) -> None:
        """Settle with the carrier, have the record written, ``notify`` of the final report; cannot be cancelled.

        Returns when writing the record was tried, or ``closing_s`` after the final report.
        """
        with trio.CancelScope(shield=True):
            if isinstance(hosted.origin, Outbound):
                await hosted.origin.request_done.wait()
            if hosted.call is None:
                await self._hang_up(hosted)
            first = self._report(hosted, ending)
            record = self._records.keep(first) if self._records is not None else None
            if self._may_wait() and _expects_status(hosted):
                with trio.move_on_after(self._settings.status_wait_s):
                    await hosted.at_carrier.last_word.wait()
                await self._hang_up(hosted)
            report = self._report(hosted, ending)
            if record is not None and self._records is not None:
                self._records.complete(record, report)
            _log_end(report)
            notify(report)
            if record is not None and self._records is not None and self._may_wait():
                with trio.move_on_after(self._settings.closing_s):
                    await self._records.tried(record)

    def _report(self, hosted: HostedCall, ending: Ending) -> CallReport:
        whole: Callable[[], CallReport | None] = partial(call_report, hosted, ending, hosted.call)
        return guarded(f"call {hosted.call_id}: its report", whole, None) or bare_report(hosted, ending)

    async def _hang_up(self, hosted: HostedCall) -> None:
        with trio.move_on_after(self._settings.closing_s):
            await hang_up_unwanted(hosted)


async def record_audio(
    store: CallStore, call_id: str, call: LiveCall, recording: Recording, parts: LifecycleParts
) -> None:
    """Write the recording beside the call, a piece at a time, to its end."""
    with trio.CancelScope(shield=True) as scope:
        try:
            async with store.recorder(call_id) as recorder:
                while call.ending is None:
                    with trio.move_on_after(_RECORD_EVERY_S):
                        await call.until_ended()
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
    """Whether the carrier will send a final status: of a live call, or of one that it has placed."""
    is_placed = isinstance(hosted.origin, Outbound) and hosted.carrier_call_id is not None
    return hosted.call is not None or is_placed
