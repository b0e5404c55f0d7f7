"""Settings: one TOML file, the environment and explicit arguments, read in one pass.

An explicit argument beats the environment, the environment beats the file.
``VOICECORE_SERVER__PORT`` is ``server.port``; a few variables are also read as
their owners spell them (``OPENAI_API_KEY``); ours beats theirs.

Rule 1: every problem is a `ConfigError` that names the dotted key, and says
where the value came from if that was not the file.
Rule 2: a key that nobody reads is an error, never silence.
Rule 3: no value that could be a secret, and no URL, is repeated in a message.

Level 4.  Pure: the text and the environment are arguments, so that only the
command line and embedding programs read a file or ``os.environ``.
Used by assembly.py and cli/.  The kinds of values are in config_kinds.py.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import attrs

from voicecore import config_kinds as kinds
from voicecore.config_kinds import Kind
from voicecore.errors import ConfigError, printable
from voicecore.secrets import Secret

ProviderName = Literal["openai_realtime"]
TurnDetection = Literal["server_vad", "semantic_vad"]
Eagerness = Literal["low", "medium", "high", "auto"]
NoiseReduction = Literal["near_field", "far_field", "off"]
SessionAudio = Literal["carrier", "pcm"]
Speaker = Literal["agent", "caller", "whoever"]
ProtectionUntil = Literal["heard", "first_audio", "off", "auto"]
CallerAudio = Literal["hold", "drop", "forward"]
MachineDetectionWhen = Literal["off", "async", "sync"]
MachineAction = Literal["hang_up", "leave_message", "go_on"]
ParkingWhenFull = Literal["oldest_gives_way", "newest_goes_cold"]

FILE_NAME = "voicecore.toml"
APOLOGY: str | None = "We are sorry, this call cannot be continued. Please call again later."
MAX_CALLS_LIMIT = 10_000
SILENCE_LIMIT_MS = 10_000
WAIT_LIMIT_MS = 60_000

_PREFIX = "VOICECORE_"
_OWNERS_VARIABLES: Mapping[str, str] = {  # as their owners spell them
    "carriers.twilio.account_sid": "TWILIO_ACCOUNT_SID",
    "carriers.twilio.auth_token": "TWILIO_AUTH_TOKEN",
    "carriers.twilio.phone_number": "TWILIO_PHONE_NUMBER",
    "providers.openai_realtime.api_key": "OPENAI_API_KEY",
    "providers.openai_realtime.base_url": "OPENAI_BASE_URL",
}

# A provider that honours a setting only under one way of detecting turns.
_BELONGS_TO_VAD: Mapping[str, TurnDetection] = {
    "vad_threshold": "server_vad",
    "silence_duration_ms": "server_vad",
    "eagerness": "semantic_vad",
}


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

    def __attrs_post_init__(self) -> None:
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
    """Said word for word when the call begins; None: the caller begins."""
    first_message_file: Path | None = attrs.field(default=None, validator=kinds.PATH)
    """A WAV recording (mono, 16 bit) to play in place of the model's voice; `first_message` are its words."""
    speaks_first: Speaker = attrs.field(default="agent", validator=kinds.one_of(get_args(Speaker)))
    """Who begins: the agent; the caller, for whom the agent waits; or whoever does."""
    protect_first_message: ProtectionUntil = attrs.field(
        default="auto", validator=kinds.one_of(get_args(ProtectionUntil))
    )
    """Until when caller speech cannot end it: until it was heard whole, until its first audio was, or not at all.
    "auto": heard whole on calls that we place, first audio on calls that come in."""
    caller_audio: CallerAudio = attrs.field(default="hold", validator=kinds.one_of(get_args(CallerAudio)))
    """What becomes of the caller's words meanwhile: answered afterwards, dropped, or given to the model at once."""
    hello_wait_ms: int = attrs.field(default=4000, validator=kinds.whole(1, WAIT_LIMIT_MS))
    """How long the agent waits for a caller who is to speak first."""
    lead_in_ms: int = attrs.field(default=0, validator=kinds.whole(0, WAIT_LIMIT_MS))
    """Pause between pick-up and the first message: some lines lose their first moments."""
    prepare_first_message: bool = attrs.field(default=False, validator=kinds.SWITCH)
    """Generate it while the phone rings: at once at pick-up, and paid for where nobody answers."""

    def __attrs_post_init__(self) -> None:
        if self.first_message_file is not None and self.first_message is None:
            raise ConfigError("agent.first_message", "missing; a recorded first message needs its words too")


@attrs.frozen(kw_only=True)
class OutboundSettings:
    """How calls are placed."""

    ring_timeout_s: int = attrs.field(default=30, validator=kinds.whole(5, 600))
    machine_detection: MachineDetectionWhen = attrs.field(
        default="off", validator=kinds.one_of(get_args(MachineDetectionWhen))
    )
    """Whether the carrier listens for answering machines: beside the call, or before it (dead air for people)."""
    on_machine: MachineAction = attrs.field(default="hang_up", validator=kinds.one_of(get_args(MachineAction)))
    machine_message: str | None = attrs.field(default=None, validator=kinds.OPTIONAL_TEXT)
    """Said to an answering machine once its greeting has ended."""

    def __attrs_post_init__(self) -> None:
        leaves = self.on_machine == "leave_message"
        if leaves and self.machine_message is None:
            raise ConfigError("outbound.machine_message", 'missing; on_machine = "leave_message" needs it')
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
    apology: str | None = attrs.field(default=APOLOGY, validator=kinds.OPTIONAL_TEXT)
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
    """A call needs one: without it nobody would notice that the caller has finished."""
    vad_threshold: float = attrs.field(default=0.5, validator=kinds.number(0, 1))
    """How sure server_vad must be that it hears speech; 0.6 to 0.7 helps against echo on telephone lines."""
    silence_duration_ms: int = attrs.field(default=500, validator=kinds.whole(0, SILENCE_LIMIT_MS))
    """Silence after which server_vad ends the caller's turn."""
    eagerness: Eagerness = attrs.field(default="auto", validator=kinds.one_of(get_args(Eagerness)))
    """How soon semantic_vad ends the caller's turn; "low" may wait 8 s."""
    transcription_model: str = attrs.field(default="gpt-realtime-whisper", validator=kinds.WORD)
    language: str | None = attrs.field(default=None, validator=kinds.OPTIONAL_WORD)
    """What the caller speaks, such as "en"; None: the transcription finds out."""
    noise_reduction: NoiseReduction = attrs.field(
        default="near_field", validator=kinds.one_of(get_args(NoiseReduction))
    )
    speed: float = attrs.field(default=1.0, validator=kinds.number(0.25, 1.5))
    audio: SessionAudio = attrs.field(default="carrier", validator=kinds.one_of(get_args(SessionAudio)))
    """The session's audio: the carrier's own format, passed through, or PCM16 at 24 kHz, converted both ways."""


@attrs.frozen(kw_only=True)
class CarrierSettings:
    """Every carrier that calls may come through."""

    twilio: TwilioSettings


@attrs.frozen(kw_only=True)
class ProviderSettings:
    """Every provider that an agent may use."""

    openai_realtime: OpenAIRealtimeSettings


@attrs.frozen(kw_only=True)
class Settings:
    """A whole configuration, checked."""

    server: ServerSettings
    agent: AgentSettings
    outbound: OutboundSettings
    parking: ParkingLotSettings
    carriers: CarrierSettings
    providers: ProviderSettings

    @classmethod
    def load(
        cls, toml_text: str | None, environ: Mapping[str, str], overrides: Mapping[str, object] | None = None
    ) -> Settings:
        """Return the settings that file, environment and explicit arguments make together.

        Args:
            toml_text: The file; None when there is none.
            environ: Usually ``os.environ``.
            overrides: Dotted key to value, such as ``{"server.port": 0}``; None counts as not given.

        Raises:
            ConfigError: The first of `problems`.
        """
        read = _read(toml_text, environ, overrides or {})
        if isinstance(read, list):
            raise read[0]
        return read

    @staticmethod
    def problems(
        toml_text: str | None, environ: Mapping[str, str], overrides: Mapping[str, object] | None = None
    ) -> list[ConfigError]:
        """Return everything that is wrong; empty where `load` succeeds. Arguments as for `load`."""
        read = _read(toml_text, environ, overrides or {})
        return read if isinstance(read, list) else []


_SECTIONS: Mapping[str, type[attrs.AttrsInstance]] = {
    "server": ServerSettings,
    "agent": AgentSettings,
    "outbound": OutboundSettings,
    "parking": ParkingLotSettings,
    "carriers.twilio": TwilioSettings,
    "providers.openai_realtime": OpenAIRealtimeSettings,
}


def _kinds_by_key() -> dict[str, Kind[Any]]:
    """Return what each dotted key may be."""
    return {
        f"{dotted}.{field.name}": field.validator
        for dotted, section in _SECTIONS.items()
        for field in attrs.fields(section)
        if isinstance(field.validator, Kind)
    }


def _names_by_table(keys: Iterable[str]) -> dict[str, list[str]]:
    """Return the names that each table may have, by its dotted name; the whole file is ""."""
    tables: dict[str, list[str]] = {}
    for key in keys:
        table = ""
        for name in key.split("."):
            names = tables.setdefault(table, [])
            if name not in names:
                names.append(name)
            table = f"{table}.{name}" if table else name
    return tables


_KINDS: Mapping[str, Kind[Any]] = _kinds_by_key()
_NAMES: Mapping[str, list[str]] = _names_by_table(_KINDS)


def _read(
    toml_text: str | None, environ: Mapping[str, str], overrides: Mapping[str, object]
) -> Settings | list[ConfigError]:
    """Read the sources, the weakest first; return the settings, or what is wrong with them."""
    try:
        table = tomllib.loads(toml_text or "")
    except RecursionError:
        return [ConfigError(FILE_NAME, "nested too deeply")]
    except ValueError as error:  # TOMLDecodeError, or an integer with more digits than Python converts
        return [ConfigError(FILE_NAME, f"not valid TOML: {printable(str(error))}")]
    reader = _Reader()
    reader.take_file(table)
    reader.take_environment(environ)
    reader.take_explicit(overrides)
    return reader.build() or reader.problems


@attrs.frozen
class _Words:
    """A value from the environment: a text that stands for a value of any kind."""

    text: str = attrs.field(repr=False)


class _Reader:
    """Gathers values, later ones over earlier ones, and every problem on the way."""

    def __init__(self) -> None:
        self.problems: list[ConfigError] = []
        self._given: dict[str, object] = {}  # by dotted key; not yet accepted
        self._origins: dict[str, str] = {}  # " (from …)" by dotted key

    def take_file(self, table: Mapping[str, object]) -> None:
        """Take the parsed file."""
        self._take(table)

    def take_environment(self, environ: Mapping[str, str]) -> None:
        """Take the owners' variables, then ours."""
        for key, variable in _OWNERS_VARIABLES.items():
            if environ.get(variable):  # set and empty is their way to say "not set"
                self._take(_nested(key.split("."), _Words(environ[variable])), origin=variable)
        for variable in sorted(environ):
            # A single underscore is not ours: Kubernetes sets VOICECORE_PORT for a service of that name.
            if variable.startswith(_PREFIX) and "__" in variable:
                names = variable.removeprefix(_PREFIX).lower().split("__")
                self._take(_nested(names, _Words(environ[variable])), origin=variable)

    def take_explicit(self, overrides: Mapping[str, object]) -> None:
        """Take the explicit arguments, by dotted key."""
        for key, value in overrides.items():
            if value is not None:
                self._take(_nested(key.split("."), value), origin="an explicit argument")

    def build(self) -> Settings | None:
        """Return the settings, or None when there are problems."""
        built: dict[str, Any] = {dotted: self._section(dotted, section) for dotted, section in _SECTIONS.items()}
        self._find_unused()
        if self.problems:
            return None
        return Settings(
            server=built["server"],
            agent=built["agent"],
            outbound=built["outbound"],
            parking=built["parking"],
            carriers=CarrierSettings(twilio=built["carriers.twilio"]),
            providers=ProviderSettings(openai_realtime=built["providers.openai_realtime"]),
        )

    def _take(self, given: Mapping[str, object], *, table: str = "", origin: str = "") -> None:
        shown_origin = f" (from {printable(origin)})" if origin else ""
        known = _NAMES[table]
        for name, value in given.items():
            key = f"{table}.{name}" if table else name
            if name not in known:
                self._complain(printable(key), f"unknown key ({_nearest(name, known)}){shown_origin}")
            elif key in _KINDS:
                self._given[key] = _KINDS[key].from_text(value.text) if isinstance(value, _Words) else value
                self._origins[key] = shown_origin
            elif isinstance(value, Mapping):
                self._take(value, table=key, origin=origin)
            else:
                self._complain(key, f"expected a table with the keys {', '.join(_NAMES[key])}{shown_origin}")

    def _section(self, dotted: str, section: type[attrs.AttrsInstance]) -> attrs.AttrsInstance | None:
        problems_before = len(self.problems)
        values = {}
        for field in attrs.fields(section):
            key = f"{dotted}.{field.name}"
            if key in self._given:
                values[field.name] = self._accepted(key)
            elif field.default is attrs.NOTHING:
                self._complain(key, f"missing; set it in {FILE_NAME} or as {_variable(key)}")
        if len(self.problems) > problems_before:
            return None
        try:
            return section(**values)
        except ConfigError as error:  # a section's own rule about two of its settings
            self.problems.append(error)
            return None

    def _accepted(self, key: str) -> object:
        try:
            return _KINDS[key].accept(self._given[key])
        except ValueError as error:
            self._complain(key, f"{error}{self._origins[key]}")
            return None

    def _find_unused(self) -> None:
        section = "providers.openai_realtime"
        chosen = self._given.get(f"{section}.turn_detection", "server_vad")
        if chosen not in get_args(TurnDetection):
            return  # already a problem
        for name, detection in _BELONGS_TO_VAD.items():
            key = f"{section}.{name}"
            if key in self._given and chosen != detection:
                self._complain(key, f"has no effect unless turn_detection is {detection!r}{self._origins[key]}")

    def _complain(self, key: str, problem: str) -> None:
        self.problems.append(ConfigError(key, problem))


def _nested(names: Sequence[str], value: object) -> dict[str, object]:
    """Return ``{"a": {"b": value}}`` for the names a, b."""
    table = {names[-1]: value}
    for name in reversed(names[:-1]):
        table = {name: table}
    return table


def _variable(key: str) -> str:
    """Return the environment variable for a dotted key, the owner's where there is one."""
    return _OWNERS_VARIABLES.get(key, _PREFIX + key.upper().replace(".", "__"))


def _nearest(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(printable(name), known, n=1)
    return f"did you mean {near[0]}?" if near else f"known here: {', '.join(known)}"
