"""Settings: one TOML file, the environment and explicit arguments, read in one pass.

An explicit argument beats the environment, the environment beats the file.
``VOICECORE_SERVER__PORT`` is ``server.port``; a few variables are also read as
their owners spell them (``OPENAI_API_KEY``); ours beats theirs.

Rule 1: every problem is a `ConfigError` that names the dotted key, and says
where the value came from if that was not the file.
Rule 2: a key that nobody reads is an error, never silence.
Rule 3: no value that could be a secret, and no URL, is repeated in a message.

Level 4.  Pure: the text and the environment are arguments; reading.py finds them.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs

from voicecore.config.derived import renamed
from voicecore.config.openai_section import OpenAIRealtimeSettings
from voicecore.config.sections import (
    AgentSettings,
    BargeInSettings,
    CallsSettings,
    IdleSettings,
    KeypadEntrySettings,
    NetSettings,
    OutboundSettings,
    ParkingLotSettings,
    PlayoutPaceSettings,
    ServerSettings,
    TwilioSettings,
)
from voicecore.errors import ConfigError, printable
from voicecore.kinds import Kind

FILE_NAME = "voicecore.toml"

_PREFIX = "VOICECORE_"
OWNERS_VARIABLES: Mapping[str, str] = {  # as their owners spell them
    "carriers.twilio.account_sid": "TWILIO_ACCOUNT_SID",
    "carriers.twilio.auth_token": "TWILIO_AUTH_TOKEN",
    "carriers.twilio.phone_number": "TWILIO_PHONE_NUMBER",
    "providers.openai_realtime.api_key": "OPENAI_API_KEY",
    "providers.openai_realtime.base_url": "OPENAI_BASE_URL",
}

# Settings that mean something only beside one value of another; its key, and that value.
NEEDS: Mapping[str, tuple[str, str]] = {
    "providers.openai_realtime.vad_threshold": ("providers.openai_realtime.turn_detection", "server_vad"),
    "providers.openai_realtime.silence_duration_ms": ("providers.openai_realtime.turn_detection", "server_vad"),
    "providers.openai_realtime.prefix_padding_ms": ("providers.openai_realtime.turn_detection", "server_vad"),
    "providers.openai_realtime.idle_timeout_ms": ("providers.openai_realtime.turn_detection", "server_vad"),
    "providers.openai_realtime.eagerness": ("providers.openai_realtime.turn_detection", "semantic_vad"),
    "providers.openai_realtime.retention_ratio": ("providers.openai_realtime.truncation", "retention_ratio"),
    "providers.openai_realtime.post_instructions_tokens": ("providers.openai_realtime.truncation", "retention_ratio"),
    "barge_in.min_words": ("barge_in.stops_at", "words"),
    "barge_in.min_speech_ms": ("barge_in.stops_at", "speech"),
    "barge_in.echo_guard_ms": ("barge_in.acoustic_echo", "present"),
    "barge_in.guard_ms": ("barge_in.acoustic_echo", "cancelled"),
}

# Options that have another name now, so that the message can say which.
RENAMED: Mapping[str, str] = {
    "agent.caller_audio": "agent.user_audio",
    "barge_in.murmurs_pass": "barge_in.backchannels_pass",
    "barge_in.line_echo": "barge_in.acoustic_echo",
    "barge_in.gate_ms": "barge_in.guard_ms",
    "barge_in.echo_gate_ms": "barge_in.echo_guard_ms",
    "outbound.on_machine": "outbound.on_voicemail",
    "outbound.machine_message": "outbound.voicemail_message",
    "server.gather_ms": "server.coalesce_ms",
}
RENAMED_WORDS: Mapping[tuple[str, str], str] = {
    ("agent.user_audio", "hold"): "buffer",
    ("agent.speaks_first", "caller"): "user",
}


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

    server: ServerSettings = attrs.field(factory=ServerSettings)
    agent: AgentSettings = attrs.field(factory=AgentSettings)
    barge_in: BargeInSettings = attrs.field(factory=BargeInSettings)
    idle: IdleSettings = attrs.field(factory=IdleSettings)
    keypad: KeypadEntrySettings = attrs.field(factory=KeypadEntrySettings)
    playout: PlayoutPaceSettings = attrs.field(factory=PlayoutPaceSettings)
    outbound: OutboundSettings = attrs.field(factory=OutboundSettings)
    parking: ParkingLotSettings = attrs.field(factory=ParkingLotSettings)
    calls: CallsSettings = attrs.field(factory=CallsSettings)
    net: NetSettings = attrs.field(factory=NetSettings)
    carriers: CarrierSettings
    providers: ProviderSettings

    def __attrs_post_init__(self) -> None:
        if self.barge_in.stops_at == "words" and self.providers.openai_realtime.transcription_model is None:
            problem = "missing; it brings the words that barge_in.stops_at waits for"
            raise ConfigError("providers.openai_realtime.transcription_model", problem)

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


SECTIONS: Mapping[str, type[attrs.AttrsInstance]] = {
    "server": ServerSettings,
    "agent": AgentSettings,
    "barge_in": BargeInSettings,
    "idle": IdleSettings,
    "keypad": KeypadEntrySettings,
    "playout": PlayoutPaceSettings,
    "outbound": OutboundSettings,
    "parking": ParkingLotSettings,
    "calls": CallsSettings,
    "net": NetSettings,
    "carriers.twilio": TwilioSettings,
    "providers.openai_realtime": OpenAIRealtimeSettings,
}


def _kinds_by_key() -> dict[str, Kind[Any]]:
    """Return what each dotted key may be."""
    return {
        f"{dotted}.{field.name}": field.validator
        for dotted, section in SECTIONS.items()
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
        for key, variable in OWNERS_VARIABLES.items():
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
        built: dict[str, Any] = {dotted: self._section(dotted, section) for dotted, section in SECTIONS.items()}
        self._find_unused()
        if self.problems:
            return None
        try:
            return Settings(
                carriers=CarrierSettings(twilio=built.pop("carriers.twilio")),
                providers=ProviderSettings(openai_realtime=built.pop("providers.openai_realtime")),
                **built,
            )
        except ConfigError as error:  # a rule about two sections
            self.problems.append(error)
            return None

    def _take(self, given: Mapping[str, object], *, table: str = "", origin: str = "") -> None:
        shown_origin = f" (from {printable(origin)})" if origin else ""
        known = _NAMES[table]
        for name, value in given.items():
            key = f"{table}.{name}" if table else name
            if key in RENAMED:
                self._complain(key, f"is now {RENAMED[key]}{shown_origin}")
            elif name not in known:
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
                self._complain(key, f"missing; set it in {FILE_NAME} or as {variable(key)}")
        if len(self.problems) > problems_before:
            return None
        try:
            return section(**values)
        except ConfigError as error:  # a section's own rule about two of its settings
            self.problems.append(renamed(error, SECTIONS, dotted))
            return None

    def _accepted(self, key: str) -> object:
        kind, given = _KINDS[key], self._given[key]
        try:
            return None if given == "" and kind.is_optional else kind.accept(given)
        except ValueError as error:
            now = RENAMED_WORDS.get((key, given)) if isinstance(given, str) else None
            self._complain(key, f"{error}{f'; {now!r} is its name now' if now else ''}{self._origins[key]}")
            return None

    def _find_unused(self) -> None:
        for key, (other, needed) in NEEDS.items():
            section, _, name = other.rpartition(".")
            chosen = self._given.get(other, attrs.fields_dict(SECTIONS[section])[name].default)
            is_wrong = any(problem.key == other for problem in self.problems)
            if key in self._given and chosen != needed and not is_wrong:
                self._complain(key, f"has no effect unless {name} is {needed!r}{self._origins[key]}")

    def _complain(self, key: str, problem: str) -> None:
        self.problems.append(ConfigError(key, problem))


def _nested(names: Sequence[str], value: object) -> dict[str, object]:
    """Return ``{"a": {"b": value}}`` for the names a, b."""
    table = {names[-1]: value}
    for name in reversed(names[:-1]):
        table = {name: table}
    return table


def variable(key: str) -> str:
    """Return the environment variable for a dotted key, the owner's where there is one."""
    return OWNERS_VARIABLES.get(key, own_variable(key))


def own_variable(key: str) -> str:
    """Return our own environment variable for a dotted key."""
    return _PREFIX + key.upper().replace(".", "__")


def _nearest(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(printable(name), known, n=1)
    return f"did you mean {near[0]}?" if near else f"known here: {', '.join(known)}"
