"""Coalescing on an accepted WebSocket: what comes together, what comes late, and what never waits. Virtual time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock

from voicecore.errors import ConnectionLost
from voicecore.net.http.messages import Request, ServerLimits, Upgrade
from voicecore.net.http.server import serve
from voicecore.net.websocket.coalescing import CoalescingRule
from voicecore.net.websocket.connect import dial
from voicecore.net.websocket.protocol import WebSocket
from voicecore.net.websocket.server import SocketLimits
from voicecore_tests.net.dialling import network_of
from voicecore_tests.net.transports import on_transport

FRAME = "x" * 300
FRAME_BYTES = 308  # with its head and mask
STEADY = 8  # messages, from which on the stream counts as steady


@asynccontextmanager
async def connected(messages: int) -> AsyncIterator[tuple[WebSocket, WebSocket]]:
    """The accepted socket, whose port coalesces, and the dialled one at its other end."""
    network = network_of()
    accepted: list[WebSocket] = []
    there = trio.Event()

    async def run(socket: WebSocket) -> None:
        accepted.append(socket)
        there.set()
        await trio.sleep_forever()

    async def answer(_request: Request) -> Upgrade:
        await trio.lowlevel.checkpoint()
        return Upgrade(run)

    listening = await network.listen("peer", 80)
    limits = ServerLimits(sockets=SocketLimits(coalesce_messages=messages))
    with trio.fail_after(600):
        async with trio.open_nursery() as nursery:
            await nursery.start(serve, listening.listeners, answer, on_transport(limits))
            async with dial(network, "ws://peer/") as dialled:
                await there.wait()
                yield accepted[0], dialled
            nursery.cancel_scope.cancel()
    assert network.open_streams == 0


async def speak(socket: WebSocket, count: int) -> None:
    for _ in range(count):
        assert socket.send_nowait(FRAME)
        await trio.sleep(0.020)


async def reads(socket: WebSocket, count: int) -> list[int]:
    """Return how many messages each read brought, until there were so many."""
    sizes: list[int] = []
    while sum(sizes) < count:
        sizes.append(len(await socket.receive()))
    return sizes


@pytest.mark.own_transport("reads are not coalesced")
@pytest.mark.parametrize("messages", [1, 3])
async def test_a_steady_stream_comes_several_messages_at_a_time(autojump_clock: MockClock, messages: int) -> None:
    """Three at a time once it is steady, one at a time before, and none is lost."""
    async with connected(messages) as (accepted, dialled), trio.open_nursery() as nursery:
        nursery.start_soon(speak, dialled, STEADY + 9)
        assert await reads(accepted, STEADY + 9) == [1] * STEADY + [messages] * (9 // messages)


async def test_what_comes_before_the_stream_is_steady_does_not_wait(autojump_clock: MockClock) -> None:
    """A carrier's first messages differ in size."""
    async with connected(3) as (accepted, dialled):
        for size in (90, 600, 300, 300, 300):
            assert dialled.send_nowait("x" * size)
            sent_at = trio.current_time()
            assert len(await accepted.receive()) == 1
            assert trio.current_time() == sent_at


@pytest.mark.own_transport("reads are not coalesced")
async def test_less_comes_a_second_late_at_most(autojump_clock: MockClock) -> None:
    """Where the stream pauses; then it has to become steady again."""
    async with connected(3) as (accepted, dialled):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(speak, dialled, STEADY)
            await reads(accepted, STEADY)
        assert dialled.send_nowait("a")
        sent_at = trio.current_time()
        assert await accepted.receive() == ["a"]
        assert 0 < trio.current_time() - sent_at <= 1.0
        assert dialled.send_nowait("b")
        sent_at = trio.current_time()
        assert await accepted.receive() == ["b"]
        assert trio.current_time() == sent_at


async def test_an_end_does_not_wait(autojump_clock: MockClock) -> None:
    """Our own close gets the peer's answer at once."""
    async with connected(3) as (accepted, dialled), trio.open_nursery() as nursery:
        nursery.start_soon(speak, dialled, STEADY)
        await reads(accepted, STEADY)
        await trio.sleep(0.1)

        async def receive_the_end() -> None:
            with pytest.raises(ConnectionLost):
                await dialled.receive()

        nursery.start_soon(receive_the_end)
        await trio.testing.wait_all_tasks_blocked()
        began_at = trio.current_time()
        await accepted.close()
        assert trio.current_time() - began_at < 0.1


def test_a_mark_in_between_does_not_end_coalescing() -> None:
    """It is smaller than the audio beside it; a read without a message ends it."""
    rule = CoalescingRule(3)
    for _ in range(STEADY - 1):
        assert rule.min_bytes(FRAME_BYTES, 1) == 1
    assert rule.min_bytes(FRAME_BYTES, 1) == int(2.5 * FRAME_BYTES)
    assert rule.min_bytes(3 * FRAME_BYTES + 100, 4) > 1
    assert rule.min_bytes(3 * FRAME_BYTES, 3) > 1
    assert rule.min_bytes(6, 0) == 1
    assert rule.min_bytes(FRAME_BYTES, 1) == 1
