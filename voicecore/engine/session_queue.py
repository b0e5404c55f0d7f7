"""The queue of orders and user audio on their way to the session.

The task that reads the leg never waits for the provider, so there is a queue between
them.  While it is empty, an order is sent at once by whoever puts it: waking the
writer for each of 50 frames a second would cost more than sending them.  What the
session does not take at once, and what comes before it is open, waits here for the
writer, user audio joined.

Rule 1: audio and orders keep their sequence: nothing is sent past what waits.
Rule 2: at most ``audio_limit_bytes`` of audio wait; beyond that the oldest is
dropped and counted.  At most ORDER_LIMIT orders wait; more is a bug.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import attrs
import trio

from voicecore.errors import LocalProtocolError
from voicecore.events import AppendUserAudio, SessionOrder

ORDER_LIMIT = 256  #: orders; a call has a handful under way at most


@attrs.frozen
class Converted:
    """An order that is in the session's format already; it carries ``leg_bytes`` of user audio."""

    order: SessionOrder
    leg_bytes: int


class SessionQueue:
    """One writer takes from it; anybody puts."""

    def __init__(self, audio_limit_bytes: int) -> None:
        self.dropped_bytes = 0
        self._audio_limit_bytes = audio_limit_bytes
        self._audio_bytes = 0
        self._items: deque[bytearray | SessionOrder | Converted] = deque()  # bounded by the two limits
        self._filled = trio.Event()
        self._append: Callable[[bytes], None] | None = None
        self._send: Callable[[SessionOrder], bool] | None = None
        self._is_taken = False  # the writer has an item that is not sent yet

    def send_by(self, append: Callable[[bytes], None], send: Callable[[SessionOrder], bool]) -> None:
        """While nothing waits, send user audio by ``append`` and orders by ``send``.

        What ``append`` cannot send, it gives back by `put_converted`; ``send`` returns False
        where nothing was sent.
        """
        self._append, self._send = append, send

    def put_audio(self, audio: bytes) -> None:
        """Send user audio in the leg's format, or append it."""
        if self._append is not None and self._is_free():
            self._append(audio)
            return
        if self._items and isinstance(last := self._items[-1], bytearray):
            last += audio
        else:
            self._items.append(bytearray(audio))
        self._audio_bytes += len(audio)
        while self._audio_bytes > self._audio_limit_bytes:
            self._drop_oldest(self._audio_bytes - self._audio_limit_bytes)
        self._filled.set()

    def put(self, order: SessionOrder) -> None:
        """Send an order, or append it.

        Raises:
            LocalProtocolError: ORDER_LIMIT orders wait already.
        """
        if self._send is not None and self._is_free() and self._send(order):
            return
        if sum(not isinstance(item, bytearray) for item in self._items) >= ORDER_LIMIT:
            raise LocalProtocolError(f"{ORDER_LIMIT} orders wait for the session already")
        self._items.append(order)
        self._filled.set()

    def put_converted(self, order: Converted) -> None:
        """Take back an order that the session did not take; nothing waits before it."""
        self._items.append(order)
        self._filled.set()

    async def take(self) -> SessionOrder | Converted:
        """Return what goes next, audio as one AppendUserAudio in the leg's format. Cancelled, it takes nothing.

        What was taken before counts as sent from here on.
        """
        self._is_taken = False
        while not self._items:
            self._filled = trio.Event()
            await self._filled.wait()
        item = self._items.popleft()
        self._is_taken = True
        if not isinstance(item, bytearray):
            return item
        self._audio_bytes -= len(item)
        return AppendUserAudio(bytes(item))

    def _is_free(self) -> bool:
        """Whether nothing is before what comes now."""
        return not self._items and not self._is_taken

    def _drop_oldest(self, excess_bytes: int) -> None:
        index, oldest = next((i, item) for i, item in enumerate(self._items) if isinstance(item, bytearray))
        cut = min(excess_bytes, len(oldest))
        del oldest[:cut]
        if not oldest:
            del self._items[index]
        self._audio_bytes -= cut
        self.dropped_bytes += cut
