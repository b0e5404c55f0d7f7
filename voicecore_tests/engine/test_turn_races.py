"""Barge-in and turn taking on whole calls: every ordering that went wrong somewhere, at its limits.

What holds is judged by what the two twins saw; d4, d7 stand in test_playout_races.py, d23 and d24 also in
test_turn_settings.py, and the same rules on the machines alone in voicecore_tests/turns.
"""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from voicecore.engine.settings import CallSettings
from voicecore.facts import BargeInConfirmed, BargeInOutcome, CallEnded, IdlePrompted, Speaker, TurnEnd, UserSaid
from voicecore.simulation.numbered_audio import numbered_audio
from voicecore.simulation.openai_realtime import (
    Behaviour,
    NumberedFrames,
    Reply,
    ResponseFault,
    Script,
    ScriptedVad,
    Tone,
    ToolCall,
)
from voicecore.simulation.openai_realtime.behaviour import Transcribing
from voicecore.simulation.twilio import AfterAgent, At, HangUp, Press, Say, Step, WhileAgentSpeaks
from voicecore.turns.responses import ResponseSettings
from voicecore.turns.user_turns import UserTurnSettings
from voicecore_tests.engine.talks import (
    ANSWERED_AT,
    HELLO,
    LONG,
    LONG_S,
    MODES,
    SHORT,
    TICK,
    WORDS,
    Seen,
    around,
    script,
    talk,
)
from voicecore_tests.kit import asked, rig, ulaw

PATIENT = CallSettings(responses=ResponseSettings(progress_s=60.0), turns=UserTurnSettings(reply_s=60.0))
IMPATIENT = CallSettings(
    responses=ResponseSettings(start_s=1.0, announced_s=1.0, progress_s=1.0, cancel_s=0.5),
    turns=UserTurnSettings(reply_s=1.5),
)
NEVER_WORDS = Behaviour(transcribing=Transcribing(delay_s=60.0))
OVER = (3.0, 3.5)  #: the user speaks over the long answer
CONFIRM_S = 1.5


def answered_ends(seen: Seen) -> list[TurnEnd]:
    return [turn.end for turn in seen.report.turns if turn.items]


@pytest.mark.parametrize("hangs_up_at", [*around(OVER[0]), 3.5, 4.0, *around(OVER[1] + CONFIRM_S)])
async def test_d1_nothing_of_a_decision_outlives_the_call(autojump_clock: MockClock, hangs_up_at: float) -> None:
    """The call ends while it is pending: no deadline fires afterwards, and the decision is in the record."""
    seen = await talk(
        script(""), HELLO, OVER, hangs_up_at=hangs_up_at, behaviour=NEVER_WORDS, barge_in__stops_at="words"
    )
    told = len(seen.it.facts)
    await trio.sleep(10.0)
    assert len(seen.it.facts) == told
    assert isinstance(seen.it.facts[-1], CallEnded)
    assert seen.carried("clear") == []
    outcomes = [decision.outcome for decision in seen.report.decisions]
    assert outcomes in (
        [[], [BargeInOutcome.OVERTAKEN]] if hangs_up_at <= OVER[0] else [[BargeInOutcome.OVERTAKEN]]
    ) or (hangs_up_at >= OVER[1] + CONFIRM_S and outcomes == [BargeInOutcome.DISMISSED])


@pytest.mark.parametrize("delay_s", [0.0, TICK, 0.4, 1.0])
async def test_d2_d3_the_delay_of_a_barge_in_is_counted_from_its_onset(
    autojump_clock: MockClock, delay_s: float
) -> None:
    """Confirmed by words, which come however late they come: the record says what the wire says."""
    behaviour = Behaviour(transcribing=Transcribing(delay_s=delay_s))
    seen = await talk(script("wait a moment"), HELLO, OVER, behaviour=behaviour, **WORDS)
    (cleared_at,) = seen.carried("clear")
    (overlap,) = [turn.overlap for turn in seen.report.turns if turn.overlap is not None]
    assert overlap.clear_s is not None
    assert overlap.detection_s + overlap.clear_s == pytest.approx(cleared_at - OVER[0])
    assert overlap.detection_s >= OVER[1] - OVER[0] + delay_s
    assert bytes(seen.line.sent_audio).startswith(bytes(seen.it.session.session.user_audio))


@pytest.mark.parametrize("spoken", [At(0.0), *(WhileAgentSpeaks(s) for s in around(0.96)), AfterAgent(TICK)])
async def test_d5_words_across_the_end_of_a_protection_are_whole(
    autojump_clock: MockClock, spoken: At | WhileAgentSpeaks | AfterAgent
) -> None:
    """Every frame is forwarded, buffered and forwarded, or counted as dropped: here each word reaches the model."""
    greeting = Script(replies=(Reply("Hello.", speech=Tone(1.0)), SHORT), hears=("hello?",))
    async with rig(greeting, agent__first_message="Hello.") as it:
        steps: list[Step] = [Say(spoken, ulaw("caller-hello-it")), HangUp(AfterAgent(1.0))]
        line = await it.carrier.call(it.engine.url, steps)
        await it.engine.drain()
    assert line is not None
    at_provider = bytes(it.session.session.user_audio)
    assert at_provider in bytes(line.sent_audio)
    assert ulaw("caller-hello-it") in at_provider
    silence = it.report.media.user_dropped_bytes.get("buffered_silence", 0)
    assert len(line.sent_audio) - len(at_provider) - silence <= 3 * 160
    media = it.report.media
    assert media.user_received_bytes == media.user_forwarded_bytes + sum(media.user_dropped_bytes.values())
    assert it.session.session.responses[-1].audio in line.playout.heard_bytes()


async def last_mark_at() -> float:
    """When the carrier returned the last mark of a short answer to the user's hello."""
    seen = await talk(script(replies=(SHORT,)), HELLO)
    return max(
        each.at - seen.line.began_at for each in seen.line.ledger if (each.direction, each.kind)[0:2] == ("out", "mark")
    )


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("after_s", [*around(0.0), 0.3, *around(1.5)])
async def test_d6_speech_around_the_last_mark_is_a_turn_that_is_answered(
    autojump_clock: MockClock, after_s: float, mode: dict[str, Any]
) -> None:
    """From the last mark on nothing is a barge-in; before it or after it, the user is answered once."""
    begin = round(await last_mark_at() + after_s, 3)
    seen = await talk(
        script("and now?", replies=(SHORT,)), HELLO, (begin, begin + 0.5), hangs_up_at=begin + 6.0, **mode
    )
    assert seen.carried("clear") == [] or after_s <= 0
    assert len(seen.report.turns) == 2
    assert answered_ends(seen)[-1] is TurnEnd.COMPLETED
    assert seen.line.playout.heard_bytes().endswith(seen.responses[-1].audio)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("again_at", [HELLO[1], HELLO[1] + TICK, 10.0, *around(ANSWERED_AT + 30.0)])
async def test_d8_d13_a_user_who_goes_on_is_heard_while_the_model_thinks(
    autojump_clock: MockClock, again_at: float, mode: dict[str, Any]
) -> None:
    """The model takes 30 s: the newer turn is taken in at once, the old response is ended, one answer is heard."""
    thinks = Reply("Too late.", speech=Tone(5.0), after_s=30.0)
    second = (again_at, again_at + 0.5)
    replies = script("are you there?", replies=(thinks, SHORT))
    seen = await talk(replies, HELLO, second, hangs_up_at=again_at + 8.0, call=PATIENT, **mode)
    old, new = seen.responses[0], seen.responses[-1]
    assert old is not new
    assert old.done is not None
    assert old.done["status"] == ("cancelled" if again_at < ANSWERED_AT + 30.0 else old.done["status"])
    assert seen.said("response.created")[-1] <= second[1] + 0.5
    assert seen.line.playout.heard_bytes().endswith(new.audio)
    assert answered_ends(seen)[-1] is TurnEnd.COMPLETED


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("later_s", [0.0, TICK, 0.23, 0.25, 0.27, 1.0, 5.0])
async def test_d9_a_turn_that_is_told_twice_is_answered_once(
    autojump_clock: MockClock, later_s: float, mode: dict[str, Any]
) -> None:
    """Its commit and its words come again: before, as and after the reply begins."""
    async with rig(script(replies=(SHORT,)), Behaviour(vad=ScriptedVad()), **mode) as it:

        async def repeat() -> None:
            await trio.sleep(HELLO[0])
            it.session.speech_starts()
            await trio.sleep(HELLO[1] - HELLO[0])
            it.session.speech_stops()
            await trio.sleep(later_s)
            item = it.session.session.conversation.items[0].item_id
            words = "conversation.item.input_audio_transcription.completed"
            emit = it.session.session._emit
            emit("input_audio_buffer.committed", item_id=item, previous_item_id=None)
            emit(words, item_id=item, content_index=0, transcript="hello?", usage={"type": "duration", "seconds": 1.0})
            it.session._resting.cancel()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(it.carrier.call, it.engine.url, [HangUp(At(9.0))])
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(repeat)
        await it.engine.drain()
    assert len(it.session.session.responses) == 1
    assert [turn.end for turn in it.report.turns] == [TurnEnd.COMPLETED]
    assert [line.speaker for line in it.report.transcript] == [Speaker.USER, Speaker.AGENT]
    assert it.report.problems == {"repeated_turn": 1}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("gap_s", [TICK, 0.23, 0.25, 0.27, 0.38, 0.4, 0.42, 2.0])
async def test_d10_every_turn_of_many_reaches_one_answer(
    autojump_clock: MockClock, gap_s: float, mode: dict[str, Any]
) -> None:
    """Five turns in a row, at any pace: answered alone or together, none twice and none never."""
    speech, begin = [HELLO], HELLO[1]
    for _ in range(4):
        begin = round(begin + gap_s, 3)
        speech.append((begin, round(begin + 0.3, 3)))
        begin = speech[-1][1]
    seen = await talk(script(*["and then?"] * 4, replies=(SHORT,)), *speech, hangs_up_at=begin + 6.0, **mode)
    assert len(seen.committed()) == 5
    assert set(answered_ends(seen)) <= {TurnEnd.COMPLETED, TurnEnd.INTERRUPTED}
    assert answered_ends(seen)[-1] is TurnEnd.COMPLETED
    assert seen.line.playout.heard_bytes().endswith(seen.responses[-1].audio)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("delay_s", [0.0, *around(0.25), 1.0, 5.0])
async def test_d11_words_that_come_after_the_reply_began_bring_no_second_one(
    autojump_clock: MockClock, delay_s: float, mode: dict[str, Any]
) -> None:
    """The turn was decided without them: they are written down, and nothing else happens."""
    behaviour = Behaviour(transcribing=Transcribing(delay_s=delay_s))
    seen = await talk(script(replies=(SHORT,)), HELLO, behaviour=behaviour, **mode)
    assert len(seen.responses) == 1
    assert [(line.speaker, line.text) for line in seen.report.transcript] == [
        (Speaker.USER, "hello?"),
        (Speaker.AGENT, SHORT.text),
    ]


ECHO: dict[str, Any] = {"barge_in__acoustic_echo": "present", **WORDS}


@pytest.mark.parametrize("begins_s", [TICK, *around(0.8), 3.0])
async def test_d12_the_agents_own_words_on_the_line_are_no_turn(autojump_clock: MockClock, begins_s: float) -> None:
    """They return as user speech: the agent keeps talking, and there is no answer."""
    begin = round(ANSWERED_AT + begins_s, 3)
    seen = await talk(script("one two three four five"), HELLO, (begin, begin + 1.0), **ECHO)
    assert seen.carried("clear") == []
    assert len(seen.responses) == 1
    assert seen.line.playout.heard_bytes() == seen.responses[0].audio
    assert [turn.end for turn in seen.report.turns] == [TurnEnd.COMPLETED, TurnEnd.DROPPED]


@pytest.mark.parametrize("mode", [*MODES, ECHO])
@pytest.mark.parametrize("words", ["ten", "nine ten", "eight nine ten", "bye bye", "thank you", "Thanks for watching!"])
async def test_d12_d16_a_short_answer_is_a_turn_whatever_its_words(
    autojump_clock: MockClock, words: str, mode: dict[str, Any]
) -> None:
    """What the agent has just said, or what transcriptions of noise often say: there was speech, so it is answered."""
    replies = script(words, replies=(Reply("eight nine ten", speech=Tone(1.0)), SHORT))
    seen = await talk(replies, HELLO, (4.0, 4.3), **mode)
    assert answered_ends(seen) == [TurnEnd.COMPLETED, TurnEnd.COMPLETED]
    assert [text for _, text in seen.history()] == ["hello?", "eight nine ten", words, SHORT.text]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("hangs_up_at", [*around(HELLO[1]), *around(ANSWERED_AT), 1.6, 5.0])
async def test_d13_the_providers_stream_ends_with_the_call(
    autojump_clock: MockClock, hangs_up_at: float, mode: dict[str, Any]
) -> None:
    """Before the first token, with it and in mid-stream: the socket is closed in the instant of the hang-up.

    But for words of the user that are still to come: see test_last_words.py.
    """
    known = Behaviour(transcribing=Transcribing(delay_s=0.0))
    seen = await talk(script(), HELLO, hangs_up_at=hangs_up_at, behaviour=known, **mode)
    lines = seen.it.provider.ledger.of(seen.it.session.number)
    (ended_at,) = [line.t - seen.line.began_at for line in lines if line.kind == "ended"]
    assert ended_at == pytest.approx(hangs_up_at, abs=TICK + 0.001)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("again_at", [HELLO[1] + TICK, *around(ANSWERED_AT), 3.0])
async def test_d14_there_is_one_owner_of_turns(
    autojump_clock: MockClock, again_at: float, mode: dict[str, Any]
) -> None:
    """Either the session replies and interrupts, and the engine asks for nothing; or the engine does both."""
    seen = await talk(script("wait a moment"), HELLO, (again_at, again_at + 0.5), **mode)
    update = seen.it.session.updates[0].event["session"]["audio"]["input"]["turn_detection"]
    assert update["create_response"] is update["interrupt_response"] is (not mode)
    assert len(asked(seen.it.session)) == (len(seen.responses) if mode else 0)
    assert seen.said("error") == []
    assert answered_ends(seen)[-1] is TurnEnd.COMPLETED


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "reply", [LONG, Reply(tool_calls=(ToolCall("look_up"),)), Reply("One moment.", tool_calls=(ToolCall("x"),))]
)
@pytest.mark.parametrize("again_at", [HELLO[1], *around(ANSWERED_AT), 3.0, 7.0])
async def test_d15_a_barge_in_orders_nothing_that_a_provider_refuses(
    autojump_clock: MockClock, again_at: float, reply: Reply, mode: dict[str, Any]
) -> None:
    """With no response active, over a function call, right behind a user item: no error comes back."""
    seen = await talk(
        script("wait a moment", replies=(reply, SHORT)), HELLO, (again_at, again_at + 0.5), hangs_up_at=12.0, **mode
    )
    assert seen.said("error") == []
    assert TurnEnd.CALL_OVER not in seen.ends


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("again_at", [HELLO[1] + TICK, 1.4, *around(ANSWERED_AT)])
async def test_d17_a_response_that_was_superseded_unheard_leaves_nothing(
    autojump_clock: MockClock, again_at: float, mode: dict[str, Any]
) -> None:
    """Speech that began before its first audio: none of it is heard, written down, or kept by the provider."""
    replies = script(
        "and then?", replies=(Reply("one", speech=NumberedFrames(4.0)), Reply("two", speech=NumberedFrames(1.0)))
    )
    seen = await talk(replies, HELLO, (again_at, round(again_at + 0.6, 3)), **mode)
    first, second = (numbered_audio(call=1, response=n, seconds=s) for n, s in ((1, 4.0), (2, 1.0)))
    heard = seen.line.playout.heard_bytes()
    assert heard.endswith(second)
    if again_at < ANSWERED_AT:
        assert heard == second
        assert seen.history() == [("user", "hello?"), ("user", "and then?"), ("assistant", "two")]
        assert [line.text for line in seen.report.transcript] == ["hello?", "and then?", "two"]
    assert first.startswith(heard[: -len(second)])


@pytest.mark.parametrize(("mode", "begin", "by"), [({}, 1.3, 31.3), (WORDS, 1.3, 6.3), (WORDS, HELLO[1], 6.2)])
async def test_d18_speech_that_never_ends_is_waited_for_within_a_bound(
    autojump_clock: MockClock, mode: dict[str, Any], begin: float, by: float
) -> None:
    """A noise is taken for the user: the turn before it is answered when the wait is over."""
    seen = await talk(script(replies=(SHORT,)), HELLO, (begin, 999.0), hangs_up_at=by + 4.0, **mode)
    assert by - TICK <= seen.carried("media")[0] <= by + 0.3
    assert answered_ends(seen) == [TurnEnd.COMPLETED]


IDLE: dict[str, Any] = {"idle__after_ms": 3000, "idle__text": "Anybody there?", "idle__then": "stay"}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("after_s", [*around(0.0, 0.25), 0.1])
async def test_d19_an_idle_prompt_and_the_user_exclude_each_other(
    autojump_clock: MockClock, after_s: float, mode: dict[str, Any]
) -> None:
    """The user begins in the instant in which the prompt is due, or its first audio leaves: one agent, one voice."""
    due_at = await last_mark_at() + 3.0
    begin = round(due_at + after_s, 3)
    replies = Script(replies=(SHORT, SHORT, LONG), hears=("hello?", "I am here now"))
    seen = await talk(replies, HELLO, (begin, begin + 0.5), hangs_up_at=begin + 4.0, **(IDLE | mode))
    assert len(seen.it.facts_of(IdlePrompted)) <= 1
    assert "Anybody there?" not in [line.text for line in seen.report.transcript if line.speaker is Speaker.USER]
    assert len(answered_ends(seen)) == 2
    last = seen.report.turns[-1]
    assert last.items == (seen.committed()[-1],)
    assert last.first_heard_at_s is not None
    created = seen.said("response.created")
    assert all(later - earlier > TICK / 2 for earlier, later in itertools.pairwise(created))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("failed", [True, False])
async def test_d20_a_turn_without_words_is_a_turn(
    autojump_clock: MockClock, failed: bool, mode: dict[str, Any]
) -> None:
    """Its transcription fails, or never comes: answered at once, recorded once, without text."""
    transcribing = Transcribing(failed=frozenset({1})) if failed else Transcribing(delay_s=600.0)
    seen = await talk(script(replies=(SHORT,)), HELLO, behaviour=Behaviour(transcribing=transcribing), **mode)
    assert seen.carried("media")[0] == pytest.approx(ANSWERED_AT)
    assert [(line.speaker, line.text) for line in seen.report.transcript] == [
        (Speaker.USER, None),
        (Speaker.AGENT, SHORT.text),
    ]
    assert [fact.text for fact in seen.it.facts_of(UserSaid)] == [None] * failed


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("key_at", [*around(HELLO[1], ANSWERED_AT), 5.0])
async def test_d21_keys_and_speech_that_ask_for_answers_at_once_both_get_one(
    autojump_clock: MockClock, key_at: float, mode: dict[str, Any]
) -> None:
    """The session replies to the words, the engine to the keys: one at a time, and a refused request is repeated."""
    keys: list[Step] = [Press(At(key_at), "7"), Press(At(key_at), "#")]
    seen = await talk(script(replies=(SHORT,)), HELLO, steps=keys, **mode)
    assert set(answered_ends(seen)) <= {TurnEnd.COMPLETED, TurnEnd.INTERRUPTED}
    assert sorted(item[:4] for turn in seen.report.turns for item in turn.items) == ["item", "keys"]
    assert len(seen.said("error")) <= 1
    assert seen.line.playout.heard_bytes().endswith(seen.responses[-1].audio)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("after_s", [TICK, 0.05, *around(0.25), 0.5])
@pytest.mark.parametrize("fault", [None, ResponseFault.SILENT, ResponseFault.LOST, ResponseFault.FAILED])
async def test_d22_a_cough_before_the_reply_costs_no_answer(
    autojump_clock: MockClock, after_s: float, fault: ResponseFault | None, mode: dict[str, Any]
) -> None:
    """50 to 500 ms behind the turn, also where the response behind it goes wrong: all turns end, and in time."""
    begin = round(HELLO[1] + after_s, 3)
    behaviour = Behaviour(responses={} if fault is None else {2: fault})
    seen = await talk(
        script("", replies=(SHORT,)), HELLO, (begin, begin + 0.2), behaviour=behaviour, call=IMPATIENT, **mode
    )
    fell_short = set() if fault is None else {TurnEnd.INCOMPLETE}  # of some faulty replies half is heard
    assert set(answered_ends(seen)) <= {TurnEnd.COMPLETED, TurnEnd.INTERRUPTED, TurnEnd.DROPPED} | fell_short
    assert any(turn.first_heard_at_s is not None for turn in seen.report.turns)
    assert all(turn.ended_at_s is not None and turn.ended_at_s < 9.0 for turn in seen.report.turns)


@pytest.mark.parametrize("mode", MODES)
async def test_d23_idle_prompts_come_in_silence_only(autojump_clock: MockClock, mode: dict[str, Any]) -> None:
    """The agent talks for 6 s and the user for 4: neither is silence; then two prompts, each after its time."""
    seen = await talk(script("so long", replies=(LONG, SHORT)), HELLO, (9.0, 13.0), hangs_up_at=24.0, **(IDLE | mode))
    prompts = [at for at, text in zip(seen.got("response.create"), asked(seen.it.session), strict=True) if text]
    marks = [
        each.at - seen.line.began_at for each in seen.line.ledger if (each.direction, each.kind) == ("out", "mark")
    ]
    assert len(prompts) == 2
    assert all(max(mark for mark in marks if mark < at) == pytest.approx(at - 3.0, abs=TICK) for at in prompts)


@pytest.mark.parametrize("words", ["yes", "mm-hm", ""])
@pytest.mark.parametrize("begin", [*around(ANSWERED_AT), 3.0, *around(ANSWERED_AT + LONG_S)])
async def test_d24_a_murmur_leaves_the_agent_alone_wherever_it_falls(
    autojump_clock: MockClock, begin: float, words: str
) -> None:
    """Over the first word and over the last one: the user misses not one sample."""
    seen = await talk(script(words), HELLO, (begin, round(begin + 0.3, 3)), **WORDS)
    assert seen.responses[0].audio in seen.line.playout.heard_bytes() or begin <= ANSWERED_AT
    assert seen.it.facts_of(BargeInConfirmed) == []
    assert set(answered_ends(seen)) <= {TurnEnd.COMPLETED, TurnEnd.DROPPED}
