"""Twilio's webhooks and media stream requests: verifies them and passes them to the call host.

    POST /twilio/voice          signed → TwiML that connects a stream to a token's URL
    POST /twilio/voice?call=    the same for a call that we placed, once it was answered
    POST /twilio/status         signed → the call's status; ?call= of calls that we placed
    POST /twilio/amd?call=      signed → the result of answering-machine detection
    GET  /twilio/media/{token}  signed, valid token → WebSocket → the call

Rule 1: fail closed: a wrong signature or token is answered with 403 and has no effect.
Rule 2: signatures are verified against the configured public URL; headers of the
request never change it.
Rule 3: a webhook is answered at once; it never waits for a call.
Rule 4: a stream must name the call that its token was issued for.
Rule 5: a webhook for a call that is over is answered and has no effect.

Facts: docs/protocols/twilio-media-streams.md, sections 1, 2 and 8 to 11. assembly.py creates it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal
from urllib.parse import parse_qs

import trio

from voicecore.carriers.twilio.account import TwilioAccount
from voicecore.carriers.twilio.media import run_stream
from voicecore.carriers.twilio.refusals import Refusals
from voicecore.errors import RemoteProtocolError
from voicecore.net.http.messages import Request, Response, Upgrade
from voicecore.net.http.routes import Handler, Parameters
from voicecore.net.websocket.protocol import POLICY_VIOLATION, WebSocket
from voicecore.ports import AmdResult, CallHost, NotTaken, RingingCall, StatusReport
from voicecore.wire import twilio_webhook, twiml
from voicecore.wire.twilio_signature import SIGNATURE_HEADER, is_signed
from voicecore.world import World

FORM = "application/x-www-form-urlencoded"
QUERY_FIELDS_LIMIT = 8


class TwilioInbound:
    """Passes Twilio's requests to a `CallHost`."""

    def __init__(self, world: World, account: TwilioAccount, reception: CallHost) -> None:
        self._world = world
        self._account = account
        self._reception = reception
        self._refusals = Refusals(world.now, account)

    def unrouted(self, request: Request, status: int) -> None:
        """Log why a request that looks like Twilio's was not served; see `Refusals`."""
        self._refusals.unrouted(request, status)

    def routes(self) -> Mapping[tuple[str, str], Handler]:
        """Return the handlers of the server's port, by method and path."""
        return {
            ("POST", "/twilio/voice"): self._form_handler(self._voice),
            ("POST", "/twilio/status"): self._form_handler(self._status),
            ("POST", "/twilio/amd"): self._form_handler(self._verdict),
            ("GET", "/twilio/media/{token}"): self._media,
        }

    # --- webhooks -------------------------------------------------------------------

    def _form_handler(self, handle: Callable[[twilio_webhook.Form, str | None], Response]) -> Handler:
        async def handler(request: Request, _parameters: Parameters) -> Response:
            await trio.lowlevel.checkpoint()
            kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
            if kind != FORM:
                self._refusals.form(request, f"its content type is {kind or 'missing'}; Twilio sends {FORM}")
                return Response(415)
            try:
                form = twilio_webhook.parse_form(request.body)
                if not self._is_signed(request, "http", form):
                    return Response(403)
                return handle(form, _call_id(request))
            except RemoteProtocolError as malformed:
                self._refusals.form(request, str(malformed))
                return Response(400, str(malformed).encode())

        return handler

    def _voice(self, form: twilio_webhook.Form, call_id: str | None) -> Response:
        if twilio_webhook.says_over(form):  # late, or the number's status callback has this URL too
            self._status(form, call_id)
            return self._twiml(twiml.hang_up())
        if call_id is not None:
            token = self._reception.answered(_machine_report(form, call_id))
            return self._twiml(twiml.hang_up() if token is None else self._connect(token))
        call = twilio_webhook.read_incoming_call(form)
        answer = self._reception.incoming(
            RingingCall(carrier_call_id=call.carrier_call_id, caller=call.caller, callee=call.callee)
        )
        if isinstance(answer, NotTaken):
            return self._twiml(twiml.reject("busy") if answer is NotTaken.BUSY else twiml.hang_up())
        return self._twiml(self._connect(answer))

    def _status(self, form: twilio_webhook.Form, call_id: str | None) -> Response:
        report = twilio_webhook.read_call_status(form)
        self._reception.status(
            StatusReport(
                carrier_call_id=report.carrier_call_id,
                call_id=call_id,
                status=report.status,
                word=report.word,
                duration_s=report.duration_s,
                failure=report.failure,
            )
        )
        return Response(204)

    def _verdict(self, form: twilio_webhook.Form, call_id: str | None) -> Response:
        if call_id is None:
            return Response(400, b"the URL has no call id")
        self._reception.amd_result(_machine_report(form, call_id))
        return Response(204)

    def _connect(self, token: str) -> bytes:
        return twiml.connect_stream(self._account.media_url(token), apology=self._account.apology)

    @staticmethod
    def _twiml(body: bytes) -> Response:
        return Response(200, body, twiml.CONTENT_TYPE)

    # --- the media stream -------------------------------------------------------------

    async def _media(self, request: Request, parameters: Parameters) -> Response | Upgrade:
        await trio.lowlevel.checkpoint()
        if not request.is_upgrade:
            return Response(426, headers=[("upgrade", "websocket")])
        token = parameters["token"]
        if not self._is_signed(request, "ws"):
            return Response(403)
        if not self._reception.token_valid(token):
            self._refusals.stream(request)
            return Response(403)

        async def run(socket: WebSocket) -> None:
            # Taken here and not earlier: an upgrade that fails must not use up the token.
            media_pass = self._reception.take_token(token)
            if media_pass is None:
                await socket.close(POLICY_VIOLATION, "the token is used")
            else:
                await run_stream(socket, media_pass, self._world)

        return Upgrade(run)

    # --- inside -------------------------------------------------------------------------

    def _is_signed(
        self, request: Request, scheme: Literal["http", "ws"], form: twilio_webhook.Form | None = None
    ) -> bool:
        """Whether the request is signed by Twilio; if not, log it."""
        if not self._account.verify_signatures:
            return True
        query = f"?{request.query}" if request.query else ""
        url = f"{self._account.url(scheme)}{request.path}{query}"
        token, given = self._account.auth_token.reveal(), request.headers.get(SIGNATURE_HEADER)
        signed = is_signed(token, url, given, form=form)
        if not signed:
            self._refusals.signature(request, scheme, url, form)
        return signed


def _call_id(request: Request) -> str | None:
    """Return our own call id from the URL's query."""
    if request.query.count("&") >= QUERY_FIELDS_LIMIT:
        raise RemoteProtocolError(f"a URL with more than {QUERY_FIELDS_LIMIT} fields", peer="twilio")
    values = parse_qs(request.query).get("call")
    return values[0] if values else None


def _machine_report(form: twilio_webhook.Form, call_id: str) -> AmdResult:
    verdict = twilio_webhook.read_amd_callback(form)
    return AmdResult(
        call_id=call_id,
        carrier_call_id=verdict.carrier_call_id,
        answered_by=verdict.answered_by,
        word=verdict.word,
    )
