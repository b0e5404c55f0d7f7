"""Dialling a WebSocket: trio-websocket, wrapped so that none of its sharp edges can be felt.

What is smoothed here (each was met):
- it has no bound on connecting or opening, and hangs when a peer closes before
  its answer: both are bounded here, and the end of the stream ends the wait;
- it reads a refusal's body to its end: here the status line is enough;
- a failure of its reader takes down the nursery that it was given: here that
  holds this one connection and nothing else;
- its reader dies with the scope that is cancelled, so that no close frame is
  exchanged: here it lives in a shield until the close is done;
- it waits 60 s for a peer's close, and dies of a ping that comes before it:
  here one second at most, and whatever still comes is read and dropped;
- a send that is cancelled in mid-frame leaves the stream corrupt and the next
  send is accepted: here the connection is over;
- it leaves without a close frame when the peer breaks the protocol: here 1002,
  1003, 1007 or 1009 is sent;
- it sends no keep-alive pings: here a silent peer is given up.

Rule 1: one nursery a connection; leaving the scope leaves no task and no socket.
Rule 2: messages wait in one backlog with two bounds.  Up to there pings are
answered although nobody receives; beyond, the peer meets back-pressure, and its
silence does not count, because we are the ones who do not listen.

Used by providers/ and the carrier twin.  net/watched.py is the stream below the library.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import cast

import attrs
import h11
import trio
import trio_websocket
from wsproto.connection import Connection, ConnectionType
from wsproto.events import CloseConnection
from wsproto.utilities import ProtocolError

from voicecore.errors import ConnectionLost, HandshakeRefused, HandshakeTimeout, first_cause
from voicecore.net.headers import encode_headers
from voicecore.net.urls import WebSocketUrl, parse_websocket_url
from voicecore.net.watched import Sending, WatchedStream
from voicecore.net.websocket import NORMAL_CLOSURE, DialledWebSocket
from voicecore.nurseries import open_service_nursery
from voicecore.world import Network

Headers = Sequence[tuple[str, str]]

_UNSUPPORTED_DATA = 1003
_ABNORMAL_CLOSURE = 1006  #: stands for "without a close frame"; is never sent
_LIBRARY_QUEUE_MESSAGES = 0  #: none: only the backlog keeps messages
_LIBRARY_ERRORS = (
    trio_websocket.ConnectionClosed,
    ProtocolError,  # a ping that arrives after our close frame
    h11.ProtocolError,  # its answer to an answer that is no HTTP
    UnicodeError,  # header fields of the peer's answer that are not ASCII
    trio.ClosedResourceError,
    trio.BrokenResourceError,
)


@attrs.frozen(kw_only=True)
class DialLimits:
    """Bounds of one dialled connection; seconds, bytes, characters and messages."""

    connect_s: float = 3.0
    """Name lookup, TCP and TLS."""
    open_s: float = 3.0
    """The upgrade request and its answer."""
    close_s: float = attrs.field(default=1.0, validator=attrs.validators.le(1.0))
    """How long a close waits for the peer; a hang-up never waits longer."""
    send_s: float = 10.0
    """A peer that does not read for so long is lost."""
    ping_every_s: float = 10.0
    """Silence after which the peer is pinged."""
    gone_after_s: float = attrs.field(default=20.0)
    """Silence, without even a pong, after which it is lost; more than ``ping_every_s``."""
    max_message_bytes: int = 4 * 2**20
    """Of one message; the library counts characters of text instead, of up to four bytes."""
    backlog_messages: int = 256
    """Messages that wait for `receive`."""
    backlog_chars: int = 8 * 2**20
    """The same in characters; the last message may go beyond it."""

    @gone_after_s.validator
    def _leaves_time_for_a_pong(self, _: object, value: float) -> None:
        if value <= self.ping_every_s:
            raise ValueError("gone_after_s must be more than ping_every_s")


@asynccontextmanager
async def dial(
    network: Network, url: str, *, headers: Headers = (), limits: DialLimits | None = None
) -> AsyncIterator[DialledWebSocket]:
    """Open a WebSocket; leaving the block closes it within ``close_s``, cancelled or not.

    ``headers`` may hold credentials; neither they nor the URL's path show up
    anywhere.  What the block raises leaves as it is.

    Raises (on entering):
        LocalProtocolError: The URL is not one, or a header may not be sent.
        HandshakeTimeout: No connection or no answer in time.
        HandshakeRefused: The peer answered with an HTTP status.
        ConnectionLost: The connection ended before it was open.
    """
    limits = limits or DialLimits()
    target, fields = parse_websocket_url(url), encode_headers(headers)
    stream = await _connect(network, target, limits)
    try:
        async with open_service_nursery() as nursery:
            socket = _DialledSocket(WatchedStream(stream, limits.send_s), target, limits)
            await nursery.start(socket.hold, fields)
            socket.outlive_cancellation()
            try:
                yield socket
            finally:
                await socket.close()
    finally:
        await _drop(stream)


async def _connect(network: Network, target: WebSocketUrl, limits: DialLimits) -> trio.abc.Stream:
    with trio.move_on_after(limits.connect_s):
        return await network.open_stream(target.host, target.port, tls=target.tls)
    raise HandshakeTimeout(f"could not be reached within {limits.connect_s} s", peer=target.origin)


async def _drop(stream: trio.abc.Stream) -> None:
    with trio.CancelScope(shield=True):  # without a deadline: a forceful close does not wait
        await trio.aclose_forcefully(stream)


class _DialledSocket:
    """A WebSocket on trio-websocket; implements `voicecore.net.websocket.DialledWebSocket`."""

    def __init__(self, wire: WatchedStream, target: WebSocketUrl, limits: DialLimits) -> None:
        self._wire = wire
        self._target = target
        self._limits = limits
        self._connection: trio_websocket.WebSocketConnection | None = None
        self._backlog: deque[str] = deque()  # bounded by backlog_messages and backlog_chars
        self._backlog_chars = 0
        self._arrivals = trio.lowlevel.ParkingLot()
        self._room = trio.lowlevel.ParkingLot()
        self._service = trio.CancelScope()  # around all that `hold` runs
        self._handshake = trio.CancelScope()  # around the exchange of close frames
        self._closing = trio.StrictFIFOLock()
        self._close_by: float | None = None  # set by the first close
        self._over = trio.Event()
        self._verdict: ConnectionLost | None = None  # our own judgement of the peer
        self._cause: BaseException | None = None

    @property
    def peer(self) -> str:
        return self._target.origin

    # --- the connection's task -----------------------------------------------------

    async def hold(
        self, fields: list[tuple[bytes, bytes]], *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Open the connection, and keep it up until it ends; started once it is open. Raises as `dial` does."""
        try:
            with self._service:
                async with open_service_nursery() as tasks:
                    await self._open(tasks, fields)
                    if self._connection is not None:
                        tasks.start_soon(self._keep_alive, self._connection)
                        task_status.started()
                        await self._fill_backlog(self._connection)
                        if self._close_by is not None:
                            await trio.sleep_forever()  # the library still reads, for the peer's close
        except* _LIBRARY_ERRORS as errors:
            self._cause = first_cause(errors)
        finally:
            self._handshake.cancel()
        if self._connection is None:
            raise self._not_opened() from self._cause
        try:
            await self._object()
        finally:
            self._over.set()
            self._arrivals.unpark_all()

    def outlive_cancellation(self) -> None:
        """From here on only `close` ends the connection's task."""
        self._service.shield = True

    async def _open(self, tasks: trio.Nursery, fields: list[tuple[bytes, bytes]]) -> None:
        with self._wire.opening as opening:
            opening.deadline = trio.current_time() + self._limits.open_s
            self._connection = await trio_websocket.wrap_client_stream(
                tasks,
                cast("trio.SocketStream", self._wire),  # it takes any stream
                self._target.origin,
                self._target.target,
                extra_headers=fields,
                message_queue_size=_LIBRARY_QUEUE_MESSAGES,
                max_message_size=self._limits.max_message_bytes,
            )

    def _not_opened(self) -> ConnectionLost:
        if self._wire.refused_status is not None:
            return HandshakeRefused(peer=self.peer, status=self._wire.refused_status)
        if trio.current_time() >= self._wire.opening.deadline:
            return HandshakeTimeout(f"did not answer the upgrade within {self._limits.open_s} s", peer=self.peer)
        if self._wire.fault is not None:
            return ConnectionLost(f"{self._wire.fault} during the upgrade", peer=self.peer)
        return ConnectionLost("did not answer the upgrade as a WebSocket server does", peer=self.peer)

    async def _fill_backlog(self, connection: trio_websocket.WebSocketConnection) -> None:
        while self._verdict is None:
            while self._is_full():
                await self._room.park()
            try:
                message = await connection.get_message()
            except trio_websocket.ConnectionClosed as closed:
                self._cause = closed
                return
            if isinstance(message, str):
                self._backlog.append(message)
                self._backlog_chars += len(message)
                self._arrivals.unpark_all()
            else:
                self._verdict = ConnectionLost("sent a binary message", peer=self.peer, code=_UNSUPPORTED_DATA)

    def _is_full(self) -> bool:
        limits = self._limits
        return len(self._backlog) >= limits.backlog_messages or self._backlog_chars >= limits.backlog_chars

    async def _keep_alive(self, connection: trio_websocket.WebSocketConnection) -> None:
        """Ping a silent peer; give it up when it stays silent."""
        while True:
            quiet_since = self._wire.quiet_since
            await trio.sleep_until(quiet_since + self._limits.ping_every_s)
            if self._wire.quiet_since != quiet_since:
                continue
            with trio.move_on_at(quiet_since + self._limits.gone_after_s):
                await connection.ping()
            if self._wire.quiet_since == quiet_since:
                self._wire.break_off(f"was silent for {self._limits.gone_after_s} s")
                await _drop(self._wire.stream)  # which ends everything that waits for it
                return

    async def _object(self) -> None:
        """Tell a peer that broke the rules so, at once."""
        with trio.move_on_after(self._limits.close_s, shield=True):
            await self._send_close(NORMAL_CLOSURE)

    async def _send_close(self, code: int) -> None:
        """Send the close frame that the library did not; a fault of the peer decides the code."""
        code = (None if self._verdict is None else self._verdict.code) or self._close_code() or code
        frame = Connection(ConnectionType.CLIENT).send(CloseConnection(code))
        with suppress(trio.BrokenResourceError):
            await self._wire.send_all(frame)

    # --- the WebSocket ---------------------------------------------------------------

    async def receive(self) -> list[str]:
        await trio.lowlevel.checkpoint()
        while not self._backlog:
            if self._over.is_set():
                raise self._loss() from self._cause
            await self._arrivals.park()
        messages = list(self._backlog)
        self._backlog.clear()
        self._backlog_chars = 0
        self._room.unpark_all()
        return messages

    async def send(self, text: str) -> None:
        if self._connection is None or self._over.is_set():
            raise self._loss() from self._cause
        try:
            await self._connection.send_message(text)
        except _LIBRARY_ERRORS as error:
            raise self._loss() from error
        finally:
            if self._wire.fault is not None:
                self._service.cancel()
        if self._wire.sending is Sending.UNHEARD:
            with trio.move_on_after(self._limits.close_s):
                await self._over.wait()  # the peer has gone: let its last words be read, a close code perhaps
            raise self._loss() from self._cause

    async def prove_alive(self, fresh_s: float) -> None:
        await trio.lowlevel.checkpoint()
        if self._connection is None or self._over.is_set() or self._wire.fault is not None:
            raise self._loss() from self._cause
        if trio.current_time() - self._wire.quiet_since <= fresh_s:
            return
        try:
            await self._connection.ping()
        except _LIBRARY_ERRORS as error:
            raise self._loss() from error

    async def close(self, code: int = NORMAL_CLOSURE, reason: str = "") -> None:
        if self._close_by is None:
            self._close_by = trio.current_time() + self._limits.close_s
        with trio.move_on_at(self._close_by, shield=True):
            async with self._closing:
                await self._part(code, reason)
        self._service.cancel()
        await _drop(self._wire.stream)

    async def _part(self, code: int, reason: str) -> None:
        """Exchange close frames; if that cannot be done in order, read until the peer has closed.

        Closing on input that nobody has read would reset the connection, and our
        own close frame might be lost with it.
        """
        if self._wire.fault is not None or self._connection is None:
            return
        if self._connection.closed is None:
            with self._handshake:
                await self._connection.aclose(code, reason or None)
            if not self._handshake.cancelled_caught:
                await self._wire.stream.aclose()
                return
        self._service.cancel()
        await self._over.wait()
        await self._send_close(code)
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            while await self._wire.stream.receive_some():
                pass

    # --- why it ended -------------------------------------------------------------------

    def _close_code(self) -> int | None:
        closed = None if self._connection is None else self._connection.closed
        return None if closed is None or closed.code == _ABNORMAL_CLOSURE else closed.code

    def _loss(self) -> ConnectionLost:
        if self._verdict is not None:
            return self._verdict
        if self._connection is None or self._connection.closed is None or self._close_code() is None:
            return ConnectionLost(self._wire.fault or "ended the connection", peer=self.peer)
        closed = self._connection.closed
        return ConnectionLost("closed", peer=self.peer, code=closed.code, reason=closed.reason or "")
