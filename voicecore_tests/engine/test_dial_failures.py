"""Dials that fail: each is its own call's end, with the carrier's reason in the record, and never the engine's."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from trio.testing import MockClock

from voicecore.carriers.twilio import TwilioDialler
from voicecore.config.sections import APOLOGY_LIMIT_CHARS
from voicecore.errors import LocalProtocolError
from voicecore.facts import EndCause
from voicecore.simulation.openai_realtime import Recorded, Reply, Script
from voicecore.simulation.twilio import AfterAgent, DialPlan, HangUp, LineFaults, Pickup, StatusFaults
from voicecore.wire import twilio_rest
from voicecore_tests.kit import CALLEE, nothing_is_left, rig

HELLO = Script(replies=(Reply("Hello.", speech=Recorded("agent-hello")),))
TALKS = DialPlan(ring_s=1.0, script=(HangUp(AfterAgent(0.5)),))


@pytest.mark.parametrize(
    ("end", "fields", "outcome", "detail"),
    [
        (
            Pickup.FAILED,
            {"SipResponseCode": "404", "ErrorCode": "13224", "ErrorMessage": "Invalid phone number format"},
            EndCause.DIAL_FAILED,
            "the carrier reported failed (SIP 404, error 13224: Invalid phone number format)",
        ),
        (Pickup.BUSY, {"SipResponseCode": "486"}, EndCause.BUSY, "the carrier reported busy (SIP 486)"),
        (Pickup.NO_ANSWER, {"SipResponseCode": ""}, EndCause.NO_ANSWER, "the carrier reported no-answer"),
        (
            Pickup.FAILED,
            {"CallStatus": "blocked", "SipResponseCode": "608"},
            EndCause.DIAL_FAILED,
            "the carrier reported blocked (SIP 608)",
        ),
    ],
    ids=["failed", "busy", "no-answer", "blocked"],
)
async def test_the_carriers_reason_is_in_the_record(
    autojump_clock: MockClock, end: Pickup, fields: Mapping[str, str], outcome: EndCause, detail: str
) -> None:
    """In words for people, and in fields for programs."""
    async with rig(HELLO) as it:
        report = await it.dial(DialPlan(ring_s=2.0, end=end, statuses=StatusFaults(final_fields=fields)))
        nothing_is_left(it)
    assert (report.outcome, report.outcome_detail) == (outcome, detail)
    (record,) = it.records()
    failure = record["carrier_failure"] or {}
    assert (failure.get("sip_code"), failure.get("error_code"), failure.get("message", "")) == (
        int(fields["SipResponseCode"]) if fields["SipResponseCode"] else None,
        int(fields["ErrorCode"]) if "ErrorCode" in fields else None,
        fields.get("ErrorMessage", ""),
    )


@pytest.mark.parametrize(
    "line", [LineFaults(other_token=True), LineFaults(sends_start=False)], ids=["refused", "never started"]
)
async def test_an_answered_call_without_media_is_no_talk(autojump_clock: MockClock, line: LineFaults) -> None:
    """The phone was picked up and nothing was heard: that must not pass for a call that went well."""
    async with rig(HELLO, agent__first_message="Hello.", carriers__twilio__apology="") as it:
        report = await it.dial(DialPlan(ring_s=1.0, line=line))
        nothing_is_left(it)
    assert (report.outcome, report.carrier_status) == (EndCause.MEDIA_NEVER_CAME, "completed")
    assert report.outcome_detail != ""


async def test_a_final_callback_without_its_duration_is_a_status_all_the_same(autojump_clock: MockClock) -> None:
    """Odd, left out, or of another shape: the call is over, and what is known of it is kept."""
    for odd, kept in (("", None), ("5.0", 5), (None, None), ("x", None)):
        faults = StatusFaults(final_fields={"CallDuration": odd, "From": None, "To": None, "AccountSid": None})
        async with rig(HELLO, agent__first_message="Hello.") as it:
            report = await it.dial(DialPlan(ring_s=1.0, script=TALKS.script, statuses=faults))
            assert it.carrier.violations == []
        assert (report.carrier_status, report.carrier_duration_s) == ("completed", kept)


# --- what goes wrong on our side ---------------------------------------------------------


@pytest.mark.parametrize(
    ("failure", "outcome", "detail"),
    [
        (LocalProtocolError("inline TwiML is too long"), EndCause.DIAL_FAILED, "inline TwiML is too long"),
        (ZeroDivisionError("a bug"), EndCause.FAILED, "ZeroDivisionError"),
        (OSError("no file descriptors"), EndCause.FAILED, "OSError"),
        (ExceptionGroup("several", [KeyError("a"), ValueError("b")]), EndCause.FAILED, "KeyError"),
        (RecursionError(), EndCause.FAILED, "RecursionError"),
        (MemoryError(), EndCause.FAILED, "MemoryError"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
async def test_a_dial_that_cannot_be_asked_for_ends_its_call_only(
    autojump_clock: MockClock,
    monkeypatch: pytest.MonkeyPatch,
    failure: Exception,
    outcome: EndCause,
    detail: str,
) -> None:
    """The one behind it rings."""

    async def fails(_self: TwilioDialler, _order: object) -> str:
        raise failure

    async with rig(HELLO, agent__first_message="Hello.") as it:
        with monkeypatch.context() as patched:
            patched.setattr(TwilioDialler, "dial", fails)
            report = await it.dial()
        assert (report.outcome, report.outcome_detail) == (outcome, detail)
        assert (await it.dial(TALKS)).outcome is EndCause.REMOTE_HUNG_UP
        nothing_is_left(it)
    assert len(it.records()) == 2


async def test_twiml_that_is_too_long_ends_its_call_and_says_what_to_do(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it may be in a program that makes its own account."""
    monkeypatch.setattr(twilio_rest, "TWIML_LIMIT_CHARS", 50)
    async with rig(HELLO) as it:
        report = await it.dial()
        nothing_is_left(it)
    assert report.outcome is EndCause.DIAL_FAILED
    assert "shorten the apology" in report.outcome_detail


async def test_the_longest_apology_with_the_longest_address_is_taken_by_the_carrier(autojump_clock: MockClock) -> None:
    """Configuration refuses what would not fit into a dial: see test_config.py."""
    apology = "&" * (APOLOGY_LIMIT_CHARS // len("&amp;"))
    public_url = "http://127.0.0.1:9/" + "x" * 481
    async with rig(HELLO, carriers__twilio__apology=apology, server__public_url=public_url) as it:
        async with it.engine.dial(CALLEE):
            pass
        (dialled,) = it.carrier.dials
    assert dialled.request.twiml is not None
    assert 3500 < len(dialled.request.twiml) <= twilio_rest.TWIML_LIMIT_CHARS
