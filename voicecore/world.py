"""The seam to everything outside: clock, randomness, ids, files and sockets.

The engine never reads a clock, draws a number, opens a file or connects a
socket except through a `World`.  A call on a simulated World runs in virtual
time on memory streams and is repeatable from a seed.

Rule 1: ``now()`` is Trio's clock; the wall clock is for records only and
decides nothing.
Rule 2: tokens and ids come from ``random``: the operating system's in the real
world, a seeded one in simulation.
Rule 3: a connection is a `ByteStream`: reading and writing never wait, and waiting is
separate, so that there is no layer between the kernel and the reader.  It is a Trio
stream too, where microseconds do not matter.

Real parts: net/transport/network.py and disk.py, joined in assembly.py.
Simulated parts: simulation/world.py.
"""

from __future__ import annotations

import enum
import operator
import random
from abc import abstractmethod
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from pathlib import Path
from typing import Protocol

import attrs
import trio

_ID_BITS = 96
_TOKEN_BITS = 192  #: media tokens need at least 128
_READ_BYTES = 64 * 1024  #: of a read that names no bound

Buffer = bytes | bytearray | memoryview


class _OneAtATime:
    """Detects two tasks on one end of a stream."""

    def __init__(self, message: str) -> None:
        self._message = message
        self._is_taken = False

    def __enter__(self) -> None:
        if self._is_taken:
            raise trio.BusyResourceError(self._message)
        self._is_taken = True

    def __exit__(self, *_: object) -> None:
        self._is_taken = False


class ByteStream(trio.abc.HalfCloseableStream):
    """One connection's bytes, as a non-blocking socket gives them; the Trio stream is built on that."""

    def __init__(self, far_end: str = "peer") -> None:
        self.far_end = far_end
        """The peer, fit for logs."""
        self._reading = _OneAtATime("another task is reading this stream")
        self._writing = _OneAtATime("another task is writing to this stream")

    # --- without waiting -------------------------------------------------------

    @abstractmethod
    def read_now(self, max_bytes: int) -> bytes | None:
        """Return what has arrived, b"" at the end, None when there is nothing yet.

        Raises:
            trio.BrokenResourceError: The connection failed.
            trio.ClosedResourceError: It was closed here.
        """

    @abstractmethod
    async def wait_readable(self) -> None:
        """Return when `read_now` may have something; always a checkpoint. Raises as `read_now` does."""

    @abstractmethod
    def write_now(self, data: Buffer) -> int:
        """Take what fits, and return how many bytes that was.

        What was not taken must be what is written next.

        Raises:
            trio.BrokenResourceError: The connection failed, or the peer has gone.
            trio.ClosedResourceError: It was closed here.
        """

    @abstractmethod
    async def wait_writable(self) -> None:
        """Return when `write_now` may take something; always a checkpoint. Raises as `write_now` does."""

    @abstractmethod
    def close_now(self) -> None:
        """Close at once, without a TLS or TCP farewell; waiting tasks get `trio.ClosedResourceError`. Idempotent."""

    @abstractmethod
    def limit_unsent(self, max_bytes: int) -> None:
        """Limit how much the system buffers unsent, about; a hint, where the system has no such option."""

    def coalesce(self, min_bytes: int) -> None:
        """Make `wait_readable` return only once this many bytes are there, or the end; 1: at once.

        A hint: where the system has no such option, nothing changes.
        """

    # --- as a Trio stream ----------------------------------------------------------------

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """See `trio.abc.ReceiveStream`."""
        if max_bytes is not None and operator.index(max_bytes) < 1:
            raise ValueError("max_bytes must be at least 1")
        with self._reading:
            await trio.lowlevel.checkpoint()
            while (data := self.read_now(max_bytes or _READ_BYTES)) is None:
                await self.wait_readable()
            return data

    async def send_all(self, data: Buffer) -> None:
        """See `trio.abc.SendStream`."""
        with self._writing:
            await trio.lowlevel.checkpoint_if_cancelled()
            rest = memoryview(data)
            rest = rest[self.write_now(rest) :]
            while rest:
                await self.wait_writable()
                rest = rest[self.write_now(rest) :]
            await trio.lowlevel.cancel_shielded_checkpoint()

    async def wait_send_all_might_not_block(self) -> None:
        """See `trio.abc.SendStream`."""
        with self._writing:
            await self.wait_writable()

    async def send_eof(self) -> None:
        """See `trio.abc.HalfCloseableStream`."""
        with self._writing:
            await trio.lowlevel.checkpoint()
            self.end_now()

    async def aclose(self) -> None:
        """See `trio.abc.AsyncResource`."""
        self.close_now()
        await trio.lowlevel.checkpoint()

    @abstractmethod
    def end_now(self) -> None:
        """Write no more; the peer reads an end, and may go on talking. Raises as `write_now` does."""


@attrs.frozen
class Listening:
    """A bound server port; ``port`` is the real one where 0 was asked for."""

    listeners: Sequence[trio.abc.Listener[ByteStream]]
    port: int


class WebSocketTransport(enum.Enum):
    """Whose code speaks WebSocket on our end of a connection."""

    OWN = "voicecore"
    """net/websocket/: thin, and the default."""
    TRIO_WEBSOCKET = "trio-websocket"
    """The library of that name, for networks that our own does not get on with; about twice the CPU."""


class Network(Protocol):
    """Where connections come from."""

    @property
    def websocket(self) -> WebSocketTransport:
        """Which transport WebSockets are opened with; a server has its own setting, `ServerLimits.websocket`."""
        ...

    async def open_stream(self, host: str, port: int, *, tls: bool) -> ByteStream:
        """Return a connected byte stream, with TLS where asked for.

        Raises ConnectionLost. Has no deadline of its own. Cancelled, it leaves no socket.
        """
        ...

    async def listen(self, host: str, port: int) -> Listening:
        """Bind a port; 0 picks a free one. The user closes the listeners. Raises OSError."""
        ...


class OpenFile(Protocol):
    """A file that is being written, at any offset."""

    async def write_at(self, offset_bytes: int, data: bytes) -> None:
        """Write all of ``data`` there. Raises OSError."""
        ...

    async def sync(self) -> None:
        """Return once what was written outlasts a power cut. Raises OSError."""
        ...


class Files(Protocol):
    """Where records and recordings are kept. No method ever blocks the event loop."""

    async def read_whole(self, path: Path) -> bytes:
        """Return all of a file. Raises OSError."""
        ...

    async def write_whole(self, path: Path, data: bytes) -> None:
        """Create or replace a file; a reader, a crash or a power cut finds all of it or none. Raises OSError."""
        ...

    def open_file(
        self, path: Path, *, begins_with: bytes = b"", is_new: bool = False
    ) -> AbstractAsyncContextManager[OpenFile]:
        """Create the file (and its folders) and keep it open for writing.

        Args:
            path: Where it is; what was there is replaced.
            begins_with: A reader never finds less than this in it.
            is_new: Nothing may be there already.

        Raises (on entering):
            OSError: It could not be created; FileExistsError where it is there and must not be.
        """
        ...

    async def remove_unfinished(self, folder: Path, names: Collection[str]) -> int:
        """Remove from the folders in ``folder`` what a process that was killed has left of files with these names.

        Only what is older than this process. Returns how many were removed. Raises OSError.
        """
        ...


@attrs.frozen(kw_only=True)
class World:
    """One place for everything that is not a pure function; made once a process and handed down."""

    network: Network
    files: Files
    random: random.Random
    wall_clock: Callable[[], datetime]
    """The time of day with its zone, for records."""

    def now(self) -> float:
        """Seconds on Trio's clock."""
        return trio.current_time()

    def new_id(self, prefix: str) -> str:
        """Return a fresh id such as ``call_3f…``; unique, not secret."""
        return f"{prefix}_{self.random.getrandbits(_ID_BITS):0{_ID_BITS // 4}x}"

    def new_token(self) -> str:
        """Return a fresh secret of 192 bits that may be part of a URL path."""
        return f"{self.random.getrandbits(_TOKEN_BITS):0{_TOKEN_BITS // 4}x}"
