"""Twilio as a carrier of incoming calls: webhooks, and the media stream as a `Leg`.

    POST /twilio/voice          signed → TwiML that connects a stream to a token's URL
    GET  /twilio/media/{token}  signed, token claimed → WebSocket → the call
    POST /twilio/status         signed → the call's status

Rule 1: fail closed: a wrong signature or token is 403 with no effect at all.
Rule 2: signatures are made over the configured public URL; headers of the
request never change it.
Rule 3: a webhook answers at once; it never waits for a call.
Rule 4: a stream must name the call that its token was made for.

Facts: Twilio sheet, sections 1 to 6, 10 and 11.  Put together in assembly.py.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping

import attrs
import trio

from voicecore.errors import ConnectionLost, LegLost, LocalProtocolError, RemoteProtocolError
from voicecore.events import LegEvent, LegMessageIgnored, LegOrder, LegStarted
from voicecore.net.http_messages import Request, Response, Upgrade
from voicecore.net.routes import Handler, Parameters
from voicecore.net.websocket import POLICY_VIOLATION, WebSocket
from voicecore.ports import MediaPass, Reception, RingingCall, StatusReport
from voicecore.secrets import Secret
from voicecore.wire import twilio_webhook, twiml
from voicecore.wire.twilio_media import TwilioMedia
from voicecore.wire.twilio_signature import SIGNATURE_HEADER, is_signed
from voicecore.world import World

FORM = "application/x-www-form-urlencoded"
START_S = 5.0  #: from the upgrade to the stream's start message
BAD_MESSAGES_LIMIT = 50  #: malformed messages within BAD_MESSAGES_S that end a call
BAD_MESSAGES_S = 10.0


@attrs.frozen(kw_only=True)
class TwilioAccount:
    """The account that calls come through."""

    account_sid: str
    auth_token: Secret
    public_url: str
    """How Twilio reaches us, without a slash at its end; http for loopback only."""
    verify_signatures: bool = True
    apology: str | None = None
    """What the carrier says when our side ends a call (no session could be had, it died, a limit); None: nothing."""


class TwilioInbound:
    """Takes calls from Twilio into a reception."""

    def __init__(self, world: World, account: TwilioAccount, reception: Reception) -> None:
        self._world = world
        self._account = account
        self._reception = reception

    def routes(self) -> Mapping[tuple[str, str], Handler]:
        """Return what is to be answered on the server's port."""
        return {
            ("POST", "/twilio/voice"): self._form_handler(self._voice),
            ("POST", "/twilio/status"): self._form_handler(self._status),
            ("GET", "/twilio/media/{token}"): self._media,
        }

    # --- webhooks -------------------------------------------------------------------

    def _form_handler(self, handle: Callable[[twilio_webhook.Form], Response]) -> Handler:
        async def handler(request: Request, _parameters: Parameters) -> Response:
            await trio.lowlevel.checkpoint()
            if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
                return Response(415)
            try:
                form = twilio_webhook.parse_form(request.body)
                if not self._is_signed(request, "http", form):
                    return Response(403)
                return handle(form)
            except RemoteProtocolError as malformed:
                return Response(400, str(malformed).encode())

        return handler

    def _voice(self, form: twilio_webhook.Form) -> Response:
        call = twilio_webhook.read_incoming_call(form)
        token = self._reception.announce(
            RingingCall(carrier_call_id=call.carrier_call_id, caller=call.caller, callee=call.callee)
        )
        if token is None:
            return Response(200, twiml.reject("busy"), twiml.CONTENT_TYPE)
        stream_url = f"{self._url('ws')}/twilio/media/{token}"
        return Response(200, twiml.connect_stream(stream_url, apology=self._account.apology), twiml.CONTENT_TYPE)

    def _status(self, form: twilio_webhook.Form) -> Response:
        report = twilio_webhook.read_call_status(form)
        self._reception.status(
            StatusReport(
                carrier_call_id=report.carrier_call_id,
                status=report.status,
                word=report.word,
                duration_s=report.duration_s,
            )
        )
        return Response(204)

    # --- the media stream -------------------------------------------------------------

    async def _media(self, request: Request, parameters: Parameters) -> Response | Upgrade:
        await trio.lowlevel.checkpoint()
        if not request.is_upgrade:
            return Response(426, headers=[("upgrade", "websocket")])
        token = parameters["token"]
        if not self._is_signed(request, "ws") or not self._reception.admits(token):
            return Response(403)

        async def run(socket: WebSocket) -> None:
            # Claimed here, not before: an upgrade that fails must not use a call up.
            media_pass = self._reception.claim(token)
            if media_pass is None:
                await socket.close(POLICY_VIOLATION, "the token is used")
            else:
                await hold_stream(socket, media_pass, self._world)

        return Upgrade(run)

    # --- inside -------------------------------------------------------------------------

    def _is_signed(self, request: Request, scheme: str, form: twilio_webhook.Form | None = None) -> bool:
        if not self._account.verify_signatures:
            return True
        query = f"?{request.query}" if request.query else ""
        url = f"{self._url(scheme)}{request.path}{query}"
        return is_signed(self._account.auth_token.reveal(), url, request.headers.get(SIGNATURE_HEADER), form=form)

    def _url(self, scheme: str) -> str:
        """Return the public URL for http or for ws, secure where it is."""
        secure, _, rest = self._account.public_url.partition("://")
        return f"{scheme}{'s' if secure.endswith('s') else ''}://{rest}"


async def hold_stream(socket: WebSocket, media_pass: MediaPass, world: World) -> None:
    """Wait for the stream's start, then hold the call on it until the call is over.

    Whatever happens, the pass is used or given back exactly once.
    """
    leg: TwilioLeg | None = None
    problem = "the stream was closed before its start message"
    try:
        with trio.move_on_after(START_S):
            leg = await _read_start(socket, world)
        if leg is None:
            problem = f"no start message came within {START_S} s"
        elif not media_pass.accepts(leg.started.carrier_call_id):
            leg, problem = None, "the stream named another call than its token"
    except ConnectionLost as lost:
        problem = str(lost)
    finally:
        if leg is None:
            media_pass.media_never_came(problem)
    if leg is None:
        await socket.close(POLICY_VIOLATION)
        return
    await media_pass.hold_call(leg)
    if leg.misbehaved:
        await socket.close(POLICY_VIOLATION)


async def _read_start(socket: WebSocket, world: World) -> TwilioLeg:
    stream = _Stream(socket, world)
    while True:
        events = await stream.receive()
        for index, event in enumerate(events):
            if isinstance(event, LegStarted):
                return TwilioLeg(stream, event, events[index + 1 :])


class TwilioLeg:
    """A started media stream; implements `voicecore.ports.Leg`."""

    def __init__(self, stream: _Stream, started: LegStarted, waiting: list[LegEvent]) -> None:
        self._stream = stream
        self._started = started
        self._waiting = waiting  # what arrived in one read with the start

    @property
    def started(self) -> LegStarted:
        return self._started

    @property
    def misbehaved(self) -> bool:
        """Whether the stream was given up for its malformed messages."""
        return self._stream.misbehaved

    async def receive(self) -> list[LegEvent]:
        """See `voicecore.ports.Leg`."""
        if self._waiting:
            events, self._waiting = self._waiting, []
            return events
        try:
            return await self._stream.receive()
        except ConnectionLost as lost:
            raise LegLost(f"the media stream ended without a stop: {lost}") from lost

    async def send(self, order: LegOrder) -> None:
        """See `voicecore.ports.Leg`."""
        try:
            await self._stream.send(order)
        except ConnectionLost as lost:
            raise LegLost(f"the media stream ended without a stop: {lost}") from lost
        except LocalProtocolError as stopped:
            raise LegLost(f"the media stream is over: {stopped}") from stopped


class _Stream:
    """The socket and its codec."""

    def __init__(self, socket: WebSocket, world: World) -> None:
        self._socket = socket
        self._world = world
        self._codec = TwilioMedia()
        self._bad_at: deque[float] = deque(maxlen=BAD_MESSAGES_LIMIT + 1)

    @property
    def misbehaved(self) -> bool:
        full = len(self._bad_at) == self._bad_at.maxlen
        return full and self._bad_at[-1] - self._bad_at[0] <= BAD_MESSAGES_S

    async def receive(self) -> list[LegEvent]:
        """Return the next events, at least one. Cancelled, it loses nothing.

        Raises:
            ConnectionLost: The socket ended.
            RemoteProtocolError: Too many malformed messages.
        """
        events: list[LegEvent] = []
        while not events:
            texts = await self._socket.receive()
            events = [event for text in texts if (event := self._read(text)) is not None]
        return events

    async def send(self, order: LegOrder) -> None:
        await self._socket.send(self._codec.send(order))

    def _read(self, text: str) -> LegEvent | None:
        try:
            return self._codec.receive(text)
        except RemoteProtocolError as malformed:
            self._bad_at.append(self._world.now())
            if self.misbehaved:
                raise
            return LegMessageIgnored(malformed.field, malformed.problem)
