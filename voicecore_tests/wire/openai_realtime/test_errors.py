"""What an error, a close or a refusal means for what we do next."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicecore.events import Severity
from voicecore.wire.openai_realtime import ErrorClass, Outlook, classify_close, classify_error, classify_status


@pytest.mark.parametrize(
    ("code", "meaning"),
    [
        ("invalid_api_key", ErrorClass.FATAL),
        ("insufficient_quota", ErrorClass.FATAL),
        ("beta_api_shape_disabled", ErrorClass.FATAL),
        ("session_expired", ErrorClass.SESSION_OVER),
        ("rate_limit_exceeded", ErrorClass.RETRY_RESPONSE),
        ("conversation_already_has_active_response", ErrorClass.DEFER),
        ("response_cancel_not_active", ErrorClass.IGNORE),
        ("input_audio_buffer_commit_empty", ErrorClass.IGNORE),
        ("item_truncate_invalid_item_id", ErrorClass.LOG),
        ("invalid_value", ErrorClass.LOG),
        ("unknown_parameter", ErrorClass.OUR_BUG),
        ("cannot_update_voice", ErrorClass.OUR_BUG),
        ("something_new", ErrorClass.UNKNOWN),
        (None, ErrorClass.UNKNOWN),
    ],
)
def test_the_code_decides(code: str | None, meaning: ErrorClass) -> None:
    """Whatever type and message say beside it."""
    assert classify_error(code, "invalid_request_error", "anything") is meaning


def test_a_known_code_outranks_the_type() -> None:
    """A quota that is used up stays used up, also where the server calls it its own error."""
    assert classify_error("insufficient_quota", "server_error") is ErrorClass.FATAL


@pytest.mark.parametrize("code", [None, "internal_error"])
def test_trouble_of_the_server_costs_the_response(code: str | None) -> None:
    """The type decides where the code is unknown or missing; the session usually lives."""
    assert classify_error(code, "server_error", "The server had an error") is ErrorClass.RETRY_RESPONSE


def test_a_truncate_without_audio_has_no_code() -> None:
    """The refusal is known by its message alone, captured with a null code."""
    message = "Only model output audio messages can be truncated."
    assert classify_error(None, "invalid_request_error", message) is ErrorClass.LOG


@pytest.mark.parametrize(
    ("code", "error_type", "message", "meaning"),
    [
        (None, "insufficient_quota", None, ErrorClass.FATAL),
        ("quota", "insufficient_quota", None, ErrorClass.FATAL),
        ("rate_limit_exceeded", "insufficient_quota", None, ErrorClass.FATAL),
        ("insufficient_quota", "requests", None, ErrorClass.FATAL),
        (None, "authentication_error", "no", ErrorClass.FATAL),
        (None, "rate_limit_error", None, ErrorClass.RETRY_RESPONSE),
        ("rate_limit_exceeded", "rate_limit_error", None, ErrorClass.RETRY_RESPONSE),
        (None, "session_expired", None, ErrorClass.SESSION_OVER),
        (None, None, "You exceeded your current quota, please check your plan.", ErrorClass.FATAL),
        (None, "invalid_request_error", "Incorrect API key provided: sk-***.", ErrorClass.FATAL),
        (None, None, "insufficient_quota: pay first", ErrorClass.FATAL),
        (None, None, "Cancellation failed (response_cancel_not_active)", ErrorClass.IGNORE),
        ("new_code", None, "not about insufficient_quota", ErrorClass.UNKNOWN),
        (None, None, None, ErrorClass.UNKNOWN),
        (None, None, "", ErrorClass.UNKNOWN),
    ],
)
def test_a_failure_is_known_wherever_it_is_named(
    code: str | None, error_type: str | None, message: str | None, meaning: ErrorClass
) -> None:
    """As the code, as the type, or in words where there are only words; what is fatal stays fatal."""
    assert classify_error(code, error_type, message) is meaning


@pytest.mark.parametrize(
    ("meaning", "severity"),
    [
        (ErrorClass.FATAL, Severity.FATAL),
        (ErrorClass.SESSION_OVER, Severity.FATAL),
        (ErrorClass.DEFER, Severity.BUSY),
        (ErrorClass.IGNORE, Severity.HARMLESS),
        (ErrorClass.UNKNOWN, Severity.REFUSED),
    ],
)
def test_every_class_has_a_severity_that_all_providers_share(meaning: ErrorClass, severity: Severity) -> None:
    """The engine never sees a code."""
    assert meaning.severity is severity
    assert {each.severity for each in ErrorClass} == set(Severity)


@pytest.mark.parametrize("code", [None, 1001, 1005, 1006, 1011, 1012, 1013, 1015])
def test_trouble_on_the_way_is_worth_another_try(code: int | None) -> None:
    """The same codes as in the official client; no close frame at all is 1006."""
    assert classify_close(code) is Outlook.RETRY


def test_a_normal_close_wants_no_other_try() -> None:
    """1000 is a normal end."""
    assert classify_close(1000) is Outlook.OVER


@given(st.integers(4000, 4999) | st.sampled_from([1002, 1003, 1007, 1008, 1009, 1010]))
def test_i6_a_refusal_by_close_code_is_final(code: int) -> None:
    """4000 ended beta connections; trying again for ever has been seen."""
    assert classify_close(code) is Outlook.REFUSED


@pytest.mark.parametrize(
    ("status", "outlook"),
    [
        (400, Outlook.REFUSED),
        (401, Outlook.REFUSED),
        (403, Outlook.REFUSED),
        (404, Outlook.REFUSED),
        (302, Outlook.REFUSED),
        (429, Outlook.RETRY_LATER),
        (500, Outlook.RETRY),
        (503, Outlook.RETRY_LATER),
        (200, Outlook.REFUSED),
    ],
)
def test_a_refused_upgrade_is_judged_by_its_status(status: int, outlook: Outlook) -> None:
    """A bad key, region or model stays bad; limits pass; server trouble may be over already."""
    assert classify_status(status) is outlook
