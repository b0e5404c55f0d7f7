"""What the server says of its responses: their beginning and end, their items, audio and words.

The rules are those of server_events.py.  Every event names its response or its
item: deltas of an interrupted response still arrive and are told apart by that.
What the server forgot to name is filled in where only one can be meant, see
missing_ids.py.

Facts: OpenAI Realtime, sections server events, normal event orders and response bookkeeping.
Made by codec.py, read by the provider.
"""

from __future__ import annotations

from typing import ClassVar

import attrs

from voicecore.wire.openai_realtime.items import Content, Item, Response
from voicecore.wire.openai_realtime.server_events import WireEvent

# --- playback at the server's end (WebRTC and SIP only) ---------------------------------


@attrs.frozen(kw_only=True)
class OutputBufferStarted(WireEvent):
    """The server began to play a response."""

    wire_name: ClassVar = "output_audio_buffer.started"
    response_id: str


@attrs.frozen(kw_only=True)
class OutputBufferStopped(WireEvent):
    """The server played a response to its end."""

    wire_name: ClassVar = "output_audio_buffer.stopped"
    response_id: str


@attrs.frozen(kw_only=True)
class OutputBufferCleared(WireEvent):
    """The server dropped what it had not played."""

    wire_name: ClassVar = "output_audio_buffer.cleared"
    response_id: str


# --- responses ----------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class ResponseCreated(WireEvent):
    """A response began, ours or the server's own."""

    wire_name: ClassVar = "response.created"
    response: Response


@attrs.frozen(kw_only=True)
class ResponseDone(WireEvent):
    """A response is over, whatever its end; always its last event."""

    wire_name: ClassVar = "response.done"
    response: Response


@attrs.frozen(kw_only=True)
class OutputItemAdded(WireEvent):
    """A response gained an item."""

    wire_name: ClassVar = "response.output_item.added"
    response_id: str
    item: Item


@attrs.frozen(kw_only=True)
class OutputItemDone(WireEvent):
    """An item of a response is final."""

    wire_name: ClassVar = "response.output_item.done"
    response_id: str
    item: Item


@attrs.frozen(kw_only=True)
class InItem(WireEvent):
    """Base of the events about one item of a response."""

    response_id: str
    item_id: str


@attrs.frozen(kw_only=True)
class ContentPartAdded(InItem):
    """An item gained a part."""

    wire_name: ClassVar = "response.content_part.added"
    part: Content | None = None


@attrs.frozen(kw_only=True)
class ContentPartDone(InItem):
    """A part is final."""

    wire_name: ClassVar = "response.content_part.done"
    part: Content | None = None


@attrs.frozen(kw_only=True)
class OutputAudioDelta(InItem):
    """Speech, decoded; cut anywhere, so a PCM sample may be split between two of them."""

    wire_name: ClassVar = "response.output_audio.delta"
    delta: bytes = attrs.field(repr=lambda audio: f"<{len(audio)} bytes>")


@attrs.frozen(kw_only=True)
class OutputAudioDone(InItem):
    """No more audio of this part; comes after an interruption too."""

    wire_name: ClassVar = "response.output_audio.done"


@attrs.frozen(kw_only=True)
class OutputTranscriptDelta(InItem):
    """Words of the speech; they run ahead of the audio."""

    wire_name: ClassVar = "response.output_audio_transcript.delta"
    delta: str


@attrs.frozen(kw_only=True)
class OutputTranscriptDone(InItem):
    """All words of the speech, spoken to the end or not."""

    wire_name: ClassVar = "response.output_audio_transcript.done"
    transcript: str


@attrs.frozen(kw_only=True)
class OutputTextDelta(InItem):
    """Words, where the session writes."""

    wire_name: ClassVar = "response.output_text.delta"
    delta: str


@attrs.frozen(kw_only=True)
class OutputTextDone(InItem):
    """All words, where the session writes."""

    wire_name: ClassVar = "response.output_text.done"
    text: str


@attrs.frozen(kw_only=True)
class FunctionArgumentsDelta(InItem):
    """More of a function call's arguments."""

    wire_name: ClassVar = "response.function_call_arguments.delta"
    call_id: str | None = None
    delta: str = attrs.field(default="", repr=False)


@attrs.frozen(kw_only=True)
class FunctionArgumentsDone(InItem):
    """A function call's arguments, whole; without ``name`` in older captures: the item has it."""

    wire_name: ClassVar = "response.function_call_arguments.done"
    call_id: str | None = None
    arguments: str = attrs.field(default="", repr=False)
    name: str | None = None


# --- tools that the provider runs by itself --------------------------------------------------


@attrs.frozen(kw_only=True)
class McpArgumentsDelta(InItem):
    """More of a remote call's arguments."""

    wire_name: ClassVar = "response.mcp_call_arguments.delta"
    delta: str = attrs.field(default="", repr=False)


@attrs.frozen(kw_only=True)
class McpArgumentsDone(InItem):
    """A remote call's arguments, whole."""

    wire_name: ClassVar = "response.mcp_call_arguments.done"
    arguments: str = attrs.field(default="", repr=False)


@attrs.frozen(kw_only=True)
class McpCallInProgress(WireEvent):
    """A remote call runs."""

    wire_name: ClassVar = "response.mcp_call.in_progress"
    item_id: str


@attrs.frozen(kw_only=True)
class McpCallCompleted(WireEvent):
    """A remote call succeeded."""

    wire_name: ClassVar = "response.mcp_call.completed"
    item_id: str


@attrs.frozen(kw_only=True)
class McpCallFailed(WireEvent):
    """A remote call failed; its item says why."""

    wire_name: ClassVar = "response.mcp_call.failed"
    item_id: str


@attrs.frozen(kw_only=True)
class McpListToolsInProgress(WireEvent):
    """A remote server is asked what it offers."""

    wire_name: ClassVar = "mcp_list_tools.in_progress"
    item_id: str


@attrs.frozen(kw_only=True)
class McpListToolsCompleted(WireEvent):
    """A remote server said what it offers."""

    wire_name: ClassVar = "mcp_list_tools.completed"
    item_id: str


@attrs.frozen(kw_only=True)
class McpListToolsFailed(WireEvent):
    """A remote server could not be asked."""

    wire_name: ClassVar = "mcp_list_tools.failed"
    item_id: str
