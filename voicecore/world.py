"""The seam to everything outside: clock, randomness, ids, files and sockets.

The engine never reads a clock, draws a number, opens a file or connects a
socket except through a `World`.  A call on a simulated World runs in virtual
time on memory streams and is repeatable from a seed.

Rule 1: ``now()`` is Trio's clock; the wall clock is for records only and
decides nothing.
Rule 2: tokens and ids come from ``random``: the operating system's in the real
world, a seeded one in simulation.

Real parts: net/sockets.py and net/disk.py, joined in assembly.py.
Simulated parts: simulation/world.py.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from pathlib import Path
from typing import Protocol

import attrs
import trio

_ID_BITS = 96
_TOKEN_BITS = 192  #: media tokens need at least 128


@attrs.frozen
class Listening:
    """A bound server port; ``port`` is the real one where 0 was asked for."""

    listeners: Sequence[trio.abc.Listener[trio.abc.Stream]]
    port: int


class Network(Protocol):
    """Where byte streams come from."""

    async def open_stream(self, host: str, port: int, *, tls: bool) -> trio.abc.Stream:
        """Return a connected stream, TLS already done where asked for.

        Raises ConnectionLost. Has no deadline of its own. Cancelled, it leaves no socket.
        """
        ...

    async def listen(self, host: str, port: int) -> Listening:
        """Bind a port; 0 picks a free one. The caller closes the listeners. Raises OSError."""
        ...


class OpenFile(Protocol):
    """A file that is being written, at any offset."""

    async def write_at(self, offset_bytes: int, data: bytes) -> None:
        """Write all of ``data`` there. Raises OSError."""
        ...


class Files(Protocol):
    """Where records and recordings are kept. No method ever blocks the event loop."""

    async def read_whole(self, path: Path) -> bytes:
        """Return all of a file. Raises OSError."""
        ...

    async def write_whole(self, path: Path, data: bytes) -> None:
        """Create or replace a file; a reader, a crash or a power cut finds all of it or none. Raises OSError."""
        ...

    def open_file(self, path: Path) -> AbstractAsyncContextManager[OpenFile]:
        """Create the file (and its folders) empty and hold it open for writing. Raises OSError on entering."""
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
        """Return a fresh secret of 192 bits that may stand in a URL path."""
        return f"{self.random.getrandbits(_TOKEN_BITS):0{_TOKEN_BITS // 4}x}"
