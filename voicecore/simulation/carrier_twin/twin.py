"""The carrier: rings at the webhook or takes calls by REST, follows the TwiML, holds the line, reports statuses.

    async with open_carrier(world) as carrier:
        line = await carrier.call("http://127.0.0.1:8000", script)   # inbound; returns when the call is over

        carrier.expect(DialPlan(ring_s=5.0, script=script))
        async with carrier.serve_rest() as api_base_url:             # outbound; the application places calls
            ...

Rule 1: everything is signed as Twilio signs it, over the URL that Twilio knows.
Rule 2: what the application answers is read strictly: TwiML that Twilio would
not take is raised to whoever placed an inbound call, and a violation of an
outbound one.
Rule 3: one call, one scope: leaving it leaves no task and no socket.

Facts: Twilio sheet, sections 1, 2, 6, 8 and 10.  Used by tests, the demo and benchmarks.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from voicecore.net.http_client import HttpAnswer, HttpClient, open_http_client
from voicecore.nurseries import open_service_nursery
from voicecore.simulation.carrier_twin.caller import Step
from voicecore.simulation.carrier_twin.course import Course, FarEnd
from voicecore.simulation.carrier_twin.exchange import Account, Exchange
from voicecore.simulation.carrier_twin.faults import LineFaults, StatusFaults
from voicecore.simulation.carrier_twin.line import Line
from voicecore.simulation.carrier_twin.phone import Dialled
from voicecore.simulation.carrier_twin.plan import DialPlans, PlanBook
from voicecore.simulation.carrier_twin.progress import CallProgress
from voicecore.simulation.carrier_twin.rest import RestRequest, Switchboard, serve_rest
from voicecore.simulation.carrier_twin.twiml import RejectCall
from voicecore.world import World

_INBOUND_EVENTS = frozenset({"answered", "completed"})  #: that it rings is told by the voice webhook


class CarrierTwin:
    """A fake Twilio. Made by `open_carrier`."""

    def __init__(self, world: World, account: Account, http: HttpClient) -> None:
        self._exchange = Exchange(world, account, http)
        self._board = Switchboard()

    @property
    def account(self) -> Account:
        return self._exchange.account

    @property
    def lines(self) -> Sequence[Line]:
        """Every line that was opened, in order."""
        return self._exchange.lines

    @property
    def violations(self) -> Sequence[str]:
        """What the application did wrong, beside what stands in a line's playout."""
        return self._exchange.violations

    async def post(self, url: str, fields: Mapping[str, str], signature: str | None) -> HttpAnswer:
        """Deliver one webhook, signed."""
        return await self._exchange.post(url, fields, signature)

    # --- calls that the application answers --------------------------------------------

    async def call(
        self,
        public_url: str,
        script: Sequence[Step],
        *,
        faults: LineFaults | None = None,
        statuses: StatusFaults | None = None,
        on_line: Callable[[Line], None] | None = None,
    ) -> Line | None:
        """Place one call to ``public_url`` and hold it until it is over.

        Returns:
            The line of its media stream; None when the call was rejected, or ended without one.

        Raises:
            RemoteProtocolError: The TwiML is not what Twilio takes.
            ConnectionLost: The webhook could not be delivered.
            HandshakeRefused: The media stream was refused (31920).
        """
        statuses = statuses or StatusFaults()
        call_sid = self._exchange.new_sid("CA")
        progress = self._inbound_progress(call_sid, f"{public_url}/twilio/status", statuses)
        far_end = FarEnd(
            script=script,
            faults=faults or LineFaults(),
            completed_before_stop_s=statuses.completed_before_stop_s,
            on_line=on_line or (lambda _: None),
        )
        course = Course(self._exchange, call_sid, progress, far_end)
        async with open_service_nursery() as nursery:
            nursery.start_soon(progress.deliver)
            await self._answer(public_url, progress, course)
            await progress.wait_told()
        return course.line

    async def _answer(self, public_url: str, progress: CallProgress, course: Course) -> None:
        progress.reach("ringing")
        verbs = await self._exchange.fetch_twiml(f"{public_url}/twilio/voice", progress.fields())
        if any(isinstance(verb, RejectCall) for verb in verbs[:1]):
            progress.reach("busy")
            return
        progress.reach("in-progress")
        if progress.delivers_at_once:
            await progress.wait_told()  # the application knows of the answer before the stream comes
        course.begin(verbs)
        await course.go_on()
        progress.reach("completed")

    def _inbound_progress(self, call_sid: str, callback_url: str, statuses: StatusFaults) -> CallProgress:
        account = self.account
        identity = {
            "CallSid": call_sid,
            "AccountSid": account.account_sid,
            "From": account.caller,
            "To": account.callee,
            "Caller": account.caller,
            "Called": account.callee,
            "Direction": "inbound",
        }
        return CallProgress(self._exchange, identity, callback_url, statuses, _INBOUND_EVENTS)

    # --- calls that the application places ---------------------------------------------

    @property
    def dials(self) -> Sequence[Dialled]:
        """Every call that the application placed, in order."""
        return self._board.dials

    @property
    def rest_requests(self) -> Sequence[RestRequest]:
        """Every request to the REST interface, in order."""
        return self._board.requests

    def expect(self, plans: DialPlans) -> None:
        """Say what becomes of the calls that are placed from now on; see `DialPlans`."""
        self._board.plans = PlanBook(plans)

    def serve_rest(self, host: str = "127.0.0.1", port: int = 0) -> AbstractAsyncContextManager[str]:
        """Serve the REST interface while the block runs; gives the base URL. Leaving it ends every placed call.

        Raises:
            OSError: The port cannot be bound.
        """
        return serve_rest(self._exchange, self._board, host, port)


@asynccontextmanager
async def open_carrier(world: World, account: Account | None = None) -> AsyncIterator[CarrierTwin]:
    """Run a carrier; leaving the block closes its connections. Its calls run in the tasks that place them."""
    async with open_http_client(world.network) as http:
        yield CarrierTwin(world, account or Account(), http)
