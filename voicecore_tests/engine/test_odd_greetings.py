"""The first message at providers that are slow, silent, or give no ids back: whole calls, in and out."""

from __future__ import annotations

from typing import Any

import pytest
from trio.testing import MockClock

from voicecore.facts import CallReport, MessageOutcome
from voicecore.simulation.openai_realtime import (
    Behaviour,
    Pace,
    Recorded,
    Reply,
    ResponseFault,
    Script,
    Silence,
    Updates,
)
from voicecore.simulation.twilio import At, DialPlan, HangUp, Line, Say, Step
from voicecore_tests.kit import Rig, rig, ulaw

GREETING = "Your call is now first in line."
SPOKEN = ulaw("agent-you-are-next")
HELLO = ulaw("caller-hello-it")
FIRST = Reply(GREETING, speech=Recorded("agent-you-are-next"))
ANSWER = Reply("One moment.", speech=Recorded("agent-one-moment"))
TALK = Script(replies=(FIRST, ANSWER), hears=("hello?", "hello?"))
DIRECTIONS = ["inbound", "outbound"]
WAYS: dict[str, dict[str, Any]] = {
    "parked": {},
    "cold": {"parking__enabled": False},
    "prepared": {"agent__prepare_first_message": True},
    "unprotected": {"agent__protect_first_message": "off"},
    "engine takes the turns": {"barge_in__stops_at": "words"},
}


async def called(it: Rig, direction: str, *steps: Step) -> tuple[Line, CallReport]:
    """Run one call in that direction."""
    if direction == "outbound":
        await it.dial(DialPlan(ring_s=1.0, script=steps))
        line: Line | None = it.dialled.line
    else:
        line = await it.carrier.call(it.engine.url, steps)
        await it.engine.drain()
    assert line is not None
    return line, it.report


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("lockout", ["accepted", "refused"])
async def test_a_server_that_gives_no_metadata_back_is_understood(
    autojump_clock: MockClock, direction: str, way: str, lockout: str
) -> None:
    """The greeting is ours, and so are the replies: nothing is requested twice, nothing is cancelled."""
    updates = Updates(refuses_null_turn_detection=lockout == "refused")
    behaviour = Behaviour(gives_metadata_back=False, updates=updates, pace=Pace(first_delta_s=0.3, speed=4.0))
    async with rig(TALK, behaviour, agent__first_message=GREETING, **WAYS[way]) as it:
        line, report = await called(it, direction, Say(At(7.0), HELLO), HangUp(At(13.0)))
        kinds = [request["type"] for request in it.session.requests]
    assert SPOKEN in line.playout.heard_bytes()
    assert report.first_message is not None
    assert (report.first_message.outcome, report.first_message.requests) == (MessageOutcome.HEARD, 1)
    assert [each.text for each in report.transcript] == [GREETING, "hello?", "One moment."]
    assert "response.cancel" not in kinds


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("wait_s", [7.0, 15.0])
async def test_a_greeting_that_takes_seconds_is_waited_for(
    autojump_clock: MockClock, direction: str, wait_s: float
) -> None:
    """It was announced, so it is in progress: requested once, and heard."""
    slow = Behaviour(pace=Pace(first_delta_s=wait_s))
    async with rig(TALK, slow, agent__first_message=GREETING) as it:
        line, report = await called(it, direction, Say(At(2.0), HELLO), HangUp(At(wait_s + 8.0)))
    assert SPOKEN in line.playout.heard_bytes()
    assert report.first_message is not None
    assert (report.first_message.outcome, report.first_message.requests) == (MessageOutcome.HEARD, 1)


@pytest.mark.parametrize("direction", DIRECTIONS)
async def test_a_reply_that_takes_seconds_is_waited_for(autojump_clock: MockClock, direction: str) -> None:
    """The same for what answers the user."""
    talk = Script(replies=(FIRST, Reply("One moment.", speech=Recorded("agent-one-moment"), after_s=17.0)))
    async with rig(talk, agent__first_message=GREETING) as it:
        _, report = await called(it, direction, Say(At(7.0), HELLO), HangUp(At(30.0)))
        assert len(it.session.session.responses) == 2
    assert report.transcript[-1].text == "One moment."


async def test_how_long_a_slow_provider_is_waited_for_is_a_setting(autojump_clock: MockClock) -> None:
    """In milliseconds, like every time in the file."""
    given: dict[str, Any] = {"agent__message_audio_ms": 3000, "agent__message_answer_ms": 1000}
    async with rig(TALK, Behaviour(pace=Pace(first_delta_s=7.0)), agent__first_message=GREETING, **given) as it:
        _, report = await called(it, "inbound", HangUp(At(9.0)))
    message = report.first_message
    assert message is not None
    assert (message.outcome, message.detail, message.requests) == (MessageOutcome.UNDELIVERED, "no audio in time", 2)


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("how_often", [1, 2])
async def test_a_silent_greeting_does_not_count_as_heard(
    autojump_clock: MockClock, direction: str, how_often: int
) -> None:
    """Requested once more; then reported as undelivered."""
    silent = Reply(GREETING, speech=Silence(2.0))
    script = Script(replies=(*[silent] * how_often, FIRST, ANSWER), hears=TALK.hears)
    async with rig(script, Behaviour(pace=Pace(speed=4.0)), agent__first_message=GREETING) as it:
        line, report = await called(it, direction, Say(At(0.1), HELLO), HangUp(At(12.0)))
    message = report.first_message
    assert message is not None
    if how_often == 1:
        assert SPOKEN in line.playout.heard_bytes()
        assert (message.outcome, message.requests) == (MessageOutcome.HEARD, 2)
        assert "a try was lost (its audio was silent)" in message.verdict
    else:
        assert (message.outcome, message.detail) == (MessageOutcome.UNDELIVERED, "its audio was silent")
        assert report.problems["message_undelivered"] == 1


async def test_a_greeting_that_breaks_off_is_protected_again_at_the_next_try(autojump_clock: MockClock) -> None:
    """Its beginning was heard; the user wonders aloud; the second try is heard whole, and the user answered."""
    script = Script(replies=(FIRST, FIRST, ANSWER), hears=TALK.hears)
    behaviour = Behaviour(responses={1: ResponseFault.FAILED}, pace=Pace(first_delta_s=1.2, speed=1.5))
    async with rig(script, behaviour, agent__first_message=GREETING) as it:
        line, report = await called(it, "inbound", Say(At(3.4), HELLO), HangUp(At(16.0)))
    assert SPOKEN in line.playout.heard_bytes()
    assert report.first_message is not None
    assert (report.first_message.outcome, report.first_message.requests) == (MessageOutcome.HEARD, 2)
    assert report.transcript[-1].text == "One moment."


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("gives_metadata_back", [True, False])
@pytest.mark.parametrize("answer_s", [2.5, 6.0, None])
async def test_a_turn_is_answered_once_however_late_the_real_turn_detection_is_acknowledged(
    autojump_clock: MockClock, direction: str, gives_metadata_back: bool, answer_s: float | None
) -> None:
    """It is in force long before the server says so: the session answers by itself, and what we ask for is refused."""
    updates = Updates(answers={2: answer_s})
    behaviour = Behaviour(updates=updates, gives_metadata_back=gives_metadata_back, pace=Pace(first_delta_s=0.6))
    for hello_s in (0.1, 1.5, 4.5, 7.0):
        async with rig(TALK, behaviour, agent__first_message=GREETING) as it:
            _, report = await called(it, direction, Say(At(hello_s), HELLO), Say(At(13.0), HELLO), HangUp(At(20.0)))
            assert len(it.session.session.responses) == 3
        assert [each.text for each in report.transcript][1:] == ["hello?", "One moment."] * 2
        assert report.problems.keys() <= {"restore_unacknowledged", "conversation_already_has_active_response"}


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("way", [way for way in WAYS if way != "unprotected"])
async def test_early_words_get_their_answer_without_a_false_alarm_where_no_metadata_comes_back(
    autojump_clock: MockClock, direction: str, way: str
) -> None:
    """They became a turn during the lockout: the answer is the one that we requested."""
    behaviour = Behaviour(gives_metadata_back=False, pace=Pace(first_delta_s=2.0))
    async with rig(TALK, behaviour, agent__first_message=GREETING, **WAYS[way]) as it:
        line, report = await called(it, direction, Say(At(0.2), HELLO), HangUp(At(24.0)))
        assert len(it.session.session.responses) == 2
    assert SPOKEN in line.playout.heard_bytes()
    assert [each.text for each in report.transcript] == [GREETING, "hello?", "One moment."]
    assert report.problems == {}
