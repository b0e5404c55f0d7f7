"""From the server's text frames to typed events: the reading half of the wire.

Rule 1: the table is made from the event classes; nothing is read that no class
mentions, and no class is without its row.
Rule 2: any text, of any depth, is events or the one declared error: a
`RemoteProtocolError` whose field begins with the event's name.  What is unknown is
`Unrecognised`.
Rule 3: a field that nobody needs costs nothing but a `FieldIgnored`; an id that is
missing is filled in where only one can be meant (missing_ids.py).
Rule 4: retired names of the beta are read as the present ones, and said once a
connection: some deployments still send them.
Rule 5: speech comes by the hundred and is read in one step, wherever it says what it
is; whatever is unusual about it is read once more, field by field, and named.
Rule 6: names that the server made up are cut, and bounded in number.

Writing is `encode` in client_events.py; it has no state.

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
"""How errors name the other side."""

BETA_NAMES: Final[Mapping[str, str]] = {
    "conversation.item.created": "conversation.item.added",
    "response.audio.delta": "response.output_audio.delta",
    "response.audio.done": "response.output_audio.done",
    "response.audio_transcript.delta": "response.output_audio_transcript.delta",
    "response.audio_transcript.done": "response.output_audio_transcript.done",
    "response.text.delta": "response.output_text.delta",
    "response.text.done": "response.output_text.done",
}
"""Retired event names and the present ones."""

_DELTA: Final = f'"{OutputAudioDelta.wire_name}"'
_MOST_NAMES: Final = 64  #: of ignored fields, and of unknown events, that a connection is told of by name
_LONGEST_NAME: Final = 80
_OTHERS: Final = "others"


class _Delta(msgspec.Struct):
    """Speech with all that is read of it: 1.5 µs for 200 ms of it, base64 included, where `Fields` takes 5."""

    type: Literal["response.output_audio.delta"]
    response_id: str
    item_id: str
    delta: bytes


_read_delta: Final = fast_reader(_Delta)


class RealtimeCodec:
    """Reads one connection. Remembers which names it has told, and the ids of what is under way; both bounded."""

    def __init__(self) -> None:
        self._reported: set[str] = set()  # at most `BETA_NAMES`
        self._fields = _Names()
        self._events = _Names()
        self._under_way = UnderWay()

    def receive(self, text: str | bytes) -> list[ServerEvent]:
        """Return what one text frame says: one event, after what is to be told about how it was read.

        Raises:
            RemoteProtocolError: Not a JSON object, no ``type``, or a field that
                is needed is missing or wrong. The next frame may be read all the same.
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
    """The names that a connection is told of; those beyond the bound share one."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    def bounded(self, name: str) -> str:
        """Return the name, cut; or what stands for all others."""
        name = name[:_LONGEST_NAME]
        if name not in self._known:
            if len(self._known) >= _MOST_NAMES:
                return _OTHERS
            self._known.add(name)
        return name


def _events_of(module: ModuleType) -> list[type[WireEvent]]:
    """Return the event classes of a module that have a name on the wire; bases have none."""
    classes = [value for value in vars(module).values() if isinstance(value, type) and issubclass(value, WireEvent)]
    return [event for event in classes if "wire_name" in vars(event)]


EVENT_CLASSES: Final[Mapping[str, type[WireEvent]]] = {
    event.wire_name: event for module in (server_events, response_events) for event in _events_of(module)
}
"""Every event that is known, by its present name."""

_READERS: Final[Mapping[type[WireEvent], Callable[[Fields], WireEvent]]] = {
    event: SCHEMA.reader(event) for event in EVENT_CLASSES.values()
}
