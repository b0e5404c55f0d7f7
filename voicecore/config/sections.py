"""The sections of a configuration: which options a file has, and where each is defined.

Rule 1: what the engine has too is `derived` from the engine's own class; only what
belongs to files and processes (addresses, paths, accounts) is defined here.
Rule 2: times in a file are whole milliseconds (``*_ms``) or whole seconds
(``*_s``); Python's are seconds.

Level 4.  Read by loader.py; turned into the engine's settings in configured.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

import attrs

from voicecore.carriers.twilio.account import TwilioAccount
from voicecore.config import kinds as own
from voicecore.config.derived import built, derived, setting
from voicecore.engine.agent import Agent
from voicecore.engine.parking.pool import ParkingSettings
from voicecore.engine.settings import CallSettings, DialOptions, HostSettings
from voicecore.errors import ConfigError
from voicecore.kinds import OPTIONAL_WORD, SWITCH, WORD, one_of, optional, whole
from voicecore.secrets import Secret
from voicecore.turns.barge_in.policy import BargeInPolicy
from voicecore.turns.barge_in.strategies import MinSpeech, MinWords
from voicecore.turns.first_message.message import FirstMessagePolicy
from voicecore.turns.idle import IdlePolicy
from voicecore.turns.keypad import KeypadSettings
from voicecore.turns.playout.ledger import PlayoutSettings
from voicecore.turns.recovery import FallbackLines
from voicecore.turns.user_turns import UserTurnSettings

ProviderName = Literal["openai_realtime"]
WebSocketLibrary = Literal["own", "trio-websocket"]
ProtectionUntil = Literal["heard", "first_audio", "off", "auto"]
BargeInAt = Literal["onset", "words", "speech"]
KeypadEnd = Literal["#", "*", "none"]

APOLOGY = attrs.fields_dict(TwilioAccount)["apology"].default
APOLOGY_LIMIT_CHARS = 3000  #: with the longest public URL it fits into the TwiML of a dial: 4,000 characters


@attrs.frozen(kw_only=True)
class ServerSettings:
    """Where calls come in, and what is kept of them."""

    host: str = setting(WORD, "127.0.0.1")
    """The name or address to listen on."""
    port: int = setting(whole(0, 65_535), 8000)
    """0 picks a free port."""
    public_url: str | None = setting(own.PUBLIC_URL, None)
    """How carriers reach this server: https, or http where the host is loopback. Signatures are made over it."""
    max_calls: int = derived(HostSettings, "max_calls")
    data_dir: Path | None = setting(own.PATH, None)
    """Each call is kept in a folder of its own here; none: nothing is kept."""
    record_audio: bool = setting(SWITCH, default=False)
    """Also keep a stereo recording of each call."""
    coalesce_ms: int = setting(whole(0, 180), 0)
    """User audio that is read at once, once the stream is steady; 0: each frame for itself. 60 takes a quarter off a
    call's CPU and costs 20 ms."""
    metrics_port: int | None = setting(optional(whole(0, 65_535)), None)
    """Serve /metrics on a port of its own, and not beside the webhooks; none: beside them, closed to strangers."""
    metrics_host: str | None = setting(OPTIONAL_WORD, None)
    """Where that port listens; none: 127.0.0.1."""
    metrics_token: Secret | None = setting(own.OPTIONAL_SECRET, None)
    """What readers of /metrics must send: `Authorization: Bearer …`. None: see docs/operating.md."""

    def __attrs_post_init__(self) -> None:
        if self.metrics_host is not None and self.metrics_port is None:
            raise ConfigError("ServerSettings.metrics_host", "has no effect unless server.metrics_port is set")
        if self.metrics_port and self.metrics_port == self.port and (self.metrics_host or "127.0.0.1") == self.host:
            problem = f"{self.port} is server.port already; choose another one"
            raise ConfigError("ServerSettings.metrics_port", problem)
        if self.record_audio and self.data_dir is None:
            raise ConfigError("ServerSettings.record_audio", "needs server.data_dir, where recordings are kept")
        if self.public_url is None and not own.is_loopback(self.host):
            raise ConfigError("ServerSettings.public_url", "missing; it is needed where server.host is not loopback")


@attrs.frozen(kw_only=True)
class NetSettings:
    """How sockets are run."""

    websocket: WebSocketLibrary = setting(one_of(get_args(WebSocketLibrary)), "own")
    """The WebSocket implementation: voicecore's own, or the library trio-websocket for networks that dislike ours."""


@attrs.frozen(kw_only=True)
class CallsSettings:
    """Bounds of each call."""

    max_call_s: int = derived(CallSettings, "max_call_s", unit="s")
    open_tries: int = derived(CallSettings, "open_tries")
    buffer_audio_ms: int = derived(CallSettings, "buffer_audio_s")
    reply_ms: int = derived(UserTurnSettings, "reply_s")
    media_wait_ms: int = derived(HostSettings, "token_s")
    status_wait_ms: int = derived(HostSettings, "status_wait_s")


@attrs.frozen(kw_only=True)
class AgentSettings:
    """Who answers."""

    provider: ProviderName = setting(one_of(get_args(ProviderName)), "openai_realtime")
    """Where the model is."""
    instructions: str = derived(Agent, "instructions")
    first_message: str | None = derived(Agent, "first_message")
    first_message_file: Path | None = setting(own.PATH, None)
    """A WAV recording (mono, 16 bit) to play instead of the model's voice; `first_message` holds its words."""
    speaks_first: Literal["agent", "user", "whoever"] = derived(FirstMessagePolicy, "speaks_first")
    protect_first_message: ProtectionUntil = setting(one_of(get_args(ProtectionUntil)), "auto")
    """Until when user speech cannot end it: until it was heard whole, until its first audio was, or not at all.
    "auto": heard whole on calls that we place, first audio on calls that come in."""
    user_audio: Literal["buffer", "drop", "forward"] = derived(FirstMessagePolicy, "user_audio")
    hello_wait_ms: int = derived(FirstMessagePolicy, "hello_s")
    lead_in_ms: int = derived(FirstMessagePolicy, "lead_in_s")
    sorry_text: str | None = derived(FallbackLines, "sorry_text")
    did_not_catch_text: str | None = derived(FallbackLines, "did_not_catch_text")
    waiting_file: Path | None = setting(own.PATH, None)
    """A WAV recording (mono, 16 bit) that is played once to a user who waits for the agent; none: silence."""
    waiting_after_ms: int = derived(Agent, "waiting_after_s")
    prepare_first_message: bool = derived(FirstMessagePolicy, "prepared")
    message_answer_ms: int = derived(FirstMessagePolicy, "first_audio_s")
    message_audio_ms: int = derived(FirstMessagePolicy, "announced_s")
    message_tries: int = derived(FirstMessagePolicy, "tries")

    def __attrs_post_init__(self) -> None:
        if self.first_message_file is not None and self.first_message is None:
            raise ConfigError("AgentSettings.first_message", "missing; a recorded first message needs its words too")
        if self.prepare_first_message and (why := self._why_not_prepared()) is not None:
            raise ConfigError("AgentSettings.prepare_first_message", f"has no effect {why}")

    def _why_not_prepared(self) -> str | None:
        """Return why nothing could be generated while the phone rings."""
        if self.first_message is None:
            return "without agent.first_message"
        if self.first_message_file is not None:
            return "where agent.first_message_file is played"
        return 'while agent.speaks_first is "user"' if self.speaks_first == "user" else None


@attrs.frozen(kw_only=True)
class OutboundSettings:
    """How calls are placed."""

    ring_timeout_s: int = derived(DialOptions, "ring_timeout_s")
    machine_detection: Literal["off", "async", "sync"] = derived(DialOptions, "detection")
    on_voicemail: Literal["hang_up", "leave_message", "go_on"] = derived(DialOptions, "on_voicemail")
    voicemail_message: str | None = derived(DialOptions, "voicemail_message")
    queue_s: int = derived(DialOptions, "queue_s", unit="s")
    media_ms: int = derived(DialOptions, "media_s")

    def __attrs_post_init__(self) -> None:
        built(self, DialOptions)


@attrs.frozen(kw_only=True)
class ParkingLotSettings:
    """Sessions that are opened before pick-up."""

    enabled: bool = derived(ParkingSettings, "enabled")
    max_sessions: int = derived(ParkingSettings, "max_sessions")
    when_full: Literal["oldest_gives_way", "newest_goes_cold"] = derived(ParkingSettings, "when_full")
    prepared_limit_ms: int = derived(ParkingSettings, "prepared_limit_s")


@attrs.frozen(kw_only=True)
class TwilioSettings:
    """The account that calls come through."""

    account_sid: str = setting(own.ACCOUNT_SID)
    """The account's id."""
    auth_token: Secret = setting(own.SECRET)
    """Signs webhooks and authenticates REST requests."""
    phone_number: str | None = setting(own.PHONE_NUMBER, None)
    """Our own number in E.164 form, which calls are placed from; none: no calls are placed."""
    api_base_url: str = setting(own.HTTP_URL, attrs.fields_dict(TwilioAccount)["api_base_url"].default)
    """Where REST requests go."""
    verify_signatures: bool = setting(SWITCH, attrs.fields_dict(TwilioAccount)["verify_signatures"].default)
    """False lets anybody who finds the port start calls."""
    apology: str | None = setting(own.spoken(APOLOGY_LIMIT_CHARS), APOLOGY)
    """What the carrier says when our side ends a call because it cannot go on; "" for nothing."""


@attrs.frozen(kw_only=True)
class BargeInSettings:
    """When the user's speech stops the agent."""

    stops_at: BargeInAt = setting(one_of(get_args(BargeInAt)), "onset")
    """The onset of speech; a number of words; or a length of speech. Other than "onset", the engine takes the turns
    itself."""
    min_words: int = derived(MinWords, "count")
    min_speech_ms: int = derived(MinSpeech, "seconds")
    confirm_ms: int = derived(BargeInPolicy, "confirm_s")
    backchannels_pass: bool = setting(SWITCH, default=False)
    """Let the agent talk on over "mm-hm", "yes" and the like; needs words or speech."""
    acoustic_echo: Literal["cancelled", "present"] = derived(BargeInPolicy, "acoustic_echo")
    guard_ms: int = derived(BargeInPolicy, "guard_s")
    echo_guard_ms: int = derived(BargeInPolicy, "echo_guard_s")
    history: Literal["heard", "full", "none"] = derived(BargeInPolicy, "after_cut")
    keys_stop_agent: bool = derived(BargeInPolicy, "keys_stop_agent")

    def __attrs_post_init__(self) -> None:
        if self.backchannels_pass and self.stops_at == "onset":
            problem = 'has no effect while barge_in.stops_at is "onset"'
            raise ConfigError("BargeInSettings.backchannels_pass", problem)


@attrs.frozen(kw_only=True)
class IdleSettings:
    """What happens when nobody speaks."""

    after_ms: int = derived(IdlePolicy, "after_s", kind=whole(0, 600_000), default=0)
    """Silence on both sides before the agent asks; 0: it never does, which is `Agent.idle = None` in Python."""
    prompts: int = derived(IdlePolicy, "prompts")
    text: str = derived(IdlePolicy, "text")
    then: Literal["hang_up", "stay"] = derived(IdlePolicy, "then")


@attrs.frozen(kw_only=True)
class KeypadEntrySettings:
    """How the keys of the telephone become one entry."""

    pause_ms: int = derived(KeypadSettings, "pause_s")
    terminator: KeypadEnd = derived(KeypadSettings, "terminator", kind=one_of(get_args(KeypadEnd)), none="none")
    most_keys: int = derived(KeypadSettings, "most_keys")


@attrs.frozen(kw_only=True)
class PlayoutPaceSettings:
    """How far speech runs ahead of the user's ear."""

    lead_ms: int = derived(PlayoutSettings, "lead_s")
    lead_limit_ms: int = derived(PlayoutSettings, "lead_limit_s")
    piece_ms: int = derived(PlayoutSettings, "piece_s")

    def __attrs_post_init__(self) -> None:
        built(self, PlayoutSettings)
