"""The section of OpenAI Realtime: every setting of a session that a call can have.

Level 4.  Turned into the provider in configured.py.
"""

from __future__ import annotations

from typing import Literal, NoReturn, get_args

import attrs

from voicecore.config import kinds as own
from voicecore.config.derived import derived, setting
from voicecore.errors import ConfigError
from voicecore.kinds import TEXT, WORD, many, one_of, optional
from voicecore.providers.openai_realtime.settings import DEFAULT_BASE_URL, OpenAIRealtime
from voicecore.secrets import Secret
from voicecore.wire.openai_realtime import (
    NoiseReduction,
    Reasoning,
    RetentionRatio,
    SemanticVad,
    ServerVad,
    Transcription,
)

Detection = Literal["server_vad", "semantic_vad"]
Eagerness = Literal["low", "medium", "high", "auto"]
Noise = Literal["near_field", "far_field", "off"]
SessionAudio = Literal["carrier", "pcm"]
Effort = Literal["minimal", "low", "medium", "high", "xhigh"]
Delay = Literal["minimal", "low", "medium", "high", "xhigh"]
TruncationRule = Literal["auto", "disabled", "retention_ratio"]
Switched = Literal["off", "auto"]
_WORDS = many(WORD)
_OF_TRANSCRIPTION = (
    "language",
    "transcription_languages",
    "transcription_keywords",
    "transcription_prompt",
    "transcription_delay",
)


@attrs.frozen(kw_only=True)
class OpenAIRealtimeSettings:
    """The model that listens and speaks. Ranges and names are those of OpenAI Realtime's session object."""

    api_key: Secret = setting(own.SECRET)
    """The key that sessions are opened with."""
    base_url: str = setting(own.WEBSOCKET_URL, DEFAULT_BASE_URL)
    """ws(s) or http(s); the provider adds `/realtime?model=…`."""
    model: str = derived(OpenAIRealtime, "model")
    voice: str = derived(OpenAIRealtime, "voice", kind=WORD)
    """One of the provider's voices by its name, or the id of a voice of your own (`voice_…`)."""
    speed: float = derived(OpenAIRealtime, "speed")
    audio: SessionAudio = setting(one_of(get_args(SessionAudio)), "carrier")
    """The session's audio: the carrier's own format, passed through, or PCM16 at 24 kHz, converted both ways."""
    turn_detection: Detection = setting(one_of(get_args(Detection)), "server_vad")
    """What notices that the user has finished; a call needs one."""
    vad_threshold: float = derived(ServerVad, "threshold")
    prefix_padding_ms: int = derived(ServerVad, "prefix_padding_ms")
    silence_duration_ms: int = derived(ServerVad, "silence_duration_ms")
    idle_timeout_ms: int | None = derived(ServerVad, "idle_timeout_ms")
    eagerness: Eagerness = derived(SemanticVad, "eagerness")
    noise_reduction: Noise = setting(one_of(get_args(Noise)), "near_field")
    """A filter before turn detection and model: for a handset or headset, for a speakerphone, or none."""
    noise_reduction_strength: float | None = derived(NoiseReduction, "strength")
    transcription_model: str | None = derived(
        Transcription, "model", kind=optional(WORD), default="gpt-realtime-whisper"
    )
    """What writes down the user's words, billed apart; "": they are not written down."""
    language: str | None = derived(Transcription, "language", kind=optional(WORD))
    transcription_languages: tuple[str, ...] | None = derived(Transcription, "languages", kind=optional(_WORDS))
    transcription_keywords: tuple[str, ...] | None = derived(Transcription, "keywords", kind=optional(many(TEXT)))
    transcription_prompt: str | None = derived(Transcription, "prompt", kind=optional(TEXT))
    transcription_delay: Delay | None = derived(Transcription, "delay")
    reasoning_effort: Effort | None = derived(
        Reasoning, "effort", kind=optional(one_of(get_args(Effort))), default=None
    )
    """How long a 2.x model thinks before it speaks; none: the model's own."""
    max_output_tokens: int | None = derived(OpenAIRealtime, "max_output_tokens")
    truncation: TruncationRule | None = setting(optional(one_of(get_args(TruncationRule))), None)
    """What happens when the context is full: the model drops what it has to ("auto"), responses fail ("disabled"), or
    it drops more at once so that its cache serves longer ("retention_ratio"); none: the provider's own, "auto"."""
    retention_ratio: float = derived(RetentionRatio, "retention_ratio", default=0.8)
    post_instructions_tokens: int | None = derived(RetentionRatio, "post_instructions_tokens")
    tracing: Switched = setting(one_of(get_args(Switched)), "off")
    """Whether the provider keeps a trace of the session; cannot be turned off again during a call."""

    def __attrs_post_init__(self) -> None:
        if self.noise_reduction == "off" and self.noise_reduction_strength is not None:
            self._refuse("noise_reduction_strength", 'has no effect while noise_reduction is "off"')
        if self.transcription_model is None:
            for name in _OF_TRANSCRIPTION:
                if attrs.asdict(self, recurse=False)[name] is not None:
                    self._refuse(name, "has no effect without transcription_model")
            return
        try:
            self.transcription()
        except ConfigError as error:  # a rule between the model and what it knows
            name = "transcription_" + error.key.rpartition(".")[2]
            self._refuse(name, error.problem)

    @staticmethod
    def _refuse(name: str, problem: str) -> NoReturn:
        raise ConfigError(f"OpenAIRealtimeSettings.{name}", problem)

    def transcription(self) -> Transcription | None:
        """Return how the user's words are written down."""
        if self.transcription_model is None:
            return None
        return Transcription(
            model=self.transcription_model,
            language=self.language,
            languages=self.transcription_languages,
            keywords=self.transcription_keywords,
            prompt=self.transcription_prompt,
            delay=self.transcription_delay,
        )
