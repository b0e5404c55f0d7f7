"""Twilio's forms: read strictly, within limits, new fields ignored."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from urllib.parse import parse_qs, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicecore.errors import RemoteProtocolError
from voicecore.statuses import AnsweredBy, CarrierFailure, CarrierStatus
from voicecore.wire.twilio_webhook import (
    FIELD_LIMIT,
    UNKNOWN_PARTY,
    AmdCallback,
    CallStatusReport,
    Form,
    IncomingCall,
    parse_form,
    read_amd_callback,
    read_call_status,
    read_incoming_call,
    says_over,
)

CALL = {"CallSid": "CA1", "AccountSid": "AC1", "From": "+1555", "To": "+1666", "CallStatus": "ringing"}


@given(st.lists(st.tuples(st.text(min_size=1, max_size=8), st.text(max_size=12)), min_size=1, max_size=10))
def test_a_form_is_read_as_the_standard_library_reads_it(pairs: list[tuple[str, str]]) -> None:
    """Names with all their values, in order."""
    body = urlencode(pairs).encode()
    assert parse_form(body) == parse_qs(body.decode(), keep_blank_values=True)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "empty form"),
        (b"a=%zz", "invalid percent"),
        (b"a=%4", "invalid percent"),
        (b"a=%ff", "not UTF-8"),
        (b"&".join([b"a=1"] * (FIELD_LIMIT + 1)), f"more than {FIELD_LIMIT} fields"),
    ],
)
def test_s8_a_bad_form_is_refused_by_name(body: bytes, problem: str) -> None:
    """Before anything in it is believed."""
    with pytest.raises(RemoteProtocolError, match=problem):
        parse_form(body)


@given(st.binary(max_size=300))
def test_any_bytes_give_a_form_or_the_error(body: bytes) -> None:
    """Nothing else escapes, from the form and from its readers."""
    for read in (read_incoming_call, read_call_status):
        with suppress(RemoteProtocolError):
            assert read(parse_form(body)).carrier_call_id.startswith("CA")


def form_of(fields: Mapping[str, str]) -> Form:
    return parse_form(urlencode(fields).encode())


def test_an_incoming_call_is_who_calls_whom() -> None:
    """Unknown fields are ignored."""
    call = read_incoming_call(form_of({**CALL, "FromCity": "X", "Future": "1"}))
    assert call == IncomingCall(carrier_call_id="CA1", caller="+1555", callee="+1666")


@pytest.mark.parametrize(
    ("given", "caller"),
    [
        ("anonymous", "anonymous"),
        ("+266696687", "+266696687"),
        ("sip:alice@sip.example.test:5061;transport=tls", "sip:alice@sip.example.test:5061;transport=tls"),
        ("client:browser user", "client:browser user"),
        ("", UNKNOWN_PARTY),
        ("a\nb", "a\\nb"),
    ],
)
def test_a_user_is_whoever_twilio_says(given: str, caller: str) -> None:
    """Fit for a record; one who is not named is unknown."""
    call = read_incoming_call(form_of({**CALL, "From": given, "To": given}))
    assert (call.caller, call.callee) == (caller, caller)


@pytest.mark.parametrize("name", ["AccountSid", "From", "To", "CallStatus"])
def test_a_field_that_nobody_needs_may_be_missing(name: str) -> None:
    """It costs no call."""
    call = read_incoming_call(form_of({key: value for key, value in CALL.items() if key != name}))
    parties = {"From": call.caller, "To": call.callee}
    assert call.carrier_call_id == "CA1"
    assert parties.get(name, UNKNOWN_PARTY) == UNKNOWN_PARTY


@pytest.mark.parametrize(
    ("read", "name"),
    [(read_incoming_call, "CallSid"), (read_call_status, "CallSid"), (read_call_status, "CallStatus")],
)
def test_a_field_that_is_needed_is_named_where_it_is_missing(read: Callable[[Form], object], name: str) -> None:
    """Clear enough to act on."""
    with pytest.raises(RemoteProtocolError, match=name):
        read(form_of({key: value for key, value in CALL.items() if key != name}))


@pytest.mark.parametrize("call_id", ["../../x", "CA1/..", "XX1", "CA", "CA" + "1" * 63, "CA1\n"])
def test_j5_a_call_id_of_another_shape_is_refused(call_id: str) -> None:
    """Ids name things; they come from a safe alphabet."""
    with pytest.raises(RemoteProtocolError, match="CallSid"):
        read_incoming_call(parse_form(urlencode({**CALL, "CallSid": call_id}).encode()))


@pytest.mark.parametrize("word", [status.value for status in CarrierStatus if status is not CarrierStatus.UNKNOWN])
def test_every_status_word_is_known(word: str) -> None:
    """As the carrier spells it."""
    report = read_call_status(parse_form(urlencode({**CALL, "CallStatus": word, "CallDuration": "7"}).encode()))
    assert report == CallStatusReport(carrier_call_id="CA1", status=CarrierStatus(word), word=word, duration_s=7)


def test_f3_an_unknown_status_is_kept_and_terminal() -> None:
    """A word that the carrier invents tomorrow must not leave a call that never ends."""
    report = read_call_status(parse_form(urlencode({**CALL, "CallStatus": "vaporised"}).encode()))
    assert (report.status, report.word, report.status.is_terminal) == (CarrierStatus.UNKNOWN, "vaporised", True)


@pytest.mark.parametrize(
    ("given", "duration_s"),
    [("7", 7), ("5.0", 5), ("1.9", 1), ("0", 0), (" 3 ", 3)]
    + [(odd, None) for odd in ("", "x", "-1", "９", "1" * 10, "1e3", "nan", ".5", "5.x", "0x5")],
)
def test_a_duration_is_whole_seconds_or_not_known(given: str, duration_s: int | None) -> None:
    """Never a reason to lose the status."""
    report = read_call_status(form_of({**CALL, "CallStatus": "completed", "CallDuration": given}))
    assert (report.status, report.duration_s) == (CarrierStatus.COMPLETED, duration_s)


@pytest.mark.parametrize(
    ("fields", "failure", "words"),
    [
        ({"SipResponseCode": "486"}, CarrierFailure(sip_code=486), "SIP 486"),
        (
            {"SipResponseCode": "404", "ErrorCode": "13224", "ErrorMessage": "Invalid number"},
            CarrierFailure(sip_code=404, error_code=13224, message="Invalid number"),
            "SIP 404, error 13224: Invalid number",
        ),
        ({"ErrorMessage": "a\nb"}, CarrierFailure(message="a\\nb"), "a\\nb"),
        ({"ErrorCode": "E-7", "SipResponseCode": "", "ErrorMessage": ""}, None, ""),
        ({"SipResponseCode": "200", "ErrorCode": "0"}, None, ""),
        ({}, None, ""),
    ],
)
def test_why_a_call_failed_is_kept(fields: dict[str, str], failure: CarrierFailure | None, words: str) -> None:
    """Codes and words, as far as they can be read; a call that went well has no reason."""
    report = read_call_status(form_of({**CALL, "CallStatus": "failed", **fields}))
    assert (report.failure, str(report.failure or "")) == (failure, words)


def test_a_status_word_can_be_shown() -> None:
    """Cut, and without what would break a line of a log."""
    report = read_call_status(form_of({**CALL, "CallStatus": "a\nb" + "c" * 999}))
    assert report.word.startswith("a\\nbccc")
    assert len(report.word) < 50


@pytest.mark.parametrize("word", ["completed", "busy", "failed", "no-answer", "canceled", "ringing", "vaporised", ""])
def test_a_webhook_calls_its_call_over_by_a_word_that_we_know(word: str) -> None:
    """A new word may mean anything."""
    over = word in {"completed", "busy", "failed", "no-answer", "canceled"}
    assert says_over(form_of({**CALL, "CallStatus": word})) is over


@pytest.mark.parametrize(
    ("word", "answered_by"),
    [
        ("human", AnsweredBy.HUMAN),
        ("machine_start", AnsweredBy.MACHINE_GREETING),
        ("machine_end_beep", AnsweredBy.MACHINE_RECORDING),
        ("machine_end_silence", AnsweredBy.MACHINE_RECORDING),
        ("machine_end_other", AnsweredBy.MACHINE_RECORDING),
        ("fax", AnsweredBy.FAX),
        ("unknown", AnsweredBy.UNKNOWN),
        ("Human", AnsweredBy.UNKNOWN),
        ("android", AnsweredBy.UNKNOWN),
    ],
)
def test_every_verdict_is_known_and_a_new_word_says_nothing(word: str, answered_by: AnsweredBy) -> None:
    """As the carrier spells them; a machine is never guessed."""
    verdict = read_amd_callback(parse_form(urlencode({**CALL, "AnsweredBy": word}).encode()))
    assert verdict == AmdCallback(carrier_call_id="CA1", answered_by=answered_by, word=word)


def test_a_form_without_a_verdict_says_that_nobody_knows() -> None:
    """A voice webhook of a placed call has one only where detection came first."""
    verdict = read_amd_callback(parse_form(urlencode(CALL).encode()))
    assert (verdict.answered_by, verdict.word) == (AnsweredBy.UNKNOWN, "")


def test_a_verdicts_word_can_be_shown() -> None:
    """Cut, and without what would break a line of a log."""
    verdict = read_amd_callback(parse_form(urlencode({**CALL, "AnsweredBy": "a\nb" + "c" * 999}).encode()))
    assert verdict.word.startswith("a\\nbccc")
    assert len(verdict.word) < 200


@pytest.mark.parametrize("call_id", ["", "XX1", "CA1/.."])
def test_j5_a_verdict_names_its_call(call_id: str) -> None:
    """By an id from the same safe alphabet."""
    with pytest.raises(RemoteProtocolError, match="CallSid"):
        read_amd_callback(parse_form(urlencode({"CallSid": call_id, "AnsweredBy": "human"}).encode()))
