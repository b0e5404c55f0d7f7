"""The other end of the carrier twin: an application with webhooks and a media socket, and hands that ask by REST.

Every webhook and every upgrade is judged by the official validator before
anything else happens; all of it runs in virtual time on memory streams.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import attrs
import trio
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]

from voicecore.errors import ConnectionLost
from voicecore.net.http.messages import Request, Response, Upgrade
from voicecore.net.http.routes import Parameters, Router
from voicecore.net.http.server import serve
from voicecore.net.websocket.protocol import WebSocket
from voicecore.nurseries import open_service_nursery
from voicecore.simulation.memory_network import LinkSettings
from voicecore.simulation.twilio import Account, TwilioTwin, open_twilio
from voicecore.simulation.world import SimulatedWorld, simulated_world
from voicecore.world import World
from voicecore_tests.kit import LIMIT_S

CALLEE = "+15550100077"
NUMBER = "+15550100002"
ACCOUNT = Account()
AUTH = (ACCOUNT.account_sid, ACCOUNT.auth_token.reveal())
CALLS = f"/2010-04-01/Accounts/{ACCOUNT.account_sid}/Calls"
ALL_EVENTS = [("StatusCallbackEvent", event) for event in ("initiated", "ringing", "answered", "completed")]

Fields = dict[str, str]
Pairs = Sequence[tuple[str, str]]


@attrs.frozen
class Webhook:
    """One webhook that came."""

    at: float
    path: str
    fields: Fields


class Application:
    """What stands at the far end of the carrier; made by `application`."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.webhooks: list[Webhook] = []
        self.streams: list[dict[str, Any]] = []
        """The start message of every stream."""
        self.events: list[str] = []
        """What came over streams, but media."""
        self.order: list[str] = []
        """Statuses and what came over streams, but media, as they came."""
        self.closes_after_s = math.inf
        """When the application closes a stream."""
        self.answers: dict[str, Response] = {}
        """In place of the usual answer, by path."""
        self.refuses_streams = False

    @property
    def stream_url(self) -> str:
        return self.url.replace("http://", "ws://") + "/media/token"

    def twiml(self, behind: str = "") -> str:
        """A document that opens a stream, with more verbs behind it."""
        stream = f'<Stream url="{self.stream_url}"><Parameter name="call" value="c_1"/></Stream>'
        return f"<Response><Connect>{stream}</Connect>{behind}</Response>"

    def came(self, path: str) -> list[Fields]:
        return [webhook.fields for webhook in self.webhooks if webhook.path == path]

    @property
    def statuses(self) -> list[str]:
        return [fields["CallStatus"] for fields in self.came("/status")]

    async def take(self, request: Request, _: Parameters) -> Response:
        url = f"{self.url}{request.path}" + (f"?{request.query}" if request.query else "")
        fields = {name: values[0] for name, values in parse_qs(request.body.decode(), keep_blank_values=True).items()}
        if not RequestValidator(AUTH[1]).validate(url, fields, request.headers["x-twilio-signature"]):
            return Response(403)
        self.webhooks.append(Webhook(trio.current_time(), request.path, fields))
        self.order.append(fields.get("CallStatus", ""))
        if request.path in self.answers:
            return self.answers[request.path]
        is_voice = request.path == "/voice" or request.path.startswith("/twilio/voice")
        return xml(self.twiml()) if is_voice else Response(204)

    async def upgrade(self, request: Request, _: Parameters) -> Response | Upgrade:
        signature = request.headers["x-twilio-signature"]
        if self.refuses_streams or not RequestValidator(AUTH[1]).validate(self.stream_url, {}, signature):
            return Response(403)
        return Upgrade(self._hold)

    def _note(self, event: str) -> None:
        self.events.append(event)
        self.order.append(event)

    async def _hold(self, socket: WebSocket) -> None:
        with trio.move_on_after(self.closes_after_s):
            while True:
                try:
                    texts = await socket.receive()
                except ConnectionLost:
                    self._note("closed")
                    return
                for message in map(json.loads, texts):
                    if message["event"] != "media":
                        self._note(message["event"])
                    if message["event"] == "start":
                        self.streams.append(message["start"])


def xml(text: str) -> Response:
    return Response(200, text.encode(), "text/xml")


@asynccontextmanager
async def application(world: World) -> AsyncIterator[Application]:
    """Run an application on the world's network."""
    listening = await world.network.listen("127.0.0.1", 0)
    it = Application(f"http://127.0.0.1:{listening.port}")
    paths = ["/voice", "/fallback", "/status", "/amd", "/twilio/voice", "/twilio/status"]
    routes = {("POST", path): it.take for path in paths}
    async with open_service_nursery() as nursery:
        await nursery.start(serve, listening.listeners, Router({**routes, ("GET", "/media/{token}"): it.upgrade}))
        yield it


@attrs.define(eq=False)
class Office:
    """A carrier with its REST interface, an application, and hands that ask."""

    simulated: SimulatedWorld
    carrier: TwilioTwin
    app: Application
    api: str

    def form(self, *more: tuple[str, str], without: Sequence[str] = ()) -> list[tuple[str, str]]:
        """A request for a call that Twilio takes, with TwiML in it, and more."""
        usual = [("To", CALLEE), ("From", NUMBER), ("Twiml", self.app.twiml())]
        callback = [("StatusCallback", f"{self.app.url}/status?call=c_1"), *ALL_EVENTS]
        return [pair for pair in [*usual, *callback] if pair[0] not in without] + list(more)

    async def dial(self, *more: tuple[str, str], without: Sequence[str] = ()) -> str:
        """Place a call; return the CallSid of the answer."""
        status, body = await self.ask("POST", f"{CALLS}.json", self.form(*more, without=without))
        assert status == 201, body
        return str(body["sid"])

    async def dial_through(self, *more: tuple[str, str], without: Sequence[str] = ()) -> None:
        """Place a call and wait until it is over."""
        await self.dial(*more, without=without)
        await self.carrier.dials[-1].over.wait()

    async def update(self, call_sid: str, status: str) -> tuple[int, Any]:
        return await self.ask("POST", f"{CALLS}/{call_sid}.json", [("Status", status)])

    async def fetch(self, call_sid: str) -> tuple[int, Any]:
        return await self.ask("GET", f"{CALLS}/{call_sid}.json")

    async def ask(
        self, method: str, path: str, form: Pairs = (), auth: tuple[str, str] = AUTH
    ) -> tuple[int, dict[str, Any]]:
        status, body = await http(self.simulated.world, method, self.api + path, urlencode(form), auth)
        return status, json.loads(body)


async def http(world: World, method: str, url: str, body: str, auth: tuple[str, str]) -> tuple[int, str]:
    """Send one request and return status and body; ("", 0) when the connection ends without an answer."""
    parts = urlsplit(url)
    lines = [
        f"{method} {parts.path}{'?' + parts.query if parts.query else ''} HTTP/1.1",
        f"Host: {parts.netloc}",
        f"Authorization: Basic {base64.b64encode(':'.join(auth).encode()).decode()}",
        "Content-Type: application/x-www-form-urlencoded",
        f"Content-Length: {len(body)}",
        "Connection: close",
    ]
    async with await world.network.open_stream(parts.hostname or "", parts.port or 0, tls=False) as stream:
        await stream.send_all(("\r\n".join(lines) + "\r\n\r\n" + body).encode())
        answer = b""
        while data := await stream.receive_some():
            answer += data
    head, _, content = answer.decode().partition("\r\n\r\n")
    return (int(head.split()[1]), content) if head else (0, "")


@asynccontextmanager
async def office(link: LinkSettings | None = None) -> AsyncIterator[Office]:
    """Run all of it; leaving the block ends it, and nothing of it may be left."""
    simulated = simulated_world(0, link)
    with trio.fail_after(LIMIT_S):
        async with application(simulated.world) as app, open_twilio(simulated.world) as carrier:
            async with carrier.serve_rest() as api:
                yield Office(simulated, carrier, app, api)
            assert all(dialled.over.is_set() for dialled in carrier.dials)
    assert simulated.network.open_streams == 0


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that is looked at every 10 ms of virtual time."""
    while not condition():  # noqa: ASYNC110  (virtual time; what is looked at has no event)
        await trio.sleep(0.01)
