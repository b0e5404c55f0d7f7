"""The alarm wakes its sleeper at the earliest moment anybody named."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import trio
from trio.testing import MockClock

from voicecore.engine.alarm import Alarm


async def slept_until(alarm: Alarm, deadline: float | None) -> float:
    await alarm.wait_until(deadline)
    return trio.current_time()


async def test_it_sleeps_to_its_deadline(autojump_clock: MockClock) -> None:
    """Without changes the deadline stays."""
    assert await slept_until(Alarm(), trio.current_time() + 5) == 5


async def test_it_is_brought_forward_and_never_put_back(autojump_clock: MockClock) -> None:
    """An earlier moment counts, a later one and None do not."""
    alarm = Alarm()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bring, alarm, 1.0, [7.0, None, 3.0, 4.0])
        assert await slept_until(alarm, 5.0) == 3.0


async def test_it_sleeps_without_a_deadline_until_one_is_named(autojump_clock: MockClock) -> None:
    """None: until notified."""
    alarm = Alarm()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bring, alarm, 1.0, [2.0])
        assert await slept_until(alarm, None) == 2.0


async def test_news_while_nobody_sleeps_are_dropped(autojump_clock: MockClock) -> None:
    """The sleeper computes its deadline itself, right before it sleeps."""
    alarm = Alarm()
    alarm.bring_forward(1.0)
    assert await slept_until(alarm, 5.0) == 5.0


async def test_a_moment_in_the_past_does_not_sleep(autojump_clock: MockClock) -> None:
    """Minus infinity is "at once"."""
    assert await slept_until(Alarm(), float("-inf")) == 0.0


async def bring(alarm: Alarm, at: float, moments: Sequence[float | None]) -> None:
    await trio.sleep_until(at)
    for moment in moments:
        alarm.bring_forward(moment)


@pytest.mark.parametrize("deadline", [float("-inf"), 1e9, None])
async def test_a_cancelled_sleeper_leaves(deadline: float | None) -> None:
    """Also one whose moment has always passed: a loop around it ends with its nursery."""
    with trio.CancelScope() as scope:
        scope.cancel()
        for _ in range(3):
            await Alarm().wait_until(deadline)
    assert scope.cancelled_caught
