"""Dialling a WebSocket: what the owner sees, whatever the peer does. In memory and virtual time."""

from __future__ import annotations

import logging
import traceback
from collections.abc import AsyncIterator

import pytest
import trio
from trio.testing import MockClock
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage

from voicecore.errors import ConnectionLost, HandshakeRefused, HandshakeTimeout, LocalProtocolError
from voicecore.net.dial import DialLimits, dial
from voicecore.net.websocket import WebSocket
from voicecore.simulation.memory_network import LinkSettings, MemoryNetwork
from voicecore.simulation.world import simulated_world
from voicecore_tests.net.cancelling import assert_every_cancellation_is_clean
from voicecore_tests.net.raw_peer import HOST, SECRET_PATH, Handler, RawPeer, raw_server

KEY = [("Authorization", "Bearer secret-key")]
MARK = "secret-"  # stands in header, path and query


def network_of(link: LinkSettings | None = None) -> MemoryNetwork:
    return simulated_world(1, link).network


@pytest.fixture
async def network(autojump_clock: MockClock) -> AsyncIterator[MemoryNetwork]:
    """A network on which every test must leave nothing open, within a minute."""
    network = network_of()
    with trio.fail_after(600):
        yield network
    assert network.open_streams == 0


async def collect(socket: WebSocket, count: int) -> list[str]:
    texts: list[str] = []
    while len(texts) < count:
        texts += await socket.receive()
    return texts


async def lost(socket: WebSocket) -> ConnectionLost:
    """Receive until the connection is lost."""
    try:
        while True:
            await socket.receive()
    except ConnectionLost as loss:
        return loss


async def speak_until_lost(socket: WebSocket) -> ConnectionLost:
    try:
        while True:
            await socket.send("x" * 1000)
            await trio.sleep(0.02)
    except ConnectionLost as loss:
        return loss


# --- opening ----------------------------------------------------------------------------


async def test_an_address_that_does_not_answer_costs_the_connect_bound(autojump_clock: MockClock) -> None:
    """Connecting has its own bound."""
    with pytest.raises(HandshakeTimeout, match="could not be reached within"):
        async with dial(network_of(LinkSettings(connect_s=100)), f"ws://{HOST}/"):
            raise AssertionError("opened")
    assert trio.current_time() == pytest.approx(3.0)


async def test_nobody_listens(network: MemoryNetwork, autojump_clock: MockClock) -> None:
    """What the network raises comes through as it is."""
    with pytest.raises(ConnectionLost, match="refused the connection"):
        async with dial(network, f"ws://{HOST}:9/"):
            raise AssertionError("opened")


async def test_a_peer_that_accepts_and_says_nothing_costs_the_upgrade_bound(
    network: MemoryNetwork, autojump_clock: MockClock
) -> None:
    """The upgrade has its own bound."""

    async def silent(peer: RawPeer) -> None:
        await peer.read_request()
        await trio.sleep_forever()

    async with raw_server(network, silent) as url:
        began = trio.current_time()
        with pytest.raises(HandshakeTimeout, match="did not answer the upgrade within 2"):
            async with dial(network, url, limits=DialLimits(open_s=2)):
                raise AssertionError("opened")
        assert trio.current_time() - began == pytest.approx(2.0)


async def test_a_peer_that_closes_instead_of_answering_is_noticed_at_once(
    network: MemoryNetwork, autojump_clock: MockClock
) -> None:
    """A connection that ends during the upgrade is lost, not waited for."""
    async with raw_server(network, RawPeer.read_request) as url:
        began = trio.current_time()
        with pytest.raises(ConnectionLost, match="ended the connection during the upgrade"):
            async with dial(network, url):
                raise AssertionError("opened")
        assert trio.current_time() == began


REFUSALS = {
    "no body": (401, b"Content-Length: 0\r\n\r\n"),
    "a body": (429, b"Content-Length: 9\r\n\r\nslow down"),
    "a body that never comes": (503, b"Content-Length: 1000000\r\n\r\n"),
    "a body without end": (500, b"\r\n" + b"x" * 100_000),
    "another place": (302, b"Location: ws://elsewhere.test/\r\nContent-Length: 0\r\n\r\n"),
}


@pytest.mark.parametrize("split_bytes", [None, 1])
@pytest.mark.parametrize("name", REFUSALS)
async def test_a_refusal_is_its_status_at_once_whatever_its_body(
    name: str, split_bytes: int | None, autojump_clock: MockClock
) -> None:
    """`HandshakeRefused` with the status, and nothing else, when the status line is there."""
    status, rest = REFUSALS[name]
    network = network_of(LinkSettings(split_bytes=split_bytes))

    async def refuse(peer: RawPeer) -> None:
        await peer.read_request()
        await peer.raw(f"HTTP/1.1 {status} No\r\n".encode() + rest)
        await trio.sleep_forever()

    async with raw_server(network, refuse) as url:
        with pytest.raises(HandshakeRefused) as refusal:
            async with dial(network, url):
                raise AssertionError("opened")
        assert refusal.value.status == status
        assert trio.current_time() == 0
    assert network.open_streams == 0


NONSENSE = {
    "no HTTP": b"220 mail.test ESMTP\r\n\r\n",
    "no accept key": b"HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    "a wrong accept key": (
        b"HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n"
    ),
    "a protocol that is not ASCII": (
        b"HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Protocol: \xff\r\n\r\n"
    ),
    "a header without end": b"HTTP/1.1 101 Yes\r\nX: " + b"x" * 100_000,
}


@pytest.mark.parametrize("name", NONSENSE)
async def test_an_answer_that_is_no_upgrade_is_a_lost_connection(
    name: str, network: MemoryNetwork, autojump_clock: MockClock
) -> None:
    """No foreign exception leaves, and the wait ends at once."""

    async def answer(peer: RawPeer) -> None:
        await peer.read_request()
        await peer.raw(NONSENSE[name])
        await trio.sleep_forever()

    async with raw_server(network, answer) as url:
        with pytest.raises(ConnectionLost, match="did not answer the upgrade as a WebSocket server does"):
            async with dial(network, url):
                raise AssertionError("opened")
        assert trio.current_time() == 0


@pytest.mark.parametrize(
    "value", ["Bearer secret-key\n", " secret-key", "sécret-key", "a\r\nX: secret-key", "k\0secret-key"]
)
async def test_a_header_that_may_not_be_sent_is_our_fault_and_is_not_shown(
    value: str, network: MemoryNetwork, autojump_clock: MockClock
) -> None:
    """Before anything is connected, and without the value."""
    with pytest.raises(LocalProtocolError, match="Authorization") as fault:
        async with dial(network, f"ws://{HOST}/", headers=[("Authorization", value)]):
            raise AssertionError("opened")
    assert "cret-key" not in "".join(traceback.format_exception(fault.value))


@pytest.mark.parametrize(
    "bad", ["ftp://h/", "ws:///p", "ws://h:99999/", "ws://u:secret@h/", "ws://h/a secret", "ws://h/sécret"]
)
async def test_a_url_that_is_none_is_our_fault_and_is_not_shown(
    bad: str, network: MemoryNetwork, autojump_clock: MockClock
) -> None:
    """Before anything is connected, and without the URL."""
    with pytest.raises(LocalProtocolError) as fault:
        async with dial(network, bad):
            raise AssertionError("opened")
    assert "cret" not in str(fault.value)


async def test_no_secret_is_shown_in_errors_or_logs(
    network: MemoryNetwork, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither path nor query nor header values, at any log level, in any exception of the chain."""
    caplog.set_level(logging.DEBUG)

    async def refuse_or_close(peer: RawPeer) -> None:
        await peer.read_request()
        await peer.raw(b"HTTP/1.1 403 No\r\n\r\n")

    async def close(peer: RawPeer) -> None:
        await peer.accept()
        await peer.send(TextMessage("x"), CloseConnection(1008, "no"))

    errors: list[BaseException] = []
    for handler in (refuse_or_close, RawPeer.read_request, close):
        async with raw_server(network, handler) as url:
            try:
                async with dial(network, url, headers=KEY) as socket:
                    assert MARK not in repr(socket) + str(vars(socket)) + socket.peer
                    errors.append(await lost(socket))
                    await socket.send("x")
            except ConnectionLost as error:
                errors.append(error)
    shown = "".join("".join(traceback.format_exception(error)) + repr(error) for error in errors)
    assert len(errors) == 4
    assert MARK not in shown + caplog.text


async def test_what_is_asked_for(network: MemoryNetwork, autojump_clock: MockClock) -> None:
    """Path, query and headers reach the peer; no compression is offered."""
    requests: list[bytes] = []

    async def look(peer: RawPeer) -> None:
        requests.append(bytes(await peer.stream.receive_some()))

    async with raw_server(network, look) as url:
        with pytest.raises(ConnectionLost):
            async with dial(network, url, headers=KEY):
                raise AssertionError("opened")
    [request] = requests
    assert request.startswith(f"GET {SECRET_PATH} HTTP/1.1\r\nHost: {HOST}:".encode())
    assert b"Authorization: Bearer secret-key\r\n" in request
    assert b"xtensions" not in request


# --- talking ----------------------------------------------------------------------------


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


async def test_pings_are_answered_though_nobody_receives(network: MemoryNetwork, autojump_clock: MockClock) -> None:
    """Up to the backlog's bound, unread messages hold nothing up."""
    pongs: list[float] = []

    async def talk(peer: RawPeer) -> None:
        await peer.accept()
        await peer.send(*(TextMessage("x") for _ in range(255)), Ping(b"!"))
        assert isinstance(await peer.next(), Pong)
        pongs.append(trio.current_time())
        await peer.answer_close()

    async with raw_server(network, talk) as url, dial(network, url):
        await trio.sleep(5)
    assert pongs == [0]


@pytest.mark.parametrize(
    ("size", "count", "backlog"),
    [(10, 1000, 256), (100_000, 120, 84)],  # the bound in messages, the one in characters
)
async def test_beyond_the_backlog_the_peer_meets_back_pressure_and_nothing_is_lost(
    size: int, count: int, backlog: int, autojump_clock: MockClock
) -> None:
    """Memory is bounded in messages and characters; a minute of not receiving does not cost the connection."""
    network = network_of(LinkSettings(buffer_bytes=2 * size))
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
        await trio.sleep(60)
        in_the_library = 4096 // size + 2
        assert backlog <= sent <= backlog + in_the_library + 2
        first = await socket.receive()
        assert first + await collect(socket, count - len(first)) == texts
        assert len(first) == backlog


# --- the peer's end ---------------------------------------------------------------------


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
            assert caught.value.__cause__ is not None
        with pytest.raises(ConnectionLost, match="4000"):
            await socket.send("x")


async def test_the_last_words_of_a_peer_that_has_gone_are_heard_while_we_speak(
    network: MemoryNetwork, autojump_clock: MockClock
) -> None:
    """A send that finds the peer gone raises with the reason that the peer gave, and its messages can be received."""

    async def talk(peer: RawPeer) -> None:
        await peer.accept()
        await trio.sleep(1)
        await peer.send(TextMessage("bad key"), CloseConnection(3000, "go away"))

    async with raw_server(network, talk) as url, dial(network, url) as socket:
        assert (await speak_until_lost(socket)).code == 3000
        assert await socket.receive() == ["bad key"]
        assert (await lost(socket)).code == 3000


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


async def test_a_binary_message_is_refused(network: MemoryNetwork, autojump_clock: MockClock) -> None:
    """Text is spoken here: 1003; what came before is received."""
    told: list[int] = []

    async def talk(peer: RawPeer) -> None:
        await peer.accept()
        await peer.send(TextMessage("before"), BytesMessage(b"x"), TextMessage("after"))
        told.append((await peer.answer_close()).code)

    async with raw_server(network, talk) as url, dial(network, url) as socket:
        await trio.sleep(1)
        assert await socket.receive() == ["before"]
        assert (await lost(socket)).code == 1003
    assert told == [1003]


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


# --- life -------------------------------------------------------------------------------


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


# --- sending ----------------------------------------------------------------------------

NARROW = LinkSettings(buffer_bytes=1000)


async def deaf(peer: RawPeer) -> None:
    """Accept, and never read again."""
    await peer.accept()
    await trio.sleep_forever()


async def test_a_peer_that_does_not_read_is_lost_after_the_send_bound(autojump_clock: MockClock) -> None:
    """Every sender that waits learns it; leaving costs no more time."""
    network = network_of(NARROW)
    async with raw_server(network, deaf) as url:
        async with dial(network, url, limits=DialLimits(send_s=5)) as socket:
            with pytest.raises(ConnectionLost, match="did not read for 5"):
                await socket.send("x" * 2000)
            for use in (socket.receive, lambda: socket.send("y")):
                with pytest.raises(ConnectionLost, match="did not read for 5"):
                    await use()
        assert trio.current_time() == pytest.approx(5.0)
    assert network.open_streams == 0


async def test_a_send_that_was_cut_off_ends_the_connection(autojump_clock: MockClock) -> None:
    """Half a frame is the last thing that the peer gets: no message, no close frame."""
    network = network_of(NARROW)
    rest: list[bytes] = []

    async def slow(peer: RawPeer) -> None:
        await peer.accept()
        await trio.sleep(3)
        while data := bytes(await peer.stream.receive_some()):
            rest.append(data)

    async with raw_server(network, slow) as url:
        async with dial(network, url) as socket:
            with trio.move_on_after(1):
                await socket.send("x" * 2000)
            for use in (socket.receive, lambda: socket.send("y")):
                with pytest.raises(ConnectionLost, match="half a message"):
                    await use()
        assert trio.current_time() == pytest.approx(1.0)
    assert len(b"".join(rest)) == 1000


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


# --- closing ----------------------------------------------------------------------------


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


@pytest.mark.parametrize("peer", [never_answers, keeps_talking, deaf], ids=lambda peer: peer.__name__)
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
    async with raw_server(network, deaf) as url:
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

    assert assert_every_cancellation_is_clean(handler, talk, most_s=1.0) > 50
