"""The carrier: rings at the webhook, follows the TwiML, holds the line, reports statuses.

    async with open_carrier(world) as carrier:
        line = await carrier.call("http://127.0.0.1:8000", script)   # returns when the call is over

Rule 1: everything is signed as Twilio signs it, over the URL that Twilio knows.
Rule 2: what the application answers is read strictly: TwiML that Twilio would
not take is a fault of the application, raised here.
Rule 3: one call, one scope: leaving it leaves no task and no socket.

Facts: Twilio sheet, sections 1, 2, 6, 8 and 10.  Used by tests, the demo and benchmarks.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from xml.etree import ElementTree as ET

import attrs
import trio

from voicecore.errors import RemoteProtocolError
from voicecore.net.dial import dial
from voicecore.net.http_client import HttpAnswer, HttpClient, open_http_client
from voicecore.secrets import Secret
from voicecore.simulation.carrier_twin.caller import Step
from voicecore.simulation.carrier_twin.faults import Goodbye, LineFaults, StatusFaults
from voicecore.simulation.carrier_twin.line import Line
from voicecore.simulation.carrier_twin.messages import StreamWriter
from voicecore.simulation.carrier_twin.signing import sign
from voicecore.world import Listening, Network, World

_PEER = "the application"


@attrs.frozen(kw_only=True)
class Account:
    """Whose calls these are."""

    account_sid: str = "AC00000000000000000000000000000001"
    auth_token: Secret = attrs.field(factory=lambda: Secret("voicecore-test-token"))
    caller: str = "+15550100001"
    callee: str = "+15550100002"


class CarrierTwin:
    """A fake Twilio. Made by `open_carrier`."""

    def __init__(self, world: World, account: Account, http: HttpClient) -> None:
        self._world = world
        self._account = account
        self._http = http
        self.lines: list[Line] = []
        """Every line that was opened, in order."""

    async def call(
        self,
        public_url: str,
        script: Sequence[Step],
        *,
        faults: LineFaults | None = None,
        statuses: StatusFaults | None = None,
        on_line: Callable[[Line], None] | None = None,
    ) -> Line | None:
        """Place one call to ``public_url`` and hold it until it is over; None when it was rejected.

        Raises:
            RemoteProtocolError: The TwiML is not what Twilio takes.
            ConnectionLost: The webhook could not be delivered.
            HandshakeRefused: The media stream was refused (31920).
        """
        faults = faults or LineFaults()
        call = _Call(self, public_url, self._world.new_id("CA").replace("_", ""), statuses or StatusFaults())
        stream = _read_twiml(await call.ring())
        if stream is None:
            await call.report("busy")
            return None
        await call.report("in-progress")
        url, parameters = stream
        line = self._new_line(call.call_sid, script, faults)
        if on_line is not None:
            on_line(line)
        try:
            await self._hold(line, url, parameters, faults, call)
        finally:
            line.over.set()
        await call.report_end()
        return line

    async def post(self, url: str, fields: Mapping[str, str], signature: str | None) -> HttpAnswer:
        """Deliver one webhook, signed."""
        token = self._account.auth_token.reveal()
        return await self._http.post_form(
            url, fields, headers={"X-Twilio-Signature": signature or sign(token, url, fields)}
        )

    @property
    def account(self) -> Account:
        return self._account

    # --- inside ------------------------------------------------------------------------

    def _new_line(self, call_sid: str, script: Sequence[Step], faults: LineFaults) -> Line:
        stream_sid = self._world.new_id("MZ").replace("_", "")
        writer = StreamWriter(self._account.account_sid, call_sid, stream_sid)
        line = Line(
            call_sid=call_sid,
            stream_sid=stream_sid,
            writer=writer,
            script=script,
            faults=faults,
            now=self._world.now(),
        )
        self.lines.append(line)
        return line

    async def _hold(self, line: Line, url: str, parameters: Mapping[str, str], faults: LineFaults, call: _Call) -> None:
        if faults.other_token:
            url = url.rpartition("/")[0] + "/0123456789abcdef"
        signature = faults.signature or sign(self._account.auth_token.reveal(), url)
        tap = _Tap(self._world.network)
        async with dial(tap, url, headers=[("X-Twilio-Signature", signature)]) as socket:
            await line.run(socket, parameters, call.report_end_early)
            if faults.goodbye is Goodbye.CUT and tap.stream is not None:
                await trio.aclose_forcefully(tap.stream)


class _Tap:
    """The world's network, remembering the stream of one line so that it can be cut."""

    def __init__(self, network: Network) -> None:
        self.stream: trio.abc.Stream | None = None
        self._network = network

    async def open_stream(self, host: str, port: int, *, tls: bool) -> trio.abc.Stream:
        self.stream = await self._network.open_stream(host, port, tls=tls)
        return self.stream

    async def listen(self, host: str, port: int) -> Listening:
        return await self._network.listen(host, port)


class _Call:
    """One call's webhooks."""

    def __init__(self, carrier: CarrierTwin, public_url: str, call_sid: str, faults: StatusFaults) -> None:
        self.call_sid = call_sid
        self._carrier = carrier
        self._public_url = public_url
        self._faults = faults
        self._sequence = 0
        self._answered_at = trio.current_time()
        self._duration_s: int | None = None  # known once the end was reported
        self._to_report: list[str] = []

    async def ring(self) -> HttpAnswer:
        """Ask the application what to do with the call."""
        return await self._carrier.post(f"{self._public_url}/twilio/voice", self._fields("ringing"), None)

    async def report(self, status: str) -> None:
        """Report a status; a line that reverses them reports nothing before its end."""
        self._to_report.append(status)
        if not self._faults.reversed:
            await self._flush()

    async def report_end_early(self) -> None:
        """Report the end before the stream says so, where the faults want that."""
        if self._faults.completed_before_stop_s is not None:
            await self.report_end()
            await trio.sleep(self._faults.completed_before_stop_s)

    async def report_end(self) -> None:
        """Report the end, once."""
        if self._duration_s is not None:
            return
        self._duration_s = round(trio.current_time() - self._answered_at)
        self._to_report.append("completed")
        self._to_report.reverse()
        await self._flush()

    async def _flush(self) -> None:
        statuses, self._to_report = self._to_report, []
        if not self._faults.sends:
            return
        for status in statuses:
            fields = self._fields(status) | {"SequenceNumber": str(self._sequence)}
            if status == "completed":
                fields |= {"CallDuration": str(self._duration_s), "Duration": "1"}
            self._sequence += 1
            for _ in range(self._faults.repeats):
                await self._carrier.post(f"{self._public_url}/twilio/status", fields, self._faults.signature)

    def _fields(self, status: str) -> dict[str, str]:
        account = self._carrier.account
        return {
            "CallSid": self.call_sid,
            "AccountSid": account.account_sid,
            "From": account.caller,
            "To": account.callee,
            "Caller": account.caller,
            "Called": account.callee,
            "CallStatus": status,
            "ApiVersion": "2010-04-01",
            "Direction": "inbound",
        }


def _read_twiml(answer: HttpAnswer) -> tuple[str, Mapping[str, str]] | None:
    """Return stream URL and parameters, None for a rejected call. Raises RemoteProtocolError for anything else."""
    if answer.status != 200 or "xml" not in answer.headers.get("content-type", ""):
        raise RemoteProtocolError(f"the voice webhook was answered with HTTP status {answer.status}", peer=_PEER)
    try:
        response = ET.fromstring(answer.body)  # noqa: S314  (our own application's answer)
    except ET.ParseError as error:
        raise RemoteProtocolError("12100: not XML", peer=_PEER) from error
    if response.find("Reject") is not None:
        return None
    stream = response.find("Connect/Stream")
    if response.tag != "Response" or stream is None or "?" in stream.get("url", "?"):
        raise RemoteProtocolError("12200: no <Connect><Stream> with a URL without a query", peer=_PEER)
    parameters = {each.get("name", ""): each.get("value", "") for each in stream.findall("Parameter")}
    return stream.get("url", ""), parameters


@asynccontextmanager
async def open_carrier(world: World, account: Account | None = None) -> AsyncIterator[CarrierTwin]:
    """Run a carrier; leaving the block closes its connections. Its calls run in the tasks that place them."""
    async with open_http_client(world.network) as http:
        yield CarrierTwin(world, account or Account(), http)
