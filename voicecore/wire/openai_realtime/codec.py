"""From the server's text frames to typed events: the reading half of the wire.

Rule 1: the table is made from the event classes; nothing is read that no class
mentions, and no class is without its row.
Rule 2: what is malformed is a `RemoteProtocolError` whose field begins with the
event's name; what is unknown is `Unrecognised`.  Nothing else comes out.
Rule 3: retired names of the beta are read as the present ones, and said once a
connection: some deployments still send them.

Rule 4: speech comes by the hundred and is read in one step; whatever is unusual
about it is read once more, field by field, and named.

Writing is `encode` in client_events.py; it has no state.

Facts: OpenAI Realtime, sections server events and beta to GA names.
Used by the provider; one codec a connection.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Final, Literal

import msgspec

from voicecore.wire.fields import Fields, parse_object
from voicecore.wire.openai_realtime import response_events, server_events
from voicecore.wire.openai_realtime.effective import EffectiveConfig
from voicecore.wire.openai_realtime.items import (
    Item,
    TranscribedDuration,
    TranscribedTokens,
    TranscriptionUsage,
    UnknownUsage,
)
from voicecore.wire.openai_realtime.response_events import OutputAudioDelta
from voicecore.wire.openai_realtime.schema import Schema
from voicecore.wire.openai_realtime.server_events import BetaNameUsed, ServerEvent, Unrecognised, WireEvent

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

_ITEM_TYPES: Final = frozenset(
    {
        "message",
        "function_call",
        "function_call_output",
        "mcp_call",
        "mcp_list_tools",
        "mcp_approval_request",
        "mcp_approval_response",
    }
)


_DELTA: Final = f'"{OutputAudioDelta.wire_name}"'
_HEAD_CHARS: Final = 120  #: within which a message says its type, as a rule


class _Delta(msgspec.Struct):
    """Speech as the schema has it: 1.5 µs for 200 ms of it, base64 included, where `Fields` takes 5."""

    type: Literal["response.output_audio.delta"]
    response_id: str
    item_id: str
    output_index: int
    content_index: int
    delta: bytes
    event_id: str | None = None


_read_delta: Final = msgspec.json.Decoder(_Delta).decode


class RealtimeCodec:
    """Reads one connection. Remembers only which retired names it has reported: at most `BETA_NAMES`."""

    def __init__(self) -> None:
        self._reported: set[str] = set()

    def receive(self, text: str | bytes) -> list[ServerEvent]:
        """Return what one text frame says: one event, after a `BetaNameUsed` where that is due.

        Raises:
            RemoteProtocolError: Not a JSON object, no ``type``, or a field that
                is missing or wrong. The next frame may be read all the same.
        """
        if isinstance(text, str) and _DELTA in text[:_HEAD_CHARS] and (delta := _read_usual_delta(text)) is not None:
            return [delta]
        frame = parse_object(text, PEER)
        name = frame.text("type")
        read = _READERS.get(name)
        if read is not None:
            return [read(Fields(frame.raw, PEER, name))]
        if name not in BETA_NAMES:
            return [Unrecognised(name)]
        return self._receive_beta(name, Fields(frame.raw, PEER, name))

    def _receive_beta(self, name: str, fields: Fields) -> list[ServerEvent]:
        canonical = BETA_NAMES[name]
        event = _READERS[canonical](fields)
        if name in self._reported:
            return [event]
        self._reported.add(name)
        return [BetaNameUsed(name, canonical), event]


# --- shapes that annotations cannot say ---------------------------------------


def _read_item(fields: Fields) -> Item:
    """Read an item; of one whose type is not known, only what every item has."""
    if fields.text("type") in _ITEM_TYPES:
        return _read_known_item(fields)
    return Item(type=fields.text("type"), id=fields.optional_text("id"), status=fields.optional_text("status"))


def _read_usage(fields: Fields) -> TranscriptionUsage:
    """Read what a transcription cost; there are two ways to count, and room for a third."""
    kind = fields.text("type")
    read = _USAGES.get(kind)
    return UnknownUsage(type=kind) if read is None else read(fields)


def _read_usual_delta(text: str) -> OutputAudioDelta | None:
    """Read speech; None where anything about it is not as usual."""
    try:
        read = _read_delta(text)
    except (msgspec.MsgspecError, UnicodeError):
        return None
    return OutputAudioDelta(
        event_id=read.event_id,
        response_id=read.response_id,
        item_id=read.item_id,
        output_index=read.output_index,
        content_index=read.content_index,
        delta=read.delta,
    )


_PLAIN: Final = Schema({})
_read_known_item: Final = _PLAIN.reader(Item)
_USAGES: Final[Mapping[str, Callable[[Fields], TranscriptionUsage]]] = {
    "tokens": _PLAIN.reader(TranscribedTokens),
    "duration": _PLAIN.reader(TranscribedDuration),
}
_SCHEMA: Final = Schema(
    {
        EffectiveConfig: EffectiveConfig.read,
        Item: _read_item,
        TranscriptionUsage: _read_usage,
    }
)


def _events_of(module: ModuleType) -> list[type[WireEvent]]:
    """Return the event classes of a module that have a name on the wire; bases have none."""
    classes = [value for value in vars(module).values() if isinstance(value, type) and issubclass(value, WireEvent)]
    return [event for event in classes if "wire_name" in vars(event)]


EVENT_CLASSES: Final[Mapping[str, type[WireEvent]]] = {
    event.wire_name: event for module in (server_events, response_events) for event in _events_of(module)
}
"""Every event that is known, by its present name."""

_READERS: Final[Mapping[str, Callable[[Fields], WireEvent]]] = {
    name: _SCHEMA.reader(event) for name, event in EVENT_CLASSES.items()
}
