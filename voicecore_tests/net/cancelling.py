"""Cancelling at every step: runs a scenario again and again, cancelled one task step later each time.

Used by the tests of this room.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio
from trio.testing import MockClock

from voicecore.simulation.memory_network import LinkSettings, MemoryNetwork
from voicecore_tests.net.raw_peer import Handler, raw_server
from voicecore_tests.net.transports import memory_network

Client = Callable[[MemoryNetwork, str], Awaitable[None]]
"""Uses the server at a URL, and leaves nothing."""

# Enough delays and cuts that a cancellation can fall between any two of them.
_LINK = LinkSettings(connect_s=0.1, delay_s=0.02, split_bytes=64)


class _CancelAt(trio.abc.Instrument):
    """Cancels a scope at the k-th task step."""

    def __init__(self, step: int) -> None:
        self.scope: trio.CancelScope | None = None
        self.at_s: float | None = None
        self._left = step

    def after_task_step(self, task: trio.lowlevel.Task) -> None:  # noqa: ARG002  (as Trio calls it)
        if self.scope is not None and self.at_s is None:
            self._left -= 1
            if self._left == 0:
                self.at_s = trio.current_time()
                self.scope.cancel()


def assert_every_cancellation_is_clean(handler: Handler, client: Client, most_s: float) -> int:
    """Run ``client`` against ``handler`` until it ends uncancelled; return the number of steps.

    Cancelled, it ends within ``most_s``; afterwards no task and no stream is left.
    """
    step = 1
    while True:
        clock, canceller = MockClock(autojump_threshold=0), _CancelAt(step)
        trio.run(_run, handler, client, most_s, canceller, clock=clock, instruments=[canceller])
        if canceller.at_s is None:
            return step
        step += 1


async def _run(handler: Handler, client: Client, most_s: float, canceller: _CancelAt) -> None:
    network = memory_network(_LINK)
    tasks = trio.lowlevel.current_statistics().tasks_living
    with trio.fail_after(60):
        async with raw_server(network, handler) as url:
            with trio.CancelScope() as canceller.scope:
                await client(network, url)
            canceller.scope = None
            assert canceller.at_s is None or trio.current_time() <= canceller.at_s + most_s
    assert trio.lowlevel.current_statistics().tasks_living == tasks
    assert network.open_streams == 0
