"""The real network, on loopback.

`localhost.pem` holds a certificate for "localhost" and its key, made for these tests and good for nothing else.
"""

from __future__ import annotations

import errno
import os
import re
import socket as stdlib_socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import trio
from wsproto.events import Ping, TextMessage

from voicecore.errors import ConnectionLost
from voicecore.net.transport.network import RealNetwork, tls_context
from voicecore.net.transport.tcp import TcpListener, TcpStream
from voicecore.net.transport.tls import TlsStream
from voicecore.net.websocket.connect import dial
from voicecore_tests.net.raw_peer import HOST, RawPeer, raw_server

PEM = str(Path(__file__).parents[1] / "localhost.pem")


def trusting() -> RealNetwork:
    """A network that trusts the certificate of the tests."""
    return RealNetwork(ssl.create_default_context(cafile=PEM))


@asynccontextmanager
async def tls_port() -> AsyncIterator[int]:
    """Echo over TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(PEM)

    async def serve(stream: trio.abc.Stream) -> None:
        try:
            while data := await stream.receive_some():
                await stream.send_all(data)
        except trio.BrokenResourceError:
            return

    listening = await RealNetwork().listen(HOST, 0)
    listeners = [trio.SSLListener(each, context) for each in listening.listeners]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, serve, listeners)
        yield listening.port
        nursery.cancel_scope.cancel()


def has_no_delay(wire: TcpStream) -> bool:
    with stdlib_socket.socket(fileno=os.dup(wire.fileno())) as same:
        return same.getsockopt(stdlib_socket.IPPROTO_TCP, stdlib_socket.TCP_NODELAY) != 0


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_a_connection_to_a_port_that_was_picked() -> None:
    """Port 0 picks one, and says which; bytes go both ways; small packets are not held back."""
    network = RealNetwork()
    listening = await network.listen(HOST, 0)
    assert listening.port > 0
    mine = await network.open_stream(HOST, listening.port, tls=False)
    theirs = await listening.listeners[0].accept()
    async with mine, theirs:
        await mine.send_all(b"there")
        assert await theirs.receive_some() == b"there"
        for stream in (mine, theirs):
            assert isinstance(stream, TcpStream)
            assert has_no_delay(stream)
    await listening.listeners[0].aclose()


async def test_a_name_with_several_addresses_is_served_on_one_port() -> None:
    """What is said to be the port is the port of every listener."""
    listening = await RealNetwork().listen("localhost", 0)
    for listener in listening.listeners:
        assert isinstance(listener, TcpListener)
        assert listener.port == listening.port
        await listener.aclose()


async def test_a_port_that_is_taken() -> None:
    """OSError, as the world's contract says: host, port, reason, and what to do."""
    listening = await RealNetwork().listen(HOST, 0)
    with pytest.raises(OSError, match="already in use") as caught:
        await RealNetwork().listen(HOST, listening.port)
    assert caught.value.errno == errno.EADDRINUSE
    assert f"cannot listen on {HOST} port {listening.port}" in str(caught.value)
    assert "another voicecore" in str(caught.value)
    assert "--port" in str(caught.value)
    assert "server.metrics_port" in str(caught.value)
    await listening.listeners[0].aclose()


@pytest.mark.parametrize(
    ("host", "says"),
    [("203.0.113.7", "no network interface"), ("nobody.invalid", "cannot be looked up")],
)
async def test_an_address_that_is_not_ours(host: str, says: str) -> None:
    """The setting to look at is named."""
    with pytest.raises(OSError, match=says) as caught:
        await RealNetwork().listen(host, 0)
    assert "server.host" in str(caught.value)


@pytest.mark.parametrize(
    ("host", "says"),
    [
        (HOST, "connection refused: nothing listens there"),
        ("localhost", "connection refused"),
        ("nobody.invalid", "the host name 'nobody.invalid' cannot be looked up (DNS: "),
        ("x" * 64 + ".test", "is not a host name"),
    ],
)
async def test_who_cannot_be_reached_is_a_lost_connection_with_its_reason(host: str, says: str) -> None:
    """Nobody listens, at one address or at several; or the name cannot be looked up."""
    with pytest.raises(ConnectionLost, match=re.escape(says)) as caught:
        await RealNetwork().open_stream(host, 1, tls=False)
    assert caught.value.peer == f"{host}:1"
    assert caught.value.__cause__ is not None


async def test_tls_is_done_when_the_stream_is_there() -> None:
    """And the host's name was checked."""
    async with tls_port() as port, await trusting().open_stream("localhost", port, tls=True) as stream:
        await stream.send_all(b"there")
        assert await stream.receive_some() == b"there"
        assert isinstance(stream, TlsStream)
        assert stream.host == "localhost"


@pytest.mark.parametrize(
    ("network", "host", "says"),
    [
        (RealNetwork(), "localhost", "TLS: its certificate was not accepted: self-signed certificate"),
        (trusting(), HOST, "TLS: its certificate was not accepted: IP address mismatch"),
    ],
    ids=["unknown authority", "another name"],
)
async def test_a_peer_that_is_not_who_it_says_is_refused(network: RealNetwork, host: str, says: str) -> None:
    """No stream, no socket left; the reason is the certificate's."""
    async with tls_port() as port:
        before = open_descriptors()
        with pytest.raises(ConnectionLost, match=says):
            await network.open_stream(host, port, tls=True)
        assert open_descriptors() <= before + 1  # the server's end may not have closed yet


async def test_a_port_without_tls_is_named_as_such() -> None:
    """What speaks HTTP where TLS was expected."""

    async def answer(peer: RawPeer) -> None:
        await peer.stream.receive_some()
        await peer.raw(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with raw_server(RealNetwork(), answer, "http") as url:
        port = urlsplit(url).port or 0
        with pytest.raises(ConnectionLost, match=r"TLS: .*is this a port that speaks TLS"):
            await trusting().open_stream("localhost", port, tls=True)


async def test_a_cancelled_connect_leaves_no_socket() -> None:
    """A peer that accepts and never shakes hands."""
    network = RealNetwork()
    listening = await network.listen(HOST, 0)
    before = open_descriptors()
    with trio.move_on_after(0.05) as scope:
        await network.open_stream(HOST, listening.port, tls=True)
    assert scope.cancelled_caught
    assert open_descriptors() == before
    await listening.listeners[0].aclose()


def test_the_context_is_made_once() -> None:
    """Making one costs a whole frame; it checks who the peer is."""
    assert tls_context() is tls_context()
    assert tls_context().check_hostname
    assert tls_context().verify_mode is ssl.CERT_REQUIRED


async def test_a_websocket_over_sockets() -> None:
    """Dialling works on loopback as it does in memory, and leaves no socket."""
    network = RealNetwork()
    before = open_descriptors()
    async with raw_server(network, RawPeer.echo) as url, dial(network, url) as socket:
        await socket.send("hello")
        assert await socket.receive() == ["hello"]
    assert open_descriptors() == before


@pytest.mark.parametrize("size", [1, 200_000])
async def test_a_close_frame_survives_unread_input(size: int) -> None:
    """Our close reaches a peer that is talking: its words are read and dropped, so that nothing is reset."""
    seen: list[int] = []

    async def talk(peer: RawPeer) -> None:
        await peer.accept()
        await peer.send(TextMessage("x" * size), Ping(b""))
        seen.append((await peer.wait_closed()).code)

    network = RealNetwork()
    async with raw_server(network, talk) as url, dial(network, url) as socket:
        await socket.close(1001)
    assert seen == [1001]
