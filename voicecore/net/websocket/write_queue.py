"""The outgoing direction: whole frames, in order, written at once where the byte stream takes them.

    take        one write; what the stream does not take is buffered
    send        the same, then wait until it has left; while frames are buffered, senders wait their turn
    write_buffered      the task that empties the buffer; it sleeps while the peer reads

Rule 1: a frame is taken whole or not at all, and what was taken leaves whole, in
the order in which it was taken, whatever is cancelled; only the end of the
connection can cut it.
Rule 2: the buffer is bounded: ``buffer_bytes``, one message of a `send` that has its
turn, pings and pongs up to ``buffer_bytes``, and a close frame.
Rule 3: a peer that has gone may have said why: after a failed write, what is written
is dropped silently, and reading goes on to the end.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress

import trio

from voicecore.net.websocket.states import ConnectionState, Move, State
from voicecore.world import ByteStream

_GONE = (trio.BrokenResourceError, trio.ClosedResourceError)


class WriteQueue:
    """The outgoing frames of one byte stream; ``on_stall`` is called when the peer did not read for ``send_s``."""

    def __init__(
        self,
        wire: ByteStream,
        state: ConnectionState,
        *,
        send_s: float,
        buffer_bytes: int,
        on_stall: Callable[[], None],
    ) -> None:
        self.failure: Exception | None = None
        """Why a write failed; None: none has."""
        self._wire = wire
        self._state = state
        self._send_s = send_s
        self._buffer_bytes = buffer_bytes
        self._on_stall = on_stall
        self._buffer = bytearray()  # see Rule 2
        self._taken_bytes = 0  # since the beginning
        self._control_bytes = 0  # of pings and pongs, since the buffer was last empty
        self._turns = trio.StrictFIFOLock()
        self._work = trio.lowlevel.ParkingLot()  # the task that empties the buffer
        self._progress = trio.lowlevel.ParkingLot()  # those who wait for bytes to leave

    # --- without waiting -----------------------------------------------------------------

    def take(self, frame: bytes) -> bool:
        """Take a frame, unless that would exceed the buffer or overtake a sender that waits its turn."""
        if len(self._buffer) + len(frame) > self._buffer_bytes or self._turns.locked():
            return False
        self._put(frame)
        return True

    def take_control(self, frames: bytes) -> bool:
        """Take a ping or pongs, where they may still leave; False where the peer has made us owe too many."""
        if self._state.now is State.OPEN:
            self._control_bytes = len(frames) + (self._control_bytes if self._buffer else 0)
            if self._control_bytes > self._buffer_bytes:
                return False
            self._put(frames)
        return True

    def take_close(self, move: Move, frame: bytes) -> None:
        """Make the move that ends our direction, and send the close frame unless one was sent or a write failed."""
        is_first = self._state.may_send_close
        self._state.move(move)
        if is_first:
            self._put(frame)

    def cut(self) -> None:
        """Close the byte stream; what is buffered is dropped."""
        self._state.move(Move.CUT)
        self._buffer.clear()
        self._progress.unpark_all()
        self._wire.close_now()

    def _put(self, frames: bytes) -> int:
        """Take whole frames, and write at once what the stream takes; return how many bytes were taken so far."""
        self._taken_bytes += len(frames)
        if self._buffer:
            self._buffer += frames
        else:
            written = self._write(frames)
            if written < len(frames):
                self._buffer += frames[written:]
                self._work.unpark_all()
        return self._taken_bytes

    def _write(self, data: bytes | bytearray) -> int:
        """Write what the stream takes, and return how many bytes that was; all, once a write has failed."""
        if self.failure is None:
            try:
                return self._wire.write_now(data)
            except _GONE as error:
                self.failure = error
                self._state.move(Move.WRITE_FAILED)
        return len(data)

    # --- with waiting --------------------------------------------------------------------

    async def send(self, frame: bytes, check: Callable[[], None]) -> None:
        """Take a frame in its turn, and return when it has left, or the state says why it cannot.

        ``check`` is called before it is taken, and may raise. Cancelled before
        its turn, it leaves no trace; later, it leaves all the same.
        """
        if self._buffer or self._turns.locked():
            await self._in_time(self._send_in_turn(frame, check))
            return
        end = self._put(frame)
        if self._buffer:
            await self._in_time(self._wait_until_left(end))
        else:
            await trio.lowlevel.cancel_shielded_checkpoint()

    async def wait_until_empty(self) -> None:
        """Return when everything that was taken so far has left, or was dropped."""
        await self._wait_until_left(self._taken_bytes)

    async def write_buffered(self) -> None:
        """Empty the buffer whenever there is something in it, until cancelled."""
        while True:
            while not self._buffer:
                await self._work.park()
            with trio.move_on_after(self._send_s) as bound:
                await self._write_until(self._taken_bytes)
            if bound.cancelled_caught:
                self._on_stall()

    async def _in_time(self, wait: Awaitable[None]) -> None:
        with trio.move_on_after(self._send_s) as bound:
            await wait
        if bound.cancelled_caught:
            self._on_stall()

    async def _send_in_turn(self, frame: bytes, check: Callable[[], None]) -> None:
        async with self._turns:
            await self._wait_until_left(self._taken_bytes)
            check()
            await self._wait_until_left(self._put(frame))

    async def _wait_until_left(self, end: int) -> None:
        while self._is_buffered(end):
            await self._progress.park()

    async def _write_until(self, end: int) -> None:
        while self._is_buffered(end):
            with suppress(*_GONE):  # the write finds out
                await self._wire.wait_writable()
            del self._buffer[: self._write(self._buffer)]
            self._progress.unpark_all()

    def _is_buffered(self, end: int) -> bool:
        return bool(self._buffer) and self._taken_bytes - len(self._buffer) < end
