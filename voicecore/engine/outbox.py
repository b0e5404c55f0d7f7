"""What waits to be told to the session: orders in their sequence, user audio joined.

The carrier's reader never waits for the provider, so there must be room between
them.  While nothing waits, what is put is sent at once, by whoever put it: waking
the writer for each of 50 frames a second would cost more than sending them.  What
the session does not take at once, and what comes before it is open, gathers here,
and the writer takes it, user audio joined.

Rule 1: order is kept between audio and orders: nothing is sent past what waits.
Rule 2: at most ``audio_limit_bytes`` of audio waits; beyond it the oldest is
dropped and counted.  At most ORDER_LIMIT orders wait; beyond it is a bug.
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
    """An order in the session's format already; ``leg_bytes`` of user audio are in it."""

    order: SessionOrder
    leg_bytes: int


class Outbox:
    """One writer takes; anybody puts."""

    def __init__(self, audio_limit_bytes: int) -> None:
        self.dropped_bytes = 0
        self._audio_limit_bytes = audio_limit_bytes
        self._audio_bytes = 0
        self._items: deque[bytearray | SessionOrder | Converted] = deque()  # bounded by the two limits
        self._filled = trio.Event()
        self._append: Callable[[bytes], None] | None = None
        self._notify: Callable[[SessionOrder], bool] | None = None
        self._is_taken = False  # the writer holds an item that is not sent yet

    def send_by(self, append: Callable[[bytes], None], notify: Callable[[SessionOrder], bool]) -> None:
        """Send by these what is put while nothing waits.

        What ``append`` cannot send it gives back by `put_converted`; ``tell``
        returns False where it has done nothing.
        """
        self._append, self._notify = append, notify

    def put_audio(self, audio: bytes) -> None:
        """Append user audio in the leg's format, or send it."""
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
        """Append an order, or send it.

        Raises:
            LocalProtocolError: ORDER_LIMIT orders wait already.
        """
        if self._notify is not None and self._is_free() and self._notify(order):
            return
        if sum(not isinstance(item, bytearray) for item in self._items) >= ORDER_LIMIT:
            raise LocalProtocolError(f"{ORDER_LIMIT} orders wait for the session already")
        self._items.append(order)
        self._filled.set()

    def put_converted(self, order: Converted) -> None:
        """Keep an order that the session did not take; nothing waits before it."""
        self._items.append(order)
        self._filled.set()

    async def take(self) -> SessionOrder | Converted:
        """Return what goes next, audio as one AppendUserAudio in the leg's format. Cancelled, it takes nothing.

        What was taken before counts as sent now.
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
