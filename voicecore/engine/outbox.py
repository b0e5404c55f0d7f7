"""What waits to be told to the session: orders in their sequence, caller audio joined.

The carrier's reader never waits for the provider, so there must be room between
them.  While the writer keeps up, each piece of caller audio leaves by itself;
what gathers during a slow write, or before the session is open, leaves as one.

Rule 1: order is kept between audio and orders.
Rule 2: at most ``audio_limit_bytes`` of audio waits; beyond it the oldest is
dropped and counted.  At most ORDER_LIMIT orders wait; beyond it is a bug.

Used by engine/call.py (puts) and engine/run.py (takes).
"""

from __future__ import annotations

from collections import deque

import trio

from voicecore.errors import LocalProtocolError
from voicecore.events import AppendCallerAudio, SessionOrder

ORDER_LIMIT = 256  #: orders; a call has a handful under way at most


class Outbox:
    """One writer takes; anybody puts."""

    def __init__(self, audio_limit_bytes: int) -> None:
        self.dropped_bytes = 0
        self._audio_limit_bytes = audio_limit_bytes
        self._audio_bytes = 0
        self._items: deque[bytearray | SessionOrder] = deque()  # bounded by the two limits
        self._filled = trio.Event()

    def put_audio(self, audio: bytes) -> None:
        """Append caller audio in the leg's format."""
        if self._items and isinstance(last := self._items[-1], bytearray):
            last += audio
        else:
            self._items.append(bytearray(audio))
        self._audio_bytes += len(audio)
        while self._audio_bytes > self._audio_limit_bytes:
            self._drop_oldest(self._audio_bytes - self._audio_limit_bytes)
        self._filled.set()

    def put(self, order: SessionOrder) -> None:
        """Append an order.

        Raises:
            LocalProtocolError: ORDER_LIMIT orders wait already.
        """
        if sum(not isinstance(item, bytearray) for item in self._items) >= ORDER_LIMIT:
            raise LocalProtocolError(f"{ORDER_LIMIT} orders wait for the session already")
        self._items.append(order)
        self._filled.set()

    async def take(self) -> SessionOrder:
        """Return what goes next, audio as one AppendCallerAudio in the leg's format. Cancelled, it takes nothing."""
        while not self._items:
            self._filled = trio.Event()
            await self._filled.wait()
        item = self._items.popleft()
        if not isinstance(item, bytearray):
            return item
        self._audio_bytes -= len(item)
        return AppendCallerAudio(bytes(item))

    def _drop_oldest(self, excess_bytes: int) -> None:
        index, oldest = next((i, item) for i, item in enumerate(self._items) if isinstance(item, bytearray))
        cut = min(excess_bytes, len(oldest))
        del oldest[:cut]
        if not oldest:
            del self._items[index]
        self._audio_bytes -= cut
        self.dropped_bytes += cut
