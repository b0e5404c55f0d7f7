"""What was heard: the carrier's playout, engine's report, provider, transcript and recording agree on whole calls."""

from __future__ import annotations

import io
import math
import wave
from collections.abc import Sequence

import attrs
import pytest
from hypothesis import Phase, given
from hypothesis import strategies as st

from voicecore.audio.convert import from_samples, to_samples
from voicecore.audio.formats import PCM16_8K, PCMU_8K
from voicecore.facts import Speaker
from voicecore.simulation.memory_network import LinkSettings
from voicecore.simulation.numbered_audio import numbered_audio
from voicecore.simulation.openai_realtime import Behaviour, NumberedFrames, Pace, Reply, Script, ScriptedVad
from voicecore.simulation.twilio import At, HangUp, LineFaults, Press, Step
from voicecore.simulation.twilio.line import Line
from voicecore.turns import agent_speech
from voicecore.turns.playout.ledger import Interrupted, PlayoutLedger
from voicecore_tests.chance import examples
from voicecore_tests.engine.truth import (
    BYTES_PER_S,
    FRAME_BYTES,
    AtEar,
    at_ear,
    items,
    lines,
    no_old_speech,
    on_wire,
    played_bytes,
)
from voicecore_tests.kit import Rig, nothing_is_left, rig, run_seeded

SPEAKS_S = 0.4  #: how long the user speaks each time
FIRST_DELTA_S = 0.25
SAMPLE_S = 1 / BYTES_PER_S


@attrs.frozen(kw_only=True)
class Turn:
    """The user speaks, and is answered for ``answer_s``; presses keys, and speaks again ``next_s`` later."""

    answer_s: float
    next_s: float
    keys_s: tuple[float, ...] = ()
    """When in the answer a key is pressed that is answered too: its answer queues behind this one."""


@attrs.frozen(kw_only=True)
class Course:
    """One call: what is drawn."""

    turns: Sequence[Turn]
    delay_s: float = 0.0
    mark_delay_s: float = 0.0
    mark_jitter_s: float = 0.0
    mark_loss: float = 0.0
    speed: float = 5.0
    late_deltas: int = 0
    coalesce_ms: int = 0
    seed: int = 0

    @property
    def faithful(self) -> bool:
        return self.mark_jitter_s == self.mark_loss == 0.0

    def script(self) -> Script:
        replies: list[Reply] = []
        for turn in self.turns:
            for _ in range(1 + len(turn.keys_s)):
                count = math.ceil(2 * turn.answer_s)
                words = " ".join(f"r{len(replies):02d}w{number:03d}" for number in range(count))
                replies.append(Reply(words, speech=NumberedFrames(turn.answer_s)))
        return Script(replies=tuple(replies))

    def moments(self) -> tuple[list[tuple[float, float]], list[Step]]:
        """Return when the user speaks, and when keys are pressed and the call ends."""
        now, spoken, steps = 1.0, [], []
        for turn in self.turns:
            spoken.append((now, now + SPEAKS_S))
            begins = now + SPEAKS_S + FIRST_DELTA_S
            steps += [Press(At(begins + at_s), key) for at_s in turn.keys_s for key in "7#"]
            now = begins + turn.next_s
        rest_s = sum(turn.answer_s * (1 + len(turn.keys_s)) for turn in self.turns) + 8.0
        return spoken, [*steps, HangUp(At(now + rest_s))]


@attrs.define
class Noted:
    """What the engine claimed at each cut, as its ledger said it."""

    cuts: list[tuple[float, Interrupted]] = attrs.field(factory=list)

    def ledger(self) -> type[PlayoutLedger]:
        noted = self.cuts

        class NotedLedger(PlayoutLedger):
            def clear(self, now: float) -> list[Interrupted]:
                found = super().clear(now)
                noted.extend((now, cut) for cut in found)
                return found

        return NotedLedger


async def run(course: Course) -> tuple[Rig, Line, list[tuple[float, Interrupted]]]:
    """Run one call."""
    spoken, steps = course.moments()
    faults = LineFaults(
        mark_delay_s=course.mark_delay_s,
        mark_jitter_s=course.mark_jitter_s,
        mark_loss=course.mark_loss,
        seed=course.seed,
    )
    behaviour = Behaviour(
        vad=ScriptedVad(tuple(spoken)),
        pace=Pace(first_delta_s=FIRST_DELTA_S, speed=course.speed),
        late_deltas=course.late_deltas,
    )
    noted = Noted()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(agent_speech, "PlayoutLedger", noted.ledger())
        async with rig(
            course.script(),
            behaviour,
            seed=course.seed,
            link=LinkSettings(delay_s=course.delay_s),
            server__record_audio=True,
            server__coalesce_ms=course.coalesce_ms,
            barge_in__keys_stop_agent=False,
        ) as it:
            line = await it.carrier.call(it.engine.url, steps, faults=faults)
            await it.engine.drain()
            nothing_is_left(it)
    assert line is not None
    return it, line, noted.cuts


def check(course: Course) -> tuple[Rig, Line]:
    """Run one call, and compare all reports of it with what the carrier played."""
    it, line, claims = run_seeded(lambda: run(course), course.seed)
    wire = on_wire(line)
    ear = at_ear(line, wire)
    no_old_speech(wire)
    assert line.playout.violations == []
    check_claims(course, it, ear, claims)
    check_provider(course, it, ear, claims)
    check_transcript(course, it, ear)
    check_recording(course, it, line, ear)
    return it, line


def check_claims(course: Course, it: Rig, ear: Sequence[AtEar], claims: Sequence[tuple[float, Interrupted]]) -> None:
    """The truth lies within the bounds, to the sample: when it was claimed, and when the clear had arrived."""
    responses = items(it.session)
    for moment, cut in claims:
        lower, best, upper = (
            round(seconds * BYTES_PER_S) for seconds in (cut.heard.lower_s, cut.heard.best_s, cut.heard.upper_s)
        )
        then = played_bytes(ear, responses[cut.item_id], moment)
        finally_ = played_bytes(ear, responses[cut.item_id])
        assert lower <= then <= finally_ <= upper
        assert lower <= best <= upper
        assert best <= then + 1
        if course.faithful:  # counted low, but no lower than what an echo needs to come back
            trip_s = 2 * course.delay_s + course.mark_delay_s
            assert then - best <= (trip_s + 0.06 + SAMPLE_S) * BYTES_PER_S


def check_provider(course: Course, it: Rig, ear: Sequence[AtEar], claims: Sequence[tuple[float, Interrupted]]) -> None:
    """Every truncation is accepted and is what was heard; unheard words are not in the conversation."""
    responses, cut_at = items(it.session), {cut.item_id: moment for moment, cut in claims}
    conversation = {item.item_id: item for item in it.session.session.conversation.items}
    truncations = [each for each in it.session.requests if each["type"] == "conversation.item.truncate"]
    taken = [each.id for each in lines(it, "out", "conversation.item.truncated")]
    assert [each["item_id"] for each in truncations] == taken
    assert len(set(taken)) == len(taken)
    for each in truncations:
        end_ms = each["audio_end_ms"]
        assert type(end_ms) is int
        item = conversation[each["item_id"]]
        heard = played_bytes(ear, responses[each["item_id"]], cut_at[each["item_id"]])
        assert 0 < end_ms <= len(item.generated) / 8
        assert end_ms * 8 <= heard + FRAME_BYTES
        assert len(item.audio) == end_ms * 8
    deletions = [each["item_id"] for each in it.session.requests if each["type"] == "conversation.item.delete"]
    assert deletions == [each.id for each in lines(it, "out", "conversation.item.deleted")]
    trip = (3 * course.delay_s + course.mark_delay_s + course.mark_jitter_s + 0.06) * BYTES_PER_S
    for item_id in deletions:
        assert course.mark_loss or played_bytes(ear, responses[item_id]) <= trip + 1  # before its first mark was back


def check_transcript(course: Course, it: Rig, ear: Sequence[AtEar]) -> None:
    """Exactly the items of the provider's conversation; a cut one is a prefix no longer than what was played."""
    responses, replies = items(it.session), course.script().replies
    assert isinstance(replies, tuple)
    agent = [line for line in it.report.transcript if line.speaker is Speaker.AGENT]
    kept = [item for item in it.session.session.conversation.items if item.body["role"] == "assistant"]
    assert [line.item_id for line in agent] == [item.item_id for item in kept]
    for line, item in zip(agent, kept, strict=True):
        reply = replies[min(responses[line.item_id], len(replies)) - 1]  # the last is repeated
        assert isinstance(reply.speech, NumberedFrames)
        whole = len(numbered_audio(1, 1, reply.speech.seconds))
        heard = played_bytes(ear, responses[line.item_id])
        assert line.interrupted is item.truncated
        text = line.text or ""  # None where no whole word was surely heard
        assert reply.text.startswith(text)
        if not line.interrupted:
            assert (text, heard, len(item.audio)) == (reply.text, whole, whole)
        assert len(text) / len(reply.text) <= heard / whole
    silenced = set(responses) - {line.item_id for line in agent}
    assert silenced == {each["item_id"] for each in it.session.requests if each["type"] == "conversation.item.delete"}


def check_recording(course: Course, it: Rig, line: Line, ear: Sequence[AtEar]) -> None:
    """The right channel has what the user heard, earlier by the line's one-way delay; what was cut is not in it."""
    (content,) = [bytes(data) for path, data in it.simulated.files.files.items() if path.name == "audio.wav"]
    with wave.open(io.BytesIO(content)) as opened:
        assert (opened.getnchannels(), opened.getframerate(), opened.getsampwidth()) == (2, 8000, 2)
        stereo = opened.readframes(opened.getnframes())
    right = b"".join(stereo[at + 2 : at + 4] for at in range(0, len(stereo), 4))
    recorded = from_samples(to_samples(right, PCM16_8K), PCMU_8K)
    track = line.playout.heard_track(line.began_at + len(recorded) * SAMPLE_S + 1.0)
    runs = spans(ear, line)
    if not runs:
        return
    shift = recorded.find(track[slice(*runs[0])][:40]) - runs[0][0]
    assert shift <= 0
    for begin, end in runs:  # rounding may move a stretch by a sample
        kept = [recorded[begin + shift + move + 1 :] for move in (-1, 0, 1)]
        as_played = any(each.startswith(track[begin + 1 : end - 1]) for each in kept)
        assert as_played or end + shift > len(recorded), f"not as it was played: {begin}"
    sounding = sum(end - begin for begin, end in runs)
    assert abs(len(recorded) - recorded.count(0xFF) - sounding) <= 2 * len(runs)


def spans(ear: Sequence[AtEar], line: Line) -> list[tuple[int, int]]:
    """Return the parts of the user's track that have sound, in samples."""
    found: list[tuple[int, int]] = []
    for piece in ear:
        begin = round((piece.began_at - line.began_at) * BYTES_PER_S)
        if found and abs(begin - found[-1][1]) <= 1:
            found[-1] = (found[-1][0], found[-1][1] + piece.size_bytes)
        else:
            found.append((begin, begin + piece.size_bytes))
    return [span for span in found if span[0] < span[1]]


TURNS = st.builds(
    Turn,
    answer_s=st.sampled_from([0.1, 0.5, 1.0, 2.5, 4.0]),
    next_s=st.one_of(st.sampled_from([0.0, 0.06, 0.12, 0.3]), st.floats(0.0, 5.0)),
    keys_s=st.lists(st.floats(0.1, 2.0), max_size=2).map(tuple),
)
COURSES = st.builds(
    Course,
    turns=st.lists(TURNS, min_size=1, max_size=4),
    delay_s=st.sampled_from([0.0, 0.01, 0.04, 0.15]),
    mark_delay_s=st.sampled_from([0.0, 0.03, 0.3]),
    mark_jitter_s=st.sampled_from([0.0, 0.0, 0.05, 0.3]),
    mark_loss=st.sampled_from([0.0, 0.0, 0.2, 1.0]),
    speed=st.sampled_from([1.5, 5.0, 50.0]),
    late_deltas=st.sampled_from([0, 5]),
    coalesce_ms=st.sampled_from([0, 0, 60]),
    seed=st.integers(0, 1000),
)


@examples(20, phases=(Phase.explicit, Phase.generate))
@given(course=COURSES)
def test_everybody_agrees_on_what_was_heard(course: Course) -> None:
    """Whatever the line, the lengths and the moments are."""
    it, line = check(course)
    assert len(line.playout.heard_bytes()) <= it.report.media.agent_sent_bytes
