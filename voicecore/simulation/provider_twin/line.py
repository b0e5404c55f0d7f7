"""Which byte stream lies under a connection, so that the twin can cut it without a close frame.

Rule: a server hands an application messages, not streams, and rightly so; only
a peer that plays a crash needs more.

Used by server.py.
"""

from __future__ import annotations

import contextvars
from typing import final

import trio

_stream: contextvars.ContextVar[trio.abc.Stream] = contextvars.ContextVar("stream")


@final
class KnownStreams(trio.abc.Listener[trio.abc.Stream]):
    """Another listener, whose connections can ask for their stream.

    A task inherits the context of the task that started it, and the one that
    starts a connection's task has just accepted its stream.
    """

    def __init__(self, listener: trio.abc.Listener[trio.abc.Stream]) -> None:
        self._listener = listener

    async def accept(self) -> trio.abc.Stream:
        """Accept the next connection."""
        stream = await self._listener.accept()
        _stream.set(stream)
        return stream

    async def aclose(self) -> None:
        """Stop listening."""
        await self._listener.aclose()


def current_stream() -> trio.abc.Stream:
    """Return the stream under the connection that this task serves."""
    return _stream.get()
