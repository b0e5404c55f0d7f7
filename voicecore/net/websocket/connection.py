"""A WebSocket on a byte stream, without a reader task: whoever calls `receive` reads the socket.

    receive     wait until the stream is readable, one read, parse: no task, no channel
    send        net/websocket/write_queue.py: one write; the rest is buffered, in order
    run         two tasks that sleep while all is well: one empties the buffer, one
                watches how long the peer is silent
    state       net/websocket/states.py: one value for both directions, from one table

Rule 1: between reading bytes and keeping their messages there is no checkpoint
that could lose one; the replies that they need (a pong, a close) take the path of
sends.  So reading never waits for writing.
Rule 2: a peer that does not read within ``send_s``, breaks the protocol, or says
nothing for ``gone_after_s`` is lost; where it can still read, a close code says
why, after what it sent before was received.
Rule 3: the peer's silence is measured only while somebody listens.

server.py and client.py build on it.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from contextlib import suppress

import attrs
import trio

from voicecore.errors import ConnectionLost
from voicecore.net.websocket.frame_codec import CloseReceived, Faulted, FrameParser, Opcode, PingReceived, PongReceived
from voicecore.net.websocket.protocol import NORMAL_CLOSURE
from voicecore.net.websocket.states import AWAITS_PEER, ConnectionState, Move, State
from voicecore.net.websocket.write_queue import WriteQueue
from voicecore.world import ByteStream

READ_BYTES = 32 * 1024
_NO_CODE = 1005  #: means "closed without a code"; may not be sent
_EARLY_S = 1e-6  #: how much early a sleep may end, by floating-point rounding
_GONE = (trio.BrokenResourceError, trio.ClosedResourceError)


@attrs.frozen(kw_only=True)
class FrameLimits:
    """Bounds of one connection, whoever opened it; seconds and bytes."""

    max_message_bytes: int = 64 * 1024
    ping_every_s: float = 10.0
    """Silence after which the peer is pinged."""
    gone_after_s: float = attrs.field(default=20.0)
    """Silence, without even a pong, after which it is given up; more than ``ping_every_s``."""
    send_s: float = 10.0
    """A peer that does not read for this long is lost."""
    close_s: float = attrs.field(default=1.0, validator=attrs.validators.le(1.0))
    """How long our close waits for the peer's close frame; a hang-up never waits longer."""
    buffer_bytes: int = 16 * 1024
    """How much `send_nowait` may buffer: a second of speech."""
    unsent_bytes: int = 8 * 1024
    """How much the system may buffer and not send when the peer does not read: half a second of speech."""

    @gone_after_s.validator
    def _leaves_time_for_a_pong(self, _: object, value: float) -> None:
        if value <= self.ping_every_s:
            raise ValueError("gone_after_s must be more than ping_every_s")


@attrs.frozen
class _Loss:
    """Why a connection is over; ``code`` and ``reason`` are those of a close frame."""

    problem: str
    code: int | None = None
    reason: str = ""


class WebSocketConnection(ABC):
    """One open connection, from after the upgrade's answer; implements `voicecore.net.websocket.protocol.WebSocket`.

    ``unread`` is what arrived after the upgrade.  `run` runs beside whoever uses
    it, until `close`.
    """

    _awaits_peer = AWAITS_PEER
    """The states in which a close still waits for the peer."""

    def __init__(
        self, wire: ByteStream, peer: str, limits: FrameLimits, parser: FrameParser, unread: bytes = b""
    ) -> None:
        self._clock = trio.lowlevel.current_clock()  # asked twice for each message
        self._wire = wire
        self._peer = peer
        self._limits = limits
        self._parser = parser
        self._unread = unread
        self._messages: list[str] = []  # bounded by one read, but see client.py
        self._arrivals: trio.lowlevel.ParkingLot | None = None  # those who wait while another task listens
        self._listening_since: float | None = None
        self._read_at = self._heard_at = self._clock.current_time()
        self._silent_s = 0.0  # how long we have listened without hearing anything
        self._pinged_at: float | None = None  # since it was last heard
        self._pings = self._answered = 0  # how many were sent, and the number of the last that was answered
        self._state = ConnectionState()
        self._out = WriteQueue(
            wire, self._state, send_s=limits.send_s, buffer_bytes=limits.buffer_bytes, on_stall=self._break_stalled
        )
        self._service = trio.CancelScope()  # around `run`
        self._close_deadline = math.inf  # set by the first close, for all who close
        self._loss: _Loss | None = None  # the first reason counts
        self._cause: Exception | None = None
        wire.limit_unsent(limits.unsent_bytes)

    @property
    def peer(self) -> str:
        return self._peer

    @abstractmethod
    def _encoded(self, opcode: Opcode, payload: bytes) -> bytes:
        """Return a frame as this end sends it."""

    @abstractmethod
    def _encoded_close(self, code: int, reason: str) -> bytes:
        """Return a close frame as this end sends it."""

    def _judge(self, now: float) -> Faulted | None:  # noqa: ARG002
        """Return what is wrong with traffic whose every frame is legal: a flood, say."""
        return None

    # --- the connection's tasks ----------------------------------------------------------

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Write what is buffered, and watch the peer, until `close` is done; never raises by itself.

        Once it has started, its caller calls `outlive_cancellation`.
        """
        self._state.move(Move.OPENED)
        with self._service:
            async with trio.open_nursery() as nursery:
                if self._unread:
                    self._take(self._unread, self._clock.current_time())
                nursery.start_soon(self._out.write_buffered)
                nursery.start_soon(self._watch)
                task_status.started()

    def outlive_cancellation(self) -> None:
        """From here on only `close` ends `run`, so that a close frame can still be sent after a cancellation."""
        self._service.shield = True

    async def _watch(self) -> None:
        while not self._state.is_over:
            again_in_s = self._check_silence()
            await trio.sleep(again_in_s)

    def _check_silence(self) -> float:
        """Judge the peer's silence; return in how many seconds to look again."""
        limits, silent_s = self._limits, self._silent_s
        if self._listening_since is not None:
            silent_s += self._clock.current_time() - self._listening_since
        patience_s = limits.ping_every_s if self._pinged_at is None else limits.gone_after_s
        if silent_s < patience_s - _EARLY_S:
            return patience_s - silent_s
        if self._pinged_at is None:
            self._ping()
        else:
            self._break(f"was silent for {limits.gone_after_s} s")
        return limits.gone_after_s - limits.ping_every_s

    def _ping(self) -> int:
        """Ping the peer, and return the number that its pong will carry."""
        self._pinged_at = self._clock.current_time()
        self._pings += 1
        self._put_control(self._encoded(Opcode.PING, b"%d" % self._pings))
        return self._pings

    # --- receiving -----------------------------------------------------------------------

    async def receive(self) -> list[str]:
        if self._messages:
            await trio.lowlevel.checkpoint()
        while not self._messages:
            if self._state.is_over:
                raise self._error()
            await self._listen()
        messages, self._messages = self._messages, []
        self._notify_arrivals()  # there is room again, see client.py
        return messages

    async def _listen(self) -> None:
        """Read what the peer sends next, or wait until another task that already listens has read it."""
        if self._listening_since is not None:
            await self._wait_for_arrivals()
            return
        data: bytes | None = None
        since = self._listening_since = self._clock.current_time()
        try:
            await self._wire.wait_readable()
            data = self._wire.read_now(READ_BYTES)
        except _GONE as error:
            self._cause, data = self._cause or error, b""
        finally:  # only time spent listening counts: an owner that was busy elsewhere has missed nothing
            now = self._clock.current_time()
            if data is None:
                self._silent_s += now - since
            else:  # what was already there may be as old as our last read
                self._hear(now - (since - self._read_at))
            self._listening_since, self._read_at = None, now
            self._notify_arrivals()
        if data is not None:
            self._take(data, now)

    async def _wait_for_arrivals(self) -> None:
        self._arrivals = self._arrivals if self._arrivals is not None else trio.lowlevel.ParkingLot()
        await self._arrivals.park()

    def _notify_arrivals(self) -> None:
        if self._arrivals is not None:
            self._arrivals.unpark_all()
            self._arrivals = None

    def _hear(self, at: float) -> None:
        self._heard_at, self._silent_s, self._pinged_at = at, 0.0, None

    def _take(self, data: bytes, now: float) -> None:
        if not data:
            self._lose("ended the connection without a close")
            self._state.move(Move.PEER_ENDED)
            return
        pongs, end = b"", None
        for event in self._parser.feed(data):
            if isinstance(event, str):
                self._keep(event)
            elif isinstance(event, PingReceived):
                pongs += self._encoded(Opcode.PONG, event.payload)
            elif isinstance(event, PongReceived):
                self._hear_pong(event.payload)
            else:
                end = event
        end = end or self._judge(now)
        if end is not None:
            self._take_end(end)
        elif pongs:
            self._put_control(pongs)

    def _keep(self, text: str) -> None:
        if self._state.may_send:  # after our close nobody wants it
            self._messages.append(text)

    def _hear_pong(self, payload: bytes) -> None:
        """Record which ping was answered."""
        with suppress(ValueError):  # not the payload of a ping of ours
            self._answered = max(self._answered, min(int(payload), self._pings))

    def _take_end(self, end: CloseReceived | Faulted) -> None:
        if isinstance(end, Faulted):
            self._lose(end.problem, end.code)
            self._out.take_close(Move.PEER_FAULT, self._encoded_close(end.code, end.problem))
        else:
            self._lose("closed", end.code, end.reason)
            code = NORMAL_CLOSURE if end.code == _NO_CODE else end.code
            self._out.take_close(Move.PEER_CLOSED, self._encoded_close(code, ""))

    # --- sending -------------------------------------------------------------------------

    def send_nowait(self, text: str) -> bool:
        self._check_open()
        return self._out.take(self._encoded(Opcode.TEXT, text.encode()))

    async def send(self, text: str) -> None:
        await trio.lowlevel.checkpoint_if_cancelled()
        self._check_open()
        await self._out.send(self._encoded(Opcode.TEXT, text.encode()), self._check_open)
        if self._state.now is State.CLOSED:
            raise self._error()
        if self._out.failure is not None:
            await self._read_to_the_end()

    async def _read_to_the_end(self) -> None:
        """Read what a peer that has gone still said, bounded in time, and raise the reason that it gave."""
        self._wire.coalesce(1)
        with trio.move_on_after(self._limits.close_s):
            while not self._state.is_over:
                await self._listen()
        self._lose("ended the connection")
        self._state.move(Move.PEER_ENDED)
        raise self._error()

    def _check_open(self) -> None:
        """Raise ConnectionLost unless messages can be sent."""
        if not self._state.may_send:
            raise self._error()

    def _put_control(self, frames: bytes) -> None:
        if not self._out.take_control(frames):
            self._break("did not read the pongs that it asked for")

    # --- closing -------------------------------------------------------------------------

    async def close(self, code: int = NORMAL_CLOSURE, reason: str = "") -> None:
        self._close_deadline = min(self._close_deadline, self._clock.current_time() + self._limits.close_s)
        self._wire.coalesce(1)
        with trio.move_on_at(self._close_deadline, shield=True):
            self._out.take_close(Move.CLOSE, self._encoded_close(code, reason))
            await self._out.wait_until_empty()
            # Closing the socket on unread input would reset the connection before our close frame is read.
            while self._state.now in self._awaits_peer:
                await self._listen()
        self._lose("was closed by us", code)
        self._out.cut()
        self._service.cancel()

    def _break_stalled(self) -> None:
        self._break(f"did not read for {self._limits.send_s} s")

    def _break(self, problem: str) -> None:
        """Give the connection up without a close frame."""
        self._lose(problem)
        self._out.cut()

    def _lose(self, problem: str, code: int | None = None, reason: str = "") -> None:
        if self._loss is None:
            self._loss = _Loss(problem, code, reason)

    def _error(self) -> ConnectionLost:
        loss = self._loss or _Loss("is being closed")
        error = ConnectionLost(loss.problem, peer=self._peer, code=loss.code, reason=loss.reason)
        error.__cause__ = self._cause or self._out.failure
        return error
