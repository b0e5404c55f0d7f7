"""Whole calls in which replies fail: the user always hears something, and the record says why."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock

from voicecore.facts import EndCause, ProblemSeen, TurnEnd
from voicecore.simulation.openai_realtime import (
    Behaviour,
    End,
    Ending,
    Pace,
    Reply,
    ResponseFault,
    ScriptedVad,
    Tone,
    ToolCall,
    Transcribing,
)
from voicecore.simulation.twilio import At, DialPlan, HangUp, LineFaults, Press, Say, StatusFaults, StreamEnd
from voicecore.turns.first_message.requests import word_for_word
from voicecore.turns.recovery import DID_NOT_CATCH, SORRY
from voicecore_tests.engine.talks import HELLO, LONG, LONG_S, MODES, SHORT, WORDS, Seen, script, talk
from voicecore_tests.engine.test_odd_greetings import DIRECTIONS, GREETING, TALK, WAYS, called
from voicecore_tests.kit import CALLEE, asked, rig, ulaw

ALWAYS = range(1, 50)


def faults(fault: ResponseFault, *numbers: int) -> Behaviour:
    return Behaviour(responses=dict.fromkeys(numbers or ALWAYS, fault))


def requests(seen: Seen) -> list[str]:
    return asked(seen.it.session)


def logged(caplog: pytest.LogCaptureFixture, level: int) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == level]


@pytest.mark.parametrize("mode", MODES)
async def test_a_fatal_reason_inside_a_response_ends_the_call_and_is_named(
    autojump_clock: MockClock, mode: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """Out of quota, with no `error` event: one request at most, the carrier's words, one line of log."""
    seen = await talk(script(), HELLO, behaviour=faults(ResponseFault.NO_QUOTA), **mode)
    assert seen.report.outcome is EndCause.SESSION_LOST
    assert "insufficient_quota: You exceeded your current quota" in seen.report.outcome_detail
    assert seen.report.duration_s < 3.0
    assert len(seen.responses) == 1
    assert seen.line.said_after
    (error,) = logged(caplog, logging.ERROR)
    assert "insufficient_quota" in error


async def test_a_fatal_reason_for_the_greeting_ends_the_call_too(autojump_clock: MockClock) -> None:
    """The greeting is requested once; it is reported as not delivered."""
    seen = await talk(script(), HELLO, behaviour=faults(ResponseFault.NO_QUOTA), agent__first_message="Welcome.")
    assert seen.report.outcome is EndCause.SESSION_LOST
    assert len(seen.responses) == 1
    assert seen.report.first_message is not None
    assert seen.line.said_after


async def test_what_was_generated_before_the_fatal_reason_is_heard(autojump_clock: MockClock) -> None:
    """Half of the reply plays to its end, then the call ends; its turn says so."""
    seen = await talk(script(), HELLO, behaviour=faults(ResponseFault.QUOTA_RAN_OUT))
    assert seen.line.playout.heard_bytes().startswith(seen.responses[0].audio)  # its last frame is filled up
    assert 0.5 < len(seen.responses[0].audio) / 8000 < LONG_S
    assert (seen.ends, seen.report.turns[0].why) == ([TurnEnd.INCOMPLETE], "failed: insufficient_quota")
    assert seen.report.outcome is EndCause.SESSION_LOST
    assert len(seen.responses) == 1


async def test_a_connection_that_ends_behind_a_fatal_reason_does_not_hide_it(autojump_clock: MockClock) -> None:
    """The provider closes the session while the last words are still playing."""
    gone = attrs.evolve(faults(ResponseFault.QUOTA_RAN_OUT), endings=(Ending(how=End.CUT, at_s=3.0),))
    seen = await talk(script(), HELLO, behaviour=gone)
    assert seen.report.duration_s < 3.5
    assert "insufficient_quota" in seen.report.outcome_detail


@pytest.mark.parametrize(
    ("stream_end", "statuses"),
    [
        (StreamEnd.STOP, StatusFaults()),
        (StreamEnd.STOP, StatusFaults(completed_before_stop_s=0.2)),
        (StreamEnd.CLOSE, StatusFaults()),
        (StreamEnd.CUT, StatusFaults(sends=False)),
    ],
)
async def test_a_user_who_hangs_up_over_the_last_words_does_not_hide_why_they_were_the_last(
    autojump_clock: MockClock, stream_end: StreamEnd, statuses: StatusFaults, caplog: pytest.LogCaptureFixture
) -> None:
    """The end was decided, and only waited for what plays: its cause is the outcome, and an error of the log."""
    behaviour = attrs.evolve(faults(ResponseFault.QUOTA_RAN_OUT), vad=ScriptedVad((HELLO,)))
    async with rig(script(), behaviour) as it:
        line = LineFaults(stream_end=stream_end)
        await it.carrier.call(it.engine.url, [HangUp(At(2.5))], faults=line, statuses=statuses)
        await it.engine.drain()
    assert it.report.duration_s == pytest.approx(2.5, abs=0.25)
    assert it.report.outcome is EndCause.SESSION_LOST
    assert "insufficient_quota" in it.report.outcome_detail
    assert [line for line in logged(caplog, logging.ERROR) if "insufficient_quota" in line]


@pytest.mark.parametrize("hangs_up", [True, False])
async def test_a_program_that_hangs_up_over_the_last_words_is_obeyed(autojump_clock: MockClock, hangs_up: bool) -> None:
    """The carrier is asked to end the call and speaks no apology; otherwise it does."""
    heard = ScriptedVad(((1.2, 2.2),))  # of a session that waited while the phone rang for a second
    behaviour = attrs.evolve(faults(ResponseFault.QUOTA_RAN_OUT), vad=heard)
    async with rig(script(), behaviour) as it:
        it.carrier.expect(DialPlan(ring_s=1.0, script=(HangUp(At(60.0)),)))
        async with it.engine.dial(CALLEE) as call:
            async for fact in call.facts():
                if isinstance(fact, ProblemSeen) and hangs_up:
                    await trio.sleep(0.5)
                    break
    assert (call.report.outcome, "insufficient_quota" in call.report.outcome_detail) == (EndCause.SESSION_LOST, True)
    assert it.dialled.line is not None
    assert bool(it.dialled.line.said_after) is not hangs_up


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("times", [1, 2, 3])
async def test_empty_replies_are_made_up_for_or_end_the_call(
    autojump_clock: MockClock, times: int, mode: dict[str, Any]
) -> None:
    """One: requested again. Two: a line is requested. Three: the call ends, and the carrier speaks the apology."""
    behaviour = faults(ResponseFault.EMPTY, *range(1, times + 1))
    seen = await talk(script(replies=(SHORT,)), HELLO, behaviour=behaviour, **mode)
    lines = [instructions for instructions in requests(seen) if instructions]
    assert len(seen.responses) == min(times + 1, 3)
    assert lines == ([] if times == 1 else [word_for_word(SORRY)])
    assert bool(seen.line.playout.heard_bytes()) == (times < 3)
    if times < 3:
        assert seen.report.outcome is EndCause.REMOTE_HUNG_UP
        assert seen.ends == ([TurnEnd.COMPLETED] if times == 1 else [TurnEnd.FAILED, TurnEnd.COMPLETED])
    else:
        assert (seen.report.outcome, seen.ends) == (EndCause.SESSION_LOST, [TurnEnd.FAILED])
        assert seen.report.outcome_detail == "no reply could be had: response_completed_without_audio"
        assert seen.line.said_after


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"agent__sorry_text": "Mi dispiace."}, word_for_word("Mi dispiace.")),
        ({"agent__sorry_text": ""}, None),
    ],
)
async def test_the_line_is_a_setting(autojump_clock: MockClock, settings: Mapping[str, Any], line: str | None) -> None:
    """In the language of the calls; without one the call ends in its place."""
    seen = await talk(script(replies=(SHORT,)), HELLO, behaviour=faults(ResponseFault.EMPTY, 1, 2), **settings)
    assert [each for each in requests(seen) if each] == ([] if line is None else [line])
    assert (seen.report.outcome is EndCause.SESSION_LOST) == (line is None)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("failed", [True, False])
async def test_a_turn_without_words_and_without_a_reply_is_answered_by_rule(
    autojump_clock: MockClock, failed: bool, mode: dict[str, Any]
) -> None:
    """The transcription failed, or found nothing, and so did the model."""
    transcribing = Transcribing(delay_s=0.05, failed=frozenset({1} if failed else ()))
    behaviour = attrs.evolve(faults(ResponseFault.EMPTY, 1, 2), transcribing=transcribing)
    words = attrs.evolve(script(replies=(SHORT,)), hears=("",))
    seen = await talk(words, HELLO, behaviour=behaviour, **mode)
    assert [each for each in requests(seen) if each] == [word_for_word(DID_NOT_CATCH)]
    assert seen.ends == [TurnEnd.FAILED, TurnEnd.COMPLETED]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("text", ["One moment.", ""])
async def test_a_tool_call_is_followed_by_an_answer(autojump_clock: MockClock, text: str, mode: dict[str, Any]) -> None:
    """Three calls of a response that spoke, or did not: three results, one more response, and no silence."""
    call = Reply(text, tool_calls=(ToolCall("look_up"), ToolCall("look_up"), ToolCall("book")))
    seen = await talk(script(replies=(call, SHORT)), HELLO, **mode)
    assert len(seen.responses) == 2
    assert seen.line.playout.heard_bytes() == b"".join(response.audio for response in seen.responses)
    assert seen.said("error") == []
    kinds = [item.body["type"] for item in seen.it.session.session.conversation.items]
    assert kinds.count("function_call_output") == 3
    assert set(seen.ends) == {TurnEnd.COMPLETED}
    assert len(seen.ends) == (2 if text else 1)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [(ResponseFault.INCOMPLETE, "max_output_tokens"), (ResponseFault.FILTERED, "content_filter")],
)
async def test_a_reply_that_the_provider_ended_early_says_so(
    autojump_clock: MockClock, fault: ResponseFault, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    """In the turn, in the problems, and in one line of log, however often it happens."""
    seen = await talk(script("and then?", replies=(LONG,)), HELLO, (6.0, 6.5), behaviour=faults(fault))
    assert [(turn.end, turn.why) for turn in seen.report.turns] == [(TurnEnd.INCOMPLETE, f"incomplete: {reason}")] * 2
    assert seen.report.problems == {f"incomplete: {reason}": 2}
    (warning,) = [line for line in logged(caplog, logging.WARNING) if reason in line]
    assert reason in warning
    (record,) = seen.it.records()
    assert {turn["end"] for turn in record["turns"]} == {"incomplete"}


async def test_a_request_that_is_refused_leaves_nobody_waiting(autojump_clock: MockClock) -> None:
    """The error names the request, which is repeated at once."""
    behaviour = Behaviour(refused_requests=frozenset({1}))
    seen = await talk(script(replies=[SHORT]), HELLO, behaviour=behaviour, barge_in__stops_at="words")
    (turn,) = seen.report.turns
    assert (turn.end, len(requests(seen))) == (TurnEnd.COMPLETED, 2)
    assert turn.first_sent_at_s is not None
    assert turn.first_sent_at_s <= 1.2 + 0.5


@pytest.mark.parametrize("again", [False, True])
async def test_a_refusal_that_names_no_request_leaves_nobody_waiting_long(
    autojump_clock: MockClock, again: bool
) -> None:
    """Our reply is out, and the error may be about anything: a few seconds, then it is asked for once more.

    Refused each time, the user hears a line in place of the reply, not silence.
    """
    behaviour = Behaviour(refused_requests=frozenset({1, 2} if again else {1}), anonymous_errors=True)
    seen = await talk(script(replies=[SHORT]), HELLO, hangs_up_at=20.0, behaviour=behaviour, **WORDS)
    turn = seen.report.turns[0]
    assert len(requests(seen)) == 2 + again
    assert turn.end is (TurnEnd.FAILED if again else TurnEnd.COMPLETED)
    assert seen.carried("media")[0] < HELLO[1] + (8.0 if again else 4.5)
    assert seen.report.problems["server_error"] == 1 + again


async def test_a_refusal_of_something_else_does_not_ask_twice(autojump_clock: MockClock) -> None:
    """The reply that is out begins soon after: there is one, and one only."""
    slow = Pace(created_s=1.0, first_delta_s=1.0)
    behaviour = Behaviour(refused_requests=frozenset({2}), anonymous_errors=True, pace=slow)
    seen = await talk(script("two", replies=[SHORT]), HELLO, (6.0, 7.0), behaviour=behaviour, hangs_up_at=20.0, **WORDS)
    assert [turn.end for turn in seen.report.turns] == [TurnEnd.COMPLETED] * 2
    assert len(requests(seen)) == 3


def again_and_again(every_s: float, says_s: float = 0.5) -> list[tuple[float, float]]:
    """The user speaks for so long, every so many seconds, for three minutes."""
    return [(1.0 + every_s * at, 1.0 + every_s * at + says_s) for at in range(int(180 / every_s))]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("every_s", [2.0, 3.0, 6.0, 9.0])
@pytest.mark.parametrize(
    "behaviour", [faults(ResponseFault.SILENT), Behaviour(pace=Pace(created_s=999.0))], ids=["silent", "not begun"]
)
async def test_a_user_who_asks_again_and_again_is_not_left_in_silence(
    autojump_clock: MockClock, mode: dict[str, Any], every_s: float, behaviour: Behaviour
) -> None:
    """Each "hello?" begins the wait for a reply anew; all the same there is a line within a minute, then an end."""
    hears = ["hello?"] * 90
    seen = await talk(script(*hears), *again_and_again(every_s), hangs_up_at=185.0, behaviour=behaviour, **mode)
    assert seen.report.outcome_detail == "no reply could be had: no_reply"
    assert seen.report.duration_s < 60.0
    assert seen.report.problems["no_reply"] == 2
    assert set(seen.ends) == {TurnEnd.FAILED}
    assert seen.line.said_after


@pytest.mark.parametrize("mode", MODES)
async def test_a_user_who_pauses_for_breath_is_not_interrupted(autojump_clock: MockClock, mode: dict[str, Any]) -> None:
    """Three minutes with pauses too short for a reply are one long turn to the user: no line, and no end."""
    dictates = again_and_again(2.0, 1.2)
    behaviour = Behaviour(pace=Pace(first_delta_s=0.9))
    seen = await talk(script(*["and"] * 99), *dictates, hangs_up_at=185.0, behaviour=behaviour, **mode)
    assert seen.report.outcome is EndCause.REMOTE_HUNG_UP
    assert [each for each in requests(seen) if each] == []
    assert seen.line.playout.heard_bytes()
    assert seen.report.problems == {}


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("way", [way for way in WAYS if way != "unprotected"])
async def test_an_early_hello_does_not_stop_what_there_is_of_a_greeting_that_failed_for_good(
    autojump_clock: MockClock, direction: str, way: str
) -> None:
    """Half of it plays, and the call ends behind that: the user's words from before it stop nothing."""
    behaviour = Behaviour(responses={1: ResponseFault.QUOTA_RAN_OUT}, pace=Pace(first_delta_s=0.6))
    async with rig(TALK, behaviour, agent__first_message=GREETING, **WAYS[way]) as it:
        line, report = await called(it, direction, Say(At(0.1), ulaw("caller-hello-it")), HangUp(At(30.0)))
    generated = it.session.session.responses[0].audio
    assert len(generated) / 8000 > 1.0
    assert line.playout.heard_bytes().startswith(generated)
    assert "insufficient_quota" in report.outcome_detail
    assert report.barge_ins == 0


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("fault", [ResponseFault.EMPTY, ResponseFault.SILENT, None])
async def test_idle_prompts_that_nobody_hears_are_no_prompts(
    autojump_clock: MockClock, mode: dict[str, Any], fault: ResponseFault | None
) -> None:
    """It is not the user who was silent: the record says that the session was, and the carrier says its words."""
    behaviour = Behaviour() if fault is None else faults(fault, *range(2, 50))
    given = {"idle__after_ms": 3000, **mode}
    seen = await talk(script(replies=(SHORT,)), HELLO, hangs_up_at=90.0, behaviour=behaviour, **given)
    if fault is None:
        assert (seen.report.outcome, seen.report.problems) == (EndCause.USER_SILENT, {})
        return
    assert (seen.report.outcome, seen.report.problems["prompt_lost"]) == (EndCause.SESSION_LOST, 2)
    assert seen.report.outcome_detail == "no reply could be had: prompt_lost"
    assert seen.line.said_after


async def test_one_idle_prompt_that_was_heard_is_enough(autojump_clock: MockClock) -> None:
    """The first came to nothing, the second was heard, and the user said nothing to it."""
    behaviour = faults(ResponseFault.EMPTY, 2)
    seen = await talk(script(replies=(SHORT,)), HELLO, hangs_up_at=90.0, behaviour=behaviour, idle__after_ms=3000)
    assert (seen.report.outcome, seen.report.problems["prompt_lost"]) == (EndCause.USER_SILENT, 1)


async def test_an_idle_prompt_that_a_key_stops_was_heard(autojump_clock: MockClock) -> None:
    """And one that the user speaks over before its first sound is not missed."""
    steps = [Press(At(6.0), "1")]
    speech = (HELLO, (9.9, 10.4))
    given: dict[str, Any] = {"idle__after_ms": 3000, "idle__prompts": 9}
    replies = (SHORT, Reply("Are you still there?", speech=Tone(2.0)))
    seen = await talk(script("yes", replies=replies), *speech, steps=steps, hangs_up_at=12.0, **given)
    assert seen.report.problems == {}


@pytest.mark.parametrize("mode", MODES)
async def test_an_idle_prompt_that_has_not_begun_is_dropped_once_the_user_speaks(
    autojump_clock: MockClock, mode: dict[str, Any]
) -> None:
    """It was requested at 6.45 s and begins a second later; by then there is a user turn, which is answered."""
    behaviour = Behaviour(pace=Pace(created_s=1.0))
    given = {"idle__after_ms": 3000, **mode}
    seen = await talk(
        script("yes", replies=(SHORT,)), HELLO, (6.6, 7.0), hangs_up_at=11.0, behaviour=behaviour, **given
    )
    assert [line.text for line in seen.report.transcript] == ["hello?", "Certainly.", "yes", "Certainly."]
