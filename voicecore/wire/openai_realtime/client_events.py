"""Client events, one frozen class for each, and `encode`, which writes them as JSON.

Rule 1: every event may have an ``event_id`` of ours; the server returns it only
in the `error` that refuses the event.
Rule 2: an event that the API could never accept is a bug of ours and raises
`LocalProtocolError`.
Rule 3: `InputAudioAppend` is sent up to 50 times a second for each call, so it is
written without a JSON encoder.

Facts: OpenAI Realtime, sections client events and interruption and truncation.
"""

from __future__ import annotations

import binascii
from typing import ClassVar, Final, Literal

import attrs
import orjson

from voicecore.errors import LocalProtocolError
from voicecore.wire.openai_realtime.config import SessionConfig
from voicecore.wire.openai_realtime.items import REQUEST_ID_KEY
from voicecore.wire.openai_realtime.parts import JsonObject, TurnDetection, plain
from voicecore.wire.openai_realtime.tools import ToolChoice

APPEND_LIMIT_BYTES: Final = 15 * 1024 * 1024
"""Limit of one append, counted as base64: the stricter reading of the documentation."""
METADATA_VALUE_LIMIT_CHARS: Final = 512

# --- items that we create --------------------------------------------------------


@attrs.frozen
class _Message:
    """Base of the three text messages; ``id`` must be unique, None leaves it to the server."""

    role: ClassVar[str]
    content_type: ClassVar[str] = "input_text"

    text: str
    id: str | None = None

    def to_wire(self) -> JsonObject:
        content = [{"type": self.content_type, "text": self.text}]
        return _given(type="message", id=self.id, role=self.role, content=content)


@attrs.frozen
class UserMessage(_Message):
    """A message that the user wrote, or said before this session."""

    role: ClassVar = "user"


@attrs.frozen
class SystemMessage(_Message):
    """An instruction to the model."""

    role: ClassVar = "system"


@attrs.frozen
class AssistantMessage(_Message):
    """A message that the agent said before this session, as text only."""

    role: ClassVar = "assistant"
    content_type: ClassVar = "output_text"


@attrs.frozen(kw_only=True)
class FunctionCall:
    """A function call that the model made before this session; it precedes its output."""

    call_id: str
    name: str
    arguments: str = attrs.field(repr=False)
    id: str | None = None

    def to_wire(self) -> JsonObject:
        return _given(type="function_call", id=self.id, call_id=self.call_id, name=self.name, arguments=self.arguments)


@attrs.frozen(kw_only=True)
class FunctionCallOutput:
    """The result of a function call; structured results are JSON text."""

    call_id: str
    output: str = attrs.field(repr=False)
    id: str | None = None

    def to_wire(self) -> JsonObject:
        return _given(type="function_call_output", id=self.id, call_id=self.call_id, output=self.output)


NewItem = UserMessage | SystemMessage | AssistantMessage | FunctionCall | FunctionCallOutput


@attrs.frozen
class ItemReference:
    """A reference to an item of the conversation, as input of one response."""

    id: str

    def to_wire(self) -> JsonObject:
        return {"type": "item_reference", "id": self.id}


# --- events -----------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class SessionUpdate:
    """Changes the session; answered by SessionUpdated, which lacks our id, or by an error. Applied whole or not at all.

    Only one should be in flight, so that the answer can be matched to it.
    """

    config: SessionConfig
    event_id: str | None = None

    def to_wire(self) -> JsonObject:
        return _given(type="session.update", event_id=self.event_id, session=self.config.to_wire())


@attrs.frozen(kw_only=True)
class TurnDetectionUpdate:
    """Changes turn detection and nothing else: nested updates leave other fields unchanged.

    The object is complete, because the effect of a partial one is not documented.
    """

    turn_detection: TurnDetection | None
    event_id: str | None = None

    def to_wire(self) -> JsonObject:
        session = {"type": "realtime", "audio": {"input": {"turn_detection": plain(self.turn_detection)}}}
        return _given(type="session.update", event_id=self.event_id, session=session)


@attrs.frozen(kw_only=True)
class InputAudioAppend:
    """User audio in the session's input format, up to `APPEND_LIMIT_BYTES`; the server sends no answer."""

    audio: bytes = attrs.field(repr=lambda audio: f"<{len(audio)} bytes>")
    event_id: str | None = None

    def __attrs_post_init__(self) -> None:
        _check_append(self.audio)


@attrs.frozen(kw_only=True)
class InputAudioCommit:
    """Commit the audio as a user item, without requesting a response. Not while turn detection is on."""

    event_id: str | None = None

    def to_wire(self) -> JsonObject:
        return _given(type="input_audio_buffer.commit", event_id=self.event_id)


@attrs.frozen(kw_only=True)
class InputAudioClear:
    """Drop appended audio that is not committed, and any turn that began in it."""

    event_id: str | None = None

    def to_wire(self) -> JsonObject:
        return _given(type="input_audio_buffer.clear", event_id=self.event_id)


@attrs.frozen(kw_only=True)
class ItemCreate:
    """Add an item to the conversation: at the end, after ``previous_item_id``, or first (``"root"``)."""

    item: NewItem
    previous_item_id: str | None = None
    event_id: str | None = None

    def to_wire(self) -> JsonObject:
        return _given(
            type="conversation.item.create",
            event_id=self.event_id,
            previous_item_id=self.previous_item_id,
            item=self.item.to_wire(),
        )


@attrs.frozen(kw_only=True)
class ItemTruncate:
    """Truncate an agent message at ``audio_end_ms`` from the start of its audio, a whole number.

    The server refuses a position beyond the item's audio. For an item of which
    nothing was heard, use `ItemDelete`.
    """

    item_id: str
    audio_end_ms: int
    content_index: int = 0
    event_id: str | None = None

    def __attrs_post_init__(self) -> None:
        if not _is_count(self.audio_end_ms) or not _is_count(self.content_index):
            raise LocalProtocolError("an item is truncated at a whole, non-negative number of milliseconds")

    def to_wire(self) -> JsonObject:
        return _given(
            type="conversation.item.truncate",
            event_id=self.event_id,
            item_id=self.item_id,
            content_index=self.content_index,
            audio_end_ms=self.audio_end_ms,
        )


@attrs.frozen(kw_only=True)
class ItemDelete:
    """Delete an item from the conversation."""

    item_id: str
    event_id: str | None = None

    def to_wire(self) -> JsonObject:
        return _given(type="conversation.item.delete", event_id=self.event_id, item_id=self.item_id)


@attrs.frozen(kw_only=True)
class ItemRetrieve:
    """Request the server's copy of an item."""

    item_id: str
    event_id: str | None = None

    def to_wire(self) -> JsonObject:
        return _given(type="conversation.item.retrieve", event_id=self.event_id, item_id=self.item_id)


@attrs.frozen(kw_only=True)
class ResponseCreate:
    """Request a response. Fields that are None are taken from the session."""

    request_id: str | None = None
    """Returned as `Response.request_id`; distinguishes our responses from those that the server started."""
    instructions: str | None = attrs.field(default=None, repr=False)
    """Replaces the session's instructions for this response."""
    tool_choice: ToolChoice | None = None
    output_modality: Literal["audio", "text"] | None = None
    input: tuple[NewItem | ItemReference, ...] | None = None
    """Replaces the conversation as context; () is an empty context."""
    conversation: Literal["auto", "none"] | None = None
    """``"none"``: out of band; the response is not added to the conversation."""
    event_id: str | None = None

    def __attrs_post_init__(self) -> None:
        if self.request_id is not None and len(self.request_id) > METADATA_VALUE_LIMIT_CHARS:
            raise LocalProtocolError(f"a request id has at most {METADATA_VALUE_LIMIT_CHARS} characters")

    def to_wire(self) -> JsonObject:
        response = _given(
            metadata=None if self.request_id is None else {REQUEST_ID_KEY: self.request_id},
            instructions=self.instructions,
            tool_choice=plain(self.tool_choice),
            output_modalities=None if self.output_modality is None else [self.output_modality],
            input=None if self.input is None else [item.to_wire() for item in self.input],
            conversation=self.conversation,
        )
        return _given(type="response.create", event_id=self.event_id, response=response or None)


@attrs.frozen(kw_only=True)
class ResponseCancel:
    """Cancel a response, by default the active one. The server's error when there is none is harmless."""

    response_id: str | None = None
    event_id: str | None = None

    def to_wire(self) -> JsonObject:
        return _given(type="response.cancel", event_id=self.event_id, response_id=self.response_id)


ClientEvent = (
    SessionUpdate
    | TurnDetectionUpdate
    | InputAudioAppend
    | InputAudioCommit
    | InputAudioClear
    | ItemCreate
    | ItemTruncate
    | ItemDelete
    | ItemRetrieve
    | ResponseCreate
    | ResponseCancel
)


def encode(event: ClientEvent) -> str:
    """Return an event as the text of a frame.

    Raises:
        LocalProtocolError: A string in it is not valid Unicode.
    """
    if isinstance(event, InputAudioAppend):
        return _encode_append(event)
    return _json(event.to_wire())


def encode_append(audio: bytes) -> str:
    """Return the frame that appends user audio, without creating an event object: there are 50 a second.

    Raises:
        LocalProtocolError: More than `APPEND_LIMIT_BYTES`.
    """
    _check_append(audio)
    return f'{{"type":"input_audio_buffer.append","audio":"{_base64(audio)}"}}'


def _encode_append(event: InputAudioAppend) -> str:
    if event.event_id is None:
        return encode_append(event.audio)
    head = f'{{"type":"input_audio_buffer.append","event_id":{_json(event.event_id)}'
    return f'{head},"audio":"{_base64(event.audio)}"}}'


def _base64(audio: bytes) -> str:
    # Base64 needs no escaping, so a template is enough; an encoder would scan every character again.
    return binascii.b2a_base64(audio, newline=False).decode("ascii")


def _check_append(audio: bytes) -> None:
    if len(audio) * 4 > APPEND_LIMIT_BYTES * 3:
        raise LocalProtocolError(f"one append may have at most {APPEND_LIMIT_BYTES} bytes of base64")


def _json(value: object) -> str:
    try:
        return orjson.dumps(value).decode()
    except orjson.JSONEncodeError as error:
        raise LocalProtocolError("a string in the event is not valid Unicode") from error


def _given(**fields: object) -> JsonObject:
    """Return the fields that are not None; the API uses its default for absent ones."""
    return {name: value for name, value in fields.items() if value is not None}


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31
