"""The cheapest event loop: one thread over sockets that never block.

    loop.at(due, action)            action(now) when it is due
    loop.watch(file, action)        action() when it is readable
    loop.run(until, done)           let time pass

A measurement of 200 calls needs 20,000 messages a second from the processor that the
engine does not have; as Trio tasks they would cost more than the engine.

Rule 1: times are seconds of `perf_counter`, which all processes of a machine share.
Rule 2: what a peer does not read is queued, up to UNSENT_LIMIT_BYTES; then the run fails.
Rule 3: it is for measuring programs on loopback; it trusts its peer.
"""

from __future__ import annotations

import base64
import hashlib
import heapq
import itertools
import selectors
import socket
from collections.abc import Callable, Sequence
from time import perf_counter
from urllib.parse import urlsplit

from voicecore.bench.load.raw_websocket import GUID, KEY, masked
from voicecore.bench.report.result import BenchmarkFailed

HOST = "127.0.0.1"
UNSENT_LIMIT_BYTES = 16 * 1024 * 1024

_READ_BYTES = 256 * 1024
_TRY_AGAIN_S = 0.002
_BACKLOG = 512
_TEXT, _CLOSE, _PING = 0x81, 0x88, 0x89
_PONG = 0x8A
_MASKED = 0x80
_NO_MASK = bytes(4)  # what a client's answers are masked with

Action = Callable[[float], None]


class Loop:
    """Timers and sockets of one thread."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._timers: list[tuple[float, int, Action]] = []
        self._order = itertools.count()

    def at(self, due: float, action: Action) -> None:
        """Call ``action(now)`` once it is ``due``; actions for the same time run in the order of scheduling."""
        heapq.heappush(self._timers, (due, next(self._order), action))

    def watch(self, file: socket.socket | int, action: Callable[[], None]) -> None:
        """Call ``action()`` whenever there is something to read."""
        self._selector.register(file, selectors.EVENT_READ, action)

    def forget(self, file: socket.socket | int) -> None:
        """Stop watching."""
        self._selector.unregister(file)

    def run(self, until: float, done: Callable[[], bool] | None = None) -> bool:
        """Let time pass until ``until``, or until ``done()``; return whether it is done."""
        timers, select = self._timers, self._selector.select
        while True:
            now = perf_counter()
            while timers and timers[0][0] <= now:
                heapq.heappop(timers)[2](now)
                now = perf_counter()
            if done is not None and done():
                return True
            if now >= until:
                return False
            next_at = min(until, timers[0][0]) if timers else until
            for key, _ in select(max(0.0, next_at - now)):
                key.data()

    def close(self) -> None:
        """Cancel everything; close the sockets that are still watched."""
        self._timers.clear()
        for key in list(self._selector.get_map().values()):
            if isinstance(key.fileobj, socket.socket):
                key.fileobj.close()
        self._selector.close()


class Connection:
    """One WebSocket, either end of it, from its HTTP head on."""

    def __init__(self, loop: Loop, sock: socket.socket, on_head: Callable[[str], None]) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.on_text: Callable[[bytes, float], None] = lambda _payload, _now: None
        """Called with the payload of each text message, and when it was read."""
        self.on_end: Callable[[], None] = lambda: None
        """Called when the peer has closed, or is lost."""
        self.open = True
        self._loop = loop
        self._sock = sock
        self._on_head: Callable[[str], None] | None = on_head
        self._buffer = b""
        self._unsent = bytearray()
        loop.watch(sock, self._readable)

    def send(self, data: bytes) -> None:
        """Write what the peer accepts now; queue the rest."""
        if not self.open:
            return
        if self._unsent:
            self._unsent += data
        else:
            sent = self._write(data)
            if sent < len(data):
                self._unsent += data[sent:]
                self._loop.at(perf_counter() + _TRY_AGAIN_S, self._flush)
        if len(self._unsent) > UNSENT_LIMIT_BYTES:
            raise BenchmarkFailed("the measured process has stopped reading")

    def close(self) -> None:
        """Close without a close frame."""
        if self.open:
            self.open = False
            self._loop.forget(self._sock)
            self._sock.close()

    def _write(self, data: bytes | bytearray) -> int:
        try:
            return self._sock.send(data)
        except BlockingIOError:
            return 0
        except OSError:
            self._end()
            return len(data)

    def _flush(self, now: float) -> None:
        if self.open and self._unsent:
            del self._unsent[: self._write(self._unsent)]
            if self._unsent:
                self._loop.at(now + _TRY_AGAIN_S, self._flush)

    def _readable(self) -> None:
        try:
            data = self._sock.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        now = perf_counter()
        if not data:
            self._end()
            return
        self._buffer = self._buffer + data if self._buffer else data
        if self._on_head is not None:
            self._read_head()
        if self._on_head is None:
            self._read_frames(now)

    def _read_head(self) -> None:
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if found and self._on_head is not None:
            self._buffer, on_head, self._on_head = rest, self._on_head, None
            on_head(head.decode("latin-1"))

    def _read_frames(self, now: float) -> None:
        """Handle whole frames, masked or not."""
        buffer, start, size = self._buffer, 0, len(self._buffer)
        while size - start >= 2 and self.open:
            kind, length = buffer[start], buffer[start + 1] & 0x7F
            begin = start + 2
            if length >= 126:
                begin += 2 if length == 126 else 8
                length = int.from_bytes(buffer[start + 2 : begin], "big")
            mask = b""
            if buffer[start + 1] & _MASKED:
                mask = buffer[begin : begin + 4]
                begin += 4
            end = begin + length
            if end > size or begin > size:
                break
            payload = masked(buffer[begin:end], mask) if mask else buffer[begin:end]
            start = end
            if kind == _TEXT:
                self.on_text(payload, now)
            elif kind == _PING:
                self._answer(_PONG, payload, is_client=not mask)
            elif kind == _CLOSE:
                self._answer(_CLOSE, payload, is_client=not mask)
                self._end()
        self._buffer = buffer[start:]

    def _answer(self, kind: int, payload: bytes, *, is_client: bool) -> None:
        """Answer a control frame."""
        head = bytes((kind, _MASKED | len(payload))) + _NO_MASK if is_client else bytes((kind, len(payload)))
        self.send(head + payload)

    def _end(self) -> None:
        if self.open:
            self.close()
            self.on_end()


def connect(loop: Loop, port: int, path: str, headers: Sequence[tuple[str, str]], limit_s: float) -> Connection:
    """Open a connection as a client; the loop runs in the meantime.

    Raises:
        BenchmarkFailed: The upgrade was refused, or not answered.
    """
    heads: list[str] = []
    lines = [
        f"GET {path} HTTP/1.1",
        f"host: {HOST}:{port}",
        "upgrade: websocket",
        "connection: Upgrade",
        "sec-websocket-version: 13",
        f"sec-websocket-key: {KEY}",
        *(f"{name}: {value}" for name, value in headers),
    ]
    connection = Connection(loop, socket.create_connection((HOST, port), limit_s), heads.append)
    connection.send("\r\n".join([*lines, "", ""]).encode())
    loop.run(perf_counter() + limit_s, lambda: bool(heads) or not connection.open)
    if not heads or not heads[0].startswith("HTTP/1.1 101 "):
        connection.close()
        status = heads[0].partition("\r\n")[0] if heads else "no answer"
        raise BenchmarkFailed(f"a WebSocket was refused: {status}")
    return connection


def post(loop: Loop, url: str, headers: Sequence[tuple[str, str]], body: bytes, limit_s: float) -> bytes:
    """Send one HTTP request to this machine; return the whole answer, head included. The loop runs in the meantime.

    Raises:
        BenchmarkFailed: No answer in time.
    """
    where = urlsplit(url)
    lines = [
        f"POST {where.path} HTTP/1.1",
        f"host: {where.netloc}",
        "connection: close",
        "content-type: application/x-www-form-urlencoded",
        f"content-length: {len(body)}",
        *(f"{name}: {value}" for name, value in headers),
    ]
    answer = bytearray()
    over = False

    def read() -> None:
        nonlocal over
        try:
            data = sock.recv(_READ_BYTES)
        except OSError:
            data = b""
        answer.extend(data)
        over = not data

    sock = socket.create_connection((HOST, where.port or 80), limit_s)
    sock.sendall("\r\n".join([*lines, "", ""]).encode() + body)
    loop.watch(sock, read)
    loop.run(perf_counter() + limit_s, lambda: over)
    loop.forget(sock)
    sock.close()
    if not over:
        raise BenchmarkFailed(f"{where.path} was not answered")
    return bytes(answer)


def listen(loop: Loop, accepted: Callable[[Connection, str], None]) -> tuple[int, Callable[[], None]]:
    """Accept connections; ``accepted`` gets each with its head. Returns the port, and a function that stops."""
    listener = socket.create_server((HOST, 0), backlog=_BACKLOG)
    listener.setblocking(False)

    def accept() -> None:
        sock, _ = listener.accept()

        def handshake(head: str) -> None:
            lines = head.split("\r\n")
            key = next((line.partition(":")[2].strip() for line in lines if _is_key(line)), "")
            proof = base64.b64encode(hashlib.sha1((key + GUID).encode(), usedforsecurity=False).digest()).decode()
            answer = ("HTTP/1.1 101 Switching Protocols", "upgrade: websocket", "connection: Upgrade")
            connection.send("\r\n".join([*answer, f"sec-websocket-accept: {proof}", "", ""]).encode())
            accepted(connection, head)

        connection = Connection(loop, sock, handshake)

    def stop() -> None:
        loop.forget(listener)
        listener.close()

    loop.watch(listener, accept)
    port: int = listener.getsockname()[1]
    return port, stop


def _is_key(line: str) -> bool:
    return line.lower().startswith("sec-websocket-key:")
