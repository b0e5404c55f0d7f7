"""Readers for values that annotations cannot describe: items, what a transcription cost, errors.

Rule 1: they are as lenient as the others: what can be spared is (see schema.py).
Rule 2: an error is never lost for its shape: a flat one, a bare text and one
without any word are errors too, and say what they say.

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
    """Read an item; of one whose type is not known, only what every item has."""
    kind = fields.spare(Fields.text, "type", "")
    if kind in _ITEM_TYPES:
        return _read_known_item(fields)
    return Item(type=kind, id=fields.spare(Fields.text, "id", None), status=fields.spare(Fields.text, "status", None))


def read_usage(fields: Fields) -> TranscriptionUsage:
    """Read what a transcription cost; there are two ways to count, and room for a third."""
    kind = fields.text("type")
    read = _USAGES.get(kind)
    return UnknownUsage(type=kind) if read is None else read(fields)


def read_error(fields: Fields) -> ErrorReported:
    """Read an error in whatever shape: an object, as it should be; a text; or flat, beside the event's type."""
    told = fields.raw.get("error")
    if isinstance(told, dict):
        within = fields.child("error")
        error_type = within.spare(Fields.text, "type", None)
        ours = within.spare(Fields.text, "event_id", None)
        return ErrorReported(error=_detail(within, error_type, ours, ""))
    fields.note("error", "must be an object; read for what it says")
    words = told if isinstance(told, str) else ""
    return ErrorReported(error=_detail(fields, None, None, words))


def _detail(fields: Fields, error_type: str | None, event_id: str | None, words: str) -> ErrorDetail:
    return ErrorDetail(
        type=error_type,
        code=fields.spare(_code, "code", None),
        message=fields.spare(Fields.text, "message", words),
        param=fields.spare(Fields.text, "param", None),
        event_id=event_id,
    )


def _code(fields: Fields, name: str) -> str:
    """Return a code, also one that is a number."""
    return str(fields.whole(name)) if isinstance(fields.raw.get(name), int | float) else fields.text(name)


SCHEMA: Final = Schema(
    {
        EffectiveConfig: EffectiveConfig.read,
        ErrorReported: read_error,
        Item: read_item,
        TranscriptionUsage: read_usage,
    }
)
"""Makes the readers of all events."""
