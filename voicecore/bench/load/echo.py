"""The provider of a measurement: whatever it hears it says again, at once, in one endless response.

    /v1/realtime    OpenAI Realtime, by the provider twin's own session (7 µs a message)
    /plain          every media message back, for the baseline

Rule 1: nothing runs ahead: what is said was heard a moment before, so that no
audio has to wait for its turn to be played.
Rule 2: the books are kept here: a frame has come when its message was read, and
leaves when the answer is about to be written.
"""

from __future__ import annotations

import binascii
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from time import perf_counter

import orjson
import trio

from voicecore.bench.micro.frames import FRAME_BYTES, Track, call_of
from voicecore.net.http.messages import Request, Response, Upgrade
from voicecore.net.http.server import serve
from voicecore.net.transport.network import RealNetwork
from voicecore.net.websocket.protocol import WebSocket
from voicecore.net.websocket.server import SocketLimits
from voicecore.simulation.openai_realtime import Behaviour, Echo, Script, TwinSession
from voicecore.simulation.openai_realtime.outbox import SendEvent
from voicecore.simulation.openai_realtime.response_manager import SessionIdentity

REALTIME_PATH = "/v1/realtime"
PLAIN_PATH = "/plain"

_LIMITS = SocketLimits(max_message_bytes=2**20)
_HOST = "127.0.0.1"


class EchoProvider:
    """One port, any number of sessions."""

    def __init__(self, tracks: Sequence[Track], seed: int) -> None:
        self._tracks = {track.call: track for track in tracks}
        self._random = random.Random(seed)
        self._ids = 0
        self.ready = 0
        """Sessions that are open, and configured where that is part of opening."""

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[int]:
        """Listen while the block runs; gives the port."""
        listening = await RealNetwork().listen(_HOST, 0)
        async with trio.open_nursery() as nursery:
            await nursery.start(serve, listening.listeners, self._answer)
            yield listening.port
            nursery.cancel_scope.cancel()

    async def _answer(self, request: Request) -> Response | Upgrade:
        await trio.lowlevel.checkpoint()
        run = {REALTIME_PATH: self._realtime, PLAIN_PATH: self._plain}.get(request.path)
        return Response(404) if run is None else Upgrade(run, _LIMITS)

    async def _realtime(self, socket: WebSocket) -> None:
        session = self._new_session()
        while True:
            for outgoing in session.take():
                if isinstance(outgoing, SendEvent):
                    await socket.send(outgoing.text)
            for text in await socket.receive():
                message = orjson.loads(text)
                if message["type"] == "input_audio_buffer.append":
                    self._heard(binascii.a2b_base64(message["audio"]))
                elif message["type"] == "session.update":
                    self.ready += 1
                session.receive(message, trio.current_time())

    async def _plain(self, socket: WebSocket) -> None:
        self.ready += 1
        while True:
            for text in await socket.receive():
                message = orjson.loads(text)
                if message["event"] == "media":
                    self._heard(binascii.a2b_base64(message["media"]["payload"]))
                    await socket.send(text)

    def _heard(self, audio: bytes) -> None:
        now = perf_counter()
        track = self._tracks.get(-1 if (call := call_of(audio)) is None else call)
        if track is not None:
            track.take(audio, track.to_provider, now)
            track.to_carrier.left(len(audio) // FRAME_BYTES, now)

    def _new_session(self) -> TwinSession:
        identity = SessionIdentity(
            model="bench", call_number=1, new_id=self._new_id, random=self._random, expires_at=2_000_000_000
        )
        return TwinSession(Script(replies=Echo()), Behaviour(), identity, trio.current_time())

    def _new_id(self, prefix: str) -> str:
        self._ids += 1
        return f"{prefix}_{self._ids:021d}"
