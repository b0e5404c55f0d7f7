"""The network of this room's tests: in memory, and empty again afterwards."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import trio
from trio.testing import MockClock

from voicecore.simulation.memory_network import MemoryNetwork
from voicecore_tests.net.transports import memory_network


@pytest.fixture
async def network(autojump_clock: MockClock) -> AsyncIterator[MemoryNetwork]:
    """A network on which a test leaves nothing open, within ten minutes of virtual time."""
    network = memory_network()
    with trio.fail_after(600):
        yield network
    assert network.open_streams == 0
