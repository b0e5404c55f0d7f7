"""An accepted WebSocket: what its owner sees and what the peer sees, whatever either does. In virtual time."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from voicecore.errors import ConnectionLost
from voicecore.net.websocket.protocol import WebSocket
from voicecore.net.websocket.server import SocketLimits
from voicecore.simulation.memory_network import LinkSettings
from voicecore_tests.net.port_peer import (
    CLOSE,
    PING,
    PONG,
    TEXT,
    Collector,
    Frame,
    RawPeer,
    close_frame,
    frame,
    open_port,
    piece,
    socket_app,
    upgrade_request,
)

SMALL = LinkSettings(buffer_bytes=1_000)  # a network that holds next to nothing


async def keep_reading(peer: RawPeer, *, pongs: bool) -> None:
    """Read until the end, as a peer that does nothing but live."""
    while True:
        try:
            received = await peer.frame()
        except EOFError:
            return
        if received.opcode == PING and pongs:
            await peer.send(frame(PONG, received.payload))


# --- receiving ------------------------------------------------------------------------------


@pytest.mark.own_transport("messages come one at a time")
async def test_messages_that_wait_come_together_and_in_order(autojump_clock: MockClock) -> None:
    """What was sent at once is one batch; so is what came together with the upgrade request."""
    owner = Collector()
    async with open_port(socket_app(owner.run)) as port:
        peer = await port.connect()
        await peer.upgraded(upgrade_request() + frame(TEXT, b"1") + frame(TEXT, b"2"))
        await trio.sleep(1)
        await peer.send(frame(TEXT, b"3") + frame(TEXT, "é".encode()) + frame(TEXT, b"rest")[:4])
        await trio.sleep(1)
        await peer.send(frame(TEXT, b"rest")[4:])
        await trio.sleep(1)
    assert owner.batches == [["1", "2"], ["3", "é"], ["rest"]]


@pytest.mark.parametrize("every_s", [0.0002, 0.001, 0.003, 0.01])
async def test_a_cancelled_receive_loses_nothing(autojump_clock: MockClock, every_s: float) -> None:
    """However often it is cancelled, every message comes once and in order, pings in between or not."""
    texts: list[str] = []

    async def run(socket: WebSocket) -> None:
        while len(texts) < 100:
            with trio.move_on_after(every_s):
                texts.extend(await socket.receive())
            await trio.sleep(0.0005)

    async with open_port(socket_app(run), link=LinkSettings(split_bytes=7)) as port:
        peer = await (await port.connect()).upgraded()
        for number in range(100):
            await peer.send(frame(TEXT, str(number).encode()) + frame(PING, b"?"))
            await trio.sleep(0.002)
        await trio.sleep(1)
    assert texts == [str(number) for number in range(100)]


@pytest.mark.own_transport("the library sends no close code for a fault")
async def test_what_came_before_a_fault_is_received_before_it(autojump_clock: MockClock) -> None:
    """Good messages in one read with a bad frame are not lost with it."""
    owner = Collector()
    async with open_port(socket_app(owner.run)) as port:
        peer = await (await port.connect()).upgraded()
        await peer.send(frame(TEXT, b"good") + frame(3))
        assert await peer.close_code() == 1002
    assert owner.texts == ["good"]
    assert owner.lost is not None


async def test_what_came_before_a_close_is_received_before_it(autojump_clock: MockClock) -> None:
    """Then the owner learns code and reason, and the peer has its code back."""
    owner = Collector()
    async with open_port(socket_app(owner.run)) as port:
        peer = await (await port.connect()).upgraded()
        await peer.send(frame(TEXT, b"last") + close_frame(4001, b"enough") + frame(TEXT, b"behind"))
        assert (await peer.frame()).code == 4001
        assert await peer.at_end() == b""
    assert owner.texts == ["last"]
    assert owner.lost is not None
    assert (owner.lost.code, owner.lost.reason) == (4001, "enough")


@pytest.mark.own_transport("the library answers it without a code")
async def test_a_close_without_a_code_is_answered_with_a_normal_one(autojump_clock: MockClock) -> None:
    """1005 stands for none, and may not be sent."""
    owner = Collector()
    async with open_port(socket_app(owner.run)) as port:
        peer = await (await port.connect()).upgraded()
        await peer.send(frame(CLOSE))
        assert await peer.close_code() == 1000
    assert owner.lost is not None
    assert owner.lost.code == 1005


async def test_every_call_after_the_end_says_why_it_ended(autojump_clock: MockClock) -> None:
    """Receiving and sending raise the same loss, again and again."""
    seen: list[ConnectionLost] = []

    async def run(socket: WebSocket) -> None:
        for act in (socket.receive, socket.receive, lambda: socket.send("late")):
            with pytest.raises(ConnectionLost) as caught:
                await act()
            seen.append(caught.value)

    async with open_port(socket_app(run)) as port:
        peer = await (await port.connect()).upgraded()
        await peer.send(close_frame(4002))
        await peer.at_end()
        await trio.sleep(0.1)
    assert [lost.code for lost in seen] == [4002] * 3
    assert len({id(lost) for lost in seen}) == 3


# --- liveness ---------------------------------------------------------------------------------


async def test_a_ping_is_answered_with_its_payload(autojump_clock: MockClock) -> None:
    """Every one of a read, in order."""
    async with open_port() as port:
        peer = await (await port.connect()).upgraded()
        await peer.send(frame(PING, b"a") + frame(TEXT, b"x") + frame(PING, b""))
        received = [await peer.frame() for _ in range(3)]
    assert received == [Frame(PONG, b"a"), Frame(PONG, b""), Frame(TEXT, b"x")]


async def test_a_silent_peer_is_pinged_and_given_up(autojump_clock: MockClock) -> None:
    """A ping after 10 s; lost after 20; nobody waits for its close, and the socket is gone."""
    owner = Collector()
    async with open_port(socket_app(owner.run)) as port:
        peer, began = await (await port.connect()).upgraded(), trio.current_time()
        assert (await peer.frame()).opcode == PING
        assert trio.current_time() - began == pytest.approx(10.0)
        assert await peer.at_end() == b""
        assert trio.current_time() - began == pytest.approx(20.0)
    assert "silent" in str(owner.lost)


async def test_a_peer_that_answers_pings_is_kept(autojump_clock: MockClock) -> None:
    """A pong is a sign of life; without further pings there would be none."""
    owner = Collector()
    async with open_port(socket_app(owner.run)) as port, trio.open_nursery() as nursery:
        peer = await (await port.connect()).upgraded()
        nursery.start_soon(lambda: keep_reading(peer, pongs=True))
        await trio.sleep(100)
        assert owner.lost is None
        nursery.cancel_scope.cancel()


async def test_silence_is_counted_through_cancelled_receives(autojump_clock: MockClock) -> None:
    """An owner that looks in for a moment, again and again, still finds a dead peer dead."""
    ended: list[float] = []

    async def run(socket: WebSocket) -> None:
        try:
            while True:
                with trio.move_on_after(0.7):
                    await socket.receive()
        finally:
            ended.append(trio.current_time())

    async with open_port(socket_app(run)) as port:
        peer, began = await (await port.connect()).upgraded(), trio.current_time()
        await peer.at_end()
    assert ended[0] - began == pytest.approx(20.0)


@pytest.mark.own_transport("the library always listens")
async def test_time_in_which_nobody_listens_is_not_the_peers_silence(autojump_clock: MockClock) -> None:
    """An owner that was busy for a minute finds what came meanwhile."""
    texts: list[str] = []

    async def run(socket: WebSocket) -> None:
        await trio.sleep(60)
        texts.extend(await socket.receive())

    async with open_port(socket_app(run)) as port:
        peer = await (await port.connect()).upgraded()
        await peer.send(frame(TEXT, b"patient"))
        assert await peer.close_code() == 1000
    assert texts == ["patient"]


def test_the_bounds_of_silence_agree_with_each_other() -> None:
    """A peer that is pinged has time to answer."""
    with pytest.raises(ValueError, match="gone_after_s"):
        SocketLimits(ping_every_s=20.0, gone_after_s=20.0)


@pytest.mark.own_transport("the library answers pings in a task of its own")
async def test_a_receive_that_is_cancelled_while_it_answers_a_ping_breaks_nothing(autojump_clock: MockClock) -> None:
    """The pong leaves whole, although the line is full and the receive was cancelled in the midst of it."""

    async def run(socket: WebSocket) -> None:
        await socket.send("x" * 990)
        with trio.move_on_after(0.2):
            await socket.receive()
        await socket.send("after")

    async with open_port(socket_app(run), link=SMALL) as port:
        peer = await (await port.connect()).upgraded()
        await peer.send(frame(PING, b"x" * 100))
        await trio.sleep(0.5)
        received = [await peer.frame() for _ in range(3)]
    assert received[1:] == [Frame(PONG, b"x" * 100), Frame(TEXT, b"after")]


# --- sending --------------------------------------------------------------------------------------


async def test_a_peer_that_does_not_read_is_lost_after_the_send_bound(autojump_clock: MockClock) -> None:
    """Ten seconds; then the connection is over for every sender, and no frame follows half a one."""
    ended: list[float] = []

    async def run(socket: WebSocket) -> None:
        try:
            async with trio.open_nursery() as senders:
                for _ in range(3):
                    senders.start_soon(socket.send, "x" * 5_000)
        finally:
            ended.append(trio.current_time())

    async with open_port(socket_app(run), link=SMALL) as port:
        peer, began = await (await port.connect()).upgraded(), trio.current_time()
        await trio.sleep(30)
        assert ended[0] - began == pytest.approx(10.0)
        assert len(await peer.at_end()) <= 1_000


async def test_a_send_that_is_cancelled_in_mid_frame_leaves_whole(autojump_clock: MockClock) -> None:
    """Its frame was taken: the rest of it leaves by itself, before anything else; the connection lives on."""

    async def run(socket: WebSocket) -> None:
        with trio.move_on_after(1):
            await socket.send("x" * 5_000)
        await socket.send("more")

    async with open_port(socket_app(run), link=SMALL) as port:
        peer = await (await port.connect()).upgraded()
        await trio.sleep(3)
        assert [(await peer.frame()).payload for _ in range(2)] == [b"x" * 5_000, b"more"]


async def test_a_peer_that_never_takes_the_rest_of_a_cancelled_send_is_lost(autojump_clock: MockClock) -> None:
    """Ten seconds after it was begun, although nobody waits for it any more; the receiver learns it."""
    owner = Collector()

    async def run(socket: WebSocket) -> None:
        with trio.move_on_after(1):
            await socket.send("x" * 5_000)
        await owner.run(socket)

    async with open_port(socket_app(run), link=SMALL) as port:
        peer, began = await (await port.connect()).upgraded(), trio.current_time()
        await trio.sleep(30)
        assert await peer.at_end() == frame(TEXT, b"x" * 5_000, mask=None)[:1_000]
    assert "did not read for 10" in str(owner.lost)
    assert owner.lost_at == pytest.approx(began + 10)


async def test_a_send_that_is_cancelled_in_the_queue_leaves_no_trace(autojump_clock: MockClock) -> None:
    """Its turn had not come; the frame that is under way is not touched by it."""

    async def run(socket: WebSocket) -> None:
        async with trio.open_nursery() as senders:
            senders.start_soon(socket.send, "x" * 2_000)
            await trio.sleep(1)
            with trio.move_on_after(1):
                await socket.send("never")
        await socket.send("after")

    async with open_port(socket_app(run), link=SMALL) as port:
        peer = await (await port.connect()).upgraded()
        await trio.sleep(3)
        assert [(await peer.frame()).payload for _ in range(2)] == [b"x" * 2_000, b"after"]


@pytest.mark.own_transport("the library's reader waits until its pong is written")
async def test_reading_never_waits_for_writing(autojump_clock: MockClock) -> None:
    """While a send hangs, messages and pings are read; the pong follows once the send is through."""
    owner = Collector()

    async def run(socket: WebSocket) -> None:
        async with trio.open_nursery() as tasks:
            tasks.start_soon(socket.send, "x" * 2_000)
            await owner.run(socket)

    async with open_port(socket_app(run), link=SMALL) as port:
        peer = await (await port.connect()).upgraded()
        await trio.sleep(1)
        await peer.send(frame(PING, b"?") + frame(TEXT, b"1"))
        await trio.sleep(0.1)
        await peer.send(frame(TEXT, b"2"))
        await trio.sleep(0.1)
        assert owner.texts == ["1", "2"]
        assert [(await peer.frame()).opcode for _ in range(2)] == [TEXT, PONG]


# --- closing ----------------------------------------------------------------------------------------


async def test_the_owner_chooses_the_code(autojump_clock: MockClock) -> None:
    """The first close counts; it may be repeated, and the end of the handler changes nothing."""

    async def run(socket: WebSocket) -> None:
        await socket.close(4003, "because")
        await socket.close(1000)

    async with open_port(socket_app(run)) as port:
        peer = await (await port.connect()).upgraded()
        received = await peer.frame()
        await peer.send(close_frame(4003))
        assert await peer.at_end() == b""
    assert (received.code, received.payload[2:]) == (4003, b"because")


async def test_s25_a_close_waits_a_second_for_the_peer_and_no_longer(autojump_clock: MockClock) -> None:
    """A peer that never answers, and goes on talking, is closed all the same."""

    async def run(socket: WebSocket) -> None:
        await socket.close()

    async with open_port(socket_app(run)) as port, trio.open_nursery() as nursery:
        peer, began = await (await port.connect()).upgraded(), trio.current_time()

        async def talk() -> None:
            while True:
                await peer.send(frame(TEXT, b"x"))
                await trio.sleep(0.1)

        nursery.start_soon(talk)
        assert await peer.close_code() == 1000
        assert await peer.at_end() == b""
        assert trio.current_time() - began == pytest.approx(1.0)
        nursery.cancel_scope.cancel()


async def test_s25_a_peer_that_closes_and_keeps_tcp_open_is_released(autojump_clock: MockClock) -> None:
    """Its close is answered, and the connection ended by us at once."""
    async with open_port() as port:
        peer, began = await (await port.connect()).upgraded(), trio.current_time()
        await peer.send(close_frame(1000))
        assert await peer.close_code() == 1000
        assert await peer.at_end() == b""
        assert trio.current_time() - began < 2.0


@pytest.mark.parametrize("sent", [b"", b"\x81", frame(TEXT, b"half a frame")[:9], piece(TEXT, b"half a message")])
async def test_s25_a_peer_that_resets_is_released(autojump_clock: MockClock, sent: bytes) -> None:
    """In mid-frame or between frames: lost at once, without a code."""
    owner = Collector()
    async with open_port(socket_app(owner.run)) as port:
        peer, began = await (await port.connect()).upgraded(), trio.current_time()
        await peer.send(sent)
        await trio.sleep(1)
        peer.stream.reset()
        await trio.sleep(0.01)
        assert port.network.open_streams == 0
    assert owner.lost is not None
    assert owner.lost.code is None
    assert owner.lost_at == pytest.approx(began + 1)


@pytest.mark.own_transport("a peer's end is known at once, and a send raises")
async def test_f27_a_close_to_a_peer_that_left_and_does_not_read(autojump_clock: MockClock) -> None:
    """Its sending half is closed, our frames pile up: the close is over within its second."""
    took: list[float] = []

    async def run(socket: WebSocket) -> None:
        with trio.move_on_after(2):
            await socket.send("x" * 5_000)
        began = trio.current_time()
        await socket.close()
        took.append(trio.current_time() - began)

    async with open_port(socket_app(run), link=SMALL) as port:
        peer = await (await port.connect()).upgraded()
        await peer.stream.send_eof()
        await trio.sleep(5)
        assert port.network.open_streams == 1
    assert took[0] <= 1.0


async def test_c13_a_close_meets_a_hanging_send(autojump_clock: MockClock) -> None:
    """Nothing is written behind a frame that was never finished; the close ends within its second."""
    took: list[float] = []

    async def run(socket: WebSocket) -> None:
        async with trio.open_nursery() as tasks:
            tasks.start_soon(socket.send, "x" * 5_000)
            await trio.sleep(1)
            began = trio.current_time()
            await socket.close()
            took.append(trio.current_time() - began)
            tasks.cancel_scope.cancel()

    async with open_port(socket_app(run), link=SMALL) as port:
        peer = await (await port.connect()).upgraded()
        await trio.sleep(5)
        assert await peer.at_end() == frame(TEXT, b"x" * 5_000, mask=None)[:1_000]
    assert took[0] == pytest.approx(1.0)


async def test_c13_a_close_behind_a_send_that_is_cancelled_follows_the_whole_frame(autojump_clock: MockClock) -> None:
    """A close frame behind half a frame would be part of it: the rest comes first, where the peer takes it in time."""

    async def run(socket: WebSocket) -> None:
        sending = trio.CancelScope()

        async def send() -> None:
            with sending:
                await socket.send("x" * 5_000)

        async with trio.open_nursery() as tasks:
            tasks.start_soon(send)
            await trio.sleep(1)
            tasks.start_soon(socket.close)
            await trio.sleep(0.5)
            sending.cancel()

    async with open_port(socket_app(run), link=SMALL) as port:
        peer = await (await port.connect()).upgraded()
        await trio.sleep(1.6)
        assert await peer.frame() == Frame(TEXT, b"x" * 5_000)
        assert (await peer.frame()).code == 1000
        await peer.send(close_frame(1000))
        assert await peer.at_end() == b""


async def test_f10_nothing_follows_a_close(autojump_clock: MockClock) -> None:
    """Sends and pongs after it are refused or left out: it is the last frame that the peer sees."""

    async def run(socket: WebSocket) -> None:
        async with trio.open_nursery() as tasks:
            tasks.start_soon(socket.close)
            await trio.sleep(0.1)
            with pytest.raises(ConnectionLost):
                await socket.send("late")

    async with open_port(socket_app(run)) as port:
        peer = await (await port.connect()).upgraded()
        assert await peer.close_code() == 1000
        await peer.send(frame(PING, b"?"))
        assert await peer.at_end() == b""


async def test_a_close_beside_a_receive_is_seen_by_both(autojump_clock: MockClock) -> None:
    """One task waits for messages while another closes: the first one reads the peer's answer, and nothing else."""
    owner = Collector()
    closed: list[float] = []

    async def run(socket: WebSocket) -> None:
        async with trio.open_nursery() as tasks:
            tasks.start_soon(owner.run, socket)
            await trio.sleep(1)
            await socket.close(4004)
            closed.append(trio.current_time())

    async with open_port(socket_app(run)) as port:
        peer, began = await (await port.connect()).upgraded(), trio.current_time()
        assert await peer.close_code() == 4004
        await peer.send(frame(TEXT, b"behind the close"))
        await trio.sleep(0.5)
        await peer.send(close_frame(4004))
        assert await peer.at_end() == b""
        await trio.sleep(0.1)
    assert closed == pytest.approx([began + 1.5])
    assert owner.lost is not None
    assert owner.lost.code == 4004
    assert owner.texts == []
