"""The provider of the calls load: whatever it hears it sends back at once, in one endless response.

    EchoSession         OpenAI Realtime, by the provider twin's own session (7 µs a message)
    PlainEchoSession    every media message back, for the relay

Rule 1: nothing runs ahead: what is sent was received a moment before, so that no
audio has to wait for its turn to be played.
Rule 2: a frame has arrived when its message was read, and leaves when the answer
is about to be written.
"""

from __future__ import annotations

import binascii
import itertools
import random

import attrs
import orjson

from voicecore.bench.load.answer_log import AnswerLog
from voicecore.bench.load.call_log import CallLog
from voicecore.bench.load.frames import FRAME_BYTES, Track
from voicecore.bench.load.raw_websocket import server_frame
from voicecore.bench.load.selector_loop import Connection, Loop
from voicecore.simulation.openai_realtime import Behaviour, Echo, Script, TwinSession
from voicecore.simulation.openai_realtime.outbox import SendEvent
from voicecore.simulation.openai_realtime.response_manager import SessionIdentity

_EXPIRES_AT = 2_000_000_000

_ids = itertools.count(1)


@attrs.define
class EchoLog(AnswerLog):
    """The agent's audio of one call, which is the user's, sent back."""

    track: Track = attrs.field(kw_only=True)

    def received(self, audio: bytes, silent_s: float, now: float) -> None:  # noqa: ARG002 - see `AnswerLog`
        """The carrier read audio."""
        self.track.take(audio, self.track.to_carrier, now)

    def cleared(self, waiting_s: float, now: float) -> None:  # noqa: ARG002 - see `AnswerLog`
        """The carrier read a clear: nobody barged in, so that it is wrong wherever audio waits."""
        self.wrong_clears += waiting_s > 0


class PlainEchoSession:
    """One connection of the relay: the carrier's own messages."""

    is_answering = False

    def __init__(self, _loop: Loop, connection: Connection, log: CallLog) -> None:
        self.is_ready = True
        self.faults: list[str] = []
        self._connection = connection
        self._log = log
        connection.on_text = self._take

    def begin(self) -> None:
        """See `Session`; the user's audio is all that is needed."""

    def end(self) -> None:
        """See `Session`; what arrives is still sent back."""

    def _take(self, payload: bytes, now: float) -> None:
        self._log.counts.to_provider += 1
        message = orjson.loads(payload)
        if message["event"] == "media":
            self._hear(binascii.a2b_base64(message["media"]["payload"]), now)
            self._send(payload)

    def _hear(self, audio: bytes, now: float) -> None:
        track = self._log.user
        track.take(audio, track.to_provider, now)
        track.to_carrier.sent(len(audio) // FRAME_BYTES, now)

    def _send(self, payload: bytes) -> None:
        self._log.counts.from_provider += 1
        self._connection.send(server_frame(payload))


class EchoSession(PlainEchoSession):
    """One session of OpenAI Realtime."""

    def __init__(self, loop: Loop, connection: Connection, log: CallLog) -> None:
        super().__init__(loop, connection, log)
        self.is_ready = False
        identity = SessionIdentity(
            model="bench", call_number=1, new_id=_new_id, random=random.Random(log.call), expires_at=_EXPIRES_AT
        )
        self._session = TwinSession(Script(replies=Echo()), Behaviour(), identity, 0.0)
        self._send_all()

    def _take(self, payload: bytes, now: float) -> None:
        self._log.counts.to_provider += 1
        message = orjson.loads(payload)
        if message["type"] == "input_audio_buffer.append":
            self._hear(binascii.a2b_base64(message["audio"]), now)
        elif message["type"] == "session.update":
            self.is_ready = True
        self._session.receive(message, 0.0)  # nothing in it depends on time
        self._send_all()

    def _send_all(self) -> None:
        for outgoing in self._session.take():
            if isinstance(outgoing, SendEvent):
                self._send(outgoing.text.encode())


def _new_id(prefix: str) -> str:
    return f"{prefix}_{next(_ids):021d}"
