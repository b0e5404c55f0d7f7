"""The recorded series of a conversation: it is a whole call, and replaying it is the same call again."""

from __future__ import annotations

from voicecore import events as ev
from voicecore.bench.micro.recorded_call import TURNS, hand_over, new_conversation, record, replay
from voicecore.facts import BargeInOutcome, Speaker


def test_the_same_series_gives_the_same_orders() -> None:
    """Recorded twice, replayed twice."""
    series = record()
    assert series == record()
    assert replay(series) == replay(series) > len(series) / 4


def test_the_series_is_a_whole_call() -> None:
    """Every turn is answered but the last; every other answer is cut, by words that a strategy has judged."""
    conversation = new_conversation()
    for now, handed in record():
        hand_over(conversation, handed, now)
    decisions = conversation.taking.barge_in.decisions
    assert [(each.outcome, each.decided_by) for each in decisions] == [(BargeInOutcome.CONFIRMED, "2 words")] * (
        TURNS // 2
    )
    lines = conversation.speech.transcript.lines()
    assert sum(line.speaker is Speaker.USER for line in lines) == TURNS + 1
    assert [line.interrupted for line in lines if line.speaker is Speaker.AGENT] == [False, True] * (TURNS // 2)


def test_the_series_has_every_kind_of_step() -> None:
    """Events of both sides, orders that were written, and the clock."""
    kinds = {type(handed) for _, handed in record()}
    assert {ev.AgentAudio, ev.MarkReturned, ev.PlayAudio, ev.PlaceMark, ev.ClearPlayout, type(None)} <= kinds
