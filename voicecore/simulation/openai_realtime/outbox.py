"""What a session sends: events with their ids, and the actions that end or freeze its socket.

Rule 1: event ids are unique; events are sent in the order in which they are emitted.
Rule 2: injected events (unknown, malformed, with beta names) are added here, and
events are rewritten here, so that nothing else needs to know about them.

Pure.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import attrs
import orjson

from voicecore.simulation.openai_realtime.behaviour import Behaviour
from voicecore.simulation.openai_realtime.json_checks import JsonObject


@attrs.frozen
class SendEvent:
    """One event and its text."""

    event: JsonObject
    text: str


@attrs.frozen
class SendText:
    """Text that is not an event."""

    text: str


@attrs.frozen
class Close:
    """Close the WebSocket with a close frame."""

    code: int
    reason: str


@attrs.frozen
class Cut:
    """End the byte stream without a close frame."""


@attrs.frozen
class Stall:
    """Keep the byte stream open, but neither send nor read on it any more."""


Outgoing = SendEvent | SendText | Close | Cut | Stall

BETA_NAMES = {
    "response.output_audio.delta": "response.audio.delta",
    "response.output_audio.done": "response.audio.done",
    "response.output_audio_transcript.delta": "response.audio_transcript.delta",
    "response.output_audio_transcript.done": "response.audio_transcript.done",
    "response.output_text.delta": "response.text.delta",
    "response.output_text.done": "response.text.done",
    "conversation.item.added": "conversation.item.created",
}
_MALFORMED = (
    '{"type":"response.done","response":{',
    "[]",
    '"response.done"',
    '{"event_id":"event_0"}',
    '{"type":7}',
    '{"type":"response.output_audio.delta","event_id":"event_0"}',
    '{"type":"response.done","event_id":"event_0","response":null}',
)


class Outbox:
    """Everything that one session sends."""

    def __init__(self, behaviour: Behaviour, new_id: Callable[[str], str]) -> None:
        self._behaviour = behaviour
        self._new_id = new_id
        self._waiting: list[Outgoing] = []  # emptied by the server after each step; it reads nothing before that
        self._malformed = itertools.cycle(_MALFORMED)
        self.events = 0
        """Events so far, injected ones not counted."""

    def put(self, kind: str, fields: JsonObject) -> None:
        """Send one event."""
        self.events += 1
        self._send(BETA_NAMES.get(kind, kind) if self._behaviour.beta_names else kind, fields)
        if _falls_on(self.events, self._behaviour.unknown_event_every):
            self._send("session.weather.updated", {"weather": {"sky": "clear"}})
        if _falls_on(self.events, self._behaviour.malformed_every):
            self._waiting.append(SendText(next(self._malformed)))

    def end(self, act: Close | Cut | Stall) -> None:
        """Do this once everything before it was sent."""
        self._waiting.append(act)

    def take(self) -> list[Outgoing]:
        """Remove and return what is queued, oldest first."""
        taken, self._waiting = self._waiting, []
        return taken

    def _send(self, kind: str, fields: JsonObject) -> None:
        event: JsonObject | str | None = {"type": kind, "event_id": self._new_id("event"), **fields}
        for rewrite in self._behaviour.rewrites:
            event = rewrite(event) if isinstance(event, dict) else event
        if isinstance(event, dict):
            self._waiting.append(SendEvent(event, orjson.dumps(event).decode()))
        elif event is not None:
            self._waiting.append(SendText(event))


def _falls_on(count: int, every: int | None) -> bool:
    return every is not None and count % every == 0
