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
from typing import Literal
from urllib.parse import quote

import attrs

from voicecore.audio.formats import PCM16_24K, PCMA_8K, PCMU_8K, AudioFormat
from voicecore.errors import ConfigError
from voicecore.events import Lockout
from voicecore.ports import Brief, Session
from voicecore.providers.openai_realtime.opening import OpenLimits, SessionPlan, open_session
from voicecore.secrets import Secret
from voicecore.wire.openai_realtime import (
    UNSET,
    NoiseReduction,
    ServerVad,
    SessionConfig,
    Transcription,
    TurnDetection,
)
from voicecore.world import World

API_KEY_VARIABLE = "OPENAI_API_KEY"
BASE_URL_VARIABLE = "OPENAI_BASE_URL"
DEFAULT_BASE_URL = "wss://api.openai.com/v1"
_SUPPORTED = frozenset({PCMU_8K, PCMA_8K, PCM16_24K})


@attrs.frozen(kw_only=True)
class OpenAIRealtime:
    """Settings of a session with OpenAI Realtime; a `voicecore.ports.Provider`.

    Facts: OpenAI Realtime, sections session object and turn detection.
    """

    api_key: Secret | None = attrs.field(default=None, converter=attrs.converters.optional(Secret))
    """None: OPENAI_API_KEY."""
    base_url: str | None = None
    """A ws(s) or http(s) URL to which ``/realtime`` is added; None: OPENAI_BASE_URL, or OpenAI's own."""
    model: str = "gpt-realtime-2.1"
    voice: str = "marin"
    speed: float = 1.0
    turn_detection: TurnDetection | None = attrs.field(factory=ServerVad)
    """None: turns are committed and responses requested by the program; calls need turn detection."""
    transcription: Transcription | None = attrs.field(factory=lambda: Transcription(model="gpt-realtime-whisper"))
    """Transcription of the user, billed separately; None: off."""
    noise_reduction: NoiseReduction | None = None
    modality: Literal["audio", "text"] = "audio"
    audio_format: AudioFormat | None = None
    """The format to request; None: the leg's format, so that audio passes through."""
    limits: OpenLimits = attrs.field(factory=OpenLimits)

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
    return wanted if wanted in _SUPPORTED else PCM16_24K
