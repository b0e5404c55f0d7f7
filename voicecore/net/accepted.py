"""A WebSocket that a peer opened to us: passive, no task of its own.

Whoever calls `receive` reads the stream, answers pings and watches for silence;
there is no reader task and no channel on the path of 50 messages a second.

Rule 1: between reading bytes and keeping their messages there is no checkpoint
that could lose one; what `receive` itself writes, it writes in a short shield.
Rule 2: frames leave whole: a write that was cut off ends the connection.
Rule 3: reading never waits for writing: pongs that meet a busy writer are left
with it.
Rule 4: a peer that breaks the protocol, floods, or says nothing for
``gone_after_s`` is closed with the code that says so, after what it sent before
was received.

Implements `voicecore.net.websocket.WebSocket`; made by net/server.py.
"""

from __future__ import annotations

import enum

import attrs
import trio

from voicecore.errors import ConnectionLost
from voicecore.net.frames import (
    CloseReceived,
    Faulted,
    FrameParser,
    Opcode,
    PingReceived,
    TextReceived,
    encode_close,
    encode_frame,
)
from voicecore.net.websocket import NORMAL_CLOSURE, POLICY_VIOLATION

_READ_BYTES = 16 * 1024
_SHORT_WRITE_S = 1.0  #: for a ping, a pong or a close: the connection of a peer that does not take it is over
_NO_CODE = 1005  #: stands for "closed without a code"; may not be sent
_GONE = (trio.BrokenResourceError, trio.ClosedResourceError)


@attrs.frozen(kw_only=True)
class SocketLimits:
    """Bounds of one accepted connection; seconds, bytes and frames."""

    max_message_bytes: int = 64 * 1024
    message_s: float = 10.0
    """From the first byte of a message to its last."""
    frames_a_second: int = 2_000
    """A carrier sends 50, and what a stall of the line held back: beyond this it is a flood."""
    ping_every_s: float = 10.0
    """Silence after which the peer is pinged."""
    gone_after_s: float = attrs.field(default=20.0)
    """Silence, without even a pong, after which it is given up; more than ``ping_every_s``."""
    send_s: float = 10.0
    """A peer that does not read for so long is lost."""
    close_s: float = attrs.field(default=1.0, validator=attrs.validators.le(1.0))
    """How long a close waits for the peer's."""

    @gone_after_s.validator
    def _leaves_time_for_a_pong(self, _: object, value: float) -> None:
        if value <= self.ping_every_s:
            raise ValueError("gone_after_s must be more than ping_every_s")


class _Ours(enum.Enum):
    """The direction that we write."""

    OPEN = "open"
    CLOSED = "closed"  #: our close frame is on its way: nothing may follow it
    BROKEN = "broken"  #: perhaps cut in mid-frame, or nobody is there: nothing more may be written


class AcceptedSocket:
    """One open connection, from after the upgrade's answer."""

    def __init__(self, stream: trio.abc.Stream, peer: str, limits: SocketLimits, unread: bytes = b"") -> None:
        self._stream = stream
        self._peer = peer
        self._limits = limits
        self._parser = FrameParser(limits.max_message_bytes)
        self._unread = unread  # what arrived together with the upgrade request
        self._messages: list[str] = []  # bounded by one read
        self._silent_s = 0.0  # how long we have listened in vain
        self._is_pinged = False  # since it was last heard
        self._begun_at: float | None = None  # when the message began whose end is owed
        self._second = self._frames = self._frames_before = 0
        self._ours = _Ours.OPEN
        self._close_by: float | None = None  # set by the first close
        self._pongs = b""  # left with a busy writer; bounded by one read
        self._writing = trio.Lock()
        self._peer_done = trio.Event()  # its close frame, or the end of its stream, was read
        self._loss: tuple[str, int | None, str] | None = None  # why it is over: problem, code, reason

    @property
    def peer(self) -> str:
        return self._peer

    # --- receiving ---------------------------------------------------------------

    async def receive(self) -> list[str]:
        while not self._messages:
            if self._loss is not None:
                raise self._error()
            data = await self._read()
            if data is not None:
                await self._take(data)
        messages, self._messages = self._messages, []
        return messages

    async def _read(self) -> bytes | bytearray | None:
        """Return what comes next, b"" at the end; None when nothing came until a ping or the end was due."""
        if self._unread:
            data, self._unread = self._unread, b""
            return data
        limits, since = self._limits, trio.current_time()
        patience_s = limits.gone_after_s if self._is_pinged else limits.ping_every_s
        try:
            with trio.move_on_after(max(0.0, patience_s - self._silent_s)):
                heard = await self._stream.receive_some(_READ_BYTES)
                since, self._silent_s, self._is_pinged = trio.current_time(), 0.0, False
                return heard
        except _GONE:
            return b""
        finally:  # only time spent listening counts: an owner that was busy elsewhere has missed nothing
            self._silent_s += trio.current_time() - since
        await self._object_to_silence()
        return None

    async def _object_to_silence(self) -> None:
        if self._is_pinged:
            self._ours = _Ours.BROKEN  # no close is tried: nobody would read it
            self._lose(f"was silent for {self._limits.gone_after_s} s")
        else:
            self._is_pinged = True
            await self._write_aside(encode_frame(Opcode.PING, b""))

    async def _take(self, data: bytes | bytearray) -> None:
        if not data:
            self._lose("ended the connection without a close")
            self._peer_done.set()
            return
        pongs: list[bytes] = []
        end: CloseReceived | Faulted | None = None
        for event in self._parser.feed(data):
            if isinstance(event, TextReceived):
                self._keep(event.text)
            elif isinstance(event, PingReceived):
                pongs.append(encode_frame(Opcode.PONG, event.payload))
            elif isinstance(event, CloseReceived | Faulted):
                end = event
        end = end or self._abuse()
        if isinstance(end, CloseReceived):
            self._lose("closed", end.code, end.reason)
            self._peer_done.set()
            await self._send_close(NORMAL_CLOSURE if end.code == _NO_CODE else end.code)
        elif end is not None:
            self._lose(end.problem, end.code)
            await self._send_close(end.code, end.problem)
        elif pongs:
            await self._write_aside(b"".join(pongs))

    def _keep(self, text: str) -> None:
        if self._ours is _Ours.OPEN:  # behind our close it is for nobody
            self._messages.append(text)
            self._begun_at = None

    def _abuse(self) -> Faulted | None:
        """Judge what is legal frame by frame, and yet too much."""
        now = trio.current_time()
        if int(now) != self._second:
            self._second, self._frames_before = int(now), self._frames
        self._frames = self._parser.frames
        if self._frames - self._frames_before > self._limits.frames_a_second:
            return Faulted(POLICY_VIOLATION, "too many frames a second")
        if not self._parser.is_mid_message:
            self._begun_at = None
        elif self._begun_at is None:
            self._begun_at = now
        elif now - self._begun_at > self._limits.message_s:
            return Faulted(POLICY_VIOLATION, "a message that does not end")
        return None

    # --- sending -----------------------------------------------------------------

    async def send(self, text: str) -> None:
        with trio.move_on_after(self._limits.send_s) as bound:
            await self._write(encode_frame(Opcode.TEXT, text.encode()), bound)
            return
        self._lose("did not read in time")
        raise self._error()

    async def _write(self, frames: bytes, bound: trio.CancelScope) -> None:
        """Hand whole frames to the stream, in turn, and the pongs that were left meanwhile."""
        async with self._writing:
            while frames:
                if self._ours is not _Ours.OPEN or self._loss is not None:
                    raise self._error()
                await self._transmit(frames, bound)
                frames, self._pongs = self._pongs, b""

    async def _transmit(self, frames: bytes, bound: trio.CancelScope) -> None:
        whole = False
        try:
            await self._stream.send_all(frames)
            whole = True
        except _GONE as error:
            self._lose("ended the connection")
            raise self._error() from error
        finally:
            if not whole:
                self._ours = _Ours.BROKEN
                self._lose("did not read in time" if bound.cancel_called else "a message to it was cut off")

    async def _write_aside(self, frames: bytes) -> None:
        """Write a ping or pongs while receiving: never behind another writer, never cut by a cancelled receive."""
        if self._writing.locked():
            self._pongs = frames
            return
        with trio.move_on_after(_SHORT_WRITE_S, shield=True) as bound:
            try:
                await self._write(frames, bound)
            except ConnectionLost:
                return  # the next receive says so

    # --- closing -----------------------------------------------------------------

    async def close(self, code: int = NORMAL_CLOSURE, reason: str = "") -> None:
        if self._close_by is None:  # one bound for all who close
            self._close_by = trio.current_time() + self._limits.close_s
        with trio.move_on_at(self._close_by, shield=True):
            await self._send_close(code, reason)
            await self._wait_for_peer()
        self._lose("was closed by us", code)

    async def _send_close(self, code: int, reason: str = "") -> None:
        if self._ours is _Ours.OPEN:
            self._ours = _Ours.CLOSED
            with trio.move_on_after(_SHORT_WRITE_S, shield=True) as bound:
                await self._transmit_close(encode_close(code, reason), bound)

    async def _transmit_close(self, frame: bytes, bound: trio.CancelScope) -> None:
        async with self._writing:
            if self._ours is _Ours.BROKEN:  # by the writer that was waited for
                return
            try:
                await self._transmit(frame, bound)
            except ConnectionLost:
                return  # there is nobody to be told

    async def _wait_for_peer(self) -> None:
        """Read on until the peer's close or end: closing on unread input would reset the connection over our close."""
        while self._ours is _Ours.CLOSED and not self._peer_done.is_set():
            try:
                await self._take(await self._stream.receive_some(_READ_BYTES))
            except trio.BusyResourceError:  # somebody is receiving, and will see it
                await self._peer_done.wait()
            except _GONE:
                return

    def _lose(self, problem: str, code: int | None = None, reason: str = "") -> None:
        if self._loss is None:
            self._loss = (problem, code, reason)

    def _error(self) -> ConnectionLost:
        problem, code, reason = self._loss or ("is being closed", None, "")
        return ConnectionLost(problem, peer=self._peer, code=code, reason=reason)
