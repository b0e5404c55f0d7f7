"""A WebSocket that a peer opened to us.

Rule: a stranger may have opened it: what is legal frame by frame is still too
much as a flood, or as a message that never ends, and closed with 1008.

Made by net/http/server.py; what it shares with dialled ones is in net/websocket/connection.py.
"""

from __future__ import annotations

import attrs

from voicecore.net.websocket.connection import FrameLimits, WebSocketConnection
from voicecore.net.websocket.frame_codec import Faulted, FrameParser, Opcode, encode_close, encode_frame
from voicecore.net.websocket.protocol import POLICY_VIOLATION
from voicecore.world import ByteStream


@attrs.frozen(kw_only=True)
class SocketLimits(FrameLimits):
    """Bounds of one accepted connection; seconds, bytes and frames."""

    message_s: float = 10.0
    """From the first byte of a message to its last."""
    frames_a_second: int = 2_000
    """A carrier sends 50, and what a stall of the line held back: beyond this it is a flood."""


class ServerWebSocket(WebSocketConnection):
    """The server's end of one connection."""

    def __init__(self, wire: ByteStream, peer: str, limits: SocketLimits, unread: bytes = b"") -> None:
        parser = FrameParser(limits.max_message_bytes)
        super().__init__(wire, peer, limits, parser, unread)
        self._most = limits
        self._heads = parser
        self._begun_at: float | None = None  # when the message began whose end is owed
        self._second = self._frames_before = self._frames_so_far = 0

    def _encoded(self, opcode: Opcode, payload: bytes) -> bytes:
        return encode_frame(opcode, payload)

    def _encoded_close(self, code: int, reason: str) -> bytes:
        return encode_close(code, reason)

    def _keep(self, text: str) -> None:
        super()._keep(text)
        self._begun_at = None

    def _judge(self, now: float) -> Faulted | None:
        frames = self._heads.frames
        if int(now) != self._second:
            self._second, self._frames_before = int(now), self._frames_so_far
        self._frames_so_far = frames
        if frames - self._frames_before > self._most.frames_a_second:
            return Faulted(POLICY_VIOLATION, "too many frames a second")
        if not self._heads.is_mid_message:
            self._begun_at = None
        elif self._begun_at is None:
            self._begun_at = now
        elif now - self._begun_at > self._most.message_s:
            return Faulted(POLICY_VIOLATION, "a message that does not end")
        return None
