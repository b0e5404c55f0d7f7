"""Five hundred barge-ins, each at another moment of a response that the provider still generates."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from typing import TypeVar

import attrs
import pytest
from trio.testing import MockClock

from voicecore.facts import BargeInConfirmed
from voicecore.simulation.memory_network import LinkSettings
from voicecore.simulation.openai_realtime import Behaviour, NumberedFrames, Pace, Reply, Script, ScriptedVad
from voicecore.simulation.twilio import At, HangUp, LineFaults
from voicecore.simulation.twilio.line import Line
from voicecore_tests.engine.truth import (
    BYTES_PER_S,
    CUTS,
    AtEar,
    at_ear,
    cuts,
    items,
    lines,
    no_old_speech,
    on_wire,
    played_bytes,
    refused,
)
from voicecore_tests.kit import Rig, nothing_is_left, rig

BARGE_INS = 100  #: a call
SPEAKS_S = 0.2
ANSWER_S = 4.0
PACE = Pace(first_delta_s=0.05, speed=2.0, burst_s=0.3)
GENERATES_S = ANSWER_S / PACE.speed - PACE.burst_s  #: from the first delta to the last, at least
SCRIPT = Script(replies=(Reply("one two three four five six seven eight nine ten", speech=NumberedFrames(ANSWER_S)),))
SLACK_S = 1e-6
MARK_IS_BACK_S = 0.06 + 0.4 + 3 * 0.08  #: the first piece, the slowest echo, and the line there, back and there

T = TypeVar("T")


@attrs.define
class Journal:
    """The order in which both twins took note of things, within one instant too."""

    kinds: list[tuple[float, str]] = attrs.field(factory=list)

    def of(self, kept: list[T]) -> list[T]:
        """Return a list that reports what is appended to it to the journal."""
        journal = self.kinds

        class Told(list[T]):
            def append(self, line: T) -> None:
                if getattr(line, "direction", getattr(line, "dir", "")) == "in":
                    journal.append((getattr(line, "at", getattr(line, "t", 0.0)), getattr(line, "kind", "")))
                super().append(line)

        return Told(kept)


def moments(seed: int) -> list[tuple[float, float]]:
    """Return when the user begins and ends to speak: at a random moment of each response, always while it grows."""
    chance, now, spoken = random.Random(seed), 1.0, []
    for _ in range(BARGE_INS + 1):
        spoken.append((now, now + SPEAKS_S))
        now += SPEAKS_S + PACE.first_delta_s + chance.uniform(0.0, GENERATES_S)
    return spoken


async def run(
    seed: int, link: LinkSettings, faults: LineFaults, late_deltas: int
) -> tuple[Rig, Line, Sequence[tuple[float, str]]]:
    """Run one call; return it with the order in which the twins saw what stops the agent."""
    spoken, journal = moments(seed), Journal()
    behaviour = Behaviour(vad=ScriptedVad(tuple(spoken)), pace=PACE, late_deltas=late_deltas)

    def journalled(line: Line) -> None:
        line.ledger = journal.of(line.ledger)

    async with rig(SCRIPT, behaviour, seed=seed, link=link) as it:
        it.provider.ledger.lines = journal.of([])  # type: ignore[assignment]  # it is appended to and iterated over
        steps = [HangUp(At(spoken[-1][1] + ANSWER_S + 2.0))]
        line = await it.carrier.call(it.engine.url, steps, faults=faults, on_line=journalled)
        await it.engine.drain()
        nothing_is_left(it)
    assert line is not None
    return it, line, [entry for entry in journal.kinds if entry[1] in {"clear", *CUTS}]


@pytest.mark.parametrize(
    ("seed", "delay_s", "mark_delay_s", "late_deltas"),
    [(1, 0.0, 0.0, 0), (2, 0.0, 0.0, 5), (3, 0.03, 0.0, 5), (4, 0.08, 0.1, 3), (5, 0.03, 0.4, 50)],
)
async def test_c5_c7_a_barge_in_at_any_moment_is_silence_first_and_nothing_old_behind_it(
    autojump_clock: MockClock, seed: int, delay_s: float, mark_delay_s: float, late_deltas: int
) -> None:
    """A hundred a call: on the wire, at the ear, at the provider, and in the counts."""
    faults = LineFaults(mark_delay_s=mark_delay_s)
    it, line, order = await run(seed, LinkSettings(delay_s=delay_s), faults, late_deltas)
    wire = on_wire(line)
    ear = at_ear(line, wire)
    no_old_speech(wire)
    clears = [entry.at for entry in wire if entry.kind == "clear"]
    assert len(clears) == len(it.facts_of(BargeInConfirmed)) == it.report.media.clears
    assert len(clears) >= 0.9 * BARGE_INS  # the others came before the first audio was sent
    silence_in_time(it, ear, delay_s)
    cleared_before_told(it, clears, order if delay_s == 0 else ())
    cut_where_heard(it, ear)
    counts_add_up(it, line)


def silence_in_time(it: Rig, ear: Sequence[AtEar], delay_s: float) -> None:
    """From the onset one way to the engine and one to the carrier: none of the lead is heard beyond that."""
    onsets = [each.t for each in lines(it, "out", "input_audio_buffer.speech_started")]
    for piece in ear:
        onset = next(iter(onsets[piece.response :]), float("inf"))  # the one behind that of its own turn
        assert piece.began_at + piece.size_bytes / BYTES_PER_S <= onset + 2 * delay_s + 1 / BYTES_PER_S


def cleared_before_told(it: Rig, clears: Sequence[float], order: Sequence[tuple[float, str]]) -> None:
    """The provider learns of a cut when the clear is at the carrier: by the times; without delays by the order too."""
    told = [each.t for each in cuts(it) if each.kind == "conversation.item.truncate"]
    assert all(any(at - SLACK_S <= clear <= at for clear in clears) for at in told)
    for (_, before), (_, kind) in itertools.pairwise(order):
        assert kind != "conversation.item.truncate" or before == "clear"


def cut_where_heard(it: Rig, ear: Sequence[AtEar]) -> None:
    """An item is truncated to no more than was heard, or deleted before its first mark was back; nothing is refused."""
    kept = {item.item_id: item for item in it.session.session.conversation.items}
    for item_id, number in items(it.session).items():
        heard = played_bytes(ear, number)
        item = kept.get(item_id)
        if item is None:
            assert heard <= MARK_IS_BACK_S * BYTES_PER_S
        else:
            assert item.truncated is (heard < ANSWER_S * BYTES_PER_S)
            assert 0 < len(item.audio) <= heard
    assert refused(it) == 0


def counts_add_up(it: Rig, line: Line) -> None:
    """Every byte that was generated was sent, or dropped for a reason; every mark was heard or flushed."""
    media = it.report.media
    generated = sum(len(response.audio) for response in it.session.session.responses)
    assert media.agent_received_bytes == generated
    assert media.agent_received_bytes == media.agent_sent_bytes + sum(media.agent_dropped_bytes.values())
    assert media.agent_sent_bytes == len(line.received_audio)
    assert media.marks_placed == media.marks_heard + media.marks_flushed
    assert (media.marks_assumed, media.marks_unmatched, media.underruns) == (0, 0, 0)
    assert len(line.playout.heard_bytes()) <= media.agent_sent_bytes
    assert it.report.problems == {}
