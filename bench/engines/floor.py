"""The floor: the least that has to be done between Twilio and OpenAI Realtime, by hand.

    python floor.py ws://HOST:PORT MAX_CALLS

asyncio, picows (a WebSocket in Cython, callbacks, no tasks on the audio path) and
orjson.  G.711 passes through, the provider's answers go to the carrier as they
come, and when the user speaks the carrier is sent a clear and the rest of the
answer is dropped.

What it does not do, and an engine must: pace audio, know what was heard,
truncate, park, tools, transcripts, records, limits, deadlines, retries.
Nobody should answer calls with it; nobody can answer them for less in Python.
"""

from __future__ import annotations

import asyncio
import logging
import sys

import orjson
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect, ws_create_server
from report_usage import report_usage

SESSION = {
    "type": "realtime",
    "instructions": "You answer the telephone.",
    "output_modalities": ["audio"],
    "audio": {
        "input": {
            "format": {"type": "audio/pcmu"},
            "transcription": {"model": "gpt-realtime-whisper"},
            "turn_detection": {"type": "server_vad", "create_response": True, "interrupt_response": True},
        },
        "output": {"format": {"type": "audio/pcmu"}, "voice": "marin"},
    },
}


class Carrier(WSListener):
    """One call: the carrier's socket, which opens the provider's."""

    def __init__(self, provider_url: str) -> None:
        self._provider_url = provider_url
        self._transport: WSTransport | None = None
        self._provider: WSTransport | None = None
        self._head = b""
        self._task: asyncio.Task[None] | None = None

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect()
            return
        message = orjson.loads(frame.get_payload_as_memoryview())
        event = message["event"]
        if event == "media":
            if self._provider is not None:
                payload = message["media"]["payload"]
                append = f'{{"type":"input_audio_buffer.append","audio":"{payload}"}}'
                self._provider.send(WSMsgType.TEXT, append.encode())
        elif event == "start":
            self._head = orjson.dumps({"streamSid": message["streamSid"]})[:-1]
            self._task = asyncio.get_running_loop().create_task(self._open())

    def on_ws_disconnected(self, transport: WSTransport) -> None:  # noqa: ARG002 - picows gives it
        if self._provider is not None:
            self._provider.disconnect()

    async def _open(self) -> None:
        url = f"{self._provider_url}/v1/realtime?model=gpt-realtime"
        headers = {"Authorization": "Bearer bench-key"}
        self._provider, _ = await ws_connect(lambda: Provider(self), url, extra_headers=headers)
        self._provider.send(WSMsgType.TEXT, orjson.dumps({"type": "session.update", "session": SESSION}))

    def play(self, encoded: str) -> None:
        """Send audio on, still in base64."""
        self._send(self._head + f',"event":"media","media":{{"payload":"{encoded}"}}}}'.encode())

    def clear(self) -> None:
        """Be silent."""
        self._send(self._head + b',"event":"clear"}')

    def _send(self, message: bytes) -> None:
        if self._transport is not None:
            self._transport.send(WSMsgType.TEXT, message)


class Provider(WSListener):
    """The session of one call."""

    def __init__(self, carrier: Carrier) -> None:
        self._carrier = carrier
        self._is_cut = False

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect()
            return
        message = orjson.loads(frame.get_payload_as_memoryview())
        kind = message["type"]
        if kind == "response.output_audio.delta":
            if not self._is_cut:
                self._carrier.play(message["delta"])
        elif kind == "response.created":
            self._is_cut = False
        elif kind == "input_audio_buffer.speech_started":
            self._is_cut = True
            self._carrier.clear()


async def main(provider_url: str) -> None:
    """Answer calls until the parent has gone."""
    server = await ws_create_server(lambda _request: Carrier(provider_url), "127.0.0.1", 0)
    report_usage(server.sockets[0].getsockname()[1])
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    asyncio.run(main(sys.argv[1]))
