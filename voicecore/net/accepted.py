"""A WebSocket that a peer opened to us: passive, no task of its own.

Whoever calls `receive` reads the stream, answers pings and watches for silence;
there is no reader task and no channel on the path of 50 messages a second.

Rule 1: between reading bytes and returning messages there is no checkpoint that
could lose one; an answer to a ping is written in a short shield.
Rule 2: frames leave whole: a write that was cut off ends the connection.
Rule 3: a peer that breaks the protocol, floods, or says nothing for
``gone_after_s`` is closed with the code that says so.

Implements `voicecore.net.websocket.WebSocket`; made by net/server.py.
"""

from __future__ import annotations

import attrs
import trio

from voicecore.errors import ConnectionLost
from voicecore.net.frames import (
    CloseReceived,
    FrameEvent,
    FrameFault,
    FrameParser,
    Opcode,
    PingReceived,
    TextReceived,
    encode_close,
    encode_frame,
)
from voicecore.net.websocket import NORMAL_CLOSURE, POLICY_VIOLATION

_READ_BYTES = 16 * 1024
_PONG_S = 1.0  #: a pong that cannot be written for so long is left out
_NO_CODE = 1005  #: stands for "closed without a code"; may not be sent


@attrs.frozen(kw_only=True)
class SocketLimits:
    """Bounds of one accepted connection; seconds, bytes and frames."""

    max_message_bytes: int = 64 * 1024
    frames_a_second: int = 2_000
    """A carrier sends 50, and what a stall of the line held back: beyond this it is a flood."""
    ping_every_s: float = 10.0
    """Silence after which the peer is pinged."""
    gone_after_s: float = 20.0
    """Silence after which it is given up."""
    send_s: float = 10.0
    """A peer that does not read for so long is lost."""
    close_s: float = attrs.field(default=1.0, validator=attrs.validators.le(1.0))
    """How long a close waits for the peer's."""


class AcceptedSocket:
    """One open connection, from after the upgrade's answer."""

    def __init__(self, stream: trio.abc.Stream, peer: str, limits: SocketLimits, unread: bytes = b"") -> None:
        self._stream = stream
        self._peer = peer
        self._limits = limits
        self._parser = FrameParser(limits.max_message_bytes)
        self._unread = unread  # what arrived together with the upgrade request
        self._messages: list[str] = []  # bounded by one read
        self._sending = trio.Lock()
        self._ended: ConnectionLost | None = None
        self._close_sent = False
        self._second = self._frames = self._frames_before = 0

    @property
    def peer(self) -> str:
        return self._peer

    # --- receiving ---------------------------------------------------------------

    async def receive(self) -> list[str]:
        while not self._messages:
            if self._ended is not None:
                raise self._ended
            await self._take(await self._read())
        messages, self._messages = self._messages, []
        return messages

    async def _read(self) -> bytes | bytearray:
        if self._unread:
            data, self._unread = self._unread, b""
            return data
        try:
            with trio.move_on_after(self._limits.ping_every_s):
                return await self._stream.receive_some(_READ_BYTES)
            await self._write(encode_frame(Opcode.PING, b""))
            with trio.move_on_after(self._limits.gone_after_s - self._limits.ping_every_s):
                return await self._stream.receive_some(_READ_BYTES)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return b""
        self._end("was silent for too long", None)
        return b""

    async def _take(self, data: bytes | bytearray) -> None:
        if not data:
            self._end("ended the connection without a close", None)
            return
        try:
            events = self._parser.feed(data)
        except FrameFault as fault:
            await self._fail(fault.code, fault.problem)
            return
        pongs = [frame for event in events if (frame := self._note(event)) is not None]
        if not self._within_rate():
            await self._fail(POLICY_VIOLATION, "sent too many frames a second")
        elif pongs:
            await self._answer(b"".join(pongs))

    def _note(self, event: FrameEvent) -> bytes | None:
        if isinstance(event, TextReceived):
            self._messages.append(event.text)
        elif isinstance(event, PingReceived):
            return encode_frame(Opcode.PONG, event.payload)
        elif isinstance(event, CloseReceived):
            self._end("closed", event.code, event.reason)
            if not self._close_sent:
                self._close_sent = True
                return encode_close(NORMAL_CLOSURE if event.code == _NO_CODE else event.code)
        return None

    def _within_rate(self) -> bool:
        second = int(trio.current_time())
        if second != self._second:
            self._second, self._frames_before = second, self._frames
        self._frames = self._parser.frames
        return self._frames - self._frames_before <= self._limits.frames_a_second

    # --- sending ---------------------------------------------------------------------

    async def send(self, text: str) -> None:
        if self._ended is not None:
            raise self._ended
        if self._close_sent:
            raise ConnectionLost("is being closed", peer=self._peer)
        await self._write(encode_frame(Opcode.TEXT, text.encode()))

    async def _write(self, frame: bytes) -> None:
        written = False
        with trio.move_on_after(self._limits.send_s):
            async with self._sending:
                if self._ended is not None:
                    raise self._ended
                try:
                    await self._stream.send_all(frame)
                    written = True
                except (trio.BrokenResourceError, trio.ClosedResourceError):
                    self._end("ended the connection", None)
                finally:
                    if not written:  # perhaps cut in mid-frame: nothing more may be written
                        self._end("a message to it was cut off", None)
        if not written:
            raise self._ended or ConnectionLost(f"did not read for {self._limits.send_s} s", peer=self._peer)

    async def _answer(self, frames: bytes) -> None:
        with trio.move_on_after(_PONG_S, shield=True):
            try:
                await self._write(frames)
            except ConnectionLost:
                return  # the next receive says so

    async def _fail(self, code: int, problem: str) -> None:
        await self._send_close(code, problem)
        self._end(problem, code)

    # --- closing ---------------------------------------------------------------------

    async def close(self, code: int = NORMAL_CLOSURE, reason: str = "") -> None:
        with trio.move_on_after(self._limits.close_s, shield=True):
            if self._ended is None:
                await self._send_close(code, reason)
                await self._wait_for_close()
        self._end("was closed by us", code)

    async def _send_close(self, code: int, reason: str) -> None:
        if not self._close_sent and self._ended is None:
            self._close_sent = True
            await self._answer(encode_close(code, reason))

    async def _wait_for_close(self) -> None:
        """Read on until the peer's close; what it still says is not for anybody."""
        while self._ended is None:
            try:
                await self._take(await self._stream.receive_some(_READ_BYTES))
            except (trio.BrokenResourceError, trio.ClosedResourceError, trio.BusyResourceError):
                return
            self._messages.clear()

    def _end(self, problem: str, code: int | None, reason: str = "") -> None:
        if self._ended is None:
            self._ended = ConnectionLost(problem, peer=self._peer, code=code, reason=reason)
