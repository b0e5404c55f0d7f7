"""Settings from file, environment and explicit arguments: one pass, every problem named, no secret shown."""

from __future__ import annotations

import json
import string
from collections.abc import Mapping
from pathlib import Path

import attrs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from voicecore.config import OpenAIRealtimeSettings, Settings
from voicecore.config.loader import SECTIONS
from voicecore.config.reading import load_settings
from voicecore.errors import ConfigError
from voicecore.kinds import Kind
from voicecore.secrets import Secret

WHOLE = """
[server]
host = "127.0.0.1"
port = 8000
public_url = "https://voice.example.com"
[agent]
provider = "openai_realtime"
instructions = "You answer the telephone of a clinic."
first_message = "Welcome to the clinic."
[carriers.twilio]
account_sid = "AC0123456789abcdef0123456789abcdef"
auth_token = "planted-carrier-token"
phone_number = "+15551234567"
api_base_url = "https://api.twilio.com"
[providers.openai_realtime]
api_key = "planted-provider-key"
base_url = "wss://api.openai.com/v1"
model = "gpt-realtime-2.1"
voice = "marin"
"""

SECRET_KEYS = ["carriers.twilio.auth_token", "providers.openai_realtime.api_key"]
NO_ENVIRONMENT: Mapping[str, str] = {}
NEEDED = {
    "VOICECORE_AGENT__INSTRUCTIONS": "Be brief.",
    "TWILIO_ACCOUNT_SID": "AC1",
    "TWILIO_AUTH_TOKEN": "token",
    "OPENAI_API_KEY": "key",
}


def problem(key: str, value: object, source: str = WHOLE) -> str:
    """Return what is wrong with one value in an otherwise good configuration."""
    (error,) = Settings.problems(source, NO_ENVIRONMENT, {key: value})
    assert error.key == key
    return error.problem


# --- where values come from ---------------------------------------------------


def test_the_file_is_read_whole() -> None:
    """Every value of the file is in the settings; secrets can be revealed."""
    settings = Settings.load(WHOLE, NO_ENVIRONMENT)
    assert settings.server.public_url == "https://voice.example.com"
    assert settings.agent.first_message == "Welcome to the clinic."
    assert settings.carriers.twilio.phone_number == "+15551234567"
    assert settings.carriers.twilio.auth_token.reveal() == "planted-carrier-token"
    assert settings.providers.openai_realtime.api_key.reveal() == "planted-provider-key"


def test_the_environment_alone_is_enough() -> None:
    """Without a file every value can come by environment, and the rest has defaults."""
    settings = Settings.load(None, {**NEEDED, "VOICECORE_SERVER__PORT": "0"})
    assert settings.server.port == 0
    assert settings.agent.instructions == "Be brief."
    assert settings.agent.first_message is None
    assert settings.providers.openai_realtime.model == "gpt-realtime-2.1"
    assert settings.carriers.twilio.verify_signatures is True


def test_an_explicit_argument_beats_the_environment_and_that_the_file() -> None:
    """The nearest source wins, key by key."""
    environ = {"VOICECORE_SERVER__PORT": "8001", "VOICECORE_SERVER__HOST": "localhost"}
    settings = Settings.load(WHOLE, environ, {"server.port": 8002})
    assert (settings.server.port, settings.server.host) == (8002, "localhost")
    assert settings.server.public_url == "https://voice.example.com"


def test_an_explicit_none_is_not_given() -> None:
    """A command line passes on its options as they are."""
    assert Settings.load(WHOLE, NO_ENVIRONMENT, {"server.port": None}).server.port == 8000


def test_the_owners_variables_are_read_and_ours_beat_them() -> None:
    """OPENAI_BASE_URL beats the file; the spelled-out variable beats both."""
    owners = {"OPENAI_BASE_URL": "http://127.0.0.1:9000/v1", "TWILIO_PHONE_NUMBER": "+15550000001"}
    settings = Settings.load(WHOLE, owners)
    assert settings.providers.openai_realtime.base_url == "http://127.0.0.1:9000/v1"
    assert settings.carriers.twilio.phone_number == "+15550000001"
    ours = {**owners, "VOICECORE_PROVIDERS__OPENAI_REALTIME__BASE_URL": "ws://localhost:9001/v1"}
    assert Settings.load(WHOLE, ours).providers.openai_realtime.base_url == "ws://localhost:9001/v1"


def test_an_owners_variable_that_is_empty_is_not_set() -> None:
    """Containers often pass OPENAI_BASE_URL through although it is empty."""
    settings = Settings.load(WHOLE, {"OPENAI_BASE_URL": "", "TWILIO_AUTH_TOKEN": ""})
    assert settings.providers.openai_realtime.base_url == "wss://api.openai.com/v1"


def test_variables_of_the_surroundings_are_left_alone() -> None:
    """Kubernetes sets VOICECORE_PORT for a service called voicecore; it is not a setting."""
    assert Settings.load(WHOLE, {"VOICECORE_PORT": "tcp://10.0.0.1:8000", "PATH": "/bin"}).server.port == 8000


@pytest.mark.parametrize(
    ("variable", "text", "value"),
    [
        ("SERVER__PORT", "8080", 8080),
        ("SERVER__DATA_DIR", "calls", Path("calls")),
        ("AGENT__FIRST_MESSAGE", "", None),
        ("CARRIERS__TWILIO__VERIFY_SIGNATURES", "False", False),
        ("CARRIERS__TWILIO__VERIFY_SIGNATURES", "1", True),
        ("PROVIDERS__OPENAI_REALTIME__SPEED", "1.25", 1.25),
        ("PROVIDERS__OPENAI_REALTIME__LANGUAGE", "en", "en"),
    ],
)
def test_the_environments_texts_become_values(variable: str, text: str, value: object) -> None:
    """Integers, numbers, booleans, folders; an empty string means none."""
    values: object = attrs.asdict(Settings.load(WHOLE, {f"VOICECORE_{variable}": text}))
    for name in variable.lower().split("__"):
        assert isinstance(values, dict)
        values = values[name]
    assert values == value
    assert type(values) is type(value)


def test_the_files_texts_stay_texts() -> None:
    """A quoted number in the file is a mistake, not a number."""
    (error,) = Settings.problems('[server]\nport = "8000"', NEEDED)
    assert str(error) == "server.port: expected an integer, got '8000'"


# --- what is wrong with them ------------------------------------------------------


def test_an_unknown_key_names_the_nearest() -> None:
    """A misspelt key is reported with its dotted path and the likely intended key."""
    with pytest.raises(ConfigError) as caught:
        Settings.load(WHOLE.replace("account_sid", "acount_sid"), NO_ENVIRONMENT)
    assert str(caught.value) == "carriers.twilio.acount_sid: unknown key (did you mean account_sid?)"


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ("[sever]\nport = 1", "sever: unknown key (did you mean server?)"),
        ("port = 1", "port: unknown key (known here: server, agent, barge_in, idle, keypad, playout, outbound,"),
        ("server = 1", "server: expected a table with the keys host, port"),
        ('"server.port" = 1', "server.port: unknown key"),
        ("[server.port]\nx = 1", "server.port: expected an integer, got a table"),
        ('"a\\u0000\\n" = 1', "a\\x00\\n: unknown key"),
    ],
)
def test_the_shape_of_the_file_is_checked(toml: str, said: str) -> None:
    """Wrong tables and keys are named with their location, printably."""
    assert said in str(Settings.problems(toml, NEEDED)[0])


def test_an_unknown_variable_is_an_unknown_key() -> None:
    """A misspelt variable is not ignored, and is named as it is in the environment."""
    (error,) = Settings.problems(WHOLE, {"VOICECORE_SERVER__PROT": "1"})
    assert str(error) == "server.prot: unknown key (did you mean port?) (from VOICECORE_SERVER__PROT)"


def test_every_problem_is_reported_at_once() -> None:
    """`problems` names all keys; `load` raises the first of them."""
    toml, environ = '[server]\nprot = 1\nport = "x"\n[agent]\n', {"VOICECORE_SERVER__MAX_CALLS": "abc"}
    problems = Settings.problems(toml, environ)
    assert [error.key for error in problems] == [
        "server.prot",
        "server.port",
        "server.max_calls",
        "carriers.twilio.account_sid",
        "carriers.twilio.auth_token",
        "providers.openai_realtime.api_key",
    ]
    assert problems[2].problem == "expected an integer, got 'abc' (from VOICECORE_SERVER__MAX_CALLS)"
    with pytest.raises(ConfigError, match=r"^server\.prot: "):
        Settings.load(toml, environ)


def test_a_good_configuration_has_no_problems() -> None:
    """The example of the documentation is one."""
    assert Settings.problems(WHOLE, NO_ENVIRONMENT) == []


def test_a_missing_value_names_the_variable_that_could_hold_it() -> None:
    """The owner's variable where there is one, else ours."""
    said = {error.key: error.problem for error in Settings.problems(None, NO_ENVIRONMENT)}
    assert said["providers.openai_realtime.api_key"] == "missing; set it in voicecore.toml or as OPENAI_API_KEY"
    assert Settings.problems(None, {**NEEDED, "VOICECORE_AGENT__INSTRUCTIONS": ""}) != []
    assert list(said) == ["carriers.twilio.account_sid", "carriers.twilio.auth_token", *SECRET_KEYS[1:]]


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ("[server\nport = 1", "not valid TOML: .*line 1, column 8"),
        ("[server]\nport = x", "not valid TOML: .*line 2, column 8"),
        ("x = " + "[" * 100_000, "nested"),
        ("x = " + "9" * 5_000, "not valid TOML: .*4300 digits"),
    ],
    ids=["header", "value", "nesting", "digits"],
)
def test_a_broken_file_is_one_problem(toml: str, said: str) -> None:
    """It is reported by line and column, without the keys that could not be read."""
    problems = Settings.problems(toml, NO_ENVIRONMENT)
    assert [error.key for error in problems] == ["voicecore.toml"]
    with pytest.raises(ConfigError, match=said):
        Settings.load(toml, NO_ENVIRONMENT)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("server.port", 65_536, "must be from 0 to 65535, got 65536"),
        ("server.port", True, "expected an integer, got true"),
        ("server.port", 8000.0, "expected an integer, got 8000.0"),
        pytest.param("server.port", 1 << 20_000, "must be from 0 to 65535, got a huge integer", id="huge"),
        ("server.max_calls", 0, "must be from 1 to 10000, got 0"),
        ("server.host", "a b", "must be one word: no spaces, no control characters"),
        ("server.data_dir", ["calls"], "expected a text, got a list"),
        ("server.data_dir", "a\0b", "not a path"),
        ("server.record_audio", "yes", "expected true or false, got 'yes'"),
        ("agent.provider", "openai", "expected 'openai_realtime', got 'openai'"),
        ("agent.instructions", "  ", "must not be empty"),
        ("agent.first_message", 1, "expected a text, got an integer"),
        ("carriers.twilio.account_sid", "AC../x", "expected AC and then letters and digits"),
        ("carriers.twilio.phone_number", "555-1234", "expected a number in E.164 form, such as +15551234567"),
        ("providers.openai_realtime.turn_detection", "none", "expected 'server_vad' or 'semantic_vad', got 'none'"),
        ("providers.openai_realtime.vad_threshold", 1.01, "must be from 0 to 1, got 1.01"),
        ("providers.openai_realtime.vad_threshold", float("nan"), "expected a finite number, got nan"),
        ("providers.openai_realtime.speed", 0.2, "must be from 0.25 to 1.5, got 0.2"),
        ("providers.openai_realtime.speed", "fast", "expected a number, got 'fast'"),
        ("providers.openai_realtime.silence_duration_ms", -1, "must be from 0 to 60000, got -1"),
        ("providers.openai_realtime.noise_reduction", "", "expected 'near_field' or 'far_field' or 'off', got ''"),
    ],
)
def test_a_wrong_value_is_told_with_what_was_expected(key: str, value: object, said: str) -> None:
    """Ranges, types and choices."""
    assert problem(key, value) == f"{said} (from an explicit argument)"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("voice.example.com", "expected a URL such as https://host/path"),
        ("ftp://voice.example.com", "expected a URL such as https://host/path"),
        ("https://", "expected a URL such as https://host/path"),
        ("https://[::1", "expected a URL such as https://host/path"),
        ("https://host:99999", "expected a URL such as https://host/path"),
        ("https://host name/", "must be one word"),
        ("http://voice.example.com", "http is allowed for loopback only: use https"),
        ("ws://10.0.0.1", "ws is allowed for loopback only: use https"),
        ("http://127.0.0.1.example.com", "http is allowed for loopback only: use https"),
        ("https://user:planted@voice.example.com", "a URL must not carry a user name or password"),
        ("https://voice.example.com/?key=planted", "a base URL has neither query nor fragment"),
        ("https://voice.example.com/#", "a base URL has neither query nor fragment"),
    ],
)
def test_a_public_url_is_encrypted_and_plain(url: str, said: str) -> None:
    """Only loopback may go unencrypted; a URL is never repeated, it may carry a password."""
    told = problem("server.public_url", url)
    assert told.startswith(said)
    assert "planted" not in told


@pytest.mark.parametrize(
    ("given_url", "kept"),
    [
        ("https://voice.example.com/", "https://voice.example.com"),
        ("HTTPS://voice.example.com/calls/", "https://voice.example.com/calls"),
        ("wss://voice.example.com", "https://voice.example.com"),
        ("ws://localhost:8000", "http://localhost:8000"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("http://[::1]:8000", "http://[::1]:8000"),
        ("", None),
    ],
)
def test_a_public_url_is_kept_in_one_form(given_url: str, kept: str | None) -> None:
    """http or https, no slash at the end: signatures are made over it letter by letter."""
    assert Settings.load(WHOLE, NO_ENVIRONMENT, {"server.public_url": given_url}).server.public_url == kept


@pytest.mark.parametrize("url", ["wss://h/v1", "https://h/v1", "ws://127.0.0.1:1/v1", "http://localhost:1/v1"])
def test_a_providers_url_may_be_either_kind(url: str) -> None:
    """OPENAI_BASE_URL is usually http(s); the connection is ws(s)."""
    settings = Settings.load(WHOLE, {"OPENAI_BASE_URL": url + "/"})
    assert settings.providers.openai_realtime.base_url == url


def test_a_key_is_never_sent_in_clear_to_another_machine() -> None:
    """Remote base URLs are encrypted, too."""
    said = problem("providers.openai_realtime.base_url", "ws://provider.example.com/v1")
    assert said.startswith("ws is allowed for loopback only: use wss")


def test_a_server_that_others_can_reach_needs_its_public_url() -> None:
    """Signatures and media URLs are made with it; guessing it would fail open or not at all."""
    (error,) = Settings.problems(None, {**NEEDED, "VOICECORE_SERVER__HOST": "0.0.0.0"})  # noqa: S104
    assert str(error) == "server.public_url: missing; it is needed where server.host is not loopback"


def test_recordings_need_a_folder() -> None:
    """Asking for audio without a place for it is a mistake, not silence."""
    (error,) = Settings.problems(WHOLE, {"VOICECORE_SERVER__RECORD_AUDIO": "true"})
    assert str(error) == "server.record_audio: needs server.data_dir, where recordings are kept"


def test_an_address_for_metrics_needs_a_port() -> None:
    """Alone it would do nothing; a port alone is on loopback, and a token is never shown."""
    (error,) = Settings.problems(WHOLE, {"VOICECORE_SERVER__METRICS_HOST": "10.0.0.1"})
    assert str(error) == "server.metrics_host: has no effect unless server.metrics_port is set"
    given = {"VOICECORE_SERVER__METRICS_PORT": "9100", "VOICECORE_SERVER__METRICS_TOKEN": "planted-token"}
    server = Settings.load(WHOLE, given).server
    assert (server.metrics_port, server.metrics_host) == (9100, None)
    assert "planted-token" not in repr(server)
    (error,) = Settings.problems(WHOLE, {"VOICECORE_SERVER__METRICS_PORT": "much"})
    assert str(error).startswith("server.metrics_port: expected an integer, got 'much'")


def test_metrics_cannot_share_the_port_of_the_webhooks() -> None:
    """Said by the setting's name, instead of "another process has it"; on another address the port is free."""
    given = {"VOICECORE_SERVER__PORT": "9100", "VOICECORE_SERVER__METRICS_PORT": "9100"}
    (error,) = Settings.problems(WHOLE, given)
    assert str(error) == "server.metrics_port: 9100 is server.port already; choose another one"
    assert Settings.problems(WHOLE, given | {"VOICECORE_SERVER__METRICS_HOST": "10.0.0.1"}) == []
    free = {"VOICECORE_SERVER__PORT": "0", "VOICECORE_SERVER__METRICS_PORT": "0"}
    assert Settings.problems(WHOLE, free) == []


def test_settings_are_read_from_the_folder_as_the_commands_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file by its name, or the one that lies there; the environment beats it, explicit values beat both."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"carriers\.twilio\.account_sid: missing"):
        load_settings(environ={})
    (tmp_path / "voicecore.toml").write_text(WHOLE)
    assert load_settings(environ={}) == load_settings("voicecore.toml", environ={}) == Settings.load(WHOLE, {})
    given = {"VOICECORE_SERVER__PORT": "1"}
    assert load_settings(environ=given).server.port == 1
    assert load_settings(environ=given, overrides={"server.port": 2}).server.port == 2
    monkeypatch.setenv("VOICECORE_SERVER__PORT", "3")
    assert load_settings().server.port == 3


@pytest.mark.parametrize(
    ("content", "problem"),
    [(None, "cannot be read: No such file or directory"), (b"\xff", "is not UTF-8 text")],
)
def test_a_file_that_cannot_be_read_is_named(content: bytes | None, problem: str, tmp_path: Path) -> None:
    """Path and reason; nothing falls back to the environment in silence."""
    path = tmp_path / "other.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load_settings(path, environ={})
    assert str(caught.value) == f"{path}: {problem}"


@pytest.mark.parametrize(
    ("detection", "key", "value"),
    [
        ("semantic_vad", "vad_threshold", 0.6),
        ("semantic_vad", "silence_duration_ms", 300),
        ("server_vad", "eagerness", "high"),
    ],
)
def test_a_setting_without_effect_is_an_error(detection: str, key: str, value: object) -> None:
    """Each way of detecting turns has its own settings; the others would be dropped silently."""
    section = "providers.openai_realtime"
    wanted = {f"{section}.turn_detection": detection, f"{section}.{key}": value}
    (error,) = Settings.problems(WHOLE, NO_ENVIRONMENT, wanted)
    assert error.key == f"{section}.{key}"
    assert "has no effect unless turn_detection is" in error.problem


# --- settings made in Python ----------------------------------------------------------


@pytest.mark.parametrize("section", SECTIONS.values())
def test_every_setting_says_what_it_may_be(section: type[attrs.AttrsInstance]) -> None:
    """A field without a kind could not be set by anybody, and would not be checked."""
    assert all(isinstance(field.validator, Kind) for field in attrs.fields(section))


def test_a_value_made_in_python_passes_the_same_check() -> None:
    """Embedding programs get the same errors as the file."""
    with pytest.raises(ConfigError, match=r"speed: must be from 0\.25 to 1\.5, got 9"):
        OpenAIRealtimeSettings(api_key=Secret("key"), speed=9)


# --- hostile sources ----------------------------------------------------------------------

KEYS = [f"{table}.{field.name}" for table, section in SECTIONS.items() for field in attrs.fields(section)]
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.dates()
    | st.text(max_size=20)
    | st.sampled_from(["true", "https://h", "ws://[", "+15551234567", "AC1", "server_vad"])
)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner))
names = st.sampled_from([name for key in KEYS for name in key.split(".")]) | st.text(string.printable, max_size=8)
tables = st.recursive(values, lambda inner: st.dictionaries(names, inner, max_size=4), max_leaves=10)


@given(
    st.dictionaries(names | st.sampled_from(KEYS), tables, max_size=4),
    st.dictionaries(
        st.sampled_from([f"VOICECORE_{key.upper().replace('.', '__')}" for key in KEYS])
        | st.text(string.ascii_uppercase + "_.", max_size=8).map("VOICECORE_{}".format),
        st.text(max_size=12),
        max_size=4,
    ),
)
@example({}, {"VOICECORE_" + "__A" * 5_000: "x"})
def test_whatever_is_given_only_a_config_error_comes(given_tables: dict[str, object], environ: dict[str, str]) -> None:
    """Any tables, any types, any variables: ConfigErrors, each one printable line."""
    problems = Settings.problems("server = 1", environ, given_tables)
    assert all(str(error).isprintable() for error in problems)
    with pytest.raises(ConfigError, match=r"^server: expected a table"):
        Settings.load("server = 1", environ, given_tables)


@given(st.text(max_size=200))
def test_whatever_the_file_holds_only_a_config_error_comes(toml_text: str) -> None:
    """Any text at all."""
    with pytest.raises(ConfigError):
        Settings.load(toml_text, NO_ENVIRONMENT)


@given(
    st.sampled_from(SECRET_KEYS),
    st.sampled_from(["planted-5f1e", "planted 5f1e", "planted-5f1e\n", "plänted-5f1e"]),
    st.sampled_from(["text", "list", "table", "variable", "deeper variable", "beside a syntax error"]),
)
def test_a_planted_secret_is_never_told(key: str, planted: str, where: str) -> None:
    """Neither settings nor errors show a secret, well-formed or not, wherever its key is."""
    environ, explicit, toml_text = dict(NEEDED), dict[str, object](), ""
    match where:
        case "text":
            explicit[key] = planted
        case "list":
            explicit[key] = [planted]
        case "table":
            explicit[key.rpartition(".")[0]] = planted
        case "variable":
            environ["VOICECORE_" + key.upper().replace(".", "__")] = planted
        case "deeper variable":
            environ["VOICECORE_" + key.upper().replace(".", "__") + "__X"] = planted
        case _:
            toml_text = f"{key} = {json.dumps(planted)} oops"
    problems = Settings.problems(toml_text, environ, explicit)
    shown = repr(problems) + "".join(str(error) for error in problems)
    shown += "" if problems else repr(Settings.load(toml_text, environ, explicit))
    assert "***" in shown or problems
    assert "5f1e" not in shown
