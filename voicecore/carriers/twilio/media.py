"""Twilio's media stream as a `Leg`: reads its events, sends audio, marks and clears.

Rule 1: a stream must name the call that its token was issued for.
Rule 2: the media pass is used or given back exactly once, whatever happens.
Rule 3: malformed messages are reported and skipped; too many of them end the call,
and so does a malformed start message.

Facts: docs/protocols/twilio-media-streams.md, sections 3 to 6.
"""

from __future__ import annotations

from collections import deque

import trio

from voicecore.errors import ConnectionLost, LegLost, LocalProtocolError, RemoteProtocolError
from voicecore.events import LegEvent, LegMessageIgnored, LegOrder, LegStarted
from voicecore.net.websocket.protocol import POLICY_VIOLATION, WebSocket
from voicecore.ports import MediaPass
from voicecore.wire.twilio_media import TwilioMedia
from voicecore.world import World

START_S = 5.0  #: from the upgrade to the stream's start message
BAD_MESSAGES_LIMIT = 50  #: malformed messages within BAD_MESSAGES_S that end a call
BAD_MESSAGES_S = 10.0


async def run_stream(socket: WebSocket, media_pass: MediaPass, world: World) -> None:
    """Wait for the stream's start message, then run the call on it until the call is over."""
    leg: TwilioLeg | None = None
    problem = "the stream was closed before its start message"
    try:
        with trio.move_on_after(START_S):
            leg = await _read_start(socket, world)
        if leg is None:
            problem = f"no start message came within {START_S} s"
        elif not media_pass.accepts(leg.started.carrier_call_id):
            leg, problem = None, "the stream named a call that its token is not for"
    except (ConnectionLost, RemoteProtocolError) as unusable:
        problem = str(unusable)
    finally:
        if leg is None:
            media_pass.media_never_came(problem)
    if leg is None:
        await socket.close(POLICY_VIOLATION)
        return
    if not await media_pass.run_call(leg):
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
        self._waiting = waiting  # events that arrived together with the start message

    @property
    def started(self) -> LegStarted:
        return self._started

    async def receive(self) -> list[LegEvent]:
        """See `voicecore.ports.Leg`."""
        if self._waiting:
            events, self._waiting = self._waiting, []
            return events
        try:
            return await self._stream.receive()
        except ConnectionLost as lost:
            raise _lost(lost) from lost

    async def send(self, order: LegOrder) -> None:
        """See `voicecore.ports.Leg`."""
        try:
            await self._stream.send(order)
        except (ConnectionLost, LocalProtocolError) as error:
            raise _lost(error) from error

    def send_nowait(self, order: LegOrder) -> bool:
        """See `voicecore.ports.Leg`."""
        try:
            return self._stream.send_nowait(order)
        except (ConnectionLost, LocalProtocolError) as error:
            raise _lost(error) from error


def _lost(error: ConnectionLost | LocalProtocolError) -> LegLost:
    if isinstance(error, ConnectionLost):
        return LegLost(f"the media stream ended without a stop message: {error}")
    return LegLost(f"the media stream is over: {error}")


class _Stream:
    """A WebSocket with its codec."""

    def __init__(self, socket: WebSocket, world: World) -> None:
        self._socket = socket
        self._world = world
        self._codec = TwilioMedia()
        self._bad_at: deque[float] = deque(maxlen=BAD_MESSAGES_LIMIT + 1)

    @property
    def _is_hopeless(self) -> bool:
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

    def send_nowait(self, order: LegOrder) -> bool:
        return self._socket.send_nowait(self._codec.send(order))

    def _read(self, text: str) -> LegEvent | None:
        try:
            return self._codec.receive(text)
        except RemoteProtocolError as malformed:
            if malformed.field.partition(".")[0] == "start":
                raise
            self._bad_at.append(self._world.now())
            if self._is_hopeless:
                raise
            return LegMessageIgnored(malformed.field, malformed.problem)
