"""One call to the application: it rings at the webhook, follows the TwiML, and ends once.

Rule 1: the REST interface knows it from its first moment on, as it knows a placed call.
Rule 2: what the application answers wrongly is raised to whoever placed the call.

Facts: docs/protocols/twilio-media-streams.md, sections 1, 6, 7 and 10.
"""

from __future__ import annotations

from collections.abc import Sequence

import trio

from voicecore.simulation.twilio.application_client import ApplicationClient
from voicecore.simulation.twilio.call_flow import CallFlow
from voicecore.simulation.twilio.carrier_call import CarrierCall
from voicecore.simulation.twilio.faults import WebhookFaults
from voicecore.simulation.twilio.progress import CallProgress
from voicecore.simulation.twilio.twiml import RejectCall, Verb


class InboundCall(CarrierCall):
    """A call to the application. Made by `TwilioTwin.call`."""

    def __init__(
        self,
        application: ApplicationClient,
        progress: CallProgress,
        flow: CallFlow,
        voice_url: str,
        faults: WebhookFaults,
    ) -> None:
        super().__init__(progress, flow, application.world.wall_clock())
        self._application = application
        self._voice_url = voice_url
        self._faults = faults
        self._scope = trio.CancelScope()

    @property
    def answered_sid(self) -> str:
        """The CallSid; an inbound call has only one."""
        return self.identity["CallSid"]

    def is_named(self, call_sid: str) -> bool:
        """Whether it has this CallSid."""
        return call_sid == self.answered_sid

    # --- by REST -----------------------------------------------------------------------

    def complete(self) -> None:
        """End the call; an open stream is stopped."""
        self._flow.stop()
        if self.line is None or self.line.over.is_set():
            self._scope.cancel()
        else:
            self.line.end("rest")

    def cancel(self) -> None:
        """Do nothing: only a placed call can be canceled."""

    # --- by tests -----------------------------------------------------------------------

    async def report_completed(self) -> None:
        """Send the terminal status callback now, while the stream goes on; return once it was delivered."""
        self._progress.reach("completed")
        await self._progress.wait_delivered()

    # --- the call ----------------------------------------------------------------------

    async def run(self) -> None:
        """Run the call; its last callback may still be on its way afterwards.

        Raises:
            RemoteProtocolError: Twilio would not accept the TwiML.
            ConnectionLost: The webhook could not be delivered.
            HandshakeRefused: The media stream was refused (31920).
        """
        with self._scope:
            await self._follow()
        self._progress.reach("completed")

    async def _follow(self) -> None:
        self._progress.reach("ringing")
        verbs = await self._ask()
        if any(isinstance(verb, RejectCall) for verb in verbs[:1]):
            self._progress.reach("busy")
            return
        if self._faults.abandoned_after_s is not None:
            await trio.sleep(self._faults.abandoned_after_s)
            return
        self._progress.reach("in-progress")
        if self._progress.delivers_at_once:
            await self._progress.wait_delivered()  # the application is notified of the answer before the stream opens
        self._flow.begin(verbs)
        await self._flow.go_on()

    async def _ask(self) -> Sequence[Verb]:
        """Fetch the TwiML, as often at once as the faults say; the last answer is executed."""
        fields = self._progress.fields()
        answers: list[Sequence[Verb]] = []

        async def ask_once() -> None:
            answers.append(await self._application.fetch_twiml(self._voice_url, fields))

        if self._faults.voice_times == 1:
            await ask_once()
        else:
            async with trio.open_nursery() as nursery:
                for _ in range(self._faults.voice_times):
                    nursery.start_soon(ask_once)
        return answers[-1]
