"""The conversation as the server keeps it: items in order, and how much of the agent's audio remains in them.

Rule 1: an item is checked as a whole before it is added.
Rule 2: truncating keeps the first `audio_end_ms` of an agent item's audio and deletes
its transcript; audio that is generated after the cut is not added.
Rule 3: only agent messages with audio can be truncated, and only to less than they have.

Facts: OpenAI Realtime, sections client events, interruption and truncation, errors.
Pure.
"""

from __future__ import annotations

import base64
import copy
from typing import Any

import attrs

from voicecore.audio.formats import AudioFormat
from voicecore.simulation.openai_realtime.json_checks import (
    JsonObject,
    Refused,
    audio_bytes,
    choice,
    invalid_value,
    many,
    nullable,
    record,
    tagged,
    text,
)

_CONTENT_OF_ROLE = {
    "system": {"input_text": ("text",)},
    "user": {"input_text": ("text",), "input_audio": ("audio",), "input_image": ("image_url",)},
    "assistant": {"output_text": ("text",)},
}
_CONTENT = record(
    dict.fromkeys(("type", "text", "audio", "transcript", "image_url", "detail"), text), required=("type",)
)
_STATUS = choice("completed", "incomplete", "in_progress")
_COMMON = {"id": text, "object": choice("realtime.item"), "type": text, "status": _STATUS}
_ITEM = tagged(
    {
        "message": record(
            {**_COMMON, "role": choice(*_CONTENT_OF_ROLE), "content": many(_CONTENT)}, required=("role", "content")
        ),
        "function_call": record({**_COMMON, "call_id": text, "name": text, "arguments": text}, required=("name",)),
        "function_call_output": record({**_COMMON, "call_id": text, "output": text}, required=("call_id", "output")),
    }
)
AFTER = nullable(text)


@attrs.define(eq=False)
class Item:
    """One item; ``body`` is what the wire shows of it."""

    body: JsonObject
    audio_format: AudioFormat
    audio: bytearray = attrs.field(factory=bytearray, repr=lambda audio: f"<{len(audio)} bytes>")
    """What the model remembers: what a truncation left."""
    generated: bytearray = attrs.field(factory=bytearray, repr=lambda audio: f"<{len(audio)} bytes>")
    """Everything that was ever sent of it."""
    truncated: bool = False

    @property
    def item_id(self) -> str:
        """The item's id, unique in its conversation."""
        item_id: str = self.body["id"]
        return item_id

    def shown(self) -> JsonObject:
        """Return the item as events show it: without audio bytes."""
        return copy.deepcopy(self.body)

    def whole(self) -> JsonObject:
        """Return the item as `conversation.item.retrieved` shows it: with its audio."""
        shown = self.shown()
        for part in shown.get("content", ()):
            if part["type"] in {"input_audio", "output_audio"}:
                part["audio"] = base64.b64encode(self.audio).decode()
        return shown

    def generate(self, audio: bytes) -> None:
        """Append generated audio; after a truncation it is sent but not kept."""
        self.generated += audio
        if not self.truncated:
            self.audio += audio

    def truncate(self, audio_end_ms: int) -> None:
        """Keep the first ``audio_end_ms`` and drop the transcript; raises Refused, see the rules."""
        is_agent_message = self.body["type"] == "message" and self.body["role"] == "assistant"
        if not is_agent_message or not self.audio:
            raise Refused(None, "Only model output audio messages can be truncated")
        has_ms = int(self.audio_format.seconds_in(len(self.audio)) * 1000)
        if audio_end_ms > has_ms:
            raise Refused(
                "invalid_value", f"Audio content of {has_ms}ms is already shorter than {audio_end_ms}ms", "audio_end_ms"
            )
        del self.audio[self.audio_format.bytes_in(audio_end_ms / 1000) :]
        self.truncated = True
        for part in self.body["content"]:
            part.pop("transcript", None)


class Conversation:
    """The items of the default conversation, in order."""

    def __init__(self, conversation_id: str) -> None:
        self.conversation_id = conversation_id
        self._items: list[Item] = []

    @property
    def items(self) -> list[Item]:
        """All items, in order; a copy of the list."""
        return list(self._items)

    def find(self, item_id: str) -> Item | None:
        """Return the item with that id, or None."""
        return next((item for item in self._items if item.item_id == item_id), None)

    def require(self, item_id: str, code: str) -> Item:
        """Return the item, or raise Refused with ``code``."""
        item = self.find(item_id)
        if item is None:
            raise Refused(code, f"Item with item_id '{item_id}' not found.", "item_id")
        return item

    def add(self, item: Item, after: str | None = None) -> str | None:
        """Add an item at the end, after item ``after``, or before all others ("root").

        Returns:
            The id of the item before it, None for the first.

        Raises:
            Refused: Its id is taken, or ``after`` is unknown.
        """
        if self.find(item.item_id) is not None:
            raise invalid_value("item.id", f"an item with id '{item.item_id}' exists already")
        place = len(self._items) if after is None else self._place_after(after)
        self._items.insert(place, item)
        return self.previous(item)

    def previous(self, item: Item) -> str | None:
        """Return the id of the item before this one, None for the first or one that was deleted."""
        place = next((n for n, each in enumerate(self._items) if each is item), 0)
        return self._items[place - 1].item_id if place else None

    def delete(self, item_id: str) -> None:
        """Remove an item; raises Refused when it is unknown."""
        self._items.remove(self.require(item_id, "item_not_found"))

    def _place_after(self, after: str) -> int:
        if after == "root":
            return 0
        item = self.find(after)
        if item is None:
            raise Refused("item_not_found", f"Item with item_id '{after}' not found.", "previous_item_id")
        return self._items.index(item) + 1


def check_item(given: Any, new_id: str, audio_format: AudioFormat, path: str) -> Item:
    """Return the item that a client may create.

    Args:
        given: The `item` of a `conversation.item.create`, or one of a response's own `input`.
        new_id: Its id if it has none.
        audio_format: The format of its audio.
        path: Its dotted path in the client's event.

    Raises:
        Refused: Its shape is wrong; agent audio cannot be created by a client.
    """
    checked = _ITEM(given, path)
    item = Item({"id": new_id, "object": "realtime.item", "status": "completed", **checked}, audio_format)
    for index, part in enumerate(checked.get("content", ())):
        at = f"{path}.content[{index}]"
        _check_content(checked["role"], part, at)
        item.audio += audio_bytes(part.pop("audio", ""), f"{at}.audio")
    return item


def _check_content(role: str, part: JsonObject, path: str) -> None:
    allowed = _CONTENT_OF_ROLE[role]
    if part["type"] not in allowed:
        raise Refused(
            "unsupported_content_type",
            f"Content of type '{part['type']}' cannot be created in a message of role '{role}'.",
            f"{path}.type",
        )
    for key in allowed[part["type"]]:
        if key not in part:
            raise Refused("missing_required_parameter", f"Missing required parameter: '{path}.{key}'.", f"{path}.{key}")
