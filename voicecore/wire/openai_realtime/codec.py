"""Decodes the server's text frames into typed server events.

Rule 1: the table of readers is derived from the event classes; only fields that a
class declares are read.
Rule 2: any text yields events or raises `RemoteProtocolError`, whose field begins
with the event's name. Unknown events become `Unrecognised`.
Rule 3: a wrong field that is not essential yields a `FieldIgnored` and nothing
else; a missing id is filled in if it is unambiguous (missing_ids.py).
Rule 4: event names of the beta API are read as their GA names, and reported once
for each connection: some servers still send them.
Rule 5: audio deltas are frequent and decoded in one step. One that is unusual in
any way is read again field by field, so that the error names the field.
Rule 6: names that come from the server are cut, and limited in number.

`encode` in client_events.py writes client events; it has no state.

Facts: OpenAI Realtime, sections server events and beta to GA names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Final, Literal

import msgspec

from voicecore.errors import RemoteProtocolError
from voicecore.wire.fields import Fields, fast_reader, parse_object
from voicecore.wire.openai_realtime import response_events, server_events
from voicecore.wire.openai_realtime.missing_ids import UnderWay
from voicecore.wire.openai_realtime.response_events import OutputAudioDelta
from voicecore.wire.openai_realtime.server_events import (
    BetaNameUsed,
    FieldIgnored,
    ServerEvent,
    Unrecognised,
    WireEvent,
)
from voicecore.wire.openai_realtime.shapes import SCHEMA

PEER: Final = "OpenAI Realtime"
"""The peer's name in errors."""

BETA_NAMES: Final[Mapping[str, str]] = {
    "conversation.item.created": "conversation.item.added",
    "response.audio.delta": "response.output_audio.delta",
    "response.audio.done": "response.output_audio.done",
    "response.audio_transcript.delta": "response.output_audio_transcript.delta",
    "response.audio_transcript.done": "response.output_audio_transcript.done",
    "response.text.delta": "response.output_text.delta",
    "response.text.done": "response.output_text.done",
}
"""Event names of the beta API and their GA names."""

_DELTA: Final = f'"{OutputAudioDelta.wire_name}"'
_MOST_NAMES: Final = 64  #: ignored fields, and unknown events, that are reported by name for each connection
_LONGEST_NAME: Final = 80
_OTHERS: Final = "others"


class _Delta(msgspec.Struct):
    """An audio delta: 200 ms of speech is decoded in 1.5 µs with its base64; `Fields` takes 5."""

    type: Literal["response.output_audio.delta"]
    response_id: str
    item_id: str
    delta: bytes


_read_delta: Final = fast_reader(_Delta)


class RealtimeCodec:
    """The decoder of one connection. It remembers reported names and the ids in progress; both are bounded."""

    def __init__(self) -> None:
        self._reported: set[str] = set()  # at most `BETA_NAMES`
        self._fields = _Names()
        self._events = _Names()
        self._under_way = UnderWay()

    def receive(self, text: str | bytes) -> list[ServerEvent]:
        """Decode one text frame into its event, preceded by notices about how it was read.

        Raises:
            RemoteProtocolError: Not a JSON object, no ``type``, or a required field is
                missing or wrong. Later frames can still be decoded.
        """
        if isinstance(text, str) and _DELTA in text and (read := _read_delta(text)) is not None:
            return [OutputAudioDelta(response_id=read.response_id, item_id=read.item_id, delta=read.delta)]
        frame = parse_object(text, PEER)
        name = frame.text("type")
        canonical = BETA_NAMES.get(name, name)
        kind = EVENT_CLASSES.get(canonical)
        if kind is None:
            return [Unrecognised(self._events.bounded(name))]
        fields = Fields(frame.raw, PEER, name)
        event = self._read(kind, fields)
        ignored = [FieldIgnored(self._fields.bounded(path), problem) for path, problem in fields.noted.items()]
        return [*self._retired(name, canonical), *ignored, event]

    def _read(self, kind: type[WireEvent], fields: Fields) -> WireEvent:
        read = _READERS[kind]
        try:
            event = read(fields)
        except RemoteProtocolError:
            if not self._under_way.complete(kind, fields):
                raise
            event = read(fields)
        self._under_way.note(event)
        return event

    def _retired(self, name: str, canonical: str) -> list[ServerEvent]:
        if name == canonical or name in self._reported:
            return []
        self._reported.add(name)
        return [BetaNameUsed(name, canonical)]


class _Names:
    """Bounds the number of different names that are reported; those beyond the bound share one."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    def bounded(self, name: str) -> str:
        """Return the name, cut to its limit; "others" beyond the bound."""
        name = name[:_LONGEST_NAME]
        if name not in self._known:
            if len(self._known) >= _MOST_NAMES:
                return _OTHERS
            self._known.add(name)
        return name


def _events_of(module: ModuleType) -> list[type[WireEvent]]:
    """Return the event classes of a module; base classes, which have no wire name, are left out."""
    classes = [value for value in vars(module).values() if isinstance(value, type) and issubclass(value, WireEvent)]
    return [event for event in classes if "wire_name" in vars(event)]


EVENT_CLASSES: Final[Mapping[str, type[WireEvent]]] = {
    event.wire_name: event for module in (server_events, response_events) for event in _events_of(module)
}
"""All known events by their GA name."""

_READERS: Final[Mapping[type[WireEvent], Callable[[Fields], WireEvent]]] = {
    event: SCHEMA.reader(event) for event in EVENT_CLASSES.values()
}
