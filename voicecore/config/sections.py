"""The sections of a configuration: what may be set, within which bounds, and what it means.

Rule 1: a field's validator is its kind; a rule about two fields stands in the section.
Rule 2: times in a file are whole milliseconds (``*_ms``); the engine's are seconds.

Level 4.  Read by loader.py; turned into the engine's own settings in assembly.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

import attrs

from voicecore.config import kinds
from voicecore.errors import ConfigError
from voicecore.secrets import Secret

ProviderName = Literal["openai_realtime"]
TurnDetection = Literal["server_vad", "semantic_vad"]
Eagerness = Literal["low", "medium", "high", "auto"]
NoiseReduction = Literal["near_field", "far_field", "off"]
SessionAudio = Literal["carrier", "pcm"]
Speaker = Literal["agent", "user", "whoever"]
ProtectionUntil = Literal["heard", "first_audio", "off", "auto"]
UserAudio = Literal["buffer", "drop", "forward"]
MachineDetectionWhen = Literal["off", "async", "sync"]
MachineAction = Literal["hang_up", "leave_message", "go_on"]
ParkingWhenFull = Literal["oldest_gives_way", "newest_goes_cold"]
BargeInAt = Literal["onset", "words", "speech"]
LineEchoIs = Literal["cancelled", "present"]
HistoryKeeps = Literal["heard", "full", "none"]
AfterPrompts = Literal["hang_up", "stay"]
KeypadEnd = Literal["#", "*", "none"]

SORRY: str | None = "I am sorry, I could not answer that. Could you say it again?"
DID_NOT_CATCH: str | None = "I am sorry, I did not catch that."
APOLOGY: str | None = "We are sorry, this call cannot be continued. Please call again later."
APOLOGY_LIMIT_CHARS = 3000  #: with the longest public URL it fits into the TwiML of a dial: 4,000 characters
MAX_CALLS_LIMIT = 10_000
SILENCE_LIMIT_MS = 10_000
WAIT_LIMIT_MS = 60_000


@attrs.frozen(kw_only=True)
class ServerSettings:
    """Where calls come in, and what is kept of them."""

    host: str = attrs.field(default="127.0.0.1", validator=kinds.WORD)
    port: int = attrs.field(default=8000, validator=kinds.whole(0, 65_535))
    """0 picks a free port."""
    public_url: str | None = attrs.field(default=None, validator=kinds.PUBLIC_URL)
    """How carriers reach this server: https, or http where the host is loopback. Signatures are made over it."""
    max_calls: int = attrs.field(default=200, validator=kinds.whole(1, MAX_CALLS_LIMIT))
    """Calls ringing or talking at once."""
    data_dir: Path | None = attrs.field(default=None, validator=kinds.PATH)
    """One folder a call is kept here; None: nothing is kept."""
    record_audio: bool = attrs.field(default=False, validator=kinds.SWITCH)
    """Also keep a stereo recording of each call."""
    coalesce_ms: int = attrs.field(default=0, validator=kinds.whole(0, 180))
    """How much user audio gathers before it goes on; 0: none. 60 takes a quarter off a call's CPU, costs 20 ms."""

    metrics_port: int | None = attrs.field(default=None, validator=kinds.optional_whole(0, 65_535))
    """Serve /metrics on a port of its own, and not beside the webhooks; None: beside them, closed to strangers."""
    metrics_host: str | None = attrs.field(default=None, validator=kinds.OPTIONAL_WORD)
    """Where that port listens; None: 127.0.0.1."""
    metrics_token: Secret | None = attrs.field(default=None, validator=kinds.OPTIONAL_SECRET)
    """What readers of /metrics must show: ``Authorization: Bearer …``. None: see docs/operating.md."""

    def __attrs_post_init__(self) -> None:
        if self.metrics_host is not None and self.metrics_port is None:
            raise ConfigError("server.metrics_host", "has no effect unless server.metrics_port is set")
        if self.metrics_port and self.metrics_port == self.port and (self.metrics_host or "127.0.0.1") == self.host:
            raise ConfigError("server.metrics_port", f"{self.port} is server.port already; choose another one")
        if self.record_audio and self.data_dir is None:
            raise ConfigError("server.record_audio", "needs server.data_dir, where recordings are kept")
        if self.public_url is None and not kinds.is_loopback(self.host):
            raise ConfigError("server.public_url", "missing; it is needed where server.host is not loopback")


@attrs.frozen(kw_only=True)
class AgentSettings:
    """Who answers."""

    provider: ProviderName = attrs.field(default="openai_realtime", validator=kinds.one_of(get_args(ProviderName)))
    instructions: str = attrs.field(validator=kinds.TEXT)
    first_message: str | None = attrs.field(default=None, validator=kinds.OPTIONAL_TEXT)
    """Said word for word when the call begins; None: the user begins."""
    first_message_file: Path | None = attrs.field(default=None, validator=kinds.PATH)
    """A WAV recording (mono, 16 bit) to play in place of the model's voice; `first_message` are its words."""
    speaks_first: Speaker = attrs.field(default="agent", validator=kinds.one_of(get_args(Speaker)))
    """Who begins: the agent; the user, for whom the agent waits; or whoever does."""
    protect_first_message: ProtectionUntil = attrs.field(
        default="auto", validator=kinds.one_of(get_args(ProtectionUntil))
    )
    """Until when user speech cannot end it: until it was heard whole, until its first audio was, or not at all.
    "auto": heard whole on calls that we place, first audio on calls that come in."""
    user_audio: UserAudio = attrs.field(default="buffer", validator=kinds.one_of(get_args(UserAudio)))
    """What becomes of the user's words meanwhile: answered afterwards, dropped, or given to the model at once."""
    hello_wait_ms: int = attrs.field(default=4000, validator=kinds.whole(1, WAIT_LIMIT_MS))
    """How long the agent waits for a user who is to speak first."""
    lead_in_ms: int = attrs.field(default=0, validator=kinds.whole(0, WAIT_LIMIT_MS))
    """Pause between pick-up and the first message: some lines lose their first moments."""
    sorry_text: str | None = attrs.field(default=SORRY, validator=kinds.OPTIONAL_TEXT)
    """Said word for word where a turn got no reply, however often it was asked for; "" to end the call instead."""
    did_not_catch_text: str | None = attrs.field(default=DID_NOT_CATCH, validator=kinds.OPTIONAL_TEXT)
    """The same where no word of the user could be made out; "" for `sorry_text`."""
    waiting_file: Path | None = attrs.field(default=None, validator=kinds.PATH)
    """A WAV recording (mono, 16 bit) that is played once to a user who waits for the agent; None: silence."""
    waiting_after_ms: int = attrs.field(default=3000, validator=kinds.whole(1, WAIT_LIMIT_MS))
    """From the end of the user's turn, or the request for the first message, to that sound."""
    prepare_first_message: bool = attrs.field(default=False, validator=kinds.SWITCH)
    """Generate it while the phone rings: at once at pick-up, and paid for where nobody answers."""
    message_answer_ms: int = attrs.field(default=6000, validator=kinds.whole(1, WAIT_LIMIT_MS))
    """How long a request for it may go without any answer before it is asked for again."""
    message_audio_ms: int = attrs.field(default=20_000, validator=kinds.whole(1, WAIT_LIMIT_MS))
    """How long a response that the model has begun may take to the first audio: a slow model is not a lost one."""

    def __attrs_post_init__(self) -> None:
        if self.first_message_file is not None and self.first_message is None:
            raise ConfigError("agent.first_message", "missing; a recorded first message needs its words too")
        if self.prepare_first_message and (why := self._why_not_prepared()) is not None:
            raise ConfigError("agent.prepare_first_message", f"has no effect {why}")

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

    ring_timeout_s: int = attrs.field(default=30, validator=kinds.whole(5, 600))
    machine_detection: MachineDetectionWhen = attrs.field(
        default="off", validator=kinds.one_of(get_args(MachineDetectionWhen))
    )
    """Whether the carrier listens for answering machines: beside the call, or before it (dead air for people)."""
    on_voicemail: MachineAction = attrs.field(default="hang_up", validator=kinds.one_of(get_args(MachineAction)))
    voicemail_message: str | None = attrs.field(default=None, validator=kinds.OPTIONAL_TEXT)
    """Said to an answering machine once its greeting has ended."""

    def __attrs_post_init__(self) -> None:
        leaves = self.on_voicemail == "leave_message"
        if leaves and self.voicemail_message is None:
            raise ConfigError("outbound.voicemail_message", 'missing; on_voicemail = "leave_message" needs it')
        if leaves and self.machine_detection == "off":
            raise ConfigError("outbound.machine_detection", 'must be "async" or "sync" to leave a message')


@attrs.frozen(kw_only=True)
class ParkingLotSettings:
    """Sessions that are opened before pick-up."""

    enabled: bool = attrs.field(default=True, validator=kinds.SWITCH)
    max_sessions: int = attrs.field(default=200, validator=kinds.whole(1, MAX_CALLS_LIMIT))
    when_full: ParkingWhenFull = attrs.field(
        default="oldest_gives_way", validator=kinds.one_of(get_args(ParkingWhenFull))
    )
    """Which call goes cold when more ring than that."""


@attrs.frozen(kw_only=True)
class TwilioSettings:
    """The account that calls come through."""

    account_sid: str = attrs.field(validator=kinds.ACCOUNT_SID)
    auth_token: Secret = attrs.field(validator=kinds.SECRET)
    """Signs webhooks and authenticates REST requests."""
    phone_number: str | None = attrs.field(default=None, validator=kinds.PHONE_NUMBER)
    """Our own number in E.164 form, which calls are placed from; None: none are placed."""
    api_base_url: str = attrs.field(default="https://api.twilio.com", validator=kinds.HTTP_URL)
    verify_signatures: bool = attrs.field(default=True, validator=kinds.SWITCH)
    """Off only in writing: without it anybody who finds the port can start calls."""
    apology: str | None = attrs.field(default=APOLOGY, validator=kinds.spoken(APOLOGY_LIMIT_CHARS))
    """What the carrier says when our side ends a call because it cannot go on; "" for nothing."""


@attrs.frozen(kw_only=True)
class OpenAIRealtimeSettings:
    """The model that listens and speaks. Ranges and names are those of OpenAI Realtime's session object."""

    api_key: Secret = attrs.field(validator=kinds.SECRET)
    base_url: str = attrs.field(default="wss://api.openai.com/v1", validator=kinds.WEBSOCKET_URL)
    """ws(s) or http(s); the provider adds ``/realtime?model=…``."""
    model: str = attrs.field(default="gpt-realtime-2.1", validator=kinds.WORD)
    voice: str = attrs.field(default="marin", validator=kinds.WORD)
    turn_detection: TurnDetection = attrs.field(default="server_vad", validator=kinds.one_of(get_args(TurnDetection)))
    """A call needs one: without it nobody would notice that the user has finished."""
    vad_threshold: float = attrs.field(default=0.5, validator=kinds.number(0, 1))
    """How sure server_vad must be that it hears speech; 0.6 to 0.7 helps against echo on telephone lines."""
    silence_duration_ms: int = attrs.field(default=500, validator=kinds.whole(0, SILENCE_LIMIT_MS))
    """Silence after which server_vad ends the user's turn."""
    eagerness: Eagerness = attrs.field(default="auto", validator=kinds.one_of(get_args(Eagerness)))
    """How soon semantic_vad ends the user's turn; "low" may wait 8 s."""
    transcription_model: str = attrs.field(default="gpt-realtime-whisper", validator=kinds.WORD)
    language: str | None = attrs.field(default=None, validator=kinds.OPTIONAL_WORD)
    """What the user speaks, such as "en"; None: the transcription finds out."""
    noise_reduction: NoiseReduction = attrs.field(
        default="near_field", validator=kinds.one_of(get_args(NoiseReduction))
    )
    speed: float = attrs.field(default=1.0, validator=kinds.number(0.25, 1.5))
    audio: SessionAudio = attrs.field(default="carrier", validator=kinds.one_of(get_args(SessionAudio)))
    """The session's audio: the carrier's own format, passed through, or PCM16 at 24 kHz, converted both ways."""


@attrs.frozen(kw_only=True)
class BargeInSettings:
    """When the user's speech stops the agent."""

    stops_at: BargeInAt = attrs.field(default="onset", validator=kinds.one_of(get_args(BargeInAt)))
    """The onset of speech; so many words; or so much speech. Other than "onset", the engine takes the turns itself."""
    min_words: int = attrs.field(default=2, validator=kinds.whole(1, 20))
    """Words that stop the agent, where words do."""
    min_speech_ms: int = attrs.field(default=600, validator=kinds.whole(20, WAIT_LIMIT_MS))
    """Speech that stops the agent, where speech does."""
    confirm_ms: int = attrs.field(default=1500, validator=kinds.whole(1, WAIT_LIMIT_MS))
    """How long a decision stays open once the user is silent: the words may still come."""
    backchannels_pass: bool = attrs.field(default=False, validator=kinds.SWITCH)
    """Let the agent talk on over "mm-hm", "yes" and the like; needs words or speech."""
    acoustic_echo: LineEchoIs = attrs.field(default="cancelled", validator=kinds.one_of(get_args(LineEchoIs)))
    """Whether the agent's own voice comes back on the line."""
    guard_ms: int = attrs.field(default=0, validator=kinds.whole(0, WAIT_LIMIT_MS))
    """From the agent's first audible audio: speech that begins earlier must last beyond it. On a clean line."""
    echo_guard_ms: int = attrs.field(default=800, validator=kinds.whole(0, WAIT_LIMIT_MS))
    """The same on a line with echo."""
    history: HistoryKeeps = attrs.field(default="heard", validator=kinds.one_of(get_args(HistoryKeeps)))
    """What transcript and model keep of words that were cut: what was heard, all of them, or nothing."""
    keys_stop_agent: bool = attrs.field(default=True, validator=kinds.SWITCH)
    """Whether a key of the telephone cuts the agent short."""

    def __attrs_post_init__(self) -> None:
        if self.backchannels_pass and self.stops_at == "onset":
            raise ConfigError("barge_in.backchannels_pass", 'has no effect while barge_in.stops_at is "onset"')


@attrs.frozen(kw_only=True)
class IdleSettings:
    """What happens when nobody speaks."""

    after_ms: int = attrs.field(default=0, validator=kinds.whole(0, 600_000))
    """Silence before the agent asks; 0: it never does."""
    prompts: int = attrs.field(default=2, validator=kinds.whole(1, 20))
    """In a row, before the user is given up."""
    text: str = attrs.field(default="Are you still there?", validator=kinds.TEXT)
    then: AfterPrompts = attrs.field(default="hang_up", validator=kinds.one_of(get_args(AfterPrompts)))
    """When they bring no word."""


@attrs.frozen(kw_only=True)
class KeypadEntrySettings:
    """How the keys of the telephone are gathered."""

    pause_ms: int = attrs.field(default=2000, validator=kinds.whole(1, WAIT_LIMIT_MS))
    """After a key, how long the next one may take."""
    terminator: KeypadEnd = attrs.field(default="#", validator=kinds.one_of(get_args(KeypadEnd)))
    """The key that ends an entry; "none": only a pause does."""
    most_keys: int = attrs.field(default=32, validator=kinds.whole(1, 64))


@attrs.frozen(kw_only=True)
class PlayoutPaceSettings:
    """How far speech runs ahead of the user's ear."""

    lead_ms: int = attrs.field(default=200, validator=kinds.whole(40, 1000))
    """Audio that waits at the carrier while the line is steady."""
    lead_limit_ms: int = attrs.field(default=1000, validator=kinds.whole(40, 10_000))
    """How far the lead may grow on a line that is not."""
    piece_ms: int = attrs.field(default=60, validator=kinds.whole(20, 500))
    """Audio in one message to the carrier; larger costs less."""

    def __attrs_post_init__(self) -> None:
        if not self.piece_ms <= self.lead_ms <= self.lead_limit_ms:
            raise ConfigError("playout.lead_ms", "must be at least playout.piece_ms, and at most playout.lead_limit_ms")
