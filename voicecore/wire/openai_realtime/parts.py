"""The values that a session's configuration is made of, each one JSON object on the wire.

Rule 1: a part is complete: every field that the server would otherwise fill in
is sent, since what a partial object keeps or resets is not documented.
Rule 2: a field that is None is left out of its part.
Rule 3: a part that exists is one that the API allows; anything else is a
`ConfigError` when it is made, naming the dotted path inside the session.

Facts: OpenAI Realtime, sections session object and turn detection.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import attrs

from voicecore.errors import ConfigError
from voicecore.secrets import Secret
from voicecore.wire.openai_realtime import checks

JsonObject = dict[str, object]

_VAD = "audio.input.turn_detection"
_TRANSCRIPTION = "audio.input.transcription"
_NOISE = "audio.input.noise_reduction"


@attrs.frozen
class Part:
    """Base of the values that stand as one object; ``wire_type`` is its ``type``, where it has one."""

    wire_type: ClassVar[str | None] = None

    def to_wire(self) -> JsonObject:
        """Return the object as the API wants it, secrets revealed."""
        tagged: JsonObject = {} if self.wire_type is None else {"type": self.wire_type}
        return tagged | {
            name: plain(value) for name, value in attrs.asdict(self, recurse=False).items() if value is not None
        }


def plain(value: object) -> object:
    """Return a setting as JSON: parts as objects, tuples as lists, secrets revealed."""
    if isinstance(value, Part):
        return value.to_wire()
    if isinstance(value, Secret):
        return value.reveal()
    if isinstance(value, tuple):
        return [plain(each) for each in value]
    if isinstance(value, Mapping):
        return {name: plain(each) for name, each in value.items()}
    return value


# --- what the server hears --------------------------------------------------


@attrs.frozen(kw_only=True)
class ServerVad(Part):
    """Turns end after a stretch of silence."""

    wire_type: ClassVar = "server_vad"

    threshold: float = attrs.field(
        default=0.5, converter=checks.as_float, validator=checks.number(f"{_VAD}.threshold", 0, 1)
    )
    """How sure it must be that it hears speech; 0.6 to 0.7 helps against echo on telephone lines."""
    prefix_padding_ms: int = attrs.field(
        default=300, validator=checks.whole(f"{_VAD}.prefix_padding_ms", 0, checks.WAIT_LIMIT_MS)
    )
    """Audio before the detected speech that belongs to the turn."""
    silence_duration_ms: int = attrs.field(
        default=500, validator=checks.whole(f"{_VAD}.silence_duration_ms", 0, checks.WAIT_LIMIT_MS)
    )
    """Silence that ends a turn."""
    create_response: bool = attrs.field(default=True, validator=checks.flag(f"{_VAD}.create_response"))
    """A finished turn is answered without being asked."""
    interrupt_response: bool = attrs.field(default=True, validator=checks.flag(f"{_VAD}.interrupt_response"))
    """Speech cancels the response that runs."""
    idle_timeout_ms: int | None = attrs.field(
        default=None, validator=checks.optional(checks.whole(f"{_VAD}.idle_timeout_ms", 5_000, 30_000))
    )
    """Silence after playback at which the model speaks up by itself; None: never."""


@attrs.frozen(kw_only=True)
class SemanticVad(Part):
    """Turns end when a model believes that the user has finished."""

    wire_type: ClassVar = "semantic_vad"

    eagerness: Literal["low", "medium", "high", "auto"] = attrs.field(
        default="auto", validator=checks.one_of(f"{_VAD}.eagerness", ("low", "medium", "high", "auto"))
    )
    """How soon the user's turn ends; the longest waits are about 8, 4 and 2 s, auto is medium."""
    create_response: bool = attrs.field(default=True, validator=checks.flag(f"{_VAD}.create_response"))
    """A finished turn is answered without being asked."""
    interrupt_response: bool = attrs.field(default=True, validator=checks.flag(f"{_VAD}.interrupt_response"))
    """Speech cancels the response that runs."""


TurnDetection = ServerVad | SemanticVad


@attrs.frozen(kw_only=True)
class NoiseReduction(Part):
    """A filter before turn detection and model."""

    type: Literal["near_field", "far_field"] = attrs.field(
        validator=checks.one_of(f"{_NOISE}.type", ("near_field", "far_field"))
    )
    """Near: a handset or headset. Far: a speakerphone."""
    strength: float | None = attrs.field(
        default=None, converter=checks.as_float, validator=checks.optional(checks.number(f"{_NOISE}.strength", 0, 1))
    )
    """How strong the filter is; None: the server's own, which begins at 1."""


Delay = Literal["minimal", "low", "medium", "high", "xhigh"]
_WHISPER = "gpt-realtime-whisper"


@attrs.frozen(kw_only=True)
class Transcription(Part):
    """The words of the user, from a model of their own and billed apart."""

    model: str = attrs.field(validator=checks.text(f"{_TRANSCRIPTION}.model"))
    language: str | None = attrs.field(
        default=None, validator=checks.optional(checks.text(f"{_TRANSCRIPTION}.language"))
    )
    """What the user speaks, in ISO 639-1, such as "en"; None: the model finds out."""
    languages: tuple[str, ...] | None = attrs.field(
        default=None,
        validator=checks.optional(
            checks.many(f"{_TRANSCRIPTION}.languages", checks.text(f"{_TRANSCRIPTION}.languages"))
        ),
    )
    """Languages that the user may speak, where it is one of several."""
    keywords: tuple[str, ...] | None = attrs.field(
        default=None,
        validator=checks.optional(checks.many(f"{_TRANSCRIPTION}.keywords", checks.text(f"{_TRANSCRIPTION}.keywords"))),
    )
    """Words to expect: names, products."""
    prompt: str | None = attrs.field(
        default=None, validator=checks.optional(checks.any_text(f"{_TRANSCRIPTION}.prompt"))
    )
    """What the conversation is about; not for gpt-realtime-whisper."""
    delay: Delay | None = attrs.field(
        default=None,
        validator=checks.optional(
            checks.one_of(f"{_TRANSCRIPTION}.delay", ("minimal", "low", "medium", "high", "xhigh"))
        ),
    )
    """How late the text may come; only for gpt-realtime-whisper: later text is better text."""

    def __attrs_post_init__(self) -> None:
        if self.delay is not None and self.model != _WHISPER:
            raise ConfigError(f"{_TRANSCRIPTION}.delay", f"is only known to {_WHISPER}")
        if self.prompt is not None and self.model == _WHISPER:
            raise ConfigError(f"{_TRANSCRIPTION}.prompt", f"is not known to {_WHISPER}")


# --- how it speaks ------------------------------------------------------------


@attrs.frozen
class CustomVoice(Part):
    """A voice of one's own; built-in ones are given by their name."""

    id: str = attrs.field(validator=checks.text("audio.output.voice.id"))


@attrs.frozen(kw_only=True)
class RetentionRatio(Part):
    """Drop more than is needed when the context is full, so that the cache holds longer."""

    wire_type: ClassVar = "retention_ratio"

    retention_ratio: float = attrs.field(
        converter=checks.as_float, validator=checks.number("truncation.retention_ratio", 0, 1)
    )
    """The share of a full context that stays."""
    post_instructions_tokens: int | None = attrs.field(
        default=None,
        validator=checks.optional(checks.whole("truncation.token_limits.post_instructions", 0, 2**31 - 1)),
    )
    """The most that the conversation may hold beside the instructions."""

    def to_wire(self) -> JsonObject:
        """Return the object as the API wants it; the limit lies one level deeper there."""
        wire: JsonObject = {"type": self.wire_type, "retention_ratio": self.retention_ratio}
        if self.post_instructions_tokens is not None:
            wire["token_limits"] = {"post_instructions": self.post_instructions_tokens}
        return wire


def _copied_metadata(given: Mapping[str, object]) -> Mapping[str, object]:
    return checks.json_copy("tracing.metadata", given)


@attrs.frozen(kw_only=True)
class Tracing(Part):
    """How the session is named in the provider's own traces."""

    workflow_name: str | None = attrs.field(
        default=None, validator=checks.optional(checks.text("tracing.workflow_name"))
    )
    group_id: str | None = attrs.field(default=None, validator=checks.optional(checks.text("tracing.group_id")))
    metadata: Mapping[str, object] | None = attrs.field(
        default=None, converter=attrs.converters.optional(_copied_metadata)
    )


@attrs.frozen
class Reasoning(Part):
    """How long a 2.x model thinks before it speaks."""

    effort: Literal["minimal", "low", "medium", "high", "xhigh"] = attrs.field(
        validator=checks.one_of("reasoning.effort", ("minimal", "low", "medium", "high", "xhigh"))
    )
