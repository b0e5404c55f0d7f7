"""Settings that need each other, exclude each other, or share a bound."""

from __future__ import annotations

import pytest

from voicecore.config import Settings
from voicecore.config.sections import APOLOGY_LIMIT_CHARS
from voicecore_tests.test_config import NEEDED, NO_ENVIRONMENT, WHOLE, problem


@pytest.mark.parametrize(
    ("given_too", "said"),
    [
        ({"agent.first_message": None}, "without agent.first_message"),
        ({"agent.first_message_file": "hello.wav"}, "where agent.first_message_file is played"),
        ({"agent.speaks_first": "user"}, 'while agent.speaks_first is "user"'),
    ],
)
def test_a_message_is_not_prepared_where_that_has_no_effect(given_too: dict[str, object], said: str) -> None:
    """Refused, not ignored: who sets it believes that it does something."""
    source = WHOLE if given_too.get("agent.first_message", "") is not None else WHOLE.replace("first_message", "#")
    (error,) = Settings.problems(source, NO_ENVIRONMENT, {"agent.prepare_first_message": True, **given_too})
    assert (error.key, str(error)) == (
        "agent.prepare_first_message",
        f"agent.prepare_first_message: has no effect {said}",
    )


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ({"agent.first_message_file": "hello.wav"}, "agent.first_message: missing"),
        ({"outbound.on_voicemail": "leave_message"}, "outbound.voicemail_message: missing"),
        (
            {"outbound.on_voicemail": "leave_message", "outbound.voicemail_message": "Call back."},
            "outbound.machine_detection: must be",
        ),
        ({"outbound.ring_timeout_s": 4}, "outbound.ring_timeout_s"),
        ({"agent.speaks_first": "nobody"}, "agent.speaks_first"),
        ({"parking.max_sessions": 0}, "parking.max_sessions"),
    ],
)
def test_settings_that_need_each_other_say_so(overrides: dict[str, object], said: str) -> None:
    """By the key that is missing, or the one that is out of bounds."""
    problems = Settings.problems(None, {**NEEDED, "VOICECORE_AGENT__INSTRUCTIONS": "Be brief."}, overrides)
    assert [str(problem).startswith(said) for problem in problems] == [True]


def test_an_apology_that_would_not_fit_into_a_dial_is_refused() -> None:
    """By its length as XML; so is a URL that leaves no space for it."""
    key = "carriers.twilio.apology"
    assert Settings.problems(WHOLE, NO_ENVIRONMENT, {key: "a" * APOLOGY_LIMIT_CHARS}) == []
    assert f"{APOLOGY_LIMIT_CHARS} may be" in problem(key, "a" * (APOLOGY_LIMIT_CHARS + 1))
    assert "3001 characters" in problem(key, "a" * (APOLOGY_LIMIT_CHARS - 4) + "&")
    assert "500 characters" in problem("server.public_url", "https://voice.example.com/" + "x" * 500)
