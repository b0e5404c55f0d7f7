"""Dialling a WebSocket: connect, upgrade, hold, close; each within its bound.

Rule 1: one nursery a connection; leaving the scope leaves no task and no socket.
Rule 2: the close handshake outlives a cancellation, and is over within ``close_s``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import trio

from voicecore.errors import HandshakeTimeout
from voicecore.net.http.headers import encode_headers
from voicecore.net.urls import WebSocketUrl, parse_websocket_url
from voicecore.net.websocket.client import ClientWebSocket, DialLimits
from voicecore.net.websocket.handshake import ask_for_websocket
from voicecore.net.websocket.protocol import ClientSideWebSocket
from voicecore.nurseries import open_service_nursery
from voicecore.world import ByteStream, Network

__all__ = ["DialLimits", "dial"]

Headers = Sequence[tuple[str, str]]


@asynccontextmanager
async def dial(
    network: Network, url: str, *, headers: Headers = (), limits: DialLimits | None = None
) -> AsyncIterator[ClientSideWebSocket]:
    """Open a WebSocket; leaving the block closes it within ``close_s``, cancelled or not.

    ``headers`` may hold credentials; neither they nor the URL's path show up
    anywhere.  What the block raises leaves as it is.

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
        unread = await _upgrade(wire, target, fields, limits)
        async with open_service_nursery() as nursery:
            socket = ClientWebSocket(wire, target.origin, limits, unread)
            await nursery.start(socket.run)
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


async def _upgrade(
    wire: ByteStream, target: WebSocketUrl, fields: list[tuple[bytes, bytes]], limits: DialLimits
) -> bytes:
    with trio.move_on_after(limits.open_s):
        return await ask_for_websocket(wire, target, fields)
    raise HandshakeTimeout(f"did not answer the upgrade within {limits.open_s:g} s", peer=target.origin)
