"""What carriers report of calls: statuses, and the results of answering-machine detection.

Rule 1: reports come in any order, late, repeated, and of calls that nobody knows.
Rule 2: the first result of machine detection stands.

Synchronous: a webhook waits for the answer.
"""

from __future__ import annotations

from collections.abc import Callable

from voicecore.engine.call_origin import CARRIER_MOVES, Outbound, before_media
from voicecore.engine.call_registry import CallRegistry
from voicecore.engine.call_state import CallMove, CallState
from voicecore.engine.fact_dispatcher import FactDispatcher
from voicecore.engine.hosted_call import HostedCall
from voicecore.facts import AmdDecided, Answered, EndCause, Ringing
from voicecore.ports import AmdResult, StatusReport


class CarrierReports:
    """Takes the reports about one host's calls; see the methods of `voicecore.ports.CallHost`."""

    def __init__(self, registry: CallRegistry, dispatcher: FactDispatcher, now: Callable[[], float]) -> None:
        self._registry = registry
        self._dispatcher = dispatcher
        self._now = now

    def status(self, report: StatusReport) -> None:
        """Take a status callback."""
        now = self._now()
        hosted = self._registry.status(report, now)
        if hosted is None:
            return
        if not report.status.is_terminal:
            self.advance(hosted, CARRIER_MOVES[report.status])
        elif hosted.call is not None:
            hosted.call.end_soon(EndCause.REMOTE_HUNG_UP)
        else:
            hosted.end(hosted.origin.outcome(report.status), before_media(report), now)

    def amd_result(self, report: AmdResult) -> None:
        """Take a result of machine detection: a machine is hung up on, or gets its message."""
        hosted = self._registry.find(report.carrier_call_id, report.call_id)
        if hosted is None or not isinstance(outbound := hosted.origin, Outbound) or outbound.amd is not None:
            return
        now = self._now()
        self._registry.alias(hosted, report.carrier_call_id)
        outbound.amd = report
        began_at = hosted.call.began_at if hosted.call is not None else hosted.announced_at
        self._dispatcher.notify(hosted, AmdDecided(now - began_at, report.word))
        if not outbound.reached_machine:
            return
        if (message := outbound.voicemail_message) is None:
            hosted.end(EndCause.MACHINE_ANSWERED, f"the carrier heard: {report.word}", now)
        elif hosted.call is not None:
            hosted.call.reached_voicemail(message)

    def answered(self, report: AmdResult) -> str | None:
        """Return the token for the media of a call that was answered; None: hang up."""
        self.amd_result(report)
        hosted = self._registry.find(report.carrier_call_id, report.call_id)
        if hosted is None or hosted.direction != "outbound" or hosted.has_ended:
            return None
        self._registry.alias(hosted, report.carrier_call_id)
        self.advance(hosted, CallMove.ANSWERED)
        return hosted.token

    def advance(self, hosted: HostedCall, move: CallMove) -> None:
        """Take note of how far a call has got; notify where that is news."""
        now = self._now()
        if not hosted.advance(move, now):
            return
        at_s = now - hosted.announced_at
        if hosted.state is CallState.ANSWERED:
            hosted.expect_pickup()
            self._dispatcher.notify(hosted, Answered(at_s))
        elif hosted.state is CallState.RINGING:
            self._dispatcher.notify(hosted, Ringing(at_s))
