"""Items and responses as the server shows them: what a conversation is made of.

Rule 1: a field has its wire name, and its annotation is its shape; one with a
default is not needed (see schema.py).
Rule 2: words that may grow (types, statuses, reasons) stay text: a new one is
news, not an error.
Rule 3: audio inside items is not kept; it came as deltas, and is megabytes.

Facts: OpenAI Realtime, sections server events, response bookkeeping, usage.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import attrs

from voicecore.events import TokenUsage

REQUEST_ID_KEY: Final = "voicecore_request"
"""Where a request's id travels in `metadata`; the server gives it back in response.created and .done."""


# --- items --------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Content:
    """One piece of a message, or one part of a response: words, whatever they were said in.

    The type is ``output_audio`` in an item and ``audio`` in a content part of a response.
    """

    type: str | None = None
    text: str | None = None
    transcript: str | None = None


@attrs.frozen(kw_only=True)
class McpError:
    """Why a remote tool failed: ``protocol_error``, ``tool_execution_error`` or ``http_error``."""

    type: str | None = None
    message: str | None = None


@attrs.frozen(kw_only=True)
class Item:
    """One item of the conversation: a message, a tool call, a tool's answer.

    Which fields are there depends on ``type``; of a type that is not known,
    only ``type``, ``id`` and ``status`` are read.
    """

    type: str = ""
    id: str | None = None
    status: str | None = None
    role: str | None = None
    content: tuple[Content, ...] | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = attrs.field(default=None, repr=False)
    """JSON text, as the model wrote it: may be malformed."""
    output: str | None = attrs.field(default=None, repr=False)
    server_label: str | None = None
    approval_request_id: str | None = None
    error: McpError | None = None

    @property
    def words(self) -> str:
        """What a message says: its texts and transcripts, joined; "" where it has none."""
        return "".join(part.transcript or part.text or "" for part in self.content or ())


# --- responses ------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class StatusError:
    """Why a response failed."""

    type: str | None = None
    code: str | None = None
    message: str | None = None


@attrs.frozen(kw_only=True)
class StatusDetails:
    """How a response ended: ``turn_detected``, ``client_cancelled``, ``max_output_tokens``, ``content_filter``."""

    type: str | None = None
    reason: str | None = None
    error: StatusError | None = None


@attrs.frozen(kw_only=True)
class CachedTokens:
    """Which of the input tokens came from the cache."""

    text_tokens: int | None = None
    audio_tokens: int | None = None
    image_tokens: int | None = None


@attrs.frozen(kw_only=True)
class InputTokens:
    """What a response was asked with; ``cached_tokens`` are part of the others."""

    text_tokens: int | None = None
    audio_tokens: int | None = None
    image_tokens: int | None = None
    cached_tokens: int | None = None
    cached_tokens_details: CachedTokens | None = None


@attrs.frozen(kw_only=True)
class OutputTokens:
    """What a response said."""

    text_tokens: int | None = None
    audio_tokens: int | None = None


@attrs.frozen(kw_only=True)
class ResponseUsage:
    """Tokens of one response; a cancelled one has them too."""

    total_tokens: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    input_token_details: InputTokens | None = None
    output_token_details: OutputTokens | None = None

    def counted(self) -> TokenUsage:
        """Return the tokens by kind, as everything outside this room counts them; absent counts as 0."""
        given = self.input_token_details or InputTokens()
        cached = given.cached_tokens_details or CachedTokens()
        made = self.output_token_details or OutputTokens()
        return TokenUsage(
            text_in=given.text_tokens or 0,
            audio_in=given.audio_tokens or 0,
            cached_text=cached.text_tokens or 0,
            cached_audio=cached.audio_tokens or 0,
            text_out=made.text_tokens or 0,
            audio_out=made.audio_tokens or 0,
        )


@attrs.frozen(kw_only=True)
class Response:
    """A response at its beginning or end; its audio is never in it."""

    id: str
    status: str | None = None
    """``in_progress``, ``completed``, ``cancelled``, ``incomplete`` or ``failed``."""
    status_details: StatusDetails | None = None
    conversation_id: str | None = None
    """None for one that stays outside the conversation."""
    metadata: Mapping[str, str] | None = None
    output: tuple[Item, ...] | None = None
    output_modalities: tuple[str, ...] | None = None
    usage: ResponseUsage | None = None

    @property
    def request_id(self) -> str | None:
        """The id of the ResponseCreate that asked for it; None when the server began by itself."""
        return (self.metadata or {}).get(REQUEST_ID_KEY)


# --- transcription of the user --------------------------------------------------


@attrs.frozen(kw_only=True)
class TranscribedTokenDetails:
    """What was transcribed, by kind."""

    text_tokens: int | None = None
    audio_tokens: int | None = None


@attrs.frozen(kw_only=True)
class TranscribedTokens:
    """Transcription billed by tokens."""

    total_tokens: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    input_token_details: TranscribedTokenDetails | None = None


@attrs.frozen(kw_only=True)
class TranscribedDuration:
    """Transcription billed by the length of the audio."""

    seconds: float | None = None


@attrs.frozen(kw_only=True)
class UnknownUsage:
    """Transcription billed in a way that is not known here."""

    type: str


TranscriptionUsage = TranscribedTokens | TranscribedDuration | UnknownUsage


@attrs.frozen(kw_only=True)
class Language:
    """A language that was heard, as ISO 639-1."""

    code: str
