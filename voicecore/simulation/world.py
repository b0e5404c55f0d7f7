"""A World in which a whole call is a pure function of a seed: virtual time, memory, no operating system.

Rule 1: run it under a `trio.testing.MockClock`; the time of day is a fixed
morning plus Trio's clock.
Rule 2: one seed, one run: ids, tokens and cuts are drawn from it alone; the
network draws from its own stream of numbers, so that traffic changes no id.

Used by the tests and later by the simulator.
"""

from __future__ import annotations

import errno
import os
import random
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs
import trio

from voicecore.simulation.memory_network import LinkSettings, MemoryNetwork
from voicecore.world import OpenFile, World

MORNING = datetime(2026, 1, 1, 9, 0, 0, tzinfo=UTC)


@attrs.frozen
class Written:
    """One write, in the order in which the disk saw them."""

    path: Path
    offset_bytes: int | None
    """None: the whole file, replaced at once."""
    data: bytes


class MemoryFiles:
    """Files as a dictionary, and the history of how they came to be."""

    def __init__(self) -> None:
        self.files: dict[Path, bytearray] = {}
        self.history: list[Written] = []

    async def read_whole(self, path: Path) -> bytes:
        """See `voicecore.world.Files`."""
        await trio.lowlevel.checkpoint()
        if path not in self.files:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        return bytes(self.files[path])

    async def write_whole(self, path: Path, data: bytes) -> None:
        """See `voicecore.world.Files`."""
        await trio.lowlevel.checkpoint()
        self.files[path] = bytearray(data)
        self.history.append(Written(path, None, data))

    def open_file(self, path: Path) -> AbstractAsyncContextManager[OpenFile]:
        """See `voicecore.world.Files`."""
        return self._open(path)

    @asynccontextmanager
    async def _open(self, path: Path) -> AsyncIterator[OpenFile]:
        await trio.lowlevel.checkpoint()
        self.files[path] = bytearray()
        self.history.append(Written(path, None, b""))
        yield _MemoryFile(self, path, self.files[path])


class _MemoryFile:
    def __init__(self, disk: MemoryFiles, path: Path, content: bytearray) -> None:
        self._disk = disk
        self._path = path
        self._content = content

    async def write_at(self, offset_bytes: int, data: bytes) -> None:
        await trio.lowlevel.checkpoint()
        gap = bytes(max(0, offset_bytes - len(self._content)))
        self._content += gap
        self._content[offset_bytes : offset_bytes + len(data)] = data
        self._disk.history.append(Written(self._path, offset_bytes, data))


@attrs.frozen
class SimulatedWorld:
    """A world, and the parts of it that a test looks into."""

    world: World
    network: MemoryNetwork
    files: MemoryFiles


def simulated_world(seed: int = 0, link: LinkSettings | None = None) -> SimulatedWorld:
    """Return a world in memory whose every choice follows from ``seed``."""
    rng = random.Random(seed)
    network, files = MemoryNetwork(random.Random(f"network {seed}"), link), MemoryFiles()
    world = World(network=network, files=files, random=rng, wall_clock=_time_of_day)
    return SimulatedWorld(world, network, files)


def _time_of_day() -> datetime:
    return MORNING + timedelta(seconds=trio.current_time())
