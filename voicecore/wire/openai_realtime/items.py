"""Conversation items, responses, token usage and transcription usage, as the server sends them.

Rule 1: a field has its wire name and type; one with a default is optional (see
schema.py).
Rule 2: enumerations that may grow (types, statuses, reasons) are strings, so that
a new value is not an error.
Rule 3: audio inside items is dropped: it arrived as deltas, and is megabytes.

Facts: OpenAI Realtime, sections server events, response bookkeeping, usage.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import attrs

from voicecore.events import TokenUsage

REQUEST_ID_KEY: Final = "voicecore_request"
"""The metadata key of a request's id; the server returns it in response.created and response.done."""


# --- items --------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Content:
    """One content part of a message or response: its words, spoken or written.

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
    """One item of the conversation: a message, a tool call or a tool result.

    Which fields are present depends on ``type``; for an unknown type, only
    ``type``, ``id`` and ``status`` are read.
    """

    type: str = ""
    id: str | None = None
    status: str | None = None
    role: str | None = None
    content: tuple[Content, ...] | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = attrs.field(default=None, repr=False)
    """JSON text as the model wrote it; it may be malformed."""
    output: str | None = attrs.field(default=None, repr=False)
    server_label: str | None = None
    approval_request_id: str | None = None
    error: McpError | None = None

    @property
    def words(self) -> str:
        """The texts and transcripts of a message, joined; "" if it has none."""
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
    """Input tokens that came from the cache."""

    text_tokens: int | None = None
    audio_tokens: int | None = None
    image_tokens: int | None = None


@attrs.frozen(kw_only=True)
class InputTokens:
    """Input tokens of a response; ``cached_tokens`` are included in the others."""

    text_tokens: int | None = None
    audio_tokens: int | None = None
    image_tokens: int | None = None
    cached_tokens: int | None = None
    cached_tokens_details: CachedTokens | None = None


@attrs.frozen(kw_only=True)
class OutputTokens:
    """Output tokens of a response."""

    text_tokens: int | None = None
    audio_tokens: int | None = None


@attrs.frozen(kw_only=True)
class ResponseUsage:
    """Token usage of a response, also of a cancelled one."""

    total_tokens: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    input_token_details: InputTokens | None = None
    output_token_details: OutputTokens | None = None

    def counted(self) -> TokenUsage:
        """Return the usage as `TokenUsage`; absent counts are 0."""
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
    """A response at its start or end, without audio."""

    id: str
    status: str | None = None
    """``in_progress``, ``completed``, ``cancelled``, ``incomplete`` or ``failed``."""
    status_details: StatusDetails | None = None
    conversation_id: str | None = None
    """None for an out-of-band response."""
    metadata: Mapping[str, str] | None = None
    output: tuple[Item, ...] | None = None
    output_modalities: tuple[str, ...] | None = None
    usage: ResponseUsage | None = None

    @property
    def request_id(self) -> str | None:
        """The id of the ResponseCreate that requested it; None if the server started it by itself."""
        return (self.metadata or {}).get(REQUEST_ID_KEY)


# --- transcription of the user --------------------------------------------------


@attrs.frozen(kw_only=True)
class TranscribedTokenDetails:
    """Input tokens of a transcription, by kind."""

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
    """Transcription billed in a way that we do not know."""

    type: str


TranscriptionUsage = TranscribedTokens | TranscribedDuration | UnknownUsage


@attrs.frozen(kw_only=True)
class Language:
    """A detected language, as an ISO 639-1 code."""

    code: str
