"""What others have reported of real servers, as whole calls on our own twins: how a session is had, and the greeting.

docs/field-reports.md says who reported what.
"""

from __future__ import annotations

import attrs
import pytest
from trio.testing import MockClock

from voicecore.facts import CallReport, EndCause, FirstAudioHeard, FirstAudioSent, MessageOutcome, Speaker, TurnEnd
from voicecore.simulation.openai_realtime import (
    READY_MADE,
    Behaviour,
    Handshake,
    RefusedEvent,
    Reply,
    ResponseFault,
    Script,
    Tone,
    Updates,
)
from voicecore.simulation.twilio import At, DialPlan, HangUp, Say
from voicecore_tests.engine.test_reports import GREETING, GREETS, ONE_TURN, TALK, called, outcome, turns
from voicecore_tests.kit import asked, rig, ulaw


def greeted_at_s(report: CallReport) -> float:
    """When the greeting began to be heard, in seconds from the beginning of the call."""
    assert report.first_message is not None
    assert report.first_message.first_heard_s is not None
    return report.first_message.first_heard_s


# --- the upgrade -------------------------------------------------------------------------

REFUSALS = {
    "429": Handshake(refuse_status=429),
    "500": Handshake(refuse_status=500),
    "hung up on": Handshake(hangs_up=True),
}


@pytest.mark.parametrize("how", REFUSALS)
@pytest.mark.parametrize("times", [1, 2])
async def test_a_session_that_is_refused_for_a_while_is_had_at_the_next_try(
    autojump_clock: MockClock, times: int, how: str
) -> None:
    """The one that was to wait for the call, and the call's own first one: the user is greeted within seconds."""
    refusing = [Behaviour(handshake=REFUSALS[how])] * times
    async with rig(TALK, [*refusing, Behaviour()], **GREETING) as it:
        report = await called(it, (HangUp(At(6.0)),))
    assert (report.outcome, outcome(report)) == (EndCause.REMOTE_HUNG_UP, MessageOutcome.HEARD)
    assert (it.provider.attempts, it.provider.handshakes) == (times + 1, 1)
    assert greeted_at_s(report) < 4.0


@pytest.mark.parametrize("how", REFUSALS)
async def test_a_session_that_is_always_refused_ends_the_call_by_name(autojump_clock: MockClock, how: str) -> None:
    """Few tries, the status in the cause, and the carrier's words."""
    async with rig(TALK, Behaviour(handshake=REFUSALS[how]), **GREETING) as it:
        report = await called(it, (HangUp(At(60.0)),))
    assert report.outcome in {EndCause.SESSION_REFUSED, EndCause.SESSION_UNAVAILABLE}
    assert ("ended the connection" if how == "hung up on" else how) in report.outcome_detail
    assert report.duration_s < 12.0
    assert (2 <= it.provider.attempts <= 6, it.provider.handshakes) == (True, 0)
    (line,) = it.carrier.lines
    assert not line.received_audio
    assert line.said_after


# --- the configuration -------------------------------------------------------------------

RETIRED = Behaviour(
    anonymous_errors=True,
    rewrites=(READY_MADE["created in the flat shape"],),
    refused_events=(
        RefusedEvent("session.update", "unknown_parameter", "Unknown parameter: 'session.type'.", "session.type"),
    ),
)
TOO_LONG = Behaviour(
    anonymous_errors=True,
    refused_events=(
        RefusedEvent(
            "session.update",
            "string_above_max_length",
            "Invalid 'session.instructions': string too long.",
            "session.instructions",
        ),
    ),
)


@pytest.mark.parametrize(
    ("behaviour", "named"),
    [(RETIRED, "unknown_parameter (session.type)"), (TOO_LONG, "string_above_max_length (session.instructions)")],
    ids=["retired", "too long"],
)
async def test_a_refused_configuration_ends_the_call_before_a_word(
    autojump_clock: MockClock, behaviour: Behaviour, named: str
) -> None:
    """The server would speak with its own defaults: nothing is requested, and the carrier speaks the apology."""
    async with rig(TALK, behaviour, **GREETING) as it:
        report = await called(it, (HangUp(At(30.0)),))
    assert report.outcome is EndCause.SESSION_REFUSED
    assert named in report.outcome_detail
    assert report.duration_s < 6.0
    assert it.provider.connections
    assert [asked(connection) for connection in it.provider.connections] == [[]] * it.provider.handshakes
    (line,) = it.carrier.lines
    assert not line.received_audio
    assert line.said_after


async def test_a_configuration_that_is_refused_late_ends_the_call_too(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """It came after the time limit, and the error names no event: its field identifies it."""
    late = tuple(attrs.evolve(objection, after_s=2.5) for objection in TOO_LONG.refused_events)
    async with rig(TALK, attrs.evolve(TOO_LONG, refused_events=late), **GREETING) as it:
        report = await called(it, (HangUp(At(30.0)),))
    assert report.outcome is EndCause.SESSION_LOST
    assert "string_above_max_length" in report.outcome_detail
    assert "string_above_max_length: the configuration was refused" in caplog.text
    assert "session.instructions" in caplog.text
    assert report.duration_s < 6.0
    (line,) = it.carrier.lines
    assert line.said_after


@pytest.mark.parametrize(
    "name",
    [
        "expires_at of 0",
        "a fraction in expires_at",
        "milliseconds as floats",
        "created without audio",
        "created in the flat shape",
    ],
)
async def test_a_session_that_is_described_oddly_opens(autojump_clock: MockClock, name: str) -> None:
    """What we do not need of it is not judged: greeted at once, by the first session, and answered."""
    async with rig(TALK, Behaviour(rewrites=(READY_MADE[name],)), **GREETING) as it:
        report = await called(it, ONE_TURN)
    assert (report.outcome, outcome(report)) == (EndCause.REMOTE_HUNG_UP, MessageOutcome.HEARD)
    assert greeted_at_s(report) < 3.0
    assert it.provider.attempts == 1
    assert turns(report) == [TurnEnd.COMPLETED]


async def test_no_update_after_the_first_audio_names_a_voice_or_a_model(autojump_clock: MockClock) -> None:
    """A server that refuses either would keep its turn detection off, and the user unheard."""
    behaviour = Behaviour(updates=Updates(refuses_voice_after_audio=True), anonymous_errors=True)
    async with rig(TALK, behaviour, **GREETING) as it:
        report = await it.dial(DialPlan(ring_s=1.0, script=ONE_TURN))
    assert report.pickup is not None
    assert report.pickup.source == "adopted"
    assert turns(report) == [TurnEnd.COMPLETED]
    assert [line.text for line in report.transcript] == ["Hello.", "hello?", "Certainly."]
    lines = it.provider.ledger.of(it.session.number)
    first_audio = next(line.t for line in lines if line.kind == "response.output_audio.delta")
    later = [update for update in it.session.updates if update.t > first_audio]
    assert later
    assert all("voice" not in update.text and "model" not in update.event["session"] for update in later)
    assert [line for line in lines if line.kind == "error"] == []
    assert it.session.session.effective["audio"]["input"]["turn_detection"]["create_response"] is True


# --- the greeting ------------------------------------------------------------------------


@pytest.mark.parametrize("times", [1, 99])
async def test_an_empty_greeting_is_asked_for_again_within_bounds(autojump_clock: MockClock, times: int) -> None:
    """Completed, with nothing in it: once, or every time."""
    behaviour = Behaviour(responses=dict.fromkeys(range(1, times + 1), ResponseFault.EMPTY))
    async with rig(Script(replies=(GREETS,)), behaviour, **GREETING) as it:
        report = await called(it, (HangUp(At(8.0)),))
    assert outcome(report) is (MessageOutcome.HEARD if times == 1 else MessageOutcome.UNDELIVERED)
    assert len(asked(it.session)) in ({2} if times == 1 else {2, 3})
    assert report.problems.get("message_undelivered", 0) == (times > 1)


async def test_a_server_that_greets_by_itself_is_not_heard_twice(autojump_clock: MockClock) -> None:
    """It ignores the lockout, answers the early hello at once, and refuses our request as "already active"."""
    behaviour = Behaviour(updates=Updates(ignores_null_turn_detection=True), speaks_unasked_s=(2.1,))
    greets = Reply("Hello.", speech=Tone(1.0))
    script = Script(replies=(Reply("By itself.", speech=Tone(1.0)), greets, greets), hears=("hello?",))
    async with rig(script, behaviour, **GREETING) as it:
        it.carrier.expect(DialPlan(ring_s=2.0, script=[Say(At(0.05), ulaw("caller-hello-it")), HangUp(At(12.0))]))
        report = await it.dial()
    assert outcome(report) is MessageOutcome.HEARD
    heard = [line for line in report.transcript if line.speaker is Speaker.AGENT]
    assert len(heard) == len(it.facts_of(FirstAudioHeard)) == 2  # the message, and one answer to the hello
    assert len({fact.response_id for fact in it.facts_of(FirstAudioSent)}) == 2
