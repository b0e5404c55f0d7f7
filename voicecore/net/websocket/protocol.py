"""One WebSocket as the rest of voicecore sees it, whichever side opened it.

The seam of this package: connect.py returns such a socket for a connection to a
provider (or a carrier under test), one that can also prove that it is alive;
http/server.py passes one to the application for each accepted upgrade.

Rule 1: text messages only; a binary frame from a client is a protocol error, and one
from a server is read as text.
Rule 2: one task receives at a time, any number may send.
Rule 3: the owner closes by leaving the scope that gave the socket; `close` only
chooses the code that the peer sees.
"""

from __future__ import annotations

from typing import Protocol

NORMAL_CLOSURE = 1000
GOING_AWAY = 1001
POLICY_VIOLATION = 1008
INTERNAL_ERROR = 1011


class WebSocket(Protocol):
    """An open connection."""

    @property
    def peer(self) -> str:
        """A name for the peer, fit for logs: no path, no query, no credentials."""
        ...

    async def receive(self) -> list[str]:
        """Return all text messages that have arrived, oldest first; wait for one when there are none.

        A cancelled receive loses nothing.

        Raises:
            ConnectionLost: The peer closed, broke the protocol, fell silent, or the
                socket failed. Everything received before it was returned first.
        """
        ...

    async def send(self, text: str) -> None:
        """Send one text message, whole; return when the system has all of it.

        Cancelled while what was sent before it still waits, it the message is
        not sent; cancelled later, it is sent all the same.

        Raises:
            ConnectionLost: As for `receive`, or the peer did not read within the send bound.
        """
        ...

    def send_nowait(self, text: str) -> bool:
        """Take one text message and return True: it is written, or will be by itself, after what was sent before.

        False where that would exceed the bounded buffer, or another task waits in
        `send`: nothing was taken.  The same holds for a message that is larger than
        the buffer.  Never waits, and may be called from any task.

        A message for a peer that has just gone is lost, like anything in transit;
        `receive` says why the connection ended.

        Raises:
            ConnectionLost: The connection is over, and that is known; nothing was taken.
        """
        ...

    async def close(self, code: int = NORMAL_CLOSURE, reason: str = "") -> None:
        """Start closing, and wait a bounded time (at most 1 s) for the peer; never raises, may be called again."""
        ...


class ClientSideWebSocket(WebSocket, Protocol):
    """A connection that we opened, and may keep for a while without using it."""

    async def prove_alive(self, fresh_s: float) -> None:
        """Return once the peer is known to have been alive within the last ``fresh_s`` seconds.

        It is pinged where that is not known yet. Has no bound of its own; cancelled,
        it changes nothing.

        Raises:
            ConnectionLost: As for `receive`.
        """
        ...
