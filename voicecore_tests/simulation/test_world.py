"""The simulated world: one seed, one run; streams that behave as sockets do, in virtual time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock, check_half_closeable_stream

from voicecore.errors import ConnectionLost
from voicecore.simulation.memory_network import LinkSettings, MemoryNetwork, MemoryStream
from voicecore.simulation.world import MORNING, FileWrite, simulated_world

HOST, PORT = "peer.test", 80
AUDIO = Path("calls/call_1/audio.wav")


@asynccontextmanager
async def joined(network: MemoryNetwork) -> AsyncIterator[tuple[MemoryStream, MemoryStream]]:
    """Two ends of one connection; afterwards nothing is open."""
    listening = await network.listen(HOST, PORT)
    mine = await network.open_stream(HOST, PORT, tls=False)
    theirs = await listening.listeners[0].accept()
    assert isinstance(mine, MemoryStream)
    assert isinstance(theirs, MemoryStream)
    async with mine, theirs:
        assert network.open_streams == 2
        yield mine, theirs
    await listening.listeners[0].aclose()
    assert network.open_streams == 0


def network_of(link: LinkSettings | None = None, seed: int = 1) -> MemoryNetwork:
    return simulated_world(seed, link).network


async def read_all(stream: trio.abc.ReceiveStream) -> list[bytes]:
    return [bytes(piece) async for piece in stream]


# --- streams ----------------------------------------------------------------------------


@pytest.mark.parametrize("split_bytes", [None, 700])
async def test_streams_are_streams(split_bytes: int | None, autojump_clock: MockClock) -> None:
    """By Trio's own tests of half-closeable streams, back-pressure included."""
    network = network_of(LinkSettings(buffer_bytes=1024, split_bytes=split_bytes))

    async def pair() -> tuple[MemoryStream, MemoryStream]:
        listening = await network.listen(HOST, 0)
        mine = await network.open_stream(HOST, listening.port, tls=True)
        theirs = await listening.listeners[0].accept()
        await listening.listeners[0].aclose()
        assert isinstance(mine, MemoryStream)
        assert isinstance(theirs, MemoryStream)
        return mine, theirs

    async def clogged() -> tuple[MemoryStream, MemoryStream]:
        mine, theirs = await pair()
        for stream in (mine, theirs):
            await stream.send_all(bytes(network.settings.buffer_bytes))
        return mine, theirs

    await check_half_closeable_stream(pair, clogged)
    assert network.opened_streams > 0
    assert network.open_streams == 0


async def test_a_writer_waits_when_the_peer_does_not_read(autojump_clock: MockClock) -> None:
    """What fits goes out; the rest when there is room."""
    async with joined(network_of(LinkSettings(buffer_bytes=100))) as (mine, theirs):
        with trio.move_on_after(60) as waiting:
            await mine.send_all(b"x" * 101)
        assert waiting.cancelled_caught
        assert await theirs.receive_some() == b"x" * 100


async def test_a_small_write_is_whole_or_not_at_all(autojump_clock: MockClock) -> None:
    """As on a socket: cancelled before, nothing is written; begun, it does not wait."""
    async with joined(network_of()) as (mine, theirs):
        with trio.CancelScope() as scope:
            scope.cancel()
            await mine.send_all(b"never")
        await mine.send_all(b"now")
        assert await theirs.receive_some() == b"now"


@pytest.mark.parametrize(("closing", "error"), [(0, trio.ClosedResourceError), (1, trio.BrokenResourceError)])
async def test_closing_wakes_who_waits(closing: int, error: type[Exception], autojump_clock: MockClock) -> None:
    """A writer on the closed end, and one whose peer closes."""
    async with joined(network_of(LinkSettings(buffer_bytes=1))) as ends, trio.open_nursery() as nursery:

        async def close() -> None:
            await trio.sleep(1)
            await ends[closing].aclose()

        nursery.start_soon(close)
        with pytest.raises(error):
            await ends[0].send_all(b"xx")
        assert trio.current_time() == pytest.approx(1.0)


async def test_bytes_and_ends_take_their_time_and_keep_their_order(autojump_clock: MockClock) -> None:
    """One way costs the delay, also for an end; what came before it is read first."""
    async with joined(network_of(LinkSettings(delay_s=0.5))) as (mine, theirs):
        await mine.send_all(b"one")
        await trio.sleep(0.25)
        await mine.send_all(b"two")
        await mine.aclose()
        assert await theirs.receive_some() == b"one"
        assert trio.current_time() == pytest.approx(0.5)
        assert await theirs.receive_some() == b"two"
        assert await theirs.receive_some() == b""
        assert trio.current_time() == pytest.approx(0.75)


async def test_what_arrived_together_is_read_together(autojump_clock: MockClock) -> None:
    """Up to what was asked for."""
    async with joined(network_of()) as (mine, theirs):
        for text in (b"one", b"two", b"three"):
            await mine.send_all(text)
        assert await theirs.receive_some(4) == b"onet"
        assert await theirs.receive_some() == b"wothree"


async def test_reads_are_cut_as_the_seed_says(autojump_clock: MockClock) -> None:
    """From one byte to the given number, the same for the same seed."""

    async def cuts(seed: int) -> list[bytes]:
        async with joined(network_of(LinkSettings(split_bytes=5), seed)) as (mine, theirs):
            await mine.send_all(bytes(range(100)))
            await mine.aclose()
            return await read_all(theirs)

    first = await cuts(1)
    assert b"".join(first) == bytes(range(100))
    assert {len(piece) for piece in first} == {1, 2, 3, 4, 5}
    assert first == await cuts(1)
    assert first != await cuts(2)


async def test_a_reset_breaks_both_directions(autojump_clock: MockClock) -> None:
    """What was under way is lost."""
    async with joined(network_of()) as (mine, theirs):
        await mine.send_all(b"lost")
        mine.reset()
        with pytest.raises(trio.BrokenResourceError):
            await theirs.receive_some()
        with pytest.raises(trio.BrokenResourceError):
            await theirs.send_all(b"x")


# --- the network ------------------------------------------------------------------------


async def test_connecting_takes_its_time_and_a_cancelled_one_leaves_nothing(autojump_clock: MockClock) -> None:
    """Nothing is opened before it is done."""
    network = network_of(LinkSettings(connect_s=2))
    listening = await network.listen(HOST, PORT)
    with trio.move_on_after(1):
        await network.open_stream(HOST, PORT, tls=False)
    assert network.opened_streams == 0
    async with await network.open_stream(HOST, PORT, tls=False):
        assert trio.current_time() == pytest.approx(3.0)
    await listening.listeners[0].aclose()


async def test_nobody_listens(autojump_clock: MockClock) -> None:
    """Neither before nor after."""
    network = network_of()
    listening = await network.listen(HOST, PORT)
    await listening.listeners[0].aclose()
    for host, port in ((HOST, PORT), (HOST, PORT + 1), ("other.test", PORT)):
        with pytest.raises(ConnectionLost, match="refused") as caught:
            await network.open_stream(host, port, tls=False)
        assert caught.value.peer == f"{host}:{port}"


async def test_ports(autojump_clock: MockClock) -> None:
    """0 picks a free one; one that is taken is an OSError, until it is closed."""
    network = network_of()
    first, second = await network.listen(HOST, 0), await network.listen(HOST, 0)
    assert first.port != second.port
    with pytest.raises(OSError, match="already in use"):
        await network.listen(HOST, first.port)
    await first.listeners[0].aclose()
    assert (await network.listen(HOST, first.port)).port == first.port


async def test_connections_that_nobody_accepts_end_with_the_listener(autojump_clock: MockClock) -> None:
    """The backlog is bounded; what waits in it counts as open until then."""
    network = network_of()
    listening = await network.listen(HOST, PORT)
    streams = [await network.open_stream(HOST, PORT, tls=False) for _ in range(64)]
    with pytest.raises(ConnectionLost, match="backlog"):
        await network.open_stream(HOST, PORT, tls=False)
    assert network.open_streams == 128
    await listening.listeners[0].aclose()
    with pytest.raises(trio.BrokenResourceError):
        await streams[0].receive_some()
    for stream in streams:
        await stream.aclose()
    assert network.open_streams == 0


# --- files, time and chance -------------------------------------------------------------


async def test_files_are_bytes_and_the_history_of_them(autojump_clock: MockClock) -> None:
    """Written at any offset, a gap is zeros; every write is there in its order."""
    files = simulated_world().files
    async with files.open_file(AUDIO) as file:
        await file.write_at(0, b"head")
        await file.write_at(6, b"tail")
        await file.write_at(1, b"EA")
    await files.write_whole(AUDIO.with_name("record.json"), b"{}")
    assert files.files == {AUDIO: b"hEAd\0\0tail", AUDIO.with_name("record.json"): b"{}"}
    assert files.history == [
        FileWrite(AUDIO, None, b""),
        FileWrite(AUDIO, 0, b"head"),
        FileWrite(AUDIO, 6, b"tail"),
        FileWrite(AUDIO, 1, b"EA"),
        FileWrite(AUDIO.with_name("record.json"), None, b"{}"),
    ]
    async with files.open_file(AUDIO):
        assert files.files[AUDIO] == b""


async def test_the_day_goes_with_the_clock(autojump_clock: MockClock) -> None:
    """Always the same morning."""
    world = simulated_world().world
    await trio.sleep(90)
    assert world.wall_clock() == MORNING + timedelta(seconds=90)
    assert world.wall_clock().tzinfo is not None


async def test_ids_follow_from_the_seed_and_not_from_the_traffic(autojump_clock: MockClock) -> None:
    """A network that cuts otherwise changes nothing else."""

    async def ids(seed: int, link: LinkSettings) -> list[str]:
        simulated = simulated_world(seed, link)
        async with joined(simulated.network) as (mine, theirs):
            await mine.send_all(b"x" * 100)
            await theirs.receive_some()
        return [simulated.world.new_id("call"), simulated.world.new_token()]

    first = await ids(1, LinkSettings())
    assert first == await ids(1, LinkSettings(split_bytes=3))
    assert first != await ids(2, LinkSettings())
