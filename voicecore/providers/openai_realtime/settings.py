"""Settings of OpenAI Realtime: model, voice, turn detection; the provider that calls use.

Rule 1: one function builds a session's configuration, so that sessions with the
same settings cannot differ.
Rule 2: the leg's format is requested in both directions if the provider supports it,
so that audio passes through unconverted; the effective format decides.

Public as `voicecore.OpenAIRealtime`; assembly.py creates it from the configuration file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Literal, TypeVar
from urllib.parse import quote

import attrs

from voicecore import kinds
from voicecore.audio.formats import PCM16_24K, PCMA_8K, PCMU_8K, AudioFormat
from voicecore.errors import ConfigError
from voicecore.events import Lockout
from voicecore.ports import Brief, Session
from voicecore.providers.openai_realtime.opening import OpenLimits, SessionPlan, open_session
from voicecore.secrets import Secret
from voicecore.wire.openai_realtime import (
    UNSET,
    CustomVoice,
    NoiseReduction,
    Reasoning,
    RetentionRatio,
    SemanticVad,
    ServerVad,
    SessionConfig,
    Tracing,
    Transcription,
    TurnDetection,
    Unset,
)
from voicecore.world import World

API_KEY_VARIABLE = "OPENAI_API_KEY"
BASE_URL_VARIABLE = "OPENAI_BASE_URL"
DEFAULT_BASE_URL = "wss://api.openai.com/v1"
T = TypeVar("T")


def _as_secret(value: str | Secret | None) -> Secret | None:
    """Return a text as a secret; leave the rest for the check to refuse."""
    return Secret(value) if isinstance(value, str) and value else value  # type: ignore[return-value]


_VOICE = kinds.either(kinds.WORD, kinds.instance(CustomVoice))
_TRUNCATION = kinds.optional(kinds.either(kinds.one_of(("auto", "disabled")), kinds.instance(RetentionRatio)))
_TRACING = kinds.optional(kinds.either(kinds.one_of(("auto",)), kinds.instance(Tracing)))
_SPOKEN = frozenset({PCMU_8K, PCMA_8K, PCM16_24K})


@attrs.frozen(kw_only=True)
class OpenAIRealtime:
    """Settings of a session with OpenAI Realtime; a `voicecore.ports.Provider`.

    Facts: OpenAI Realtime, sections session object and turn detection.
    """

    api_key: Secret | None = attrs.field(
        default=None, converter=_as_secret, validator=kinds.optional(kinds.instance(Secret))
    )
    """None: taken from OPENAI_API_KEY when a session is opened."""
    base_url: str | None = attrs.field(default=None, validator=kinds.OPTIONAL_WORD)
    """ws(s) or http(s), ``/realtime`` is added; None: OPENAI_BASE_URL, or OpenAI's own."""
    model: str = attrs.field(default="gpt-realtime-2.1", validator=kinds.WORD)
    """The model that listens and speaks."""
    voice: str | CustomVoice = attrs.field(default="marin", validator=_VOICE)
    """One of the provider's voices by its name, or a voice of your own."""
    speed: float = attrs.field(default=1.0, validator=kinds.number(0.25, 1.5))
    """How fast it speaks; 1 is its usual speed."""
    turn_detection: TurnDetection | None = attrs.field(
        factory=ServerVad, validator=kinds.optional(kinds.instance(ServerVad, SemanticVad))
    )
    """None: turns are committed and answered by hand; a call needs one that detects."""
    transcription: Transcription | None = attrs.field(
        factory=lambda: Transcription(model="gpt-realtime-whisper"),
        validator=kinds.optional(kinds.instance(Transcription)),
    )
    """How the user's words are written down, billed apart; None: they are not."""
    noise_reduction: NoiseReduction | None = attrs.field(
        factory=lambda: NoiseReduction(type="near_field"), validator=kinds.optional(kinds.instance(NoiseReduction))
    )
    """A filter before turn detection and model; None: off."""
    reasoning: Reasoning | None = attrs.field(default=None, validator=kinds.optional(kinds.instance(Reasoning)))
    """How long a 2.x model thinks before it speaks; None: the model's own."""
    max_output_tokens: int | None = attrs.field(default=None, validator=kinds.optional(kinds.whole(1, 4096)))
    """Tokens of one response at most, tool calls included; None: as many as the model has."""
    truncation: Literal["auto", "disabled"] | RetentionRatio | None = attrs.field(default=None, validator=_TRUNCATION)
    """What happens when the context is full; None: the provider's own, "auto"."""
    tracing: Literal["auto"] | Tracing | None = attrs.field(default=None, validator=_TRACING)
    """The provider's trace of the session; None: it keeps none."""
    modality: Literal["audio", "text"] = attrs.field(default="audio", validator=kinds.one_of(("audio", "text")))
    """What the session answers with; a call needs audio."""
    audio_format: AudioFormat | None = attrs.field(default=None, validator=kinds.optional(kinds.instance(AudioFormat)))
    """What to ask for in place of the leg's format; None: the leg's, so that audio can pass through."""
    limits: OpenLimits = attrs.field(factory=OpenLimits, validator=kinds.instance(OpenLimits))
    """Bounds of opening a session."""

    @property
    def name(self) -> str:
        return "openai_realtime"

    def filled_from(self, environ: Mapping[str, str]) -> OpenAIRealtime:
        """Return these settings, with missing ones taken from the environment."""
        key, url = self.api_key, self.base_url
        return attrs.evolve(
            self,
            api_key=key or (Secret(environ[API_KEY_VARIABLE]) if environ.get(API_KEY_VARIABLE) else None),
            base_url=url or environ.get(BASE_URL_VARIABLE) or None,
        )

    def session_config(self, brief: Brief) -> SessionConfig:
        """Return the configuration of a session; no other code builds one."""
        audio_format = _supported(self.audio_format or brief.audio_format)
        return SessionConfig(
            input_format=audio_format,
            output_format=audio_format,
            turn_detection=_locked(self._detection(brief), brief.lockout),
            instructions=brief.instructions or UNSET,
            output_modality=self.modality,
            noise_reduction=self.noise_reduction,
            transcription=self.transcription,
            voice=self.voice,
            speed=self.speed,
            reasoning=_or_unset(self.reasoning),
            max_output_tokens=_or_unset(self.max_output_tokens),
            truncation=_or_unset(self.truncation),
            tracing=_or_unset(self.tracing),
        )

    def _detection(self, brief: Brief) -> TurnDetection | None:
        """Return the turn detection for after the first message."""
        return _without_replies(self.turn_detection) if brief.engine_takes_turns else self.turn_detection

    def fingerprint(self, brief: Brief) -> str:
        """See `voicecore.ports.Provider`: a hash of URL, key and canonical configuration."""
        key = hashlib.sha256(self.api_key.reveal().encode()).hexdigest() if self.api_key else ""
        whole = "\n".join((self.url(), key, self.session_config(brief).canonical_json()))
        return hashlib.sha256(whole.encode()).hexdigest()

    def url(self) -> str:
        """Return the URL of the session; it contains no secret."""
        base = (self.base_url or DEFAULT_BASE_URL).rstrip("/")
        return f"{base}/realtime?model={quote(self.model, safe='')}"

    def open_session(self, world: World, brief: Brief) -> AbstractAsyncContextManager[Session]:
        """See `voicecore.ports.Provider`.

        Raises:
            ConfigError: There is no API key, in the settings or the environment.
        """
        if self.api_key is None:
            raise ConfigError(
                "providers.openai_realtime.api_key", f"missing; set it, or the environment variable {API_KEY_VARIABLE}"
            )
        plan = SessionPlan(
            url=self.url(),
            api_key=self.api_key,
            config=self.session_config(brief),
            turn_detection=self._detection(brief),
            lockout=brief.lockout,
        )
        return open_session(world, plan, self.limits)


def _or_unset(value: T | None) -> T | Unset:
    """Return a value to mention; None is not mentioned, and the provider's own holds."""
    return UNSET if value is None else value


def _locked(detection: TurnDetection | None, lockout: Lockout) -> TurnDetection | None:
    """Return turn detection under a lockout."""
    if detection is None or lockout is Lockout.DETECTION_OFF:
        return None
    return detection if lockout is Lockout.NONE else _without_replies(detection)


def _without_replies(detection: TurnDetection | None) -> TurnDetection | None:
    """Return turn detection that detects and commits turns, but neither replies nor interrupts."""
    if isinstance(detection, ServerVad):  # an idle prompt would be a reply too
        return attrs.evolve(detection, create_response=False, interrupt_response=False, idle_timeout_ms=None)
    return detection and attrs.evolve(detection, create_response=False, interrupt_response=False)


def _supported(wanted: AudioFormat) -> AudioFormat:
    """Return the format to request: the wanted one, or PCM16 at 24 kHz if that is not supported."""
    return wanted if wanted in _SPOKEN else PCM16_24K
