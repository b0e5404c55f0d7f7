"""The carrier twin: rings at the webhook or takes calls by REST, follows the TwiML, runs the stream, reports statuses.

    async with open_twilio(world) as carrier:
        line = await carrier.call("http://127.0.0.1:8000", script)   # inbound; returns when the call is over

        carrier.expect(DialPlan(ring_s=5.0, script=script))
        async with carrier.serve_rest() as api_base_url:             # outbound; the application places calls
            ...

Rule 1: everything is signed as Twilio signs it, over the URL that Twilio knows.
Rule 2: what the application answers is read strictly: TwiML that Twilio would not
accept is raised to whoever placed an inbound call, and is a violation on an
outbound one.
Rule 3: each call has a scope: leaving it leaves no task and no socket.

Facts: docs/protocols/twilio-media-streams.md, sections 1, 2, 6, 8 and 10.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from voicecore.net.http.client import HttpAnswer, HttpClient, open_http_client
from voicecore.nurseries import open_service_nursery
from voicecore.simulation.twilio.application_client import Account, ApplicationClient
from voicecore.simulation.twilio.call_flow import CallFlow, CallFlowSettings
from voicecore.simulation.twilio.dialled_call import DialledCall
from voicecore.simulation.twilio.faults import LineFaults, StatusFaults, WebhookFaults
from voicecore.simulation.twilio.inbound import InboundCall
from voicecore.simulation.twilio.line import Line
from voicecore.simulation.twilio.plan import DialPlanQueue, DialPlans, UpdateFaults
from voicecore.simulation.twilio.progress import CallProgress, changed
from voicecore.simulation.twilio.rest import RestRequest, RestState, serve_rest
from voicecore.simulation.twilio.user import Step
from voicecore.world import World

_INBOUND_EVENTS = frozenset({"answered", "completed"})  #: ringing is what the voice webhook reports


class TwilioTwin:
    """A simulated Twilio. Made by `open_twilio`."""

    def __init__(self, world: World, account: Account, http: HttpClient) -> None:
        self._application = ApplicationClient(world, account, http)
        self._state = RestState()

    @property
    def account(self) -> Account:
        return self._application.account

    @property
    def lines(self) -> Sequence[Line]:
        """Every line that was opened, in order."""
        return self._application.lines

    @property
    def violations(self) -> Sequence[str]:
        """What the application did wrong, apart from the violations in a line's playout."""
        return self._application.violations

    async def post(self, url: str, fields: Mapping[str, str], signature: str | None) -> HttpAnswer:
        """Send one webhook, signed."""
        return await self._application.post(url, fields, signature)

    # --- calls that the application answers --------------------------------------------

    async def call(
        self,
        public_url: str,
        script: Sequence[Step],
        *,
        faults: LineFaults | None = None,
        statuses: StatusFaults | None = None,
        webhooks: WebhookFaults | None = None,
        on_line: Callable[[Line], None] | None = None,
    ) -> Line | None:
        """Place one call to ``public_url`` and run it to its end.

        Returns:
            The line of its media stream; None when the call was rejected, or ended without one.

        Raises:
            RemoteProtocolError: Twilio would not accept the TwiML.
            ConnectionLost: The webhook could not be delivered.
            HandshakeRefused: The media stream was refused (31920).
        """
        statuses, webhooks = statuses or StatusFaults(), webhooks or WebhookFaults()
        progress = self._inbound_progress(f"{public_url}/twilio/status", statuses, webhooks)
        settings = CallFlowSettings(
            script=script,
            faults=faults or LineFaults(),
            completed_before_stop_s=statuses.completed_before_stop_s,
            completed_before_close_s=statuses.completed_before_close_s,
            on_line=on_line or (lambda _: None),
        )
        flow = CallFlow(self._application, progress.identity["CallSid"], progress, settings)
        call = InboundCall(self._application, progress, flow, f"{public_url}/twilio/voice", webhooks)
        self._state.inbound.append(call)
        async with open_service_nursery() as nursery:
            nursery.start_soon(progress.deliver)
            await call.run()
            await progress.wait_delivered()
        return call.line

    def _inbound_progress(self, callback_url: str, statuses: StatusFaults, webhooks: WebhookFaults) -> CallProgress:
        account = self.account
        identity = {
            "CallSid": self._application.new_sid("CA"),
            "AccountSid": account.account_sid,
            "From": account.caller,
            "To": account.callee,
            "Caller": account.caller,
            "Called": account.callee,
            "Direction": "inbound",
        }
        return CallProgress(
            self._application, changed(identity, webhooks.fields), callback_url, statuses, _INBOUND_EVENTS
        )

    @property
    def inbound(self) -> Sequence[InboundCall]:
        """Every inbound call, in order."""
        return self._state.inbound

    # --- calls that the application places ---------------------------------------------

    @property
    def dials(self) -> Sequence[DialledCall]:
        """Every call that the application placed, in order."""
        return self._state.dials

    @property
    def rest_requests(self) -> Sequence[RestRequest]:
        """Every request to the REST interface, in order."""
        return self._state.requests

    def expect(self, plans: DialPlans) -> None:
        """Set how the calls that are placed from now on turn out; see `DialPlans`."""
        self._state.plans = DialPlanQueue(plans)

    def disturb_updates(self, faults: UpdateFaults) -> None:
        """Set what goes wrong from now on with requests that change a call."""
        self._state.updates = faults

    def serve_rest(self, host: str = "127.0.0.1", port: int = 0) -> AbstractAsyncContextManager[str]:
        """Serve the REST interface while the block runs; gives the base URL. Leaving it ends every placed call.

        Raises:
            OSError: The port cannot be bound.
        """
        return serve_rest(self._application, self._state, host, port)


@asynccontextmanager
async def open_twilio(world: World, account: Account | None = None) -> AsyncIterator[TwilioTwin]:
    """Run a carrier; leaving the block closes its connections. Its calls run in the tasks that place them."""
    async with open_http_client(world.network) as http:
        yield TwilioTwin(world, account or Account(), http)
