"""The sequence that swallows greetings, as it is met in the field: the proof that the tests for it can fail.

    session.update with the flat turn_detection:null, and response.create right behind it, without waiting
    user audio forwarded from the first frame
    clear at every speech_started

It speaks the same wires as the engine, between the same twins.
"""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio

from voicecore.errors import ConnectionLost
from voicecore.net.http.messages import Request, Response, Upgrade
from voicecore.net.http.routes import Parameters, Router
from voicecore.net.http.server import serve
from voicecore.net.websocket.connect import dial
from voicecore.net.websocket.protocol import WebSocket
from voicecore.nurseries import open_service_nursery
from voicecore.wire import twiml
from voicecore.world import World

_PCMU = {"type": "audio/pcmu"}
_CONFIGURATION = {
    "type": "session.update",
    "session": {"type": "realtime", "audio": {"input": {"format": _PCMU}, "output": {"format": _PCMU}}},
}
_FLAT = {"type": "session.update", "session": {"turn_detection": None}}
_GREET = {"type": "response.create", "response": {"instructions": "Say exactly: Hello."}}


class Naive:
    """An engine in fifty lines."""

    def __init__(self, world: World, provider_url: str) -> None:
        self._world = world
        self._provider_url = f"{provider_url}/realtime?model=gpt-realtime"
        self.url = ""

    async def voice(self, _request: Request, _parameters: Parameters) -> Response:
        await trio.lowlevel.checkpoint()
        stream = twiml.connect_stream(self.url.replace("http", "ws") + "/media/token")
        return Response(200, stream, twiml.CONTENT_TYPE)

    async def status(self, _request: Request, _parameters: Parameters) -> Response:
        await trio.lowlevel.checkpoint()
        return Response(204)

    async def media(self, _request: Request, _parameters: Parameters) -> Response | Upgrade:
        await trio.lowlevel.checkpoint()
        return Upgrade(self._hold)

    async def _hold(self, carrier: WebSocket) -> None:
        headers = [("Authorization", "Bearer key")]
        async with dial(self._world.network, self._provider_url, headers=headers) as provider:
            await provider.send(json.dumps(_CONFIGURATION))
            start = await _started(carrier)
            await provider.send(json.dumps(_FLAT))
            await provider.send(json.dumps(_GREET))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_forward, carrier, provider, nursery.cancel_scope)
                await _play(provider, carrier, start)


async def _started(carrier: WebSocket) -> str:
    while True:
        for text in await carrier.receive():
            message = json.loads(text)
            if message["event"] == "start":
                return str(message["streamSid"])


async def _forward(carrier: WebSocket, provider: WebSocket, over: trio.CancelScope) -> None:
    try:
        while True:
            for text in await carrier.receive():
                message = json.loads(text)
                if message["event"] == "media":
                    append = {"type": "input_audio_buffer.append", "audio": message["media"]["payload"]}
                    await provider.send(json.dumps(append))
    except ConnectionLost:
        over.cancel()


async def _play(provider: WebSocket, carrier: WebSocket, stream_sid: str) -> None:
    while True:
        for text in await provider.receive():
            event: dict[str, Any] = json.loads(text)
            if event["type"] == "response.output_audio.delta":
                payload = base64.b64encode(base64.b64decode(event["delta"])).decode()
                await carrier.send(
                    json.dumps({"event": "media", "streamSid": stream_sid, "media": {"payload": payload}})
                )
            elif event["type"] == "input_audio_buffer.speech_started":
                await carrier.send(json.dumps({"event": "clear", "streamSid": stream_sid}))


@asynccontextmanager
async def naive_application(world: World, provider_url: str) -> AsyncIterator[str]:
    """Run it on the world's network; gives its URL."""
    naive = Naive(world, provider_url)
    listening = await world.network.listen("127.0.0.1", 0)
    naive.url = f"http://127.0.0.1:{listening.port}"
    routes = {
        ("POST", "/twilio/voice"): naive.voice,
        ("POST", "/twilio/status"): naive.status,
        ("GET", "/media/{token}"): naive.media,
    }
    async with open_service_nursery() as nursery:
        await nursery.start(serve, listening.listeners, Router(routes))
        yield naive.url
