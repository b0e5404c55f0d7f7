"""What is recorded and measured of turns on whole calls: against what the twins sent, received and billed."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from voicecore.engine.settings import CallSettings
from voicecore.events import TokenUsage
from voicecore.facts import CallEnded, TurnEnd, TurnEnded
from voicecore.simulation.openai_realtime import (
    Behaviour,
    Handshake,
    Pace,
    Reply,
    ResponseFault,
    Script,
    ScriptedVad,
    Tone,
    ToolCall,
)
from voicecore.simulation.twilio import At, HangUp, Press, Step
from voicecore.turns.metrics.latencies import STEPS, percentiles
from voicecore.turns.metrics.turn_times import turn_times
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
from voicecore_tests.kit import asked, rig

SILENCE_S = 0.5  #: of the provider's turn detection, as configured


def accounted_for(seen: Seen) -> None:
    """Each turn is reported once and recorded once, and the record follows from the facts alone."""
    told = [fact.turn for fact in seen.it.facts_of(TurnEnded)]
    assert Counter((turn.items, turn.response_id) for turn in told) == Counter(
        (turn.items, turn.response_id) for turn in seen.report.turns
    )
    facts = [fact for fact in seen.it.facts if not isinstance(fact, CallEnded)]
    assert turn_times(facts, seen.report.duration_s) == tuple(seen.report.turns)
    (record,) = seen.it.records()
    assert len(record["turns"]) == len(seen.report.turns)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("begin", [*around(ANSWERED_AT + LONG_S), ANSWERED_AT + LONG_S + 2 * TICK])
async def test_e1_a_barge_in_as_the_reply_completes_leaves_one_record_of_each(
    autojump_clock: MockClock, begin: float, mode: dict[str, Any]
) -> None:
    """The last mark and the onset in one instant, and either of them first: two turns, two records."""
    seen = await talk(script("and then?"), HELLO, (begin, begin + 0.3), hangs_up_at=begin + 3.0, **mode)
    accounted_for(seen)
    assert [turn.items for turn in seen.report.turns] == [(item,) for item in seen.committed()]
    assert [turn.end for turn in seen.report.turns][1] is TurnEnd.COMPLETED
    assert len(seen.carried("clear")) == sum(turn.interrupted for turn in seen.report.turns)


@pytest.mark.parametrize("mode", MODES)
async def test_e2_every_one_of_many_turns_has_its_record_and_its_figures(
    autojump_clock: MockClock, mode: dict[str, Any]
) -> None:
    """A turn closes and an onset opens the next one, twenty times: none is without its times."""
    speech = [HELLO, *((1.6 + 0.6 * n, 1.8 + 0.6 * n) for n in range(19))]
    quick = Script(replies=(Reply("Yes.", speech=Tone(0.1)),), hears=("and then?",) * 20)
    seen = await talk(quick, *speech, hangs_up_at=14.0, behaviour=Behaviour(pace=Pace(first_delta_s=0.05)), **mode)
    accounted_for(seen)
    assert [turn.items for turn in seen.report.turns] == [(item,) for item in seen.committed()]
    assert len(seen.report.turns) == 20
    assert all(turn.first_heard_at_s is not None for turn in seen.report.turns)


async def test_e3_what_was_dropped_touches_no_figure_of_the_next_turn(autojump_clock: MockClock) -> None:
    """A backchannel and five seconds of noise over the agent; then a real turn, whose times are its own."""
    real = (9.0, 10.0)
    heard = script("mm-hm", "", "a real turn", replies=(LONG, SHORT))
    seen = await talk(heard, HELLO, (2.0, 2.2), (2.4, 7.2), real, hangs_up_at=13.0, **WORDS)
    accounted_for(seen)
    turn = seen.report.turns[-1]
    assert (turn.items, turn.end) == ((seen.committed()[-1],), TurnEnd.COMPLETED)
    assert [turn.user_started_at_s, turn.user_stopped_at_s] == pytest.approx([*real])
    assert turn.speech_s is not None
    assert turn.speech_s <= real[1] - real[0]
    assert turn.reply_s == pytest.approx(SILENCE_S + 0.25)


@pytest.mark.parametrize("mode", MODES)
async def test_e4_what_was_not_seen_is_nothing_and_never_negative(
    autojump_clock: MockClock, mode: dict[str, Any]
) -> None:
    """A detection without a fixed silence does not say when the user fell silent: no figure is made up."""
    semantic: dict[str, Any] = {"providers__openai_realtime__turn_detection": "semantic_vad"}
    seen = await talk(script("and then?"), HELLO, (3.0, 3.4), **(mode | semantic))
    accounted_for(seen)
    for turn in seen.report.turns:
        assert (turn.reply_s, turn.end_of_utterance_s, turn.transcription_s, turn.speech_s) == (None,) * 4
        assert turn.first_sent_at_s is not None
    assert not {"reply", "end_of_utterance", "transcription"} & set(seen.report.latencies)


@pytest.mark.parametrize("mode", MODES)
async def test_e5_a_response_without_words_closes_its_turn(autojump_clock: MockClock, mode: dict[str, Any]) -> None:
    """Requested once more, then closed with its cause, and a line is said instead; the next turn is answered."""
    heard = script("and then?", replies=(Reply(), Reply(), SHORT))
    seen = await talk(heard, HELLO, (4.0, 4.5), **mode)
    accounted_for(seen)
    assert seen.ends == [TurnEnd.FAILED, TurnEnd.COMPLETED, TurnEnd.COMPLETED]
    assert seen.report.turns[0].why
    assert [turn.items != () for turn in seen.report.turns] == [True, False, True]


@pytest.mark.parametrize("mode", MODES)
async def test_e5_a_response_that_only_calls_functions_is_no_end_of_its_turn(
    autojump_clock: MockClock, mode: dict[str, Any]
) -> None:
    """It waits for the response to the results."""
    call = Reply(tool_calls=(ToolCall("look_up"),))
    seen = await talk(script("and then?", replies=(call, call, SHORT)), HELLO, (4.0, 4.5), **mode)
    accounted_for(seen)
    assert seen.ends == [TurnEnd.COMPLETED, TurnEnd.COMPLETED]


@pytest.mark.parametrize("first_delta_s", [0.0, 0.0004, 0.25])
async def test_e6_no_time_at_all_is_a_sample_like_others(autojump_clock: MockClock, first_delta_s: float) -> None:
    """Seconds, zero included; a percentile is one of the samples, and says of how many."""
    pace = Behaviour(pace=Pace(first_delta_s=first_delta_s))
    seen = await talk(script("b", replies=(SHORT,)), HELLO, (4.0, 4.5), behaviour=pace, hangs_up_at=7.0)
    generation = seen.report.latencies["generation"]
    assert generation.count == 2
    assert generation.p50_s == pytest.approx(first_delta_s, abs=1e-9)
    for name, figure in seen.report.latencies.items():
        samples = [took_s for turn in seen.report.turns if (took_s := STEPS[name](turn)) is not None]
        assert figure == percentiles(samples)


async def test_e6_a_minute_is_a_latency_too(autojump_clock: MockClock) -> None:
    """A model that thinks for 61 s, in a call whose limits allow it."""
    patient = CallSettings(responses=ResponseSettings(announced_s=90.0), turns=UserTurnSettings(reply_s=90.0))
    thinks = script(replies=(Reply("Yes.", speech=Tone(0.5), after_s=61.0),))
    seen = await talk(thinks, HELLO, hangs_up_at=64.0, call=patient)
    assert seen.report.latencies["generation"].p50_s == pytest.approx(61.25)
    assert seen.report.latencies["reply"].max_s == pytest.approx(61.25 + SILENCE_S)


def billed(seen: Seen) -> TokenUsage:
    """The sum over the distinct responses of the provider that have ended."""
    done = {response.response_id: response.done for response in seen.responses}
    total = TokenUsage()
    for usage in (each["usage"] for each in done.values() if each is not None):
        read, made = usage["input_token_details"], usage["output_token_details"]
        total += TokenUsage(
            text_in=read["text_tokens"],
            audio_in=read["audio_tokens"],
            cached_text=read["cached_tokens_details"]["text_tokens"],
            cached_audio=read["cached_tokens_details"]["audio_tokens"],
            text_out=made["text_tokens"],
            audio_out=made["audio_tokens"],
        )
    return total


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("again_at", [HELLO[1] + TICK, *around(ANSWERED_AT), 3.0, 7.0])
@pytest.mark.parametrize("fault", [None, ResponseFault.FAILED, ResponseFault.INCOMPLETE])
async def test_e7_e8_the_tokens_are_those_of_the_providers_bill(
    autojump_clock: MockClock, again_at: float, fault: ResponseFault | None, mode: dict[str, Any]
) -> None:
    """Cancelled, failed and cached: whatever became of a response, what it cost is counted once."""
    behaviour = Behaviour(responses={} if fault is None else {2: fault})
    seen = await talk(
        script("and then?", "bye"), HELLO, (again_at, again_at + 0.4), (8.5, 9.0), hangs_up_at=11.0,
        behaviour=behaviour, **mode,
    )  # fmt: skip
    accounted_for(seen)
    assert seen.report.usage == billed(seen)
    assert seen.report.usage.cached_audio > 0
    assert any(each.done is not None and each.done["status"] == "cancelled" for each in seen.responses) or again_at > 2


@pytest.mark.parametrize("again_after_s", [0.0, TICK, 2.0])
async def test_e8_an_end_that_is_told_twice_costs_once(autojump_clock: MockClock, again_after_s: float) -> None:
    """The same `response.done` again, at once and later, also of a response that was cancelled."""
    async with rig(script("and then?"), Behaviour(vad=ScriptedVad())) as it:

        async def repeat() -> None:
            await trio.sleep(HELLO[0])
            it.session.speech_starts()
            await trio.sleep(HELLO[1] - HELLO[0])
            it.session.speech_stops()
            await trio.sleep(1.0)
            it.session.speech_starts()
            it.session.speech_stops()
            await trio.sleep(again_after_s)
            (cancelled, *_) = it.session.session.responses
            it.session.session._emit("response.done", response=cancelled.done)
            it.session._resting.cancel()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(it.carrier.call, it.engine.url, [HangUp(At(8.0))])
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(repeat)
        await it.engine.drain()
    done = [each.done for each in it.session.session.responses]
    assert [each["status"] for each in done if each is not None] == ["cancelled", "completed"]
    assert it.report.usage.audio_out == sum(
        each["usage"]["output_token_details"]["audio_tokens"] for each in done if each is not None
    )


async def test_e9_the_providers_history_is_the_committed_turns_in_their_order(autojump_clock: MockClock) -> None:
    """A barge-in, a backchannel, keys: each item once, the cut one without the words that nobody heard.

    A backchannel stays in the provider's history, for it was said; nobody answers it, and the record says that.
    """
    keys: list[Step] = [Press(At(9.0), key) for key in "42#"]
    replies = Script(replies=(LONG, LONG, SHORT, SHORT), hears=("hello?", "wait a moment", "mm-hm"))
    seen = await talk(replies, HELLO, (3.0, 3.4), (5.0, 5.2), steps=keys, hangs_up_at=13.0, **WORDS)
    accounted_for(seen)
    history = seen.history()
    assert [who for who, _ in history] == ["user", "assistant", "user", "assistant", "user", "user", "assistant"]
    assert [text for who, text in history if who == "user"][:3] == ["hello?", "wait a moment", "mm-hm"]
    assert len(seen.it.session.session.conversation.items) == len({line.item_id for line in seen.report.transcript})
    items = [item.item_id for item in seen.it.session.session.conversation.items if item.body["role"] == "user"]
    assert items[:3] == seen.committed()
    assert [turn.end for turn in seen.report.turns if seen.committed()[2] in turn.items] == [TurnEnd.DROPPED]
    assert [line.text for line in seen.report.transcript][4:6] == ["mm-hm", "(pressed 2 keys)"]
    assert asked(seen.it.session) == [""] * 3


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("source", ["adopted", "cold"])
@pytest.mark.parametrize("delta_s", [0.0, 0.001, 0.25, 2.0])
async def test_e10_the_steps_of_a_turn_add_up_to_the_pause_on_the_wire(
    autojump_clock: MockClock, delta_s: float, source: str, mode: dict[str, Any]
) -> None:
    """One clock: from the end of the user's speech to the agent's first frame at the carrier, to a millisecond."""
    behaviours = [Behaviour(pace=Pace(first_delta_s=delta_s), vad=ScriptedVad())]
    if source == "cold":
        behaviours.insert(0, Behaviour(handshake=Handshake(refuse_status=503)))
    async with rig(script(replies=(SHORT,)), behaviours, **mode) as it:

        async def speak() -> None:
            await trio.sleep(1.0)
            it.session.speech_starts()
            await trio.sleep(1.0)
            it.session.speech_stops()

        lines = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(speak)
            lines.append(await it.carrier.call(it.engine.url, [HangUp(At(6.0))]))
        await it.engine.drain()
    assert it.report.pickup is not None
    assert it.report.pickup.source == source
    (turn,) = it.report.turns
    (line,) = lines
    assert line is not None
    first_frame = next(each.at for each in line.ledger if (each.direction, each.kind) == ("in", "media"))
    stopped = next(
        each.t for each in it.provider.ledger.of(it.session.number) if each.kind == "input_audio_buffer.speech_stopped"
    )
    assert turn.reply_s == pytest.approx(first_frame - (stopped - SILENCE_S), abs=0.001)
    steps = [STEPS[name](turn) for name in ("end_of_utterance", "generation", "sending")]
    assert sum(each for each in steps if each is not None) == pytest.approx(turn.reply_s, abs=0.001)
