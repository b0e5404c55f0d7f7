"""A byte stream that can go dead: the socket under one connection of the twin.

Rule 1: a stalled line stays open; it neither sends nor receives, whatever layer
asks, so that pings go unanswered: what a half-open connection looks like.
Rule 2: a cut line ends as a crashed peer ends it: without a close frame.

Used by server.py.
"""

from __future__ import annotations

import contextvars
import enum
from typing import final

import trio


class _State(enum.Enum):
    LIVE = "live"
    STALLED = "stalled"


@final
class Line(trio.abc.Stream):
    """Another stream, until it is told to go dead."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self._state = _State.LIVE

    def stall(self) -> None:
        """Pass nothing on from now on, in either direction; only cancelling ends an operation."""
        self._state = _State.STALLED

    async def cut(self) -> None:
        """End the stream under whoever uses it."""
        await trio.aclose_forcefully(self._stream)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send, or wait for ever on a stalled line."""
        await self._pass()
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        """Wait as `send_all` would."""
        await self._pass()
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """Receive; bytes that come to a stalled line are never seen."""
        await self._pass()
        data = await self._stream.receive_some(max_bytes)
        await self._pass()
        return data

    async def aclose(self) -> None:
        """Close the stream under it."""
        await self._stream.aclose()

    async def _pass(self) -> None:
        if self._state is _State.STALLED:
            await trio.sleep_forever()


_line: contextvars.ContextVar[Line] = contextvars.ContextVar("line")


@final
class LineListener(trio.abc.Listener[Line]):
    """Another listener, whose streams can go dead.

    The connection's own task can ask `current_line` for its line: a task
    inherits the context of the task that started it, and that task had just
    accepted the line.
    """

    def __init__(self, listener: trio.abc.Listener[trio.abc.Stream]) -> None:
        self._listener = listener

    async def accept(self) -> Line:
        """Accept the next connection."""
        line = Line(await self._listener.accept())
        _line.set(line)
        return line

    async def aclose(self) -> None:
        """Stop listening."""
        await self._listener.aclose()


def current_line() -> Line:
    """Return the line under the connection that this task serves."""
    return _line.get()
