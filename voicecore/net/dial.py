"""Dialling a WebSocket: trio-websocket, wrapped so that none of its sharp edges can be felt.

What is smoothed here (each was met):
- it has no bound on connecting or opening, and hangs when a peer closes before
  its answer: both are bounded here, and the end of its reader ends the wait;
- a refused handshake takes down the nursery of its reader: here it becomes
  `HandshakeRefused`;
- its reader dies with the scope that is cancelled, so that no close frame is
  exchanged: here it lives in a shield until the close is done;
- it waits 60 s for a peer's close: here one second at most, then the socket is
  closed without asking;
- a send that is cancelled in mid-frame leaves the stream corrupt and the next
  send is accepted: here the connection counts as broken;
- it sends no keep-alive pings: here a silent peer is given up.

Rule: one nursery a connection; leaving the scope leaves no task and no socket.

Used by providers/ and the carrier twin.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import attrs
import trio
import trio_websocket
import wsproto.utilities

from voicecore.errors import ConnectionLost, HandshakeRefused, HandshakeTimeout, LocalProtocolError
from voicecore.net.urls import WebSocketUrl, parse_websocket_url
from voicecore.net.websocket import NORMAL_CLOSURE, WebSocket
from voicecore.nurseries import open_service_nursery
from voicecore.world import Network

Headers = Sequence[tuple[str, str]]

_LIBRARY_ERRORS = (
    trio_websocket.ConnectionClosed,
    wsproto.utilities.LocalProtocolError,  # a ping that arrives after our close frame
    trio.ClosedResourceError,
    trio.BrokenResourceError,
)


@attrs.frozen(kw_only=True)
class DialLimits:
    """Bounds of one dialled connection; seconds, bytes and messages."""

    connect_s: float = 3.0
    """Name lookup, TCP and TLS."""
    open_s: float = 3.0
    """The upgrade request and its answer."""
    close_s: float = attrs.field(default=1.0, validator=attrs.validators.le(1.0))
    """How long a close waits for the peer; a hang-up never waits longer."""
    send_s: float = 10.0
    """A peer that does not read for so long is lost."""
    ping_every_s: float = 10.0
    gone_after_s: float = 20.0
    """A peer from which nothing came for so long, its pong included, is lost."""
    max_message_bytes: int = 4 * 2**20
    queue_messages: int = 64
    """Messages read ahead of the owner; beyond it the peer meets back-pressure."""


@asynccontextmanager
async def dial(
    network: Network, url: str, *, headers: Headers = (), limits: DialLimits | None = None
) -> AsyncIterator[WebSocket]:
    """Open a WebSocket; leaving the block closes it within ``close_s``, cancelled or not.

    ``headers`` may hold credentials; neither they nor the URL's path show up anywhere.

    Raises (on entering):
        LocalProtocolError: The URL is not one.
        HandshakeTimeout: No connection or no answer in time.
        HandshakeRefused: The peer answered with an HTTP status.
        ConnectionLost: The connection ended before it was open.
    """
    limits = limits or DialLimits()
    target = parse_websocket_url(url)
    stream = await _connect(network, target, limits)
    try:
        async with open_service_nursery() as nursery:
            socket = _DialledSocket(target, limits)
            try:
                await socket.open(nursery, stream, headers)
                nursery.start_soon(socket.keep_alive)
                yield socket
            finally:
                await socket.finish()
    finally:
        await trio.aclose_forcefully(stream)


async def _connect(network: Network, target: WebSocketUrl, limits: DialLimits) -> trio.abc.Stream:
    with trio.move_on_after(limits.connect_s):
        return await network.open_stream(target.host, target.port, tls=target.tls)
    raise HandshakeTimeout(f"could not be reached within {limits.connect_s} s", peer=target.origin)


class _DialledSocket:
    """A WebSocket on trio-websocket; implements `voicecore.net.websocket.WebSocket`."""

    def __init__(self, target: WebSocketUrl, limits: DialLimits) -> None:
        self._target = target
        self._limits = limits
        self._library = trio.CancelScope(shield=True)
        self._opening = trio.CancelScope(deadline=trio.current_time() + limits.open_s)
        self._connection: trio_websocket.WebSocketConnection | None = None
        self._refused_status: int | None = None
        self._lost: str | None = None  # why no more frames may be written, once that is so
        self._received = 0

    @property
    def peer(self) -> str:
        return self._target.origin

    # --- opening ---------------------------------------------------------------

    async def open(self, nursery: trio.Nursery, stream: trio.abc.Stream, headers: Headers) -> None:
        with self._opening:
            self._connection = await trio_websocket.wrap_client_stream(
                cast("trio.Nursery", _Shielded(nursery, self._run_library)),
                cast("trio.SocketStream", stream),
                self._target.origin,
                self._target.target,
                extra_headers=[(name.encode(), value.encode()) for name, value in headers],
                message_queue_size=self._limits.queue_messages,
                max_message_size=self._limits.max_message_bytes,
            )
        if self._connection is not None:
            return
        if self._refused_status is not None:
            raise HandshakeRefused(peer=self.peer, status=self._refused_status)
        if trio.current_time() >= self._opening.deadline:
            raise HandshakeTimeout(f"did not answer the upgrade within {self._limits.open_s} s", peer=self.peer)
        raise ConnectionLost("ended the connection during the upgrade", peer=self.peer)

    async def _run_library(self, task: Callable[..., Awaitable[Any]], *args: object) -> None:
        try:
            with self._library:
                await task(*args)
        except trio_websocket.ConnectionRejected as refusal:
            self._refused_status = refusal.status_code
        except _LIBRARY_ERRORS:
            self._break("ended the connection")
        finally:
            self._opening.cancel()

    async def keep_alive(self) -> None:
        """Ping now and then; give a silent peer up."""
        connection = self._open_connection()
        while self._lost is None:
            await trio.sleep(self._limits.ping_every_s)
            received = self._received
            with trio.move_on_after(self._limits.gone_after_s - self._limits.ping_every_s) as waiting:
                try:
                    await connection.ping()
                except _LIBRARY_ERRORS:
                    return
            if waiting.cancelled_caught and self._received == received:
                # Nothing came, the pong included: no close handshake is tried either.
                self._break(f"was silent for {self._limits.gone_after_s} s")
                self._library.cancel()

    # --- the WebSocket ------------------------------------------------------------

    async def receive(self) -> list[str]:
        try:
            message = await self._open_connection().get_message()
        except _LIBRARY_ERRORS as error:
            raise self._loss() from error
        self._received += 1
        if isinstance(message, str):
            return [message]
        await self.close(1003, "text only")
        raise ConnectionLost("sent a binary message", peer=self.peer, code=1003)

    async def send(self, text: str) -> None:
        if self._lost is not None:
            raise self._loss()
        sending = trio.CancelScope(deadline=trio.current_time() + self._limits.send_s)
        completed = False
        try:
            with sending:
                await self._open_connection().send_message(text)
                completed = True
        except _LIBRARY_ERRORS as error:
            raise self._loss() from error
        finally:
            if not completed:  # perhaps cut in mid-frame: nothing more may be written
                self._break(f"did not read for {self._limits.send_s} s" if sending.cancelled_caught else "was cut off")
        if not completed:
            raise self._loss()

    async def close(self, code: int = NORMAL_CLOSURE, reason: str = "") -> None:
        if self._lost is None and self._connection is not None:
            with trio.move_on_after(self._limits.close_s, shield=True):
                await self._connection.aclose(code, reason or None)

    async def finish(self) -> None:
        """Close, and end the library's task; the stream is closed by the owner."""
        await self.close()
        self._library.cancel()

    # --- inside ----------------------------------------------------------------------

    def _open_connection(self) -> trio_websocket.WebSocketConnection:
        if self._connection is None:
            raise LocalProtocolError("a dialled socket is used before it is open")
        return self._connection

    def _break(self, why: str) -> None:
        if self._lost is None:
            self._lost = why

    def _loss(self) -> ConnectionLost:
        closed = self._open_connection().closed
        if self._lost is None and closed is not None:
            return ConnectionLost("closed", peer=self.peer, code=closed.code, reason=closed.reason or "")
        return ConnectionLost(self._lost or "ended the connection", peer=self.peer)


class _Shielded:
    """A nursery as far as trio-websocket needs one: its reader is started through ``run``."""

    def __init__(self, nursery: trio.Nursery, run: Callable[..., Awaitable[None]]) -> None:
        self._nursery = nursery
        self._run = run

    def start_soon(self, task: Callable[..., Awaitable[Any]], *args: object) -> None:
        self._nursery.start_soon(self._run, task, *args)
