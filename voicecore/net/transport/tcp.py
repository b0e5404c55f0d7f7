"""A TCP socket as a `ByteStream`: one system call for what comes, one for what goes, Trio only for the waiting.

A Trio stream costs some 16 µs a send or a receive, of which the system call is
less than two; this costs the call and, where one waits, the wake-up.

Rule 1: the socket is non-blocking, and nobody else uses it: Trio connects and
accepts, then its socket is detached from Trio's object.
Rule 2: tasks that wait for a socket are woken before it is closed.

Implements `voicecore.world.ByteStream`.
"""

from __future__ import annotations

import socket as stdlib
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

import trio

from voicecore.world import Buffer, ByteStream

_CLOSED = -1


class TcpStream(ByteStream):
    """A connected TCP socket."""

    def __init__(self, socket: stdlib.socket) -> None:
        """Own the socket from here on."""
        socket.setblocking(False)
        super().__init__(_peer_name(socket))
        self._socket = socket
        self._fd = socket.fileno()
        self._has_ended = False  # our direction

    @classmethod
    def taken_from(cls, stream: trio.SocketStream) -> TcpStream:
        """Take over the socket of a Trio stream, which is of no use afterwards."""
        theirs = stream.socket
        family, kind, protocol = theirs.family, theirs.type, theirs.proto
        return cls(stdlib.socket(family, kind, protocol, fileno=theirs.detach()))

    def read_now(self, max_bytes: int) -> bytes | None:
        """See `voicecore.world.ByteStream`."""
        try:
            return self._socket.recv(max_bytes)
        except BlockingIOError:
            return None
        except OSError as error:
            raise self._failed() from error

    def wait_readable(self) -> Coroutine[Any, Any, None]:
        """See `voicecore.world.ByteStream`; no coroutine around Trio's: it is waited for 50 times a second."""
        if self._fd == _CLOSED:
            raise self._failed()
        return trio.lowlevel.wait_readable(self._fd)  # noqa: ASYNC105 - the user awaits it

    def write_now(self, data: Buffer) -> int:
        """See `voicecore.world.ByteStream`."""
        if self._has_ended:
            raise trio.ClosedResourceError("our direction has ended")
        try:
            return self._socket.send(data)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise self._failed() from error

    async def wait_writable(self) -> None:
        """See `voicecore.world.ByteStream`."""
        if self._fd == _CLOSED or self._has_ended:
            raise self._failed()
        await trio.lowlevel.wait_writable(self._fd)

    def end_now(self) -> None:
        """See `voicecore.world.ByteStream`."""
        try:
            self._socket.shutdown(stdlib.SHUT_WR)
        except OSError as error:
            raise self._failed() from error
        self._has_ended = True

    def close_now(self) -> None:
        """See `voicecore.world.ByteStream`."""
        if self._fd != _CLOSED:
            trio.lowlevel.notify_closing(self._fd)
            self._fd = _CLOSED
            self._socket.close()

    def limit_unsent(self, max_bytes: int) -> None:
        """See `voicecore.world.ByteStream`; not counted is what was sent and is not acknowledged."""
        try:
            self._socket.setsockopt(stdlib.IPPROTO_TCP, stdlib.TCP_NOTSENT_LOWAT, max_bytes)
        except (AttributeError, OSError):  # not every system has it
            self._limit_buffer(max_bytes)

    def _limit_buffer(self, max_bytes: int) -> None:
        with suppress(OSError):  # of a connection that has failed already
            self._socket.setsockopt(stdlib.SOL_SOCKET, stdlib.SO_SNDBUF, max_bytes)

    def coalesce(self, min_bytes: int) -> None:
        """See `voicecore.world.ByteStream`; the system counts, and nothing of the process wakes meanwhile."""
        with suppress(OSError):
            self._socket.setsockopt(stdlib.SOL_SOCKET, stdlib.SO_RCVLOWAT, min_bytes)

    def fileno(self) -> int:
        """The descriptor, to ask the system about the socket; -1 once it is closed."""
        return self._fd

    def _failed(self) -> trio.ClosedResourceError | trio.BrokenResourceError:
        if self._fd == _CLOSED:
            return trio.ClosedResourceError("this connection was closed here")
        if self._has_ended:
            return trio.ClosedResourceError("our direction has ended")
        return trio.BrokenResourceError("the connection failed")


class TcpListener(trio.abc.Listener[TcpStream]):
    """A listening port whose connections are `TcpStream`s."""

    def __init__(self, listener: trio.SocketListener) -> None:
        self._listener = listener

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._listener.socket.getsockname()[1])

    async def accept(self) -> TcpStream:
        """Return the next connection. Raises OSError where the system has no resources for one."""
        return TcpStream.taken_from(await self._listener.accept())

    async def aclose(self) -> None:
        """Stop listening."""
        await self._listener.aclose()


def _peer_name(socket: stdlib.socket) -> str:
    try:
        address = socket.getpeername()
    except OSError:  # it has gone already
        return "peer"
    return f"{address[0]}:{address[1]}" if isinstance(address, tuple) else "peer"
