"""Playout and barge-in on whole calls, over lines that echo late or not to the end."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from trio.testing import MockClock

from voicecore.facts import EndCause
from voicecore.simulation.carrier_twin import AfterAgent, At, Goodbye, HangUp, LineFaults, Say, Step, WhileAgentSpeaks
from voicecore.simulation.provider_twin import Reply, Script, Tone
from voicecore_tests.kit import house, nothing_is_left, ulaw

TALKS = Script(replies=(Reply("A long answer.", speech=Tone(12.0)),), hears=("hello?",) * 12)
HELLO = ulaw("caller-hello-it")
ASKS: Sequence[Step] = (Say(At(0.2), HELLO), HangUp(AfterAgent(1.0)))


@pytest.mark.parametrize("goodbye", [Goodbye.STOP, Goodbye.CLOSE, Goodbye.CUT])
async def test_c1_hanging_up_while_marks_are_outstanding_leaves_nobody_waiting(
    autojump_clock: MockClock, goodbye: Goodbye
) -> None:
    """Echoes a second late, and the line ends in the middle: every mark is heard, flushed, or gone with the call."""
    faults = LineFaults(echo_delay_s=1.0, goodbye=goodbye)
    async with house(TALKS) as it:
        await it.carrier.call(it.engine.url, [Say(At(0.2), HELLO), HangUp(At(6.0))], faults=faults)
        await it.engine.drain()
        nothing_is_left(it)
    media = it.report.media
    assert media.marks_placed > media.marks_heard > 0
    assert media.marks_placed - media.marks_heard <= 8  # a second and a lead of them, at one each fifth of a second


async def test_c3_no_playout_waits_for_a_time_out(autojump_clock: MockClock) -> None:
    """What was placed is what is awaited: a faithful carrier gives every mark back, and the speech has no hole."""
    async with house(TALKS) as it:
        line = await it.carrier.call(it.engine.url, ASKS)
        await it.engine.drain()
    assert line is not None
    media = it.report.media
    assert (media.marks_heard, media.marks_assumed, media.marks_unmatched) == (media.marks_placed, 0, 0)
    assert (line.playout.gaps, media.under_runs) == (0, 0)


@pytest.mark.parametrize("trip_s", [0.02, 0.1, 0.3, 0.8, 1.9])
async def test_c17_a_long_round_trip_of_marks_starves_no_line(autojump_clock: MockClock, trip_s: float) -> None:
    """The clock paces, marks confirm: speech is whole at any delay of the echoes."""
    async with house(TALKS) as it:
        line = await it.carrier.call(it.engine.url, ASKS, faults=LineFaults(echo_delay_s=trip_s))
        await it.engine.drain()
    assert line is not None
    assert (line.playout.gaps, it.report.media.under_runs, it.report.media.marks_assumed) == (0, 0, 0)
    assert len(line.playout.heard_bytes()) == it.report.media.agent_sent_bytes


async def test_d4_ten_turns_with_a_barge_in_each_are_ten_barge_ins(autojump_clock: MockClock) -> None:
    """Every agent turn begins with a detector that can hear a new onset."""
    barge_ins: list[Step] = [Say(WhileAgentSpeaks(1.0), HELLO) for _ in range(10)]
    steps: list[Step] = [Say(At(0.2), HELLO), *barge_ins, HangUp(WhileAgentSpeaks(1.0))]
    async with house(TALKS) as it:
        line = await it.carrier.call(it.engine.url, steps)
        await it.engine.drain()
    assert line is not None
    assert (it.report.barge_ins, it.report.outcome) == (10, EndCause.CALLER_HUNG_UP)
    assert sum(turn.interrupted for turn in it.report.turns) == 10
    assert it.report.problems == {}


@pytest.mark.parametrize("silence_ms", [0, 20, 100, 300])
async def test_d7_a_turn_right_behind_a_barge_in_is_answered(autojump_clock: MockClock, silence_ms: int) -> None:
    """What stopped the old response does not reach the new one."""
    steps = (Say(At(0.2), HELLO), Say(WhileAgentSpeaks(1.0), HELLO), HangUp(AfterAgent(0.5)))
    async with house(TALKS, providers__openai_realtime__silence_duration_ms=silence_ms) as it:
        await it.carrier.call(it.engine.url, steps)
        await it.engine.drain()
    assert it.report.barge_ins >= 1
    assert not it.report.turns[-1].interrupted
    assert it.report.turns[-1].first_heard_at_s is not None
