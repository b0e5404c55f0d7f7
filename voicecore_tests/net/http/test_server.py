"""The port as a whole: upgrades, applications that fail, bounds on connections, shutdown, real sockets, any bytes."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

import pytest
import trio
import trio_websocket
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from voicecore.errors import ConnectionLost
from voicecore.net.http.messages import App, Request, Response, ServerLimits, Upgrade
from voicecore.net.http.server import serve
from voicecore.net.transport.network import RealNetwork
from voicecore.net.websocket.protocol import WebSocket
from voicecore.simulation.memory_network import LinkSettings
from voicecore_tests.chance import examples
from voicecore_tests.net.port_peer import (
    CONTINUATION,
    PING,
    TEXT,
    Frame,
    Handler,
    Port,
    RawPeer,
    close_frame,
    echo_app,
    echo_messages,
    frame,
    open_port,
    piece,
    request,
    socket_app,
    upgrade_request,
)


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what was logged as an error, each with its traceback."""
    formatter = logging.Formatter()
    return [formatter.format(record) for record in caplog.records if record.levelno >= logging.WARNING]


def on_path(path: str, run: Handler) -> App:
    """Return the echo application with one more WebSocket."""
    echo = echo_app()

    async def app(given: Request) -> Response | Upgrade:
        return Upgrade(run) if given.path == path else await echo(given)

    return app


# --- upgrades -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (upgrade_request(Sec_WebSocket_Version="8"), 426),
        (upgrade_request(without="Sec-WebSocket-Version"), 426),
        (upgrade_request(without="Sec-WebSocket-Key"), 400),
        (upgrade_request(Sec_WebSocket_Key="c2hvcnQ="), 400),
        (upgrade_request(Sec_WebSocket_Key="!" * 24), 400),
        (upgrade_request(Sec_WebSocket_Key="x" * 24), 400),
        (upgrade_request(without="Upgrade"), 426),
        (upgrade_request(Upgrade="h2c"), 426),
        (upgrade_request(without="Connection"), 400),
        (upgrade_request(Connection="not-an-upgrade"), 400),
        (upgrade_request().replace(b"HTTP/1.1", b"HTTP/1.0"), 400),
        (upgrade_request(Content_Length="2") + b"hi", 400),
        (upgrade_request().replace(b"GET", b"POST"), 400),
    ],
)
async def test_s17_an_upgrade_that_is_none(autojump_clock: MockClock, data: bytes, status: int) -> None:
    """Refused with the status of its fault, before the application is asked; 426 says what would do."""
    async with open_port() as port:
        answer = await port.ask(data)
        assert answer.status == status
        if status == 426:
            named = answer.headers.get("sec-websocket-version"), answer.headers.get("upgrade")
            assert named in {("13", None), (None, "websocket")}
        assert await port.lives()


@pytest.mark.parametrize("connection", ["Upgrade", "keep-alive, Upgrade", "upgrade"])
async def test_s17_words_of_headers_are_found_in_any_case_and_place(autojump_clock: MockClock, connection: str) -> None:
    """Upgrade and Connection are lists of words."""
    async with open_port() as port:
        answer = await port.ask(upgrade_request(Connection=connection, Upgrade="WebSocket"))
        assert answer.status == 101


async def test_s16_browsers_are_refused_unless_their_origin_is_allowed(autojump_clock: MockClock) -> None:
    """Carriers send no Origin; a page that opens a socket in somebody's browser does."""
    data = upgrade_request(Origin="https://page.example")
    async with open_port() as port:
        assert (await port.ask(data)).status == 403
        assert (await port.ask(upgrade_request(Origin="null"))).status == 403
    async with open_port(limits=ServerLimits(allowed_origins=frozenset({"https://page.example"}))) as port:
        await (await port.connect()).upgraded(data)
        assert (await port.ask(upgrade_request(Origin="https://page.example.evil"))).status == 403


async def test_j1_the_application_decides_before_the_upgrade(autojump_clock: MockClock) -> None:
    """A stranger's token is answered with 403, and no 101 came before; the right one is let in."""
    async with open_port() as port:
        assert (await port.ask(upgrade_request("/media/guessed"))).status == 403
        assert (await port.ask(upgrade_request("/media/.."))).status == 404
        assert (await port.ask(upgrade_request("/unknown"))).status == 404
        await (await port.connect()).upgraded(upgrade_request("/media/good"))


async def test_a_socket_is_closed_when_its_handler_returns(autojump_clock: MockClock) -> None:
    """With 1000 where the handler chose no code."""

    async def run(socket: WebSocket) -> None:
        await socket.send("bye")

    async with open_port(socket_app(run)) as port:
        peer = await (await port.connect()).upgraded()
        assert await peer.frame() == Frame(TEXT, b"bye")
        assert (await peer.frame()).code == 1000
        await peer.send(close_frame(1000))
        assert await peer.at_end() == b""


# --- applications that fail ------------------------------------------------------------------


async def test_an_application_that_fails_is_reported_once(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """500 to the peer, one log record with the traceback, and the port lives on; no secret of the request shows."""

    async def app(given: Request) -> Response | Upgrade:
        if given.path == "/fail":
            raise ZeroDivisionError("planted failure")
        return await echo_app()(given)

    async with open_port(app) as port:
        answer = await port.ask(request(path="/fail?token=PLANTED"))
        assert (answer.status, answer.headers["connection"]) == (500, "close")
        assert await port.lives()
    (error,) = errors(caplog)
    assert "planted failure" in error
    assert "PLANTED" not in error + answer.body.decode()


async def fail(_socket: WebSocket) -> None:
    """Fail at once."""
    await trio.lowlevel.checkpoint()
    raise ZeroDivisionError("planted failure")


async def fail_in_a_nursery(_socket: WebSocket) -> None:
    """Fail as a call does."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(fail, _socket)
        await trio.sleep_forever()


@pytest.mark.parametrize("run", [fail, fail_in_a_nursery])
async def test_a_handler_that_fails_is_reported_once(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, run: Handler
) -> None:
    """1011 to its peer, one log record with the traceback; its neighbour's socket does not notice."""
    async with open_port(on_path("/fail", run)) as port:
        neighbour = await (await port.connect()).upgraded()
        peer = await (await port.connect()).upgraded(upgrade_request("/fail"))
        assert (await peer.frame()).code == 1011
        await peer.send(close_frame(1011))
        assert await peer.at_end() == b""
        await neighbour.send(frame(TEXT, b"unharmed"))
        assert await neighbour.frame() == Frame(TEXT, b"unharmed")
    (error,) = errors(caplog)
    assert "planted failure" in error


async def lose(_socket: WebSocket) -> None:
    """Leave as a handler does whose peer, here or elsewhere, is gone."""
    await trio.lowlevel.checkpoint()
    raise ConnectionLost("gone", peer="elsewhere")


async def lose_in_a_nursery(_socket: WebSocket) -> None:
    """The same, out of a nursery."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lose, _socket)
        await trio.sleep_forever()


@pytest.mark.parametrize("run", [lose, lose_in_a_nursery])
async def test_a_lost_connection_is_nothing_to_report(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, run: Handler
) -> None:
    """`ConnectionLost` is how a handler usually ends."""
    async with open_port(socket_app(run)) as port:
        peer = await (await port.connect()).upgraded()
        assert await peer.close_code() == 1000
        await peer.send(close_frame(1000))
        await peer.at_end()
    assert errors(caplog) == []


async def test_a_slow_application_is_not_waited_for(autojump_clock: MockClock) -> None:
    """503 after ten seconds."""

    async def app(_request: Request) -> Response:
        await trio.sleep_forever()
        raise AssertionError("unreachable")

    async with open_port(app) as port:
        began = trio.current_time()
        assert (await port.ask(request())).status == 503
        assert trio.current_time() - began == pytest.approx(10.0)


# --- how many connections ------------------------------------------------------------------


async def test_s35_connections_have_a_largest_number(autojump_clock: MockClock) -> None:
    """Beyond 1,024 it is 503, and closed at once; those that talk are untouched; all are given back."""
    async with open_port() as port:
        talking = await (await port.connect()).upgraded()
        for _ in range(1_023):
            await port.connect()
        await trio.sleep(1)
        for _ in range(100):
            peer, began = await port.connect(), trio.current_time()
            assert (await peer.answer()).status == 503
            assert await peer.at_end() == b""
            assert trio.current_time() == began
        await talking.send(frame(TEXT, b"untouched"))
        assert await talking.frame() == Frame(TEXT, b"untouched")
        await trio.sleep(10)
        assert await port.lives()


async def test_s35_one_beyond_the_bound_that_does_not_read_is_let_go(autojump_clock: MockClock) -> None:
    """Its 503 is not waited for longer than half a second."""
    limits = ServerLimits(max_connections=0)
    async with open_port(limits=limits, link=LinkSettings(buffer_bytes=10)) as port:
        await port.connect()
        await trio.sleep(0.6)
        assert port.network.open_streams == 1


# --- shutdown -----------------------------------------------------------------------------------


async def hold_in_a_nursery(socket: WebSocket) -> None:
    """Echo, as a call does: with several tasks."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(echo_messages, socket)
        nursery.start_soon(trio.sleep_forever)


@pytest.mark.parametrize("run", [echo_messages, hold_in_a_nursery])
async def test_live_sockets_are_told_at_shutdown(autojump_clock: MockClock, run: Handler) -> None:
    """1001 to each, side by side, and a second at most for all of them, whether they answer or not."""
    async with trio.open_nursery() as peers:
        async with open_port(socket_app(run)) as port:
            began: list[float] = []

            async def see_the_end(peer: RawPeer, answer: bytes) -> None:
                assert await peer.close_code() == 1001
                await peer.send(answer)
                assert await peer.at_end() == b""
                assert trio.current_time() - began[0] <= 1.0

            for index in range(20):
                peer = await (await port.connect()).upgraded()
                peers.start_soon(see_the_end, peer, close_frame(1001) if index % 2 else b"")
            await trio.sleep(1)
            began.append(trio.current_time())
        assert trio.current_time() - began[0] <= 1.0


async def test_f27_peers_that_read_nothing_do_not_hold_the_shutdown_up(autojump_clock: MockClock) -> None:
    """Whatever a connection is doing: half a head, half an answer, half a frame."""

    async def run(socket: WebSocket) -> None:
        await socket.send("x" * 5_000)

    async with open_port(socket_app(run), link=LinkSettings(buffer_bytes=1_000)) as port:
        await port.connect()
        await (await port.connect()).send(b"GET /")
        peer = await (await port.connect()).upgraded()
        await peer.stream.send_eof()
        await trio.sleep(1)
        began = trio.current_time()
    assert trio.current_time() - began <= 1.0


async def test_a_handler_that_fails_while_it_is_shut_down_reaches_nobody(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Its failure is logged; `serve` ends as if it were not there."""

    async def run(socket: WebSocket) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(echo_messages, socket)
            try:
                await trio.sleep_forever()
            finally:
                raise ZeroDivisionError("planted failure in clean-up")

    async with open_port(socket_app(run)) as port:
        await (await port.connect()).upgraded()
        await trio.sleep(1)
    (error,) = errors(caplog)
    assert "planted failure in clean-up" in error


# --- real sockets and an independent client -----------------------------------------------------


async def on_loopback(app: App, use: Callable[[int], Awaitable[None]]) -> None:
    """Run a port on a real socket while it is used."""
    listening = await RealNetwork().listen("127.0.0.1", 0)
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            await nursery.start(serve, listening.listeners, app)
            await use(listening.port)
            nursery.cancel_scope.cancel()


async def test_an_independent_client_talks_to_it() -> None:
    """Messages of every length's form, a ping, a close; many at once."""

    async def talk(port: int) -> None:
        async with trio_websocket.open_websocket_url(f"ws://127.0.0.1:{port}/echo") as client:
            for size in (0, 125, 126, 65_535, 65_536):
                await client.send_message("é" * (size // 2))
                assert await client.get_message() == "é" * (size // 2)
            await client.ping(b"?")
            await client.aclose(4005, "done")
            assert client.closed is not None
            assert client.closed.code == 4005

    async def use(port: int) -> None:
        async with trio.open_nursery() as clients:
            for _ in range(5):
                clients.start_soon(talk, port)

    await on_loopback(echo_app(), use)


async def test_refusals_and_requests_share_the_port_with_sockets() -> None:
    """A refused upgrade is answered with its status, a plain request plainly."""

    async def use(port: int) -> None:
        for data, status in ((upgrade_request("/media/guessed"), b"403"), (request(), b"200")):
            async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
                await stream.send_all(data)
                assert (await stream.receive_some()).startswith(b"HTTP/1.1 " + status)

    await on_loopback(echo_app(), use)


@pytest.mark.parametrize(
    ("before", "wrong", "expected"),
    [
        (upgrade_request(), frame(3), b"\x03\xea"),
        (b"", request("POST", "/hook", ["Content-Length: 9999999"]), b"HTTP/1.1 413 "),
    ],
    ids=["1002", "413"],
)
async def test_a_refusal_survives_what_the_peer_still_sends(before: bytes, wrong: bytes, expected: bytes) -> None:
    """Closing a real socket on unread input resets it, and the answer is lost; so the rest is read first."""

    async def use(port: int) -> None:
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            if before:
                await stream.send_all(before)
                assert (await stream.receive_some()).startswith(b"HTTP/1.1 101 ")
            await stream.send_all(wrong + b"x" * 100_000)
            received = b""
            while data := await stream.receive_some():
                received += data
            assert expected in received

    await on_loopback(echo_app(), use)


# --- any bytes ---------------------------------------------------------------------------------


async def throw(port: Port, pieces: list[bytes], first: bytes) -> None:
    """Send bytes in pieces on a connection of their own, end it, and wait for what the port makes of it."""
    peer = await port.connect()
    try:
        for data in [first, *pieces]:
            await peer.send(data)
            await trio.sleep(0.01)
        await peer.stream.send_eof()
    except trio.BrokenResourceError:
        pass
    await peer.at_end()
    await peer.stream.aclose()


def check_survives(pieces: list[bytes], first: bytes = b"") -> None:
    """Throw the bytes at a port in virtual time; afterwards it must answer, and nothing may be left."""

    async def main() -> None:
        async with open_port() as port:
            began = trio.current_time()
            await throw(port, pieces, first)
            assert trio.current_time() - began < 15.0
            assert await port.lives()

    trio.run(main, clock=MockClock(autojump_threshold=0))


http_bytes = st.one_of(
    st.binary(max_size=60),
    st.sampled_from(
        [
            request(),
            request("POST", "/hook", ["Content-Length: 3"]),
            request("POST", "/hook", ["Transfer-Encoding: chunked"]),
            upgrade_request(),
            b"3\r\nabc\r\n",
            b"0\r\n\r\n",
            b"\r\n",
            b"GET ",
            b" HTTP/1.1\r\n",
            b"Host: port\r\n",
            b"Expect: 100-continue\r\n",
        ]
    ),
)
frame_bytes = st.one_of(
    st.binary(max_size=60),
    st.builds(frame, st.integers(0, 15), st.binary(max_size=200)),
    st.builds(lambda first, payload: frame(0, payload, first=first), st.integers(0, 255), st.binary(max_size=20)),
    st.sampled_from([piece(TEXT, b"x"), piece(CONTINUATION), frame(CONTINUATION), frame(PING), close_frame(1000)]),
)


@examples(60)
@given(st.lists(http_bytes, max_size=8))
def test_s37_any_bytes_as_http(pieces: list[bytes]) -> None:
    """Answered or closed; a plain request and a plain message work afterwards."""
    check_survives(pieces)


@examples(60)
@given(st.lists(frame_bytes, max_size=8))
def test_s37_any_bytes_as_frames(pieces: list[bytes]) -> None:
    """Answered or closed; a plain request and a plain message work afterwards."""
    check_survives(pieces, upgrade_request())
