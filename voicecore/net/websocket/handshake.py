"""A client's upgrade request, and the check of its answer. h11 reads and writes HTTP.

Rule 1: the status line decides about a refusal; its body, which may say why, is read as
far as it comes within a quarter of a second.
Rule 2: nothing is offered, so an answer that accepts an extension or a
subprotocol is not valid.
"""

from __future__ import annotations

import base64
import os
import re
from contextlib import suppress

import h11
import trio

from voicecore.errors import ConnectionLost, HandshakeRefused
from voicecore.net.http.messages import tokens
from voicecore.net.urls import WebSocketUrl
from voicecore.net.websocket.accept_token import accept_token
from voicecore.world import ByteStream

_KEY_BYTES = 16
# As h11 reads it, so that the two never differ in their opinion.
_STATUS_LINE = re.compile(rb"HTTP/[0-9]\.[0-9] ([0-9]{3})")
STATUS_LINE_BYTES = 12
_SWITCHING_PROTOCOLS = 101
_WHY_S = 0.25  #: for the body of a refusal to come
_WHY_BYTES = 4096
_NEVER_OFFERED = frozenset({"sec-websocket-extensions", "sec-websocket-protocol"})


async def ask_for_websocket(wire: ByteStream, target: WebSocketUrl, fields: list[tuple[bytes, bytes]]) -> bytes:
    """Upgrade a connection; return what came after the answer. Has no bound of its own.

    Raises:
        HandshakeRefused: The peer answered with an HTTP status.
        ConnectionLost: It ended the connection, or its answer is not a valid one.
    """
    key = base64.b64encode(os.urandom(_KEY_BYTES))
    connection = h11.Connection(h11.CLIENT)
    try:
        await wire.send_all(connection.send(_request(target, key, fields)) or b"")
        answer = await _read_answer(wire, connection, target)
    except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
        raise ConnectionLost("ended the connection during the upgrade", peer=target.origin) from error
    except h11.RemoteProtocolError as error:
        raise _no_websocket(target) from error
    if not _is_upgrade(answer, key):
        raise _no_websocket(target)
    return bytes(connection.trailing_data[0])


def _request(target: WebSocketUrl, key: bytes, fields: list[tuple[bytes, bytes]]) -> h11.Request:
    headers = [
        (b"Host", target.origin.encode()),
        (b"Upgrade", b"websocket"),
        (b"Connection", b"Upgrade"),
        (b"Sec-WebSocket-Version", b"13"),
        (b"Sec-WebSocket-Key", key),
        *fields,
    ]
    return h11.Request(method=b"GET", target=target.target.encode(), headers=headers)


async def _read_answer(wire: ByteStream, connection: h11.Connection, target: WebSocketUrl) -> h11.Event:
    head = b""
    while not isinstance(event := connection.next_event(), h11.Event):
        data = await wire.receive_some()
        if not data:
            raise ConnectionLost("ended the connection during the upgrade", peer=target.origin)
        head = (head + data)[:STATUS_LINE_BYTES]
        status = refusal_status(head)
        if status is not None:
            connection.receive_data(data)
            why = await _read_body(wire, connection)
            raise HandshakeRefused(peer=target.origin, status=status, body=why)
        connection.receive_data(data)
    return event


def refusal_status(head: bytes) -> int | None:
    """Return the status of an answer, of which ``head`` is the beginning, where it is not the one for an upgrade."""
    match = _STATUS_LINE.match(head)
    return None if match is None or int(match[1]) == _SWITCHING_PROTOCOLS else int(match[1])


async def _read_body(wire: ByteStream, connection: h11.Connection) -> bytes:
    """Return the beginning of a refusal's body, what there is of it in time."""
    body = b""
    with trio.move_on_after(_WHY_S), suppress(trio.BrokenResourceError, trio.ClosedResourceError, h11.ProtocolError):
        while len(body) < _WHY_BYTES:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                connection.receive_data(await wire.receive_some())
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif not isinstance(event, h11.Response | h11.InformationalResponse):
                break
    return body[:_WHY_BYTES]


def _is_upgrade(answer: h11.Event, key: bytes) -> bool:
    """Judge an answer as RFC 6455, section 4.1, does."""
    if not isinstance(answer, h11.InformationalResponse) or answer.status_code != _SWITCHING_PROTOCOLS:
        return False
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in answer.headers}
    return (
        headers.get("upgrade", "").lower() == "websocket"
        and "upgrade" in tokens(headers.get("connection", ""))
        and headers.get("sec-websocket-accept", "").encode("latin-1") == accept_token(key)
        and not _NEVER_OFFERED & set(headers)
    )


def _no_websocket(target: WebSocketUrl) -> ConnectionLost:
    return ConnectionLost("did not answer the upgrade as a WebSocket server does", peer=target.origin)
