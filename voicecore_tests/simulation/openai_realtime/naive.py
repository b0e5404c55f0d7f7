"""The sequence that loses greetings, as it is met in the field, and a check of how the greeting turned out.

    configure with turn detection on; when the phone is picked up
    session.update with the flat turn_detection: null, response.create right behind it, neither awaited;
    client audio from the first frame on; errors are not looked at

Used by tests that want a scenario to be able to go wrong.
"""

from __future__ import annotations

import base64

import orjson
import trio

from voicecore.audio.formats import PCMU_8K
from voicecore.net.websocket.connect import dial
from voicecore.net.websocket.protocol import WebSocket
from voicecore.simulation.openai_realtime import TwinConnection
from voicecore.world import Network
from voicecore_tests.simulation.openai_realtime.kit import PCMU, SERVER_VAD, Event, recording, silence

SPEECH_AFTER_S = 0.2  #: from the pick-up to the client's first word
HELLO = silence(SPEECH_AFTER_S) + recording("caller-hello-it") + silence(5.0)
NOTHING = silence(len(HELLO) / PCMU_8K.bytes_per_second)

_FRAME_S = 0.02
_RINGING_S = 0.5  #: from the open socket to the pick-up
_ROLE = {"role": "first_message"}
_CONFIGURE: Event = {
    "type": "session.update",
    "session": {
        "type": "realtime",
        "audio": {"input": {"format": PCMU, "turn_detection": SERVER_VAD}, "output": {"format": PCMU}},
    },
}
_LOCK_OUT: Event = {"type": "session.update", "session": {"turn_detection": None}}
_GREET: Event = {"type": "response.create", "response": {"metadata": _ROLE}}


async def call_naively(network: Network, base_url: str, client: bytes) -> list[Event]:
    """Run one call; returns every event that the client saw and thought nothing of.

    Args:
        network: Where the provider is.
        base_url: Of the provider, such as ``ws://host:port/v1``.
        client: µ-law at 8 kHz, sent in step with the clock from the pick-up on; the call ends with it.
    """
    events: list[Event] = []
    headers = [("Authorization", "Bearer sk-test")]
    url = f"{base_url}/realtime?model=gpt-realtime"
    async with dial(network, url, headers=headers) as socket, trio.open_nursery() as call:
        call.start_soon(_read, socket, events)
        await _send(socket, _CONFIGURE)
        await trio.sleep(_RINGING_S)
        await _send(socket, _LOCK_OUT)
        await _send(socket, _GREET)
        await _stream(socket, client)
        call.cancel_scope.cancel()
    return events


def first_message_heard(connection: TwinConnection) -> bool:
    """Whether the response that was asked for as the first message ran to its end."""
    ends = [response.done for response in connection.session.responses if response.metadata == _ROLE]
    return any(done is not None and done["status"] == "completed" for done in ends)


async def _read(socket: WebSocket, events: list[Event]) -> None:
    while True:
        events += [orjson.loads(text) for text in await socket.receive()]


async def _stream(socket: WebSocket, audio: bytes) -> None:
    frame_bytes = PCMU_8K.bytes_in(_FRAME_S)
    for begin in range(0, len(audio), frame_bytes):
        frame = base64.b64encode(audio[begin : begin + frame_bytes]).decode()
        await _send(socket, {"type": "input_audio_buffer.append", "audio": frame})
        await trio.sleep(_FRAME_S)


async def _send(socket: WebSocket, event: Event) -> None:
    await socket.send(orjson.dumps(event).decode())
