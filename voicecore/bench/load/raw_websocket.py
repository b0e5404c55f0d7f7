"""The cheapest correct peer: WebSocket frames on a bare stream, for the load's side of a measurement.

What the load uses is missing from the machine that the engine is measured on, so that
this handles the wire and nothing else: no reader task, no locks, no limits.

Rule: it is for measuring our own programs on loopback; it trusts its peer.
"""

from __future__ import annotations

import base64
import hashlib
import struct
from collections.abc import Sequence

import trio

from voicecore.bench.report.result import BenchmarkFailed

KEY = base64.b64encode(b"voicecore-bench!").decode()  #: of every opening: there are no proxies
GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  #: RFC 6455, section 1.3

_READ_BYTES = 64 * 1024
_HEAD_LIMIT_BYTES = 16 * 1024
_MASK = b"\x9d\x31\xe2\x57"  # any will do: the peer's work is the same
_TEXT = 0x81
_MASKED = 0x80


class RawWebSocket:
    """One connection; one task sends, one receives."""

    def __init__(self, stream: trio.abc.Stream, unread: bytes) -> None:
        self._stream = stream
        self._buffer = bytearray(unread)

    async def send(self, frames: bytes) -> None:
        """Write frames that `client_frame` or `server_frame` made."""
        await self._stream.send_all(frames)

    async def receive(self) -> list[bytes]:
        """Return the payloads of the text messages that have come whole, at least one; [] at the end."""
        while True:
            if payloads := self._parse():
                return payloads
            data = await self._stream.receive_some(_READ_BYTES)
            if not data:
                return []
            self._buffer += data

    async def aclose(self) -> None:
        """Close the stream without a close frame."""
        await trio.aclose_forcefully(self._stream)

    def _parse(self) -> list[bytes]:
        """Take whole frames, masked or not; frames that are not text are skipped."""
        buffer, start, payloads = self._buffer, 0, []
        while len(buffer) - start >= 2:
            kind, length = buffer[start], buffer[start + 1] & 0x7F
            head = start + {126: 4, 127: 10}.get(length, 2)
            if len(buffer) < head:
                break
            if length >= 126:
                length = int.from_bytes(buffer[start + 2 : head], "big")
            mask_bytes = 4 if buffer[start + 1] & _MASKED else 0
            begin = head + mask_bytes
            if len(buffer) < begin + length:
                break
            if kind == _TEXT:
                payload = bytes(buffer[begin : begin + length])
                payloads.append(masked(payload, bytes(buffer[head:begin])) if mask_bytes else payload)
            start = begin + length
        del buffer[:start]
        return payloads


def client_frame(text: bytes) -> bytes:
    """Return a text message as a client sends it."""
    return _head(len(text), _MASKED) + _MASK + masked(text, _MASK)


def server_frame(text: bytes) -> bytes:
    """Return a text message as a server sends it."""
    return _head(len(text), 0) + text


async def connect(host: str, port: int, path: str, headers: Sequence[tuple[str, str]] = ()) -> RawWebSocket:
    """Open a connection as a client.

    Raises:
        BenchmarkFailed: The upgrade was refused.
        OSError: Nothing listens there.
    """
    return await ask(await trio.open_tcp_stream(host, port), f"{host}:{port}", path, headers)


async def ask(stream: trio.abc.Stream, host: str, path: str, headers: Sequence[tuple[str, str]] = ()) -> RawWebSocket:
    """Open a connection as a client, on a stream that leads there. Raises BenchmarkFailed."""
    lines = [
        f"GET {path} HTTP/1.1",
        f"host: {host}",
        "upgrade: websocket",
        "connection: Upgrade",
        "sec-websocket-version: 13",
        f"sec-websocket-key: {KEY}",
        *(f"{name}: {value}" for name, value in headers),
    ]
    await stream.send_all("\r\n".join([*lines, "", ""]).encode())
    head, unread = await _read_head(stream)
    if not head.startswith(b"HTTP/1.1 101 "):
        await trio.aclose_forcefully(stream)
        status = head.decode("latin-1").split("\r\n")[0]
        raise BenchmarkFailed(f"a WebSocket was refused: {status}")
    return RawWebSocket(stream, unread)


async def accept(stream: trio.abc.Stream) -> RawWebSocket:
    """Answer a client's upgrade, whatever it asks for."""
    head, unread = await _read_head(stream)
    lines = head.decode("latin-1").split("\r\n")
    key = next(line.partition(":")[2].strip() for line in lines if line.lower().startswith("sec-websocket-key:"))
    accepts = base64.b64encode(hashlib.sha1((key + GUID).encode(), usedforsecurity=False).digest()).decode()
    answer = ("HTTP/1.1 101 Switching Protocols", "upgrade: websocket", "connection: Upgrade")
    await stream.send_all("\r\n".join([*answer, f"sec-websocket-accept: {accepts}", "", ""]).encode())
    return RawWebSocket(stream, unread)


async def _read_head(stream: trio.abc.Stream) -> tuple[bytes, bytes]:
    """Return the head of an HTTP message, and what was read after it."""
    read = b""
    while b"\r\n\r\n" not in read:
        data = await stream.receive_some(_READ_BYTES)
        if not data or len(read) > _HEAD_LIMIT_BYTES:
            raise BenchmarkFailed("a WebSocket handshake was cut off")
        read += data
    head, _, unread = read.partition(b"\r\n\r\n")
    return head, unread


def _head(length: int, masked: int) -> bytes:
    if length < 126:
        return struct.pack("!BB", _TEXT, masked | length)
    if length < 1 << 16:
        return struct.pack("!BBH", _TEXT, masked | 126, length)
    return struct.pack("!BBQ", _TEXT, masked | 127, length)


def masked(data: bytes, mask: bytes) -> bytes:
    """Return data under a mask of four bytes, or without it."""
    size = len(data)
    key = int.from_bytes((mask * (size // 4 + 1))[:size], "little")
    return (int.from_bytes(data, "little") ^ key).to_bytes(size, "little")
