"""Opening a dialled WebSocket: bounded, refused with a status, and silent about secrets. Virtual time."""

from __future__ import annotations

import base64
import logging
import os
import traceback

import pytest
import trio
from trio.testing import MockClock
from wsproto.events import CloseConnection, TextMessage
from wsproto.utilities import generate_accept_token

from voicecore.errors import ConnectionLost, HandshakeRefused, HandshakeTimeout, LocalProtocolError
from voicecore.net.websocket.accept_token import accept_token
from voicecore.net.websocket.connect import DialLimits, dial
from voicecore.simulation.memory_network import LinkSettings, MemoryNetwork
from voicecore_tests.net.dialling import KEY, MARK, lost, network_of
from voicecore_tests.net.raw_peer import HOST, SECRET_PATH, RawPeer, raw_server


async def test_an_address_that_does_not_answer_costs_the_connect_bound(autojump_clock: MockClock) -> None:
    """Connecting has its own bound."""
    with pytest.raises(HandshakeTimeout, match="no connection within"):
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
    """`HandshakeRefused` with the status; its body is there where it came at once, and hardly waited for."""
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
        assert refusal.value.body[:9] == {"a body": b"slow down", "a body without end": b"x" * 9}.get(name, b"")
        assert len(refusal.value.body) <= 4096
        assert "slow" not in str(refusal.value)
        assert trio.current_time() == (0.25 if name == "a body that never comes" else 0)
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


def test_the_accept_token_is_that_of_the_standard() -> None:
    """RFC 6455, section 1.3, and wsproto's own for any other key."""
    assert accept_token(b"dGhlIHNhbXBsZSBub25jZQ==") == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    for _ in range(20):
        key = base64.b64encode(os.urandom(16))
        assert accept_token(key) == generate_accept_token(key)
