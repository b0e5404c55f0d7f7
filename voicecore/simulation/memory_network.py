"""A network in memory: bounded byte pipes between simulated peers, on Trio's clock.

Rule 1: a pipe buffers at most ``buffer_bytes``: a peer that does not read blocks the
one that writes, as with sockets.
Rule 2: what may vary in a network (delay, how bytes are split) is drawn from the seed
that it was given, and from nothing else.
Rule 3: every stream is counted when it opens and when it closes, so that a test can
ask what is left open; a connection that nobody accepted counts too.
Rule 4: a stream behaves as a socket does: small writes never wait, and are whole or
not written at all when cancelled; what arrived before an end can still be read.

Implements `voicecore.world.Network`.
"""

from __future__ import annotations

import enum
import errno
import itertools
import math
import random
from collections import deque
from contextlib import suppress

import attrs
import trio

from voicecore.errors import ConnectionLost
from voicecore.world import Buffer, ByteStream, Listening, WebSocketTransport

_FIRST_FREE_PORT = 40_000
_BACKLOG = 64  #: connections that wait to be accepted


@attrs.frozen(kw_only=True)
class LinkSettings:
    """How a simulated network behaves; seconds and bytes."""

    connect_s: float = attrs.field(default=0.0, validator=attrs.validators.ge(0.0))
    delay_s: float = attrs.field(default=0.0, validator=attrs.validators.ge(0.0))
    """One way."""
    buffer_bytes: int = attrs.field(default=256 * 1024, validator=attrs.validators.ge(1))
    """What the two kernels and the wire would buffer, each way."""
    split_bytes: int | None = attrs.field(default=None, validator=attrs.validators.optional(attrs.validators.ge(1)))
    """Every read returns from one to this many bytes, drawn from the seed; None: whatever is there."""


class _End(enum.Enum):
    """The state of one end of a pipe."""

    OPEN = "open"
    CLOSED = "closed"
    BROKEN = "broken"


class _Pipe:
    """One direction of a connection."""

    def __init__(self, settings: LinkSettings, rng: random.Random) -> None:
        self._settings = settings
        self._rng = rng
        self._chunks: deque[tuple[float, bytes]] = deque()  # (arrives at, data); bounded by buffer_bytes
        self._buffered_bytes = 0
        self._changed = trio.Event()
        self.write_end = _End.OPEN
        self.read_end = _End.OPEN
        self._end_arrives_at = math.inf
        self.coalesce_bytes = 1

    @property
    def free_bytes(self) -> int:
        return self._settings.buffer_bytes - self._buffered_bytes

    def write_now(self, data: Buffer) -> int:
        """Accept what fits, and return how much that was."""
        self._check_writable()
        piece = bytes(data[: self.free_bytes])
        if piece:
            self._chunks.append((trio.current_time() + self._settings.delay_s, piece))
            self._buffered_bytes += len(piece)
            self.notify()
        return len(piece)

    async def wait_for_space(self) -> None:
        self._check_writable()
        await trio.lowlevel.checkpoint()
        while self.free_bytes == 0:
            self._check_writable()
            await self._wait()
        self._check_writable()

    def _check_writable(self) -> None:
        if self.write_end is not _End.OPEN:
            raise trio.ClosedResourceError
        if self.read_end is not _End.OPEN:
            raise trio.BrokenResourceError("the peer has closed")

    def read_now(self, max_bytes: int) -> bytes | None:
        self._check_readable()
        if self._chunks and self._chunks[0][0] <= trio.current_time():
            return self._take(max_bytes)
        return b"" if self._has_ended else None

    async def wait_for_data(self) -> None:
        self._check_readable()
        await trio.lowlevel.checkpoint()
        while (ready_at := self._ready_at()) > trio.current_time():
            self._check_readable()
            await self._wait(ready_at)
        self._check_readable()

    def _ready_at(self) -> float:
        """Return when enough of what is on its way has arrived, or the end has."""
        arrived = 0
        for arrives_at, data in self._chunks:
            arrived += len(data)
            if arrived >= self.coalesce_bytes:
                return min(arrives_at, self._end_arrives_at)
        return self._end_arrives_at

    def _check_readable(self) -> None:
        if self.read_end is not _End.OPEN:
            raise trio.ClosedResourceError
        if self.write_end is _End.BROKEN:
            raise trio.BrokenResourceError("the peer has reset the connection")

    @property
    def _has_ended(self) -> bool:
        return not self._chunks and self._end_arrives_at <= trio.current_time()

    def end_writing(self, how: _End) -> None:
        if self.write_end is _End.OPEN:
            self.write_end = how
            self._end_arrives_at = trio.current_time() + self._settings.delay_s
            self.notify()

    def end_reading(self) -> None:
        self.read_end = _End.CLOSED
        self.notify()

    def notify(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    def _take(self, limit: int) -> bytes:
        """Return what has arrived, up to what one read may return."""
        if self._settings.split_bytes is not None:
            limit = min(limit, self._rng.randint(1, self._settings.split_bytes))
        taken = bytearray()
        while len(taken) < limit and self._chunks and self._chunks[0][0] <= trio.current_time():
            arrived_at, data = self._chunks.popleft()
            fits = limit - len(taken)
            taken += data[:fits]
            if len(data) > fits:
                self._chunks.appendleft((arrived_at, data[fits:]))
        self._buffered_bytes -= len(taken)
        self.notify()
        return bytes(taken)

    async def _wait(self, until: float = math.inf) -> None:
        changed = self._changed
        with trio.move_on_at(until):
            await changed.wait()


class MemoryNetwork:
    """Hosts and ports that exist in this process only."""

    def __init__(self, rng: random.Random, settings: LinkSettings | None = None) -> None:
        self.settings = settings or LinkSettings()
        self.websocket = WebSocketTransport.OWN
        self.opened_streams = 0
        self.open_streams = 0
        """Ends of connections that nobody has closed."""
        self._rng = rng
        self._listeners: dict[tuple[str, int], _MemoryListener] = {}

    async def open_stream(self, host: str, port: int, *, tls: bool) -> MemoryStream:
        """See `voicecore.world.Network`; TLS is not simulated."""
        await trio.sleep(self.settings.connect_s)
        listener = self._listeners.get((host, port))
        if listener is None:
            raise ConnectionLost("refused the connection" + (" (TLS)" if tls else ""), peer=f"{host}:{port}")
        there, back = _Pipe(self.settings, self._rng), _Pipe(self.settings, self._rng)
        mine, theirs = MemoryStream(self, back, there), MemoryStream(self, there, back)
        try:
            listener.deliver(theirs)
        except trio.WouldBlock:
            raise ConnectionLost("refused the connection: its backlog is full", peer=f"{host}:{port}") from None
        self.opened_streams += 2
        self.open_streams += 2
        return mine

    async def listen(self, host: str, port: int) -> Listening:
        """See `voicecore.world.Network`."""
        await trio.lowlevel.checkpoint()
        if port == 0:
            port = next(free for free in itertools.count(_FIRST_FREE_PORT) if (host, free) not in self._listeners)
        if (host, port) in self._listeners:
            raise OSError(errno.EADDRINUSE, f"cannot listen on {host} port {port}: address already in use")
        listener = _MemoryListener(self, (host, port))
        self._listeners[host, port] = listener
        return Listening([listener], port)

    def forget(self, address: tuple[str, int]) -> None:
        """Note that a listener has closed."""
        self._listeners.pop(address, None)


class _MemoryListener(trio.abc.Listener["MemoryStream"]):
    def __init__(self, network: MemoryNetwork, address: tuple[str, int]) -> None:
        self._network = network
        self._address = address
        self._sender, self._receiver = trio.open_memory_channel["MemoryStream"](_BACKLOG)

    def deliver(self, stream: MemoryStream) -> None:
        self._sender.send_nowait(stream)

    async def accept(self) -> MemoryStream:
        return await self._receiver.receive()

    async def aclose(self) -> None:
        self._network.forget(self._address)
        with suppress(trio.WouldBlock, trio.ClosedResourceError):
            while True:  # those that nobody accepted
                self._receiver.receive_nowait().reset()
        await self._receiver.aclose()


class MemoryStream(ByteStream):
    """One end of a simulated connection; behaves as a socket does."""

    def __init__(self, network: MemoryNetwork, incoming: _Pipe, outgoing: _Pipe) -> None:
        super().__init__()
        self._network = network
        self._incoming = incoming
        self._outgoing = outgoing

    def read_now(self, max_bytes: int) -> bytes | None:
        """See `voicecore.world.ByteStream`."""
        return self._incoming.read_now(max_bytes)

    async def wait_readable(self) -> None:
        """See `voicecore.world.ByteStream`."""
        await self._incoming.wait_for_data()

    def write_now(self, data: Buffer) -> int:
        """See `voicecore.world.ByteStream`."""
        return self._outgoing.write_now(data)

    async def wait_writable(self) -> None:
        """See `voicecore.world.ByteStream`."""
        await self._outgoing.wait_for_space()

    def end_now(self) -> None:
        """See `voicecore.world.ByteStream`."""
        self._outgoing.end_writing(_End.CLOSED)

    def close_now(self) -> None:
        """See `voicecore.world.ByteStream`."""
        self._close(_End.CLOSED)

    def limit_unsent(self, max_bytes: int) -> None:
        """See `voicecore.world.ByteStream`; nothing to do: `LinkSettings` limit what a link buffers."""

    def coalesce(self, min_bytes: int) -> None:
        """See `voicecore.world.ByteStream`."""
        self._incoming.coalesce_bytes = min_bytes
        self._incoming.notify()

    def reset(self) -> None:
        """Break the connection as a TCP reset does: what was on its way is lost."""
        self._close(_End.BROKEN)

    def _close(self, how: _End) -> None:
        if self._incoming.read_end is not _End.OPEN:
            return
        self._network.open_streams -= 1
        self._incoming.end_reading()
        self._outgoing.end_writing(how)
