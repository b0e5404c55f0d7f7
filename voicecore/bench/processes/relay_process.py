"""The baseline in a process of its own: `python -m voicecore.bench.processes.relay_process URL`.

For each accepted WebSocket it opens one to the URL, and passes text messages on both
ways, unread: voicecore's own sockets, and nothing of the engine.
"""

from __future__ import annotations

import sys

import trio

from voicecore.bench.processes.usage import report_usage
from voicecore.errors import ConnectionLost
from voicecore.net.http.messages import Request, Upgrade
from voicecore.net.http.server import serve
from voicecore.net.transport.network import RealNetwork
from voicecore.net.websocket.connect import dial
from voicecore.net.websocket.protocol import WebSocket


async def main(url: str) -> None:
    """Relay until the parent has gone."""
    network = RealNetwork()

    async def relay(near: WebSocket) -> None:
        async with dial(network, url) as far, trio.open_nursery() as nursery:
            nursery.start_soon(_pass_on, near, far, nursery.cancel_scope)
            nursery.start_soon(_pass_on, far, near, nursery.cancel_scope)

    async def answer(_request: Request) -> Upgrade:
        await trio.lowlevel.checkpoint()
        return Upgrade(relay)

    listening = await network.listen("127.0.0.1", 0)
    async with trio.open_nursery() as nursery:
        await nursery.start(serve, listening.listeners, answer)
        await report_usage(listening.port)
        nursery.cancel_scope.cancel()


async def _pass_on(source: WebSocket, target: WebSocket, scope: trio.CancelScope) -> None:
    """Copy one way until either end is lost."""
    try:
        while True:
            for text in await source.receive():
                await target.send(text)
    except ConnectionLost:
        scope.cancel()


if __name__ == "__main__":
    trio.run(main, sys.argv[1])
