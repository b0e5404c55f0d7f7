"""The byte stream under a connection: to cut it without a close frame, and to know when the peer was last heard.

Rule: an HTTP server gives its application messages, not streams; a twin that
simulates a crash, or that drops a client which does not even ping, needs the stream.
"""

from __future__ import annotations

import contextvars
from typing import final

import trio

from voicecore.simulation.binary_frames import BinaryFrames
from voicecore.world import Buffer, ByteStream


@final
class ObservedStream(ByteStream):
    """Another stream, with the time of its last byte."""

    def __init__(self, wire: ByteStream) -> None:
        super().__init__(wire.far_end)
        self._wire = wire
        self.heard_at = trio.current_time()
        """Seconds on Trio's clock; initially when it was accepted."""
        self._binary: BinaryFrames | None = None

    def send_binary(self) -> None:
        """From now on send text frames as binary ones; what was written so far must end with a whole frame."""
        self._binary = BinaryFrames()

    def read_now(self, max_bytes: int) -> bytes | None:
        """See `voicecore.world.ByteStream`."""
        data = self._wire.read_now(max_bytes)
        if data is not None:
            self.heard_at = trio.current_time()
        return data

    async def wait_readable(self) -> None:
        """See `voicecore.world.ByteStream`."""
        await self._wire.wait_readable()

    def write_now(self, data: Buffer) -> int:
        """See `voicecore.world.ByteStream`."""
        if self._binary is None:
            return self._wire.write_now(data)
        taken = self._wire.write_now(self._binary.retyped(data))
        self._binary.written(data, taken)
        return taken

    async def wait_writable(self) -> None:
        """See `voicecore.world.ByteStream`."""
        await self._wire.wait_writable()

    def end_now(self) -> None:
        """See `voicecore.world.ByteStream`."""
        self._wire.end_now()

    def close_now(self) -> None:
        """See `voicecore.world.ByteStream`."""
        self._wire.close_now()

    def limit_unsent(self, max_bytes: int) -> None:
        """See `voicecore.world.ByteStream`."""
        self._wire.limit_unsent(max_bytes)

    def coalesce(self, min_bytes: int) -> None:
        """See `voicecore.world.ByteStream`."""
        self._wire.coalesce(min_bytes)


_stream: contextvars.ContextVar[ObservedStream] = contextvars.ContextVar("stream")


@final
class ObservedListener(trio.abc.Listener[ObservedStream]):
    """Another listener whose connections can ask for their stream.

    A task inherits the context of the task that started it, and the one that
    starts a connection's task has just accepted its stream.
    """

    def __init__(self, listener: trio.abc.Listener[ByteStream]) -> None:
        self._listener = listener

    async def accept(self) -> ObservedStream:
        """Accept the next connection."""
        stream = ObservedStream(await self._listener.accept())
        _stream.set(stream)
        return stream

    async def aclose(self) -> None:
        """Stop listening."""
        await self._listener.aclose()


def current_stream() -> ObservedStream:
    """Return the stream under the connection that this task serves."""
    return _stream.get()
