"""Placing calls: one ring, one outcome, nothing left, whatever carrier and callee do."""

from __future__ import annotations

import math

import pytest
import trio
from trio.testing import MockClock

from voicecore.engine.agent import Agent
from voicecore.engine.settings import DialOptions, HostSettings
from voicecore.errors import ConfigError, EngineBusy, LocalProtocolError
from voicecore.facts import Answered, CallBegan, Dialling, EndCause, MessageOutcome, ParkingOutcome, Ringing
from voicecore.simulation.openai_realtime import Recorded, Reply, Script
from voicecore.simulation.twilio import (
    AfterAgent,
    At,
    DialPlan,
    HangUp,
    Pickup,
    Refusal,
    Say,
    StatusFaults,
)
from voicecore_tests.kit import CALLEE, Rig, asked, living_tasks, nothing_is_left, rig, ulaw

TALK = Script(
    replies=(
        Reply("Hello, this is the clinic.", speech=Recorded("agent-hello")),
        Reply("One moment.", speech=Recorded("agent-one-moment")),
    ),
    hears=("hello?", "goodbye"),
)
SHORT = (HangUp(AfterAgent(0.5)),)
TALKS = DialPlan(ring_s=3.0, script=(Say(At(0.1), ulaw("caller-hello-it")), HangUp(AfterAgent(0.5))))
GREETING = "Hello, this is the clinic."


async def test_a_call_is_placed_answered_and_talked_through(autojump_clock: MockClock) -> None:
    """The whole way: one ring, one handshake, the session adopted, the first message heard over a hello."""
    async with rig(TALK, agent__first_message=GREETING) as it:
        report = await it.dial(TALKS)
        nothing_is_left(it)
    assert (report.outcome, report.carrier_status, report.direction) == (
        EndCause.REMOTE_HUNG_UP,
        "completed",
        "outbound",
    )
    assert (it.dialled.rang, len(it.provider.connections)) == (1, 1)
    assert report.pickup is not None
    assert (report.pickup.source, report.session_attempts) == ("adopted", 0)
    assert report.first_message is not None
    assert report.first_message.outcome is MessageOutcome.HEARD
    assert report.ringing_s == pytest.approx(3.0)
    told = [type(fact) for fact in it.facts if isinstance(fact, Dialling | Ringing | Answered | CallBegan)]
    assert told == [Dialling, Ringing, Answered, CallBegan]
    assert it.carrier.violations == []


@pytest.mark.parametrize(
    ("end", "outcome"),
    [
        (Pickup.BUSY, EndCause.BUSY),
        (Pickup.NO_ANSWER, EndCause.NO_ANSWER),
        (Pickup.FAILED, EndCause.DIAL_FAILED),
        (Pickup.CANCELED, EndCause.CANCELED),
    ],
)
async def test_a9_f3_a_call_that_is_not_answered_has_its_outcome_and_leaves_nothing(
    autojump_clock: MockClock, end: Pickup, outcome: EndCause
) -> None:
    """The session that waited is closed at once, and its time counted as wasted."""
    async with rig(TALK, agent__first_message=GREETING) as it:
        report = await it.dial(DialPlan(ring_s=4.0, end=end))
        nothing_is_left(it)
        assert it.engine.statistics().parked.wasted_s == pytest.approx(4.0)
    assert (report.outcome, report.pickup, report.first_message) == (outcome, None, None)
    assert [(parked.outcome, parked.wasted) for parked in report.parked] == [(ParkingOutcome.HUNG_UP, True)]


@pytest.mark.parametrize(
    "statuses",
    [
        StatusFaults(repeats=3),
        StatusFaults(reversed=True),
        StatusFaults(reversed=True, repeats=2),
        StatusFaults(late_s=120.0),
        StatusFaults(completed_before_stop_s=0.1),
    ],
    ids=["repeated", "reversed", "reversed-repeated", "minutes-late", "early"],
)
async def test_f1_statuses_in_any_order_leave_the_same_record(
    autojump_clock: MockClock, statuses: StatusFaults
) -> None:
    """I14: repeated, reversed, late by minutes."""
    async with rig(TALK, agent__first_message=GREETING, host=HostSettings(status_wait_s=200.0)) as it:
        report = await it.dial(DialPlan(ring_s=3.0, script=TALKS.script, statuses=statuses))
        nothing_is_left(it)
    assert (report.outcome, report.carrier_status) == (EndCause.REMOTE_HUNG_UP, "completed")
    assert [line.text for line in report.transcript] == [GREETING, "hello?", "One moment."]
    assert len(it.records()) == 1


async def test_f2_facts_of_the_dial_win(autojump_clock: MockClock) -> None:
    """Who was called, from where, in which direction: known from the first moment, never blanked."""
    async with rig(TALK, agent__first_message=GREETING) as it:
        report = await it.dial(TALKS)
    assert (report.caller, report.callee, report.direction) == ("+15550100002", CALLEE, "outbound")
    (record,) = it.records()
    assert (record["caller"], record["callee"], record["outcome"]) == ("+15550100002", CALLEE, "remote_hung_up")


async def test_f4_leaving_the_block_ends_a_ringing_call(autojump_clock: MockClock) -> None:
    """The phone stops ringing; the report is there when the block has been left."""
    async with rig(TALK, agent__first_message=GREETING) as it:
        it.carrier.expect(DialPlan(ring_s=20.0))
        async with it.engine.dial(CALLEE) as call:
            await trio.sleep(5)
            with pytest.raises(LocalProtocolError):
                _ = call.report
        assert trio.current_time() < 7
        nothing_is_left(it)
        assert (call.report.outcome, it.dialled.status, it.dialled.ended_by) == (EndCause.HUNG_UP, "canceled", "rest")
    assert call.report.carrier_status == "canceled"


async def test_f4_leaving_the_block_ends_a_live_call(autojump_clock: MockClock) -> None:
    """The carrier is told before the media close: no apology is spoken behind a wanted end."""
    async with rig(TALK, agent__first_message=GREETING) as it:
        it.carrier.expect(DialPlan(ring_s=1.0))
        async with it.engine.dial(CALLEE) as call:
            async for fact in call.facts():
                if isinstance(fact, CallBegan):
                    await trio.sleep(2)
                    break
        nothing_is_left(it)
    assert (call.report.outcome, it.dialled.ended_by) == (EndCause.HUNG_UP, "rest")
    assert it.dialled.line is not None
    assert it.dialled.line.said_after == ""


@pytest.mark.parametrize("moment_s", [0.0, 0.5, 2.0, 2.001, 3.0])
async def test_f4_an_exception_in_the_block_ends_the_call_and_leaves_as_it_is(
    autojump_clock: MockClock, moment_s: float
) -> None:
    """While it is asked for, rings, is picked up, talks."""
    async with rig(TALK, agent__first_message=GREETING) as it:
        it.carrier.expect(DialPlan(ring_s=2.0, answer_s=0.3))
        with pytest.raises(ZeroDivisionError):
            await fail_in_the_block(it, moment_s)
        await it.engine.drain()
        nothing_is_left(it)
        await it.dialled.over.wait()
    assert it.report.outcome is EndCause.HUNG_UP
    assert it.dialled.rang <= 1


async def fail_in_the_block(it: Rig, moment_s: float) -> None:
    async with it.engine.dial(CALLEE):
        await trio.sleep(moment_s)
        raise ZeroDivisionError


async def test_f4_no_status_and_no_answer_for_ever_ends_in_bound(autojump_clock: MockClock) -> None:
    """The carrier says nothing: our own limit, and the phone is made to stop."""
    async with rig(TALK, agent__first_message=GREETING) as it:
        report = await it.dial(DialPlan(end=Pickup.SILENT), options=DialOptions(ring_timeout_s=20, queue_s=30.0))
        nothing_is_left(it)
        assert it.dialled.ended_by == "rest"
    assert report.outcome is EndCause.RING_TIMEOUT
    assert report.ringing_s == pytest.approx(60.0)


async def test_the_ring_timeout_is_the_carriers_to_keep(autojump_clock: MockClock) -> None:
    """Sent with the request; the callee who never answers is no-answer."""
    async with rig(TALK, outbound__ring_timeout_s=12) as it:
        report = await it.dial(DialPlan(ring_s=60.0))
    assert (report.outcome, it.dialled.request.timeout_s) == (EndCause.NO_ANSWER, 12)


async def test_f9_an_answered_call_whose_stream_never_comes_is_hung_up(autojump_clock: MockClock) -> None:
    """Dead air has a bound and a cause."""
    async with rig(TALK, agent__first_message=GREETING) as it:
        report = await it.dial(DialPlan(ring_s=1.0, stream_after_s=math.inf))
        nothing_is_left(it)
        assert it.dialled.ended_by == "rest"
    assert report.outcome is EndCause.MEDIA_NEVER_CAME
    assert report.ringing_s == pytest.approx(16.0)


async def test_a14_a_call_that_changes_its_id_is_found(autojump_clock: MockClock) -> None:
    """The answer to the request gave one id, callbacks and stream come under another: adopted all the same."""
    async with rig(TALK, agent__first_message=GREETING) as it:
        report = await it.dial(DialPlan(ring_s=1.0, switches_id=True, script=SHORT))
        nothing_is_left(it)
    assert report.pickup is not None
    assert (report.outcome, report.pickup.source) == (EndCause.REMOTE_HUNG_UP, "adopted")


async def test_a14_f14_the_stream_may_come_before_the_carrier_has_answered_the_request(
    autojump_clock: MockClock,
) -> None:
    """A REST answer that takes 5 s delays nothing on the media path: the call's own token finds it."""
    async with rig(TALK, agent__first_message=GREETING) as it:
        report = await it.dial(DialPlan(ring_s=1.0, answer_s=5.0, script=SHORT))
        nothing_is_left(it)
    assert report.turns[0].first_sent_at_s == pytest.approx(0.25)
    assert report.pickup is not None
    assert (report.outcome, report.pickup.source) == (EndCause.REMOTE_HUNG_UP, "adopted")


async def test_f8_the_answer_delivered_twice_opens_one_stream(autojump_clock: MockClock) -> None:
    """The request for instructions repeated gives the same token, and a token is used once."""
    async with rig(TALK, agent__first_message=GREETING, outbound__machine_detection="sync") as it:
        it.carrier.expect(DialPlan(ring_s=2.0, script=SHORT))
        async with it.engine.dial(CALLEE) as call:
            await trio.sleep(1.5)
            fields = {"CallSid": it.dialled.call_sid, "AccountSid": "AC1", "AnsweredBy": "human"}
            url = f"{it.engine.url}/twilio/voice?call={call.call_id}"
            answers = [await it.carrier.post(url, fields, None) for _ in range(2)]
            async for _ in call.facts():
                pass
    assert answers[0].body == answers[1].body
    assert b"<Stream" in answers[0].body
    assert len(it.carrier.lines) == 1


# --- a phone never rings twice -----------------------------------------------------------


async def test_fault_cr_an_answer_that_is_lost_is_not_asked_for_again(autojump_clock: MockClock) -> None:
    """It rings: the status callbacks say so, and the call goes its way."""
    async with rig(TALK, agent__first_message=GREETING) as it:
        report = await it.dial(DialPlan(ring_s=1.0, answer_lost=True, script=SHORT))
        nothing_is_left(it)
        assert (it.dialled.rang, len(it.carrier.dials)) == (1, 1)
    assert report.outcome is EndCause.REMOTE_HUNG_UP
    assert report.problems == {} or "dial_uncertain" not in report.problems


async def test_fault_cr_an_answer_that_never_comes_and_no_status_is_uncertain(autojump_clock: MockClock) -> None:
    """Nobody knows; it is said so, within the bound."""
    async with rig(TALK) as it:
        plan = DialPlan(answer_lost=True, end=Pickup.SILENT)
        report = await it.dial(plan, options=DialOptions(ring_timeout_s=20))
        nothing_is_left(it)
        assert len(it.carrier.dials) == 1
    assert report.outcome is EndCause.DIAL_UNCERTAIN
    assert "gave no answer to a call" in report.outcome_detail


async def test_fault_cr_too_many_requests_are_asked_again_and_ring_once(autojump_clock: MockClock) -> None:
    """429 means that nothing happened."""
    async with rig(TALK, agent__first_message=GREETING) as it:
        report = await it.dial(DialPlan(refuse=Refusal(status=429, code=20429, times=2), ring_s=1.0, script=SHORT))
        assert (it.dialled.rang, len(it.carrier.dials)) == (1, 1)
    assert report.outcome is EndCause.REMOTE_HUNG_UP


@pytest.mark.parametrize(
    ("refusal", "outcome", "requests"),
    [
        (Refusal(status=400, code=21211), EndCause.DIAL_REFUSED, 1),
        (Refusal(status=401, code=20003), EndCause.DIAL_REFUSED, 1),
        (Refusal(status=429, code=20429), EndCause.DIAL_REFUSED, 3),
        (Refusal(status=500, code=20500), EndCause.DIAL_UNCERTAIN, 1),
        (Refusal(status=503, code=20503), EndCause.DIAL_UNCERTAIN, 1),
    ],
)
async def test_fault_cr_a_request_that_is_refused_ends_the_call_with_its_reason(
    autojump_clock: MockClock, refusal: Refusal, outcome: EndCause, requests: int
) -> None:
    """What may have happened is not asked for again."""
    async with rig(TALK) as it:
        report = await it.dial(DialPlan(refuse=refusal), options=DialOptions(ring_timeout_s=5))
        nothing_is_left(it)
        assert (it.carrier.dials, len(it.carrier.rest_requests)) == ([], requests)
    assert report.outcome is outcome
    assert f"HTTP status {refusal.status}, error {refusal.code}" in report.outcome_detail


async def test_fault_cr_a_carrier_that_cannot_be_reached_is_unavailable(autojump_clock: MockClock) -> None:
    """Nothing was sent: three tries, then a cause."""
    async with rig(TALK, carriers__twilio__api_base_url="http://127.0.0.1:9") as it:
        report = await it.dial()
        nothing_is_left(it)
    assert report.outcome is EndCause.DIAL_UNAVAILABLE


async def test_hanging_up_while_the_request_is_under_way_stops_the_phone(autojump_clock: MockClock) -> None:
    """The request is not broken off: its answer names the call that is then ended."""
    async with rig(TALK) as it:
        it.carrier.expect(DialPlan(answer_s=2.0, ring_s=20.0))
        async with it.engine.dial(CALLEE) as call:
            await trio.sleep(0.5)
        assert (call.report.outcome, it.dialled.status) == (EndCause.HUNG_UP, "canceled")


# --- the program's side ------------------------------------------------------------------


async def test_the_agent_that_was_dialled_with_is_the_agent_of_the_call(autojump_clock: MockClock) -> None:
    """Instructions and first message, in the session that was parked for it."""
    agent = Agent(instructions="You are the dentist.", first_message="Your tooth is ready.")
    async with rig(TALK, agent__first_message=GREETING) as it:
        report = await it.dial(DialPlan(ring_s=1.0, script=SHORT), agent=agent)
    assert report.pickup is not None
    assert report.pickup.source == "adopted"
    assert it.session.session.effective["instructions"] == "You are the dentist."
    assert asked(it.session)[0].endswith("Your tooth is ready.")


async def test_a3_another_agent_before_pick_up_gets_a_session_of_its_own(autojump_clock: MockClock) -> None:
    """The one that was opened for the first agent is refused; a cold one follows."""
    async with rig(TALK, agent__first_message=GREETING) as it:
        it.carrier.expect(DialPlan(ring_s=2.0, script=SHORT))
        async with it.engine.dial(CALLEE) as call:
            await trio.sleep(1)
            call.use_agent(Agent(instructions="You are the dentist.", first_message="Your tooth is ready."))
            async for fact in call.facts():
                if isinstance(fact, CallBegan):
                    with pytest.raises(LocalProtocolError):
                        call.use_agent(Agent(instructions="Too late."))
        nothing_is_left(it)
    report = call.report
    assert report.pickup is not None
    assert (report.pickup.source, [parked.outcome for parked in report.parked]) == ("cold", [ParkingOutcome.REFUSED])
    assert it.session.session.effective["instructions"] == "You are the dentist."


@pytest.mark.parametrize("number", ["", "0555", "+0123", "5551234567", "+1555123456789012", "+1 555 123", "sip:a@b"])
async def test_a_number_that_is_none_is_refused_before_anything_happens(autojump_clock: MockClock, number: str) -> None:
    """E.164, and says so."""
    async with rig(TALK) as it:
        with pytest.raises(ConfigError, match=r"E\.164"):
            async with it.engine.dial(number):
                pass
        assert (it.carrier.rest_requests, it.provider.connections) == ([], [])


async def test_without_a_number_of_our_own_no_call_is_placed(autojump_clock: MockClock) -> None:
    """The setting is named."""
    async with rig(TALK, carriers__twilio__phone_number=None) as it:
        with pytest.raises(ConfigError, match="phone number"):
            async with it.engine.dial(CALLEE):
                pass


async def test_a_full_engine_places_no_call(autojump_clock: MockClock) -> None:
    """At once, and nothing rings."""
    async with rig(TALK, host=HostSettings(max_calls=1)) as it:
        it.carrier.expect(DialPlan(ring_s=5.0))
        async with it.engine.dial(CALLEE):
            with pytest.raises(EngineBusy):
                async with it.engine.dial(CALLEE):
                    pass


async def test_f28_facts_end_with_the_call(autojump_clock: MockClock) -> None:
    """The reader is woken; a reader who comes late reads what waits."""
    async with rig(TALK, agent__first_message=GREETING) as it:
        it.carrier.expect(TALKS)
        async with it.engine.dial(CALLEE) as call:
            seen = [type(fact) async for fact in call.facts()]
            assert [type(fact) async for fact in call.facts()] == []
    assert seen[:1] == [Dialling]
    assert Answered in seen
    assert CallBegan in seen


async def test_a13_a_thousand_dials_that_are_never_answered_leave_nothing(autojump_clock: MockClock) -> None:
    """Within its cap, every socket closed once, tasks and streams back to base."""
    host = HostSettings(max_calls=2000)
    async with rig(TALK, agent__first_message=GREETING, host=host) as it:
        await trio.testing.wait_all_tasks_blocked()
        base = len(list(living_tasks())), it.simulated.network.open_streams
        it.carrier.expect(DialPlan(ring_s=20.0, end=Pickup.NO_ANSWER))
        most = 0

        async def ring() -> None:
            async with it.engine.dial(CALLEE) as call:
                async for _ in call.facts():
                    pass

        async with trio.open_nursery() as nursery:
            for number in range(1000):
                nursery.start_soon(ring)
                if number % 20 == 0:
                    await trio.sleep(0.1)
                    most = max(most, it.engine.statistics().parked.waiting)
        await trio.testing.wait_all_tasks_blocked()
        assert 150 < most <= 200
        assert (len(list(living_tasks())), it.simulated.network.open_streams) == base
        nothing_is_left(it)
        assert it.engine.statistics().parked.unused == 1000
    assert {report.outcome for report in it.reports} == {EndCause.NO_ANSWER}
    outcomes = [parked.outcome for report in it.reports for parked in report.parked]
    assert len(outcomes) == 1000
    assert set(outcomes) == {ParkingOutcome.HUNG_UP, ParkingOutcome.EXPIRED}
