"""The server's end of a WebSocket.

Rule 1: any stranger may have opened it: frames that are legal one by one are still
refused as a flood, or as a message that never ends, and closed with 1008.
Rule 2: where reads are coalesced, fewer bytes than the system waits for are read
within a second all the same, and our own close waits for nothing.

net/http/server.py makes it; what it shares with the client's end is in net/websocket/connection.py.
"""

from __future__ import annotations

import attrs

from voicecore.net.websocket.coalescing import CoalescingRule
from voicecore.net.websocket.connection import FrameLimits, WebSocketConnection
from voicecore.net.websocket.frame_codec import Faulted, FrameParser, Opcode, encode_close, encode_frame
from voicecore.net.websocket.protocol import POLICY_VIOLATION
from voicecore.net.websocket.states import State
from voicecore.world import ByteStream

_COALESCED_S = 1.0  #: the longest that coalesced bytes stay unread


@attrs.frozen(kw_only=True)
class SocketLimits(FrameLimits):
    """Bounds of one accepted connection; seconds, bytes and frames."""

    message_s: float = 10.0
    """From the first byte of a message to its last."""
    frames_a_second: int = 2_000
    """A carrier sends 50, and after a stall all that was delayed: more than this is a flood."""
    coalesce_messages: int = attrs.field(default=1, validator=attrs.validators.ge(1))
    """How many messages of a steady stream `receive` should return at a time, where the system can count bytes.

    Fewer wake-ups; everything that the peer sends comes later by up to that many messages' time, and by
    a second at most where the stream pauses. 1: every message at once.
    """


class ServerWebSocket(WebSocketConnection):
    """The server's end of one connection."""

    def __init__(self, wire: ByteStream, peer: str, limits: SocketLimits, unread: bytes = b"") -> None:
        parser = FrameParser(limits.max_message_bytes)
        super().__init__(wire, peer, limits, parser, unread)
        self._bounds = limits
        self._frames = parser
        self._coalescing = CoalescingRule(limits.coalesce_messages)
        self._begun_at: float | None = None  # when the message began whose end is still missing
        self._second = self._frames_before = self._frames_so_far = 0

    def _encoded(self, opcode: Opcode, payload: bytes) -> bytes:
        return encode_frame(opcode, payload)

    def _encoded_close(self, code: int, reason: str) -> bytes:
        return encode_close(code, reason)

    def _take(self, data: bytes, now: float) -> None:
        before = len(self._messages)
        super()._take(data, now)
        if self._bounds.coalesce_messages > 1 and self._state.now is State.OPEN:
            self._wire.coalesce(self._coalescing.min_bytes(len(data), len(self._messages) - before))

    def _check_silence(self) -> float:
        again_in_s = super()._check_silence()
        if self._bounds.coalesce_messages == 1:
            return again_in_s
        self._wire.coalesce(1)  # until the next read
        return min(again_in_s, _COALESCED_S)

    def _keep(self, text: str) -> None:
        super()._keep(text)
        self._begun_at = None

    def _judge(self, now: float) -> Faulted | None:
        frames = self._frames.frames
        if int(now) != self._second:
            self._second, self._frames_before = int(now), self._frames_so_far
        self._frames_so_far = frames
        if frames - self._frames_before > self._bounds.frames_a_second:
            return Faulted(POLICY_VIOLATION, "too many frames a second")
        if not self._frames.is_mid_message:
            self._begun_at = None
        elif self._begun_at is None:
            self._begun_at = now
        elif now - self._begun_at > self._bounds.message_s:
            return Faulted(POLICY_VIOLATION, "a message that does not end")
        return None
