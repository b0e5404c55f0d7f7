"""Server events about responses: start and end, items, audio, transcript, tool calls.

The rules are those of server_events.py. Every event has the id of its response or
item, because deltas of an interrupted response still arrive. An id that the server
left out is filled in if it is unambiguous; see missing_ids.py.

Facts: OpenAI Realtime, sections server events, normal event orders and response bookkeeping.
"""

from __future__ import annotations

from typing import ClassVar

import attrs

from voicecore.wire.openai_realtime.items import Content, Item, Response
from voicecore.wire.openai_realtime.server_events import WireEvent

# --- playback by the server (WebRTC and SIP only) ---------------------------------


@attrs.frozen(kw_only=True)
class OutputBufferStarted(WireEvent):
    """The server began to play a response."""

    wire_name: ClassVar = "output_audio_buffer.started"
    response_id: str


@attrs.frozen(kw_only=True)
class OutputBufferStopped(WireEvent):
    """The server finished playing a response."""

    wire_name: ClassVar = "output_audio_buffer.stopped"
    response_id: str


@attrs.frozen(kw_only=True)
class OutputBufferCleared(WireEvent):
    """The server dropped audio that it had not played."""

    wire_name: ClassVar = "output_audio_buffer.cleared"
    response_id: str


# --- responses ----------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class ResponseCreated(WireEvent):
    """A response began, requested by us or started by the server."""

    wire_name: ClassVar = "response.created"
    response: Response


@attrs.frozen(kw_only=True)
class ResponseDone(WireEvent):
    """A response ended, in whatever way; always its last event."""

    wire_name: ClassVar = "response.done"
    response: Response


@attrs.frozen(kw_only=True)
class OutputItemAdded(WireEvent):
    """An item was added to a response."""

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
    """A content part was added to an item."""

    wire_name: ClassVar = "response.content_part.added"
    part: Content | None = None


@attrs.frozen(kw_only=True)
class ContentPartDone(InItem):
    """A content part is final."""

    wire_name: ClassVar = "response.content_part.done"
    part: Content | None = None


@attrs.frozen(kw_only=True)
class OutputAudioDelta(InItem):
    """A piece of speech, decoded. It is cut anywhere: a PCM sample may be split between two deltas."""

    wire_name: ClassVar = "response.output_audio.delta"
    delta: bytes = attrs.field(repr=lambda audio: f"<{len(audio)} bytes>")


@attrs.frozen(kw_only=True)
class OutputAudioDone(InItem):
    """The audio of a part is complete, or was interrupted."""

    wire_name: ClassVar = "response.output_audio.done"


@attrs.frozen(kw_only=True)
class OutputTranscriptDelta(InItem):
    """A piece of the transcript of the speech; it runs ahead of the audio."""

    wire_name: ClassVar = "response.output_audio_transcript.delta"
    delta: str


@attrs.frozen(kw_only=True)
class OutputTranscriptDone(InItem):
    """The complete transcript of the speech, also after an interruption."""

    wire_name: ClassVar = "response.output_audio_transcript.done"
    transcript: str


@attrs.frozen(kw_only=True)
class OutputTextDelta(InItem):
    """A piece of a text response."""

    wire_name: ClassVar = "response.output_text.delta"
    delta: str


@attrs.frozen(kw_only=True)
class OutputTextDone(InItem):
    """The complete text of a text response."""

    wire_name: ClassVar = "response.output_text.done"
    text: str


@attrs.frozen(kw_only=True)
class FunctionArgumentsDelta(InItem):
    """A piece of a function call's arguments."""

    wire_name: ClassVar = "response.function_call_arguments.delta"
    call_id: str | None = None
    delta: str = attrs.field(default="", repr=False)


@attrs.frozen(kw_only=True)
class FunctionArgumentsDone(InItem):
    """A function call's complete arguments; older captures lack ``name``, which the item has."""

    wire_name: ClassVar = "response.function_call_arguments.done"
    call_id: str | None = None
    arguments: str = attrs.field(default="", repr=False)
    name: str | None = None


# --- remote tools (MCP), which the provider calls by itself --------------------------------------------------


@attrs.frozen(kw_only=True)
class McpArgumentsDelta(InItem):
    """A piece of a remote call's arguments."""

    wire_name: ClassVar = "response.mcp_call_arguments.delta"
    delta: str = attrs.field(default="", repr=False)


@attrs.frozen(kw_only=True)
class McpArgumentsDone(InItem):
    """A remote call's complete arguments."""

    wire_name: ClassVar = "response.mcp_call_arguments.done"
    arguments: str = attrs.field(default="", repr=False)


@attrs.frozen(kw_only=True)
class McpCallInProgress(WireEvent):
    """A remote call is running."""

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
    """The provider is listing a remote server's tools."""

    wire_name: ClassVar = "mcp_list_tools.in_progress"
    item_id: str


@attrs.frozen(kw_only=True)
class McpListToolsCompleted(WireEvent):
    """The provider has listed a remote server's tools."""

    wire_name: ClassVar = "mcp_list_tools.completed"
    item_id: str


@attrs.frozen(kw_only=True)
class McpListToolsFailed(WireEvent):
    """The provider could not list a remote server's tools."""

    wire_name: ClassVar = "mcp_list_tools.failed"
    item_id: str
