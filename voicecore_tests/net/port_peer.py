"""A peer that speaks in bytes: requests and frames made by hand, sent whole, cut, or wrong.

Rule: nothing here comes from a library that the port itself uses, so that a
fault of theirs shows.

Used by the tests of the server's port; `open_port` runs one in memory.  (raw_peer.py is the other
side: a server, for the tests of dialling.)
"""

from __future__ import annotations

import base64
import hashlib
import random
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager

import attrs
import trio

from voicecore.errors import ConnectionLost
from voicecore.net.http.messages import App, Request, Response, ServerLimits, Upgrade
from voicecore.net.http.routes import Parameters, Router
from voicecore.net.http.server import serve
from voicecore.net.websocket.protocol import WebSocket
from voicecore.net.websocket.server import SocketLimits
from voicecore.nurseries import open_service_nursery
from voicecore.simulation.memory_network import LinkSettings, MemoryNetwork, MemoryStream
from voicecore_tests.net.transports import on_transport

Handler = Callable[[WebSocket], Awaitable[None]]

TEXT, BINARY, CLOSE, PING, PONG, CONTINUATION = 1, 2, 8, 9, 10, 0
KEY = "dGhlIHNhbXBsZSBub25jZQ=="  # of RFC 6455, section 1.3
MASK = b"\x37\xfa\x21\x3d"
LIMIT_S = 300.0  #: a test that has not ended by then hangs

UPGRADE = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": KEY,
}


@attrs.frozen
class Answer:
    """One HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes


@attrs.frozen
class Frame:
    """One frame of a server: whole, not masked."""

    opcode: int
    payload: bytes

    @property
    def code(self) -> int:
        """The code of a close frame."""
        assert self.opcode == CLOSE, self
        return int(struct.unpack_from("!H", self.payload)[0])


def request(method: str = "GET", path: str = "/health", headers: Iterable[str] = (), body: bytes = b"") -> bytes:
    """Return a request with a Host, the given header lines, and the body as it is."""
    lines = [f"{method} {path} HTTP/1.1", "Host: port", *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


def upgrade_request(path: str = "/echo", *, without: str = "", **other: str) -> bytes:
    """Return a right upgrade request, but for one header left out or others (``Name_Of_Header``) put in."""
    headers = UPGRADE | {name.replace("_", "-"): value for name, value in other.items()}
    headers.pop(without, None)
    return request(path=path, headers=[f"{name}: {value}" for name, value in headers.items()])


def frame(opcode: int, payload: bytes = b"", *, first: int | None = None, mask: bytes | None = MASK) -> bytes:
    """Return a client's frame; ``first`` replaces its first byte (0x80 + opcode), ``mask`` None leaves it bare."""
    head = bytes([0x80 | opcode if first is None else first]) + length_bytes(len(payload), is_masked=mask is not None)
    if mask is None:
        return head + payload
    return head + mask + bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))


def piece(opcode: int, payload: bytes = b"") -> bytes:
    """Return a client's frame that is not the last one of its message."""
    return frame(opcode, payload, first=opcode)


def length_bytes(length: int, *, is_masked: bool = True) -> bytes:
    """Return a length as a frame's second byte and those behind it say it."""
    bit = 0x80 if is_masked else 0
    if length < 126:
        return bytes([bit | length])
    if length < 1 << 16:
        return bytes([bit | 126]) + struct.pack("!H", length)
    return bytes([bit | 127]) + struct.pack("!Q", length)


def close_frame(code: int, reason: bytes = b"") -> bytes:
    """Return a client's close frame."""
    return frame(CLOSE, struct.pack("!H", code) + reason)


class RawPeer:
    """One connection to a port, as bytes."""

    def __init__(self, stream: MemoryStream) -> None:
        self.stream = stream
        self._unread = b""

    async def send(self, data: bytes) -> None:
        await self.stream.send_all(data)

    async def answer(self) -> Answer:
        """Read one HTTP answer."""
        head, _, rest = (await self._until(b"\r\n\r\n")).partition(b"\r\n\r\n")
        status, *lines = head.decode("ascii").split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        size = int(headers.get("content-length", "0"))
        self._unread = rest
        return Answer(int(status.split()[1]), headers, await self._exactly(size))

    async def upgraded(self, data: bytes | None = None) -> RawPeer:
        """Ask for a WebSocket and see it granted."""
        await self.send(upgrade_request() if data is None else data)
        answer = await self.answer()
        assert answer.status == 101, answer
        guid = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        proof = base64.b64encode(hashlib.sha1(KEY.encode() + guid, usedforsecurity=False).digest()).decode()
        assert answer.headers["sec-websocket-accept"] == proof.lower()
        return self

    async def frame(self) -> Frame:
        """Read one frame; EOFError at the end of the stream."""
        first, second = await self._exactly(2)
        assert first & 0x80, "a frame that is not final"
        assert not second & 0x80, "a masked frame of a server"
        length = second
        if second == 126:
            (length,) = struct.unpack("!H", await self._exactly(2))
        elif second == 127:
            (length,) = struct.unpack("!Q", await self._exactly(8))
        return Frame(first & 0x7F, await self._exactly(length))

    async def close_code(self) -> int:
        """Read on to the close frame, whatever comes before it, and return its code."""
        while (received := await self.frame()).opcode != CLOSE:
            pass
        return received.code

    async def at_end(self) -> bytes:
        """Return all that comes until the port has closed the connection."""
        while data := await self._more():
            self._unread += data
        return self._unread

    async def _until(self, mark: bytes) -> bytes:
        while mark not in self._unread:
            await self._grow()
        return self._unread

    async def _exactly(self, size: int) -> bytes:
        while len(self._unread) < size:
            await self._grow()
        data, self._unread = self._unread[:size], self._unread[size:]
        return data

    async def _grow(self) -> None:
        data = await self._more()
        if not data:
            raise EOFError(f"the connection ended behind {self._unread!r}")
        self._unread += data

    async def _more(self) -> bytes:
        try:
            return bytes(await self.stream.receive_some(65536))
        except trio.BrokenResourceError:
            return b""


class Port:
    """A running port in memory, and the peers that a test connects to it."""

    def __init__(self, network: MemoryNetwork) -> None:
        self.network = network
        self._streams: list[MemoryStream] = []

    async def connect(self) -> RawPeer:
        stream = await self.network.open_stream("port", 80, tls=False)
        assert isinstance(stream, MemoryStream)
        self._streams.append(stream)
        return RawPeer(stream)

    async def ask(self, data: bytes) -> Answer:
        """Send a request on a connection of its own and return the answer."""
        peer = await self.connect()
        await peer.send(data)
        answer = await peer.answer()
        await peer.stream.aclose()
        return answer

    async def lives(self) -> bool:
        """Whether a plain request and a plain message are answered."""
        peer = await (await self.connect()).upgraded()
        await peer.send(frame(TEXT, b"still there?"))
        echoed = await peer.frame() == Frame(TEXT, b"still there?")
        await peer.stream.aclose()
        return echoed and (await self.ask(request())).status == 200

    async def close_peers(self) -> None:
        for stream in self._streams:
            await stream.aclose()


@asynccontextmanager
async def open_port(
    app: App | None = None,
    limits: ServerLimits | None = None,
    socket_limits: SocketLimits | None = None,
    *,
    link: LinkSettings | None = None,
) -> AsyncIterator[Port]:
    """Run a port; at the end every connection must have been released."""
    network = MemoryNetwork(random.Random(0), link)
    listening = await network.listen("port", 80)
    port = Port(network)
    with trio.fail_after(LIMIT_S):
        async with open_service_nursery() as nursery:
            await nursery.start(serve, listening.listeners, app or echo_app(socket_limits), on_transport(limits))
            yield port
    await port.close_peers()
    assert network.open_streams == 0


def echo_app(socket_limits: SocketLimits | None = None) -> App:
    """Return an application: /health, /hook (answers its body), /echo (WebSocket), /media/{token} (only ``good``)."""
    limits = socket_limits or SocketLimits()

    async def health(_request: Request, _parameters: Parameters) -> Response:
        await trio.lowlevel.checkpoint()
        return Response(200, b"ok")

    async def hook(request: Request, _parameters: Parameters) -> Response:
        await trio.lowlevel.checkpoint()
        return Response(200, request.body)

    async def echo(_request: Request, _parameters: Parameters) -> Upgrade:
        await trio.lowlevel.checkpoint()
        return Upgrade(echo_messages, limits)

    async def media(_request: Request, parameters: Parameters) -> Response | Upgrade:
        await trio.lowlevel.checkpoint()
        return Upgrade(echo_messages, limits) if parameters["token"] == "good" else Response(403)

    return Router(
        {
            ("GET", "/health"): health,
            ("POST", "/hook"): hook,
            ("GET", "/echo"): echo,
            ("GET", "/media/{token}"): media,
        }
    )


def socket_app(run: Handler, limits: SocketLimits | None = None) -> App:
    """Return an application that gives every upgrade to ``run``."""

    async def answer(_request: Request) -> Upgrade:
        await trio.lowlevel.checkpoint()
        return Upgrade(run, limits or SocketLimits())

    return answer


async def echo_messages(socket: WebSocket) -> None:
    """Answer every message with itself until the peer goes."""
    while True:
        for text in await socket.receive():
            await socket.send(text)


class Collector:
    """A handler that keeps what it received, and how its socket ended."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.batches: list[list[str]] = []
        self.lost: ConnectionLost | None = None
        self.lost_at: float | None = None

    async def run(self, socket: WebSocket) -> None:
        try:
            while True:
                batch = await socket.receive()
                self.batches.append(batch)
                self.texts += batch
        except ConnectionLost as lost:
            self.lost, self.lost_at = lost, trio.current_time()
            raise
