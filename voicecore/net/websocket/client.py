"""The client's end of a WebSocket, which may stay open for a long time without being used.

Rule 1: pings are answered even if nobody receives: once a second, while nobody
reads, what has arrived is read without waiting.  It is kept up to a bound in
messages and characters; beyond that the peer meets back-pressure, and its silence
does not count, because it is we who do not listen.
Rule 2: a server that closes first also ends the connection first, in time: it
then knows that its close was answered (RFC 6455, section 7.1.1).
Rule 3: proof of life is a pong, or anything heard since the moment asked for; what
was found unread counts as old as it may be.
Rule 4: a binary message is read as text, because some gateways relay a provider's
JSON that way; bytes that are not UTF-8 still end the connection, with 1007.

net/websocket/connect.py makes it; what it shares with the server's end is in net/websocket/connection.py.
"""

from __future__ import annotations

import attrs
import trio

from voicecore.net.websocket.connection import READ_BYTES, FrameLimits, WebSocketConnection
from voicecore.net.websocket.frame_codec import FrameParser, Opcode, encode_close, encode_frame
from voicecore.net.websocket.masks import MaskKeys
from voicecore.net.websocket.states import AWAITS_PEER, State
from voicecore.world import ByteStream

_READ_EVERY_S = 1.0  #: while nobody receives
_READS_AT_ONCE = 16  #: so that a peer that never stops cannot delay the others


@attrs.frozen(kw_only=True)
class DialLimits(FrameLimits):
    """Bounds of one connection that we open; seconds, bytes, characters and messages."""

    connect_s: float = 3.0
    """Name lookup, TCP and TLS."""
    open_s: float = 3.0
    """The upgrade request and its answer."""
    max_message_bytes: int = 4 * 2**20
    unsent_bytes: int = 16 * 1024
    """See `FrameLimits`; a quarter of a second where the provider gets PCM16 at 24 kHz."""
    backlog_messages: int = 256
    """Messages that are kept while nobody receives; the last read may exceed it."""
    backlog_chars: int = 8 * 2**20
    """The same in characters."""


class ClientWebSocket(WebSocketConnection):
    """The client's end of one connection; implements `voicecore.net.websocket.protocol.ClientSideWebSocket`."""

    _awaits_peer = AWAITS_PEER | {State.PEER_CLOSED}  # see Rule 2

    def __init__(self, wire: ByteStream, peer: str, limits: DialLimits, unread: bytes = b"") -> None:
        parser = FrameParser(limits.max_message_bytes, masked=False, binary_is_text=True)
        super().__init__(wire, peer, limits, parser, unread)
        self._bounds = limits
        self._keys = MaskKeys()

    async def prove_alive(self, fresh_s: float) -> None:
        """See `voicecore.net.websocket.protocol.ClientSideWebSocket`."""
        await trio.lowlevel.checkpoint()
        self._check_open()
        if self._clock.current_time() - self._heard_at < fresh_s:
            return
        number = self._ping()
        while self._answered < number:
            if self._state.is_over:
                raise self._error()
            if self._is_full:
                await self._wait_for_arrivals()
            else:
                await self._listen()

    def _encoded(self, opcode: Opcode, payload: bytes) -> bytes:
        return encode_frame(opcode, payload, self._keys.draw())

    def _encoded_close(self, code: int, reason: str) -> bytes:
        return encode_close(code, reason, self._keys.draw())

    def _check_silence(self) -> float:
        if self._listening_since is None and not self._is_full:
            self._read_unattended()
        return min(super()._check_silence(), _READ_EVERY_S)

    @property
    def _is_full(self) -> bool:
        limits, waiting = self._bounds, self._messages
        return len(waiting) >= limits.backlog_messages or sum(map(len, waiting)) >= limits.backlog_chars

    def _read_unattended(self) -> None:
        now = self._clock.current_time()
        for _ in range(_READS_AT_ONCE):
            data = self._read_now()
            if data is None:
                self._silent_s += min(now - self._read_at, _READ_EVERY_S)
                break
            self._hear(self._read_at)
            self._take(data, now)
            if not data or self._is_full:
                break
        self._read_at = now
        self._notify_arrivals()

    def _read_now(self) -> bytes | None:
        try:
            return self._wire.read_now(READ_BYTES)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            self._cause = self._cause or error
            return b""
