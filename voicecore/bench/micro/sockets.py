"""A WebSocket message through the sockets of net/, on loopback: one in, one out.

    stream           the bytes of the same frames on a bare Trio stream: the floor
    accepted         net/http/server.py: the server's end, towards carriers
    dialled          net/websocket/connect.py: the client's end, towards providers
    trio-websocket   a library's client in the same role, for comparison

and the client's ends again, over TLS.

The peer is the cheapest possible, always the same, and in the same process: what a row
has above the floor is the socket's own.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from functools import partial

import attrs
import trio
from trio_websocket import WebSocketConnection, wrap_client_stream

from voicecore.bench.load.raw_websocket import RawWebSocket, accept, ask, client_frame, connect, server_frame
from voicecore.bench.report.result import BenchmarkFailed, Column, Plan, Progress, Result, Value, median
from voicecore.net.http.messages import Request, Upgrade
from voicecore.net.http.server import serve
from voicecore.net.transport.network import RealNetwork
from voicecore.net.websocket.connect import dial
from voicecore.net.websocket.protocol import WebSocket
from voicecore.net.websocket.server import SocketLimits

_HOST = "127.0.0.1"
_MESSAGE = "m" * 400  #: as long as a media message of 20 ms
_BURST = 32  #: messages that come together; below what the dialled socket reads ahead
_ROUNDS = 5
_LIMITS = SocketLimits(frames_a_second=10_000_000)
_LONGEST_S = 60.0

_ABOUT = """\
CPU of both ends, 400-byte messages. One by one: a message is received and answered with one before the next is sent: a
wake-up for each. At once: the same, answered without waiting. Together: 32 arrive at once, one answer is sent. Above:
above the bare stream, which removes peer and system; over TLS above Trio's own, at both ends. The client's ends mask
what they send, the accepted end unmasks what it reads. The TLS cipher is one that needs no certificate."""


@attrs.frozen
class Pair:
    """Two ends of one connection; messages go from the peer to the tested end, answers back."""

    send: Callable[[bytes], Awaitable[None]]
    """The peer writes frames."""
    receive: Callable[[], Awaitable[int]]
    """The peer reads; returns how many messages came."""
    frame: bytes
    """One message as the peer sends it."""
    take: Callable[[], Awaitable[int]]
    """The tested end reads; returns how many messages came."""
    answer: Callable[[], Awaitable[None]]
    """The tested end sends one message."""
    answer_now: Callable[[], bool] | None = None
    """The same without waiting, where it can."""


@attrs.frozen
class Cost:
    """µs of CPU for a message and its answer, for the same answered at once, and for a message of a burst."""

    single: float
    at_once: float | None
    together: float


def measure(plan: Plan, progress: Progress) -> Sequence[Result]:
    """Return the table of sockets."""
    rows: list[Mapping[str, Value]] = []
    for floor_name, names in _TABLE.items():
        progress(floor_name)
        floor = trio.run(_cost, plan, _PAIRS[floor_name])
        rows.append(_row(floor_name, floor, floor))
        for name in names:
            progress(name)
            rows.append(_row(name, trio.run(_cost, plan, _PAIRS[name]), floor))
    columns = (
        Column("socket"),
        Column("one by one", "µs/round"),
        Column("one by one, above", "µs/round"),
        Column("at once, above", "µs/round"),
        Column("together", "µs/message"),
        Column("together, above", "µs/message"),
    )
    return [Result(name="a WebSocket message on loopback", about=_ABOUT, columns=columns, rows=rows)]


def _row(name: str, cost: Cost, floor: Cost) -> Mapping[str, Value]:
    return {
        "socket": name,
        "one by one": cost.single,
        "one by one, above": cost.single - floor.single,
        "at once, above": None if cost.at_once is None else cost.at_once - floor.single,
        "together": cost.together,
        "together, above": cost.together - floor.together,
    }


async def _cost(plan: Plan, open_pair: Callable[[], AbstractAsyncContextManager[Pair]]) -> Cost:
    rounds = plan.pick(20, 400, 2_000)
    with trio.fail_after(_LONGEST_S):
        async with open_pair() as pair:
            await _exchange(pair, rounds // 10, 1)
            single = [await _exchange(pair, rounds, 1) for _ in range(_ROUNDS)]
            at_once = [await _exchange(pair, rounds, 1, at_once=True) for _ in range(_ROUNDS) if pair.answer_now]
            together = [await _exchange(pair, rounds // 8, _BURST) for _ in range(_ROUNDS)]
    return Cost(median(single), median(at_once) if at_once else None, median(together))


async def _exchange(pair: Pair, rounds: int, size: int, *, at_once: bool = False) -> float:
    """Return µs for each message, when ``size`` come together and are answered by one."""
    frames = pair.frame * size
    began_at = time.process_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_tested, pair, rounds, size, at_once)
        for _ in range(rounds):
            await pair.send(frames)
            await pair.receive()
    return (time.process_time() - began_at) / (rounds * size) * 1e6


async def _tested(pair: Pair, rounds: int, size: int, at_once: bool) -> None:
    for _ in range(rounds):
        missing = size
        while missing > 0:
            missing -= await pair.take()
        if missing:
            raise BenchmarkFailed("more messages arrived than were sent")
        if at_once:
            _answer_now(pair)
        else:
            await pair.answer()


def _answer_now(pair: Pair) -> None:
    if pair.answer_now is None or not pair.answer_now():
        raise BenchmarkFailed("an answer was not taken at once")


@asynccontextmanager
async def _accepted() -> AsyncIterator[Pair]:
    """Our server, a raw client."""
    send_socket, receive_socket = trio.open_memory_channel[WebSocket](1)

    async def run(socket: WebSocket) -> None:
        await send_socket.send(socket)
        await trio.sleep_forever()

    async def answer(_request: Request) -> Upgrade:
        await trio.lowlevel.checkpoint()
        return Upgrade(run, _LIMITS)

    listening = await RealNetwork().listen(_HOST, 0)
    async with trio.open_nursery() as nursery:
        await nursery.start(serve, listening.listeners, answer)
        async with aclosing(await connect(_HOST, listening.port, "/")) as peer:
            yield _pair(peer, client_frame, await receive_socket.receive())
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def _dialled(*, tls: bool = False) -> AsyncIterator[Pair]:
    """Our dialled socket, a raw server."""
    async with (
        _raw_server(tls=tls) as (port, accepted),
        dial(RealNetwork(_client_tls()), f"{'wss' if tls else 'ws'}://{_HOST}:{port}/") as socket,
        aclosing(await accepted.receive()) as peer,
    ):
        yield _pair(peer, server_frame, socket)


@asynccontextmanager
async def _library(*, tls: bool = False) -> AsyncIterator[Pair]:
    """A library's client, a raw server. The stream is ours, because the library may leave it open."""
    async with _raw_server(tls=tls) as (port, accepted), trio.open_nursery() as nursery:
        stream = await _client_stream(port, tls=tls)
        try:
            socket = await wrap_client_stream(nursery, stream, _HOST, "/", message_queue_size=_BURST)
            async with aclosing(await accepted.receive()) as peer:
                yield _pair(peer, server_frame, _Library(socket))
        finally:
            nursery.cancel_scope.cancel()
            await trio.aclose_forcefully(stream)


@asynccontextmanager
async def _stream(*, tls: bool = False) -> AsyncIterator[Pair]:
    """Raw at both ends."""
    async with (
        _raw_server(tls=tls) as (port, accepted),
        aclosing(await ask(await _client_stream(port, tls=tls), f"{_HOST}:{port}", "/")) as peer,
        aclosing(await accepted.receive()) as tested,
    ):
        yield _pair(peer, server_frame, _Bare(tested))


async def _client_stream(port: int, *, tls: bool) -> trio.SocketStream | trio.SSLStream[trio.SocketStream]:
    stream = await trio.open_tcp_stream(_HOST, port)
    if not tls:
        return stream
    return trio.SSLStream(stream, _client_tls(), server_hostname=_HOST, https_compatible=True)


@asynccontextmanager
async def _raw_server(*, tls: bool) -> AsyncIterator[tuple[int, trio.MemoryReceiveChannel[RawWebSocket]]]:
    """Listen while the block runs; gives the port, and a channel that receives the one connection."""
    send, receive = trio.open_memory_channel[RawWebSocket](1)

    async def run(stream: trio.SocketStream) -> None:
        below: trio.abc.Stream = stream
        if tls:
            below = trio.SSLStream(stream, _server_tls(), server_side=True, https_compatible=True)
        await send.send(await accept(below))
        await trio.sleep_forever()

    listeners = await trio.open_tcp_listeners(0, host=_HOST)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, run, listeners)
        yield listeners[0].socket.getsockname()[1], receive
        nursery.cancel_scope.cancel()


def _server_tls() -> ssl.SSLContext:
    return _without_certificate(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))


def _client_tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return _without_certificate(context)


def _without_certificate(context: ssl.SSLContext) -> ssl.SSLContext:
    """Let a context do without certificates: here both ends are the same process."""
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("AECDH-AES128-SHA:@SECLEVEL=0")
    return context


class _Bare:
    """A raw socket as the tested end."""

    def __init__(self, raw: RawWebSocket) -> None:
        self._raw = raw
        self._frame = server_frame(_MESSAGE.encode())

    async def receive(self) -> Sequence[bytes]:
        return await self._raw.receive()

    async def send(self, _text: str) -> None:
        await self._raw.send(self._frame)


class _Library:
    """A library's socket as the tested end."""

    def __init__(self, connection: WebSocketConnection) -> None:
        self._connection = connection

    async def receive(self) -> Sequence[str | bytes]:
        return [await self._connection.get_message()]

    async def send(self, text: str) -> None:
        await self._connection.send_message(text)


def _pair(peer: RawWebSocket, frame: Callable[[bytes], bytes], tested: WebSocket | _Bare | _Library) -> Pair:
    async def receive() -> int:
        return len(await peer.receive())

    async def take() -> int:
        return len(await tested.receive())

    async def answer() -> None:
        await tested.send(_MESSAGE)

    answer_now = None if isinstance(tested, _Bare | _Library) else partial(tested.send_nowait, _MESSAGE)
    return Pair(peer.send, receive, frame(_MESSAGE.encode()), take, answer, answer_now)


_PAIRS: Mapping[str, Callable[[], AbstractAsyncContextManager[Pair]]] = {
    "stream": _stream,
    "accepted": _accepted,
    "dialled": _dialled,
    "trio-websocket": _library,
    "stream, TLS": partial(_stream, tls=True),
    "dialled, TLS": partial(_dialled, tls=True),
    "trio-websocket, TLS": partial(_library, tls=True),
}
_TABLE: Mapping[str, Sequence[str]] = {
    "stream": ("accepted", "dialled", "trio-websocket"),
    "stream, TLS": ("dialled, TLS", "trio-websocket, TLS"),
}
"""Each floor, and the sockets that are compared with it."""
