"""Both ends of a connection over trio-websocket, see net/websocket/trio_ws.py.

net/websocket/connect.py makes the client's, net/http/server.py the server's.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import trio
import trio_websocket

from voicecore.net.websocket.client import DialLimits
from voicecore.net.websocket.server import SocketLimits
from voicecore.net.websocket.trio_ws import TrioWebSocket
from voicecore.world import ByteStream

_NOT_TEXT, _NOT_UTF_8 = 1003, 1007


@attrs.frozen
class UpgradeFields:
    """What a client asks with; secrets stand in it."""

    target: str = attrs.field(repr=False)
    headers: Sequence[tuple[bytes, bytes]] = attrs.field(repr=False)


class TrioClientWebSocket(TrioWebSocket):
    """The client's end; a binary message is read as text, as in net/websocket/client.py."""

    def __init__(
        self,
        wire: ByteStream,
        peer: str,
        limits: DialLimits,
        ask: UpgradeFields,
    ) -> None:
        super().__init__(wire, peer, limits)
        self._ask = ask

    async def _open(self, nursery: trio.Nursery) -> trio_websocket.WebSocketConnection:
        return await trio_websocket.wrap_client_stream(
            nursery,
            self._stream,  # type: ignore[arg-type]  # any stream will do
            self._peer,
            self._ask.target,
            extra_headers=list(self._ask.headers),
            max_message_size=self._limits.max_message_bytes,
        )

    def _as_text(self, message: bytes) -> str | int:
        try:
            return message.decode()
        except UnicodeDecodeError:
            return _NOT_UTF_8


class TrioServerWebSocket(TrioWebSocket):
    """The server's end; ``request`` is the upgrade request again, which the library reads for itself."""

    def __init__(self, wire: ByteStream, peer: str, limits: SocketLimits, request: bytes, unread: bytes) -> None:
        super().__init__(wire, peer, limits, request, unread)
        self._frames_a_second = limits.frames_a_second
        self._second = self._messages_in_it = 0

    async def _open(self, nursery: trio.Nursery) -> trio_websocket.WebSocketConnection:
        request = await trio_websocket.wrap_server_stream(
            nursery, self._stream, max_message_size=self._limits.max_message_bytes
        )
        return await request.accept()

    def _as_text(self, message: bytes) -> int:  # noqa: ARG002
        return _NOT_TEXT

    def _judge(self) -> str:
        now = int(trio.current_time())
        self._messages_in_it = self._messages_in_it + 1 if now == self._second else 1
        self._second = now
        return "too many messages a second" if self._messages_in_it > self._frames_a_second else ""
