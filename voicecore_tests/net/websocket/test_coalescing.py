"""Gathering on a WebSocket: what comes together, what comes late, and what never waits. Virtual time."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from voicecore.errors import ConnectionLost
from voicecore.simulation.memory_network import LinkSettings
from voicecore_tests.net.websocket.test_send_nowait import Open, both

FRAME = "x" * 300


@both
async def test_messages_come_together_once_there_is_so_much(autojump_clock: MockClock, open_ends: Open) -> None:
    """Three at a time, and none is lost."""
    async with open_ends(LinkSettings()) as ends:
        ends.tested.coalesce(750)
        reads: list[int] = []
        async with trio.open_nursery() as nursery:

            async def receive() -> None:
                while sum(reads) < 9:
                    reads.append(len(await ends.tested.receive()))

            nursery.start_soon(receive)
            await trio.testing.wait_all_tasks_blocked()  # a dialled socket that nobody listens to reads by itself
            for _ in range(9):
                assert ends.other.send_nowait(FRAME)
                await trio.sleep(0.020)
    assert reads == [3, 3, 3]


@both
async def test_less_comes_a_second_late_at_most(autojump_clock: MockClock, open_ends: Open) -> None:
    """Also where gathering began while the watcher slept; then gathering goes on."""
    async with open_ends(LinkSettings()) as ends:
        await trio.sleep(3.3)
        ends.tested.coalesce(750)
        for text in ("a", "b"):
            await trio.sleep(0.5)
            assert ends.other.send_nowait(text)
            sent_at = trio.current_time()
            assert await ends.tested.receive() == [text]
            assert 0 < trio.current_time() - sent_at <= 1.0


@both
async def test_an_end_does_not_wait(autojump_clock: MockClock, open_ends: Open) -> None:
    """Our own close hears the peer's answer at once; a peer's is heard within the second."""
    async with open_ends(LinkSettings()) as ends:
        ends.tested.coalesce(750)
        async with trio.open_nursery() as nursery:

            async def hear_the_end() -> None:
                with pytest.raises(ConnectionLost):
                    await ends.other.receive()

            nursery.start_soon(hear_the_end)
            await trio.testing.wait_all_tasks_blocked()
            began_at = trio.current_time()
            await ends.tested.close()
        assert trio.current_time() - began_at < 0.1
