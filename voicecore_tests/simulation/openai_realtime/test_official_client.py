"""A whole conversation between the twin and the official client, over real sockets.

The official client writes every request by its own types and reads every event
by its own types; beside that, each event is judged to the letter (judge.py).
Only the WebSocket under it is ours: the client's own library is an extra that
this project does not need otherwise.
"""

from __future__ import annotations

import base64
import random
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

import orjson
import pytest
import trio
from openai.resources.realtime.realtime import AsyncRealtimeConnection
from openai.types.realtime import (
    ConversationItemInputAudioTranscriptionCompletedEvent,
    ConversationItemTruncatedEvent,
    InputAudioBufferCommittedEvent,
    InputAudioBufferSpeechStartedEvent,
    RealtimeErrorEvent,
    RealtimeServerEvent,
    RealtimeSessionCreateRequest,
    RealtimeSessionCreateRequestParam,
    ResponseAudioDeltaEvent,
    ResponseCreatedEvent,
    ResponseDoneEvent,
    SessionCreatedEvent,
    SessionUpdatedEvent,
)
from openai.types.realtime.realtime_conversation_item_function_call import RealtimeConversationItemFunctionCall
from pydantic import BaseModel

from voicecore.net.transport.network import RealNetwork
from voicecore.net.websocket.connect import dial
from voicecore.net.websocket.protocol import WebSocket
from voicecore.simulation.openai_realtime import Behaviour, Pace, RealtimeTwin, Recorded, Reply, Script, ToolCall
from voicecore.simulation.world import MemoryFiles
from voicecore.world import World
from voicecore_tests.chance import REAL_TIME
from voicecore_tests.simulation.openai_realtime.judge import check_event
from voicecore_tests.simulation.openai_realtime.kit import recording, silence

pytestmark = REAL_TIME

REPOSITORY = Path(__file__).parents[3]
FAST = Behaviour(pace=Pace(first_delta_s=0.01, speed=20.0, burst_s=0.5))
SCRIPT = Script(
    replies=(
        Reply("one moment, please", speech=Recorded("agent-one-moment")),
        Reply("a long congratulation", speech=Recorded("agent-long-30s")),
        Reply(tool_calls=(ToolCall("transfer", '{"to": "sales"}'),)),
        Reply("goodbye", speech=Recorded("agent-goodbye")),
    ),
    hears=("one moment", "please hold while I transfer the call", "hello"),
)
SESSION: RealtimeSessionCreateRequestParam = {
    "type": "realtime",
    "instructions": "You answer the telephone.",
    "audio": {
        "input": {
            "format": {"type": "audio/pcmu"},
            "transcription": {"model": "gpt-realtime-whisper", "language": "en"},
            "turn_detection": {
                "type": "server_vad",
                "threshold": 0.5,
                "prefix_padding_ms": 300,
                "silence_duration_ms": 400,
                "create_response": True,
                "interrupt_response": True,
            },
        },
        "output": {"format": {"type": "audio/pcmu"}, "voice": "cedar"},
    },
    "tools": [{"type": "function", "name": "transfer", "description": "…", "parameters": {"type": "object"}}],
}


class Transport:
    """What the official client expects of a WebSocket, on ours."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket
        self._waiting: list[str] = []

    async def send(self, data: str | bytes) -> None:
        await self._socket.send(data if isinstance(data, str) else data.decode())

    async def recv(self, *, decode: bool | None = None) -> bytes:
        assert decode is False
        if not self._waiting:
            self._waiting = await self._socket.receive()
        text = self._waiting.pop(0)
        check_event(orjson.loads(text))
        return text.encode()

    async def close(self, *, code: int = 1000, reason: str = "") -> None:
        await self._socket.close(code, reason)


_Event = TypeVar("_Event", bound=BaseModel)


async def until(client: AsyncRealtimeConnection, kind: type[_Event]) -> tuple[_Event, list[RealtimeServerEvent]]:
    """Read until an event of this type; return it, and everything that came before it."""
    before: list[RealtimeServerEvent] = []
    while True:
        event = await client.recv()
        if isinstance(event, kind):
            return event, before
        before.append(event)


async def speak(client: AsyncRealtimeConnection, audio: bytes) -> None:
    """Append audio as fast as the socket takes it: the server's clock is the audio."""
    for begin in range(0, len(audio), 800):
        await client.input_audio_buffer.append(audio=base64.b64encode(audio[begin : begin + 800]).decode())


def played(events: list[RealtimeServerEvent]) -> bytes:
    """Return the agent audio of some events."""
    return b"".join(base64.b64decode(each.delta) for each in events if isinstance(each, ResponseAudioDeltaEvent))


@asynccontextmanager
async def official_client(base_url: str) -> AsyncIterator[AsyncRealtimeConnection]:
    """Connect the official client."""
    headers = [("Authorization", "Bearer sk-test")]
    async with dial(RealNetwork(), f"{base_url}/realtime?model=gpt-realtime-2.1", headers=headers) as socket:
        yield AsyncRealtimeConnection(cast("Any", Transport(socket)))


@pytest.fixture
def twin() -> RealtimeTwin:
    world = World(
        network=RealNetwork(), files=MemoryFiles(), random=random.Random(5), wall_clock=lambda: datetime.now(UTC)
    )
    return RealtimeTwin(world, SCRIPT, FAST)


async def test_a_whole_conversation(twin: RealtimeTwin) -> None:
    """Opening, update, a turn by voice, an interruption with truncation, a tool call, a refusal; every event judged."""
    with trio.fail_after(60):
        async with twin.serve() as base_url, official_client(base_url) as client:
            await open_and_configure(client)
            await talk_one_turn(client)
            item_id = await interrupt(client)
            [item] = [each for each in twin.connections[0].session.conversation.items if each.item_id == item_id]
            assert bytes(item.audio) == recording("agent-long-30s")[: 150 * 8]
            await run_tool(client)
            await client.response.cancel(event_id="nothing-runs")
            refused, _ = await until(client, RealtimeErrorEvent)
            assert (refused.error.code, refused.error.event_id) == ("response_cancel_not_active", "nothing-runs")


async def open_and_configure(client: AsyncRealtimeConnection) -> None:
    """session.created with a default voice, then session.updated with what was asked for."""
    created, nothing = await until(client, SessionCreatedEvent)
    assert nothing == []
    assert created.session.type == "realtime"
    await client.session.update(session=SESSION)
    updated, _ = await until(client, SessionUpdatedEvent)
    assert isinstance(updated.session, RealtimeSessionCreateRequest)
    assert updated.session.audio is not None
    assert updated.session.audio.output is not None
    assert updated.session.audio.output.voice == "cedar"


async def talk_one_turn(client: AsyncRealtimeConnection) -> None:
    """The server hears a recorded client, transcribes, and answers with the recording."""
    await speak(client, recording("caller-one-moment-it") + silence(0.6))
    started, _ = await until(client, InputAudioBufferSpeechStartedEvent)
    committed, _ = await until(client, InputAudioBufferCommittedEvent)
    assert committed.item_id == started.item_id
    done, events = await until(client, ResponseDoneEvent)
    assert done.response.status == "completed"
    assert played(events) == recording("agent-one-moment")
    completed, _ = await until(client, ConversationItemInputAudioTranscriptionCompletedEvent)
    assert (completed.item_id, completed.transcript) == (committed.item_id, "one moment")


async def interrupt(client: AsyncRealtimeConnection) -> str:
    """The client speaks into a long reply: cancelled with turn_detected, then truncated; returns the item's id."""
    await speak(client, recording("caller-transfer-fr") + silence(0.6))
    first_delta, _ = await until(client, ResponseAudioDeltaEvent)
    await speak(client, recording("caller-hello-it"))
    done, events = await until(client, ResponseDoneEvent)
    assert done.response.status == "cancelled"
    assert done.response.status_details is not None
    assert done.response.status_details.reason == "turn_detected"
    assert len(played(events)) < len(recording("agent-long-30s")) - 8000
    await client.conversation.item.truncate(item_id=first_delta.item_id, content_index=0, audio_end_ms=150)
    truncated, _ = await until(client, ConversationItemTruncatedEvent)
    assert (truncated.item_id, truncated.audio_end_ms) == (first_delta.item_id, 150)
    return first_delta.item_id


async def run_tool(client: AsyncRealtimeConnection) -> None:
    """The interrupting turn ends in a function call; its result is taken and the next response speaks."""
    await speak(client, silence(0.6))
    done, _ = await until(client, ResponseDoneEvent)
    assert done.response.output is not None
    [call] = done.response.output
    assert isinstance(call, RealtimeConversationItemFunctionCall)
    assert (call.name, call.arguments) == ("transfer", '{"to": "sales"}')
    assert call.call_id is not None
    await client.conversation.item.create(
        item={"type": "function_call_output", "call_id": call.call_id, "output": '{"ok": true}'}
    )
    await client.response.create(response={"metadata": {"request": "r-4"}})
    created, _ = await until(client, ResponseCreatedEvent)
    assert created.response.metadata == {"request": "r-4"}
    done, events = await until(client, ResponseDoneEvent)
    assert done.response.usage is not None
    assert played(events) == recording("agent-goodbye")


async def test_the_twin_as_a_process_of_its_own() -> None:
    """`python -m …` says where it listens, and serves there; with --echo it sends audio back."""
    command = [sys.executable, "-m", "voicecore.simulation.openai_realtime", "--port", "0", "--seed", "3", "--echo"]
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            run = partial(trio.run_process, command, cwd=REPOSITORY, stdout=subprocess.PIPE, check=False)
            process: trio.Process = await nursery.start(run)
            assert process.stdout is not None
            said = (await process.stdout.receive_some()).decode()
            assert said.startswith("listening on ws://127.0.0.1:")
            async with official_client(said.removeprefix("listening on ").strip()) as client:
                await until(client, SessionCreatedEvent)
                await speak(client, recording("caller-hello-it")[:800])
                echoed, _ = await until(client, ResponseAudioDeltaEvent)
                assert played([echoed]) == recording("caller-hello-it")[:800]
            nursery.cancel_scope.cancel()
