"""What the twin can do beyond a usual inbound call: end by REST, odd fields, wide audio, floods, breaks, orders."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest
import trio
from trio.testing import MockClock

from voicecore.audio.formats import PCM16_16K
from voicecore.simulation.twilio import (
    At,
    DialPlan,
    HangUp,
    LineFaults,
    MediaFormat,
    Refusal,
    StatusFaults,
    UpdateFaults,
    WebhookFaults,
)
from voicecore_tests.simulation.twilio.kit import AUTH, CALLS, http, office, xml

STEPS = (HangUp(At(2.0)),)
LONG = (HangUp(At(60.0)),)


async def test_an_inbound_call_is_known_to_the_rest_interface_and_can_be_ended_by_it(
    autojump_clock: MockClock,
) -> None:
    """Its stream is stopped, nothing behind it is spoken, and it cannot be ended again."""
    async with office() as it:
        it.app.answers["/twilio/voice"] = xml(it.app.twiml("<Say>We are sorry.</Say>"))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(it.carrier.call, it.app.url, LONG)
            await trio.sleep(1.0)
            (call,) = it.carrier.inbound
            status, body = await it.fetch(call.answered_sid)
            assert (status, body["status"], body["direction"]) == (200, "in-progress", "inbound")
            assert (await it.update(call.answered_sid, "completed"))[0] == 200
        status, body = await it.update(call.answered_sid, "completed")
        assert (status, body["code"]) == (400, 21220)
    assert call.line is not None
    assert (call.line.ended_by, call.line.said_after, it.app.events[-2:]) == ("rest", "", ["stop", "closed"])


async def test_updates_may_be_refused_or_late(autojump_clock: MockClock) -> None:
    """And the call goes on."""
    async with office() as it, trio.open_nursery() as nursery:
        nursery.start_soon(it.carrier.call, it.app.url, STEPS)
        await trio.sleep(0.5)
        (call,) = it.carrier.inbound
        it.carrier.disturb_updates(UpdateFaults(refuse=Refusal(status=503, code=20503), answer_s=0.5))
        began_at = trio.current_time()
        assert (await it.update(call.answered_sid, "completed"))[0] == 503
        assert trio.current_time() - began_at == pytest.approx(0.5, abs=0.01)
    assert call.line is not None
    assert call.line.ended_by == "user"


async def test_a_voice_webhook_may_come_several_times_at_once(autojump_clock: MockClock) -> None:
    """One stream is opened all the same."""
    async with office() as it:
        await it.carrier.call(it.app.url, STEPS, webhooks=WebhookFaults(voice_times=3))
    first, *more = it.app.came("/twilio/voice")
    assert more == [first, first]
    assert len(it.app.streams) == 1


async def test_fields_of_webhooks_may_be_odd_or_missing(autojump_clock: MockClock) -> None:
    """They are signed as they are sent."""
    async with office() as it:
        await it.carrier.call(
            it.app.url,
            STEPS,
            webhooks=WebhookFaults(fields={"From": None, "To": "", "CallToken": '{"a":"b+c="}'}),
            statuses=StatusFaults(final_fields={"CallDuration": "5.0", "SipResponseCode": "486", "Timestamp": None}),
        )
    (voice,), (answered, completed) = it.app.came("/twilio/voice"), it.app.came("/twilio/status")
    for fields in (voice, answered, completed):
        assert ("From" in fields, fields["To"], fields["CallToken"]) == (False, "", '{"a":"b+c="}')
    assert (completed["CallDuration"], completed["SipResponseCode"], "Timestamp" in completed) == ("5.0", "486", False)
    assert ("Timestamp" in answered, "SipResponseCode" in answered) == (True, False)


async def test_a_start_message_announces_what_it_is_told_to(autojump_clock: MockClock) -> None:
    """A format, other fields, fewer of them; the audio is in the format: 20 ms a message."""
    wide = MediaFormat(encoding="audio/l16", sample_rate=16_000)
    faults = LineFaults(media_format=wide, start_fields={"tracks": None, "customParameters": [1]})
    async with office() as it:
        line = await it.carrier.call(it.app.url, STEPS, faults=faults)
    (start,) = it.app.streams
    assert start["mediaFormat"] == {"encoding": "audio/l16", "sampleRate": 16_000, "channels": 1}
    assert ("tracks" in start, start["customParameters"]) == (False, [1])
    assert line is not None
    sizes = {b - a for (_, a), (_, b) in zip(line.sent_at, line.sent_at[1:], strict=False)}
    assert sizes == {PCM16_16K.bytes_in(0.020)}


async def test_a_flood_is_so_many_times_the_audio(autojump_clock: MockClock) -> None:
    """Between two moments."""
    async with office() as it:
        flood = LineFaults(flood=10.0, flood_between_s=(0.5, 1.0))
        line = await it.carrier.call(it.app.url, STEPS, faults=flood)
    assert line is not None
    assert len(line.sent_audio) == pytest.approx(8000 * (1.5 + 0.5 * 10), abs=2 * 1600)


async def test_a_stalled_line_sends_all_of_it_at_once(autojump_clock: MockClock) -> None:
    """Nothing in between, nothing lost."""
    async with office() as it:
        line = await it.carrier.call(it.app.url, STEPS, faults=LineFaults(stalls_between_s=(0.5, 1.5)))
    assert line is not None
    sent = [entry.at - line.began_at for entry in line.ledger if entry.kind == "media"]
    assert not [at for at in sent if 0.5 <= at < 1.49]
    assert len([at for at in sent if 1.49 <= at < 1.51]) >= 50
    assert len(sent) * 160 == len(line.sent_audio)


async def test_a_line_that_breaks_leaves_the_call_to_its_instructions(autojump_clock: MockClock) -> None:
    """No stop, no close frame; what stands behind the stream is spoken, which takes its time, and then it is over."""
    async with office() as it:
        it.app.answers["/twilio/voice"] = xml(it.app.twiml("<Say>We are sorry.</Say>"))
        line = await it.carrier.call(it.app.url, LONG, faults=LineFaults(breaks_at_s=1.0))
        lasted_s = trio.current_time()
    assert line is not None
    assert (line.ended_by, line.said_after, it.app.events) == (
        "fault",
        "We are sorry.",
        ["connected", "start", "closed"],
    )
    assert lasted_s == pytest.approx(1.0 + 0.06 * len("We are sorry."), abs=0.1)
    assert [fields["CallStatus"] for fields in it.app.came("/twilio/status")] == ["in-progress", "completed"]


@pytest.mark.parametrize(
    ("statuses", "order"),
    [
        (StatusFaults(completed_before_stop_s=0.5), ["completed", "stop", "closed"]),
        (StatusFaults(completed_before_close_s=0.5), ["stop", "completed", "closed"]),
        (StatusFaults(), ["stop", "closed", "completed"]),
    ],
    ids=["before", "between", "behind"],
)
async def test_the_last_status_comes_before_between_or_behind_the_end_of_the_stream(
    autojump_clock: MockClock, statuses: StatusFaults, order: list[str]
) -> None:
    """Each is seen by the application in this order."""
    async with office() as it:
        await it.carrier.call(it.app.url, (HangUp(At(0.1)),), statuses=statuses)
    assert it.app.order[-3:] == order


async def test_somebody_else_may_try_the_address_of_a_stream_first(autojump_clock: MockClock) -> None:
    """With a signature for another host, or the right one; what each was answered is kept, and the stream opens."""
    async with office() as it:
        origin = it.app.url.replace("http://", "ws://")
        line = await it.carrier.call(it.app.url, STEPS, faults=LineFaults(forged_for=("wss://evil.example", origin)))
    assert line is not None
    assert (line.forgeries, len(it.app.streams)) == ([403, 101], 1)


async def test_a_refusal_may_have_a_body_of_its_own(autojump_clock: MockClock) -> None:
    """A gateway's page in place of Twilio's JSON, for a call that is wanted and for one that is changed."""
    refusal = Refusal(status=503, body=b"<html>busy</html>", content_type="text/html", retry_after_s=7)
    async with office() as it:
        it.carrier.expect(DialPlan(refuse=refusal))
        it.carrier.disturb_updates(UpdateFaults(refuse=refusal))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(it.carrier.call, it.app.url, STEPS)
            await trio.sleep(0.5)
            (call,) = it.carrier.inbound
            for path in ("", f"/{call.answered_sid}"):
                url = f"{it.api}{CALLS}{path}.json"
                answer = await http(it.simulated.world, "POST", url, urlencode(it.form()), AUTH)
                assert answer == (503, "<html>busy</html>")
        assert (it.carrier.dials, it.carrier.violations) == ([], [])
