"""A WebSocket that we opened: the client's end, which may have to be kept without being used.

Rule 1: nobody need receive for pings to be answered: once a second what lies there
is read, without waiting, while nobody else reads.  It is kept up to a bound in
messages and characters; beyond, the peer meets back-pressure, and its silence
does not count, because we are the ones who do not listen.
Rule 2: a server that closes first also ends the connection first, in time: it
knows then that its close was answered (RFC 6455, section 7.1.1).
Rule 3: a proof of life is a pong, or something that was heard since the moment
that is asked for; what lay unread is as old as it may be.
Rule 4: a binary message is read as text, because some gateways relay a provider's
JSON that way; bytes that are not UTF-8 still end the connection, with 1007.

Made by net/websocket/connect.py; what it shares with accepted ones is in net/websocket/connection.py.
"""

from __future__ import annotations

import attrs
import trio

from voicecore.net.websocket.connection import READ_BYTES, FrameLimits, ReadState, WebSocketConnection
from voicecore.net.websocket.frame_codec import FrameParser, Opcode, encode_close, encode_frame
from voicecore.net.websocket.masks import MaskKeys
from voicecore.world import ByteStream

_LOOK_EVERY_S = 1.0  #: while nobody receives
_READS_A_LOOK = 16  #: so that a peer that never stops cannot hold up all others


@attrs.frozen(kw_only=True)
class DialLimits(FrameLimits):
    """Bounds of one dialled connection; seconds, bytes, characters and messages."""

    connect_s: float = 3.0
    """Name lookup, TCP and TLS."""
    open_s: float = 3.0
    """The upgrade request and its answer."""
    max_message_bytes: int = 4 * 2**20
    unsent_bytes: int = 16 * 1024
    """See `FrameLimits`; a quarter of a second where the provider hears PCM16 at 24 kHz."""
    backlog_messages: int = 256
    """Messages that are kept while nobody receives; the last read may go beyond it."""
    backlog_chars: int = 8 * 2**20
    """The same in characters."""


class ClientWebSocket(WebSocketConnection):
    """The client's end of one connection; implements `voicecore.net.websocket.protocol.ClientSideWebSocket`."""

    def __init__(self, wire: ByteStream, peer: str, limits: DialLimits, unread: bytes = b"") -> None:
        parser = FrameParser(limits.max_message_bytes, masked=False, binary_is_text=True)
        super().__init__(wire, peer, limits, parser, unread)
        self._room = limits
        self._keys = MaskKeys()

    async def prove_alive(self, fresh_s: float) -> None:
        """See `voicecore.net.websocket.protocol.ClientSideWebSocket`."""
        await trio.lowlevel.checkpoint()
        self._check_open()
        if self._clock.current_time() - self._heard_at < fresh_s:
            return
        number = self._ping()
        while self._answered < number:
            if self._loss is not None:
                raise self._error()
            if self._is_full:
                await self._wait_for_arrivals()
            else:
                await self._listen()

    def _encoded(self, opcode: Opcode, payload: bytes) -> bytes:
        return encode_frame(opcode, payload, self._keys.draw())

    def _encoded_close(self, code: int, reason: str) -> bytes:
        return encode_close(code, reason, self._keys.draw())

    @property
    def _has_parted(self) -> bool:
        return self._theirs in {ReadState.ANSWERED, ReadState.ENDED}

    def _look(self) -> float:
        if self._listening_since is None and not self._is_full:
            self._read_what_is_there()
        return min(super()._look(), _LOOK_EVERY_S)

    @property
    def _is_full(self) -> bool:
        limits, waiting = self._room, self._messages
        return len(waiting) >= limits.backlog_messages or sum(map(len, waiting)) >= limits.backlog_chars

    def _read_what_is_there(self) -> None:
        now = self._clock.current_time()
        for _ in range(_READS_A_LOOK):
            data = self._read_now()
            if data is None:
                self._silent_s += min(now - self._looked_at, _LOOK_EVERY_S)
                break
            self._hear(self._looked_at)
            self._take(data, now)
            if not data or self._is_full:
                break
        self._looked_at = now
        self._tell_of_arrivals()

    def _read_now(self) -> bytes | None:
        try:
            return self._wire.read_now(READ_BYTES)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            self._cause = self._cause or error
            return b""
