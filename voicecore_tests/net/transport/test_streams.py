"""Wires: sockets on loopback, and TLS above whatever link; Trio's own tests and its own TLS are the judges."""

from __future__ import annotations

import fcntl
import select
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock, check_half_closeable_stream

from voicecore.net.transport.network import RealNetwork
from voicecore.net.transport.tcp import TcpStream
from voicecore.net.transport.tls import TlsStream
from voicecore.simulation.memory_network import LinkSettings
from voicecore.world import ByteStream
from voicecore_tests.chance import examples
from voicecore_tests.net.dialling import network_of

SIOCOUTQNSD = 0x894B
HOST = "127.0.0.1"
PEM = str(Path(__file__).parents[1] / "localhost.pem")


async def socket_pair() -> tuple[TcpStream, TcpStream]:
    network = RealNetwork()
    listening = await network.listen(HOST, 0)
    mine = await network.open_stream(HOST, listening.port, tls=False)
    theirs = await listening.listeners[0].accept()
    await listening.listeners[0].aclose()
    assert isinstance(mine, TcpStream)
    assert isinstance(theirs, TcpStream)
    return mine, theirs


def fill(wire: ByteStream) -> int:
    """Write until nothing more is taken; return how many bytes that were."""
    filled = 0
    while taken := wire.write_now(b"x" * 800):
        filled += taken
    return filled


async def fill_up(wire: ByteStream) -> None:
    """Write until the peer's system takes nothing more either, and has thought about it for a moment."""
    quiet = 0
    while quiet < 5:
        quiet = 0 if fill(wire) else quiet + 1
        await trio.sleep(0.02)


def not_sent(wire: TcpStream) -> int:
    """Return how much the system has and has not sent; Linux says it."""
    return int.from_bytes(fcntl.ioctl(wire.fileno(), SIOCOUTQNSD, bytes(4)), sys.byteorder)


async def clogged_sockets() -> tuple[TcpStream, TcpStream]:
    mine, theirs = await socket_pair()
    for wire in (mine, theirs):
        await fill_up(wire)
    return mine, theirs


async def test_a_socket_wire_is_a_stream() -> None:
    """By Trio's own tests of half-closeable streams, back-pressure included."""
    await check_half_closeable_stream(socket_pair, clogged_sockets)
    mine, theirs = await socket_pair()
    assert mine.far_end.startswith(f"{HOST}:")
    for wire in (mine, theirs):
        await wire.aclose()


async def test_who_waits_for_a_socket_is_told_that_it_was_closed_here() -> None:
    """And every later use says the same."""
    mine, theirs = await socket_pair()
    async with theirs:
        async with trio.open_nursery() as nursery:

            async def wait() -> None:
                with pytest.raises(trio.ClosedResourceError):
                    await mine.wait_readable()

            nursery.start_soon(wait)
            await trio.testing.wait_all_tasks_blocked()
            mine.close_now()
        mine.close_now()
        for use in (lambda: mine.read_now(1), lambda: mine.write_now(b"x"), mine.end_now):
            with pytest.raises(trio.ClosedResourceError):
                use()
        mine.limit_unsent(1)
        with pytest.raises(trio.ClosedResourceError):
            await mine.wait_writable()
        assert await theirs.receive_some() == b""


async def test_a_socket_that_the_peer_resets_is_broken() -> None:
    """Reading and writing say so, and keep saying so."""
    mine, theirs = await socket_pair()
    fill(mine)
    theirs.close_now()  # on unread input: a reset
    async with mine:
        await mine.wait_readable()
        with pytest.raises(trio.BrokenResourceError):
            mine.read_now(1)
        with pytest.raises(trio.BrokenResourceError):
            mine.write_now(b"x")


async def test_c13_the_system_keeps_little_that_it_cannot_send() -> None:
    """Beyond what the peer's system takes, no more than was allowed: seconds of speech cannot hide there."""
    kept = []
    for unsent_bytes in (4_096, 262_144):
        mine, theirs = await socket_pair()
        async with mine, theirs:
            mine.limit_unsent(unsent_bytes)
            await fill_up(mine)
            kept.append(not_sent(mine))
    assert kept[0] < 64_000
    assert kept[1] > 200_000


def is_readable(wire: TcpStream) -> bool:
    return bool(select.select([wire.fileno()], [], [], 0)[0])


async def test_less_than_is_gathered_wakes_nobody() -> None:
    """The system counts: until so much is there, or anything is wanted again, or the peer has ended."""
    mine, theirs = await socket_pair()
    async with mine, theirs:
        mine.coalesce(100)
        theirs.write_now(b"x" * 60)
        assert not is_readable(mine)
        theirs.write_now(b"x" * 60)
        assert is_readable(mine)
        assert mine.read_now(1_000) == b"x" * 120
        theirs.write_now(b"y")
        assert not is_readable(mine)
        mine.coalesce(1)
        assert is_readable(mine)
        mine.coalesce(100)
        theirs.end_now()
        assert is_readable(mine)
    mine.coalesce(1)  # nothing, behind the end


async def test_a_simulated_wire_gathers_as_a_socket_does(autojump_clock: MockClock) -> None:
    """Virtual time shows when its reader wakes."""
    network = network_of(LinkSettings(delay_s=1.0))
    listening = await network.listen("peer", 80)
    mine = await network.open_stream("peer", 80, tls=False)
    theirs = await listening.listeners[0].accept()
    mine.coalesce(100)
    woken_at = []
    async with trio.open_nursery() as nursery:

        async def read() -> None:
            for _ in range(3):
                await mine.wait_readable()
                mine.read_now(1_000)
                woken_at.append(trio.current_time() - began_at)
                mine.coalesce(100)

        began_at = trio.current_time()
        nursery.start_soon(read)
        for pause_s, act in ((1, theirs.write_now), (2, theirs.write_now), (3, theirs.write_now)):
            act(b"x" * 60)
            await trio.sleep(pause_s)
        mine.coalesce(1)  # at 6
        await trio.sleep(4)
        theirs.end_now()  # at 10
    assert woken_at == [2, 6, 11]


# --- TLS ---------------------------------------------------------------------------------


@asynccontextmanager
async def tls_pair(link: LinkSettings) -> AsyncIterator[tuple[TlsStream, trio.SSLStream[ByteStream]]]:
    """Our client's end and Trio's server, both in memory."""
    network = network_of(link)
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.load_cert_chain(PEM)
    listening = await network.listen("localhost", 443)
    below = await network.open_stream("localhost", 443, tls=False)
    theirs = trio.SSLStream(await listening.listeners[0].accept(), server_context, server_side=True)
    mine = TlsStream(below, ssl.create_default_context(cafile=PEM), "localhost")
    with trio.fail_after(600):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(theirs.do_handshake)
            await mine.shake_hands()
        async with mine:
            yield mine, theirs
    await trio.aclose_forcefully(theirs)
    await listening.listeners[0].aclose()
    assert network.open_streams == 0


@examples(40)
@given(
    sizes=st.lists(st.sampled_from([0, 1, 400, 16_384, 16_385, 50_000]), min_size=1, max_size=8),
    split=st.one_of(st.none(), st.integers(20, 3_000)),
    room=st.integers(100, 40_000),
    read=st.sampled_from([37, 1_000, 20_000, 100_000]),
)
def test_bytes_go_through_tls_however_the_line_cuts_and_holds_them(
    sizes: list[int], split: int | None, room: int, read: int
) -> None:
    """Both ways at once; records larger than the line holds, reads smaller than a record."""
    sent = b"".join(bytes([size % 251]) * size for size in sizes)

    async def echo(theirs: trio.SSLStream[ByteStream]) -> None:
        while data := await theirs.receive_some():
            await theirs.send_all(data)

    async def send(mine: TlsStream) -> None:
        for size in sizes:
            await mine.send_all(bytes([size % 251]) * size)

    async def main() -> None:
        got = bytearray()
        async with (
            tls_pair(LinkSettings(buffer_bytes=room, split_bytes=split)) as (mine, theirs),
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(echo, theirs)
            nursery.start_soon(send, mine)
            while len(got) < len(sent):
                got += await mine.receive_some(read)
            nursery.cancel_scope.cancel()
        assert bytes(got) == sent

    trio.run(main, clock=MockClock(autojump_threshold=0))


async def test_a_record_that_is_half_written_is_not_encrypted_again(autojump_clock: MockClock) -> None:
    """It counts as written when the line has all of it; the peer reads it once."""
    async with tls_pair(LinkSettings(buffer_bytes=3_000)) as (mine, theirs):
        text = b"x" * 10_000
        assert mine.write_now(text) == 0
        assert mine.write_now(text) == 0
        got = b""
        written: list[int] = []

        async def write() -> None:
            while not (taken := mine.write_now(text)):
                await mine.wait_writable()
            written.append(taken)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(write)
            while len(got) < len(text):
                got += bytes(await theirs.receive_some())
        assert written == [len(text)]
        assert got == text
        assert mine.write_now(b"next") == 4
        assert await theirs.receive_some() == b"next"


@pytest.mark.parametrize("says_goodbye", [True, False])
async def test_the_end_of_tls_is_an_end(autojump_clock: MockClock, says_goodbye: bool) -> None:
    """With TLS's own goodbye or without; what came before it is read first."""
    async with tls_pair(LinkSettings()) as (mine, theirs):
        await theirs.send_all(b"last")
        if says_goodbye:
            with trio.move_on_after(1):
                await theirs.aclose()
        await trio.aclose_forcefully(theirs)
        assert await mine.receive_some() == b"last"
        assert await mine.receive_some() == b""
        assert await mine.receive_some() == b""


async def test_what_is_no_tls_breaks_the_wire(autojump_clock: MockClock) -> None:
    """In mid-session, and instead of a handshake."""
    async with tls_pair(LinkSettings()) as (mine, theirs):
        await theirs.transport_stream.send_all(b"\x17\x03\x03\x00\x05abcde")
        with pytest.raises(trio.BrokenResourceError):
            await mine.receive_some()
    network = network_of()
    listening = await network.listen("localhost", 443)
    below = await network.open_stream("localhost", 443, tls=False)
    async with await listening.listeners[0].accept() as theirs_plain, below:
        await theirs_plain.send_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        with pytest.raises(trio.BrokenResourceError):
            await TlsStream(below, ssl.create_default_context(), "localhost").shake_hands()
    await listening.listeners[0].aclose()
