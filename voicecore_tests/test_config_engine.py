"""A file's options and the engine's settings: one definition, the same defaults, everything wrong refused."""

from __future__ import annotations

import importlib
import math
import pkgutil
from collections.abc import Iterator, Mapping

import attrs
import pytest

from voicecore import configured
from voicecore.audio.formats import PCMU_8K
from voicecore.carriers.twilio import Twilio
from voicecore.config import Settings
from voicecore.config.derived import kind_of, source_of
from voicecore.config.loader import RENAMED, RENAMED_WORDS, SECTIONS
from voicecore.engine.agent import Agent
from voicecore.engine.settings import CallSettings, DialOptions, HostSettings
from voicecore.errors import ConfigError
from voicecore.kinds import Kind
from voicecore.ports import Brief
from voicecore.providers.openai_realtime import OpenAIRealtime
from voicecore.secrets import Secret
from voicecore.turns.playout.ledger import PlayoutSettings
from voicecore.wire.openai_realtime import UNSET, CustomVoice, Reasoning, RetentionRatio, ServerVad, SessionConfig
from voicecore_tests.code_rules.options import CONFIGURATION, meaning_of, written_reference
from voicecore_tests.test_config import NO_ENVIRONMENT, WHOLE

NEEDED = {"TWILIO_ACCOUNT_SID": "AC1", "TWILIO_AUTH_TOKEN": "token", "OPENAI_API_KEY": "key"}
BRIEF = Brief(instructions="Be brief.", audio_format=PCMU_8K)
MODEL = "providers.openai_realtime"
SETTINGS_PACKAGES = ("voicecore.turns", "voicecore.engine", "voicecore.providers")
_NAMES = ("Settings", "Policy", "Options", "Limits", "Lines")
_NOT_MADE_BY_USERS = {"ConversationSettings"}  # made of others for each call
_MORE = {Agent, OpenAIRealtime}
WRONG = [True, -1, -0.001, math.nan, math.inf, -math.inf, "", "x\0", object(), None, 10**400, b"", []]


def _settings_classes() -> Iterator[type[attrs.AttrsInstance]]:
    """Yield every settings class of the engine."""
    found = set[type]()
    for package in SETTINGS_PACKAGES:
        for module in pkgutil.walk_packages(importlib.import_module(package).__path__, package + "."):
            for thing in vars(importlib.import_module(module.name)).values():
                if isinstance(thing, type) and thing.__module__.startswith(package) and attrs.has(thing):
                    found.add(thing)
    wanted = (each for each in found if each in _MORE or each.__name__.endswith(_NAMES))
    yield from sorted((each for each in wanted if each.__name__ not in _NOT_MADE_BY_USERS), key=str)


CLASSES = list(_settings_classes())
FIELDS = [(owner, field.name) for owner in CLASSES for field in attrs.fields(owner)]


def load(overrides: Mapping[str, object] | None = None) -> Settings:
    """Return the settings of the least configuration, with a few values."""
    return Settings.load(None, NEEDED, overrides)


# --- one definition ----------------------------------------------------------------


def test_the_settings_classes_are_found() -> None:
    """Else the tests below would look at nothing."""
    assert {PlayoutSettings, CallSettings, DialOptions, Agent, OpenAIRealtime} <= set(CLASSES)
    assert len(CLASSES) > 15


@pytest.mark.parametrize(("owner", "name"), FIELDS, ids=lambda value: getattr(value, "__name__", value))
def test_every_field_has_a_kind_and_refuses_what_it_is_not(owner: type[attrs.AttrsInstance], name: str) -> None:
    """Negative times and counts, NaN, infinities, other types: each is refused by the field's Python name."""
    field = attrs.fields_dict(owner)[name]
    assert isinstance(field.validator, Kind)
    refused = 0
    for value in WRONG:
        if _is_allowed(field.validator, value):
            continue
        with pytest.raises(ConfigError) as caught:
            owner(**{name: value})
        assert caught.value.key == f"{owner.__name__}.{name}"
        refused += 1
    assert refused >= 5


def _is_allowed(kind: Kind[object], value: object) -> bool:
    """Whether a wrong value is one that this kind of field may have, by what it says about itself."""
    if value is None:
        return kind.is_optional
    if isinstance(value, bool):
        return kind.noun == "true or false"
    if isinstance(value, int | float) and kind.noun in {"integer", "number", "seconds"}:
        is_kind = isinstance(value, int) or kind.noun != "integer"
        return is_kind and kind.low is not None and kind.high is not None and kind.low <= value <= kind.high
    if isinstance(value, str) and kind.noun == "Secret":
        return value != ""
    if isinstance(value, str):
        return kind.noun == "text" and value.strip() != "" and (kind.bounds == "" or value.isprintable())
    return isinstance(value, list) and kind.noun.startswith("list")


@pytest.mark.parametrize("dotted", SECTIONS)
def test_an_option_that_the_engine_has_is_the_engines(dotted: str) -> None:
    """Bounds and default of a derived option are those of the field: a value beyond either end is refused by both."""
    for field in attrs.fields(SECTIONS[dotted]):
        source = source_of(field)
        if source is None:
            continue
        kind = field.validator
        assert isinstance(kind, Kind)
        python_kind = kind_of(source.owner, source.name)
        for end in (kind.low, kind.high):
            converted = None if end is None else source.to_python(int(end) if kind.noun == "integer" else end)
            if converted is not None and field.name != "after_ms":  # 0 stands for "never" there
                python_kind.accept(converted)
        if field.name.endswith(("_ms", "_s")):
            assert kind.noun == "integer"


def test_the_reference_is_what_the_definitions_say() -> None:
    """docs/configuration.md is generated; every option has a meaning in it."""
    for section in SECTIONS.values():
        assert [field.name for field in attrs.fields(section) if not meaning_of(section, field)] == []
    assert CONFIGURATION.read_text() == written_reference(), "run `make docs`"


# --- the same defaults -----------------------------------------------------------


def test_defaults_of_file_and_python_are_equal() -> None:
    """An empty file and values made in code describe the same engine."""
    settings = load()
    assert configured.host_settings(settings) == HostSettings()
    assert configured.dial_options(settings.outbound) == DialOptions()
    assert configured.agent(settings, None, None) == Agent()
    provider = configured.openai_realtime(settings.providers.openai_realtime)
    assert attrs.evolve(provider, base_url=None) == OpenAIRealtime(api_key=Secret("key"))
    assert provider.url() == OpenAIRealtime().url()
    assert configured.twilio(settings.carriers.twilio) == Twilio(account_sid="AC1", auth_token="token")


def test_settings_can_be_built_in_python() -> None:
    """What is left out has the file's defaults; only the keys are needed."""
    settings = load()
    assert Settings(carriers=settings.carriers, providers=settings.providers) == settings


# --- each option arrives -------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"prefix_padding_ms": 200}, {"turn_detection": ServerVad(prefix_padding_ms=200)}),
        ({"idle_timeout_ms": 6000}, {"turn_detection": ServerVad(idle_timeout_ms=6000)}),
        ({"reasoning_effort": "low"}, {"reasoning": Reasoning("low")}),
        ({"max_output_tokens": 300}, {"max_output_tokens": 300}),
        ({"truncation": "disabled"}, {"truncation": "disabled"}),
        (
            {"truncation": "retention_ratio", "retention_ratio": 0.5, "post_instructions_tokens": 900},
            {"truncation": RetentionRatio(retention_ratio=0.5, post_instructions_tokens=900)},
        ),
        ({"tracing": "auto"}, {"tracing": "auto"}),
        ({"voice": "voice_123"}, {"voice": CustomVoice("voice_123")}),
        ({"speed": 1.2}, {"speed": 1.2}),
        ({"noise_reduction": "off"}, {"noise_reduction": None}),
        ({"transcription_model": ""}, {"transcription": None}),
    ],
    ids=lambda value: next(iter(value)),
)
def test_a_setting_of_the_session_can_be_set_in_the_file(
    given: Mapping[str, object], wanted: Mapping[str, object]
) -> None:
    """It reaches the configuration that a session is opened with."""
    config = session_config({f"{MODEL}.{name}": value for name, value in given.items()})
    assert {name: getattr(config, name) for name in wanted} == wanted


def test_the_transcription_can_be_set_whole() -> None:
    """Language, languages, words to expect, prompt and delay."""
    given = {
        f"{MODEL}.transcription_model": "gpt-4o-transcribe",
        f"{MODEL}.language": "de",
        f"{MODEL}.transcription_keywords": ["Zahnarzt", "Dr. Wu"],
        f"{MODEL}.transcription_prompt": "a clinic",
    }
    transcription = session_config(given).transcription
    assert transcription is not None
    assert transcription is not UNSET
    assert (transcription.language, transcription.prompt) == ("de", "a clinic")
    assert transcription.keywords == ("Zahnarzt", "Dr. Wu")


def test_a_list_is_separated_by_commas_in_the_environment() -> None:
    """As other programs do it."""
    environ = {**NEEDED, "VOICECORE_PROVIDERS__OPENAI_REALTIME__TRANSCRIPTION_LANGUAGES": "en, de"}
    assert Settings.load(None, environ).providers.openai_realtime.transcription_languages == ("en", "de")


def test_a_prompt_that_the_transcription_does_not_know_is_refused_by_its_key() -> None:
    """The rule is the wire's; the name is the file's."""
    (error,) = Settings.problems(WHOLE, NO_ENVIRONMENT, {f"{MODEL}.transcription_prompt": "a clinic"})
    assert str(error) == f"{MODEL}.transcription_prompt: is not supported by gpt-realtime-whisper"


def session_config(overrides: Mapping[str, object]) -> SessionConfig:
    """Return the configuration of a session for a call under these settings."""
    provider = configured.openai_realtime(load(overrides).providers.openai_realtime)
    return provider.session_config(BRIEF)


def test_bounds_of_calls_can_be_set() -> None:
    """In seconds or milliseconds; the engine's are seconds."""
    host = configured.host_settings(
        load({"calls.max_call_s": 600, "calls.reply_ms": 4000, "calls.media_wait_ms": 9000})
    )
    assert (host.call.max_call_s, host.call.turns.reply_s, host.token_s) == (600.0, 4.0, 9.0)


def test_the_websocket_can_be_chosen() -> None:
    """Our own, or the library's; nothing else."""
    assert load().net.websocket == "own"
    assert load({"net.websocket": "trio-websocket"}).net.websocket == "trio-websocket"
    (error,) = Settings.problems(WHOLE, NO_ENVIRONMENT, {"net.websocket": "websockets"})
    assert str(error).startswith("net.websocket: expected 'own' or 'trio-websocket', got 'websockets'")


# --- one way to refuse -----------------------------------------------------------


def test_a_rule_about_two_values_names_what_the_reader_wrote() -> None:
    """The file's key in the file, the Python name in Python; the rule is one."""
    (error,) = Settings.problems(WHOLE, NO_ENVIRONMENT, {"playout.lead_ms": 500, "playout.lead_limit_ms": 400})
    with pytest.raises(ConfigError) as caught:
        PlayoutSettings(lead_s=0.5, lead_limit_s=0.4)
    assert (error.key, caught.value.key) == ("playout.lead_ms", "PlayoutSettings.lead_s")
    assert error.problem == caught.value.problem


@pytest.mark.parametrize(("old", "new"), RENAMED.items())
def test_an_old_key_names_the_new_one(old: str, new: str) -> None:
    """From every source; the new one exists."""
    (error,) = Settings.problems(WHOLE, NO_ENVIRONMENT, {old: 1})
    assert str(error) == f"{old}: is now {new} (from an explicit argument)"
    section, _, name = new.rpartition(".")
    assert name in attrs.fields_dict(SECTIONS[section])


@pytest.mark.parametrize(("key", "old"), RENAMED_WORDS)
def test_an_old_word_names_the_new_one(key: str, old: str) -> None:
    """The word that was the value."""
    (error,) = Settings.problems(WHOLE, NO_ENVIRONMENT, {key: old})
    new = RENAMED_WORDS[key, old]
    assert f"'{new}' is its name now" in str(error)
    assert Settings.problems(WHOLE, NO_ENVIRONMENT, {key: new}) == []


@pytest.mark.parametrize(
    ("given", "key"),
    [
        ({f"{MODEL}.noise_reduction": "off", f"{MODEL}.noise_reduction_strength": 0.5}, "noise_reduction_strength"),
        ({f"{MODEL}.transcription_model": "", f"{MODEL}.language": "en"}, "language"),
        ({f"{MODEL}.transcription_model": "", "barge_in.stops_at": "words"}, "transcription_model"),
        ({f"{MODEL}.retention_ratio": 0.5}, "retention_ratio"),
    ],
)
def test_a_setting_of_the_session_without_effect_is_refused(given: Mapping[str, object], key: str) -> None:
    """By its key, also across sections."""
    (error,) = Settings.problems(WHOLE, NO_ENVIRONMENT, given)
    assert error.key == f"{MODEL}.{key}"
