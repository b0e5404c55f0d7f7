"""A World in which a whole call is a pure function of a seed: virtual time, memory, no operating system.

Rule 1: run it under a `trio.testing.MockClock`; the time of day is a fixed morning
plus Trio's clock.
Rule 2: one seed, one run: ids, tokens and cuts are drawn from it alone; the network
draws from random numbers of its own, so that traffic changes no id.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import attrs
import trio

from voicecore.simulation.memory_files import DiskFault, FileWrite, MemoryFiles
from voicecore.simulation.memory_network import LinkSettings, MemoryNetwork
from voicecore.world import World

__all__ = ["MORNING", "DiskFault", "FileWrite", "MemoryFiles", "SimulatedWorld", "simulated_world"]

MORNING = datetime(2026, 1, 1, 9, 0, 0, tzinfo=UTC)


@attrs.frozen
class SimulatedWorld:
    """A world, and the parts of it that a test inspects."""

    world: World
    network: MemoryNetwork
    files: MemoryFiles


def simulated_world(seed: int = 0, link: LinkSettings | None = None) -> SimulatedWorld:
    """Return a world in memory in which everything random follows from ``seed``."""
    rng = random.Random(seed)
    network, files = MemoryNetwork(random.Random(f"network {seed}"), link), MemoryFiles()
    world = World(network=network, files=files, random=rng, wall_clock=_time_of_day)
    return SimulatedWorld(world, network, files)


def _time_of_day() -> datetime:
    return MORNING + timedelta(seconds=trio.current_time())
