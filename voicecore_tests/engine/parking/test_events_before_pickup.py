"""What a session says before pick-up: only what was asked for is kept."""

from __future__ import annotations

import pytest
from trio.testing import MockClock

from voicecore import events as ev
from voicecore.engine.parking.events_before_pickup import EventsBeforePickup
from voicecore.facts import MessageOutcome
from voicecore.simulation.openai_realtime import Behaviour, Handshake, Pace, Recorded, Reply, Script, Tone, Updates
from voicecore.simulation.twilio import At, DialPlan, HangUp, Say
from voicecore_tests.kit import rig, ulaw

GREETING = "Hello."
TALK = Script(
    replies=(
        Reply("Who is there?", speech=Tone(4.0)),  # of its own accord
        Reply(GREETING, speech=Recorded("agent-hello")),
        Reply("Next.", speech=Recorded("agent-one-moment")),
    ),
    hears=("hello?",),
)
USER = (Say(At(3.0), ulaw("caller-hello-it")), HangUp(At(10.0)))


def test_a_response_that_nobody_asked_for_is_stopped_and_its_items_deleted() -> None:
    """Nothing of it is kept; should it still run at pick-up, the call knows that it does."""
    early = EventsBeforePickup(None)
    assert early.take(ev.ResponseStarted("r1")) == (False, [ev.CancelResponse("r1")])
    assert early.take(ev.AgentItemAdded("r1", "a1")) == (False, [ev.DeleteItem("a1")])
    assert early.take(ev.AgentAudio("r1", "a1", b"x")) == (False, [])
    assert (early.events(), early.unasked) == ([ev.ResponseStarted("r1")], ("r1",))
    early.take(ev.ResponseEnded(response_id="r1", status=ev.ResponseStatus.CANCELLED))
    assert (early.events(), early.unasked) == ([], ("r1",))


@pytest.mark.parametrize("named", ["first", None])
def test_the_answer_to_our_request_is_kept_also_where_it_gives_no_id_back(named: str | None) -> None:
    """And only that one."""
    early = EventsBeforePickup("first")
    ours = ev.ResponseStarted("r1", named)
    assert early.take(ours) == (True, [])
    assert early.take(ev.AgentAudio("r1", "a1", b"x"))[0]
    assert early.take(ev.ResponseStarted("r2")) == (False, [ev.CancelResponse("r2")])
    assert early.events()[0] == ours


def test_an_answer_to_a_turn_is_not_ours_though_ours_is_out() -> None:
    """The session heard somebody who is not there; the turn is deleted, and so is what it brings."""
    early = EventsBeforePickup("first")
    early.take(ev.UserSpeechStarted("u1", 0))
    assert early.take(ev.UserTurnCommitted("u1")) == (False, [ev.DeleteItem("u1")])
    assert early.take(ev.ResponseStarted("auto")) == (False, [ev.CancelResponse("auto")])
    assert early.take(ev.ResponseStarted("r1")) == (True, [])
    assert early.take(ev.AgentItemAdded("auto", "x")) == (False, [ev.DeleteItem("x")])


def test_what_is_about_neither_is_kept() -> None:
    """A notice is for the operator, whenever it comes."""
    early = EventsBeforePickup(None)
    assert early.take(notice := ev.SessionNotice("lockout", "was refused")) == (True, [])
    assert early.events() == [notice]


@pytest.mark.parametrize("speaks_at_s", [0.2, 1.7, 1.98])
@pytest.mark.parametrize("speed", [1.0, 5.0])
async def test_what_a_parked_session_says_by_itself_is_never_heard_and_delays_nothing(
    autojump_clock: MockClock, speaks_at_s: float, speed: float
) -> None:
    """Whether it is done at pick-up or still talks: the greeting comes at once, and it alone; so does the reply."""
    behaviour = Behaviour(speaks_unasked_s=(speaks_at_s,), pace=Pace(first_delta_s=0.1, speed=speed))
    async with rig(TALK, behaviour, agent__first_message=GREETING) as it:
        report = await it.dial(DialPlan(ring_s=2.0, script=USER))
    line = it.dialled.line
    assert line is not None
    assert report.first_message is not None
    assert report.first_message.outcome is MessageOutcome.HEARD
    assert report.first_message.first_heard_s == pytest.approx(0.2, abs=0.06)
    assert [each.text for each in report.transcript if each.text] == [GREETING, "hello?", "Next."]
    assert ulaw("agent-hello") in line.playout.heard_bytes()
    assert len(it.session.session.conversation.items) == 3
    replied = report.turns[-1]
    assert replied.items
    assert replied.first_sent_at_s is not None
    assert replied.first_sent_at_s < 3.0 + 0.5 + 0.6 + 0.3


async def test_a_turn_that_was_heard_before_pick_up_is_nobodys(autojump_clock: MockClock) -> None:
    """The provider heard speech without any audio, and answered it while the phone rang."""
    handshake = Handshake(speech_before_update_s=(0.0, 0.3))
    slow = Updates(answer_s=0.5, effect_s=0.5)
    async with rig(TALK, Behaviour(handshake=handshake, updates=slow), agent__first_message=GREETING) as it:
        report = await it.dial(DialPlan(ring_s=4.0, script=(HangUp(At(4.0)),)))
    assert [each.text for each in report.transcript] == [GREETING]
    assert [turn.items for turn in report.turns] == [()]
    assert len(it.session.session.responses) == 2
