"""One HTTP connection as the server's port speaks it: requests read within limits, answers written. h11 parses.

Rule 1: everything that a peer can make us read, keep or wait for is bounded
before the first byte is parsed.
Rule 2: heads pass net/http/head.py before h11, which is more lenient, sees them.
"""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus

import h11
import trio

from voicecore.net.http.head import HeadLines, path_and_query
from voicecore.net.http.messages import BadRequest, Request, Response, ServerLimits

CLOSING = ("connection", "close")  #: the header of an answer after which the connection ends

_READ_BYTES = 16 * 1024
_VERSIONS = frozenset({b"1.0", b"1.1"})
_WITHOUT_BODY = frozenset({204, 304})


class HttpConnection:
    """One connection's requests and answers, in turn; each request has an h11 connection of its own."""

    def __init__(self, stream: trio.abc.Stream, peer: str, limits: ServerLimits) -> None:
        self._stream = stream
        self._peer = peer
        self._limits = limits
        self._unread = bytearray()  # behind what was parsed; bounded by a line and one read
        self._method = b""
        self._h11 = self._fresh_h11()

    @property
    def unread(self) -> bytes:
        """What arrived after an upgrade request."""
        return bytes(self._unread)

    @property
    def is_reusable(self) -> bool:
        """Whether another request may follow."""
        return self._h11.our_state is h11.DONE and self._h11.their_state is h11.DONE

    @property
    def may_answer(self) -> bool:
        """Whether an answer can still be written."""
        return self._h11.our_state in {h11.IDLE, h11.SEND_RESPONSE}

    async def read(self) -> Request | None:
        """Return the next request; None when the peer is done, or too slow.

        Raises:
            BadRequest: Refuse with its status, and close.
            trio.BrokenResourceError: The peer is gone.
        """
        self._h11, self._method = self._fresh_h11(), b""
        with trio.move_on_after(self._limits.request_s):
            head = await self._read_head()
            return None if head is None else self._request(head, await self._read_body())
        return None

    async def write(self, response: Response) -> None:
        """Send an answer, whole.

        Raises:
            trio.BrokenResourceError: The peer is gone, or did not take it within ``answer_s``.
        """
        data = b"".join(self._h11.send(event) or b"" for event in self._answer_events(response))
        with trio.move_on_after(self._limits.answer_s):
            await self._stream.send_all(data)
            return
        raise trio.BrokenResourceError("an answer was not read in time")

    async def switch_to_websocket(self, accept_token: bytes, bound_s: float) -> None:
        """Accept the upgrade; from here on the stream speaks WebSocket, beginning with `unread`.

        Raises:
            trio.BrokenResourceError: The peer is gone, or did not take the answer within ``bound_s``.
        """
        headers = [(b"upgrade", b"websocket"), (b"connection", b"Upgrade"), (b"sec-websocket-accept", accept_token)]
        answer = h11.InformationalResponse(status_code=101, headers=headers, reason=b"Switching Protocols")
        data = self._h11.send(answer) or b""
        with trio.move_on_after(bound_s):
            await self._stream.send_all(data)
            return
        raise trio.BrokenResourceError("the answer to an upgrade was not read in time")

    # --- reading -------------------------------------------------------------------

    def _fresh_h11(self) -> h11.Connection:
        return h11.Connection(h11.SERVER, max_incomplete_event_size=self._limits.head_bytes)

    async def _read_head(self) -> h11.Request | None:
        lines = HeadLines(self._limits)
        while (raw := lines.take(self._unread)) is None:
            data = await self._stream.receive_some(_READ_BYTES)
            if not data:
                if self._unread or lines.have_begun:
                    raise BadRequest(400)
                return None
            self._unread += data
        self._h11.receive_data(raw)
        head = self._next_event()
        if not isinstance(head, h11.Request):
            raise BadRequest(400)
        if head.http_version not in _VERSIONS:
            raise BadRequest(505)
        if _announced_bytes(head) > self._limits.body_bytes:
            raise BadRequest(413)
        self._method = head.method
        return head

    async def _read_body(self) -> bytes:
        body = bytearray()
        while not isinstance(event := self._next_event(), h11.EndOfMessage):
            if isinstance(event, h11.Data):
                body += event.data
            elif event is h11.NEED_DATA:
                await self._feed_body()
            else:
                raise BadRequest(400)
            if len(body) > self._limits.body_bytes:
                raise BadRequest(413)
        self._unread[:0] = self._h11.trailing_data[0]
        return bytes(body)

    async def _feed_body(self) -> None:
        if self._h11.they_are_waiting_for_100_continue:
            go_on = h11.InformationalResponse(status_code=100, headers=[], reason=b"Continue")
            await self._stream.send_all(self._h11.send(go_on) or b"")
        data = bytes(self._unread) or bytes(await self._stream.receive_some(_READ_BYTES))
        self._unread.clear()
        self._h11.receive_data(data)

    def _next_event(self) -> h11.Event | type[h11.NEED_DATA | h11.PAUSED]:
        try:
            return self._h11.next_event()
        except h11.RemoteProtocolError as error:
            raise BadRequest(error.error_status_hint) from error

    def _request(self, head: h11.Request, body: bytes) -> Request:
        headers: dict[str, str] = {}
        for raw_name, raw_value in head.headers:
            name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        path, query = path_and_query(head.target.decode("latin-1"))
        return Request(
            method=head.method.decode("latin-1"),
            path=path,
            query=query,
            headers=headers,
            body=body,
            peer=self._peer,
            http_version=head.http_version.decode("latin-1"),
        )

    # --- answering -----------------------------------------------------------------

    def _answer_events(self, response: Response) -> Iterator[h11.Event]:
        headers = list(response.headers)
        if response.status not in _WITHOUT_BODY:
            headers += [("content-length", str(len(response.body))), ("content-type", response.content_type)]
        if self._h11.their_state is not h11.DONE and CLOSING not in headers:
            headers.append(CLOSING)  # what it still sends would be taken for another request
        reason = HTTPStatus(response.status).phrase.encode()
        yield h11.Response(status_code=response.status, headers=headers, reason=reason)
        if response.status not in _WITHOUT_BODY and self._method != b"HEAD":
            yield h11.Data(data=response.body)
        yield h11.EndOfMessage()


def _announced_bytes(head: h11.Request) -> int:
    return max((int(value) for name, value in head.headers if name == b"content-length"), default=0)
