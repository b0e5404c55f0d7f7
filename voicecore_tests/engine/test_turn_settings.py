"""Every setting of barge-in, idle prompts, keypad and playout has an effect that the other side can see."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from typing import Any

import pytest
from trio.testing import MockClock

from voicecore.facts import (
    BargeInConfirmed,
    BargeInDismissed,
    BargeInOutcome,
    BargeInPending,
    EndCause,
    FirstAudioReceived,
    IdlePrompted,
    KeysPressed,
    MessageDone,
    MessageOutcome,
    Speaker,
    TurnEnd,
)
from voicecore.simulation.openai_realtime import Behaviour, Reply, Script, Tone, Transcribing
from voicecore.simulation.twilio import AfterAgent, At, HangUp, Press, Say, Step, WhileAgentSpeaks
from voicecore.simulation.twilio.line import Line
from voicecore_tests.kit import Rig, asked, rig, ulaw

HELLO = ulaw("caller-hello-it")
LONG = Reply("one two three four five six seven eight nine ten", speech=Tone(10.0))
SHORT = Reply("Certainly.", speech=Tone(1.0))


def script(*heard: str, replies: Sequence[Reply] = (LONG, SHORT)) -> Script:
    return Script(replies=tuple(replies), hears=("hello?", *heard))


async def call(it: Rig, *steps: Step) -> Line:
    """Say hello, then these steps, and hang up when the agent has ended."""
    line = await it.carrier.call(it.engine.url, [Say(At(0.2), HELLO), *steps])
    await it.engine.drain()
    assert line is not None
    assert line.playout.violations == []
    return line


def updates(it: Rig) -> dict[str, Any]:
    """The turn detection that the session was opened with."""
    update = next(request for request in it.session.requests if request["type"] == "session.update")
    detection: dict[str, Any] = update["session"]["audio"]["input"]["turn_detection"]
    return detection


OVER = Say(WhileAgentSpeaks(2.0), HELLO)
END = HangUp(AfterAgent(0.5))


@pytest.mark.parametrize(("words", "stops"), [("wait a moment", True), ("mm-hm", False), ("yes", False), ("", False)])
async def test_d24_words_that_are_too_few_leave_the_agent_untouched(
    autojump_clock: MockClock, words: str, stops: bool
) -> None:
    """Playout goes on as if nothing had been said; the backchannel is not answered, and the record says why."""
    async with rig(script(words), barge_in__stops_at="words") as it:
        line = await call(it, OVER, END)
    assert (updates(it)["create_response"], updates(it)["interrupt_response"]) == (False, False)
    assert len(it.facts_of(BargeInPending)) == 1
    assert (len(it.facts_of(BargeInConfirmed)), len(it.facts_of(BargeInDismissed))) == ((1, 0) if stops else (0, 1))
    (decision,) = it.report.decisions
    assert decision.outcome is (BargeInOutcome.CONFIRMED if stops else BargeInOutcome.DISMISSED)
    assert words.startswith(decision.evidence[-1].words or "")
    ends = [TurnEnd.INTERRUPTED, TurnEnd.COMPLETED] if stops else [TurnEnd.COMPLETED, TurnEnd.DROPPED]
    assert [turn.end for turn in it.report.turns] == ends
    assert (len(line.playout.heard_bytes()) == 10 * 8000) is not stops


async def test_min_words_says_how_many(autojump_clock: MockClock) -> None:
    """The same three words do not stop an agent that wants four."""
    async with rig(script("wait a moment"), barge_in__stops_at="words", barge_in__min_words=4) as it:
        await call(it, OVER, END)
    assert it.report.barge_ins == 0


@pytest.mark.parametrize(("needed_ms", "stops"), [(100, True), (1500, False)])
async def test_min_speech_says_how_long(autojump_clock: MockClock, needed_ms: int, stops: bool) -> None:
    """Speech stops the agent while it goes on: no words are needed, and none are waited for."""
    async with rig(script("hello"), barge_in__stops_at="speech", barge_in__min_speech_ms=needed_ms) as it:
        await call(it, OVER, END)
    assert it.report.barge_ins == int(stops)
    if stops:
        (barged_in,) = it.facts_of(BargeInConfirmed)
        assert 0.1 <= barged_in.at_s - barged_in.overlap_at_s <= 0.21


async def test_confirm_ms_bounds_a_decision_without_words(autojump_clock: MockClock) -> None:
    """The transcription takes 0.4 s: a shorter limit dismisses before it, a longer one uses it."""
    outcomes = []
    for confirm_ms in (300, 1500):
        async with rig(script("wait a moment"), barge_in__stops_at="words", barge_in__confirm_ms=confirm_ms) as it:
            await call(it, OVER, END)
        outcomes += [(each.outcome, each.decided_by) for each in it.report.decisions]
    assert outcomes == [(BargeInOutcome.DISMISSED, "time"), (BargeInOutcome.CONFIRMED, "2 words")]


async def test_murmurs_pass_and_other_speech_stops(autojump_clock: MockClock) -> None:
    """A backchannel is recognised by its words, as long as the speech that stops the agent is longer."""
    async with rig(
        script("Mm-hm."), barge_in__stops_at="speech", barge_in__backchannels_pass=True, barge_in__min_speech_ms=2000
    ) as it:
        await call(it, OVER, END)
    (decision,) = it.report.decisions
    assert (decision.outcome, decision.decided_by) == (BargeInOutcome.DISMISSED, "backchannels")


async def test_d24_two_murmurs_in_a_row_do_not_stop_an_agent_that_one_word_stops(autojump_clock: MockClock) -> None:
    """The second begins before the words of the first are known."""
    one_word: dict[str, Any] = {
        "barge_in__stops_at": "words",
        "barge_in__min_words": 1,
        "barge_in__backchannels_pass": True,
    }
    slow_words = Behaviour(transcribing=Transcribing(delay_s=1.2))
    async with rig(script("Mm-hm.", "Yes."), slow_words, **one_word) as it:
        await call(it, OVER, Say(WhileAgentSpeaks(0.7), HELLO), END)
    assert [len(each.items) for each in it.report.decisions] == [2]
    assert it.report.barge_ins == 0
    assert {(each.outcome, each.decided_by) for each in it.report.decisions} == {
        (BargeInOutcome.DISMISSED, "backchannels")
    }
    assert it.report.turns[-1].end is not TurnEnd.INTERRUPTED


@pytest.mark.parametrize(
    ("setting", "after_s", "stops"),
    [
        ({}, 0.3, True),
        ({"barge_in__guard_ms": 1500}, 0.3, False),
        ({"barge_in__guard_ms": 1500}, 2.0, True),
        ({"barge_in__acoustic_echo": "present", "barge_in__echo_guard_ms": 1500}, 0.3, False),
        ({"barge_in__acoustic_echo": "present"}, 1.0, True),
    ],
)
async def test_the_gate_is_anchored_at_the_first_audible_audio(
    autojump_clock: MockClock, setting: dict[str, Any], after_s: float, stops: bool
) -> None:
    """Speech that begins and ends within the guard time is most likely acoustic echo; each kind of line has its own."""
    async with rig(script("hello"), **setting) as it:
        await call(it, Say(WhileAgentSpeaks(after_s), HELLO), END)
    assert it.report.barge_ins == int(stops)
    if not stops:
        assert [(each.outcome, each.decided_by) for each in it.report.decisions] == [(BargeInOutcome.DISMISSED, "gate")]


@pytest.mark.parametrize("keeps", ["heard", "full", "none"])
async def test_c10_one_policy_says_what_the_history_keeps_of_a_cut(autojump_clock: MockClock, keeps: str) -> None:
    """Transcript and the provider's conversation agree in each of them."""
    async with rig(script("stop"), barge_in__history=keeps) as it:
        await call(it, OVER, END)
    cut = [line for line in it.report.transcript if line.interrupted]
    items = {item.item_id: item for item in it.session.session.conversation.items}
    interrupted = next(turn for turn in it.report.turns if turn.interrupted)
    assert interrupted.response_id is not None
    if keeps == "none":
        assert cut == []
        assert not any(item.truncated for item in items.values())
        assert len([item for item in items.values() if item.body["role"] == "assistant"]) == 1
        return
    (line,) = cut
    assert line.text is not None
    assert (line.text == LONG.text) is (keeps == "full")
    assert items[line.item_id].truncated is (keeps == "heard")


async def test_keys_stop_the_agent_and_are_a_turn_that_it_answers(autojump_clock: MockClock) -> None:
    """Collected up to the terminator, sent to the model only, answered once, recorded nowhere."""
    async with rig(script(), agent__first_message=None) as it:
        keys = [Press(WhileAgentSpeaks(2.0), digit) for digit in "1"] + [Press(At(0.0), digit) for digit in "234#"]
        await call(it, *keys, END)
    assert it.report.barge_ins == 1
    assert [(fact.count) for fact in it.facts_of(KeysPressed)] == [4]
    texts = [
        part["text"]
        for request in it.session.requests
        if request["type"] == "conversation.item.create"
        for part in request["item"]["content"]
    ]
    assert len(texts) == 1
    assert "1234" in texts[0]
    assert len(asked(it.session)) == 1
    assert [(line.speaker, line.text) for line in it.report.transcript][-2:] == [
        (Speaker.USER, "(pressed 4 keys)"),
        (Speaker.AGENT, SHORT.text),
    ]
    assert "1234" not in repr(it.facts)
    assert b"1234" not in b"".join(bytes(data) for data in it.simulated.files.files.values())
    assert it.report.media.digits == 5


@pytest.mark.parametrize(
    ("setting", "keys", "entries"),
    [
        ({}, "12#34#", [2, 2]),
        ({"keypad__terminator": "*"}, "12#34*", [5]),
        ({"keypad__terminator": "none"}, "12#34", [5]),
        ({"keypad__most_keys": 2}, "1234", [2, 2]),
        ({"keypad__pause_ms": 500}, "12", [2]),
    ],
)
async def test_keys_are_gathered_as_the_keypad_is_set(
    autojump_clock: MockClock, setting: dict[str, Any], keys: str, entries: list[int]
) -> None:
    """Terminator, pause, most keys."""
    async with rig(script(), **setting) as it:
        steps = [Press(At(0.5), key) for key in keys]
        await it.carrier.call(it.engine.url, [*steps, HangUp(At(8.0))])
        await it.engine.drain()
    assert [fact.count for fact in it.facts_of(KeysPressed)] == entries
    if "keypad__pause_ms" in setting:
        assert it.facts_of(KeysPressed)[0].at_s == pytest.approx(1.0, abs=0.05)


async def test_keys_from_before_the_greeting_do_not_stop_it(autojump_clock: MockClock) -> None:
    """An entry that began while the greeting was protected ends over it, is sent once, and is answered after it."""
    greeting = Reply("Welcome to the clinic.", speech=Tone(3.0))
    async with rig(Script(replies=(greeting, SHORT)), agent__first_message="Welcome to the clinic.") as it:
        keys = [Press(At(0.1), "7"), Press(At(0.2), "3"), Press(WhileAgentSpeaks(0.5), "#")]
        line = await it.carrier.call(it.engine.url, [*keys, HangUp(AfterAgent(1.5))])
        await it.engine.drain()
    assert line is not None
    assert it.report.barge_ins == 0
    assert it.report.first_message is not None
    assert it.report.first_message.outcome is MessageOutcome.HEARD
    assert [fact.count for fact in it.facts_of(KeysPressed)] == [2]
    assert [line.text for line in it.report.transcript if line.speaker is Speaker.AGENT][-1] == SHORT.text


async def test_keys_of_a_silent_user_before_the_greeting_are_answered_behind_it(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """A whole entry in the first 150 ms, and not a word: sent to the model once, answered once, and in no log line."""
    caplog.set_level(logging.DEBUG, "voicecore")
    said: list[list[str]] = []
    greeting = Reply("Welcome to the clinic.", speech=Tone(3.0))
    for digits in ("", "73519#"):
        async with rig(Script(replies=(greeting, SHORT)), agent__first_message="Welcome to the clinic.") as it:
            keys = [Press(At(0.03 * place), digit) for place, digit in enumerate(digits)]
            line = await it.carrier.call(it.engine.url, [*keys, HangUp(At(9.0))])
            await it.engine.drain()
        said.append(caplog.messages)
        caplog.clear()
    assert line is not None
    kinds = [entry.kind for entry in line.ledger if entry.kind == "dtmf" or entry.direction == "in"]
    assert kinds[:6] == ["dtmf"] * 6
    assert it.report.barge_ins == 0
    assert it.report.first_message is not None
    assert it.report.first_message.outcome is MessageOutcome.HEARD
    told = [request for request in it.session.requests if "73519" in json.dumps(request)]
    assert [request["type"] for request in told] == ["conversation.item.create"]
    assert json.dumps(it.session.requests).count("73519") == 1
    assert len(asked(it.session)) == 2
    (answer,) = [fact for fact in it.facts_of(FirstAudioReceived) if fact.answers]
    (greeted,) = it.facts_of(MessageDone)
    assert answer.at_s > greeted.at_s > 3.0
    assert [(each.speaker, each.text) for each in it.report.transcript] == [
        (Speaker.USER, "(pressed 5 keys)"),
        (Speaker.AGENT, greeting.text),
        (Speaker.AGENT, SHORT.text),
    ]
    without_keys, with_keys = said
    assert with_keys == without_keys != []  # not one line more: no digit by itself either
    kept = b"".join(bytes(data) for data in it.simulated.files.files.values())
    assert "73519" not in repr(it.facts) + kept.decode("latin-1")


async def test_keys_may_leave_the_agent_alone(autojump_clock: MockClock) -> None:
    """The agent speaks to its end, and answers the keys behind it: nothing collides."""
    async with rig(script(), barge_in__keys_stop_agent=False) as it:
        await call(it, Press(WhileAgentSpeaks(2.0), "1"), Press(At(0.0), "#"), END)
    assert it.report.barge_ins == 0
    assert [turn.end for turn in it.report.turns] == [TurnEnd.COMPLETED, TurnEnd.COMPLETED]
    assert "conversation_already_has_active_response" not in it.report.problems


async def test_d23_a_silent_user_is_prompted_and_then_given_up(autojump_clock: MockClock) -> None:
    """After real silence, twice; not while the agent is audible."""
    async with rig(script(replies=(SHORT,)), idle__after_ms=3000, idle__text="Anybody there?") as it:
        await it.carrier.call(it.engine.url, [Say(At(0.2), HELLO), HangUp(At(60.0))])
        await it.engine.drain()
    prompts = [fact.at_s for fact in it.facts_of(IdlePrompted)]
    assert len(prompts) == 2
    played = [turn.ended_at_s for turn in it.report.turns]
    assert played[0] is not None
    assert played[1] is not None
    assert prompts == [pytest.approx(played[0] + 3.0, abs=0.05), pytest.approx(played[1] + 3.0, abs=0.05)]
    assert sum(text.endswith("Anybody there?") for text in asked(it.session)) == 2
    assert it.report.outcome is EndCause.USER_SILENT


async def test_a_user_who_answers_a_prompt_is_prompted_anew_later(autojump_clock: MockClock) -> None:
    """The count begins again with each word; ``stay`` keeps the line open."""
    settings: dict[str, Any] = {"idle__after_ms": 2000, "idle__prompts": 1, "idle__then": "stay"}
    async with rig(script("yes", replies=(SHORT,)), **settings) as it:
        steps = (Say(At(0.2), HELLO), Say(At(7.5), HELLO), HangUp(At(30.0)))
        await it.carrier.call(it.engine.url, steps)
        await it.engine.drain()
    assert [fact.times for fact in it.facts_of(IdlePrompted)] == [1, 1]
    assert it.report.outcome is EndCause.REMOTE_HUNG_UP


@pytest.mark.parametrize(("lead_ms", "piece_ms"), [(100, 20), (400, 100)])
async def test_lead_and_piece_are_seen_on_the_wire(autojump_clock: MockClock, lead_ms: int, piece_ms: int) -> None:
    """What waits at the carrier, and in which sizes it comes."""
    async with rig(script(), playout__lead_ms=lead_ms, playout__piece_ms=piece_ms) as it:
        line = await call(it, END)
    media = [entry for entry in line.ledger if entry.kind == "media" and entry.direction == "in"]
    sizes = [entry.size_bytes for entry in media]
    assert max(sizes) == piece_ms * 8
    assert sizes.count(piece_ms * 8) > 0.8 * len(sizes)  # smaller where no more had been generated
    first = media[0].at
    at_once = sum(entry.size_bytes for entry in media if entry.at == first) / 8
    assert lead_ms - piece_ms < at_once <= lead_ms


async def test_the_lead_never_grows_beyond_its_limit(autojump_clock: MockClock) -> None:
    """A limit that is the lead itself switches the adapting off."""
    async with rig(script(), playout__lead_limit_ms=200) as it:
        await call(it, END)
    assert it.report.outcome is EndCause.REMOTE_HUNG_UP
