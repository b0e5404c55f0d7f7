"""A client of the twin on a network, as the tests of its wire want it."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import orjson
import pytest

from voicecore.errors import ConnectionLost
from voicecore.net.websocket.connect import DialLimits, dial
from voicecore.net.websocket.protocol import WebSocket
from voicecore.simulation.openai_realtime import Recorded, Reply, Script
from voicecore.simulation.world import SimulatedWorld
from voicecore_tests.simulation.openai_realtime.kit import PCMU, Event

KEY = [("Authorization", "Bearer sk-test")]
TALK = Script(replies=(Reply("one moment please", speech=Recorded("agent-one-moment")),))
CREATE: Event = {"type": "response.create"}
TELEPHONE: Event = {
    "type": "session.update",
    "session": {
        "type": "realtime",
        "audio": {"input": {"format": PCMU, "turn_detection": None}, "output": {"format": PCMU}},
    },
}


class Client:
    """A WebSocket client that keeps what it receives."""

    def __init__(self, socket: WebSocket) -> None:
        self.socket = socket
        self.events: list[Event] = []

    async def send(self, *messages: Event) -> None:
        for message in messages:
            await self.socket.send(orjson.dumps(message).decode())

    async def append(self, audio: bytes) -> None:
        await self.send({"type": "input_audio_buffer.append", "audio": base64.b64encode(audio).decode()})

    async def wait_for(self, kind: str) -> Event:
        """Read until an event of this type; it may be among those that were read already."""
        while True:
            for event in self.events:
                if event["type"] == kind:
                    return event
            self.events += [orjson.loads(text) for text in await self.socket.receive()]

    async def wait_for_end(self) -> ConnectionLost:
        """Read until the connection is lost."""
        with pytest.raises(ConnectionLost) as lost:
            await self.wait_for("the end")
        return lost.value


@asynccontextmanager
async def calling(
    world: SimulatedWorld,
    base_url: str,
    headers: list[tuple[str, str]] = KEY,
    path: str = "/realtime?model=gpt-realtime",
    limits: DialLimits | None = None,
) -> AsyncIterator[Client]:
    async with dial(world.world.network, base_url + path, headers=headers, limits=limits) as socket:
        yield Client(socket)
