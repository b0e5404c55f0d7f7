"""Calls that are placed: each plan, as the application sees it on the wire."""

from __future__ import annotations

import math

import pytest
import trio
from trio.testing import MockClock

from voicecore.net.http.messages import Response
from voicecore.simulation.twilio import (
    AmdCallback,
    At,
    DialPlan,
    HangUp,
    LineFaults,
    Pickup,
    Say,
    StatusFaults,
    StreamEnd,
)
from voicecore_tests.simulation.twilio.kit import CALLEE, NUMBER, Office, office, until, xml

TALK = (Say(At(0.5), b"\x11" * 800), HangUp(At(3.0)))
ASYNC_AMD = (("MachineDetection", "Enable"), ("AsyncAmd", "true"))


def amd(it: Office) -> list[tuple[str, str]]:
    return [*ASYNC_AMD, ("AsyncAmdStatusCallback", f"{it.app.url}/amd?call=c_1")]


async def test_a_call_rings_is_answered_talks_and_is_completed(autojump_clock: MockClock) -> None:
    """Every status at its moment, signed over the URL with its query, numbered, with Twilio's fields."""
    async with office() as it:
        it.carrier.expect(DialPlan(queue_s=1.0, ring_s=4.0, script=TALK))
        began_at = trio.current_time()
        await it.dial_through()
    (dialled,) = it.carrier.dials
    assert it.app.statuses == ["initiated", "ringing", "in-progress", "completed"] == list(dialled.statuses)
    moments = [webhook.at - began_at for webhook in it.app.webhooks]
    assert moments == pytest.approx([1.0, 1.0, 5.0, 8.0], abs=0.1)
    assert [fields["SequenceNumber"] for fields in it.app.came("/status")] == ["0", "1", "2", "3"]
    last = it.app.came("/status")[-1]
    assert (last["From"], last["To"], last["Direction"]) == (NUMBER, CALLEE, "outbound-api")
    assert (last["CallSid"], last["CallDuration"]) == (dialled.call_sid, "3")
    assert (dialled.ended_by, dialled.rang, dialled.status) == ("callee", 1, "completed")
    assert it.carrier.violations == []


async def test_inline_twiml_opens_the_stream_with_its_parameters(autojump_clock: MockClock) -> None:
    """The stream of a placed call is that of any other: start, media, stop, close."""
    async with office() as it:
        it.carrier.expect(DialPlan(script=TALK))
        await it.dial_through()
    (dialled,), (start,) = it.carrier.dials, it.app.streams
    assert (start["callSid"], start["customParameters"]) == (dialled.call_sid, {"call": "c_1"})
    assert it.app.events == ["connected", "start", "stop", "closed"]
    assert dialled.line is not None
    assert b"\x11" * 800 in dialled.line.sent_audio
    assert it.carrier.lines == [dialled.line]


async def test_a_url_is_asked_for_twiml_once_the_call_is_answered(autojump_clock: MockClock) -> None:
    """With the call's fields, signed over the URL and its query."""
    async with office() as it:
        it.carrier.expect(DialPlan(script=TALK))
        await it.dial_through(("Url", f"{it.app.url}/voice?call=c_1"), without=["Twiml"])
    (fields,) = it.app.came("/voice")
    assert (fields["CallStatus"], fields["Direction"], "AnsweredBy" in fields) == ("in-progress", "outbound-api", False)
    assert len(it.app.streams) == 1


@pytest.mark.parametrize(
    ("end", "told", "rang"),
    [
        (Pickup.BUSY, ["initiated", "ringing", "busy"], 1),
        (Pickup.NO_ANSWER, ["initiated", "ringing", "no-answer"], 1),
        (Pickup.FAILED, ["initiated", "failed"], 0),
        (Pickup.CANCELED, ["initiated", "ringing", "canceled"], 1),
    ],
)
async def test_a_call_that_nobody_answers_ends_in_its_status(
    autojump_clock: MockClock, end: Pickup, told: list[str], rang: int
) -> None:
    """No TwiML is asked for, no stream is opened, and no duration is told."""
    async with office() as it:
        it.carrier.expect(DialPlan(ring_s=3.0, end=end))
        began_at = trio.current_time()
        await it.dial_through(("Url", f"{it.app.url}/voice"), without=["Twiml"])
        assert trio.current_time() - began_at == pytest.approx(3.0, abs=0.1)
    (dialled,) = it.carrier.dials
    assert (it.app.statuses, dialled.rang, dialled.ended_by, dialled.line) == (told, rang, "carrier", None)
    assert it.app.came("/voice") == []
    assert "CallDuration" not in it.app.came("/status")[-1]


async def test_ringing_beyond_the_timeout_ends_in_no_answer(autojump_clock: MockClock) -> None:
    """Twilio adds about five seconds."""
    async with office() as it:
        it.carrier.expect(DialPlan(ring_s=60.0))
        began_at = trio.current_time()
        await it.dial_through(("Timeout", "20"))
        assert trio.current_time() - began_at == pytest.approx(25.0, abs=0.1)
    assert it.app.statuses == ["initiated", "ringing", "no-answer"]


async def test_a_silent_call_tells_nothing_until_it_is_ended(autojump_clock: MockClock) -> None:
    """And not even then."""
    async with office() as it:
        it.carrier.expect(DialPlan(end=Pickup.SILENT))
        call_sid = await it.dial()
        await trio.sleep(200.0)
        assert it.carrier.dials[0].rang == 1
        assert (await it.update(call_sid, "completed"))[0] == 200
        await it.carrier.dials[0].over.wait()
    assert (it.app.webhooks, it.carrier.dials[0].status) == ([], "canceled")


async def test_only_the_events_that_are_asked_for_are_told(autojump_clock: MockClock) -> None:
    """The end alone where nothing is said; a call that was not answered ends as well."""
    async with office() as it:
        it.carrier.expect([DialPlan(script=TALK), DialPlan(end=Pickup.BUSY), DialPlan(script=TALK)])
        for _ in range(2):
            await it.dial_through(without=["StatusCallbackEvent"])
        await it.dial_through(("StatusCallbackEvent", "answered"), without=["StatusCallbackEvent"])
        assert it.app.statuses == ["completed", "busy", "in-progress"]
        await it.dial_through(without=["StatusCallback"])
    assert len(it.app.webhooks) == 3


@pytest.mark.parametrize(
    ("faults", "told", "numbers"),
    [
        (StatusFaults(repeats=2), ["initiated"] * 2 + ["ringing"] * 2 + ["busy"] * 2, "001122"),
        (StatusFaults(reversed=True), ["busy", "ringing", "initiated"], "210"),
        (StatusFaults(late_s=5.0), ["initiated", "ringing", "busy"], "012"),
        (StatusFaults(sends=False), [], ""),
    ],
    ids=["repeated", "reversed", "late", "none"],
)
async def test_callbacks_go_wrong_as_planned(
    autojump_clock: MockClock, faults: StatusFaults, told: list[str], numbers: str
) -> None:
    """Their numbers always tell the true order."""
    async with office() as it:
        it.carrier.expect(DialPlan(end=Pickup.BUSY, statuses=faults))
        await it.dial_through()
    assert it.app.statuses == told
    assert "".join(fields["SequenceNumber"] for fields in it.app.came("/status")) == numbers


async def test_late_callbacks_do_not_hold_up_the_call(autojump_clock: MockClock) -> None:
    """The stream comes before anybody said that it rings."""
    async with office() as it:
        it.carrier.expect(DialPlan(ring_s=1.0, script=TALK, statuses=StatusFaults(late_s=2.0)))
        await it.dial()
        await until(lambda: bool(it.app.streams))
        assert it.app.statuses == []
        await it.carrier.dials[0].over.wait()
    assert it.app.statuses == ["initiated", "ringing", "in-progress", "completed"]


async def test_the_end_may_be_told_before_the_stream_stops(autojump_clock: MockClock) -> None:
    """As it is in the field, by some hundred milliseconds."""
    async with office() as it:
        it.carrier.expect(DialPlan(script=TALK, statuses=StatusFaults(completed_before_stop_s=0.2)))
        await it.dial()
        await until(lambda: "completed" in it.app.statuses)
        assert "stop" not in it.app.events
        await it.carrier.dials[0].over.wait()
    assert it.app.events[-2:] == ["stop", "closed"]
    assert it.app.statuses.count("completed") == 1


# --- how an answered call goes on and ends -----------------------------------------------


async def test_a_stream_that_the_application_closes_ends_the_call(autojump_clock: MockClock) -> None:
    """With no verb behind it; no stop comes then."""
    async with office() as it:
        it.app.closes_after_s = 1.0
        await it.dial_through()
    assert it.carrier.dials[0].ended_by == "application"
    assert "stop" not in it.app.events
    assert it.app.statuses[-1] == "completed"


async def test_what_is_said_behind_the_stream_is_kept_with_its_line(autojump_clock: MockClock) -> None:
    """Only where the application closed the stream: nobody is left to hear it otherwise."""
    async with office() as it:
        it.app.closes_after_s = 2.0
        it.carrier.expect([DialPlan(), DialPlan(script=[HangUp(At(1.0))])])
        for _ in range(2):
            await it.dial_through(("Twiml", it.app.twiml("<Say>We are sorry.</Say>")), without=["Twiml"])
    assert [line.said_after for line in it.carrier.lines] == ["We are sorry.", ""]


@pytest.mark.parametrize("twiml", ["<Response><Hangup/></Response>", "<Response/>", "<Response><Reject/></Response>"])
async def test_twiml_without_a_stream_ends_the_call(autojump_clock: MockClock, twiml: str) -> None:
    """It was answered, so it is completed."""
    async with office() as it:
        await it.dial_through(("Twiml", twiml), without=["Twiml"])
    assert it.app.statuses == ["initiated", "ringing", "in-progress", "completed"]
    assert (it.carrier.lines, it.carrier.dials[0].ended_by) == ([], "application")


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (Response(500), "11200"),
        (Response(200, b"{}", "application/json"), "11200"),
        (xml("<Response"), "12100"),
        (xml("<Response><Dial>+1</Dial></Response>"), "12200"),
    ],
)
async def test_twiml_that_cannot_be_had_ends_the_call(autojump_clock: MockClock, answer: Response, code: str) -> None:
    """It is a violation, and completed all the same."""
    async with office() as it:
        it.app.answers["/voice"] = answer
        await it.dial_through(("Url", f"{it.app.url}/voice"), without=["Twiml"])
    assert [violation[:5] for violation in it.carrier.violations] == [code]
    assert it.app.statuses[-1] == "completed"


async def test_the_fallback_is_asked_when_twiml_cannot_be_had(autojump_clock: MockClock) -> None:
    """It is told what went wrong, and where."""
    async with office() as it:
        it.app.answers |= {"/voice": Response(500), "/fallback": xml(it.app.twiml())}
        it.carrier.expect(DialPlan(script=TALK))
        urls = [("Url", f"{it.app.url}/voice"), ("FallbackUrl", f"{it.app.url}/fallback")]
        await it.dial_through(*urls, without=["Twiml"])
    (fields,) = it.app.came("/fallback")
    assert (fields["ErrorCode"], fields["ErrorUrl"]) == ("11200", f"{it.app.url}/voice")
    assert len(it.app.streams) == 1


async def test_a_stream_that_is_refused_is_a_violation_and_twiml_goes_on(autojump_clock: MockClock) -> None:
    """31920."""
    async with office() as it:
        it.app.refuses_streams = True
        await it.dial_through(("Twiml", it.app.twiml("<Say>Sorry.</Say>")), without=["Twiml"])
    assert [violation[:5] for violation in it.carrier.violations] == ["31920"]
    assert [(line.said_after, line.over.is_set()) for line in it.carrier.lines] == [("Sorry.", True)]
    assert it.app.statuses[-1] == "completed"


async def test_a_stream_may_come_late_or_never(autojump_clock: MockClock) -> None:
    """A call without one stays in progress until somebody ends it."""
    async with office() as it:
        it.carrier.expect([DialPlan(ring_s=1.0, stream_after_s=7.0, script=TALK), DialPlan(stream_after_s=math.inf)])
        began_at = trio.current_time()
        await it.dial()
        await until(lambda: bool(it.app.streams))
        assert trio.current_time() - began_at == pytest.approx(8.0, abs=0.1)
        call_sid = await it.dial()
        await trio.sleep(300.0)
        assert (await it.fetch(call_sid))[1]["status"] == "in-progress"
        await it.update(call_sid, "completed")
        await it.carrier.dials[1].over.wait()
    late, never = it.carrier.dials
    assert (late.ended_by, never.ended_by, never.line, never.status) == ("callee", "rest", None, "completed")


async def test_a_line_has_the_faults_of_its_plan(autojump_clock: MockClock) -> None:
    """Those of inbound calls."""
    async with office() as it:
        it.carrier.expect(DialPlan(script=TALK, line=LineFaults(stream_end=StreamEnd.CUT, second_start=True)))
        await it.dial_through()
    assert it.app.events == ["connected", "start", "start", "closed"]


async def test_a_call_ends_at_its_time_limit(autojump_clock: MockClock) -> None:
    """By the carrier."""
    async with office() as it:
        await it.dial_through(("TimeLimit", "30"))
    (dialled,) = it.carrier.dials
    assert (dialled.ended_by, dialled.duration_s, it.app.statuses[-1]) == ("carrier", 30, "completed")


# --- answering-machine detection ---------------------------------------------------------


async def test_an_asynchronous_verdict_comes_beside_the_talk(autojump_clock: MockClock) -> None:
    """By a signed callback of four fields, as often as planned; the stream does not wait for it."""
    verdict = AmdCallback(word="machine_start", after_s=2.5, times=2)
    async with office() as it:
        it.carrier.expect(DialPlan(ring_s=1.0, script=TALK, machine=verdict))
        began_at = trio.current_time()
        call_sid = await it.dial(*amd(it))
        await until(lambda: bool(it.app.streams))
        assert trio.current_time() - began_at < 1.1
        await it.carrier.dials[0].over.wait()
    expected = {
        "CallSid": call_sid,
        "AccountSid": it.carrier.account.account_sid,
        "AnsweredBy": "machine_start",
        "MachineDetectionDuration": "2500",
    }
    assert it.app.came("/amd") == [expected, expected]
    moments = [webhook.at - began_at for webhook in it.app.webhooks if webhook.path == "/amd"]
    assert moments == pytest.approx([3.5, 3.5], abs=0.1)


async def test_a_synchronous_verdict_comes_with_the_request_for_twiml(autojump_clock: MockClock) -> None:
    """Dead air until then."""
    async with office() as it:
        it.carrier.expect(DialPlan(ring_s=1.0, machine=AmdCallback(word="fax", after_s=4.0), script=TALK))
        began_at = trio.current_time()
        form = [("Url", f"{it.app.url}/voice"), ("MachineDetection", "Enable")]
        await it.dial_through(*form, without=["Twiml"])
    (fields,) = it.app.came("/voice")
    assert (fields["AnsweredBy"], fields["MachineDetectionDuration"]) == ("fax", "4000")
    (moment,) = [webhook.at - began_at for webhook in it.app.webhooks if webhook.path == "/voice"]
    assert moment == pytest.approx(5.0, abs=0.1)
    assert it.app.came("/amd") == []


async def test_a_verdict_beyond_its_bound_is_unknown(autojump_clock: MockClock) -> None:
    """At the moment of the bound."""
    async with office() as it:
        it.carrier.expect(DialPlan(machine=AmdCallback(after_s=20.0)))
        call_sid = await it.dial(*amd(it), ("MachineDetectionTimeout", "5"))
        await until(lambda: bool(it.app.came("/amd")))
        assert (await it.fetch(call_sid))[1]["answered_by"] == "unknown"
    (fields,) = it.app.came("/amd")
    assert (fields["AnsweredBy"], fields["MachineDetectionDuration"]) == ("unknown", "5000")


@pytest.mark.parametrize(
    ("form", "plan"),
    [
        ((), DialPlan(script=TALK)),
        ((*ASYNC_AMD, ("SendDigits", "ww1")), DialPlan(script=TALK)),
        (ASYNC_AMD, DialPlan(script=TALK, machine=AmdCallback(times=0))),
        (ASYNC_AMD, DialPlan(script=TALK, machine=AmdCallback(after_s=10.0))),
    ],
    ids=["not asked for", "switched off by keys", "never told", "call over before"],
)
async def test_there_may_be_no_verdict(
    autojump_clock: MockClock, form: tuple[tuple[str, str], ...], plan: DialPlan
) -> None:
    """Nobody asked, keys are sent, the carrier forgets it, or the call was shorter."""
    async with office() as it:
        it.carrier.expect(plan)
        callback = [("AsyncAmdStatusCallback", f"{it.app.url}/amd")] if form else []
        await it.dial_through(*form, *callback)
    assert it.app.came("/amd") == []
    assert len(it.app.streams) == 1
