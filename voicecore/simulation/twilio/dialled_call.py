"""One call that the application placed: it is queued, rings, is answered or not, and ends once.

Rule 1: it ends with a final status; whoever ends it first (the callee, the
application, the REST interface, the carrier) is kept as `ended_by`.
Rule 2: what the application does wrong on the way is a violation, and ends at most
this call, as it does at Twilio.
Rule 3: the task that runs a call ends with it; when cancelled, it leaves no socket.

Facts: docs/protocols/twilio-media-streams.md, sections 6 to 10.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal

import attrs
import trio

from voicecore.errors import ConnectionLost, HandshakeRefused, RemoteProtocolError
from voicecore.nurseries import open_service_nursery
from voicecore.simulation.twilio.application_client import ApplicationClient
from voicecore.simulation.twilio.call_flow import CallFlow, CallFlowSettings
from voicecore.simulation.twilio.carrier_call import CarrierCall
from voicecore.simulation.twilio.dial_request import AmdRequest, DialRequest
from voicecore.simulation.twilio.line import LineEnd
from voicecore.simulation.twilio.plan import DialPlan, Pickup
from voicecore.simulation.twilio.progress import CallProgress
from voicecore.simulation.twilio.twiml import Verb, read_twiml

RING_GRACE_S = 5.0  #: Twilio rings about this much longer than Timeout says

DialEnd = Literal["callee", "application", "rest", "carrier"]
"""Who ended a call: "application" by closing the stream or by TwiML, "rest" by the REST interface."""

_END_OF_LINE: Mapping[LineEnd | None, DialEnd] = {"application": "application", "rest": "rest", "fault": "carrier"}


class DialledCall(CarrierCall):
    """One call that was placed. Made by the REST interface, kept in `TwilioTwin.dials`."""

    def __init__(
        self, application: ApplicationClient, request: DialRequest, plan: DialPlan, rung: Counter[str]
    ) -> None:
        self.request = request
        self.plan = plan
        self.answered_sid = application.new_sid("CA")
        """The CallSid that the REST answer gave."""
        self.call_sid = application.new_sid("CA") if plan.switches_id else self.answered_sid
        """The CallSid of callbacks and stream."""
        self.ended_by: DialEnd | None = None
        self.over = trio.Event()
        """Set once the call is over and every callback about it was delivered."""
        self._application = application
        self._rung = rung
        self._scope = trio.CancelScope()
        progress = self._new_progress()
        super().__init__(progress, self._new_flow(progress), application.world.wall_clock())

    @property
    def statuses(self) -> Sequence[str]:
        """The statuses whose callbacks were sent, in order, repeats included."""
        return self._progress.sent

    @property
    def rang(self) -> int:
        """How often a phone rang for this number, for this call or another."""
        return self._rung[self.request.to]

    def is_named(self, call_sid: str) -> bool:
        """Whether this is one of its CallSids."""
        return call_sid in {self.call_sid, self.answered_sid}

    # --- by REST -----------------------------------------------------------------------

    def complete(self) -> None:
        """End the call: a stream is stopped; one that was not answered is canceled."""
        if self._progress.answered_at is None:
            self.cancel()
        elif self.line is None:
            self._ends("rest")
            self._scope.cancel()
        else:
            self._flow.stop()
            self.line.end("rest")

    def cancel(self) -> None:
        """End the call if it was not answered; an answered one goes on."""
        if self._progress.answered_at is None:
            self._ends("rest", "canceled")
            self._scope.cancel()

    # --- the call ----------------------------------------------------------------------

    async def run(self) -> None:
        """Run the call until its last callback was delivered."""
        try:
            async with open_service_nursery() as nursery:
                nursery.start_soon(self._progress.deliver)
                with self._scope:
                    await self._wait_for_answer()
                    await self._talk()
                self._ends(self._ender(), "completed")
                await self._progress.wait_delivered()
        finally:
            self.over.set()

    async def _wait_for_answer(self) -> None:
        plan, patience_s = self.plan, self.request.timeout_s + RING_GRACE_S
        await trio.sleep(plan.queue_s)
        self._progress.reach("initiated")
        if plan.end is not Pickup.FAILED:
            self._progress.reach("ringing")
        if self.status == "ringing":  # and not canceled at this very moment
            self._rung[self.request.to] += 1
        await trio.sleep(math.inf if plan.end is Pickup.SILENT else min(plan.ring_s, patience_s))
        if plan.end is Pickup.ANSWERS and plan.ring_s <= patience_s:
            self._progress.reach("in-progress")
        else:
            self._ends("carrier", plan.end.value if plan.ring_s <= patience_s else Pickup.NO_ANSWER.value)

    async def _talk(self) -> None:
        """Execute the TwiML while AMD listens; the call may have ended at the very moment of the answer."""
        if self._progress.is_final:
            return
        with trio.move_on_after(self.request.time_limit_s) as limit:
            async with trio.open_nursery() as nursery:
                if self.request.detection is not None:
                    nursery.start_soon(self._detect_async, self.request.detection)
                await self._follow(await self._instructions())
                nursery.cancel_scope.cancel()
        if limit.cancelled_caught:
            self._ends("carrier")

    async def _follow(self, verbs: Sequence[Verb]) -> None:
        self._flow.begin(verbs)
        while not self._flow.is_done:
            try:
                await self._flow.go_on()
            except HandshakeRefused as refused:
                self._application.violations.append(f"31920: a stream was refused with HTTP status {refused.status}")
            except ConnectionLost:
                self._application.violations.append("31920: a stream could not be opened")

    # --- TwiML -------------------------------------------------------------------------

    async def _instructions(self) -> Sequence[Verb]:
        """Return the TwiML of the call; none, which ends the call, where no document can be fetched."""
        verdict = await self._detect_sync()
        urls = [url for url in (self.request.url, self.request.fallback_url) if url is not None]
        fields = self._progress.fields() | verdict
        if self.request.twiml is not None:
            try:
                return read_twiml(self.request.twiml)
            except RemoteProtocolError as wrong:
                self._application.violations.append(wrong.problem)
                fields["ErrorCode"] = wrong.problem.partition(":")[0]
        return await self._fetch(urls, fields)

    async def _fetch(self, urls: Sequence[str], fields: dict[str, str]) -> Sequence[Verb]:
        for url in urls:
            try:
                return await self._application.fetch_twiml(url, fields)
            except ConnectionLost:
                problem = "11205: a voice webhook could not be delivered"
            except RemoteProtocolError as wrong:
                problem = wrong.problem
            self._application.violations.append(problem)
            fields = fields | {"ErrorCode": problem.partition(":")[0], "ErrorUrl": url}
        return []

    # --- machine detection -------------------------------------------------------------

    async def _detect(self, timeout_s: float) -> dict[str, str]:
        verdict = self.plan.machine
        await trio.sleep(min(verdict.after_s, timeout_s))
        self.answered_by = verdict.word if verdict.after_s <= timeout_s else "unknown"
        duration_ms = round(min(verdict.after_s, timeout_s) * 1000)
        return {"AnsweredBy": self.answered_by, "MachineDetectionDuration": str(duration_ms)}

    async def _detect_sync(self) -> dict[str, str]:
        """Synchronous AMD: silence, then the verdict is part of the request for TwiML."""
        detection = self.request.detection
        if detection is None or detection.callback is not None:
            return {}
        return await self._detect(detection.timeout_s)

    async def _detect_async(self, detection: AmdRequest) -> None:
        """Asynchronous AMD: the verdict is sent by a callback of its own."""
        if detection.callback is None:
            return
        verdict = await self._detect(detection.timeout_s)
        owner = {"CallSid": self.call_sid, "AccountSid": self._application.account.account_sid}
        for _ in range(self.plan.machine.times):
            await self._application.notify(detection.callback, owner | verdict)

    # --- inside ------------------------------------------------------------------------

    def _new_progress(self) -> CallProgress:
        request, plan = self.request, self.plan
        identity = {
            "CallSid": self.call_sid,
            "AccountSid": self._application.account.account_sid,
            "From": request.caller,
            "To": request.to,
            "Caller": request.caller,
            "Called": request.to,
            "Direction": "outbound-api",
        }
        faults = attrs.evolve(plan.statuses, sends=plan.statuses.sends and plan.end is not Pickup.SILENT)
        return CallProgress(self._application, identity, request.status_callback, faults, request.events)

    def _new_flow(self, progress: CallProgress) -> CallFlow:
        plan = self.plan
        settings = CallFlowSettings(
            script=plan.script,
            faults=plan.line,
            stream_after_s=plan.stream_after_s,
            completed_before_stop_s=plan.statuses.completed_before_stop_s,
            completed_before_close_s=plan.statuses.completed_before_close_s,
        )
        return CallFlow(self._application, self.call_sid, progress, settings)

    def _ends(self, by: DialEnd, status: str | None = None) -> None:
        """Note who ended the call, if nobody has yet, and with which status."""
        if self.ended_by is None:
            self.ended_by = by
        if status is not None:
            self._progress.reach(status)

    def _ender(self) -> DialEnd:
        """Return who ended an answered call; without a stream the application's TwiML did."""
        return "application" if self.line is None else _END_OF_LINE.get(self.line.ended_by, "callee")
