"""HTTP as the server's port speaks it: requests read within limits, answers written. h11 parses.

Rule 1: everything a peer can make us read, keep or wait for is bounded before
the first byte is believed.
Rule 2: a request shows neither path, headers nor body when printed: media tokens
and signatures stand in them.

Used by net/server.py; `Request`, `Response` and `Upgrade` by carriers and twins.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus

import attrs
import h11
import trio

from voicecore.net.accepted import SocketLimits
from voicecore.net.websocket import WebSocket

_READ_BYTES = 16 * 1024


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
        return "websocket" in self.headers.get("upgrade", "").lower()


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
    limits: SocketLimits = attrs.field(factory=SocketLimits)


App = Callable[[Request], Awaitable[Response | Upgrade]]


@attrs.frozen(kw_only=True)
class ServerLimits:
    """Bounds of the port; seconds, bytes and counts."""

    max_connections: int = 1024
    line_bytes: int = 8192
    """Request line, and each header."""
    head_bytes: int = 32 * 1024
    max_headers: int = 128
    body_bytes: int = 64 * 1024
    request_s: float = 10.0
    """For one whole request to arrive; also how long an idle connection is kept."""
    answer_s: float = 10.0
    """For the application to answer, and again for the peer to take the answer."""
    allowed_origins: frozenset[str] = frozenset()
    """Browsers that may open WebSockets; carriers send no Origin."""


class BadRequest(Exception):
    """A request that is refused before anybody sees it."""

    def __init__(self, status: int) -> None:
        self.status = status
        super().__init__(HTTPStatus(status).phrase)


class HttpConnection:
    """One connection's requests and answers, in turn."""

    def __init__(self, stream: trio.abc.Stream, peer: str, limits: ServerLimits) -> None:
        self._stream = stream
        self._peer = peer
        self._limits = limits
        self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=limits.head_bytes)
        self._line_seen = False

    @property
    def unread(self) -> bytes:
        """What arrived behind an upgrade request."""
        return self._h11.trailing_data[0]

    @property
    def is_reusable(self) -> bool:
        """Whether another request may follow; begins the next turn."""
        if self._h11.our_state is not h11.DONE or self._h11.their_state is not h11.DONE:
            return False
        self._h11.start_next_cycle()
        return True

    async def read(self) -> Request | None:
        """Return the next request; None when the peer is done, or too slow.

        Raises:
            BadRequest: Refuse with its status, and close.
        """
        self._line_seen = False
        with trio.move_on_after(self._limits.request_s):
            head = await self._next_event()
            if not isinstance(head, h11.Request):
                return None
            self._check_head(head)
            return self._request(head, await self._read_body())
        return None

    async def write(self, response: Response) -> None:
        """Send an answer, bounded. Raises trio.BrokenResourceError."""
        headers = [
            ("content-length", str(len(response.body))),
            ("content-type", response.content_type),
            *response.headers,
        ]
        if self._h11.their_state is not h11.DONE:
            headers.append(("connection", "close"))
        head = h11.Response(
            status_code=response.status,
            headers=[(name.encode(), value.encode()) for name, value in headers],
            reason=HTTPStatus(response.status).phrase.encode(),
        )
        data = self._h11.send(head) or b""
        data += self._h11.send(h11.Data(data=response.body)) or b""
        data += self._h11.send(h11.EndOfMessage()) or b""
        with trio.move_on_after(self._limits.answer_s):
            await self._stream.send_all(data)

    @property
    def may_answer(self) -> bool:
        """Whether an answer can still be written."""
        return self._h11.our_state in {h11.IDLE, h11.SEND_RESPONSE}

    # --- inside -------------------------------------------------------------------

    async def _read_body(self) -> bytes:
        body = bytearray()
        while not isinstance(event := await self._next_event(), h11.EndOfMessage):
            if not isinstance(event, h11.Data):
                raise BadRequest(400)
            body += event.data
            if len(body) > self._limits.body_bytes:
                raise BadRequest(413)
        return bytes(body)

    async def _next_event(self) -> h11.Event | type[h11.PAUSED]:
        while True:
            try:
                event = self._h11.next_event()
            except h11.RemoteProtocolError as error:
                raise BadRequest(self._status_of(error)) from error
            if not isinstance(event, type) or event is h11.PAUSED:
                return event
            if self._h11.they_are_waiting_for_100_continue:
                go_on = h11.InformationalResponse(status_code=100, headers=[])
                await self._stream.send_all(self._h11.send(go_on) or b"")
            data = await self._stream.receive_some(_READ_BYTES)
            self._line_seen = self._line_seen or b"\n" in data
            self._h11.receive_data(bytes(data))

    def _status_of(self, error: h11.RemoteProtocolError) -> int:
        status = error.error_status_hint
        return 414 if status == 431 and not self._line_seen else status

    def _check_head(self, head: h11.Request) -> None:
        if len(head.method) + len(head.target) + len(b"  HTTP/1.1") > self._limits.line_bytes:
            raise BadRequest(414)
        headers = list(head.headers)
        if len(headers) > self._limits.max_headers:
            raise BadRequest(431)
        if any(len(name) + len(value) + 2 > self._limits.line_bytes for name, value in headers):
            raise BadRequest(431)
        lengths = [int(value) for name, value in headers if name == b"content-length"]
        if any(length > self._limits.body_bytes for length in lengths):
            raise BadRequest(413)

    def _request(self, head: h11.Request, body: bytes) -> Request:
        headers: dict[str, str] = {}
        for raw_name, raw_value in head.headers:
            name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        path, _, query = head.target.decode("latin-1").partition("?")
        return Request(
            method=head.method.decode("latin-1"),
            path=path,
            query=query,
            headers=headers,
            body=body,
            peer=self._peer,
            http_version=head.http_version.decode("latin-1"),
        )
