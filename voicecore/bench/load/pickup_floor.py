"""The least that a cold pickup needs: open a session, configure it, request a message, pass its audio on.

No engine: nothing is protected, buffered, supervised or recorded.  What the engine
takes beyond this, in the same process and run, is its own.

Rule: it waits for what the engine waits for, and does nothing else.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import orjson
import trio

from voicecore.errors import ConnectionLost
from voicecore.net.http.messages import Request, Response, Upgrade
from voicecore.net.http.server import serve
from voicecore.net.websocket.connect import dial
from voicecore.net.websocket.protocol import WebSocket
from voicecore.wire.twiml import connect_stream
from voicecore.world import World

_HOST = "127.0.0.1"
_G711 = {"type": "audio/pcmu"}
_SESSION = {
    "type": "realtime",
    "instructions": "You call people.",
    "output_modalities": ["audio"],
    "audio": {"input": {"format": _G711, "turn_detection": None}, "output": {"format": _G711}},
}
_UPDATE = orjson.dumps({"type": "session.update", "session": _SESSION}).decode()
_ASK = orjson.dumps({"type": "response.create"}).decode()


@asynccontextmanager
async def serve_floor(world: World, provider_url: str) -> AsyncIterator[str]:
    """Answer calls while the block runs; gives the base URL for the carrier's webhooks."""
    listening = await world.network.listen(_HOST, 0)
    session_url = f"{provider_url}/realtime?model=gpt-realtime"

    async def run(line: WebSocket) -> None:
        stream_id = (await _until(line, "event", "start"))["streamSid"]
        async with dial(world.network, session_url, headers=[("Authorization", "Bearer bench-key")]) as session:
            await _until(session, "type", "session.created")
            await session.send(_UPDATE)
            await _until(session, "type", "session.updated")
            await session.send(_ASK)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_pass_on, session, line, stream_id)
                await _drain(line)
                nursery.cancel_scope.cancel()

    async def answer(request: Request) -> Response | Upgrade:
        await trio.lowlevel.checkpoint()
        if request.is_upgrade:
            return Upgrade(run)
        if request.path == "/twilio/voice":
            return Response(200, connect_stream(f"ws://{_HOST}:{listening.port}/media"), "text/xml")
        return Response(204)

    async with trio.open_nursery() as nursery:
        await nursery.start(serve, listening.listeners, answer)
        yield f"http://{_HOST}:{listening.port}"
        nursery.cancel_scope.cancel()


async def _until(socket: WebSocket, key: str, value: str) -> Mapping[str, str]:
    """Read until a message of this kind, and return it."""
    while True:
        for text in await socket.receive():
            message: Mapping[str, str] = orjson.loads(text)
            if message[key] == value:
                return message


async def _pass_on(session: WebSocket, line: WebSocket, stream_id: str) -> None:
    """Pass the audio on to the carrier as it comes."""
    while True:
        for text in await session.receive():
            message = orjson.loads(text)
            if message["type"] == "response.output_audio.delta":
                media = {"event": "media", "streamSid": stream_id, "media": {"payload": message["delta"]}}
                await line.send(orjson.dumps(media).decode())


async def _drain(line: WebSocket) -> None:
    """Read and drop the user's audio to the end."""
    try:
        while True:
            await line.receive()
    except ConnectionLost:
        return
