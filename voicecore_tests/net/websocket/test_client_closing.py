"""Closing a dialled WebSocket: bounded, whoever begins it and whatever the peer does. Virtual time."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock
from wsproto.events import CloseConnection, TextMessage

from voicecore.errors import ConnectionLost
from voicecore.net.websocket.connect import dial
from voicecore.simulation.memory_network import LinkSettings, MemoryNetwork
from voicecore_tests.net.cancelling import assert_every_cancellation_is_clean
from voicecore_tests.net.dialling import KEY, NARROW, detection_off, lost, network_of
from voicecore_tests.net.raw_peer import Handler, RawPeer, raw_server


async def test_leaving_closes_in_order(network: MemoryNetwork, autojump_clock: MockClock) -> None:
    """A close frame, the peer's answer, the end of the stream; no time passes."""
    ends: list[int | None] = []

    async def talk(peer: RawPeer) -> None:
        await peer.accept()
        ends.append((await peer.answer_close()).code)
        assert await peer.stream.receive_some() == b""

    async with raw_server(network, talk) as url:
        async with dial(network, url):
            pass
        assert trio.current_time() == 0
    assert ends == [1000]


async def test_close_chooses_the_code_and_may_be_repeated(network: MemoryNetwork, autojump_clock: MockClock) -> None:
    """The first one counts; it never raises; afterwards the connection is lost."""
    seen: list[CloseConnection] = []

    async def talk(peer: RawPeer) -> None:
        await peer.accept()
        seen.append(await peer.answer_close())

    async with raw_server(network, talk) as url, dial(network, url) as socket:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(socket.close, 1001, "later")
            await trio.lowlevel.checkpoint()
            await trio.lowlevel.checkpoint()  # whichever task runs first in a batch: now the first close has begun
            nursery.start_soon(socket.close, 1011)
        await socket.close()
        await lost(socket)
        with pytest.raises(ConnectionLost):
            await socket.send("x")
    assert [(close.code, close.reason) for close in seen] == [(1001, "later")]


async def never_answers(peer: RawPeer) -> None:
    await peer.accept()
    while await peer.stream.receive_some():
        pass


async def keeps_talking(peer: RawPeer) -> None:
    await peer.accept()
    while True:
        await peer.send(TextMessage("x" * 100))
        await trio.sleep(0.01)


@pytest.mark.parametrize("peer", [never_answers, keeps_talking, detection_off], ids=lambda peer: peer.__name__)
@pytest.mark.parametrize("is_cancelled", [False, True])
async def test_no_peer_holds_a_hang_up_for_more_than_a_second(
    peer: Handler, is_cancelled: bool, network: MemoryNetwork, autojump_clock: MockClock
) -> None:
    """Whatever it does instead of answering our close."""
    async with raw_server(network, peer) as url:
        with trio.CancelScope() as scope:
            async with dial(network, url):
                if is_cancelled:
                    scope.cancel()
        assert trio.current_time() == pytest.approx(1.0)


async def test_a_peer_that_does_not_read_cannot_hold_a_hang_up(autojump_clock: MockClock) -> None:
    """Also while a send is stuck and the close frame waits behind it."""
    network = network_of(NARROW)
    async with raw_server(network, detection_off) as url:
        async with dial(network, url) as socket, trio.open_nursery() as nursery:

            async def send() -> None:
                with pytest.raises(ConnectionLost):
                    await socket.send("x" * 2000)

            nursery.start_soon(send)
            await trio.sleep(0.5)
            await socket.close()
            assert trio.current_time() == pytest.approx(1.5)
        assert trio.current_time() == pytest.approx(1.5)
    assert network.open_streams == 0


async def test_a_close_under_way_is_not_disturbed_by_another(autojump_clock: MockClock) -> None:
    """Both return when the peer has answered."""
    network = network_of(LinkSettings(delay_s=0.1))
    async with raw_server(network, RawPeer.echo) as url, dial(network, url) as socket:
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(socket.close)
            await trio.sleep(0.05)
            await socket.close()
        assert trio.current_time() == pytest.approx(began + 0.2)


@pytest.mark.own_transport("a ping behind its close frame ends the library's reader")
async def test_a_peer_that_cannot_stop_talking_is_read_to_its_end(
    network: MemoryNetwork, autojump_clock: MockClock
) -> None:
    """Closing on unread input would reset the connection, and our close frame might be lost with it."""
    finished: list[float] = []

    async def talk(peer: RawPeer) -> None:
        await peer.accept()
        await peer.wait_closed()
        for _ in range(5):
            await peer.raw(b"\x89\x00")
            await trio.sleep(0.1)
        await peer.raw(b"\x88\x02\x03\xe8")
        finished.append(trio.current_time())

    async with raw_server(network, talk) as url:
        async with dial(network, url):
            pass
        assert trio.current_time() == pytest.approx(0.5)
    assert finished == [pytest.approx(0.5)]


@pytest.mark.own_transport("a ping behind its close frame ends the library's reader")
async def test_a_ping_after_our_close_is_not_felt(network: MemoryNetwork, autojump_clock: MockClock) -> None:
    """The close is done as soon as the peer has ended, and the peer has its close frame."""
    seen: list[int] = []

    async def talk(peer: RawPeer) -> None:
        await peer.accept()
        seen.append((await peer.wait_closed()).code)
        await peer.raw(b"\x89\x00" + b"\x88\x02\x03\xe8")

    async with raw_server(network, talk) as url:
        async with dial(network, url):
            pass
        assert trio.current_time() == 0
    assert seen == [1000]


async def test_a_cancelled_owner_still_says_goodbye(network: MemoryNetwork, autojump_clock: MockClock) -> None:
    """The close handshake outlives the cancellation."""
    seen: list[int] = []

    async def talk(peer: RawPeer) -> None:
        await peer.accept()
        seen.append((await peer.answer_close()).code)

    async with raw_server(network, talk) as url:
        with trio.move_on_after(1) as scope:
            async with dial(network, url) as socket:
                await socket.receive()
        assert scope.cancelled_caught
        assert trio.current_time() == pytest.approx(1.0)
    assert seen == [1000]


@pytest.mark.parametrize("is_cancelled", [False, True])
async def test_what_the_block_raises_leaves_as_it_is(
    is_cancelled: bool, network: MemoryNetwork, autojump_clock: MockClock
) -> None:
    """No group around it, even when a cancellation is on its way too."""
    mine = KeyError("mine")
    left: BaseException | None = None
    async with raw_server(network, RawPeer.echo) as url:
        try:
            with trio.CancelScope() as scope:
                async with dial(network, url):
                    if is_cancelled:
                        scope.cancel()
                    raise mine
        except KeyError as error:
            left = error
    assert left is mine


@pytest.mark.parametrize("handler", [RawPeer.echo, never_answers], ids=lambda handler: handler.__name__)
def test_a_cancellation_at_any_step_leaves_nothing(handler: Handler) -> None:
    """From connecting to the last byte of the close: no task, no stream, at most a second."""

    async def talk(network: MemoryNetwork, url: str) -> None:
        async with dial(network, url, headers=KEY) as socket:
            await socket.send("hello")
            with trio.move_on_after(1):
                assert await socket.receive() == ["hello"]
            await socket.close(1001, "enough")

    assert assert_every_cancellation_is_clean(handler, talk, most_s=1.0) > 40
