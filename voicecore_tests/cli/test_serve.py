"""`voicecore serve` on its way out: running calls may go on for a while, until a second signal or the time ends it."""

from __future__ import annotations

import math
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio
from trio.testing import MockClock

from voicecore.cli import serve
from voicecore.cli.serve import DRAIN_S
from voicecore.facts import EndCause
from voicecore.simulation.openai_realtime import Recorded, Reply, Script
from voicecore.simulation.twilio import At, HangUp
from voicecore_tests.kit import Rig, rig

TALK = Script(replies=(Reply("Hello.", speech=Recorded("agent-hello")),))


class Signals(AsyncIterator[int]):
    """A signal at each of these moments of Trio's clock; then no more."""

    def __init__(self, *moments: float) -> None:
        self._moments = iter(moments)

    async def __anext__(self) -> int:
        await trio.sleep_until(next(self._moments, math.inf))
        return signal.SIGTERM


@asynccontextmanager
async def talking(until_s: float) -> AsyncIterator[Rig]:
    """An engine with one call, two seconds old, that lasts so long in all; it is over when the block has been left."""
    async with trio.open_nursery() as nursery, rig(TALK, agent__first_message="Hello.") as it:
        nursery.start_soon(it.carrier.call, it.engine.url, [HangUp(At(until_s))])
        await trio.sleep(2.0)
        assert it.engine.statistics().live == 1
        yield it
        nursery.cancel_scope.cancel()


async def drained(it: Rig, *moments_s: float) -> float:
    """Return how long the drain took, with further signals at these moments."""
    began_at = trio.current_time()
    await serve._drain(it.engine, Signals(*(began_at + moment_s for moment_s in moments_s)))
    return trio.current_time() - began_at


async def test_a_second_signal_ends_the_drain(autojump_clock: MockClock) -> None:
    """A second signal ends the calls at once, each with its record."""
    async with talking(until_s=300.0) as it:
        assert await drained(it, 5.0) == 5.0
    assert it.report.outcome is EndCause.SHUT_DOWN
    assert len(it.records()) == 1


async def test_a_call_may_go_on_for_so_long_and_no_longer(autojump_clock: MockClock) -> None:
    """Without a second signal."""
    async with talking(until_s=300.0) as it:
        assert await drained(it) == DRAIN_S
    assert it.report.outcome is EndCause.SHUT_DOWN


async def test_the_last_call_ends_the_drain(autojump_clock: MockClock) -> None:
    """Nothing is waited for behind it but its record."""
    async with talking(until_s=12.0) as it:
        assert 10.0 <= await drained(it) < DRAIN_S / 2
    assert it.report.outcome is EndCause.REMOTE_HUNG_UP
