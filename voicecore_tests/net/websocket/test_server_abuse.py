"""Peers that break an accepted WebSocket's protocol, or abuse what it allows. In virtual time."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from voicecore.simulation.memory_network import LinkSettings
from voicecore_tests.net.port_peer import (
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Collector,
    RawPeer,
    close_frame,
    frame,
    length_bytes,
    open_port,
    piece,
    socket_app,
    upgrade_request,
)

SMALL = LinkSettings(buffer_bytes=1_000)  # a network that holds next to nothing


async def ping_on(peer: RawPeer) -> None:
    """Ping a hundred times a second, and read nothing."""
    while True:
        await peer.send(frame(PING, b"x" * 125))
        await trio.sleep(0.01)


@pytest.mark.own_transport("the library sends no close code for a fault")
@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(TEXT, b"x", first=0xC1), 1002),
        (frame(TEXT, b"x", mask=None), 1002),
        (frame(PING, b"x" * 126), 1002),
        (frame(2, b"x"), 1003),
        (frame(TEXT, b"\xff"), 1007),
        (b"\x81" + length_bytes(2**63), 1009),
        (b"\x81" + length_bytes(2**40), 1009),
        (frame(TEXT, b"x" * (64 * 1024 + 1)), 1009),
        (close_frame(1005), 1002),
    ],
)
async def test_s18_to_s24_faults_are_told_with_their_code(autojump_clock: MockClock, data: bytes, code: int) -> None:
    """At once, as the last frame; the owner learns it, and the port lives on."""
    async with open_port() as port:
        peer, began = await (await port.connect()).upgraded(), trio.current_time()
        await peer.send(data)
        assert (await peer.frame()).code == code
        assert trio.current_time() == began
        assert await peer.at_end() == b""
        assert trio.current_time() - began <= 1.0
        assert await port.lives()


async def test_s18_compression_is_never_negotiated(autojump_clock: MockClock) -> None:
    """It is asked for, and the answer does not speak of it."""
    async with open_port() as port:
        peer = await port.connect()
        await peer.send(upgrade_request(Sec_WebSocket_Extensions="permessage-deflate"))
        answer = await peer.answer()
    assert answer.status == 101
    assert "sec-websocket-extensions" not in answer.headers


async def test_s22_a_message_of_the_limit_is_accepted_in_any_number_of_pieces(autojump_clock: MockClock) -> None:
    """In one frame, and in 10,000 of them at a rate that is no flood; one byte more is 1009."""
    async with open_port(socket_app((owner := Collector()).run)) as port:
        peer = await (await port.connect()).upgraded()
        await peer.send(frame(TEXT, b"x" * 64 * 1024))
        await peer.send(piece(TEXT))
        for _ in range(8):
            await peer.send(piece(CONTINUATION, b"x" * 6) * 1_250)
            await trio.sleep(1)
        await peer.send(frame(CONTINUATION))
        await trio.sleep(0.1)
        assert [len(text) for text in owner.texts] == [65_536, 60_000]
        await peer.send(piece(TEXT, b"x" * 65_536) + frame(CONTINUATION, b"x"))
        assert await peer.close_code() == 1009


@pytest.mark.own_transport("bounded in size only")
@pytest.mark.parametrize("payload", [b"", b"x"])
async def test_s22_a_message_that_never_ends(autojump_clock: MockClock, payload: bytes) -> None:
    """1008 ten seconds after it began, although a piece of it comes every now and then."""
    async with open_port() as port, trio.open_nursery() as nursery:
        peer, began = await (await port.connect()).upgraded(), trio.current_time()
        await peer.send(piece(TEXT, b"x"))

        async def go_on() -> None:
            while True:
                await trio.sleep(0.25)
                await peer.send(piece(CONTINUATION, payload))

        nursery.start_soon(go_on)
        assert await peer.close_code() == 1008
        assert trio.current_time() - began == pytest.approx(10.25)
        nursery.cancel_scope.cancel()


async def test_s22_a_stream_cut_anywhere_is_no_message_that_never_ends(autojump_clock: MockClock) -> None:
    """Reads that always end in mid-frame, for a minute: each message has its own ten seconds."""
    owner = Collector()
    async with open_port(socket_app(owner.run)) as port:
        peer = await (await port.connect()).upgraded()
        await peer.send(frame(TEXT, b"hello")[:5])
        for _ in range(120):
            await trio.sleep(0.5)
            await peer.send(frame(TEXT, b"hello")[5:] + frame(TEXT, b"hello")[:5])
        await trio.sleep(0.1)
    assert owner.texts == ["hello"] * 120


@pytest.mark.own_transport("what is not received stops the library's reader")
@pytest.mark.parametrize(
    ("small", "count"),
    [(frame(TEXT, b"x"), 10_000), (frame(PING), 10_000), (frame(PONG), 10_000), (piece(CONTINUATION), 100_000)],
    ids=["tiny messages", "pings", "pongs", "empty pieces"],
)
async def test_s23_a_flood(autojump_clock: MockClock, small: bytes, count: int) -> None:
    """More than 2,000 frames within a second is 1008, whatever they are."""
    owner = Collector()
    async with open_port(socket_app(owner.run)) as port, trio.open_nursery() as nursery:
        peer = await (await port.connect()).upgraded()
        begin = piece(TEXT) if small == piece(CONTINUATION) else b""

        async def flood() -> None:
            try:
                await peer.send(begin + small * count)
            except trio.BrokenResourceError:
                return

        nursery.start_soon(flood)
        assert await peer.close_code() == 1008
        assert len(owner.texts) <= 5_000
        await (await port.connect()).upgraded()


async def test_what_a_stalled_line_held_back_is_no_flood(autojump_clock: MockClock) -> None:
    """Half a minute of a carrier's messages at once, then at their pace."""
    owner = Collector()
    async with open_port(socket_app(owner.run)) as port:
        peer = await (await port.connect()).upgraded()
        await peer.send(frame(TEXT, b"x" * 400) * 1_500)
        for _ in range(100):
            await trio.sleep(0.02)
            await peer.send(frame(TEXT, b"x" * 400))
        await trio.sleep(0.1)
        assert owner.lost is None
    assert len(owner.texts) == 1_600


@pytest.mark.own_transport("the library's reader waits until its pong is written")
async def test_s23_pongs_to_a_peer_that_does_not_read_are_bounded(autojump_clock: MockClock) -> None:
    """Ping on ping without reading: the connection ends rather than grow."""
    owner = Collector()
    async with open_port(socket_app(owner.run), link=SMALL) as port:
        peer = await (await port.connect()).upgraded()
        began = trio.current_time()
        with pytest.raises(trio.BrokenResourceError):
            await ping_on(peer)
        assert trio.current_time() - began < 2.0
    assert "did not read" in str(owner.lost)
