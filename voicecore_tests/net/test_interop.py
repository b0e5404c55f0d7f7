"""Our ends against trio-websocket's: the same messages, however the line cuts them. Virtual time.

trio-websocket, on wsproto, is the older and better known implementation: where
the two differ, ours is suspected.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
import trio
import trio_websocket
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from voicecore.errors import ConnectionLost
from voicecore.net.http.messages import Request, Upgrade
from voicecore.net.http.server import serve
from voicecore.net.websocket.connect import dial
from voicecore.net.websocket.protocol import WebSocket
from voicecore.simulation.memory_network import LinkSettings
from voicecore_tests.chance import examples
from voicecore_tests.net.dialling import network_of
from voicecore_tests.net.transports import on_transport

Other = trio_websocket.WebSocketConnection
Use = Callable[[WebSocket, Other], Awaitable[None]]

links = st.builds(
    LinkSettings,
    split_bytes=st.one_of(st.none(), st.integers(5, 4_000)),
    buffer_bytes=st.sampled_from([300, 1_000, 262_144]),
    delay_s=st.sampled_from([0.0, 0.01]),
)
sizes = st.one_of(st.integers(0, 300), st.sampled_from([125, 126, 127, 3_000, 65_535, 65_536]))


def text_of(size: int) -> str:
    """Return a text of so many bytes, of which some characters have two."""
    return "é" * (size // 4) + "x" * (size - size // 4 * 2)


async def as_client(link: LinkSettings, use: Use) -> None:
    """Our client, their server."""
    network = network_of(link)
    listening = await network.listen("peer", 80)

    async def accept() -> None:
        stream = await listening.listeners[0].accept()
        async with trio.open_nursery() as nursery:
            request = await trio_websocket.wrap_server_stream(nursery, stream)
            theirs.append(await request.accept())
            there.set()

    theirs: list[Other] = []
    there = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(accept)
        async with dial(network, "ws://peer/") as ours:
            await there.wait()
            await use(ours, theirs[0])
    await listening.listeners[0].aclose()
    assert network.open_streams == 0


async def as_server(link: LinkSettings, use: Use) -> None:
    """Our server, their client."""
    network = network_of(link)
    ours: list[WebSocket] = []
    there, done = trio.Event(), trio.Event()

    async def run(socket: WebSocket) -> None:
        ours.append(socket)
        there.set()
        await done.wait()

    async def answer(_request: Request) -> Upgrade:
        await trio.lowlevel.checkpoint()
        return Upgrade(run)

    listening = await network.listen("peer", 80)
    async with trio.open_nursery() as nursery:
        await nursery.start(serve, listening.listeners, answer, on_transport(None))
        stream = await network.open_stream("peer", 80, tls=False)
        async with trio.open_nursery() as theirs:
            connection = await trio_websocket.wrap_client_stream(theirs, stream, "peer", "/")  # type: ignore[arg-type]
            await there.wait()
            await use(ours[0], connection)
            done.set()
        await stream.aclose()
        nursery.cancel_scope.cancel()
    assert network.open_streams == 0


both = pytest.mark.parametrize("connect", [as_client, as_server])
Connect = Callable[[LinkSettings, Use], Awaitable[None]]


def in_virtual_time(connect: Connect, link: LinkSettings, use: Use) -> None:
    async def main() -> None:
        with trio.fail_after(600):
            await connect(link, use)

    trio.run(main, clock=MockClock(autojump_threshold=0))


@both
@examples(15)
@given(link=links, say=st.lists(sizes, max_size=4), hear=st.lists(sizes, max_size=4))
def test_both_sides_hear_what_the_other_says(
    connect: Connect, link: LinkSettings, say: list[int], hear: list[int]
) -> None:
    """Both directions at once, their pings between the messages; in the end a close that both know."""
    said, heard = [text_of(size) for size in say], [text_of(size) for size in hear]

    async def use(ours: WebSocket, theirs: Other) -> None:
        async def speak() -> None:
            for text in said:
                await ours.send(text)

        async def speak_back() -> None:
            for text in heard:
                await theirs.send_message(text)
                await theirs.ping()

        async def listen() -> None:
            for text in said:
                assert await theirs.get_message() == text

        async with trio.open_nursery() as nursery:
            for task in (speak, speak_back, listen):
                nursery.start_soon(task)
            got: list[str] = []
            while len(got) < len(heard):
                got += await ours.receive()
            assert got == heard
            with trio.move_on_after(1):  # the last ping is answered by whoever receives
                await ours.receive()
        await ours.close(4003, "enough")
        assert theirs.closed is not None
        assert (theirs.closed.code, theirs.closed.reason) == (4003, "enough")

    in_virtual_time(connect, link, use)


@both
@examples(10)
@given(link=links, size=sizes, code=st.sampled_from([1000, 1001, 3000, 4999]))
def test_their_close_is_understood(connect: Connect, link: LinkSettings, size: int, code: int) -> None:
    """What came before it is heard first; both sides know its code."""
    text = text_of(size)

    async def use(ours: WebSocket, theirs: Other) -> None:
        async with trio.open_nursery() as nursery:

            async def leave() -> None:
                await theirs.send_message(text)
                await theirs.aclose(code, "done")

            nursery.start_soon(leave)
            assert await ours.receive() == [text]
            with pytest.raises(ConnectionLost) as lost:
                await ours.receive()
        assert (lost.value.code, lost.value.reason) == (code, "done")
        assert theirs.closed is not None
        assert theirs.closed.code == code

    in_virtual_time(connect, link, use)
