"""What the server says of session, conversation and user; what it says of its responses is in response_events.py.

Rule 1: a class carries its wire name; a field has its wire name, and its
annotation is its shape (see schema.py).
Rule 2: a field without a default is needed, and its event is lost without it:
an id that says whose the event is, or the content that it is all about.  Every
other field has a default.
Rule 3: what the server says about itself and nobody can use is left out, its own
``event_id`` and the numbers of parts and outputs too: everything here goes by the ids
of items and responses.
Rule 4: three classes are ours and say something about the wire itself:
`BetaNameUsed`, `FieldIgnored` and `Unrecognised`.

Facts: OpenAI Realtime, sections server events and normal event orders.
Made by codec.py, read by the provider.
"""

from __future__ import annotations

from typing import ClassVar

import attrs

from voicecore.wire.openai_realtime.effective import NOTHING_ECHOED, EffectiveConfig
from voicecore.wire.openai_realtime.items import Item, Language, TranscriptionUsage


@attrs.frozen(kw_only=True)
class WireEvent:
    """Base of those that stand on the wire: ``wire_name`` is their ``type``."""

    wire_name: ClassVar[str]


# --- about the wire itself ------------------------------------------------------


@attrs.frozen
class BetaNameUsed:
    """The server used a retired name; said once a connection, before the event, which has the present name."""

    name: str
    canonical: str


@attrs.frozen
class FieldIgnored:
    """A field was not read as it stands, and the event did not need it; said before the event.

    ``name`` is its dotted path behind the event's name, with ``[]`` for any entry of a list.
    """

    name: str
    problem: str


@attrs.frozen
class Unrecognised:
    """An event that was not known when this was written; nothing of it was read."""

    name: str


ServerEvent = WireEvent | BetaNameUsed | FieldIgnored | Unrecognised


# --- session ----------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class SessionCreated(WireEvent):
    """The first event; shows defaults, so it acknowledges nothing."""

    wire_name: ClassVar = "session.created"
    session: EffectiveConfig = NOTHING_ECHOED


@attrs.frozen(kw_only=True)
class SessionUpdated(WireEvent):
    """The acknowledgement of an update: the configuration that is now in force, as far as it is shown."""

    wire_name: ClassVar = "session.updated"
    session: EffectiveConfig = NOTHING_ECHOED


@attrs.frozen(kw_only=True)
class RateLimit:
    """What is left of one limit; ``name`` is ``requests`` or ``tokens``."""

    name: str | None = None
    limit: int | None = None
    remaining: int | None = None
    reset_seconds: float | None = None


@attrs.frozen(kw_only=True)
class RateLimitsUpdated(WireEvent):
    """Comes near the beginning or the end of a response."""

    wire_name: ClassVar = "rate_limits.updated"
    rate_limits: tuple[RateLimit, ...] = ()


@attrs.frozen(kw_only=True)
class ErrorDetail:
    """What went wrong, as far as it is said; ``event_id`` is that of our event, where the server knows it."""

    type: str | None = None
    code: str | None = None
    message: str = ""
    param: str | None = None
    event_id: str | None = None


@attrs.frozen(kw_only=True)
class ErrorReported(WireEvent):
    """A request was refused, or something failed; the session stays open unless a close follows."""

    wire_name: ClassVar = "error"
    error: ErrorDetail = ErrorDetail()


# --- conversation -----------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Conversation:
    """The one conversation of a session."""

    id: str | None = None


@attrs.frozen(kw_only=True)
class ConversationCreated(WireEvent):
    """May follow session.created, may be missing; nothing depends on it."""

    wire_name: ClassVar = "conversation.created"
    conversation: Conversation = Conversation()


@attrs.frozen(kw_only=True)
class ItemAdded(WireEvent):
    """An item exists; it may still be in progress."""

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
    """The answer to a retrieve; the item's audio is not kept."""

    wire_name: ClassVar = "conversation.item.retrieved"
    item: Item


@attrs.frozen(kw_only=True)
class ItemTruncated(WireEvent):
    """The answer to a truncate; the server's own transcript of the item is gone with it."""

    wire_name: ClassVar = "conversation.item.truncated"
    item_id: str
    audio_end_ms: int


@attrs.frozen(kw_only=True)
class ItemDeleted(WireEvent):
    """The answer to a delete."""

    wire_name: ClassVar = "conversation.item.deleted"
    item_id: str


# --- the user's words -------------------------------------------------------------


@attrs.frozen(kw_only=True)
class TranscriptionDelta(WireEvent):
    """More words of a user turn."""

    wire_name: ClassVar = "conversation.item.input_audio_transcription.delta"
    item_id: str
    delta: str | None = None


@attrs.frozen(kw_only=True)
class TranscriptionCompleted(WireEvent):
    """All words of a user turn; may come after the answer to it, even after the next turn."""

    wire_name: ClassVar = "conversation.item.input_audio_transcription.completed"
    item_id: str
    transcript: str
    usage: TranscriptionUsage | None = None
    languages: tuple[Language, ...] | None = None


@attrs.frozen(kw_only=True)
class TranscriptionError:
    """Why a user turn has no words."""

    type: str | None = None
    code: str | None = None
    message: str | None = None
    param: str | None = None


@attrs.frozen(kw_only=True)
class TranscriptionFailed(WireEvent):
    """A user turn stays without words; not an `error` event."""

    wire_name: ClassVar = "conversation.item.input_audio_transcription.failed"
    item_id: str
    error: TranscriptionError = TranscriptionError()


@attrs.frozen(kw_only=True)
class TranscriptionSegment(WireEvent):
    """Words of one speaker, with their place in the turn in seconds; diarizing models only."""

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
    """The answer to a clear of the input buffer."""

    wire_name: ClassVar = "input_audio_buffer.cleared"


@attrs.frozen(kw_only=True)
class SpeechStarted(WireEvent):
    """Speech began, in ms of all audio ever appended to the session, prefix padding taken off."""

    wire_name: ClassVar = "input_audio_buffer.speech_started"
    item_id: str | None = None
    audio_start_ms: int | None = None


@attrs.frozen(kw_only=True)
class SpeechStopped(WireEvent):
    """Speech ended, in ms as above; the silence that ended it is counted in."""

    wire_name: ClassVar = "input_audio_buffer.speech_stopped"
    item_id: str | None = None
    audio_end_ms: int | None = None


@attrs.frozen(kw_only=True)
class IdleTimeoutTriggered(WireEvent):
    """Nobody spoke for ``idle_timeout_ms``; the silence becomes a user item, and a response follows."""

    wire_name: ClassVar = "input_audio_buffer.timeout_triggered"
    item_id: str | None = None
    audio_start_ms: int | None = None
    audio_end_ms: int | None = None


@attrs.frozen(kw_only=True)
class DtmfReceived(WireEvent):
    """A key of the user's keypad; SIP only."""

    wire_name: ClassVar = "input_audio_buffer.dtmf_event_received"
    event: str = attrs.field(repr=lambda _: "'*'")
    received_at: int | None = None
    """Unix time in seconds."""
