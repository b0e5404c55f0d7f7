"""trio-websocket as the other transport: the same `WebSocket` protocol over a well-known library.

    pump        moves the library's messages into a bounded list, from which `receive` takes
    write       sends what was queued, one message at a time; nobody else writes messages
    ping        sends pings when asked, one at a time
    watch       asks for pings when the peer is silent, and gives it up

For networks, proxies or peers that our own code does not get on with; it costs about twice
the CPU.  What is different from our own, because the library cannot do otherwise:

- `receive` and `send` each go through one more task; `send_nowait` queues, up to the same
  bound, and never writes by itself.
- Reads are not coalesced (`SocketLimits.coalesce_messages`), and a message that never ends
  (`SocketLimits.message_s`) is bounded in size only.
- A peer that breaks the protocol is lost as "ended without a close": the library keeps its
  close code to itself.

Rule 1: only the writer sends messages, so no cancellation can cut one in half.
Rule 2: a backlog stops the pump, and with it the library's reader: the peer meets
back-pressure, and its silence does not count.
Rule 3: the library's tasks run in one nursery of this connection; whatever they raise
ends this connection, with its reason.
"""

from __future__ import annotations

import logging
import math
from abc import ABC, abstractmethod
from collections import deque

import attrs
import trio
import trio_websocket

from voicecore.errors import ConnectionLost, HandshakeRefused
from voicecore.net.websocket.connection import FrameLimits
from voicecore.net.websocket.handshake import refusal_status
from voicecore.net.websocket.protocol import NORMAL_CLOSURE, POLICY_VIOLATION
from voicecore.net.websocket.states import ConnectionState, Move, State
from voicecore.net.websocket.trio_ws_stream import LibraryStream
from voicecore.world import ByteStream

log = logging.getLogger("voicecore.net")

_ABNORMAL = 1006  #: the library's code for an end without a close frame
_HEAD_BYTES = 14  #: of a frame, at most
_BACKLOG_MESSAGES = 256
_BACKLOG_CHARS = 8 * 2**20
_WHY_S = 0.25  #: for the body of a refusal to come
_WHY_BYTES = 4096


@attrs.define(eq=False)
class _Outgoing:
    """One message to be sent."""

    text: str
    size_bytes: int
    done: trio.Event = attrs.field(factory=trio.Event)


class TrioWebSocket(ABC):
    """One connection; implements `voicecore.net.websocket.protocol.ClientSideWebSocket`.

    `run` runs beside whoever uses it, until `close`.
    """

    def __init__(
        self, wire: ByteStream, peer: str, limits: FrameLimits, request: bytes = b"", unread: bytes = b""
    ) -> None:
        self._wire = wire
        self._peer = peer
        self._limits = limits
        self._stream = LibraryStream(wire, request, unread)
        self._state = ConnectionState()
        self._library: trio_websocket.WebSocketConnection | None = None
        self._messages: list[str] = []  # bounded, see `_is_full`
        self._changed = trio.lowlevel.ParkingLot()  # those who wait for messages, pongs or the end
        self._room = trio.lowlevel.ParkingLot()  # the pump, while the backlog is full
        self._queue: deque[_Outgoing] = deque()  # the first is being sent
        self._queued_bytes = 0
        self._senders = 0  # who wait in `send`
        self._work = trio.lowlevel.ParkingLot()  # the writer
        self._sent = trio.lowlevel.ParkingLot()  # those who wait for the queue to be empty
        self._pings_wanted = self._pings_begun = self._pings_answered = 0
        self._ping_work = trio.lowlevel.ParkingLot()
        self._loss: ConnectionLost | None = None  # the first reason counts
        self._close_deadline = math.inf
        self._closed = trio.Event()
        self._service = trio.CancelScope()  # around `run`
        wire.limit_unsent(limits.unsent_bytes)

    @property
    def peer(self) -> str:
        return self._peer

    @abstractmethod
    async def _open(self, nursery: trio.Nursery) -> trio_websocket.WebSocketConnection:
        """Do the library's part of the upgrade; it starts its reader in ``nursery``."""

    @abstractmethod
    def _as_text(self, message: bytes) -> str | int:
        """Return a binary message as text, or the code to close with."""

    def _judge(self) -> str:
        """Return what is wrong with the traffic so far; empty: nothing."""
        return ""

    # --- tasks -----------------------------------------------------------------------------

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Upgrade, and serve the connection until `close` is done.

        Has started once it is open, or the upgrade has failed; `check_upgraded` tells which. Then its
        caller calls `outlive_cancellation`. Never raises by itself.
        """
        with self._service:
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._give_up_if_never_open, nursery.cancel_scope)
                    self._library = await self._open(nursery)
                    self._stream.opened.set()
                    self._state.move(Move.OPENED)
                    for task in (self._pump, self._write, self._ping, self._watch):
                        nursery.start_soon(task, self._library)
                    task_status.started()
            except* Exception as failure:
                log.debug("trio-websocket failed", exc_info=failure)
                if self._library is not None:
                    self._lose(ConnectionLost("broke the WebSocket protocol", peer=self._peer))
            if self._library is None:
                self._lose(self._not_open())
                self._cut()
                task_status.started()
            elif not self._state.is_over:
                self._end(Move.PEER_ENDED)

    def outlive_cancellation(self) -> None:
        """From here on only `close` ends `run`, so that a close frame can still be sent after a cancellation."""
        self._service.shield = True

    def check_upgraded(self) -> None:
        """Raise ConnectionLost where the upgrade failed; what was open and ended since shows on use."""
        if self._library is None:
            raise self._error()

    def _check_open(self) -> None:
        """Raise ConnectionLost unless messages can be sent."""
        if not self._state.may_send:
            raise self._error()

    async def _give_up_if_never_open(self, scope: trio.CancelScope) -> None:
        """The library waits for ever where the connection ends within the upgrade, or a refusal's body does not."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._wait_for_refusal, nursery.cancel_scope)
            await self._stream.ended.wait()
            nursery.cancel_scope.cancel()
        if self._library is None:
            scope.cancel()

    async def _wait_for_refusal(self, scope: trio.CancelScope) -> None:
        await self._stream.refused.wait()
        await trio.sleep(_WHY_S)
        scope.cancel()

    def _not_open(self) -> ConnectionLost:
        answer = self._stream.answer
        status = refusal_status(answer)
        if status is not None:
            body = answer.partition(b"\r\n\r\n")[2]
            return HandshakeRefused(peer=self._peer, status=status, body=body[:_WHY_BYTES])
        if answer:
            return ConnectionLost("did not answer the upgrade as a WebSocket server does", peer=self._peer)
        return ConnectionLost("ended the connection during the upgrade", peer=self._peer)

    async def _pump(self, library: trio_websocket.WebSocketConnection) -> None:
        while True:
            try:
                message = await library.get_message()
            except trio_websocket.ConnectionClosed as closed:
                self._hear_close(closed.reason)
                return
            text = message if isinstance(message, str) else self._as_text(message)
            problem = self._judge()
            if isinstance(text, int) or problem:
                code = text if isinstance(text, int) else POLICY_VIOLATION
                await self._reject(library, code, problem or "a message that is not text")
                return
            self._messages.append(text)
            self._changed.unpark_all()
            while self._is_full:
                await self._room.park()

    async def _write(self, library: trio_websocket.WebSocketConnection) -> None:
        while True:
            while not self._queue:
                self._sent.unpark_all()
                await self._work.park()
            with trio.move_on_after(self._limits.send_s) as bound:
                try:
                    await library.send_message(self._queue[0].text)
                except trio_websocket.ConnectionClosed:
                    return  # the pump finds out why
            if bound.cancelled_caught:
                self._break(f"did not read for {self._limits.send_s} s")
                return
            item = self._queue.popleft()
            self._queued_bytes -= item.size_bytes
            item.done.set()

    async def _ping(self, library: trio_websocket.WebSocketConnection) -> None:
        while True:
            while self._pings_begun >= self._pings_wanted:
                await self._ping_work.park()
            self._pings_begun += 1
            try:
                await library.ping(b"%d" % self._pings_begun)
            except trio_websocket.ConnectionClosed:
                return
            self._pings_answered = self._pings_begun
            self._changed.unpark_all()

    async def _watch(self, _library: trio_websocket.WebSocketConnection) -> None:
        limits = self._limits
        while not self._state.is_over:
            if self._is_full:
                self._stream.heard_at = trio.current_time()
            silent_s = trio.current_time() - self._stream.heard_at
            if silent_s >= limits.gone_after_s:
                self._break(f"was silent for {limits.gone_after_s} s")
                return
            if silent_s >= limits.ping_every_s:
                self._want_ping()
                await trio.sleep(limits.gone_after_s - silent_s)
            else:
                await trio.sleep(limits.ping_every_s - silent_s)

    def _want_ping(self) -> int:
        """Have a ping sent after those under way; return its number."""
        self._pings_wanted = self._pings_begun + 1
        self._ping_work.unpark_all()
        return self._pings_wanted

    # --- receiving ---------------------------------------------------------------------------

    async def receive(self) -> list[str]:
        """See `voicecore.net.websocket.protocol.WebSocket`."""
        if self._messages:
            await trio.lowlevel.checkpoint()
        while not self._messages:
            if self._state.is_over:
                raise self._error()
            await self._changed.park()
        if self._is_full:
            self._stream.heard_at = trio.current_time()  # see Rule 2
        messages, self._messages = self._messages, []
        self._room.unpark_all()
        return messages

    async def prove_alive(self, fresh_s: float) -> None:
        """See `voicecore.net.websocket.protocol.ClientSideWebSocket`."""
        await trio.lowlevel.checkpoint()
        self._check_open()
        if trio.current_time() - self._stream.heard_at < fresh_s:
            return
        number = self._want_ping()
        while self._pings_answered < number:
            if self._state.is_over:
                raise self._error()
            await self._changed.park()

    @property
    def _is_full(self) -> bool:
        return len(self._messages) >= _BACKLOG_MESSAGES or sum(map(len, self._messages)) >= _BACKLOG_CHARS

    def _hear_close(self, reason: trio_websocket.CloseReason | None) -> None:
        if self._state.now is State.CLOSING:
            return  # `close` says how it ended
        if reason is None or reason.code == _ABNORMAL:
            self._lose(ConnectionLost("ended the connection without a close", peer=self._peer))
            self._end(Move.PEER_ENDED)
        else:
            self._lose(ConnectionLost("closed", peer=self._peer, code=reason.code, reason=reason.reason or ""))
            self._end(Move.PEER_CLOSED)

    async def _reject(self, library: trio_websocket.WebSocketConnection, code: int, problem: str) -> None:
        self._lose(ConnectionLost(problem, peer=self._peer, code=code))
        self._end(Move.PEER_FAULT)
        with trio.move_on_after(self._limits.close_s):
            await library.aclose(code, problem)

    # --- sending -----------------------------------------------------------------------------

    def send_nowait(self, text: str) -> bool:
        """See `voicecore.net.websocket.protocol.WebSocket`."""
        self._check_open()
        size_bytes = len(text.encode()) + _HEAD_BYTES
        if self._senders or self._queued_bytes + size_bytes > self._limits.buffer_bytes:
            return False
        self._put(_Outgoing(text, size_bytes))
        return True

    async def send(self, text: str) -> None:
        """See `voicecore.net.websocket.protocol.WebSocket`."""
        await trio.lowlevel.checkpoint_if_cancelled()
        self._check_open()
        item = _Outgoing(text, len(text.encode()) + _HEAD_BYTES)
        self._put(item)
        self._senders += 1
        try:
            await item.done.wait()
        finally:
            self._senders -= 1
            if not item.done.is_set() and item in self._queue and item is not self._queue[0]:
                self._queue.remove(item)
                self._queued_bytes -= item.size_bytes
        if item in self._queue:  # it was never sent
            raise self._error()

    def _put(self, item: _Outgoing) -> None:
        self._queue.append(item)
        self._queued_bytes += item.size_bytes
        self._work.unpark_all()

    # --- ends --------------------------------------------------------------------------------

    async def close(self, code: int = NORMAL_CLOSURE, reason: str = "") -> None:
        """See `voicecore.net.websocket.protocol.WebSocket`."""
        self._close_deadline = min(self._close_deadline, trio.current_time() + self._limits.close_s)
        with trio.move_on_at(self._close_deadline, shield=True):
            if self._state.now is State.CLOSING:  # somebody else closes already
                await self._closed.wait()
            while self._queue and self._state.may_send:
                await self._sent.park()
            self._state.move(Move.CLOSE)
            if self._library is not None:
                await self._library.aclose(code, reason or None)
        self._lose(ConnectionLost("was closed by us", peer=self._peer, code=code))
        self._cut()
        self._service.cancel()

    def _break(self, problem: str) -> None:
        """Give the connection up without a close frame."""
        self._lose(ConnectionLost(problem, peer=self._peer))
        self._cut()

    def _cut(self) -> None:
        self._end(Move.CUT)
        self._wire.close_now()
        self._closed.set()

    def _end(self, move: Move) -> None:
        """Make a move that ends the connection, and wake everybody who waits for something of it."""
        self._state.move(move)
        for item in self._queue:
            item.done.set()
        for lot in (self._changed, self._sent, self._room):
            lot.unpark_all()

    def _lose(self, loss: ConnectionLost) -> None:
        if self._loss is None:
            self._loss = loss

    def _error(self) -> ConnectionLost:
        loss = self._loss or ConnectionLost("is being closed", peer=self._peer)
        error = ConnectionLost(loss.problem, peer=loss.peer, code=loss.code, reason=loss.reason)
        if isinstance(loss, HandshakeRefused):
            error = HandshakeRefused(peer=loss.peer, status=loss.status, body=loss.body)
        error.__cause__ = loss.__cause__
        return error
