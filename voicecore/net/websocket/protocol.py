"""One WebSocket as the rest of voicecore sees it, whoever dialled.

The seam of this room: connect.py gives such a socket towards a provider (or a
carrier under test), one that can also prove that it is alive; server.py gives
one for each accepted upgrade.

Rule 1: text messages only; a binary frame is a protocol error of a peer that dialled
us, and read as text from one that we dialled.
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
        """A name for the far end, fit for logs: no path, no query, no credentials."""
        ...

    async def receive(self) -> list[str]:
        """Return all text messages that already wait, oldest first; wait for one when there is none.

        A cancelled receive loses nothing.

        Raises:
            ConnectionLost: The peer closed, broke the protocol, fell silent, or the
                socket failed. Everything received before it was returned first.
        """
        ...

    async def send(self, text: str) -> None:
        """Send one text message, whole; return when the system has all of it.

        Cancelled while what was sent before it still waits, it leaves no trace;
        cancelled later, the message leaves all the same.

        Raises:
            ConnectionLost: As for `receive`, or the peer did not read within the send bound.
        """
        ...

    def send_nowait(self, text: str) -> bool:
        """Take one text message and return True: it is written, or will be by itself, behind what was sent before.

        False where that would fill the bounded buffer, or somebody waits in
        `send`: nothing was taken.  So it is for a message that is larger than the
        buffer.  Never waits, wakes no task while the peer reads, and may be called
        from any task.

        What is taken for a peer that has just gone is lost, as anything that was
        under way; `receive` says how it went.

        Raises:
            ConnectionLost: The connection is known to be over; nothing was taken.
        """
        ...

    async def close(self, code: int = NORMAL_CLOSURE, reason: str = "") -> None:
        """Start closing, and wait a bounded time (at most 1 s) for the peer; never raises, may be called again."""
        ...


class ClientSideWebSocket(WebSocket, Protocol):
    """A connection that we opened, and may have to keep without using it."""

    async def prove_alive(self, fresh_s: float) -> None:
        """Return once the peer is known to have lived within the last ``fresh_s`` seconds.

        It is pinged where that is not known yet. Has no bound of its own; cancelled,
        it changes nothing.

        Raises:
            ConnectionLost: As for `receive`.
        """
        ...
