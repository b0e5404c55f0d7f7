"""HTTP on the port: what is answered, what is refused, and how long anything may take."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from voicecore.net.http.messages import Request, Response, ServerLimits
from voicecore.simulation.memory_network import LinkSettings
from voicecore_tests.net.port_peer import RawPeer, open_port, request

LIMIT_BYTES = 64 * 1024


def post(*headers: str, body: bytes = b"") -> bytes:
    return request("POST", "/hook", headers, body)


def sized(body: bytes) -> bytes:
    return post(f"Content-Length: {len(body)}", body=body)


def chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


# --- requests and answers ------------------------------------------------------------------


async def test_a_request_reaches_the_application_whole(autojump_clock: MockClock) -> None:
    """Path and query apart and undecoded, headers in lower case and joined, the body in one piece."""
    seen: list[Request] = []

    async def app(given: Request) -> Response:
        await trio.lowlevel.checkpoint()
        seen.append(given)
        return Response(201, b"made", "text/x-made", [("x-more", "1")])

    async with open_port(app, link=LinkSettings(split_bytes=3)) as port:
        answer = await port.ask(
            request("POST", "/a%20b?c=d&e=%26", ["X-Two: 1", "CONTENT-length: 4", "x-two: 2"], b"body")
        )
    (given,) = seen
    assert (given.method, given.path, given.query, given.body) == ("POST", "/a%20b", "c=d&e=%26", b"body")
    assert given.headers == {"host": "port", "x-two": "1, 2", "content-length": "4"}
    assert not given.is_upgrade
    assert (answer.status, answer.body) == (201, b"made")
    assert (answer.headers["content-type"], answer.headers["x-more"]) == ("text/x-made", "1")


@pytest.mark.parametrize("host", ["port", "elsewhere.example.test"])
async def test_a_target_may_be_a_whole_url(autojump_clock: MockClock, host: str) -> None:
    """As a proxy passes it on: its path counts, and no host that it names."""
    seen: list[Request] = []

    async def app(given: Request) -> Response:
        await trio.lowlevel.checkpoint()
        seen.append(given)
        return Response(200)

    async with open_port(app) as port:
        for target in (f"http://{host}/hook?a=b", f"http://{host}", f"http://user@{host}/hook"):
            await port.ask(request("GET", target))
    assert [(given.path, given.query, given.headers) for given in seen] == [
        ("/hook", "a=b", {"host": "port"}),
        ("/", "", {"host": "port"}),
    ]


def test_a_printed_request_shows_no_secret() -> None:
    """A token may stand in path and query, a signature in a header, a number in the body."""
    shown = repr(Request(method="GET", path="/PLANTED", query="PLANTED", headers={"a": "PLANTED"}, body=b"PLANTED"))
    assert "PLANTED" not in shown
    assert "GET" in shown
    assert "PLANTED" not in repr(Response(200, b"PLANTED"))


async def test_requests_follow_each_other_on_one_connection(autojump_clock: MockClock) -> None:
    """After an answer, or all at once: answered in order."""
    async with open_port() as port:
        peer = await port.connect()
        await peer.send(request())
        assert (await peer.answer()).body == b"ok"
        await peer.send(sized(b"1") + request() + post("Transfer-Encoding: chunked", body=chunk(b"2") + chunk(b"")))
        assert [(await peer.answer()).body for _ in range(3)] == [b"1", b"ok", b"2"]


@pytest.mark.parametrize("version", ["HTTP/1.1\r\nConnection: close", "HTTP/1.0"])
async def test_a_peer_that_wants_one_answer_gets_one(autojump_clock: MockClock, version: str) -> None:
    """``Connection: close`` and HTTP/1.0: answered, told, closed."""
    async with open_port() as port:
        peer = await port.connect()
        await peer.send(f"GET /health {version}\r\nHost: port\r\n\r\n".encode())
        answer = await peer.answer()
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert await peer.at_end() == b""


async def test_an_answer_without_a_body_has_no_length(autojump_clock: MockClock) -> None:
    """204 carries neither Content-Length nor Content-Type, and the connection goes on (RFC 9110, 8.6)."""

    async def app(given: Request) -> Response:
        await trio.lowlevel.checkpoint()
        return Response(204) if given.method == "POST" else Response(200, b"ok")

    async with open_port(app) as port:
        peer = await port.connect()
        await peer.send(sized(b"x") + request())
        answer = await peer.answer()
        assert (answer.status, answer.headers) == (204, {})
        assert (await peer.answer()).body == b"ok"


async def test_a_head_is_answered_without_its_body(autojump_clock: MockClock) -> None:
    """HEAD gets the length that GET would have, and nothing behind it."""

    async def app(_request: Request) -> Response:
        await trio.lowlevel.checkpoint()
        return Response(200, b"four")

    async with open_port(app) as port:
        peer = await port.connect()
        await peer.send(request("HEAD", headers=["Connection: close"]))
        sent = await peer.at_end()
    assert b"content-length: 4" in sent
    assert sent.endswith(b"\r\n\r\n")


async def test_a_peer_that_asks_before_it_sends_is_told_to_go_on(autojump_clock: MockClock) -> None:
    """``Expect: 100-continue``; but a body that is too large is refused instead."""
    async with open_port() as port:
        peer = await port.connect()
        await peer.send(post("Expect: 100-continue", "Content-Length: 2"))
        assert (await peer.answer()).status == 100
        await peer.send(b"hi")
        assert (await peer.answer()).body == b"hi"
        await peer.send(post("Expect: 100-continue", f"Content-Length: {LIMIT_BYTES + 1}"))
        assert (await peer.answer()).status == 413


# --- what is refused -------------------------------------------------------------------------


async def refused(data: bytes, *, then_ends: bool = False) -> int:
    """Return the status that the bytes are refused with; the connection must be closed, and the port live on."""
    async with open_port() as port:
        peer = await port.connect()
        await peer.send(data)
        if then_ends:
            await peer.stream.send_eof()
        answer = await peer.answer()
        assert answer.headers["connection"] == "close"
        assert await peer.at_end() == b""
        assert await port.lives()
        return answer.status


async def test_s9_a_body_has_a_largest_size(autojump_clock: MockClock) -> None:
    """64 KiB pass; one byte more is 413, whether it is announced or comes in chunks."""
    async with open_port() as port:
        assert (await port.ask(sized(b"x" * LIMIT_BYTES))).status == 200
    assert await refused(sized(b"x" * (LIMIT_BYTES + 1))) == 413
    assert await refused(post("Content-Length: 99999999999999")) == 413
    chunks = chunk(b"x" * LIMIT_BYTES) + chunk(b"x")
    assert await refused(post("Transfer-Encoding: chunked", body=chunks)) == 413


async def test_s9_a_content_length_that_is_too_short(autojump_clock: MockClock) -> None:
    """What is left over is the next request, and is none: 400."""
    async with open_port() as port:
        peer = await port.connect()
        await peer.send(post("Content-Length: 2", body=b"hiTOO MUCH\r\n\r\n"))
        assert (await peer.answer()).body == b"hi"
        assert (await peer.answer()).status == 400
        assert await peer.at_end() == b""


async def test_s9_a_body_that_ends_too_early(autojump_clock: MockClock) -> None:
    """The peer ends its side within the body: 400."""
    assert await refused(post("Content-Length: 9", body=b"short"), then_ends=True) == 400
    assert await refused(post("Transfer-Encoding: chunked", body=b"5\r\nab"), then_ends=True) == 400


@pytest.mark.parametrize(
    "data",
    [
        post("Content-Length: 2", "Content-Length: 2", body=b"hi"),
        post("Content-Length: 2", "Content-Length: 3", body=b"hi"),
        post("Content-Length: 2", "Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
        post("X-A: b", " folded", "Content-Length: 0"),
        b"GET /health HTTP/1.1\nHost: port\n\n",
        b"GET /health HTTP/1.1\r\nHost : port\r\n\r\n",
    ],
    ids=["two lengths", "two different lengths", "length and chunks", "folded", "bare LF", "space before colon"],
)
async def test_s11_requests_that_two_readers_read_differently(autojump_clock: MockClock, data: bytes) -> None:
    """400, and closed: nothing behind them is looked at."""
    assert await refused(data + request()) == 400


async def test_s12_what_is_too_long(autojump_clock: MockClock) -> None:
    """A request line of 8,193 bytes is 414; a header of 8,193, or 129 of them, is 431; one less passes."""
    line = f"/{'x' * (8192 - len('GET / HTTP/1.1'))}"
    header = f"X: {'x' * (8192 - 3)}"
    many = [f"X{index}: y" for index in range(127)]  # and Host
    async with open_port() as port:
        assert (await port.ask(request(path=line))).status == 404
        assert (await port.ask(request(headers=[header]))).status == 200
        assert (await port.ask(request(headers=many))).status == 200
    assert await refused(request(path=line + "x")) == 414
    assert await refused(request(headers=[header + "x"])) == 431
    assert await refused(request(headers=[*many, "one: more"])) == 431
    assert await refused(request(headers=[header] * 5)) == 431


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\r\n\r\n", 400),
        (b"HELLO\r\n\r\n", 400),
        (b"GET /health\r\n\r\n", 400),
        (b"GET /health HTTP/1.1\r\n\r\n", 400),
        (b"GET /health HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET /hea\x00lth HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET /health HTTP/1.1\r\nHost: a\r\nX: \x00\r\n\r\n", 400),
        (b"GET /health HTTP/2.0\r\nHost: a\r\n\r\n", 505),
        (b"POST /hook HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a TLS hello\n", 400),
    ],
)
async def test_what_is_no_request_is_refused(autojump_clock: MockClock, data: bytes, status: int) -> None:
    """No Host, two of them, NUL, another version, another coding, another protocol."""
    assert await refused(data) == status


# --- how long anything may take ------------------------------------------------------------------


async def drip(peer: RawPeer, data: bytes, every_s: float = 1.0) -> None:
    """Send a byte now and then, until the port has had enough."""
    for index in range(len(data)):
        try:
            await peer.send(data[index : index + 1])
        except trio.BrokenResourceError:
            return
        await trio.sleep(every_s)


@pytest.mark.parametrize(
    "data",
    [
        request(headers=["X: " + "x" * 100]),
        post("Content-Length: 100") + b"x" * 100,
        post("Transfer-Encoding: chunked") + chunk(b"x") * 30,
    ],
    ids=["head", "body", "chunks"],
)
async def test_s13_a_slow_request(autojump_clock: MockClock, data: bytes) -> None:
    """Ten seconds in all, however it trickles; then the connection is closed."""
    head, mark, body = data.partition(b"\r\n\r\n")
    async with open_port() as port, trio.open_nursery() as nursery:
        peer, began = await port.connect(), trio.current_time()
        if body:
            await peer.send(head + mark)
        nursery.start_soon(drip, peer, body or data)
        assert await peer.at_end() == b""
        assert trio.current_time() - began == pytest.approx(10.0)
        nursery.cancel_scope.cancel()


async def test_s13_slow_connections_keep_nobody_waiting(autojump_clock: MockClock) -> None:
    """While 200 trickle, a real request is answered in less than a second."""
    async with open_port() as port, trio.open_nursery() as nursery:
        for _ in range(200):
            nursery.start_soon(drip, await port.connect(), request(headers=["X: " + "x" * 100]))
        await trio.sleep(5)
        began = trio.current_time()
        assert await port.lives()
        assert trio.current_time() - began < 1.0
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("first", [b"", request()])
async def test_an_idle_connection_is_closed(autojump_clock: MockClock, first: bytes) -> None:
    """Ten seconds without a request, at the start or after one."""
    async with open_port() as port:
        peer, began = await port.connect(), trio.current_time()
        await peer.send(first)
        await peer.at_end()
        assert trio.current_time() - began == pytest.approx(10.0)


async def test_a_peer_that_leaves_between_requests_is_let_go(autojump_clock: MockClock) -> None:
    """The end of its side is answered by the end of ours, at once."""
    async with open_port() as port:
        peer, began = await port.connect(), trio.current_time()
        await peer.stream.send_eof()
        assert await peer.at_end() == b""
        assert trio.current_time() == began


async def test_an_answer_that_nobody_reads_ends_the_connection(autojump_clock: MockClock) -> None:
    """After the bound the connection is over: what would follow half an answer is no answer."""

    async def app(_request: Request) -> Response:
        await trio.lowlevel.checkpoint()
        return Response(200, b"x" * 10_000)

    limits = ServerLimits(answer_s=4.0)
    async with open_port(app, limits, link=LinkSettings(buffer_bytes=1_000)) as port:
        peer = await port.connect()
        await peer.send(request() + request())
        await trio.sleep(3.9)
        assert port.network.open_streams == 2
        await trio.sleep(0.2)
        assert port.network.open_streams == 1
        assert len(await peer.at_end()) <= 1_000
