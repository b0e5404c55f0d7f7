"""The byte stream under a dialled WebSocket: bounds every write, and sees what the library does not tell.

trio-websocket reads and writes through this.  It shows to the socket above
- since when the peer is silent, a silence being counted only while somebody reads;
- the status of a refused upgrade, at once, whatever body follows or does not;
- how far sending has come: whether a close frame has gone out, or the peer's end
  is gone, or a frame was cut off.

Rule 1: a write that was cut off is a fault for good; after a close frame nothing goes out.
Rule 2: a peer that has gone may have said why: writes to it are dropped in
silence, and reading goes on to its end.
Rule 3: the library does not close the stream; whoever opened it does.

Used by net/dial.py.
"""

from __future__ import annotations

import enum
import re

import trio

# As h11 reads it, so that the two never differ in their opinion.
_STATUS_LINE = re.compile(rb"HTTP/[0-9]\.[0-9] ([0-9]{3})")
_STATUS_LINE_BYTES = 12
_SWITCHING_PROTOCOLS = 101
_CLOSE_FRAME = 0x88  #: first byte of a whole close frame (RFC 6455, section 5.2)


class Sending(enum.Enum):
    """How far our side of the conversation has come."""

    OPEN = "open"
    CLOSE_SENT = "close sent"
    UNHEARD = "unheard"  #: the peer's end has gone


class WatchedStream(trio.abc.Stream):
    """Another stream, watched."""

    def __init__(self, stream: trio.abc.Stream, send_s: float) -> None:
        self.stream = stream
        self.opening = trio.CancelScope()
        """Cancelled when the upgrade can no longer succeed."""
        self.fault: str | None = None
        """Why nothing more can be exchanged, once that is so."""
        self.refused_status: int | None = None
        self.sending = Sending.OPEN
        self._send_s = send_s
        self._lock = trio.StrictFIFOLock()  # the library has one, but not everything goes through the library
        self._head = b""  # the beginning of the peer's answer; at most a status line
        self._reading_since: float | None = None

    @property
    def quiet_since(self) -> float:
        """When the present silence began, on Trio's clock; now, while nobody listens."""
        return trio.current_time() if self._reading_since is None else self._reading_since

    def break_off(self, fault: str) -> None:
        """Give the connection up; the first fault stays."""
        if self.fault is None:
            self.fault = fault
        self.opening.cancel()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """Read; a refusal of the upgrade ends the stream."""
        self._reading_since = trio.current_time()
        try:
            data = await self.stream.receive_some(max_bytes)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self.break_off("ended the connection")
            raise
        finally:
            self._reading_since = None
        if not data:
            self.break_off("ended the connection")
        elif len(self._head) < _STATUS_LINE_BYTES:
            self._look_at_status(data)
        return data

    def _look_at_status(self, data: bytes | bytearray) -> None:
        self._head += data[: _STATUS_LINE_BYTES - len(self._head)]
        match = _STATUS_LINE.match(self._head)
        if match is not None and int(match[1]) != _SWITCHING_PROTOCOLS:
            self.refused_status = int(match[1])
            self.break_off("refused the upgrade")
            raise trio.BrokenResourceError("the upgrade was refused")

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Write one frame, or the request. Cancelled before its first byte, it leaves no trace.

        Raises:
            trio.BrokenResourceError: There is a fault, a close frame was sent, or the peer did not read in time.
        """
        async with self._lock:
            if self.fault is not None or self.sending is Sending.CLOSE_SENT:
                raise trio.BrokenResourceError(self.fault or "a close frame is the last thing that is sent")
            with trio.move_on_after(self._send_s) as writing:
                await self._write(data)
            if writing.cancelled_caught:
                self.fault = f"did not read for {self._send_s} s"
                raise trio.BrokenResourceError(self.fault)

    async def _write(self, data: bytes | bytearray | memoryview) -> None:
        sending = None
        try:
            await self.stream.send_all(data)
            sending = Sending.CLOSE_SENT if data[0] == _CLOSE_FRAME else self.sending
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            sending = Sending.UNHEARD
        finally:
            if sending is None:
                self.break_off("was sent half a message")
            else:
                self.sending = sending

    async def wait_send_all_might_not_block(self) -> None:
        """As the stream below."""
        await self.stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        """End an upgrade that is under way, and nothing else."""
        self.opening.cancel()
        await trio.lowlevel.checkpoint()
