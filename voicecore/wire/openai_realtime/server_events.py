"""Server events about session, conversation and user input; those about responses are in response_events.py.

Rule 1: a class has its wire name; a field has its wire name and type (see schema.py).
Rule 2: a field without a default is required, and without it the event is lost.
Required are the id of what the event is about, and its essential content.
Rule 3: fields that are of no use are not read, such as the server's own
``event_id`` and the indices of parts and outputs: the ids of items and responses
identify everything.
Rule 4: three classes are our own and report how a frame was read: `BetaNameUsed`,
`FieldIgnored` and `Unrecognised`.

Facts: OpenAI Realtime, sections server events and normal event orders.
"""

from __future__ import annotations

from typing import ClassVar

import attrs

from voicecore.wire.openai_realtime.effective import NOTHING_REPORTED, EffectiveConfig
from voicecore.wire.openai_realtime.items import Item, Language, TranscriptionUsage


@attrs.frozen(kw_only=True)
class WireEvent:
    """Base of the events that a server sends; ``wire_name`` is the ``type``."""

    wire_name: ClassVar[str]


# --- how a frame was read ------------------------------------------------------


@attrs.frozen
class BetaNameUsed:
    """The server used an event name of the beta API; reported once for each connection, before the event."""

    name: str
    canonical: str


@attrs.frozen
class FieldIgnored:
    """A field was wrong, and was ignored or corrected; reported before the event.

    ``name`` is its dotted path after the event's name, with ``[]`` for any entry of a list.
    """

    name: str
    problem: str


@attrs.frozen
class Unrecognised:
    """An unknown event; nothing of it was read."""

    name: str


ServerEvent = WireEvent | BetaNameUsed | FieldIgnored | Unrecognised


# --- session ----------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class SessionCreated(WireEvent):
    """The first event of a session, with the default configuration; it acknowledges nothing."""

    wire_name: ClassVar = "session.created"
    session: EffectiveConfig = NOTHING_REPORTED


@attrs.frozen(kw_only=True)
class SessionUpdated(WireEvent):
    """The acknowledgement of an update, with the effective configuration as far as it is reported."""

    wire_name: ClassVar = "session.updated"
    session: EffectiveConfig = NOTHING_REPORTED


@attrs.frozen(kw_only=True)
class RateLimit:
    """What remains of a rate limit; ``name`` is ``requests`` or ``tokens``."""

    name: str | None = None
    limit: int | None = None
    remaining: int | None = None
    reset_seconds: float | None = None


@attrs.frozen(kw_only=True)
class RateLimitsUpdated(WireEvent):
    """Rate limits; sent near the start or the end of a response."""

    wire_name: ClassVar = "rate_limits.updated"
    rate_limits: tuple[RateLimit, ...] = ()


@attrs.frozen(kw_only=True)
class ErrorDetail:
    """Details of an error; ``event_id`` is that of our event, if the server names it."""

    type: str | None = None
    code: str | None = None
    message: str = ""
    param: str | None = None
    event_id: str | None = None


@attrs.frozen(kw_only=True)
class ErrorReported(WireEvent):
    """A request was refused or something failed; the session stays open unless a close follows."""

    wire_name: ClassVar = "error"
    error: ErrorDetail = ErrorDetail()


# --- conversation -----------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Conversation:
    """The conversation of a session."""

    id: str | None = None


@attrs.frozen(kw_only=True)
class ConversationCreated(WireEvent):
    """The conversation was created; the event is optional and nothing depends on it."""

    wire_name: ClassVar = "conversation.created"
    conversation: Conversation = Conversation()


@attrs.frozen(kw_only=True)
class ItemAdded(WireEvent):
    """An item was added to the conversation; it may be incomplete."""

    wire_name: ClassVar = "conversation.item.added"
    item: Item
    previous_item_id: str | None = None


@attrs.frozen(kw_only=True)
class ItemDone(WireEvent):
    """An item is final."""

    wire_name: ClassVar = "conversation.item.done"
    item: Item
    previous_item_id: str | None = None


@attrs.frozen(kw_only=True)
class ItemRetrieved(WireEvent):
    """The answer to ItemRetrieve; the item's audio is dropped."""

    wire_name: ClassVar = "conversation.item.retrieved"
    item: Item


@attrs.frozen(kw_only=True)
class ItemTruncated(WireEvent):
    """The answer to ItemTruncate; the server also drops its transcript of the item."""

    wire_name: ClassVar = "conversation.item.truncated"
    item_id: str
    audio_end_ms: int


@attrs.frozen(kw_only=True)
class ItemDeleted(WireEvent):
    """The answer to ItemDelete."""

    wire_name: ClassVar = "conversation.item.deleted"
    item_id: str


# --- transcription of the user -------------------------------------------------------------


@attrs.frozen(kw_only=True)
class TranscriptionDelta(WireEvent):
    """A piece of a user turn's transcript."""

    wire_name: ClassVar = "conversation.item.input_audio_transcription.delta"
    item_id: str
    delta: str | None = None


@attrs.frozen(kw_only=True)
class TranscriptionCompleted(WireEvent):
    """The complete transcript of a user turn; it may arrive after the reply to it, even after the next turn."""

    wire_name: ClassVar = "conversation.item.input_audio_transcription.completed"
    item_id: str
    transcript: str
    usage: TranscriptionUsage | None = None
    languages: tuple[Language, ...] | None = None


@attrs.frozen(kw_only=True)
class TranscriptionError:
    """Why a transcription failed."""

    type: str | None = None
    code: str | None = None
    message: str | None = None
    param: str | None = None


@attrs.frozen(kw_only=True)
class TranscriptionFailed(WireEvent):
    """The transcription of a user turn failed; this is not an `error` event."""

    wire_name: ClassVar = "conversation.item.input_audio_transcription.failed"
    item_id: str
    error: TranscriptionError = TranscriptionError()


@attrs.frozen(kw_only=True)
class TranscriptionSegment(WireEvent):
    """Words of one speaker, with their position in the turn in seconds; diarizing models only."""

    wire_name: ClassVar = "conversation.item.input_audio_transcription.segment"
    item_id: str
    text: str
    id: str | None = None
    speaker: str | None = None
    start: float | None = None
    end: float | None = None


# --- the user's audio ---------------------------------------------------------------


@attrs.frozen(kw_only=True)
class InputAudioCommitted(WireEvent):
    """Appended audio became a user item."""

    wire_name: ClassVar = "input_audio_buffer.committed"
    item_id: str
    previous_item_id: str | None = None


@attrs.frozen(kw_only=True)
class InputAudioCleared(WireEvent):
    """The answer to InputAudioClear."""

    wire_name: ClassVar = "input_audio_buffer.cleared"


@attrs.frozen(kw_only=True)
class SpeechStarted(WireEvent):
    """Speech began; ``audio_start_ms`` counts all audio appended to the session, less the prefix padding."""

    wire_name: ClassVar = "input_audio_buffer.speech_started"
    item_id: str | None = None
    audio_start_ms: int | None = None


@attrs.frozen(kw_only=True)
class SpeechStopped(WireEvent):
    """Speech ended; ``audio_end_ms`` counts as above and includes the silence window."""

    wire_name: ClassVar = "input_audio_buffer.speech_stopped"
    item_id: str | None = None
    audio_end_ms: int | None = None


@attrs.frozen(kw_only=True)
class IdleTimeoutTriggered(WireEvent):
    """``idle_timeout_ms`` passed in silence, which becomes a user item; a response follows."""

    wire_name: ClassVar = "input_audio_buffer.timeout_triggered"
    item_id: str | None = None
    audio_start_ms: int | None = None
    audio_end_ms: int | None = None


@attrs.frozen(kw_only=True)
class DtmfReceived(WireEvent):
    """The user pressed a key; SIP only."""

    wire_name: ClassVar = "input_audio_buffer.dtmf_event_received"
    event: str = attrs.field(repr=lambda _: "'*'")
    received_at: int | None = None
    """Unix time in seconds."""
