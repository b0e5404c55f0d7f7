"""A dialled WebSocket: messages, life, and what the owner sees of a peer that ends or misbehaves. Virtual time."""

from __future__ import annotations

from itertools import pairwise

import pytest
import trio
from trio.testing import MockClock
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage

from voicecore.errors import ConnectionLost
from voicecore.net.websocket.connect import DialLimits, dial
from voicecore.net.websocket.protocol import WebSocket
from voicecore.simulation.memory_network import LinkSettings, MemoryNetwork
from voicecore_tests.net.dialling import NARROW, collect, detection_off, lost, network_of, speak_until_lost
from voicecore_tests.net.raw_peer import RawPeer, raw_server

# --- talking ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "link", [LinkSettings(), LinkSettings(split_bytes=3), LinkSettings(delay_s=0.05, buffer_bytes=64)]
)
async def test_messages_go_both_ways_whole_and_in_order(link: LinkSettings, autojump_clock: MockClock) -> None:
    """However the network cuts, delays and holds them back."""
    network = network_of(link)
    texts = [f"{number} ü€ " + "x" * (number * 97 % 500) for number in range(30)]

    async def send(socket: WebSocket) -> None:
        for text in texts:
            await socket.send(text)

    async with (
        raw_server(network, RawPeer.echo) as url,
        dial(network, url) as socket,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(send, socket)
        assert await collect(socket, len(texts)) == texts
    assert network.open_streams == 0


async def test_receive_returns_everything_that_waits(network: MemoryNetwork, autojump_clock: MockClock) -> None:
    """One call, all messages, oldest first."""

    async def talk(peer: RawPeer) -> None:
        await peer.accept()
        await peer.send(*(TextMessage(str(number)) for number in range(100)))
        await peer.answer_close()

    async with raw_server(network, talk) as url, dial(network, url) as socket:
        await trio.sleep(1)
        assert await socket.receive() == [str(number) for number in range(100)]


async def test_a_cancelled_receive_loses_nothing(network: MemoryNetwork, autojump_clock: MockClock) -> None:
    """Whenever it is cancelled."""

    async def talk(peer: RawPeer) -> None:
        await peer.accept()
        for number in range(200):
            await peer.send(TextMessage(str(number)))
            await trio.sleep(0.01)
        await peer.answer_close()

    received: list[str] = []
    async with raw_server(network, talk) as url, dial(network, url) as socket:
        for attempt in range(2000):
            with trio.move_on_after(0.005 * (attempt % 3)):
                received += await socket.receive()
    assert received == [str(number) for number in range(200)]


@pytest.mark.own_transport("the library answers at once, not once a second")
async def test_pings_are_answered_though_nobody_receives(network: MemoryNetwork, autojump_clock: MockClock) -> None:
    """Within a second, and up to the backlog's bound; the unread messages are not lost."""
    pongs: list[float] = []

    async def talk(peer: RawPeer) -> None:
        await peer.accept()
        for _ in range(3):
            await trio.sleep(1.5)
            await peer.send(*(TextMessage("x") for _ in range(50)), Ping(b"!"))
            assert isinstance(await peer.next(), Pong)
            pongs.append(trio.current_time())
        await peer.answer_close()

    async with raw_server(network, talk) as url, dial(network, url) as socket:
        await trio.sleep(8)
        assert await socket.receive() == ["x"] * 150
    assert pongs == [2.0, 4.0, 6.0]


async def test_a_peer_that_closes_is_answered_though_nobody_receives(
    network: MemoryNetwork, autojump_clock: MockClock
) -> None:
    """Within a second; who receives later learns all of it."""
    answered: list[float] = []

    async def talk(peer: RawPeer) -> None:
        await peer.accept()
        await peer.send(TextMessage("last words"), CloseConnection(4000, "session expired"))
        assert (await peer.wait_closed()).code == 4000
        answered.append(trio.current_time())

    async with raw_server(network, talk) as url, dial(network, url) as socket:
        await trio.sleep(5)
        assert await socket.receive() == ["last words"]
        assert (await lost(socket)).code == 4000
    assert answered[0] <= 1.0


@pytest.mark.parametrize(
    ("size", "count", "backlog"),
    [(10, 1000, 256), (100_000, 120, 84)],  # the bound in messages, the one in characters
)
async def test_beyond_the_backlog_the_peer_meets_back_pressure_and_nothing_is_lost(
    size: int, count: int, backlog: int, autojump_clock: MockClock
) -> None:
    """Memory is bounded in messages and characters; minutes of not receiving do not cost the connection."""
    network = network_of(LinkSettings(buffer_bytes=8 * size))
    texts = [f"{number:06}".ljust(size, "x") for number in range(count)]
    sent = 0

    async def flood(peer: RawPeer) -> None:
        nonlocal sent
        await peer.accept()
        for text in texts:
            await peer.send(TextMessage(text))
            sent += 1
        await peer.answer_close()

    async with raw_server(network, flood) as url, dial(network, url) as socket:
        await trio.sleep(300)
        on_the_way = 8 + 1
        assert backlog <= sent <= backlog + on_the_way + 8  # one read may go beyond the bound
        first = await socket.receive()
        assert backlog <= len(first) <= backlog + 8
        assert first + await collect(socket, count - len(first)) == texts


# --- the peer's end --------------------------------------------------------------------


async def test_what_came_before_a_close_is_received_first(network: MemoryNetwork, autojump_clock: MockClock) -> None:
    """Then everything says how the peer closed."""

    async def talk(peer: RawPeer) -> None:
        await peer.accept()
        await peer.send(TextMessage("last words"), CloseConnection(4000, "session expired"))
        await peer.wait_closed()

    async with raw_server(network, talk) as url, dial(network, url) as socket:
        await trio.sleep(1)
        assert await socket.receive() == ["last words"]
        for _ in range(2):
            with pytest.raises(ConnectionLost, match="session expired") as caught:
                await socket.receive()
            assert (caught.value.code, caught.value.reason) == (4000, "session expired")
        with pytest.raises(ConnectionLost, match="4000"):
            await socket.send("x")


@pytest.mark.own_transport("a failed write ends the library's reader")
async def test_the_last_words_of_a_peer_that_has_gone_are_heard_while_we_speak(autojump_clock: MockClock) -> None:
    """A send that finds the peer gone, before its words have arrived, raises with the reason that they give."""
    network = network_of(LinkSettings(delay_s=0.3))
    gone_at: list[float] = []

    async def talk(peer: RawPeer) -> None:
        await peer.accept()
        await trio.sleep(1)
        await peer.send(TextMessage("bad key"), CloseConnection(3000, "go away"))
        gone_at.append(trio.current_time())

    async with raw_server(network, talk) as url, dial(network, url) as socket:
        assert (await speak_until_lost(socket)).code == 3000
        assert trio.current_time() == pytest.approx(gone_at[0] + 0.3)
        assert await socket.receive() == ["bad key"]
        assert (await lost(socket)).code == 3000
    assert network.open_streams == 0


@pytest.mark.parametrize("cut", [b"", b"\x81", b"\x81\x7e\x01\x00half a message"])
async def test_an_end_without_a_close_has_no_code(
    cut: bytes, network: MemoryNetwork, autojump_clock: MockClock
) -> None:
    """Also in the middle of a message, which is dropped."""

    async def talk(peer: RawPeer) -> None:
        await peer.accept()
        await peer.raw(cut)

    async with raw_server(network, talk) as url, dial(network, url) as socket:
        loss = await lost(socket)
        assert loss.code is None
        assert "ended the connection" in str(loss)
    assert trio.current_time() == 0


@pytest.mark.own_transport("the library sends no close code for a fault")
@pytest.mark.parametrize(
    ("wire", "code"),
    [
        (b"\xc1\x01x", 1002),  # a reserved bit
        (b"\x81\x81abcdx", 1002),  # masked by the server
        (b"\x81\x01\xff", 1007),  # not UTF-8
        (b"\x88\x02\x03\xe7", 1002),  # a close code that may not be sent
    ],
)
async def test_a_peer_that_breaks_the_protocol_is_told_so(
    wire: bytes, code: int, network: MemoryNetwork, autojump_clock: MockClock
) -> None:
    """The close frame with the code reaches it although it goes on talking; ours say the same."""
    told: list[int] = []

    async def talk(peer: RawPeer) -> None:
        await peer.accept()
        await peer.raw(wire)
        await peer.raw(b"\x81\x01x" * 1000)
        told.append((await peer.wait_closed()).code)

    async with raw_server(network, talk) as url, dial(network, url) as socket:
        assert (await lost(socket)).code == code
    assert told == [code]


@pytest.mark.own_transport("the library sends no close code for a fault")
async def test_a_fault_of_the_peer_while_a_message_to_it_is_under_way(autojump_clock: MockClock) -> None:
    """The message leaves whole, and the close frame after it."""
    network = network_of(NARROW)
    peers: list[RawPeer] = []

    async def talk(peer: RawPeer) -> None:
        peers.append(peer)
        await peer.accept()
        await trio.sleep(0.25)
        await peer.raw(b"\xc1\x01x")
        await trio.sleep(0.25)
        await peer.wait_closed()

    async with raw_server(network, talk) as url, dial(network, url) as socket:
        await socket.send("x" * 2000)
        await lost(socket)
    assert "".join(peers[0].texts) == "x" * 2000
    close = peers[0].seen[-1]
    assert isinstance(close, CloseConnection)
    assert close.code == 1002
    assert network.open_streams == 0


@pytest.mark.own_transport("the library sends no close code for a fault")
@pytest.mark.parametrize("steps", range(12))
async def test_a_fault_and_our_close_at_the_same_time(
    steps: int, network: MemoryNetwork, autojump_clock: MockClock
) -> None:
    """Whoever is first, the peer gets a close frame."""
    told: list[int] = []

    async def talk(peer: RawPeer) -> None:
        await peer.accept()
        await peer.raw(b"\xc1\x01x")
        told.append((await peer.wait_closed()).code)

    async with raw_server(network, talk) as url, dial(network, url):
        for _ in range(steps):
            await trio.lowlevel.checkpoint()
    assert told in ([1000], [1002])


@pytest.mark.parametrize("pieces", [1, 3])
async def test_text_in_binary_messages_is_text(pieces: int, network: MemoryNetwork, autojump_clock: MockClock) -> None:
    """As some gateways relay a provider's JSON: in one frame or in several, between text messages or alone."""
    whole = '{"type": "session.created", "é": 1}'.encode()
    cuts = [len(whole) * n // pieces for n in range(pieces + 1)]

    async def talk(peer: RawPeer) -> None:
        await peer.accept()
        await peer.send(TextMessage("before"))
        for begin, end in pairwise(cuts):
            await peer.send(BytesMessage(whole[begin:end], message_finished=end == len(whole)))
        await peer.send(TextMessage("after"))
        await peer.wait_closed()

    async with raw_server(network, talk) as url, dial(network, url) as socket:
        await trio.sleep(1)
        assert await socket.receive() == ["before", whole.decode(), "after"]


async def test_a_binary_message_that_is_no_text_is_refused(network: MemoryNetwork, autojump_clock: MockClock) -> None:
    """1007, as for text that is not UTF-8; what came before is received."""
    told: list[int] = []

    async def talk(peer: RawPeer) -> None:
        await peer.accept()
        await peer.send(TextMessage("before"), BytesMessage(b"\xff"), TextMessage("after"))
        told.append((await peer.answer_close()).code)

    async with raw_server(network, talk) as url, dial(network, url) as socket:
        await trio.sleep(1)
        assert await socket.receive() == ["before"]
        assert (await lost(socket)).code == 1007
    assert told == [1007]


@pytest.mark.parametrize("pieces", [1, 3])
async def test_a_message_over_the_limit_is_refused(
    pieces: int, network: MemoryNetwork, autojump_clock: MockClock
) -> None:
    """1009, in one frame or in many; one of exactly the limit is taken."""
    told: list[int] = []

    async def talk(peer: RawPeer) -> None:
        await peer.accept()
        await peer.send(TextMessage("x" * 900))
        parts = ["x" * 901] if pieces == 1 else ["x" * 300, "x" * 300, "x" * 301]
        for number, part in enumerate(parts, 1):
            await peer.send(TextMessage(part, message_finished=number == len(parts)))
        told.append((await peer.wait_closed()).code)

    limits = DialLimits(max_message_bytes=900)
    async with raw_server(network, talk) as url, dial(network, url, limits=limits) as socket:
        await trio.sleep(1)
        assert await socket.receive() == ["x" * 900]
        assert (await lost(socket)).code == 1009
    assert told == [1009]


# --- life ------------------------------------------------------------------------------


async def test_a_silent_peer_is_pinged_and_given_up(network: MemoryNetwork, autojump_clock: MockClock) -> None:
    """A ping after 10 s, gone after 20 s; then nothing waits for it any more."""
    pinged: list[float] = []

    async def freeze(peer: RawPeer) -> None:
        await peer.accept()
        assert isinstance(await peer.next(), Ping)
        pinged.append(trio.current_time())
        await peer.wait_closed()

    async with raw_server(network, freeze) as url:
        async with dial(network, url) as socket:
            with pytest.raises(ConnectionLost, match=r"silent for 20"):
                await socket.receive()
            with pytest.raises(ConnectionLost, match=r"silent for 20"):
                await socket.send("x")
        assert trio.current_time() == pytest.approx(20.0)
    assert pinged == [10.0]


async def test_pongs_keep_a_connection(network: MemoryNetwork, autojump_clock: MockClock) -> None:
    """A parked peer that only answers pings stays for as long as one likes."""
    async with raw_server(network, RawPeer.echo) as url, dial(network, url) as socket:
        await trio.sleep(300)
        await socket.send("still there")
        assert await socket.receive() == ["still there"]


async def test_any_message_keeps_a_connection(network: MemoryNetwork, autojump_clock: MockClock) -> None:
    """A peer that never answers a ping but talks is alive; its silence counts from its last word."""

    async def talk(peer: RawPeer) -> None:
        await peer.accept()
        for _ in range(10):
            await trio.sleep(15)
            await peer.send(TextMessage("x"))
        await trio.sleep_forever()

    async with raw_server(network, talk) as url, dial(network, url) as socket:
        assert await collect(socket, 10) == ["x"] * 10
        await lost(socket)
        assert trio.current_time() == pytest.approx(170.0)


def test_the_bounds_agree_with_each_other() -> None:
    """A pong needs time; a hang-up waits at most a second."""
    with pytest.raises(ValueError, match="gone_after_s"):
        DialLimits(gone_after_s=10)
    with pytest.raises(ValueError, match="close_s"):
        DialLimits(close_s=1.5)


# --- sending ---------------------------------------------------------------------------


async def test_a_peer_that_does_not_read_is_lost_after_the_send_bound(autojump_clock: MockClock) -> None:
    """Every sender that waits learns it; leaving costs no more time."""
    network = network_of(NARROW)
    async with raw_server(network, detection_off) as url:
        async with dial(network, url, limits=DialLimits(send_s=5)) as socket:
            with pytest.raises(ConnectionLost, match="did not read for 5"):
                await socket.send("x" * 2000)
            for use in (socket.receive, lambda: socket.send("y")):
                with pytest.raises(ConnectionLost, match="did not read for 5"):
                    await use()
        assert trio.current_time() == pytest.approx(5.0)
    assert network.open_streams == 0


async def test_a_send_that_is_cancelled_in_mid_frame_leaves_whole(autojump_clock: MockClock) -> None:
    """The peer gets the message, what is sent afterwards, and a close."""
    network = network_of(NARROW)
    closes: list[int] = []
    peers: list[RawPeer] = []

    async def slow(peer: RawPeer) -> None:
        peers.append(peer)
        await peer.accept()
        await trio.sleep(3)
        closes.append((await peer.answer_close()).code)

    async with raw_server(network, slow) as url, dial(network, url) as socket:
        with trio.move_on_after(1):
            await socket.send("x" * 2000)
        assert trio.current_time() == pytest.approx(1.0)
        await socket.send("y")
    assert "".join(peers[0].texts) == "x" * 2000 + "y"
    assert closes == [1000]
    assert network.open_streams == 0


async def test_a_send_that_is_cancelled_before_it_began_leaves_no_trace(
    network: MemoryNetwork, autojump_clock: MockClock
) -> None:
    """The connection goes on, and is closed in order."""
    closes: list[CloseConnection] = []

    async def talk(peer: RawPeer) -> None:
        await peer.accept()
        closes.append(await peer.answer_close())
        assert peer.texts == ["second"]

    async with raw_server(network, talk) as url, dial(network, url) as socket:
        with trio.CancelScope() as scope:
            scope.cancel()
            await socket.send("first")
        await socket.send("second")
    assert [close.code for close in closes] == [1000]
