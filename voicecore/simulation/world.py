"""A World in which a whole call is a pure function of a seed: virtual time, memory, no operating system.

Rule 1: run it under a `trio.testing.MockClock`; the time of day is a fixed
morning plus Trio's clock.
Rule 2: one seed, one run: ids, tokens, delays and cuts are drawn from it alone.

Used by the tests and later by the simulator.
"""

from __future__ import annotations

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


class MemoryFiles:
    """Files as a dictionary."""

    def __init__(self) -> None:
        self.files: dict[Path, bytearray] = {}

    async def write_whole(self, path: Path, data: bytes) -> None:
        """See `voicecore.world.Files`."""
        await trio.lowlevel.checkpoint()
        self.files[path] = bytearray(data)

    def open_file(self, path: Path) -> AbstractAsyncContextManager[OpenFile]:
        """See `voicecore.world.Files`."""
        return self._open(path)

    @asynccontextmanager
    async def _open(self, path: Path) -> AsyncIterator[OpenFile]:
        await trio.lowlevel.checkpoint()
        self.files[path] = bytearray()
        yield _MemoryFile(self.files[path])


class _MemoryFile:
    def __init__(self, content: bytearray) -> None:
        self._content = content

    async def write_at(self, offset_bytes: int, data: bytes) -> None:
        await trio.lowlevel.checkpoint()
        self._content[offset_bytes : offset_bytes + len(data)] = data


@attrs.frozen
class SimulatedWorld:
    """A world, and the parts of it that a test looks into."""

    world: World
    network: MemoryNetwork
    files: MemoryFiles


def simulated_world(seed: int = 0, link: LinkSettings | None = None) -> SimulatedWorld:
    """Return a world in memory whose every choice follows from ``seed``."""
    rng = random.Random(seed)
    network, files = MemoryNetwork(rng, link), MemoryFiles()
    world = World(network=network, files=files, random=rng, wall_clock=_time_of_day)
    return SimulatedWorld(world, network, files)


def _time_of_day() -> datetime:
    return MORNING + timedelta(seconds=trio.current_time())
