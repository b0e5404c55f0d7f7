"""Entries C9, C16, C17, C19 and C20 of the catalogue, where a machine shows the rule best."""

from __future__ import annotations

import random
from collections.abc import Callable

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicecore import events as ev
from voicecore.audio.formats import PCMU_8K
from voicecore.events import LegOrder, PlaceMark, PlayAudio
from voicecore.facts import Speaker
from voicecore.turns.agent_speech import AgentSpeech
from voicecore.turns.playout.ledger import PlayoutLedger, PlayoutSettings
from voicecore.turns.responses import ResponsePhase, ResponseSettings
from voicecore.turns.transcript import Transcript, whole_words

FRAME_BYTES = 160
BYTES_PER_S = 8000
SLACK_S = 1e-6
LONG = PlayoutSettings(waiting_limit_s=1000.0)

# --- C9: what was heard of a text ------------------------------------------------------------

TEXTS = st.text(alphabet="abc de fg.\u4f60\u597d", max_size=60)
SECONDS = st.floats(0.0, 20.0)


def heard_text(text: str, heard_s: float, generated_s: float | None, pieces: int, *, cut_first: bool) -> str | None:
    """Cut an item whose words come in so many pieces, before or after the cut."""
    transcript = Transcript()
    transcript.add(Speaker.AGENT, "i")
    size = max(1, -(-len(text) // pieces))
    if cut_first:
        transcript.cut("i", heard_s, generated_s)
    for begin in range(0, len(text), size):
        transcript.extend(Speaker.AGENT, "i", text[begin : begin + size])
    transcript.complete(Speaker.AGENT, "i", text)
    if not cut_first:
        transcript.cut("i", heard_s, generated_s)
    return transcript.text("i")


@given(text=TEXTS, heard_s=SECONDS, rest_s=SECONDS, known=st.booleans(), pieces=st.integers(1, 9))
def test_c9_heard_text_is_a_prefix_and_a_function_of_text_and_played_audio(
    text: str, heard_s: float, rest_s: float, known: bool, pieces: int
) -> None:
    """Not of the order of words and cut, nor of the pieces; no longer, in proportion, than what was played."""
    generated_s = heard_s + rest_s if known else None
    found = {
        heard_text(text, heard_s, generated_s, each, cut_first=first) for each in (1, pieces) for first in (True, False)
    }
    (heard,) = found
    assert heard is None or (heard != "" and heard_s > 0.0 and text.startswith(heard))
    if generated_s:
        assert len(heard or "") <= len(text) * heard_s / generated_s + 1e-9


@given(text=TEXTS, one=st.floats(0.0, 1.0), other=st.floats(0.0, 1.0))
def test_c9_more_audio_never_takes_words_back(text: str, one: float, other: float) -> None:
    """A longer part begins with the shorter one."""
    less, more = sorted((one, other))
    assert whole_words(text, more).startswith(whole_words(text, less))


def test_c9_words_are_committed_by_playout_and_by_nothing_else() -> None:
    """Generated, sent and finished at the provider: none of them puts an item into the history."""
    speech = AgentSpeech(PCMU_8K, PlayoutSettings(), ResponseSettings())
    speech.responses.started(ev.ResponseStarted("r"), 0.0)
    speech.play(ev.AgentAudio("r", "i", bytes(9 * FRAME_BYTES)), 0.0)
    speech.write(ev.AgentTextDone("r", "i", "one two three"), 0.0)
    speech.item_ended("i")
    orders = sent(speech, 0.0)
    speech.ended(ev.ResponseEnded(response_id="r", status=ev.ResponseStatus.COMPLETED), 0.0)
    assert speech.transcript.lines() == []
    for order in orders:
        if isinstance(order, PlaceMark):
            speech.mark_returned(order.name, 0.2)
    assert [(line.text, line.interrupted) for line in speech.transcript.lines()] == [("one two three", False)]


@pytest.mark.parametrize("status", [ev.ResponseStatus.FAILED, ev.ResponseStatus.INCOMPLETE])
def test_c9_words_that_got_no_audio_are_not_heard(status: ev.ResponseStatus) -> None:
    """Words run ahead of speech: where a response breaks off, its audio is no measure of them."""
    speech = AgentSpeech(PCMU_8K, PlayoutSettings(), ResponseSettings())
    speech.responses.started(ev.ResponseStarted("r"), 0.0)
    speech.play(ev.AgentAudio("r", "i", bytes(BYTES_PER_S)), 0.0)
    speech.write(ev.AgentTextDone("r", "i", "one two three four five six seven eight nine ten"), 0.0)
    (mark,) = [order for order in sent(speech, 0.0) if isinstance(order, PlaceMark)]
    speech.ended(ev.ResponseEnded(response_id="r", status=status), 0.0)
    speech.mark_returned(mark.name, 0.06)
    speech.cut(0.8, "barged in on", provider_cancels=True)
    assert speech.transcript.text("i") is None  # of 0.18 s at ten letters a second


# --- C8: what nobody heard ------------------------------------------------------------------------


@pytest.mark.parametrize("known_before", [False, True], ids=["the item comes late", "its audio comes late"])
def test_c8_an_item_of_a_response_that_was_given_up_is_deleted_once(known_before: bool) -> None:
    """It was on its way when the response was silenced: nobody will hear it, so the session must not remember it."""
    speech = AgentSpeech(PCMU_8K, PlayoutSettings(), ResponseSettings())
    speech.responses.started(ev.ResponseStarted("r"), 0.0)
    added = ev.AgentItemAdded("r", "i")
    if known_before:
        assert speech.write(added, 0.0) == []
    assert speech.silence("r", 0.1) == [ev.CancelResponse("r")]
    deletions = [] if known_before else speech.write(added, 0.1)
    assert not speech.admit(ev.AgentAudio("r", "i", bytes(800)), 0.1)
    deletions += speech.write(ev.AgentTextDone("r", "i", "one two"), 0.1)
    ended = ev.ResponseEnded(response_id="r", status=ev.ResponseStatus.COMPLETED)
    deletions += [step for step in speech.ended(ended, 0.1) if isinstance(step, ev.DeleteItem)]
    assert deletions == [ev.DeleteItem("i")]
    assert speech.transcript.lines() == []


def test_c8_what_is_still_being_heard_of_a_silenced_response_stays() -> None:
    """A response that found no room, or made no progress: what was admitted of it is played, and remembered."""
    speech = AgentSpeech(PCMU_8K, PlayoutSettings(), ResponseSettings())
    speech.responses.started(ev.ResponseStarted("r"), 0.0)
    speech.write(ev.AgentItemAdded("r", "i"), 0.0)
    speech.play(ev.AgentAudio("r", "i", bytes(800)), 0.0)
    speech.silence("r", 0.1)
    assert speech.write(ev.AgentTextDone("r", "i", "one two"), 0.1) == []
    assert speech.transcript.is_open("i")


# --- C16, C17: the clock ------------------------------------------------------------------------


def sent(speech: AgentSpeech, now: float) -> list[LegOrder]:
    """Carry out what is due."""
    orders = speech.playout.due(now)
    for order in orders:
        if isinstance(order, PlayAudio):
            speech.sent(order, now)
    return orders


@attrs.define
class Ear:
    """A carrier that plays what comes, a trip there and a trip back."""

    trip_s: Callable[[float], float]
    playout: PlayoutLedger
    busy_until: float = 0.0
    dry: int = 0
    played_bytes: int = 0
    most_ahead_s: float = 0.0
    back: list[tuple[float, str]] = attrs.field(factory=list)

    def take(self, order: LegOrder, now: float) -> None:
        if isinstance(order, PlayAudio):
            self.dry += self.played_bytes > 0 and self.busy_until + SLACK_S < now
            self.busy_until = max(self.busy_until, now) + len(order.audio) / BYTES_PER_S
            self.played_bytes += len(order.audio)
            self.most_ahead_s = max(self.most_ahead_s, self.busy_until - now)
        elif isinstance(order, PlaceMark):
            self.back.append((self.busy_until + self.trip_s(now), order.name))

    def echo(self, now: float) -> None:
        while self.back and self.back[0][0] <= now:
            at, name = self.back.pop(0)
            self.playout.echoed(name, at)


def speak(seconds: float, ear: Ear, late_s: Callable[[], float], chunk_s: float, speed: float) -> float:
    """Let an utterance be spoken that is generated in small chunks; return when its last piece left."""
    playout, chunk = ear.playout, bytes(round(chunk_s * BYTES_PER_S))
    chunks, whole = 0, round(seconds / chunk_s)
    now = last = 0.0
    while True:
        while chunks < whole and chunks * chunk_s / speed <= now:
            assert playout.push("r", "i", chunk) == 0
            chunks += 1
        if chunks == whole:
            playout.finish("i")
        ear.echo(now)
        for order in playout.due(now):
            ear.take(order, now)
            last = now if isinstance(order, PlayAudio) else last
        due = playout.next_due()
        if due is None and chunks == whole:
            return last
        wanted = due if due is not None else chunks * chunk_s / speed
        now = max(now + SLACK_S, wanted + late_s())


@pytest.mark.parametrize("chunk_s", [0.02, 0.05])
@pytest.mark.parametrize("late_s", [0.0, 0.01])
def test_c16_ten_minutes_in_small_chunks_with_timers_that_are_late_do_not_drift(late_s: float, chunk_s: float) -> None:
    """No hole, a bounded lead, and the last piece leaves within a frame of its moment, whatever the wake-ups were."""
    chance = random.Random(16)
    playout = PlayoutLedger(PCMU_8K, LONG)
    ear = Ear(lambda _: 0.05, playout)
    last = speak(600.0, ear, lambda: chance.uniform(0.0, late_s), chunk_s, speed=4.0)
    assert (ear.dry, playout.counts.underruns, ear.played_bytes) == (0, 0, 600 * BYTES_PER_S)
    assert ear.busy_until == pytest.approx(600.0, abs=0.02)
    assert last == pytest.approx(600.0 - LONG.lead_s, abs=LONG.piece_s + late_s + SLACK_S)
    assert ear.most_ahead_s <= LONG.lead_s + SLACK_S


def test_c17_trips_that_change_within_a_call_neither_starve_nor_flood_the_line() -> None:
    """20, 800, 100, 300 ms, a quarter of a minute each: real time is kept, and the lead stays below its ceiling."""
    trips_s = (0.02, 0.8, 0.1, 0.3)
    playout = PlayoutLedger(PCMU_8K, LONG)
    ear = Ear(lambda now: trips_s[int(now // 15) % 4], playout)
    speak(60.0, ear, lambda: 0.0, 0.1, speed=4.0)
    assert (ear.dry, playout.counts.underruns, playout.counts.marks_assumed) == (0, 0, 0)
    assert ear.most_ahead_s <= playout.line.max_lead_s + SLACK_S <= LONG.lead_limit_s + SLACK_S
    assert ear.busy_until == pytest.approx(60.0, abs=SLACK_S)


# --- C19, C20: one owner, and no state without an end --------------------------------------------


def test_c19_a_cancelled_response_that_never_ends_holds_nobody_up_and_cannot_write() -> None:
    """Beyond the cancel time-out the next one may begin; what still comes of the old one is dropped by its id."""
    speech = AgentSpeech(PCMU_8K, PlayoutSettings(), ResponseSettings(cancel_s=3.0))
    speech.responses.started(ev.ResponseStarted("old"), 0.0)
    old = ev.AgentAudio("old", "i1", bytes(BYTES_PER_S))
    assert speech.admit(old, 0.0)
    speech.play(old, 0.0)
    sent(speech, 0.0)
    speech.cut(0.1, "barged in on", provider_cancels=False)
    (clear,) = sent(speech, 0.1)
    speech.request_reply(0.1)
    for now in (0.1, 3.0, 3.1):
        assert not speech.admit(old, now)
        speech.expire(now)
    assert speech.responses.phase is ResponsePhase.REQUESTED
    speech.responses.started(ev.ResponseStarted("new", "request-1"), 3.2)
    assert not speech.admit(old, 3.2)
    assert speech.responses.active_id == "new"
    assert speech.playout.waiting_bytes == 0
    assert clear.generation == 1


@pytest.mark.parametrize("ends", [0.0, 5.0, 14.0])
def test_c20_speech_without_an_end_is_over_within_its_bounds(ends: float) -> None:
    """The response is never said to be over, its audio neither, and no mark comes back: speaking ends all the same."""
    settings = ResponseSettings(progress_s=15.0, cancel_s=3.0)
    speech = AgentSpeech(PCMU_8K, PlayoutSettings(), settings)
    speech.responses.started(ev.ResponseStarted("r"), 0.0)
    audio = ev.AgentAudio("r", "i", bytes(BYTES_PER_S))
    assert speech.admit(audio, ends)
    speech.play(audio, ends)
    now = ends
    while speech.playout.speaking or speech.responses.phase is not ResponsePhase.IDLE:
        sent(speech, now)
        moments = (speech.deadline(), speech.playout.next_due())
        now = min(max(now, moment) for moment in moments if moment is not None)
        speech.expire(now)
    assert now <= ends + settings.progress_s + settings.cancel_s + 2.0 + SLACK_S
    assert speech.deadline() is None
