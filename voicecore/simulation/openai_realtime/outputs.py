"""The parts of a response on the wire: a spoken message, a written one, a function call.

Rule 1: each part opens with `.added` events and closes with its `.done` events, also
when it is cut short; in between it only grows.
Rule 2: items of the default conversation are announced there as well; those of an
out-of-band response are not.

Orders: OpenAI Realtime, section normal event orders.
Pure.
"""

from __future__ import annotations

import base64
from typing import Literal, Protocol

import attrs

from voicecore.audio.formats import PCMU_8K, AudioFormat
from voicecore.simulation.openai_realtime.items import Conversation, Item
from voicecore.simulation.openai_realtime.json_checks import JsonObject
from voicecore.simulation.openai_realtime.script import ToolCall

ItemStatus = Literal["completed", "incomplete"]


class Emit(Protocol):
    """Sends one server event; the session adds the event id."""

    def __call__(self, kind: str, **fields: object) -> None: ...


@attrs.frozen(kw_only=True)
class OutputSlot:
    """Where an output item belongs: its response, its index in it, and its conversation, if any."""

    emit: Emit
    response_id: str
    output_index: int
    conversation: Conversation | None

    def open_item(self, item: Item) -> None:
        """Announce the item as in progress."""
        previous = None if self.conversation is None else self.conversation.add(item)
        self._show("response.output_item.added", item)
        if self.conversation is not None:
            self.emit("conversation.item.added", previous_item_id=previous, item=item.shown())

    def close_item(self, item: Item, status: ItemStatus) -> None:
        """Announce the item in its final state."""
        item.body["status"] = status
        self._show("response.output_item.done", item)
        if self.conversation is not None and self.conversation.find(item.item_id) is item:
            previous = self.conversation.previous(item)
            self.emit("conversation.item.done", previous_item_id=previous, item=item.shown())

    def _show(self, kind: str, item: Item) -> None:
        self.emit(kind, response_id=self.response_id, output_index=self.output_index, item=item.shown())


class Output(Protocol):
    """One part of a response."""

    @property
    def item(self) -> Item:
        """The item that this part becomes."""
        ...

    def close(self, status: ItemStatus) -> None:
        """Send the closing events."""
        ...


class MessageOutput:
    """An agent message: spoken, with its transcript running ahead, or written."""

    def __init__(self, slot: OutputSlot, item_id: str, audio_format: AudioFormat | None) -> None:
        """Open the message; without an ``audio_format`` it is a written one."""
        body: JsonObject = {
            "id": item_id,
            "object": "realtime.item",
            "type": "message",
            "status": "in_progress",
            "role": "assistant",
            "content": [],
        }
        self.item = Item(body, PCMU_8K if audio_format is None else audio_format)
        self._slot = slot
        self._words = ""
        self._spoken = audio_format is not None
        self._events = "response.output_audio_transcript" if self._spoken else "response.output_text"
        slot.open_item(self.item)
        self._emit("response.content_part.added", part=self._part())

    def add_words(self, words: str) -> None:
        """Send more of the transcript or text."""
        self._words += words
        self._emit(f"{self._events}.delta", delta=words)

    def add_audio(self, audio: bytes) -> None:
        """Send more speech."""
        self.add_encoded_audio(audio, base64.b64encode(audio).decode())

    def add_encoded_audio(self, audio: bytes, encoded: str) -> None:
        """Send more speech that is already encoded in base64."""
        self.item.generate(audio)
        self._emit("response.output_audio.delta", delta=encoded)

    def close(self, status: ItemStatus) -> None:
        """Close audio, text, part and item."""
        if self._spoken:
            self._emit("response.output_audio.done")
            self._emit("response.output_audio_transcript.done", transcript=self._words)
        else:
            self._emit("response.output_text.done", text=self._words)
        self._emit("response.content_part.done", part=self._part())
        content: JsonObject = {"type": "output_audio"} if self._spoken else {"type": "output_text", "text": self._words}
        if self._spoken and not self.item.truncated:
            content["transcript"] = self._words
        self.item.body["content"] = [content]
        self._slot.close_item(self.item, status)

    def _part(self) -> JsonObject:
        if self._spoken:
            return {"type": "audio", "transcript": self._words}
        return {"type": "text", "text": self._words}

    def _emit(self, kind: str, **fields: object) -> None:
        self._slot.emit(
            kind,
            response_id=self._slot.response_id,
            item_id=self.item.item_id,
            output_index=self._slot.output_index,
            content_index=0,
            **fields,
        )


class FunctionCallOutput:
    """A function call of the model."""

    def __init__(self, slot: OutputSlot, item_id: str, call_id: str, call: ToolCall) -> None:
        body: JsonObject = {
            "id": item_id,
            "object": "realtime.item",
            "type": "function_call",
            "status": "in_progress",
            "call_id": call_id,
            "name": call.name,
            "arguments": "",
        }
        self.item = Item(body, PCMU_8K)
        self._slot = slot
        slot.open_item(self.item)

    def add_arguments(self, text: str) -> None:
        """Send more of the arguments."""
        self.item.body["arguments"] += text
        self._emit("response.function_call_arguments.delta", delta=text)

    def close(self, status: ItemStatus) -> None:
        """Close arguments and item."""
        body = self.item.body
        self._emit("response.function_call_arguments.done", name=body["name"], arguments=body["arguments"])
        self._slot.close_item(self.item, status)

    def _emit(self, kind: str, **fields: object) -> None:
        self._slot.emit(
            kind,
            response_id=self._slot.response_id,
            item_id=self.item.item_id,
            output_index=self._slot.output_index,
            call_id=self.item.body["call_id"],
            **fields,
        )
