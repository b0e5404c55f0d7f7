"""A WebSocket message through the sockets of net/, on loopback: one in, one out.

    accepted   net/server.py with our own frames, towards carriers
    dialled    net/dial.py on trio-websocket, towards providers
    stream     the bytes of the same frames on a bare Trio stream: the floor

The peer is the cheapest there is, the same in all three, and in the same
process: what a row has more than the floor is the socket's own.

Used by main.py.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager

import attrs
import trio

from voicecore.bench.raw_websocket import RawWebSocket, accept, client_frame, connect, server_frame
from voicecore.bench.result import BenchmarkFailed, Column, Plan, Progress, Result, Size, Value, median
from voicecore.net.accepted import SocketLimits
from voicecore.net.dial import dial
from voicecore.net.http_messages import Request, Upgrade
from voicecore.net.server import serve
from voicecore.net.sockets import RealNetwork
from voicecore.net.websocket import WebSocket

_HOST = "127.0.0.1"
_MESSAGE = "m" * 400  #: as long as a media message of 20 ms
_BURST = 32  #: messages that come together; below what the dialled socket reads ahead
_ROUNDS = 5
_LIMITS = SocketLimits(frames_a_second=10_000_000)
_LONGEST_S = 60.0

_ABOUT = """\
CPU of both ends, 400-byte messages. One by one: a message is received, answered with one, and only then the next comes:
a wake-up for each. Together: 32 come at once, one answer goes back. Above: above the bare stream, which takes peer and
system away. No TLS. The dialled end masks what it sends, the accepted end unmasks what it reads."""


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


def measure(plan: Plan, progress: Progress) -> Sequence[Result]:
    """Return the table of sockets."""
    costs: dict[str, tuple[float, float]] = {}
    for name, open_pair in _PAIRS.items():
        progress(name)
        costs[name] = trio.run(_cost, plan, open_pair)
    floor = costs["stream"]
    rows: list[Mapping[str, Value]] = [
        {
            "socket": name,
            "one by one": single,
            "one by one, above": single - floor[0],
            "together": burst,
            "together, above": burst - floor[1],
        }
        for name, (single, burst) in costs.items()
    ]
    columns = (
        Column("socket"),
        Column("one by one", "µs/round"),
        Column("one by one, above", "µs/round"),
        Column("together", "µs/message"),
        Column("together, above", "µs/message"),
    )
    return [Result(name="a WebSocket message on loopback", about=_ABOUT, columns=columns, rows=rows)]


async def _cost(plan: Plan, open_pair: Callable[[], AbstractAsyncContextManager[Pair]]) -> tuple[float, float]:
    """Return µs for a message and its answer, and for a message of a burst."""
    rounds = 2_000 if plan.size is Size.FULL else 20
    with trio.fail_after(_LONGEST_S):
        async with open_pair() as pair:
            await _exchange(pair, rounds // 10, 1)
            single = [await _exchange(pair, rounds, 1) for _ in range(_ROUNDS)]
            burst = [await _exchange(pair, rounds // 8, _BURST) for _ in range(_ROUNDS)]
    return median(single), median(burst)


async def _exchange(pair: Pair, rounds: int, size: int) -> float:
    """Return µs for each message, when ``size`` come together and are answered by one."""
    frames = pair.frame * size
    began_at = time.process_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_tested, pair, rounds, size)
        for _ in range(rounds):
            await pair.send(frames)
            await pair.receive()
    return (time.process_time() - began_at) / (rounds * size) * 1e6


async def _tested(pair: Pair, rounds: int, size: int) -> None:
    for _ in range(rounds):
        missing = size
        while missing > 0:
            missing -= await pair.take()
        if missing:
            raise BenchmarkFailed("more messages came than were sent")
        await pair.answer()


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
async def _dialled() -> AsyncIterator[Pair]:
    """Our dialled socket, a raw server."""
    async with (
        _raw_server() as (port, accepted),
        dial(RealNetwork(), f"ws://{_HOST}:{port}/") as socket,
        aclosing(await accepted.receive()) as peer,
    ):
        yield _pair(peer, server_frame, socket)


@asynccontextmanager
async def _stream() -> AsyncIterator[Pair]:
    """Raw at both ends."""
    async with _raw_server() as (port, accepted), aclosing(await connect(_HOST, port, "/")) as peer:
        yield _pair(peer, server_frame, _Bare(await accepted.receive()))


@asynccontextmanager
async def _raw_server() -> AsyncIterator[tuple[int, trio.MemoryReceiveChannel[RawWebSocket]]]:
    """Listen while the block runs; gives the port, and where the one connection comes out."""
    send, receive = trio.open_memory_channel[RawWebSocket](1)

    async def run(stream: trio.SocketStream) -> None:
        await send.send(await accept(stream))
        await trio.sleep_forever()

    listeners = await trio.open_tcp_listeners(0, host=_HOST)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, run, listeners)
        yield listeners[0].socket.getsockname()[1], receive
        nursery.cancel_scope.cancel()


class _Bare:
    """A raw end in the tested place."""

    def __init__(self, raw: RawWebSocket) -> None:
        self._raw = raw
        self._frame = server_frame(_MESSAGE.encode())

    async def receive(self) -> list[bytes]:
        return await self._raw.receive()

    async def send(self, _text: str) -> None:
        await self._raw.send(self._frame)


def _pair(peer: RawWebSocket, frame: Callable[[bytes], bytes], tested: WebSocket | _Bare) -> Pair:
    async def receive() -> int:
        return len(await peer.receive())

    async def take() -> int:
        return len(await tested.receive())

    async def answer() -> None:
        await tested.send(_MESSAGE)

    return Pair(peer.send, receive, frame(_MESSAGE.encode()), take, answer)


_PAIRS: Mapping[str, Callable[[], AbstractAsyncContextManager[Pair]]] = {
    "stream": _stream,
    "accepted": _accepted,
    "dialled": _dialled,
}
