"""What we say to the server, one frozen class an event, and `encode` for the wire.

Rule 1: every event may have an ``event_id`` of ours; the server gives it back
only in the `error` that refuses the event.
Rule 2: an event that the API could never accept is not built.  That is our own
bug: `LocalProtocolError`.
Rule 3: `InputAudioAppend` is the hot one, up to fifty a second a call; it is
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
"""The most that one append may carry, counted as base64: the stricter reading."""
METADATA_VALUE_LIMIT_CHARS: Final = 512

# --- items that we write --------------------------------------------------------


@attrs.frozen
class _Message:
    """Base of the three messages of text; ``id`` is ours and must be unique, or is left to the server."""

    role: ClassVar[str]
    content_type: ClassVar[str] = "input_text"

    text: str
    id: str | None = None

    def to_wire(self) -> JsonObject:
        content = [{"type": self.content_type, "text": self.text}]
        return _given(type="message", id=self.id, role=self.role, content=content)


@attrs.frozen
class UserMessage(_Message):
    """Something the user wrote, or said before this session."""

    role: ClassVar = "user"


@attrs.frozen
class SystemMessage(_Message):
    """Something the model is told."""

    role: ClassVar = "system"


@attrs.frozen
class AssistantMessage(_Message):
    """Something the agent said before this session; its audio cannot be given."""

    role: ClassVar = "assistant"
    content_type: ClassVar = "output_text"


@attrs.frozen(kw_only=True)
class FunctionCall:
    """A call that the model made before this session; goes before its output."""

    call_id: str
    name: str
    arguments: str = attrs.field(repr=False)
    id: str | None = None

    def to_wire(self) -> JsonObject:
        return _given(type="function_call", id=self.id, call_id=self.call_id, name=self.name, arguments=self.arguments)


@attrs.frozen(kw_only=True)
class FunctionCallOutput:
    """The answer to a function call; structures are written as JSON text."""

    call_id: str
    output: str = attrs.field(repr=False)
    id: str | None = None

    def to_wire(self) -> JsonObject:
        return _given(type="function_call_output", id=self.id, call_id=self.call_id, output=self.output)


NewItem = UserMessage | SystemMessage | AssistantMessage | FunctionCall | FunctionCallOutput


@attrs.frozen
class ItemReference:
    """An item of the conversation, as input of one response."""

    id: str

    def to_wire(self) -> JsonObject:
        return {"type": "item_reference", "id": self.id}


# --- events -----------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class SessionUpdate:
    """Answered by SessionUpdated, which does not carry our id, or by an error; applied whole or not at all.

    At most one should be under way, so that the answer is known to be its own.
    """

    config: SessionConfig
    event_id: str | None = None

    def to_wire(self) -> JsonObject:
        return _given(type="session.update", event_id=self.event_id, session=self.config.to_wire())


@attrs.frozen(kw_only=True)
class TurnDetectionUpdate:
    """Changes turn detection and nothing else: nested updates leave their neighbours as they are.

    The object is whole: what a partial one does to the fields that it leaves out is not known.
    """

    turn_detection: TurnDetection | None
    event_id: str | None = None

    def to_wire(self) -> JsonObject:
        session = {"type": "realtime", "audio": {"input": {"turn_detection": plain(self.turn_detection)}}}
        return _given(type="session.update", event_id=self.event_id, session=session)


@attrs.frozen(kw_only=True)
class InputAudioAppend:
    """User audio in the session's input format, any length up to `APPEND_LIMIT_BYTES`; no answer follows."""

    audio: bytes = attrs.field(repr=lambda audio: f"<{len(audio)} bytes>")
    event_id: str | None = None

    def __attrs_post_init__(self) -> None:
        _check_append(self.audio)


@attrs.frozen(kw_only=True)
class InputAudioCommit:
    """End a turn by hand: makes a user item, asks for no response. Not while turn detection is on."""

    event_id: str | None = None

    def to_wire(self) -> JsonObject:
        return _given(type="input_audio_buffer.commit", event_id=self.event_id)


@attrs.frozen(kw_only=True)
class InputAudioClear:
    """Drop appended audio that is not committed, and any turn that has begun in it."""

    event_id: str | None = None

    def to_wire(self) -> JsonObject:
        return _given(type="input_audio_buffer.clear", event_id=self.event_id)


@attrs.frozen(kw_only=True)
class ItemCreate:
    """Put an item into the conversation: at its end, after ``previous_item_id``, or first (``"root"``)."""

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
    """Cut an agent message to what was heard: ``audio_end_ms`` from the start of its audio, no decimals.

    More than the item has is refused; of an item that was not heard at all,
    `ItemDelete` is the safer choice.
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
    """Remove an item from the conversation."""

    item_id: str
    event_id: str | None = None

    def to_wire(self) -> JsonObject:
        return _given(type="conversation.item.delete", event_id=self.event_id, item_id=self.item_id)


@attrs.frozen(kw_only=True)
class ItemRetrieve:
    """Ask what the server has of an item."""

    item_id: str
    event_id: str | None = None

    def to_wire(self) -> JsonObject:
        return _given(type="conversation.item.retrieve", event_id=self.event_id, item_id=self.item_id)


@attrs.frozen(kw_only=True)
class ResponseCreate:
    """Ask for a response. What is None is taken from the session."""

    request_id: str | None = None
    """Comes back as `Response.request_id`; tells our responses from the server's own."""
    instructions: str | None = attrs.field(default=None, repr=False)
    """Instead of the session's, not beside them."""
    tool_choice: ToolChoice | None = None
    output_modality: Literal["audio", "text"] | None = None
    input: tuple[NewItem | ItemReference, ...] | None = None
    """Instead of the conversation; () is an empty context."""
    conversation: Literal["auto", "none"] | None = None
    """``"none"``: beside the conversation, which neither reads nor remembers it."""
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
    """Stop a response; without an id the one that runs in the conversation. Refused harmlessly when none does."""

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
    """Return the text frame of an event.

    Raises:
        LocalProtocolError: A text in it is not valid Unicode, which no frame can carry.
    """
    if isinstance(event, InputAudioAppend):
        return _encode_append(event)
    return _json(event.to_wire())


def encode_append(audio: bytes) -> str:
    """Return the text frame that appends user audio: 50 a second, so without an event between.

    Raises:
        LocalProtocolError: More than one append may carry.
    """
    _check_append(audio)
    return f'{{"type":"input_audio_buffer.append","audio":"{_base64(audio)}"}}'


def _encode_append(event: InputAudioAppend) -> str:
    if event.event_id is None:
        return encode_append(event.audio)
    head = f'{{"type":"input_audio_buffer.append","event_id":{_json(event.event_id)}'
    return f'{head},"audio":"{_base64(event.audio)}"}}'


def _base64(audio: bytes) -> str:
    # Base64 needs no escaping, so the frame is a template: an encoder would look at every character again.
    return binascii.b2a_base64(audio, newline=False).decode("ascii")


def _check_append(audio: bytes) -> None:
    if len(audio) * 4 > APPEND_LIMIT_BYTES * 3:
        raise LocalProtocolError(f"one append may carry {APPEND_LIMIT_BYTES} bytes of base64, not more")


def _json(value: object) -> str:
    try:
        return orjson.dumps(value).decode()
    except orjson.JSONEncodeError as error:
        raise LocalProtocolError("a text of the event is not valid Unicode") from error


def _given(**fields: object) -> JsonObject:
    """Return what is there; the API reads an absent field as its own choice."""
    return {name: value for name, value in fields.items() if value is not None}


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31
