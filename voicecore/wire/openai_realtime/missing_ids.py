"""Fills in a response or item id that an event lacks, if only one is in progress.

Rule 1: nothing is guessed: if several ids are possible, or none, the event is
refused.
Rule 2: an id that was filled in is noted, like an ignored field.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from voicecore.wire.fields import Fields
from voicecore.wire.openai_realtime.response_events import (
    InItem,
    OutputItemAdded,
    OutputItemDone,
    ResponseCreated,
    ResponseDone,
)
from voicecore.wire.openai_realtime.server_events import InputAudioCommitted, SpeechStarted, WireEvent

_MOST_RESPONSES: Final = 8  #: in progress, or whose end was lost; the oldest is dropped
_MOST_ITEMS: Final = 64  #: of one response
_IN_RESPONSE: Final = (InItem, OutputItemAdded, OutputItemDone)


class UnderWay:
    """The ids of responses and items that are in progress in one session."""

    def __init__(self) -> None:
        self._items: dict[str, list[str]] = {}  # ids of the items of each active response
        self._heard: str | None = None  # the item that the user's current speech will become

    def note(self, event: WireEvent) -> None:
        """Update the ids from an event."""
        if isinstance(event, ResponseCreated):
            self._began(event.response.id)
        elif isinstance(event, OutputItemAdded):
            items = self._began(event.response_id)
            if event.item.id is not None and len(items) < _MOST_ITEMS:
                items.append(event.item.id)
        elif isinstance(event, ResponseDone):
            self._items.pop(event.response.id, None)
        elif isinstance(event, SpeechStarted):
            self._heard = event.item_id

    def complete(self, kind: type[WireEvent], fields: Fields) -> bool:
        """Fill in the ids that an event of this kind lacks; return whether any could be filled in."""
        if kind is ResponseDone:
            return self._complete_response(fields)
        if kind is InputAudioCommitted:
            return _fill(fields, "item_id", () if self._heard is None else (self._heard,))
        filled = issubclass(kind, _IN_RESPONSE) and _fill(fields, "response_id", self._items)
        response_id = fields.raw.get("response_id")
        if issubclass(kind, InItem) and isinstance(response_id, str):
            filled |= _fill(fields, "item_id", self._items.get(response_id, ()))
        return filled

    def _began(self, response_id: str) -> list[str]:
        if response_id not in self._items and len(self._items) >= _MOST_RESPONSES:
            del self._items[next(iter(self._items))]
        return self._items.setdefault(response_id, [])

    def _complete_response(self, fields: Fields) -> bool:
        given = fields.raw.get("response")
        response: dict[str, Any] = given if isinstance(given, dict) else {}
        within = Fields(response, fields.peer, fields.path("response"), fields.noted)
        filled = _fill(within, "id", self._items)
        fields.raw = {**fields.raw, "response": within.raw}
        return filled


def _fill(fields: Fields, name: str, known: Collection[str]) -> bool:
    if isinstance(fields.raw.get(name), str) or len(known) != 1:
        return False
    (only,) = known
    fields.raw = {**fields.raw, name: only}
    fields.note(name, "is missing; taken to be the only one in progress")
    return True
