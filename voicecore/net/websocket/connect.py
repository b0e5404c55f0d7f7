"""Opening a WebSocket as a client: connect, upgrade, run, close; each within its bound.

Rule 1: one nursery a connection; leaving the scope leaves no task and no socket.
Rule 2: the close handshake outlives a cancellation, and is over within ``close_s``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import attrs
import trio

from voicecore.errors import HandshakeTimeout
from voicecore.net.http.headers import encode_headers
from voicecore.net.urls import WebSocketUrl, parse_websocket_url
from voicecore.net.websocket.client import ClientWebSocket, DialLimits
from voicecore.net.websocket.handshake import ask_for_websocket
from voicecore.net.websocket.protocol import ClientSideWebSocket
from voicecore.net.websocket.trio_ws_ends import TrioClientWebSocket, UpgradeFields
from voicecore.nurseries import open_service_nursery
from voicecore.world import ByteStream, Network, WebSocketTransport

__all__ = ["DialLimits", "dial"]

Headers = Sequence[tuple[str, str]]


@asynccontextmanager
async def dial(
    network: Network, url: str, *, headers: Headers = (), limits: DialLimits | None = None
) -> AsyncIterator[ClientSideWebSocket]:
    """Open a WebSocket, with the network's transport; leaving the block closes it within ``close_s``, cancelled or not.

    ``headers`` may hold credentials; neither they nor the URL's path show up
    anywhere.  What the block raises propagates unchanged.

    Raises (on entering):
        LocalProtocolError: The URL is not one, or a header may not be sent.
        HandshakeTimeout: No connection or no answer in time.
        HandshakeRefused: The peer answered with an HTTP status.
        ConnectionLost: The connection ended before it was open.
    """
    limits = limits or DialLimits()
    target, fields = parse_websocket_url(url), encode_headers(headers)
    wire = await _connect(network, target, limits)
    try:
        async with open_service_nursery() as nursery:
            socket = await _open(nursery, _Order(wire, target, fields, limits), network.websocket)
            socket.outlive_cancellation()
            try:
                yield socket
            finally:
                await socket.close()
    finally:
        wire.close_now()


async def _connect(network: Network, target: WebSocketUrl, limits: DialLimits) -> ByteStream:
    with trio.move_on_after(limits.connect_s):
        return await network.open_stream(target.host, target.port, tls=target.tls)
    raise HandshakeTimeout(f"no connection within {limits.connect_s:g} s", peer=target.origin)


@attrs.frozen
class _Order:
    """What is to be opened, on which byte stream."""

    wire: ByteStream
    target: WebSocketUrl
    fields: list[tuple[bytes, bytes]]
    limits: DialLimits


async def _open(
    nursery: trio.Nursery, order: _Order, transport: WebSocketTransport
) -> ClientWebSocket | TrioClientWebSocket:
    """Upgrade, and start the connection's tasks in ``nursery``."""
    limits = order.limits
    with trio.move_on_after(limits.open_s):
        if transport is WebSocketTransport.TRIO_WEBSOCKET:
            return await _open_with_library(nursery, order)
        return await _open_own(nursery, order)
    raise HandshakeTimeout(f"did not answer the upgrade within {limits.open_s:g} s", peer=order.target.origin)


async def _open_own(nursery: trio.Nursery, order: _Order) -> ClientWebSocket:
    unread = await ask_for_websocket(order.wire, order.target, order.fields)
    socket = ClientWebSocket(order.wire, order.target.origin, order.limits, unread)
    await nursery.start(socket.run)
    return socket


async def _open_with_library(nursery: trio.Nursery, order: _Order) -> TrioClientWebSocket:
    target = order.target
    socket = TrioClientWebSocket(order.wire, target.origin, order.limits, UpgradeFields(target.target, order.fields))
    await nursery.start(socket.run)
    socket.check_upgraded()
    return socket
