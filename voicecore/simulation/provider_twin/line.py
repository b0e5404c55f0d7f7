"""The byte stream under a connection: to cut it without a close frame, and to know when the client was last heard.

Rule: a server hands an application messages, not streams, and rightly so; only a
peer that plays a crash, or that drops whoever does not even ping, needs more.

Used by server.py and the carrier twin.
"""

from __future__ import annotations

import contextvars
from typing import final

import trio


@final
class HeardStream(trio.abc.HalfCloseableStream):
    """Another stream, and the time of its last byte."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self.heard_at = trio.current_time()
        """Seconds on Trio's clock; at first the time at which it was accepted."""

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """As the stream below."""
        data = await self._stream.receive_some(max_bytes)
        self.heard_at = trio.current_time()
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """As the stream below."""
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        """As the stream below."""
        await self._stream.wait_send_all_might_not_block()

    async def send_eof(self) -> None:
        """As the stream below; where that cannot, the end comes with its close."""
        if isinstance(self._stream, trio.abc.HalfCloseableStream):
            await self._stream.send_eof()
        else:
            await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        """As the stream below."""
        await self._stream.aclose()


_stream: contextvars.ContextVar[HeardStream] = contextvars.ContextVar("stream")


@final
class KnownStreams(trio.abc.Listener[HeardStream]):
    """Another listener, whose connections can ask for their stream.

    A task inherits the context of the task that started it, and the one that
    starts a connection's task has just accepted its stream.
    """

    def __init__(self, listener: trio.abc.Listener[trio.abc.Stream]) -> None:
        self._listener = listener

    async def accept(self) -> HeardStream:
        """Accept the next connection."""
        stream = HeardStream(await self._listener.accept())
        _stream.set(stream)
        return stream

    async def aclose(self) -> None:
        """Stop listening."""
        await self._listener.aclose()


def current_stream() -> HeardStream:
    """Return the stream under the connection that this task serves."""
    return _stream.get()
