"""What the tests of dialling share.

Used by test_dial*.py.
"""

from __future__ import annotations

import trio

from voicecore.errors import ConnectionLost
from voicecore.net.websocket.protocol import WebSocket
from voicecore.simulation.memory_network import LinkSettings, MemoryNetwork
from voicecore_tests.net.raw_peer import RawPeer
from voicecore_tests.net.transports import memory_network

KEY = [("Authorization", "Bearer secret-key")]
MARK = "secret-"  # stands in header, path and query
NARROW = LinkSettings(buffer_bytes=1000)


def network_of(link: LinkSettings | None = None) -> MemoryNetwork:
    return memory_network(link)


async def detection_off(peer: RawPeer) -> None:
    """Accept, and never read again."""
    await peer.accept()
    await trio.sleep_forever()


async def collect(socket: WebSocket, count: int) -> list[str]:
    texts: list[str] = []
    while len(texts) < count:
        texts += await socket.receive()
    return texts


async def lost(socket: WebSocket) -> ConnectionLost:
    """Receive until the connection is lost."""
    try:
        while True:
            await socket.receive()
    except ConnectionLost as loss:
        return loss


async def speak_until_lost(socket: WebSocket) -> ConnectionLost:
    try:
        while True:
            await socket.send("x" * 1000)
            await trio.sleep(0.02)
    except ConnectionLost as loss:
        return loss
