"""The load's own frames: what it writes others can read, and it reads what others write."""

from __future__ import annotations

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import memory_stream_pair

from voicecore.bench.load.raw_websocket import RawWebSocket, accept, client_frame, connect, server_frame
from voicecore.bench.report.result import BenchmarkFailed
from voicecore.net.http.messages import Request, Response
from voicecore.net.http.server import serve
from voicecore.net.transport.network import RealNetwork
from voicecore.net.websocket.frame_codec import FrameParser, Opcode, encode_frame

SIZES = st.sampled_from([0, 1, 125, 126, 127, 400, 65_535, 65_536])


@given(SIZES)
def test_a_client_frame_is_one_that_a_server_takes(size: int) -> None:
    """Masked, whole, of any length."""
    text = "x" * size
    assert FrameParser(1 << 20).feed(client_frame(text.encode())) == [text]


@given(SIZES)
def test_a_server_frame_is_what_our_server_writes(size: int) -> None:
    """Byte for byte."""
    payload = b"y" * size
    assert server_frame(payload) == encode_frame(Opcode.TEXT, payload)


@given(st.lists(SIZES, min_size=1, max_size=4), st.booleans(), st.integers(1, 40))
async def test_messages_are_read_however_they_are_cut(sizes: list[int], masked: bool, pieces: int) -> None:
    """Masked or not, pings between them; at the end there is nothing."""
    near, far = memory_stream_pair()
    frame = client_frame if masked else server_frame
    sent = encode_frame(Opcode.PING, b"").join(frame(b"z" * size) for size in sizes)
    socket, read = RawWebSocket(near, b""), list[int]()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_send_in_pieces, far, sent, len(sent) // pieces + 1)
        while payloads := await socket.receive():
            read += map(len, payloads)
    assert read == sizes


async def test_it_opens_a_connection_with_itself() -> None:
    """Client and server side agree on the upgrade."""
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")

    async def answer(stream: trio.SocketStream) -> None:
        socket = await accept(stream)
        await socket.send(server_frame(b"hello"))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, answer, listeners)
        socket = await connect("127.0.0.1", listeners[0].socket.getsockname()[1], "/")
        assert await socket.receive() == [b"hello"]
        await socket.aclose()
        nursery.cancel_scope.cancel()


async def test_a_refused_upgrade_is_named() -> None:
    """By its status line."""

    async def refuse(_request: Request) -> Response:
        await trio.lowlevel.checkpoint()
        return Response(403)

    listening = await RealNetwork().listen("127.0.0.1", 0)
    async with trio.open_nursery() as nursery:
        await nursery.start(serve, listening.listeners, refuse)
        with pytest.raises(BenchmarkFailed, match="403"):
            await connect("127.0.0.1", listening.port, "/")
        nursery.cancel_scope.cancel()


async def _send_in_pieces(stream: trio.abc.Stream, data: bytes, cut: int) -> None:
    for begin in range(0, len(data), cut):
        await stream.send_all(data[begin : begin + cut])
    await stream.aclose()
