"""The direction that we write: whole frames in, in order, at once where the wire takes them.

    put         one write; what the wire does not take waits in the buffer
    send        the same, and wait until it has left; who comes while something waits, waits for a turn
    write_what_waits    the task that empties the buffer; it sleeps while all is well

Rule 1: a frame is taken whole or not at all, and what was taken leaves whole, in
the order in which it was taken, whatever is cancelled; only the end of the
connection can cut it.
Rule 2: the buffer holds ``buffer_bytes``, one message of a `send` that has its turn,
pings and pongs up to ``buffer_bytes``, and a close.
Rule 3: a peer that has gone may have said why: what is written to it is dropped
in silence, and reading goes on to its end.
"""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable
from contextlib import suppress

import trio

from voicecore.world import ByteStream

_GONE = (trio.BrokenResourceError, trio.ClosedResourceError)


class WriteState(enum.Enum):
    """How far our side of the conversation has come."""

    OPEN = "open"
    CLOSED = "closed"  #: our close frame is on its way: nothing may follow it
    UNHEARD = "unheard"  #: the peer's end has gone: what is written is dropped
    BROKEN = "broken"  #: the wire is closed, perhaps in mid-frame


class WriteQueue:
    """What leaves on one wire; ``unread`` is called when the peer did not read for ``send_s``."""

    def __init__(self, wire: ByteStream, *, send_s: float, buffer_bytes: int, unread: Callable[[], None]) -> None:
        self.state = WriteState.OPEN
        self.failure: Exception | None = None
        """What made the peer unheard."""
        self._wire = wire
        self._send_s = send_s
        self._buffer_bytes = buffer_bytes
        self._unread = unread
        self._waiting = bytearray()  # see Rule 2
        self._taken_bytes = 0  # since the beginning
        self._aside_bytes = 0  # of pings and pongs, since the buffer was last empty
        self._turns = trio.StrictFIFOLock()
        self._work = trio.lowlevel.ParkingLot()  # the task that writes what waits
        self._progress = trio.lowlevel.ParkingLot()  # who waits for bytes to leave

    # --- without waiting -----------------------------------------------------------------

    def take(self, frame: bytes) -> bool:
        """Take a frame, unless that would fill the buffer or overtake somebody who waits for a turn."""
        if len(self._waiting) + len(frame) > self._buffer_bytes or self._turns.locked():
            return False
        self._put(frame)
        return True

    def take_aside(self, frames: bytes) -> bool:
        """Take a ping or pongs, where they may still leave; False where the peer has made us owe too many."""
        if self.state is WriteState.OPEN:
            self._aside_bytes = len(frames) + (self._aside_bytes if self._waiting else 0)
            if self._aside_bytes > self._buffer_bytes:
                return False
            self._put(frames)
        return True

    def take_close(self, frame: bytes) -> None:
        """Take the close frame, once; nothing is taken after it."""
        if self.state is WriteState.OPEN:
            self.state = WriteState.CLOSED
            self._put(frame)

    def cut(self) -> None:
        """Close the wire; what waits is dropped."""
        self.state = WriteState.BROKEN
        self._waiting.clear()
        self._progress.unpark_all()
        self._wire.close_now()

    def _put(self, frames: bytes) -> int:
        """Take whole frames, and write at once what goes; return the place of their end in all that was taken."""
        self._taken_bytes += len(frames)
        if self._waiting:
            self._waiting += frames
        else:
            written = self._write(frames)
            if written < len(frames):
                self._waiting += frames[written:]
                self._work.unpark_all()
        return self._taken_bytes

    def _write(self, data: bytes | bytearray) -> int:
        """Write what goes, and return how much that was; to a peer that has gone, everything goes."""
        if self.state is WriteState.OPEN or self.state is WriteState.CLOSED:
            try:
                return self._wire.write_now(data)
            except _GONE as error:
                self.state, self.failure = WriteState.UNHEARD, error
        return len(data)

    # --- with waiting --------------------------------------------------------------------

    async def send(self, frame: bytes, check: Callable[[], None]) -> None:
        """Take a frame in its turn, and return when it has left, or the state says why it cannot.

        ``check`` is called before it is taken, and may raise. Cancelled before
        its turn, it leaves no trace; later, it leaves all the same.
        """
        if self._waiting or self._turns.locked():
            await self._in_time(self._send_in_turn(frame, check))
            return
        end = self._put(frame)
        if self._waiting:
            await self._in_time(self._wait_until_left(end))
        else:
            await trio.lowlevel.cancel_shielded_checkpoint()

    async def wait_until_empty(self) -> None:
        """Return when everything that was taken so far has left, or was dropped."""
        await self._wait_until_left(self._taken_bytes)

    async def write_what_waits(self) -> None:
        """Empty the buffer whenever something waits in it, until cancelled."""
        while True:
            while not self._waiting:
                await self._work.park()
            with trio.move_on_after(self._send_s) as bound:
                await self._write_until(self._taken_bytes)
            if bound.cancelled_caught:
                self._unread()

    async def _in_time(self, wait: Awaitable[None]) -> None:
        with trio.move_on_after(self._send_s) as bound:
            await wait
        if bound.cancelled_caught:
            self._unread()

    async def _send_in_turn(self, frame: bytes, check: Callable[[], None]) -> None:
        async with self._turns:
            await self._wait_until_left(self._taken_bytes)
            check()
            await self._wait_until_left(self._put(frame))

    async def _wait_until_left(self, end: int) -> None:
        while self._waits_before(end):
            await self._progress.park()

    async def _write_until(self, end: int) -> None:
        while self._waits_before(end):
            with suppress(*_GONE):  # the write finds out
                await self._wire.wait_writable()
            del self._waiting[: self._write(self._waiting)]
            self._progress.unpark_all()

    def _waits_before(self, end: int) -> bool:
        return bool(self._waiting) and self._taken_bytes - len(self._waiting) < end
