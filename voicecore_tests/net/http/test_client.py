"""Requests: what is sent, what comes back, and what a peer cannot do to us."""

from __future__ import annotations

import base64
import gzip
import logging
import ssl
import traceback

import pytest
import trio
from trio.testing import MockClock

from voicecore.errors import ConnectionLost, LocalProtocolError, NotConnected
from voicecore.net.http.client import Form, HttpLimits, open_http_client
from voicecore.net.transport.network import RealNetwork
from voicecore.simulation.memory_network import LinkSettings, MemoryNetwork
from voicecore.simulation.world import simulated_world
from voicecore_tests.net.cancelling import assert_every_cancellation_is_clean
from voicecore_tests.net.raw_peer import Handler, RawPeer, raw_server
from voicecore_tests.net.transport.test_network import tls_port, trusting

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Kind: a test\r\n\r\nhello"
FIELDS = {"CallSid": "CA1", "To": "+1 555&x=ü"}
AUTH = ("AC1", "secret-token")


def answering(answer: bytes, requests: list[bytes] | None = None) -> Handler:
    """A server that reads one request, says this, and waits for the client to close."""

    async def handle(peer: RawPeer) -> None:
        request = b""
        while b"\r\n\r\n" not in request or not request.endswith(b"%C3%BC"):
            piece = await peer.stream.receive_some()
            if not piece:
                return
            request += piece
        if requests is not None:
            requests.append(request)
        await peer.raw(answer)
        while await peer.stream.receive_some():
            pass

    return handle


@pytest.fixture
def network() -> MemoryNetwork:
    return simulated_world(1).network


async def failure(network: MemoryNetwork, handler: Handler, limits: HttpLimits | None = None) -> ConnectionLost:
    """Post to this server, and return how that failed; nothing stays open."""
    loss: ConnectionLost | None = None
    async with raw_server(network, handler, "http") as url, open_http_client(network, limits) as http:
        try:
            await http.post_form(url, FIELDS, auth=AUTH, headers={"X-Key": "secret-key"})
        except ConnectionLost as error:
            loss = error
    assert network.open_streams == 0
    assert loss is not None
    return loss


async def test_a_form_goes_out_and_the_answer_comes_back(network: MemoryNetwork, autojump_clock: MockClock) -> None:
    """Fields, headers and basic authentication as the standards write them; header names in any case."""
    requests: list[bytes] = []
    async with raw_server(network, answering(OK, requests), "http") as url, open_http_client(network) as http:
        answer = await http.post_form(url, FIELDS, headers={"X-Twilio-Signature": "abc="}, auth=AUTH)
    assert (answer.status, answer.body, answer.headers["x-KIND"]) == (200, b"hello", "a test")
    head, _, body = requests[0].partition(b"\r\n\r\n")
    lines = head.decode().lower().split("\r\n")
    assert head.startswith(b"POST /secret-path?token=secret-query HTTP/1.1\r\n")
    assert body == b"CallSid=CA1&To=%2B1+555%26x%3D%C3%BC"
    assert "content-type: application/x-www-form-urlencoded" in lines
    assert "x-twilio-signature: abc=" in lines
    assert "accept-encoding: identity" in lines
    assert b"Basic " + base64.b64encode(b"AC1:secret-token") in head


async def test_a_url_is_fetched(network: MemoryNetwork, autojump_clock: MockClock) -> None:
    """GET, without a body, with credentials."""
    requests: list[bytes] = []

    async def handle(peer: RawPeer) -> None:
        requests.append(bytes(await peer.stream.receive_some()))
        await peer.raw(OK)

    async with raw_server(network, handle, "http") as url, open_http_client(network) as http:
        answer = await http.get(url, auth=AUTH)
    assert (answer.status, answer.body) == (200, b"hello")
    head, _, body = requests[0].partition(b"\r\n\r\n")
    assert head.startswith(b"GET /secret-path?token=secret-query HTTP/1.1\r\n")
    assert (body, b"content-length" in head.lower()) == (b"", False)
    assert b"Basic " + base64.b64encode(b"AC1:secret-token") in head


@pytest.mark.parametrize(
    "fields",
    [
        [("To", "1"), ("Event", "a b"), ("Event", "c"), ("Last", "ü")],
        {"To": "1", "Event": ["a b", "c"], "Nothing": (), "Last": "ü"},
    ],
    ids=["pairs", "values"],
)
async def test_a_repeated_field_is_written_once_for_each_value(
    fields: Form, network: MemoryNetwork, autojump_clock: MockClock
) -> None:
    """In the order given; a name without values is left out."""
    requests: list[bytes] = []
    async with raw_server(network, answering(OK, requests), "http") as url, open_http_client(network) as http:
        await http.post_form(url, fields)
    assert requests[0].partition(b"\r\n\r\n")[2] == b"To=1&Event=a+b&Event=c&Last=%C3%BC"


@pytest.mark.parametrize("status", [204, 302, 401, 429, 500])
async def test_any_status_is_an_answer_and_none_is_followed(
    status: int, network: MemoryNetwork, autojump_clock: MockClock
) -> None:
    """Credentials go nowhere else."""
    answer = f"HTTP/1.1 {status} X\r\nLocation: http://elsewhere.test/\r\nContent-Length: 0\r\n\r\n".encode()
    async with raw_server(network, answering(answer), "http") as url, open_http_client(network) as http:
        assert (await http.post_form(url, FIELDS)).status == status


@pytest.mark.parametrize(
    "link", [LinkSettings(split_bytes=1), LinkSettings(delay_s=0.1, connect_s=0.2, buffer_bytes=16)]
)
async def test_any_network_carries_it(link: LinkSettings, autojump_clock: MockClock) -> None:
    """However bytes are cut, delayed and held back."""
    network = simulated_world(1, link).network
    async with raw_server(network, answering(OK), "http") as url, open_http_client(network) as http:
        assert (await http.post_form(url, FIELDS)).body == b"hello"
    assert network.open_streams == 0


async def test_each_request_has_its_own_connection(network: MemoryNetwork, autojump_clock: MockClock) -> None:
    """It is closed with the answer, not with the client."""
    async with open_http_client(network) as http:
        for _ in range(3):
            async with raw_server(network, answering(OK), "http") as url:
                await http.post_form(url, FIELDS)
            assert network.open_streams == 0
    assert network.opened_streams == 6


ENDLESS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"400\r\n" + b"x" * 1024 + b"\r\n"
FAULTS = {
    "nothing": (b"", "did not answer within 15"),
    "half an answer": (OK[:-1], "did not answer within 15"),
    "no HTTP": (b"220 mail.test ESMTP\r\n\r\n", "did not answer an HTTP request"),
    "a long answer": (b"HTTP/1.1 200 OK\r\nContent-Length: 2000000\r\n\r\n" + b"x" * 2_000_000, "too large"),
    "an endless answer": (ENDLESS + b"400\r\n" + b"x" * 1_200_000, "too large|did not answer an HTTP request"),
    "an endless head": (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 400_000, "too large|did not answer an HTTP request"),
    "a packed answer": (
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"
        + b"%x\r\n%b\r\n0\r\n\r\n" % (len(gzip.compress(bytes(10_000_000))), gzip.compress(bytes(10_000_000))),
        "packed",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
async def test_an_answer_that_is_none_is_a_lost_connection(
    name: str, network: MemoryNetwork, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Within its bounds of time and bytes; neither URL nor credentials are shown, in errors or in logs."""
    caplog.set_level(logging.DEBUG)
    answer, problem = FAULTS[name]
    loss = await failure(network, answering(answer))
    assert loss.peer.startswith("127.0.0.1:")
    assert not isinstance(loss, NotConnected)  # the request was sent
    with pytest.raises(ConnectionLost, match=problem):
        raise loss
    shown = "".join(traceback.format_exception(loss)) + caplog.text
    assert "secret-" not in shown.replace('"secret-key"', "")  # that is the line of this test


async def test_a_peer_that_closes_without_an_answer(network: MemoryNetwork, autojump_clock: MockClock) -> None:
    """Is noticed at once; the request may have taken effect."""
    loss = await failure(network, RawPeer.read_request)
    assert (type(loss), loss.problem) == (ConnectionLost, "did not answer an HTTP request")
    assert trio.current_time() == 0


async def test_connecting_has_its_own_bound(autojump_clock: MockClock) -> None:
    """An address that swallows packets does not cost the whole request's time; nothing was sent."""
    network = simulated_world(1, LinkSettings(connect_s=100)).network
    requests: list[bytes] = []
    loss = await failure(network, answering(OK, requests))
    assert "no connection within 5 s" in str(loss)
    assert (type(loss), requests) == (NotConnected, [])


async def test_nobody_listens(network: MemoryNetwork, autojump_clock: MockClock) -> None:
    """What the network says comes through, and that nothing was sent."""
    async with open_http_client(network) as http:
        with pytest.raises(NotConnected, match="refused the connection"):
            await http.post_form("http://127.0.0.1:9/", {})


@pytest.mark.parametrize("url", ["ftp://h/secret-x", "http:///secret-x", "http://h:x/secret-x", "secret-x"])
async def test_a_url_that_is_none_is_our_fault(url: str, network: MemoryNetwork, autojump_clock: MockClock) -> None:
    """And is not shown."""
    async with open_http_client(network) as http:
        with pytest.raises(LocalProtocolError) as fault:
            await http.post_form(url, {})
    assert "secret-x" not in str(fault.value)


async def test_a_header_that_may_not_be_sent_is_our_fault(network: MemoryNetwork, autojump_clock: MockClock) -> None:
    """And its value is not shown."""
    async with open_http_client(network) as http:
        with pytest.raises(LocalProtocolError, match="X-Key") as fault:
            await http.post_form("http://h/", {}, headers={"X-Key": "secret\n"})
    assert "secret" not in str(fault.value)


def test_a_cancellation_at_any_step_leaves_nothing() -> None:
    """From connecting to the last byte of the answer: no task, no stream, no time."""

    async def post(network: MemoryNetwork, url: str) -> None:
        async with open_http_client(network) as http:
            await http.post_form(url.replace("ws://", "http://"), FIELDS)

    assert assert_every_cancellation_is_clean(answering(OK), post, most_s=0.0) > 20


async def test_the_end_of_time_is_no_proof_that_nothing_was_sent(autojump_clock: MockClock) -> None:
    """The bound of a whole request says nothing about how far it came."""
    network = simulated_world(1, LinkSettings(delay_s=20)).network
    loss = await failure(network, answering(OK), HttpLimits(request_s=10))
    assert (type(loss), loss.problem) == (ConnectionLost, "did not answer within 10 s")


async def test_tls_over_sockets() -> None:
    """https is the network's TLS: the echo of our own request is no answer, but it came through."""
    async with tls_port() as port, open_http_client(trusting()) as http:
        with pytest.raises(ConnectionLost, match="did not answer an HTTP request"):
            await http.post_form(f"https://localhost:{port}/", FIELDS)


async def test_tls_is_not_skipped() -> None:
    """A peer whose certificate nobody vouches for gets no request."""
    async with tls_port() as port, open_http_client(RealNetwork()) as http:
        with pytest.raises(NotConnected, match="its certificate was not accepted"):
            await http.post_form(f"https://localhost:{port}/", FIELDS)


async def test_no_certificates_are_read_for_a_request(
    network: MemoryNetwork, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading the system's takes a whole frame; the network has done it already."""
    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", _fail)
    monkeypatch.setattr(ssl.SSLContext, "load_default_certs", _fail)
    async with raw_server(network, answering(OK), "https") as url, open_http_client(network) as http:
        assert (await http.post_form(url, FIELDS)).status == 200


def _fail(*_: object, **__: object) -> None:
    raise AssertionError("certificates are read")


async def test_an_answer_that_comes_before_the_request_was_taken_is_an_answer(autojump_clock: MockClock) -> None:
    """A server may refuse a form that it has not read to the end, and close."""
    network = simulated_world(1, LinkSettings(buffer_bytes=400)).network

    async def refuse(peer: RawPeer) -> None:
        await peer.stream.receive_some(100)
        await peer.raw(b"HTTP/1.1 413 No\r\nContent-Length: 5\r\n\r\nlarge")

    async with raw_server(network, refuse, "http") as url, open_http_client(network) as http:
        answer = await http.post_form(url, {"Text": "x" * 5_000})
    assert (answer.status, answer.body) == (413, b"large")
    assert network.open_streams == 0
