"""The twin on the wire: sessions at a real WebSocket port, on whatever network the world has.

    async with RealtimeTwin(world, script).serve() as base_url:
        ...  # ws://127.0.0.1:PORT/v1, as a client's base URL

Rule 1: one session per connection, and it ends with it; both are kept in
`connections` for the test to inspect.
Rule 2: one task serves a connection: it reads, lets time pass, and sends, in turn;
while a client does not read, nothing is read from it either.
Rule 3: what goes wrong is what the behaviour says, and nothing else.

Facts: OpenAI Realtime, sections endpoint and handshake, errors and closes.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar
from urllib.parse import parse_qs

import attrs
import orjson
import trio

from voicecore.errors import ConnectionLost
from voicecore.net.http.messages import Request, Response, ServerLimits, Upgrade
from voicecore.net.http.server import serve
from voicecore.net.websocket.protocol import WebSocket
from voicecore.net.websocket.server import SocketLimits
from voicecore.nurseries import open_service_nursery
from voicecore.secrets import Secret
from voicecore.simulation.observed_stream import ObservedListener, ObservedStream, current_stream
from voicecore.simulation.openai_realtime.behaviour import Behaviour, End
from voicecore.simulation.openai_realtime.json_checks import JsonObject
from voicecore.simulation.openai_realtime.ledger import Ledger
from voicecore.simulation.openai_realtime.outbox import Close, Cut, Outgoing, SendEvent, Stall
from voicecore.simulation.openai_realtime.response_manager import SessionIdentity
from voicecore.simulation.openai_realtime.script import Script
from voicecore.simulation.openai_realtime.session import APPEND_LIMIT_BYTES, TwinSession
from voicecore.world import World

REALTIME_PATH = "/v1/realtime"

_BETA_HEADER = "realtime=v1"
_MAX_MESSAGE_BYTES = APPEND_LIMIT_BYTES * 4 // 3 + 64 * 1024  #: 15 MiB in base64, and the event around it
_PING_EVERY_S = 30.0
_SOCKET_LIMITS = SocketLimits(
    max_message_bytes=_MAX_MESSAGE_BYTES,
    frames_a_second=1_000_000,
    ping_every_s=_PING_EVERY_S,
    gone_after_s=2 * _PING_EVERY_S,
)
_SERVER_LIMITS = ServerLimits(answer_s=math.inf)  # how late an upgrade is answered is up to the behaviour

_T = TypeVar("_T")


class RealtimeTwin:
    """A simulated OpenAI Realtime server."""

    def __init__(
        self,
        world: World,
        script: Script | Sequence[Script] | None = None,
        behaviour: Behaviour | Sequence[Behaviour] | None = None,
        api_key: Secret | None = None,
    ) -> None:
        """Create the server; `serve` starts it.

        Args:
            world: Its network, clock and randomness.
            script: What the agent says; a sequence gives one per connection, the last one repeated.
            behaviour: How it behaves; a sequence likewise, refused connections counted.
            api_key: The only key it accepts; None: any.
        """
        self._world = world
        self._scripts = _sequence(script, Script())
        self._behaviours = _sequence(behaviour, Behaviour())
        self._api_key = api_key
        self.attempts = 0
        """Upgrades that were requested, including refused and abandoned ones."""
        self.connections: list[TwinConnection] = []
        """Every connection that was upgraded, in order, including ended ones."""
        self.ledger = Ledger()
        """The messages of all connections."""

    @property
    def handshakes(self) -> int:
        """Upgrades completed."""
        return len(self.connections)

    @property
    def open_connections(self) -> int:
        """Connections that have not ended, including dead ones."""
        return sum(not connection.ended.is_set() for connection in self.connections)

    @asynccontextmanager
    async def serve(self, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
        """Listen while the block runs; gives the base URL for clients. Leaving it closes everything.

        Raises:
            OSError: The port cannot be bound.
        """
        listening = await self._world.network.listen(host, port)
        listeners = [ObservedListener(listener) for listener in listening.listeners]
        async with open_service_nursery() as nursery:
            await nursery.start(serve, listeners, self._answer, _SERVER_LIMITS)
            yield f"ws://{host}:{listening.port}/v1"

    async def _answer(self, request: Request) -> Response | Upgrade:
        self.attempts += 1
        number = self.attempts
        behaviour = _nth(self._behaviours, number)
        await _wait(behaviour.handshake.accept_s)
        stream = current_stream()
        if behaviour.handshake.hangs_up:
            self.ledger.socket(self._world.now(), number, "refused", "hung up")
            stream.close_now()  # the answer below is never delivered
            return Response(503)
        status = self._fault(request, behaviour)
        if status is not None:
            self.ledger.socket(self._world.now(), number, "refused", str(status))
            return _refusal(status, behaviour.handshake.refusal_words or "The connection was refused.")

        async def run(socket: WebSocket) -> None:
            if behaviour.binary_messages:
                stream.send_binary()
            session = self._open_session(request, behaviour, number)
            connection = TwinConnection(number, session, self._world, self.ledger, behaviour.idle_close_s)
            self.connections.append(connection)
            await connection.run(socket, stream)

        return Upgrade(run, _limits(behaviour))

    def _fault(self, request: Request, behaviour: Behaviour) -> int | None:
        """Return the HTTP status that refuses the upgrade, None when nothing does."""
        query = parse_qs(request.query)
        if request.path != REALTIME_PATH:
            return 404
        if not self._authorised(request.headers.get("authorization", "")):
            return 401
        if ("model" in query) == ("call_id" in query):
            return 400
        return behaviour.handshake.refuse_status

    def _authorised(self, header: str) -> bool:
        scheme, _, key = header.partition(" ")
        if scheme.lower() != "bearer" or not key:
            return False
        return self._api_key is None or Secret(key) == self._api_key

    def _open_session(self, request: Request, behaviour: Behaviour, number: int) -> TwinSession:
        opened = self._world.wall_clock().timestamp()
        identity = SessionIdentity(
            model=parse_qs(request.query).get("model", ["gpt-realtime"])[0],
            call_number=number,
            new_id=self._world.new_id,
            random=self._world.random,
            expires_at=int(opened + behaviour.session_limit_s),
            asks_for_beta=_BETA_HEADER in request.headers.get("openai-beta", ""),
        )
        return TwinSession(_nth(self._scripts, number), behaviour, identity, self._world.now())


@attrs.frozen
class ClientEvent:
    """One message of a client, as it was received."""

    t: float
    """Seconds on Trio's clock."""
    event: JsonObject
    text: str


class TwinConnection:
    """One client's connection, from the completed upgrade on: its session, and what a test may do to it."""

    def __init__(
        self, number: int, session: TwinSession, world: World, ledger: Ledger, idle_close_s: float | None = None
    ) -> None:
        self.number = number
        """From 1, counting refused connections."""
        self.session = session
        """Configuration, conversation, user audio and responses."""
        self.received: list[ClientEvent] = []
        """Every client event except appended audio, in order; bounded by what the client sends in a session.
        The times of appended audio are in the ledger."""
        self.ended = trio.Event()
        """Set once the connection is over, whoever ended it."""
        self.loss: ConnectionLost | None = None
        """How the client ended it, with the code of its close frame; without a code its byte stream just ended.
        None until then, and where the twin ended it."""
        self._world = world
        self._ledger = ledger
        self._opened_at = world.now()
        self._idle_close_s = math.inf if idle_close_s is None else idle_close_s
        self._resting = trio.CancelScope()

    @property
    def requests(self) -> list[JsonObject]:
        """What was received, without the times."""
        return [each.event for each in self.received]

    @property
    def updates(self) -> list[ClientEvent]:
        """Every `session.update` that was received, refused ones too."""
        return [each for each in self.received if each.event.get("type") == "session.update"]

    def speech_starts(self) -> None:
        """Let the server detect the user's speech now, whatever the audio is."""
        self.session.speech_starts(self._world.now())
        self._resting.cancel()

    def speech_stops(self) -> None:
        """Let the server detect the end of speech now."""
        self.session.speech_stops(self._world.now())
        self._resting.cancel()

    def end(self, how: End) -> None:
        """End the connection, or let it go dead, from the server's side."""
        self.session.end(how, self._world.now())
        self._resting.cancel()

    async def run(self, socket: WebSocket, stream: ObservedStream) -> None:
        """Serve the connection to its end; its close frame is sent here."""
        self._note("opened")
        try:
            await self._end(await self._talk(socket, stream), socket, stream)
        except ConnectionLost as lost:
            self.loss = lost
            self._note("lost", "" if lost.code is None else str(lost.code))
            raise
        finally:
            self._note("ended")
            self.ended.set()

    async def _talk(self, socket: WebSocket, stream: ObservedStream) -> Close | Cut | Stall:
        while True:
            act = await self._send_all(socket)
            if act is not None:
                return act
            for text in await self._receive_until(socket, self._silent_until(stream)):
                self._receive(text)
            now = self._world.now()
            self.session.expire(now)
            if now >= self._silent_until(stream):
                self.session.end(End.IDLE, now)

    def _silent_until(self, stream: ObservedStream) -> float:
        """Return when the client will have been silent for too long."""
        return max(stream.heard_at, self._opened_at) + self._idle_close_s

    async def _send_all(self, socket: WebSocket) -> Close | Cut | Stall | None:
        """Send what is queued; return the action that ends the connection, if that was queued."""
        while waiting := self.session.take():
            for outgoing in waiting:
                if isinstance(outgoing, Close | Cut | Stall):
                    return outgoing
                self._ledger.message(self._world.now(), self.number, "out", _event_of(outgoing), outgoing.text)
                await socket.send(outgoing.text)
        return None

    async def _receive_until(self, socket: WebSocket, at_most_until: float) -> list[str]:
        """Return the messages that come before the session's next deadline, or before a test intervenes."""
        deadline = self.session.deadline()
        with trio.CancelScope(deadline=at_most_until if deadline is None else min(deadline, at_most_until)) as scope:
            self._resting = scope
            return await socket.receive()
        return []

    def _receive(self, text: str) -> None:
        now = self._world.now()
        event = _decoded(text)
        self._ledger.message(now, self.number, "in", event, text)
        if isinstance(event, dict) and event.get("type") != "input_audio_buffer.append":
            self.received.append(ClientEvent(now, event, text))
        self.session.receive(event, now)

    async def _end(self, act: Close | Cut | Stall, socket: WebSocket, stream: trio.abc.Stream) -> None:
        match act:
            case Close(code, reason):
                self._note("closed", str(code))
                await socket.close(code, reason)
            case Cut():
                self._note("cut")
                await trio.aclose_forcefully(stream)
            case Stall():
                self._note("stalled")
                await trio.sleep_forever()  # nothing is read: pings go unanswered, and the client's writes pile up

    def _note(self, kind: str, detail: str = "") -> None:
        self._ledger.socket(self._world.now(), self.number, kind, detail)


def _limits(behaviour: Behaviour) -> SocketLimits:
    """Return the socket's limits; a server that drops silent clients does not ping them first."""
    ping_every_s = _PING_EVERY_S + (behaviour.idle_close_s or 0.0)
    return attrs.evolve(_SOCKET_LIMITS, ping_every_s=ping_every_s, gone_after_s=2 * ping_every_s)


def _sequence(given: _T | Sequence[_T] | None, default: _T) -> Sequence[_T]:
    if given is None:
        return (default,)
    return given if isinstance(given, Sequence) else (given,)


def _nth(each: Sequence[_T], number: int) -> _T:
    return each[min(number, len(each)) - 1]


async def _wait(seconds: float | None) -> None:
    await trio.sleep(math.inf if seconds is None else seconds)


def _refusal(status: int, words: str) -> Response:
    error = {"type": "invalid_request_error", "code": None, "message": words, "param": None}
    return Response(status, orjson.dumps({"error": error}), "application/json")


def _event_of(outgoing: Outgoing) -> JsonObject | None:
    return outgoing.event if isinstance(outgoing, SendEvent) else None


def _decoded(text: str) -> object:
    """Return the JSON value, None for text that is not JSON; the session refuses both."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
