"""Twilio's forms: read strictly, within limits, new fields ignored."""

from __future__ import annotations

from contextlib import suppress
from urllib.parse import parse_qs, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicecore.errors import RemoteProtocolError
from voicecore.statuses import AnsweredBy, CarrierStatus
from voicecore.wire.twilio_webhook import (
    FIELD_LIMIT,
    CallStatusReport,
    IncomingCall,
    MachineVerdict,
    parse_form,
    read_call_status,
    read_incoming_call,
    read_machine_verdict,
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
        (b"a=%zz", "bad percent"),
        (b"a=%4", "bad percent"),
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


def test_an_incoming_call_is_who_calls_whom() -> None:
    """Fields that nobody knows are ignored."""
    form = parse_form(urlencode({**CALL, "FromCity": "X", "Future": "1"}).encode())
    assert read_incoming_call(form) == IncomingCall(
        carrier_call_id="CA1", account_id="AC1", caller="+1555", callee="+1666"
    )


@pytest.mark.parametrize("name", ["CallSid", "AccountSid", "From", "To"])
def test_a_missing_field_is_named(name: str) -> None:
    """Clear enough to act on."""
    form = parse_form(urlencode({key: value for key, value in CALL.items() if key != name}).encode())
    with pytest.raises(RemoteProtocolError, match=name):
        read_incoming_call(form)


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


@pytest.mark.parametrize("duration", ["x", "-1", "1.5", "９", "1" * 10])
def test_a_bad_duration_is_named(duration: str) -> None:
    """Whole seconds, or nothing."""
    with pytest.raises(RemoteProtocolError, match="CallDuration"):
        read_call_status(parse_form(urlencode({**CALL, "CallDuration": duration}).encode()))


@pytest.mark.parametrize(
    ("word", "answered_by"),
    [
        ("human", AnsweredBy.HUMAN),
        ("machine_start", AnsweredBy.MACHINE_SPEAKS),
        ("machine_end_beep", AnsweredBy.MACHINE_LISTENS),
        ("machine_end_silence", AnsweredBy.MACHINE_LISTENS),
        ("machine_end_other", AnsweredBy.MACHINE_LISTENS),
        ("fax", AnsweredBy.FAX),
        ("unknown", AnsweredBy.UNKNOWN),
        ("Human", AnsweredBy.UNKNOWN),
        ("android", AnsweredBy.UNKNOWN),
    ],
)
def test_every_verdict_is_known_and_a_new_word_says_nothing(word: str, answered_by: AnsweredBy) -> None:
    """As the carrier spells them; a machine is never guessed."""
    verdict = read_machine_verdict(parse_form(urlencode({**CALL, "AnsweredBy": word}).encode()))
    assert verdict == MachineVerdict(carrier_call_id="CA1", answered_by=answered_by, word=word)


def test_a_form_without_a_verdict_says_that_nobody_knows() -> None:
    """A voice webhook of a placed call has one only where detection came first."""
    verdict = read_machine_verdict(parse_form(urlencode(CALL).encode()))
    assert (verdict.answered_by, verdict.word) == (AnsweredBy.UNKNOWN, "")


def test_a_verdicts_word_can_be_shown() -> None:
    """Cut, and without what would break a line of a log."""
    verdict = read_machine_verdict(parse_form(urlencode({**CALL, "AnsweredBy": "a\nb" + "c" * 999}).encode()))
    assert verdict.word.startswith("a\\nbccc")
    assert len(verdict.word) < 200


@pytest.mark.parametrize("call_id", ["", "XX1", "CA1/.."])
def test_j5_a_verdict_names_its_call(call_id: str) -> None:
    """By an id from the same safe alphabet."""
    with pytest.raises(RemoteProtocolError, match="CallSid"):
        read_machine_verdict(parse_form(urlencode({"CallSid": call_id, "AnsweredBy": "human"}).encode()))
