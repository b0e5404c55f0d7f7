"""Parts of a session configuration: turn detection, transcription, noise reduction, voice, reasoning.

Rule 1: a part is sent complete, because it is not documented which fields a partial
object resets.
Rule 2: a field that is None is left out.
Rule 3: an invalid part cannot be created: it raises `ConfigError` with the dotted
path in the session object.

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
    """Base of configuration values that are one JSON object; ``wire_type`` is its ``type``, if it has one."""

    wire_type: ClassVar[str | None] = None

    def to_wire(self) -> JsonObject:
        """Return the JSON object, secrets revealed."""
        tagged: JsonObject = {} if self.wire_type is None else {"type": self.wire_type}
        return tagged | {
            name: plain(value) for name, value in attrs.asdict(self, recurse=False).items() if value is not None
        }


def plain(value: object) -> object:
    """Return a value as JSON: parts as objects, tuples as lists, secrets revealed."""
    if isinstance(value, Part):
        return value.to_wire()
    if isinstance(value, Secret):
        return value.reveal()
    if isinstance(value, tuple):
        return [plain(each) for each in value]
    if isinstance(value, Mapping):
        return {name: plain(each) for name, each in value.items()}
    return value


# --- input --------------------------------------------------


@attrs.frozen(kw_only=True)
class ServerVad(Part):
    """Turn detection by silence."""

    wire_type: ClassVar = "server_vad"

    threshold: float = attrs.field(
        default=0.5, converter=checks.as_float, validator=checks.number(f"{_VAD}.threshold", 0, 1)
    )
    """Threshold of the speech probability; 0.6 to 0.7 helps against acoustic echo on telephone lines."""
    prefix_padding_ms: int = attrs.field(
        default=300, validator=checks.whole(f"{_VAD}.prefix_padding_ms", 0, checks.WAIT_LIMIT_MS)
    )
    """Audio before the detected onset that is included in the turn."""
    silence_duration_ms: int = attrs.field(
        default=500, validator=checks.whole(f"{_VAD}.silence_duration_ms", 0, checks.WAIT_LIMIT_MS)
    )
    """Silence that ends a turn."""
    create_response: bool = attrs.field(default=True, validator=checks.flag(f"{_VAD}.create_response"))
    """Whether a finished turn is answered without a request."""
    interrupt_response: bool = attrs.field(default=True, validator=checks.flag(f"{_VAD}.interrupt_response"))
    """Whether speech cancels the active response."""
    idle_timeout_ms: int | None = attrs.field(
        default=None, validator=checks.optional(checks.whole(f"{_VAD}.idle_timeout_ms", 5_000, 30_000))
    )
    """Silence after which the model speaks by itself; None: never."""


@attrs.frozen(kw_only=True)
class SemanticVad(Part):
    """Turn detection by a model that judges whether the user has finished."""

    wire_type: ClassVar = "semantic_vad"

    eagerness: Literal["low", "medium", "high", "auto"] = attrs.field(
        default="auto", validator=checks.one_of(f"{_VAD}.eagerness", ("low", "medium", "high", "auto"))
    )
    """How soon the user's turn ends; the longest waits are about 8, 4 and 2 s, auto is medium."""
    create_response: bool = attrs.field(default=True, validator=checks.flag(f"{_VAD}.create_response"))
    """Whether a finished turn is answered without a request."""
    interrupt_response: bool = attrs.field(default=True, validator=checks.flag(f"{_VAD}.interrupt_response"))
    """Whether speech cancels the active response."""


TurnDetection = ServerVad | SemanticVad


@attrs.frozen(kw_only=True)
class NoiseReduction(Part):
    """Noise reduction before turn detection and model."""

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
    """Transcription of the user's speech, by a separate model and billed separately."""

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
    """Words to expect, such as names and products."""
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
            raise ConfigError(f"{_TRANSCRIPTION}.delay", f"is supported by {_WHISPER} only")
        if self.prompt is not None and self.model == _WHISPER:
            raise ConfigError(f"{_TRANSCRIPTION}.prompt", f"is not supported by {_WHISPER}")


# --- output ------------------------------------------------------------


@attrs.frozen
class CustomVoice(Part):
    """A custom voice; a built-in voice is given by name."""

    id: str = attrs.field(validator=checks.text("audio.output.voice.id"))


@attrs.frozen(kw_only=True)
class RetentionRatio(Part):
    """Truncates more than necessary when the context is full, so that the cache stays valid longer."""

    wire_type: ClassVar = "retention_ratio"

    retention_ratio: float = attrs.field(
        converter=checks.as_float, validator=checks.number("truncation.retention_ratio", 0, 1)
    )
    """The share of a full context that stays."""
    post_instructions_tokens: int | None = attrs.field(
        default=None,
        validator=checks.optional(checks.whole("truncation.token_limits.post_instructions", 0, 2**31 - 1)),
    )
    """Limit of the conversation, without the instructions."""

    def to_wire(self) -> JsonObject:
        """Return the JSON object, in which the limit is nested one level deeper."""
        wire: JsonObject = {"type": self.wire_type, "retention_ratio": self.retention_ratio}
        if self.post_instructions_tokens is not None:
            wire["token_limits"] = {"post_instructions": self.post_instructions_tokens}
        return wire


def _copied_metadata(given: Mapping[str, object]) -> Mapping[str, object]:
    return checks.json_copy("tracing.metadata", given)


@attrs.frozen(kw_only=True)
class Tracing(Part):
    """The session's names in the provider's traces."""

    workflow_name: str | None = attrs.field(
        default=None, validator=checks.optional(checks.text("tracing.workflow_name"))
    )
    group_id: str | None = attrs.field(default=None, validator=checks.optional(checks.text("tracing.group_id")))
    metadata: Mapping[str, object] | None = attrs.field(
        default=None, converter=attrs.converters.optional(_copied_metadata)
    )


@attrs.frozen
class Reasoning(Part):
    """The reasoning effort of a 2.x model."""

    effort: Literal["minimal", "low", "medium", "high", "xhigh"] = attrs.field(
        validator=checks.one_of("reasoning.effort", ("minimal", "low", "medium", "high", "xhigh"))
    )
