"""How the carrier reaches the application: webhooks, signed as Twilio signs them, and media streams.

Rule 1: the signature is computed over the URL that the application gave, query
included; a fragment is neither sent nor signed.
Rule 2: whatever the application does that Twilio would complain about is kept in
`violations`, beginning with Twilio's code; no secret is in it.

Facts: docs/protocols/twilio-media-streams.md, sections 2, 10, 11 and 12.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from urllib.parse import urldefrag, urlsplit

import attrs
import trio

from voicecore.errors import ConnectionLost, HandshakeRefused, RemoteProtocolError
from voicecore.net.http.client import HttpAnswer, HttpClient
from voicecore.net.websocket.connect import dial
from voicecore.secrets import Secret
from voicecore.simulation.twilio.faults import LineFaults, StreamEnd
from voicecore.simulation.twilio.line import Line
from voicecore.simulation.twilio.messages import StreamWriter
from voicecore.simulation.twilio.signing import sign
from voicecore.simulation.twilio.twiml import PEER, ConnectStream, Verb, read_twiml
from voicecore.simulation.twilio.user import Step
from voicecore.world import ByteStream, Listening, Network, WebSocketTransport, World

_SWITCHING_PROTOCOLS = 101


@attrs.frozen(kw_only=True)
class Account:
    """The Twilio account that the calls belong to."""

    account_sid: str = "AC00000000000000000000000000000001"
    auth_token: Secret = attrs.field(factory=lambda: Secret("voicecore-test-token"))
    caller: str = "+15550100001"
    callee: str = "+15550100002"
    status: str = "active"
    """Or suspended, or closed."""
    kind: str = "Full"
    """Or Trial."""


@attrs.frozen
class StreamEndHooks:
    """Called while a stream ends."""

    before_stop: Callable[[], Awaitable[None]]
    before_close: Callable[[], Awaitable[None]]


class ApplicationClient:
    """Webhooks and media streams of all calls of one carrier."""

    def __init__(self, world: World, account: Account, http: HttpClient) -> None:
        self.world = world
        self.account = account
        self.lines: list[Line] = []
        """Every line that was opened, in order."""
        self.violations: list[str] = []
        """What the application did wrong, in order; violations on a media stream are in its line's playout."""
        self._http = http

    def new_sid(self, prefix: str) -> str:
        """Return a SID: the prefix and 32 hexadecimal digits."""
        return f"{prefix}{self.world.random.getrandbits(128):032x}"

    # --- webhooks ----------------------------------------------------------------------

    async def post(self, url: str, fields: Mapping[str, str], signature: str | None) -> HttpAnswer:
        """Send one webhook, signed. Raises ConnectionLost."""
        url, _ = urldefrag(url)
        token = self.account.auth_token.reveal()
        headers = {"X-Twilio-Signature": signature or sign(token, url, fields)}
        return await self._http.post_form(url, fields, headers=headers)

    async def fetch_twiml(self, url: str, fields: Mapping[str, str]) -> Sequence[Verb]:
        """Ask the application what to do with a call.

        Raises:
            ConnectionLost: The webhook could not be delivered.
            RemoteProtocolError: Its answer is not what Twilio takes.
        """
        answer = await self.post(url, fields, None)
        if answer.status != 200 or "xml" not in answer.headers.get("content-type", ""):
            raise RemoteProtocolError(
                f"11200: a voice webhook was answered with HTTP status {answer.status}", peer=PEER
            )
        return read_twiml(answer.body)

    async def notify(self, url: str, fields: Mapping[str, str], signature: str | None = None) -> None:
        """Send a callback whose answer is not used; a failed one is a violation and is not retried."""
        try:
            answer = await self.post(url, fields, signature)
        except ConnectionLost:
            self.violations.append("11205: a callback could not be delivered")
            return
        if not 200 <= answer.status < 300:
            self.violations.append(f"11200: a callback was answered with HTTP status {answer.status}")

    # --- media streams -----------------------------------------------------------------

    def new_line(self, call_sid: str, script: Sequence[Step], faults: LineFaults) -> Line:
        """Return the line of a stream that is about to be opened."""
        stream_sid = self.new_sid("MZ")
        writer = StreamWriter(self.account.account_sid, call_sid, stream_sid, faults.media_format)
        line = Line(
            call_sid=call_sid,
            stream_sid=stream_sid,
            writer=writer,
            script=script,
            faults=faults,
            now=self.world.now(),
        )
        self.lines.append(line)
        return line

    async def run(self, line: Line, stream: ConnectStream, faults: LineFaults, hooks: StreamEndHooks) -> None:
        """Open a stream and run it to its end.

        Raises:
            HandshakeRefused: The application refused it (31920).
            ConnectionLost: It could not be opened.
        """
        url = stream.url.rpartition("/")[0] + "/0123456789abcdef" if faults.other_token else stream.url
        line.stream_url = url
        signature = faults.signature or sign(self.account.auth_token.reveal(), url)
        line.forgeries += [await self._forge(url, origin) for origin in faults.forged_for]
        tap = _Tap(self.world.network)
        async with dial(tap, url, headers=[("X-Twilio-Signature", signature)]) as socket:
            await line.run(socket, stream.parameters, hooks.before_stop)
            await hooks.before_close()
            is_cut = faults.stream_end is StreamEnd.CUT or line.ended_by == "fault"
            if is_cut and tap.stream is not None:
                await trio.aclose_forcefully(tap.stream)

    async def _forge(self, url: str, origin: str) -> int:
        """Try a stream's address with a signature for another origin; return the HTTP status. Raises ConnectionLost."""
        signature = sign(self.account.auth_token.reveal(), origin + urlsplit(url).path)
        headers = [("X-Twilio-Signature", signature), ("X-Forwarded-Host", urlsplit(origin).netloc)]
        try:
            async with dial(self.world.network, url, headers=headers):
                return _SWITCHING_PROTOCOLS
        except HandshakeRefused as refused:
            return refused.status


class _Tap:
    """The world's network; remembers the byte stream of one line, so that it can be cut."""

    def __init__(self, network: Network) -> None:
        self.stream: ByteStream | None = None
        self.websocket = WebSocketTransport.OWN
        self._network = network

    async def open_stream(self, host: str, port: int, *, tls: bool) -> ByteStream:
        self.stream = await self._network.open_stream(host, port, tls=tls)
        return self.stream

    async def listen(self, host: str, port: int) -> Listening:
        return await self._network.listen(host, port)
