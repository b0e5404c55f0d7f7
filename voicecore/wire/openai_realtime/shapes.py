"""Readers of JSON shapes that annotations cannot express: items, transcription usage, errors.

Rule 1: they are as lenient as derived readers (see schema.py).
Rule 2: an error is never lost because of its shape: a flat error, a bare string and
an empty object are errors too.

Facts: OpenAI Realtime, sections server events, errors and closes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from voicecore.wire.fields import Fields
from voicecore.wire.openai_realtime.effective import EffectiveConfig
from voicecore.wire.openai_realtime.items import (
    Item,
    TranscribedDuration,
    TranscribedTokens,
    TranscriptionUsage,
    UnknownUsage,
)
from voicecore.wire.openai_realtime.schema import Schema
from voicecore.wire.openai_realtime.server_events import ErrorDetail, ErrorReported

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
_PLAIN: Final = Schema({})
_read_known_item: Final = _PLAIN.reader(Item)
_USAGES: Final[Mapping[str, Callable[[Fields], TranscriptionUsage]]] = {
    "tokens": _PLAIN.reader(TranscribedTokens),
    "duration": _PLAIN.reader(TranscribedDuration),
}


def read_item(fields: Fields) -> Item:
    """Read an item; for an unknown type, only what every item has."""
    kind = fields.optional(Fields.text, "type", "")
    if kind in _ITEM_TYPES:
        return _read_known_item(fields)
    return Item(
        type=kind, id=fields.optional(Fields.text, "id", None), status=fields.optional(Fields.text, "status", None)
    )


def read_usage(fields: Fields) -> TranscriptionUsage:
    """Read the usage of a transcription: tokens, duration, or unknown."""
    kind = fields.text("type")
    read = _USAGES.get(kind)
    return UnknownUsage(type=kind) if read is None else read(fields)


def read_error(fields: Fields) -> ErrorReported:
    """Read an error of any shape: the documented object, a string, or flat in the event itself."""
    given = fields.raw.get("error")
    if isinstance(given, dict):
        within = fields.child("error")
        error_type = within.optional(Fields.text, "type", None)
        ours = within.optional(Fields.text, "event_id", None)
        return ErrorReported(error=_detail(within, error_type, ours, ""))
    fields.note("error", "must be an object; read as far as possible")
    words = given if isinstance(given, str) else ""
    return ErrorReported(error=_detail(fields, None, None, words))


def _detail(fields: Fields, error_type: str | None, event_id: str | None, words: str) -> ErrorDetail:
    return ErrorDetail(
        type=error_type,
        code=fields.optional(_code, "code", None),
        message=fields.optional(Fields.text, "message", words),
        param=fields.optional(Fields.text, "param", None),
        event_id=event_id,
    )


def _code(fields: Fields, name: str) -> str:
    """Return an error code, also if it is a number."""
    return str(fields.whole(name)) if isinstance(fields.raw.get(name), int | float) else fields.text(name)


SCHEMA: Final = Schema(
    {
        EffectiveConfig: EffectiveConfig.read,
        ErrorReported: read_error,
        Item: read_item,
        TranscriptionUsage: read_usage,
    }
)
"""Builds the readers of all events."""
