"""Webhooks with fields missing, empty or odd: an unneeded field costs no call, and no status."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from trio.testing import MockClock

from voicecore.facts import EndCause
from voicecore.simulation.openai_realtime import Recorded, Reply, Script
from voicecore.simulation.twilio import At, HangUp, StatusFaults, WebhookFaults
from voicecore_tests.kit import nothing_is_left, rig

HELLO = Script(replies=(Reply("Hello.", speech=Recorded("agent-hello")),))
SHORT = (HangUp(At(3.0)),)
MORE = {
    "StirVerstat": "TN-Validation-Passed-A",
    "CallToken": '{"parentCallInfoToken":"eyJ","identityHeaderTokens":["a+b/c="]}',
    "CallerName": "DÖE, J & SON+CO",
    "SipHeader_X-Trace": "a b;c=d",
    "Digits": "",
}


@pytest.mark.parametrize(
    ("fields", "caller", "callee"),
    [
        ({"From": None, "Caller": None}, "unknown", "+15550100002"),
        ({"From": "", "Caller": ""}, "unknown", "+15550100002"),
        ({"From": "anonymous"}, "anonymous", "+15550100002"),
        ({"From": "client:browser user", "To": "sip:a@b.example.test"}, "client:browser user", "sip:a@b.example.test"),
        ({"To": None, "Called": None, "AccountSid": None, "Direction": None}, "+15550100001", "unknown"),
        (MORE, "+15550100001", "+15550100002"),
    ],
    ids=["no From", "empty", "anonymous", "odd", "no To", "more"],
)
async def test_a_call_is_taken_whoever_calls(
    autojump_clock: MockClock, fields: Mapping[str, str | None], caller: str, callee: str
) -> None:
    """Whose number is not known is "unknown", in the record too."""
    async with rig(HELLO, agent__first_message="Hello.") as it:
        await it.carrier.call(it.engine.url, SHORT, webhooks=WebhookFaults(fields=fields))
        await it.engine.drain()
        nothing_is_left(it)
        assert it.carrier.violations == []
    (record,) = it.records()
    assert (record["outcome"], record["caller"], record["callee"]) == ("remote_hung_up", caller, callee)


@pytest.mark.parametrize(("odd", "kept"), [("", None), ("3.0", 3), ("x", None), (None, None), ("-1", None)])
async def test_a_status_counts_whatever_its_duration_is(
    autojump_clock: MockClock, odd: str | None, kept: int | None
) -> None:
    """The last word is not waited for, and not lost."""
    statuses = StatusFaults(final_fields={"CallDuration": odd, "Timestamp": None, "SequenceNumber": "x"})
    async with rig(HELLO, agent__first_message="Hello.") as it:
        await it.carrier.call(it.engine.url, SHORT, statuses=statuses)
        await it.engine.drain()
        assert it.carrier.violations == []
    report = it.report
    assert (report.outcome, report.carrier_status) == (EndCause.REMOTE_HUNG_UP, "completed")
    assert report.carrier_duration_s == kept
