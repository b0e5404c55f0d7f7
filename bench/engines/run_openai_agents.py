"""openai-agents, OpenAI's Agents SDK: its session on a Twilio stream, as in its own example.

    python run_openai_agents.py ws://HOST:PORT MAX_CALLS

Follows examples/realtime/twilio (server.py and twilio_handler.py) of
openai/openai-agents-python: FastAPI, a RealtimeRunner for each call, audio both
ways in pieces of at least 50 ms, a mark for each piece of the model's audio whose
echo moves the playback tracker, and a clear when the session says that it was
interrupted.

Settings: G.711 both ways, passed through; server VAD that answers and interrupts by
itself; transcription on, as with the other engines; no tools; tracing off, also at
the provider; the provider's address by the documented `url` of the model's
configuration.  Left out: the example's prints.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import sys
import time
from contextlib import suppress
from typing import Any

from agents import set_tracing_disabled
from agents.realtime import RealtimeAgent, RealtimePlaybackTracker, RealtimeRunner, RealtimeSession
from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from serving import serve

PIECE_S = 0.05
PIECE_BYTES = int(8000 * PIECE_S)
STALE_S = 2 * PIECE_S

agent = RealtimeAgent(name="Agent", instructions="You answer the telephone.")
app = FastAPI()


class Call:
    """One call: the carrier's socket and the session, with a buffer each way."""

    def __init__(self, carrier: WebSocket) -> None:
        self._carrier = carrier
        self._tracker = RealtimePlaybackTracker()
        self._session: RealtimeSession | None = None
        self._stream_sid = ""
        self._from_user = bytearray()
        self._to_user = bytearray()
        self._sent_to_model = self._sent_to_carrier = time.time()
        self._marks: dict[str, tuple[str, int, int]] = {}  # by name: the item, part and bytes before it
        self._unsent_marks: list[str] = []
        self._last_mark = 0

    async def run(self) -> None:
        """Run the call until the carrier hangs up."""
        model_config: Any = {
            "api_key": "bench-key",
            "url": f"{sys.argv[1]}/v1/realtime?model=gpt-realtime",
            "initial_model_settings": {
                "input_audio_format": "g711_ulaw",
                "output_audio_format": "g711_ulaw",
                "input_audio_transcription": {"model": "gpt-realtime-whisper"},
                "turn_detection": {"type": "server_vad", "interrupt_response": True, "create_response": True},
            },
            "playback_tracker": self._tracker,
        }
        runner = RealtimeRunner(agent, config={"tracing_disabled": True})
        async with await runner.run(model_config=model_config) as self._session:
            await self._carrier.accept()
            tasks = [asyncio.create_task(each) for each in (self._hear_model(), self._flush_what_waits())]
            try:
                with suppress(WebSocketDisconnect):
                    await self._hear_carrier()
            finally:
                for task in tasks:
                    task.cancel()

    async def _hear_carrier(self) -> None:
        while True:
            message = json.loads(await self._carrier.receive_text())
            event = message["event"]
            if event == "start":
                self._stream_sid = message["start"]["streamSid"]
            elif event == "media":
                self._from_user += base64.b64decode(message["media"]["payload"])
                if len(self._from_user) >= PIECE_BYTES:
                    await self._send_to_model()
            elif event == "mark":
                item_id, part, size_bytes = self._marks.pop(message["mark"]["name"])
                self._tracker.on_play_bytes(item_id, part, bytes(size_bytes))
            elif event == "stop":
                return

    async def _hear_model(self) -> None:
        async for event in self._session:
            if event.type == "audio":
                self._to_user += event.audio.data
                self._last_mark += 1
                name = str(self._last_mark)
                self._marks[name] = (event.audio.item_id, event.audio.content_index, len(event.audio.data))
                self._unsent_marks.append(name)
                if len(self._to_user) >= PIECE_BYTES:
                    await self._send_to_carrier()
            elif event.type == "audio_interrupted":
                await self._send_to_carrier()
                await self._say({"event": "clear", "streamSid": self._stream_sid})
            elif event.type == "audio_end":
                await self._send_to_carrier()

    async def _flush_what_waits(self) -> None:
        while True:
            await asyncio.sleep(PIECE_S)
            now = time.time()
            if self._from_user and now - self._sent_to_model > STALE_S:
                await self._send_to_model()
            if self._to_user and now - self._sent_to_carrier > STALE_S:
                await self._send_to_carrier()

    async def _send_to_model(self) -> None:
        audio = bytes(self._from_user)
        self._from_user.clear()
        self._sent_to_model = time.time()
        await self._session.send_audio(audio)

    async def _send_to_carrier(self) -> None:
        if not self._to_user:
            return
        payload = base64.b64encode(self._to_user).decode()
        marks = list(self._unsent_marks)
        self._to_user.clear()
        self._unsent_marks.clear()
        self._sent_to_carrier = time.time()
        await self._say({"event": "media", "streamSid": self._stream_sid, "media": {"payload": payload}})
        for name in marks:
            await self._say({"event": "mark", "streamSid": self._stream_sid, "mark": {"name": name}})

    async def _say(self, message: dict[str, Any]) -> None:
        await self._carrier.send_text(json.dumps(message))


@app.websocket("/media-stream")
async def media_stream(websocket: WebSocket) -> None:
    """One call's stream."""
    await Call(websocket).run()


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    set_tracing_disabled(True)
    serve(app)
