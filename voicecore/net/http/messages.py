"""What passes between the server's port and an application: requests, answers, upgrades, and the port's bounds.

Rule: a request shows neither path, headers nor body when printed: they contain media
tokens and signatures.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus

import attrs

from voicecore.net.websocket.protocol import WebSocket
from voicecore.net.websocket.server import SocketLimits
from voicecore.world import WebSocketTransport


@attrs.frozen(kw_only=True)
class Request:
    """One request, whole."""

    method: str
    path: str = attrs.field(repr=False)
    """As it was sent, undecoded, without the query."""
    query: str = attrs.field(default="", repr=False)
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    """Names in lower case; repeated ones joined by a comma."""
    body: bytes = attrs.field(default=b"", repr=False)
    peer: str = ""
    http_version: str = "1.1"

    @property
    def is_upgrade(self) -> bool:
        """Whether the peer asks for a WebSocket."""
        return "websocket" in tokens(self.headers.get("upgrade", ""))


@attrs.frozen
class Response:
    """An answer with a body that is known whole."""

    status: int
    body: bytes = attrs.field(default=b"", repr=False)
    content_type: str = "text/plain; charset=utf-8"
    headers: Sequence[tuple[str, str]] = ()


@attrs.frozen(eq=False)
class Upgrade:
    """Accept the WebSocket; ``run`` owns it until it returns, then it is closed."""

    run: Callable[[WebSocket], Awaitable[None]]
    limits: SocketLimits | None = None
    """None: those of the port, `ServerLimits.sockets`."""


App = Callable[[Request], Awaitable[Response | Upgrade]]


@attrs.frozen(kw_only=True)
class ServerLimits:
    """Bounds of the port; seconds, bytes and counts."""

    max_connections: int = 1024
    line_bytes: int = 8192
    """Request line, and each header, without the end of line."""
    head_bytes: int = 32 * 1024
    """All of them together."""
    max_headers: int = 128
    body_bytes: int = 64 * 1024
    request_s: float = 10.0
    """For one whole request to arrive; also how long an idle connection is kept."""
    answer_s: float = 10.0
    """For the application to answer, and again for the peer to take the answer."""
    allowed_origins: frozenset[str] = frozenset()
    """Browsers that may open WebSockets; carriers send no Origin."""
    sockets: SocketLimits = attrs.field(factory=SocketLimits)
    """Bounds of each accepted WebSocket, where its `Upgrade` has none of its own."""
    websocket: WebSocketTransport = WebSocketTransport.OWN
    """How accepted WebSockets are served."""


class BadRequest(Exception):
    """A request that is refused before the application sees it."""

    def __init__(self, status: int) -> None:
        self.status = status
        super().__init__(HTTPStatus(status).phrase)


def tokens(header: str) -> frozenset[str]:
    """Return the words of a comma-separated header, in lower case."""
    return frozenset(word.strip().lower() for word in header.split(","))
