"""Marks and barge-in on whole calls, as carrier and provider saw them: entries C1 to C12, C17 and C18 of the catalogue.

The bounds (C13 to C15, C19 to C21) are in test_playout_bounds.py; what is best shown on a machine is in turns/.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest
import trio
from trio.testing import MockClock

from voicecore.facts import (
    CallEnded,
    ConfirmedBy,
    EndCause,
    MarkReceived,
    ResponsePlayed,
    Speaker,
)
from voicecore.simulation import world
from voicecore.simulation.memory_network import LinkSettings
from voicecore.simulation.openai_realtime import (
    Behaviour,
    NumberedFrames,
    Pace,
    Reply,
    ResponseFault,
    Script,
    ScriptedVad,
    Tone,
)
from voicecore.simulation.twilio import (
    AfterAgent,
    At,
    HangUp,
    LineFaults,
    Say,
    Step,
    StreamEnd,
    WhileAgentSpeaks,
)
from voicecore.simulation.twilio.faults import MarkOrder
from voicecore_tests.engine.truth import (
    BYTES_PER_S,
    FIRST_DELTA_S,
    FRAME_BYTES,
    SPEAKS_S,
    TICK_S,
    at_ear,
    cuts,
    hold,
    items,
    lines,
    no_old_speech,
    numbered,
    on_wire,
    played_bytes,
    refused,
    scripted,
)
from voicecore_tests.kit import living_tasks, rig, run_seeded, ulaw

TALKS = Script(replies=(Reply("A long answer.", speech=Tone(12.0)),), hears=("hello?",) * 12)
HELLO = ulaw("caller-hello-it")
ASKS: Sequence[Step] = (Say(At(0.2), HELLO), HangUp(AfterAgent(1.0)))


# --- marks ------------------------------------------------------------------------------


@pytest.mark.parametrize("stream_end", [StreamEnd.STOP, StreamEnd.CLOSE, StreamEnd.CUT])
@pytest.mark.parametrize("after_barge_in_s", [None, 0.0, TICK_S, 0.5])
async def test_c1_hanging_up_while_marks_are_outstanding_leaves_nobody_waiting(
    autojump_clock: MockClock, stream_end: StreamEnd, after_barge_in_s: float | None
) -> None:
    """Marks come a second late, and the line ends in the middle: each mark is heard, flushed, or gone with the call."""
    onsets = (0.2,) if after_barge_in_s is None else (0.2, 3.0)
    ends_at_s = 3.0 + (after_barge_in_s or 0.0)
    faults = LineFaults(mark_delay_s=1.0, stream_end=stream_end, ends_at_s=ends_at_s)
    async with rig(TALKS, scripted(*onsets)) as it:
        await trio.testing.wait_all_tasks_blocked()
        before = len(list(living_tasks()))
        await hold(it, 60.0, faults)
        await trio.testing.wait_all_tasks_blocked()
        assert len(list(living_tasks())) == before
    media, back = it.report.media, it.facts_of(MarkReceived)
    assert media.marks_placed > media.marks_heard > 0
    assert media.marks_placed - media.marks_heard <= 8  # a second and a lead of them, at one each fifth of a second
    assert len({fact.name for fact in back}) == len(back) == media.marks_heard + media.marks_flushed
    assert isinstance(it.facts[-1], CallEnded)


async def test_c2_names_of_marks_are_unique_in_a_call_and_each_counts_once(autojump_clock: MockClock) -> None:
    """Three answers, two of them cut, and every mark is returned twice and late."""
    faults = LineFaults(mark_returns=MarkOrder.DOUBLED, mark_delay_s=0.5)
    async with rig(numbered(6.0), scripted(0.2, 2.0, 4.0)) as it:
        line = await hold(it, 14.0, faults)
    no_old_speech(on_wire(line))  # holds the names, too
    names = [entry.detail for entry in line.ledger if (entry.direction, entry.kind) == ("in", "mark")]
    heard = [fact.name for fact in it.facts_of(MarkReceived) if fact.heard]
    media = it.report.media
    assert len(heard) == len(set(heard)) == media.marks_heard
    assert set(heard) <= set(names)
    assert media.marks_placed == len(names)
    assert media.marks_heard + media.marks_flushed + media.marks_unmatched == 2 * media.marks_placed


@pytest.mark.parametrize("delay_s", [0.0, 0.05])
async def test_c3_no_playout_waits_for_a_time_out(autojump_clock: MockClock, delay_s: float) -> None:
    """What was placed is what is awaited: a faithful carrier gives every mark back, and the speech has no hole."""
    async with rig(TALKS, link=LinkSettings(delay_s=delay_s)) as it:
        line = await it.carrier.call(it.engine.url, ASKS)
        await it.engine.drain()
    assert line is not None
    media = it.report.media
    assert (media.marks_heard, media.marks_assumed, media.marks_unmatched) == (media.marks_placed, 0, 0)
    assert (line.playout.gaps, media.underruns) == (0, 0)
    (done,) = it.facts_of(ResponsePlayed)
    played = max(piece.began_at + len(piece.audio) / BYTES_PER_S for piece in line.playout.heard)
    assert done.at_s + it.report.ringing_s <= played + delay_s + TICK_S


@pytest.mark.parametrize(("loss", "jitter_s"), [(0.3, 0.0), (0.3, 0.3), (0.9, 0.3)])
async def test_c4_lost_echoes_cost_bounded_time_and_no_speech(
    autojump_clock: MockClock, loss: float, jitter_s: float
) -> None:
    """A returned mark confirms all before it; the last one, if it is lost, is given up after two seconds."""
    faults = LineFaults(mark_loss=loss, mark_jitter_s=jitter_s, seed=3)
    async with rig(numbered(8.0), scripted(0.2)) as it:
        line = await hold(it, 13.0, faults)
    assert (line.playout.gaps, len(line.playout.heard_bytes())) == (0, 8 * BYTES_PER_S)
    media = it.report.media
    assert media.marks_heard + media.marks_assumed == media.marks_placed
    (done,) = it.facts_of(ResponsePlayed)
    assert done.at_s <= 0.2 + SPEAKS_S + FIRST_DELTA_S + 8.0 + 2.0 + TICK_S


@pytest.mark.parametrize("trip_s", [0.02, 0.1, 0.3, 0.8, 1.9])
async def test_c17_a_long_round_trip_of_marks_starves_no_line(autojump_clock: MockClock, trip_s: float) -> None:
    """The clock paces, marks confirm: speech is whole at any delay of returned marks."""
    async with rig(TALKS) as it:
        line = await it.carrier.call(it.engine.url, ASKS, faults=LineFaults(mark_delay_s=trip_s))
        await it.engine.drain()
    assert line is not None
    assert (line.playout.gaps, it.report.media.underruns, it.report.media.marks_assumed) == (0, 0, 0)
    assert len(line.playout.heard_bytes()) == it.report.media.agent_sent_bytes


@pytest.mark.parametrize(
    ("faults", "confirmed_by"),
    [
        (LineFaults(), ConfirmedBy.MARKS),
        (LineFaults(mark_returns=MarkOrder.NEVER), ConfirmedBy.CLOCK),
        (LineFaults(marks_until_s=0.0), ConfirmedBy.CLOCK),
        (LineFaults(marks_until_s=4.0), ConfirmedBy.BOTH),
    ],
    ids=["always", "never", "not from the start", "not from mid-call"],
)
async def test_c18_a_carrier_that_returns_marks_only_sometimes_is_counted_by_the_clock_and_the_report_says_so(
    autojump_clock: MockClock, faults: LineFaults, confirmed_by: ConfirmedBy
) -> None:
    """Nothing stalls, nothing starves, and what is claimed to be heard was heard."""
    async with rig(numbered(6.0, 12.0, 2.0), scripted(0.2, 8.0, 16.0)) as it:
        line = await hold(it, 24.0, faults)
    ear = at_ear(line, on_wire(line))
    assert [played_bytes(ear, response) for response in (1, 3)] == [6 * BYTES_PER_S, 2 * BYTES_PER_S]
    (cut,) = [item for item in it.session.session.conversation.items if item.truncated]
    assert 6.5 * BYTES_PER_S < len(cut.audio) <= played_bytes(ear, 2)
    assert it.report.playout is not None
    assert it.report.playout.confirmed_by is confirmed_by
    assert (line.playout.gaps, it.report.media.underruns) == (2, 0)  # between the answers
    assert [fact.why for fact in it.facts_of(ResponsePlayed)] == ["", "barged in on", ""]


# --- barge-in -----------------------------------------------------------------------------


@pytest.mark.parametrize("onset_s", [1.5, 1.5 + TICK_S, 3.0])
async def test_c5_deltas_of_the_interrupted_response_may_go_on_for_five_seconds(
    autojump_clock: MockClock, onset_s: float
) -> None:
    """No frame of it is sent after the clear, though the next answer begins among its deltas."""
    pace = Pace(first_delta_s=FIRST_DELTA_S, largest_delta_s=0.05)
    async with rig(numbered(30.0, 8.0), scripted(0.2, onset_s, pace=pace, late_deltas=250)) as it:
        line = await hold(it, 12.0)
    (clear,) = [each.at for each in on_wire(line) if each.kind == "clear"]
    old = it.session.session.responses[0].response_id
    late = [each.t for each in lines(it, "out", "response.output_audio.delta") if each.id == old and each.t > clear]
    assert len(late) == 250
    assert late[-1] - clear >= 4.9
    no_old_speech(on_wire(line))
    assert played_bytes(at_ear(line, on_wire(line)), 2) == 8 * BYTES_PER_S
    assert it.report.media.agent_dropped_bytes["late"] > 0


async def test_c6_clear_and_truncate_follow_playout_not_the_providers_state(autojump_clock: MockClock) -> None:
    """The answer of 10 s was generated in 2 s; the user speaks in its seventh second."""
    async with rig(numbered(10.0, 1.0), scripted(0.2, 7.5)) as it:
        line = await hold(it, 12.0)
    first_done = next(lines(it, "out", "response.done"))
    assert first_done.t < 3.0
    (clear,) = [each for each in on_wire(line) if each.kind == "clear"]
    assert clear.at == pytest.approx(7.5, abs=TICK_S)
    assert [each.kind for each in cuts(it)] == ["conversation.item.truncate"]  # nothing runs that could be cancelled
    heard = played_bytes(at_ear(line, on_wire(line)), 1)
    (cut,) = [item for item in it.session.session.conversation.items if item.truncated]
    assert 6.9 * BYTES_PER_S <= len(cut.audio) <= heard
    assert refused(it) == 0


@pytest.mark.parametrize("into_s", [0.06 + TICK_S, 0.3 - TICK_S, 0.3, 0.3 + TICK_S, 1.0, 20.0])
async def test_c7_an_item_is_cut_where_it_was_heard_in_turn_one_and_in_turn_three(
    autojump_clock: MockClock, into_s: float
) -> None:
    """Thirty seconds are generated in six; the moments lie around the marks. Positions begin with their item."""
    begins = SPEAKS_S + FIRST_DELTA_S
    onsets = [0.2 + turn * (begins + into_s) for turn in range(4)]
    async with rig(numbered(30.0), scripted(*onsets)) as it:
        line = await hold(it, onsets[-1] + 1.0)
    ear, responses = at_ear(line, on_wire(line)), items(it.session)
    truncations = [each for each in it.session.requests if each["type"] == "conversation.item.truncate"]
    assert len(truncations) == 3
    for each in truncations:
        heard = played_bytes(ear, responses[each["item_id"]])
        assert type(each["audio_end_ms"]) is int
        assert 0 < each["audio_end_ms"] * 8 <= heard + FRAME_BYTES
        assert heard / 8 == pytest.approx(into_s * 1000, abs=1.0)
        assert each["audio_end_ms"] == pytest.approx(into_s * 1000, abs=2.0)  # a line without delay
    assert refused(it) == 0


@pytest.mark.parametrize(
    ("into_s", "outcome"),
    [(0.0, "deleted"), (TICK_S, "deleted"), (0.06 - TICK_S, "deleted"), (0.06 + TICK_S, "truncated")],
)
async def test_c8_an_item_of_which_no_mark_is_back_is_deleted_never_truncated_at_zero(
    autojump_clock: MockClock, into_s: float, outcome: str
) -> None:
    """Around the first mark, and in the instant in which the first delta comes."""
    begins_s = 0.2 + SPEAKS_S + FIRST_DELTA_S
    async with rig(numbered(5.0, 1.0), scripted(0.2, begins_s + into_s)) as it:
        line = await hold(it, 4.0)
    kept = [item for item in it.session.session.conversation.items if item.body["role"] == "assistant"]
    assert [item.truncated for item in kept] == ([False] if outcome == "deleted" else [True, False])
    assert [entry.interrupted for entry in it.report.transcript if entry.speaker is Speaker.AGENT] == [
        item.truncated for item in kept
    ]
    assert all(each["audio_end_ms"] > 0 for each in it.session.requests if each["type"].endswith("truncate"))
    assert refused(it) == 0
    no_old_speech(on_wire(line))


@pytest.mark.parametrize("fault", [None, ResponseFault.FAILED])
async def test_c9_the_next_answer_brings_its_own_words_and_the_cut_one_keeps_what_was_heard(
    autojump_clock: MockClock, fault: ResponseFault | None
) -> None:
    """Generated whole, or failed half-way: a prefix in proportion to what was played, in each of three answers."""
    words = ("one two three four five six seven eight nine ten", "red green blue", "monday tuesday wednesday thursday")
    replies = tuple(Reply(text, speech=NumberedFrames(4.0)) for text in words)
    behaviour = scripted(0.2, 1.6, 7.0, responses={1: fault} if fault else {})
    async with rig(Script(replies=replies), behaviour) as it:
        line = await hold(it, 13.0)
    ear = at_ear(line, on_wire(line))
    agent = [entry for entry in it.report.transcript if entry.speaker is Speaker.AGENT]
    assert [entry.interrupted for entry in agent] == [True, False, False]
    assert [entry.text for entry in agent[1:]] == list(words[1:])
    assert agent[0].text is not None
    assert words[0].startswith(agent[0].text)
    assert 0 < len(agent[0].text) / len(words[0]) <= played_bytes(ear, 1) / (4.0 * BYTES_PER_S)


@pytest.mark.parametrize("keeps", ["heard", "full", "none"])
async def test_c10_what_was_cut_is_not_spoken_again_under_any_policy(autojump_clock: MockClock, keeps: str) -> None:
    """The policy is about the history; each frame is heard once at most."""
    async with rig(numbered(8.0, 1.0), scripted(0.2, 3.0), barge_in__history=keeps) as it:
        line = await hold(it, 14.0)
    no_old_speech(on_wire(line))
    ear = at_ear(line, on_wire(line))
    assert played_bytes(ear, 1) == pytest.approx(2.5 * BYTES_PER_S, abs=FRAME_BYTES)
    assert played_bytes(ear, 2) == BYTES_PER_S


@pytest.mark.parametrize("jump_s", [-3600.0, 3600.0])
def test_c11_the_time_of_day_decides_nothing(monkeypatch: pytest.MonkeyPatch, jump_s: float) -> None:
    """It jumps by an hour in mid-utterance, and no message comes at another moment than in a call without."""

    async def seen() -> tuple[object, object]:
        async with rig(numbered(6.0, 2.0), scripted(0.2, 4.0)) as it:
            line = await hold(it, 9.0)
        return line.ledger, list(it.provider.ledger.lines)

    expected, steady = run_seeded(seen), world._time_of_day
    jumped = timedelta(seconds=jump_s)
    monkeypatch.setattr(world, "_time_of_day", lambda: steady() + jumped * (trio.current_time() > 2.0))
    assert run_seeded(seen) == expected


@pytest.mark.parametrize("gap_s", [0.0, TICK_S, 0.02, 0.1, 0.2])
@pytest.mark.parametrize(
    "link", [LinkSettings(), LinkSettings(delay_s=0.01, buffer_bytes=1500)], ids=["wide", "narrow"]
)
async def test_c12_a_barge_in_between_audio_and_its_mark_is_clear_first_then_the_new_words(
    autojump_clock: MockClock, gap_s: float, link: LinkSettings
) -> None:
    """In the instants in which pieces leave, and beside them; the next answer is ready ``gap_s`` after the clear.

    The narrow line has room for two messages in 10 ms: its writer waits between a piece and the mark behind it.
    """
    spoken, now = [], 0.5
    for number in range(24):
        spoken.append((now, now + gap_s))
        now += gap_s + (0.0, 0.04, 0.1, 0.16, 0.28, 0.4)[number % 6] + (-TICK_S, 0.0, TICK_S, 0.01)[number // 6] + 0.1
    pace = Pace(first_delta_s=0.0)
    async with rig(numbered(3.0), Behaviour(vad=ScriptedVad(tuple(spoken)), pace=pace), link=link) as it:
        line = await hold(it, now + 4.0)
    wire = on_wire(line)
    no_old_speech(wire)
    assert sum(each.kind == "clear" for each in wire) == it.report.barge_ins >= 18
    assert refused(it) == 0
    assert played_bytes(at_ear(line, wire), 24) == 3 * BYTES_PER_S


# --- the conversation goes on -------------------------------------------------------------------


async def test_d4_ten_turns_with_a_barge_in_each_are_ten_barge_ins(autojump_clock: MockClock) -> None:
    """Every agent turn begins with a detector that can hear a new onset."""
    barge_ins: list[Step] = [Say(WhileAgentSpeaks(1.0), HELLO) for _ in range(10)]
    steps: list[Step] = [Say(At(0.2), HELLO), *barge_ins, HangUp(WhileAgentSpeaks(1.0))]
    async with rig(TALKS) as it:
        line = await it.carrier.call(it.engine.url, steps)
        await it.engine.drain()
    assert line is not None
    assert (it.report.barge_ins, it.report.outcome) == (10, EndCause.REMOTE_HUNG_UP)
    assert sum(turn.interrupted for turn in it.report.turns) == 10
    assert it.report.problems == {}


@pytest.mark.parametrize("silence_ms", [0, 20, 100, 300])
async def test_d7_a_turn_right_behind_a_barge_in_is_answered(autojump_clock: MockClock, silence_ms: int) -> None:
    """What stopped the old response does not reach the new one."""
    steps = (Say(At(0.2), HELLO), Say(WhileAgentSpeaks(1.0), HELLO), HangUp(AfterAgent(0.5)))
    async with rig(TALKS, providers__openai_realtime__silence_duration_ms=silence_ms) as it:
        await it.carrier.call(it.engine.url, steps)
        await it.engine.drain()
    assert it.report.barge_ins >= 1
    assert not it.report.turns[-1].interrupted
    assert it.report.turns[-1].first_heard_at_s is not None
