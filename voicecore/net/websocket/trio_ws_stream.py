"""The byte stream that trio-websocket gets: ours, with what only a stream can see of an upgrade.

The library waits for ever where a connection ends within the upgrade, keeps a refusal
to itself until its body has ended, and loses what a client sends right behind its
request; the stream sees all three.
"""

from __future__ import annotations

import trio

from voicecore.net.websocket.handshake import refusal_status
from voicecore.world import Buffer, ByteStream

_ANSWER_BYTES = 8 * 1024  #: of an upgrade's answer that is kept


class LibraryStream(trio.abc.Stream):
    """The byte stream as the library gets it: what was read already comes first, and life is noted.

    ``request`` is an upgrade request that was read already, and ``unread`` what came behind it.
    """

    def __init__(self, wire: ByteStream, request: bytes = b"", unread: bytes = b"") -> None:
        self.heard_at = trio.current_time()
        self.answer = b""
        """The first bytes that came over the wire: an upgrade's answer, of a refusal also its body's beginning."""
        self.refused = trio.Event()
        self.ended = trio.Event()
        self.opened = trio.Event()
        self._wire = wire
        self._request = request
        self._unread = unread

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        if self._request:
            await trio.lowlevel.checkpoint()
            data, self._request = self._request, b""
            return data
        if self._unread:
            await self.opened.wait()  # the library loses what comes before it has accepted
            data, self._unread = self._unread, b""
            return data
        try:
            data = await self._wire.receive_some(max_bytes)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self.ended.set()
            raise
        if not data:
            self.ended.set()
        self.heard_at = trio.current_time()
        if not self.opened.is_set():
            self._look_at_answer(data)
        return data

    def _look_at_answer(self, data: bytes) -> None:
        self.answer = (self.answer + data)[:_ANSWER_BYTES]
        if refusal_status(self.answer) is not None:
            self.refused.set()
        if len(self.answer) == _ANSWER_BYTES:
            self.ended.set()

    async def send_all(self, data: Buffer) -> None:
        await self._wire.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._wire.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        self.ended.set()
        await self._wire.aclose()
