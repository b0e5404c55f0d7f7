"""The requested session configuration, from which every `session.update` is built.

Rule 1: a field that is `UNSET` is left out; None is sent as null. Updates are
merged deeply, so a null that a serialiser dropped would leave turn detection on.
Rule 2: turn detection and both formats are always sent: turn detection is on by
default, and the documentation disagrees about its kind.
Rule 3: two configurations are equal exactly if their fingerprints are. A call
compares fingerprints before it adopts a parked session.

Facts: OpenAI Realtime, sections session object and session.update rules.
"""

from __future__ import annotations

import hashlib
from typing import Literal

import attrs
import orjson

from voicecore.audio.formats import AudioFormat
from voicecore.errors import ConfigError
from voicecore.wire.openai_realtime import checks
from voicecore.wire.openai_realtime.checks import UNSET, Unset
from voicecore.wire.openai_realtime.formats import SPOKEN_FORMATS, format_to_wire
from voicecore.wire.openai_realtime.parts import (
    CustomVoice,
    JsonObject,
    NoiseReduction,
    Reasoning,
    RetentionRatio,
    SemanticVad,
    ServerVad,
    Tracing,
    Transcription,
    TurnDetection,
    plain,
)
from voicecore.wire.openai_realtime.tools import TOOL_CHOICE, FunctionTool, McpTool, Tool, ToolChoice, tool_key

OutputModality = Literal["audio", "text"]
Inclusion = Literal["item.input_audio_transcription.logprobs"]


def _spoken(path: str) -> checks.Check:
    def check(_instance: object, _attribute: object, value: object) -> None:
        if value not in SPOKEN_FORMATS:
            raise ConfigError(path, f"must be one of {', '.join(sorted(map(str, SPOKEN_FORMATS)))}")

    return check


def _unique_tools(_instance: object, _attribute: object, tools: tuple[Tool, ...]) -> None:
    keys = [tool_key(tool) for tool in tools]
    if len(keys) != len(set(keys)):
        raise ConfigError("tools", "must not name a tool twice")


@attrs.frozen(kw_only=True)
class SessionConfig:
    """The whole configuration of a realtime session.

    Raises:
        ConfigError: A value that the API does not allow; ``key`` is its dotted
            path inside the session object.
    """

    input_format: AudioFormat = attrs.field(validator=_spoken("audio.input.format"))
    """The format of the audio that we send."""
    output_format: AudioFormat = attrs.field(validator=_spoken("audio.output.format"))
    """The format of the agent's audio."""
    turn_detection: TurnDetection | None = attrs.field(
        validator=checks.optional(checks.kind("audio.input.turn_detection", ServerVad, SemanticVad))
    )
    """None: off, sent as null; turns are then committed and responses requested explicitly."""
    model: str | Unset = attrs.field(default=UNSET, validator=checks.if_set(checks.text("model")))
    """Set by the URL of the connection; cannot change later."""
    instructions: str | Unset = attrs.field(
        default=UNSET, repr=False, validator=checks.if_set(checks.any_text("instructions"))
    )
    """The server has default instructions; "" clears them."""
    output_modality: OutputModality | Unset = attrs.field(
        default=UNSET, validator=checks.if_set(checks.one_of("output_modalities", ("audio", "text")))
    )
    """Never both; audio always comes with a transcript."""
    noise_reduction: NoiseReduction | Unset | None = attrs.field(
        default=UNSET,
        validator=checks.if_set(checks.optional(checks.kind("audio.input.noise_reduction", NoiseReduction))),
    )
    transcription: Transcription | Unset | None = attrs.field(
        default=UNSET, validator=checks.if_set(checks.optional(checks.kind("audio.input.transcription", Transcription)))
    )
    voice: str | CustomVoice | Unset = attrs.field(
        default=UNSET,
        validator=checks.if_set(
            checks.either(checks.kind("audio.output.voice", CustomVoice), checks.text("audio.output.voice"))
        ),
    )
    """Fixed after the first audio; an update with another voice is refused as a whole."""
    speed: float | Unset = attrs.field(
        default=UNSET,
        converter=checks.as_float,
        validator=checks.if_set(checks.number("audio.output.speed", 0.25, 1.5)),
    )
    tools: tuple[Tool, ...] | Unset = attrs.field(
        default=UNSET,
        validator=checks.if_set(
            attrs.validators.and_(checks.many("tools", checks.kind("tools", FunctionTool, McpTool)), _unique_tools)
        ),
    )
    tool_choice: ToolChoice | Unset = attrs.field(default=UNSET, validator=checks.if_set(TOOL_CHOICE))
    parallel_tool_calls: bool | Unset = attrs.field(
        default=UNSET, validator=checks.if_set(checks.flag("parallel_tool_calls"))
    )
    """Reasoning models only."""
    reasoning: Reasoning | Unset = attrs.field(
        default=UNSET, validator=checks.if_set(checks.kind("reasoning", Reasoning))
    )
    """2.x models only."""
    max_output_tokens: int | Literal["inf"] | Unset = attrs.field(
        default=UNSET,
        validator=checks.if_set(
            checks.either(checks.one_of("max_output_tokens", ("inf",)), checks.whole("max_output_tokens", 1, 4096))
        ),
    )
    """Limit of one response, tool calls included; "inf": the model's maximum."""
    truncation: Literal["auto", "disabled"] | RetentionRatio | Unset = attrs.field(
        default=UNSET,
        validator=checks.if_set(
            checks.either(checks.kind("truncation", RetentionRatio), checks.one_of("truncation", ("auto", "disabled")))
        ),
    )
    tracing: Literal["auto"] | Tracing | Unset | None = attrs.field(
        default=UNSET,
        validator=checks.if_set(
            checks.optional(checks.either(checks.kind("tracing", Tracing), checks.one_of("tracing", ("auto",))))
        ),
    )
    """Cannot be changed once it is on."""
    include: tuple[Inclusion, ...] | Unset | None = attrs.field(
        default=UNSET,
        validator=checks.if_set(
            checks.optional(
                checks.many("include", checks.one_of("include", ("item.input_audio_transcription.logprobs",)))
            )
        ),
    )

    def to_wire(self) -> JsonObject:
        """Return the ``session`` of a `session.update`, explicit nulls included.

        It contains the secrets of tools: send it, and use it for nothing else.
        """
        modality = self.output_modality
        return _set_only(
            type="realtime",
            model=self.model,
            instructions=self.instructions,
            output_modalities=UNSET if isinstance(modality, Unset) else (modality,),
            audio={"input": self._input(), "output": self._output()},
            tools=self.tools,
            tool_choice=self.tool_choice,
            parallel_tool_calls=self.parallel_tool_calls,
            reasoning=self.reasoning,
            max_output_tokens=self.max_output_tokens,
            truncation=self.truncation,
            tracing=self.tracing,
            include=self.include,
        )

    def canonical_json(self) -> str:
        """Return `to_wire` as JSON with sorted keys, so that equal configurations give equal text."""
        return orjson.dumps(self.to_wire(), option=orjson.OPT_SORT_KEYS).decode()

    def fingerprint(self) -> str:
        """Return the SHA-256 of `canonical_json` in hex; it is safe to store and log."""
        return hashlib.sha256(self.canonical_json().encode()).hexdigest()

    def _input(self) -> JsonObject:
        return _set_only(
            format=format_to_wire(self.input_format),
            noise_reduction=self.noise_reduction,
            transcription=self.transcription,
            turn_detection=self.turn_detection,
        )

    def _output(self) -> JsonObject:
        return _set_only(format=format_to_wire(self.output_format), voice=self.voice, speed=self.speed)


def _set_only(**fields: object) -> JsonObject:
    """Return the fields that are set, as JSON; None becomes null."""
    return {name: plain(value) for name, value in fields.items() if value is not UNSET}
