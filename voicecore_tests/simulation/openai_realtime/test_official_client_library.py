"""The official client, whole and unhelped: its URL, its headers, its WebSocket library, on loopback.

test_official_client.py holds a long conversation through the client's types;
this one shows that nothing of ours stands between the client and the twin.
"""

from __future__ import annotations

import asyncio
import base64
import random
from datetime import UTC, datetime

import trio
from openai import AsyncOpenAI
from openai.types.realtime import RealtimeServerEvent

from voicecore.disk import RealFiles
from voicecore.net.transport.network import RealNetwork
from voicecore.secrets import Secret
from voicecore.simulation.openai_realtime import Behaviour, Pace, RealtimeTwin, Recorded, Reply, Script
from voicecore.world import World
from voicecore_tests.chance import REAL_TIME

pytestmark = REAL_TIME

KEY = "sk-official-client"
SCRIPT = Script(replies=(Reply("goodbye", speech=Recorded("agent-goodbye")),))
FAST = Behaviour(pace=Pace(first_delta_s=0.01, speed=50.0))


async def converse(base_url: str) -> list[RealtimeServerEvent]:
    """Open, configure, ask for a response, read it to its end: as any program that uses the official client."""
    events: list[RealtimeServerEvent] = []
    client = AsyncOpenAI(api_key=KEY, websocket_base_url=base_url)
    async with client.realtime.connect(model="gpt-realtime-2.1") as connection:
        await connection.session.update(
            session={
                "type": "realtime",
                "instructions": "Say goodbye.",
                "audio": {
                    "input": {"format": {"type": "audio/pcmu"}, "turn_detection": None},
                    "output": {"format": {"type": "audio/pcmu"}},
                },
            }
        )
        await connection.input_audio_buffer.append(audio=base64.b64encode(b"\xff" * 1600).decode())
        await connection.input_audio_buffer.commit()
        await connection.response.create()
        async for event in connection:
            events.append(event)
            if event.type in {"response.done", "error"}:
                return events
    return events


async def test_the_official_client_and_its_own_websocket_library_talk_with_the_twin() -> None:
    """The twin is a server, not a mock: a stranger's client holds a conversation with it."""
    world = World(
        network=RealNetwork(), files=RealFiles(), random=random.Random(1), wall_clock=lambda: datetime.now(UTC)
    )
    twin = RealtimeTwin(world, SCRIPT, FAST, api_key=Secret(KEY))
    with trio.fail_after(60):
        async with twin.serve() as base_url:
            events = await trio.to_thread.run_sync(asyncio.run, converse(base_url))
    kinds = [event.type for event in events]
    assert kinds[0] == "session.created"
    assert "session.updated" in kinds
    assert "input_audio_buffer.committed" in kinds
    assert kinds[-1] == "response.done"
    spoken = b"".join(base64.b64decode(event.delta) for event in events if event.type == "response.output_audio.delta")
    assert abs(len(spoken) / 8000 - 0.86) < 0.03
