"""The port: HTTP and WebSocket on one listener, each connection on its own.

Rule 1: one connection's failure never reaches another; the boundary in
`_Port.handle` is the only wide catch, and it logs the cause once.
Rule 2: the application decides about an upgrade before it is accepted.
Rule 3: an accept that fails (no descriptor, no memory) is retried every 100 ms,
without limit, and logged once a minute: the shortage may end.
Rule 4: what runs here ends with the scope of `serve`: live WebSockets are closed
with 1001 within a second.
"""

from __future__ import annotations

import base64
import contextlib
import logging
import math
from collections.abc import Sequence
from http import HTTPStatus

import trio

from voicecore.errors import ConnectionLost
from voicecore.net.http.messages import App, BadRequest, Request, Response, ServerLimits, Upgrade, tokens
from voicecore.net.http.server_connection import CLOSING, HttpConnection
from voicecore.net.transport.failures import exhausted, is_exhausted
from voicecore.net.websocket.accept_token import accept_token
from voicecore.net.websocket.protocol import GOING_AWAY, INTERNAL_ERROR, NORMAL_CLOSURE
from voicecore.net.websocket.server import ServerWebSocket, SocketLimits
from voicecore.net.websocket.trio_ws_ends import TrioServerWebSocket
from voicecore.nurseries import open_service_nursery
from voicecore.world import ByteStream, WebSocketTransport

log = logging.getLogger("voicecore.net")

_BACK_OFF_S = 0.1  #: after an accept that failed
_COMPLAIN_EVERY_S = 60.0
_LINGER_S = 0.5  #: for a refused peer to read its answer before the socket closes
_LINGER_BYTES = 256 * 1024
_KEY_BYTES = 16
_GONE = (trio.BrokenResourceError, trio.ClosedResourceError)


async def serve(
    listeners: Sequence[trio.abc.Listener[ByteStream]],
    app: App,
    limits: ServerLimits | None = None,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Answer connections until cancelled; then every connection is closed and joined.

    The listeners belong to the user until here, and are closed at the end.
    """
    port = _Port(app, limits or ServerLimits())
    async with trio.open_nursery() as nursery:
        for listener in listeners:
            nursery.start_soon(port.accept, listener, nursery)
        task_status.started()


class _Port:
    """What the connections of one port share."""

    def __init__(self, app: App, limits: ServerLimits) -> None:
        self._app = app
        self._limits = limits
        self._connections = 0
        self._complain_at = -math.inf

    async def accept(self, listener: trio.abc.Listener[ByteStream], connections: trio.Nursery) -> None:
        """Take connections until cancelled, each a task in ``connections``; the listener is closed at the end."""
        async with listener:
            while True:
                try:
                    stream = await listener.accept()
                except OSError as error:
                    self._complain(error)
                    await trio.sleep(_BACK_OFF_S)
                else:
                    connections.start_soon(self.handle, stream)

    def _complain(self, error: OSError) -> None:
        if (now := trio.current_time()) >= self._complain_at:
            self._complain_at = now + _COMPLAIN_EVERY_S
            why = exhausted(error) if is_exhausted(error) else error.strerror or str(error)
            log.error("no connection can be accepted: %s; retrying every %.0f ms", why, _BACK_OFF_S * 1000)

    async def handle(self, stream: ByteStream) -> None:
        """Serve one connection to its end; nothing but a cancellation leaves."""
        connection = HttpConnection(stream, stream.far_end, self._limits)
        self._connections += 1
        try:
            if self._connections > self._limits.max_connections:
                await _turn_away(connection)
            else:
                await self._converse(connection, stream)
        except* _GONE:
            log.debug("a connection broke")
        except* Exception as failure:
            log.exception("a connection ended on an unexpected error", exc_info=failure)
            with contextlib.suppress(Exception):  # what failed may fail again; the others go on
                await _refuse(connection, stream, 500)
        finally:
            self._connections -= 1
            with contextlib.suppress(Exception):
                await trio.aclose_forcefully(stream)

    async def _converse(self, connection: HttpConnection, stream: ByteStream) -> None:
        while True:
            try:
                request = await connection.read()
            except BadRequest as bad:
                await _refuse(connection, stream, bad.status)
                return
            if request is None:
                return
            answer = await self._answer(request)
            if isinstance(answer, Upgrade):
                await _serve_socket(connection, stream, request, answer, self._limits)
                return
            await connection.write(answer)
            if not connection.is_reusable:
                await _linger(stream)
                return

    async def _answer(self, request: Request) -> Response | Upgrade:
        refusal = _upgrade_fault(request, self._limits) if request.is_upgrade else None
        if refusal is not None:
            return refusal
        with trio.move_on_after(self._limits.answer_s):
            answer = await self._app(request)
            if isinstance(answer, Upgrade) and not request.is_upgrade:
                return Response(426, headers=[("upgrade", "websocket")])
            return answer
        return Response(503)


def _upgrade_fault(request: Request, limits: ServerLimits) -> Response | None:
    """Return what is wrong with a request for a WebSocket, as an answer; None when nothing is. RFC 6455, 4.2.1."""
    headers = request.headers
    if request.method != "GET" or request.body or request.http_version != "1.1":
        return Response(400)
    if headers.get("sec-websocket-version", "") != "13":
        return Response(426, headers=[("sec-websocket-version", "13")])
    if not _is_key(headers.get("sec-websocket-key", "")) or "upgrade" not in tokens(headers.get("connection", "")):
        return Response(400)
    if "origin" in headers and headers["origin"] not in limits.allowed_origins:
        return Response(403)
    return None


def _is_key(text: str) -> bool:
    """Whether a Sec-WebSocket-Key is what it must be: 16 bytes in base64."""
    try:
        return len(base64.b64decode(text, validate=True)) == _KEY_BYTES
    except ValueError:
        return False


async def _serve_socket(
    connection: HttpConnection,
    stream: ByteStream,
    request: Request,
    upgrade: Upgrade,
    port: ServerLimits,
) -> None:
    limits = upgrade.limits or port.sockets
    async with open_service_nursery() as nursery:
        if port.websocket is WebSocketTransport.TRIO_WEBSOCKET:
            socket = await _accept_with_library(nursery, connection, stream, request, limits)
        else:
            socket = await _accept_own(nursery, connection, stream, request, limits)
        socket.outlive_cancellation()
        code = INTERNAL_ERROR
        try:
            await upgrade.run(socket)
            code = NORMAL_CLOSURE
        except* ConnectionLost:
            code = NORMAL_CLOSURE
        except* trio.Cancelled:
            code = GOING_AWAY
            raise
        finally:
            await socket.close(code)


async def _accept_own(
    nursery: trio.Nursery, connection: HttpConnection, stream: ByteStream, request: Request, limits: SocketLimits
) -> ServerWebSocket | TrioServerWebSocket:
    proof = accept_token(request.headers["sec-websocket-key"].encode())
    await connection.switch_to_websocket(proof, limits.send_s)
    socket = ServerWebSocket(stream, request.peer, limits, connection.unread)
    await nursery.start(socket.run)
    return socket


async def _accept_with_library(
    nursery: trio.Nursery, connection: HttpConnection, stream: ByteStream, request: Request, limits: SocketLimits
) -> ServerWebSocket | TrioServerWebSocket:
    """Let the library read the request again, which this port has read and judged already, and answer it."""
    socket = TrioServerWebSocket(stream, request.peer, limits, _head_of(request), connection.unread)
    with trio.move_on_after(limits.send_s):
        await nursery.start(socket.run)
        socket.check_upgraded()
        return socket
    raise trio.BrokenResourceError("the answer to an upgrade was not read in time")


def _head_of(request: Request) -> bytes:
    target = f"{request.path}?{request.query}" if request.query else request.path
    fields = [f"{name}: {value}" for name, value in request.headers.items()]
    return "\r\n".join([f"GET {target} HTTP/1.1", *fields, "", ""]).encode("latin-1")


async def _turn_away(connection: HttpConnection) -> None:
    """Refuse a connection beyond the port's bound, at once: its socket is what is scarce."""
    with trio.move_on_after(_LINGER_S):
        await connection.write(_plain(503))


async def _refuse(connection: HttpConnection, stream: ByteStream, status: int) -> None:
    """Answer with an error where an answer can still be sent; the peer need not read it."""
    if connection.may_answer:
        with contextlib.suppress(*_GONE):
            await connection.write(_plain(status))
            await _linger(stream)


def _plain(status: int) -> Response:
    return Response(status, HTTPStatus(status).phrase.encode(), headers=[CLOSING])


async def _linger(stream: ByteStream) -> None:
    """Let the peer read its answer: closing on unread input would reset the connection over it."""
    await stream.send_eof()
    read = 0
    with trio.move_on_after(_LINGER_S):
        while read < _LINGER_BYTES and (data := await stream.receive_some()):
            read += len(data)
