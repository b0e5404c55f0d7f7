"""Sending without waiting, from either end: order, bounds, and what becomes of it when the peer goes. Virtual time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import attrs
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from voicecore.errors import ConnectionLost
from voicecore.net.http.messages import Request, Upgrade
from voicecore.net.http.server import serve
from voicecore.net.websocket.connect import DialLimits, dial
from voicecore.net.websocket.protocol import WebSocket
from voicecore.net.websocket.server import SocketLimits
from voicecore.simulation.memory_network import LinkSettings
from voicecore_tests.chance import examples
from voicecore_tests.net.dialling import collect, lost, network_of
from voicecore_tests.net.transports import on_transport

BUFFER_BYTES = 2_000
NARROW = LinkSettings(buffer_bytes=1_000)


@attrs.frozen
class Ends:
    """The end that is tested, and the other one."""

    tested: WebSocket
    other: WebSocket


@asynccontextmanager
async def connected(link: LinkSettings) -> AsyncIterator[tuple[WebSocket, WebSocket]]:
    """A dialled socket and the accepted one at its other end, both with a small buffer."""
    network = network_of(link)
    accepted: list[WebSocket] = []
    there = trio.Event()

    async def run(socket: WebSocket) -> None:
        accepted.append(socket)
        there.set()
        await trio.sleep_forever()

    async def answer(_request: Request) -> Upgrade:
        await trio.lowlevel.checkpoint()
        return Upgrade(run, SocketLimits(buffer_bytes=BUFFER_BYTES))

    listening = await network.listen("peer", 80)
    with trio.fail_after(600):
        async with trio.open_nursery() as nursery:
            await nursery.start(serve, listening.listeners, answer, on_transport(None))
            async with dial(network, "ws://peer/", limits=DialLimits(buffer_bytes=BUFFER_BYTES)) as dialled:
                await there.wait()
                yield dialled, accepted[0]
            nursery.cancel_scope.cancel()
    assert network.open_streams == 0


@asynccontextmanager
async def from_client(link: LinkSettings) -> AsyncIterator[Ends]:
    async with connected(link) as (dialled, accepted):
        yield Ends(dialled, accepted)


@asynccontextmanager
async def from_server(link: LinkSettings) -> AsyncIterator[Ends]:
    async with connected(link) as (dialled, accepted):
        yield Ends(accepted, dialled)


Open = Callable[[LinkSettings], AbstractAsyncContextManager[Ends]]
both = pytest.mark.parametrize("open_ends", [from_client, from_server])


@both
async def test_what_is_taken_arrives_in_order_with_what_is_sent(autojump_clock: MockClock, open_ends: Open) -> None:
    """On a line that takes everything."""
    async with open_ends(LinkSettings()) as ends:
        assert ends.tested.send_nowait("1")
        await ends.tested.send("2")
        assert ends.tested.send_nowait("é 3")
        assert await collect(ends.other, 3) == ["1", "2", "é 3"]


@pytest.mark.own_transport("nothing is written before the writer runs")
@both
async def test_beyond_the_bound_nothing_is_taken(autojump_clock: MockClock, open_ends: Open) -> None:
    """What was taken leaves by itself once the peer reads, whole and once; then there is room again."""
    async with open_ends(NARROW) as ends:
        texts = [str(number).ljust(390, "x") for number in range(20)]
        taken = [text for text in texts if ends.tested.send_nowait(text)]
        assert taken == texts[: len(taken)]
        assert 2_000 <= sum(map(len, taken)) <= 3_000
        assert not ends.tested.send_nowait("small" * 60)
        assert await collect(ends.other, len(taken)) == taken
        await trio.sleep(1)
        assert ends.tested.send_nowait("room again")
        assert await collect(ends.other, 1) == ["room again"]


@both
async def test_a_message_larger_than_the_buffer_is_for_send(autojump_clock: MockClock, open_ends: Open) -> None:
    """It is refused, although nothing waits; `send` takes it."""
    async with open_ends(LinkSettings()) as ends:
        large = "x" * BUFFER_BYTES
        assert not ends.tested.send_nowait(large)
        await ends.tested.send(large)
        assert await collect(ends.other, 1) == [large]


@pytest.mark.own_transport("the other end reads by itself here")
@both
async def test_nobody_overtakes_a_send_that_waits(autojump_clock: MockClock, open_ends: Open) -> None:
    """While a send waits for its turn, nothing is taken; before and after it, it is."""
    async with open_ends(NARROW) as ends, trio.open_nursery() as nursery:
        first, second, third = "a" * 1_500, "b" * 100, "c" * 100
        assert ends.tested.send_nowait(first)
        nursery.start_soon(ends.tested.send, second)
        await trio.sleep(1)
        assert not ends.tested.send_nowait(third)
        assert await collect(ends.other, 2) == [first, second]
        assert ends.tested.send_nowait(third)
        assert await collect(ends.other, 1) == [third]


@pytest.mark.own_transport("the other end reads by itself here")
async def test_a_peer_that_does_not_read_is_lost(autojump_clock: MockClock) -> None:
    """Although nobody waits for it: after the send bound every use says so."""
    async with from_client(NARROW) as ends:
        assert ends.tested.send_nowait("x" * 1_500)
        loss = await lost(ends.tested)
        assert "did not read for 10" in str(loss)
        assert trio.current_time() == pytest.approx(10.0)
        with pytest.raises(ConnectionLost, match="did not read for 10"):
            ends.tested.send_nowait("x")


@both
async def test_behind_a_close_nothing_is_taken(autojump_clock: MockClock, open_ends: Open) -> None:
    """Ours or the peer's, once it was read; before, what is taken for it is lost without a word."""
    async with open_ends(LinkSettings(delay_s=0.5)) as ends, trio.open_nursery() as nursery:
        nursery.start_soon(ends.other.close, 4001)
        await trio.sleep(0.1)
        assert ends.tested.send_nowait("too late, and not known yet")
        assert (await lost(ends.tested)).code == 4001
        with pytest.raises(ConnectionLost, match="4001"):
            ends.tested.send_nowait("known")


@pytest.mark.own_transport("a failed write ends the library's reader")
@both
async def test_a_peer_that_has_gone_is_found_gone_by_receiving(autojump_clock: MockClock, open_ends: Open) -> None:
    """Messages to nobody are taken until its end is read; `receive` gives its last words and how it went."""
    async with open_ends(LinkSettings(delay_s=1.2)) as ends:
        await ends.other.send("last words")
        await ends.other.close(4002, "bye")
        assert ends.tested.send_nowait("to nobody")
        assert await ends.tested.receive() == ["last words"]
        assert (await lost(ends.tested)).code == 4002


@examples(60)
@given(
    sizes=st.lists(st.tuples(st.booleans(), st.integers(0, 1_900)), max_size=25),
    split=st.integers(1, 700),
    room=st.integers(50, 3_000),
)
def test_any_mixture_arrives_in_the_order_in_which_it_was_taken(
    sizes: list[tuple[bool, int]], split: int, room: int
) -> None:
    """Through any narrow line, cut anywhere, some of the sends cancelled: whole messages, in order, none twice."""

    mixtures: list[Mixture] = []

    async def main() -> None:
        async with connected(LinkSettings(buffer_bytes=room, split_bytes=split, delay_s=0.01)) as (dialled, accepted):
            for tested, other in ((dialled, accepted), (accepted, dialled)):
                mixtures.append(await _mix(tested, other, sizes))

    trio.run(main, clock=MockClock(autojump_threshold=0))
    for mixture in mixtures:
        assert [text for text in mixture.got if text in mixture.certain] == mixture.certain
        assert [text for text in mixture.possible if text in mixture.got] == mixture.got


@attrs.frozen
class Mixture:
    """What must have arrived, what may have, and what did, each in order."""

    certain: list[str] = attrs.field(factory=list)
    possible: list[str] = attrs.field(factory=list)
    got: list[str] = attrs.field(factory=list)


async def _mix(tested: WebSocket, other: WebSocket, sizes: list[tuple[bool, int]]) -> Mixture:
    it = Mixture()

    async def send() -> None:
        for number, (waits, size) in enumerate(sizes):
            text = f"{number} ".ljust(size, "x")
            if waits:
                it.possible.append(text)
                with trio.move_on_after(0.005 * (number % 4)) as scope:
                    await tested.send(text)
                if not scope.cancelled_caught:
                    it.certain.append(text)
            elif tested.send_nowait(text):
                it.possible.append(text)
                it.certain.append(text)
        it.possible.append("end")
        await tested.send("end")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        while "end" not in it.got:
            it.got.extend(await other.receive())
    return it
