"""A client of the pure session, in virtual time, that has every event judged by the official types."""

from __future__ import annotations

import base64
import random
from collections.abc import Iterable
from typing import Any

import orjson

from voicecore.audio.convert import converter
from voicecore.audio.formats import PCM16_8K, PCMU_8K, AudioFormat
from voicecore.simulation import recordings
from voicecore.simulation.openai_realtime.behaviour import Behaviour
from voicecore.simulation.openai_realtime.outbox import Outgoing, SendEvent
from voicecore.simulation.openai_realtime.response_manager import SessionIdentity
from voicecore.simulation.openai_realtime.script import Script
from voicecore.simulation.openai_realtime.session import TwinSession
from voicecore_tests.simulation.openai_realtime.judge import check_event

Event = dict[str, Any]

SERVER_VAD: Event = {
    "type": "server_vad",
    "threshold": 0.5,
    "prefix_padding_ms": 300,
    "silence_duration_ms": 500,
    "create_response": True,
    "interrupt_response": True,
}
PCMU: Event = {"type": "audio/pcmu"}


class Client:
    """One session and its client."""

    def __init__(
        self,
        script: Script | None = None,
        behaviour: Behaviour | None = None,
        *,
        seed: int = 1,
        asks_for_beta: bool = False,
    ) -> None:
        rng = random.Random(seed)
        identity = SessionIdentity(
            model="gpt-realtime-2.1",
            call_number=7,
            new_id=lambda prefix: f"{prefix}_{rng.getrandbits(96):024x}",
            random=rng,
            expires_at=1_800_000_000,
            asks_for_beta=asks_for_beta,
        )
        self.now = 0.0
        self.session = TwinSession(script or Script(), behaviour or Behaviour(), identity, self.now)
        self.outgoing: list[Outgoing] = []
        self.times: list[float] = []
        self._collect()

    @property
    def events(self) -> list[Event]:
        """Everything sent so far that is an event."""
        return [each.event for each in self.outgoing if isinstance(each, SendEvent)]

    def send(self, kind: str, **fields: object) -> list[Event]:
        """Send one client event; return what came back at once."""
        return self.send_raw({"type": kind, **fields})

    def send_raw(self, message: object) -> list[Event]:
        """Send any JSON value as a message."""
        before = len(self.events)
        self.session.receive(orjson.loads(orjson.dumps(message)), self.now)
        self._collect()
        return self.events[before:]

    def wait(self, seconds: float) -> list[Event]:
        """Let time pass; return the events that came meanwhile."""
        before = len(self.events)
        until = self.now + seconds
        while (due := self.session.deadline()) is not None and due <= until:
            self.now = max(self.now, due)
            self.session.expire(self.now)
            self._collect()
        self.now = until
        self.session.expire(until)
        self._collect()
        return self.events[before:]

    def configure(self, **session: object) -> list[Event]:
        """Send a session.update with the right type."""
        return self.send("session.update", session={"type": "realtime", **session})

    def configure_telephone(self, turn_detection: Event | None = SERVER_VAD, **given_input: object) -> Event:
        """Ask for µ-law both ways; return what `session.updated` shows."""
        heard = {"format": PCMU, "turn_detection": turn_detection, **given_input}
        [updated] = self.configure(audio={"input": heard, "output": {"format": PCMU}})
        assert updated["type"] == "session.updated", updated
        session: Event = updated["session"]
        return session

    def append(self, audio: bytes) -> list[Event]:
        """Append audio in one event."""
        return self.send("input_audio_buffer.append", audio=base64.b64encode(audio).decode())

    def speak(self, audio: bytes, audio_format: AudioFormat = PCMU_8K) -> list[Event]:
        """Append audio in 20 ms frames, in step with the clock."""
        frame_bytes = audio_format.bytes_in(0.02)
        before = len(self.events)
        for begin in range(0, len(audio), frame_bytes):
            self.append(audio[begin : begin + frame_bytes])
            self.wait(0.02)
        return self.events[before:]

    def _collect(self) -> None:
        taken = self.session.take()
        self.outgoing += taken
        for each in taken:
            if isinstance(each, SendEvent):
                assert orjson.loads(each.text) == each.event
                self.times.append(self.now)
                self.judge(each.event)

    def judge(self, event: Event) -> None:
        """Have one event judged."""
        check_event(event)


class Unjudged(Client):
    """A client of a server that sends things no official type knows."""

    def judge(self, event: Event) -> None:
        """Take it as it is."""


def kinds(events: Iterable[Event]) -> list[str]:
    """Return the types of some events."""
    return [event["type"] for event in events]


def only(events: Iterable[Event], kind: str) -> list[Event]:
    """Return the events of one type."""
    return [event for event in events if event["type"] == kind]


def one(events: Iterable[Event], kind: str) -> Event:
    """Return the single event of one type."""
    [found] = only(events, kind)
    return found


def error(events: Iterable[Event]) -> Event:
    """Return what the single `error` event says."""
    refused: Event = one(events, "error")["error"]
    return refused


def audio_of(events: Iterable[Event]) -> bytes:
    """Return the audio of all deltas, in order."""
    return b"".join(base64.b64decode(event["delta"]) for event in only(events, "response.output_audio.delta"))


def recording(name: str, audio_format: AudioFormat = PCMU_8K) -> bytes:
    """Return a recording in a format."""
    stream = converter(PCM16_8K, audio_format)
    return stream.convert(recordings.load(name)) + stream.flush()


def silence(seconds: float, audio_format: AudioFormat = PCMU_8K) -> bytes:
    """Return silence of this length."""
    return audio_format.silence(audio_format.bytes_in(seconds))
