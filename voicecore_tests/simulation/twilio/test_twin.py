"""Inbound calls: what becomes of them behind the stream, and of callbacks that go wrong."""

from __future__ import annotations

from functools import partial

import pytest
import trio
from trio.testing import MockClock

from voicecore.errors import HandshakeRefused, RemoteProtocolError
from voicecore.net.http.messages import Response
from voicecore.simulation.twilio import At, HangUp, StatusFaults
from voicecore_tests.simulation.twilio.kit import office, until, xml

STEPS = (HangUp(At(1.0)),)


def statuses(fields: list[dict[str, str]]) -> list[str]:
    return [each["CallStatus"] for each in fields]


async def test_an_inbound_call_rings_is_answered_and_ends(autojump_clock: MockClock) -> None:
    """Its answer is told before the stream comes; its end has a duration."""
    async with office() as it:
        line = await it.carrier.call(it.app.url, STEPS)
    (ringing,) = it.app.came("/twilio/voice")
    assert (ringing["CallStatus"], ringing["Direction"]) == ("ringing", "inbound")
    told = it.app.came("/twilio/status")
    assert statuses(told) == ["in-progress", "completed"]
    assert (told[0]["CallbackSource"], told[1]["CallDuration"]) == ("call-progress-events", "1")
    assert line is not None
    assert (line.ended_by, line.call_sid, it.carrier.violations) == ("user", ringing["CallSid"], [])


async def test_the_user_hears_what_is_said_when_the_application_closes(autojump_clock: MockClock) -> None:
    """Then the call is completed; a user who has hung up hears nothing."""
    async with office() as it:
        it.app.answers["/twilio/voice"] = xml(it.app.twiml("<Say>We are sorry.</Say>"))
        it.app.closes_after_s = 2.0
        first = await it.carrier.call(it.app.url, [HangUp(At(9.0))])
        second = await it.carrier.call(it.app.url, STEPS)
    assert first is not None
    assert second is not None
    assert (first.ended_by, first.said_after) == ("application", "We are sorry.")
    assert (second.ended_by, second.said_after) == ("user", "")
    assert statuses(it.app.came("/twilio/status")) == ["in-progress", "completed"] * 2


@pytest.mark.parametrize(
    ("twiml", "told"),
    [
        ("<Response><Reject/></Response>", ["busy"]),
        ("<Response/>", ["in-progress", "completed"]),
        ("<Response><Say>We are closed.</Say><Hangup/></Response>", ["in-progress", "completed"]),
    ],
)
async def test_a_call_without_a_stream_has_no_line(autojump_clock: MockClock, twiml: str, told: list[str]) -> None:
    """A rejected one was not answered."""
    async with office() as it:
        it.app.answers["/twilio/voice"] = xml(twiml)
        assert await it.carrier.call(it.app.url, STEPS) is None
    assert statuses(it.app.came("/twilio/status")) == told


async def test_faults_of_the_application_are_raised(autojump_clock: MockClock) -> None:
    """Unwrapped, to whoever placed the call."""
    async with office() as it:
        it.app.refuses_streams = True
        with pytest.raises(HandshakeRefused):
            await it.carrier.call(it.app.url, STEPS)
        it.app.answers["/twilio/voice"] = Response(500)
        with pytest.raises(RemoteProtocolError, match="11200"):
            await it.carrier.call(it.app.url, STEPS)


async def test_callbacks_that_fail_are_violations_and_no_more(autojump_clock: MockClock) -> None:
    """The call goes on without them."""
    async with office() as it:
        it.app.answers["/twilio/status"] = Response(500)
        assert await it.carrier.call(it.app.url, STEPS) is not None
    assert it.carrier.violations == ["11200: a callback was answered with HTTP status 500"] * 2


async def test_late_callbacks_come_behind_the_call(autojump_clock: MockClock) -> None:
    """Which does not wait for them while it lasts."""
    async with office() as it:
        call = partial(it.carrier.call, statuses=StatusFaults(late_s=5.0))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(call, it.app.url, STEPS)
            await until(lambda: "closed" in it.app.events)
            assert it.app.came("/twilio/status") == []
    assert statuses(it.app.came("/twilio/status")) == ["in-progress", "completed"]


async def test_a_fragment_is_neither_sent_nor_signed(autojump_clock: MockClock) -> None:
    """It tells Twilio how to deliver; the validator of the application would refuse it."""
    async with office() as it:
        answer = await it.carrier.post(f"{it.app.url}/status?a=1#rc=2&rt=3000", {"CallStatus": "ringing"}, None)
    assert (answer.status, it.app.statuses) == (204, ["ringing"])
