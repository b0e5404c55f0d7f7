"""The turns of a call follow from its facts: one record each, whatever the order, and nothing invented."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicecore.facts import (
    BargeInConfirmed,
    BargeInDismissed,
    BargeInPending,
    ClearConfirmed,
    ClearSent,
    Fact,
    FirstAudioHeard,
    FirstAudioReceived,
    FirstAudioSent,
    Overlap,
    ResponsePlayed,
    TurnEnd,
    TurnsUnanswered,
    TurnTimes,
    UserSaid,
    UserStarted,
    UserStopped,
    UserTurn,
)
from voicecore.turns.metrics.latencies import latencies, percentiles
from voicecore.turns.metrics.turn_times import TurnLog, turn_times


def spoken(item_id: str, begin_s: float, end_s: float, silence_s: float | None = 0.5) -> list[Fact]:
    """What is told of a user turn, spoken from one moment to another and committed with its stop."""
    stop_s = end_s + (silence_s or 0.0)
    return [
        UserStarted(begin_s, item_id, audio_at_s=begin_s),
        UserStopped(stop_s, item_id, audio_at_s=stop_s, silence_s=silence_s),
        UserTurn(stop_s, item_id),
    ]


def answered(response_id: str, at_s: float, *answers: str) -> list[Fact]:
    """What is told of a response that is generated, sent and heard within 0.3 s."""
    return [
        FirstAudioReceived(at_s, response_id, answers),
        FirstAudioSent(at_s + 0.1, response_id, f"item of {response_id}", None),
        FirstAudioHeard(at_s + 0.3, response_id),
    ]


def folded(*told: Iterable[Fact], ended_at_s: float = 1000.0) -> tuple[TurnTimes, ...]:
    return turn_times(itertools.chain(*told), ended_at_s)


def only(*told: Iterable[Fact]) -> TurnTimes:
    (turn,) = folded(*told)
    return turn


# --- one turn -------------------------------------------------------------------------


def test_a_turn_is_what_the_user_said_and_the_words_behind_it() -> None:
    """Every step at the moment of its fact, and the durations that follow."""
    said: list[Fact] = [UserSaid(4.0, "u1", "Hello?")]
    done: list[Fact] = [ResponsePlayed(6.0, "r1")]
    assert only(spoken("u1", 1.0, 2.0), answered("r1", 3.0, "u1"), said, done) == TurnTimes(
        items=("u1",),
        response_id="r1",
        end=TurnEnd.COMPLETED,
        user_started_at_s=1.0,
        user_stopped_at_s=2.5,
        committed_at_s=2.5,
        transcribed_at_s=4.0,
        first_generated_at_s=3.0,
        first_sent_at_s=3.1,
        first_heard_at_s=3.3,
        ended_at_s=6.0,
        speech_s=1.0,
        end_of_utterance_s=0.5,
        transcription_s=2.0,
        reply_s=3.1 - 2.0,
    )


def test_a_greeting_is_a_turn_without_a_user() -> None:
    """It answers nobody, so no pause is measured."""
    turn = only(answered("r1", 0.5), [ResponsePlayed(2.0, "r1")])
    assert (turn.items, turn.response_id, turn.end) == ((), "r1", TurnEnd.COMPLETED)
    assert (turn.reply_s, turn.speech_s, turn.transcribed_at_s, turn.committed_at_s) == (None,) * 4


def test_speech_that_was_not_generated_is_a_turn_too() -> None:
    """A recorded message is only played."""
    turn = only([FirstAudioSent(0.2, "own", "own", None), FirstAudioHeard(0.4, "own"), ResponsePlayed(2.0, "own")])
    assert (turn.first_generated_at_s, turn.first_sent_at_s, turn.first_heard_at_s) == (None, 0.2, 0.4)
    assert (turn.response_id, turn.end) == ("own", TurnEnd.COMPLETED)


def test_turns_that_are_answered_together_are_one() -> None:
    """It begins with the first of them, and the pause counts from the end of the last."""
    words: list[Fact] = [UserSaid(5.2, "u2", "again"), UserSaid(5.4, "u1", "once")]
    turn = only(spoken("u1", 1.0, 2.0), spoken("u2", 3.0, 4.0), answered("r1", 5.0, "u2", "u1"), words)
    assert turn.items == ("u1", "u2")
    assert (turn.user_started_at_s, turn.user_stopped_at_s, turn.committed_at_s) == (1.0, 4.5, 4.5)
    assert [turn.transcribed_at_s, turn.speech_s, turn.reply_s] == pytest.approx([5.4, 2.0, 1.1])


def test_the_words_of_a_turn_are_known_when_all_of_them_are() -> None:
    """One transcription that failed leaves the turn without."""
    words: list[Fact] = [UserSaid(5.2, "u2", "again"), UserSaid(5.4, "u1", None)]
    turn = only(spoken("u1", 1.0, 2.0), spoken("u2", 3.0, 4.0), answered("r1", 5.0, "u1", "u2"), words)
    assert (turn.transcribed_at_s, turn.transcription_s) == (None, None)


def test_without_a_fixed_silence_the_end_of_the_speech_is_not_known() -> None:
    """Nothing takes its place: what counts from it is None."""
    turn = only(spoken("u1", 1.0, 2.0, silence_s=None), answered("r1", 3.0, "u1"))
    assert turn.user_stopped_at_s == 2.0
    assert (turn.speech_s, turn.end_of_utterance_s, turn.transcription_s, turn.reply_s) == (None,) * 4


def test_a_turn_is_told_once_with_the_fact_that_ended_it() -> None:
    """In time for whoever watches the call."""
    log = TurnLog()
    assert [log.take(fact) for fact in [*spoken("u1", 1.0, 2.0), *answered("r1", 3.0, "u1")]] == [[]] * 6
    (told,) = log.take(ResponsePlayed(4.0, "r1"))
    assert (log.turns(), log.take(ResponsePlayed(4.0, "r1")), log.end(5.0)) == ((told,), [], [])


def test_words_that_come_after_the_end_of_their_turn_are_added_and_nothing_else_is() -> None:
    """A short reply is over before a slow transcription: the turn was told, and what is known of it grows."""
    told = [*spoken("u1", 1.0, 2.0), *answered("r1", 3.0, "u1"), ResponsePlayed(4.0, "r1")]
    log = TurnLog()
    late: list[Fact] = [UserSaid(5.0, "u1", "Hello?"), UserTurn(6.0, "u1"), UserStarted(6.0, "u1", 9.0)]
    assert [turn for fact in [*told, *late] for turn in log.take(fact)] == list(folded(told))
    (turn,) = log.turns()
    assert turn == attrs.evolve(folded(told)[0], transcribed_at_s=5.0, transcription_s=turn.transcription_s)
    assert log.end(7.0) == []


def test_turns_stand_in_the_order_in_which_they_began() -> None:
    """Whichever ended first."""
    told = [*answered("r1", 0.1), *spoken("u1", 1.0, 2.0), *spoken("u2", 3.0, 4.0), *answered("r2", 5.0, "u2")]
    told += [
        ResponsePlayed(6.0, "r2"),
        TurnsUnanswered(7.0, ("u1",), TurnEnd.DROPPED, "vetoed"),
        ResponsePlayed(8.0, "r1"),
    ]
    assert [(turn.response_id, turn.items) for turn in folded(told)] == [("r1", ()), (None, ("u1",)), ("r2", ("u2",))]


# --- how turns end -------------------------------------------------------------------------


@pytest.mark.parametrize("end", [TurnEnd.DROPPED, TurnEnd.FAILED])
def test_a_turn_that_nobody_answers_ends_with_its_reason(end: TurnEnd) -> None:
    """Given up together is one turn."""
    turn = only(spoken("u1", 1.0, 2.0), spoken("u2", 3.0, 4.0), [TurnsUnanswered(9.0, ("u1", "u2"), end, "no_reply")])
    assert (turn.items, turn.response_id, turn.end) == (("u1", "u2"), None, end)
    assert (turn.why, turn.ended_at_s, turn.end_of_utterance_s) == ("no_reply", 9.0, 0.5)


def test_the_end_of_the_call_ends_what_is_open() -> None:
    """Words that are being heard, and a user turn that waits for its answer."""
    cut, unanswered = folded(answered("r1", 1.0), spoken("u1", 2.0, 3.0), ended_at_s=4.0)
    assert (cut.response_id, cut.end, cut.why, cut.ended_at_s) == ("r1", TurnEnd.CALL_OVER, "the call ended", 4.0)
    assert (unanswered.items, unanswered.end, unanswered.ended_at_s) == (("u1",), TurnEnd.CALL_OVER, 4.0)


def test_a_reply_that_the_call_left_behind_is_interrupted_with_its_reason() -> None:
    """Nobody barged in, so there is no overlap and nothing to wait for."""
    log = TurnLog()
    for fact in answered("r1", 1.0):
        log.take(fact)
    (turn,) = log.take(ResponsePlayed(2.0, "r1", "a machine answered"))
    assert (turn.end, turn.why, turn.overlap, turn.interrupted) == (
        TurnEnd.INTERRUPTED,
        "a machine answered",
        None,
        True,
    )


def test_a_reply_that_was_superseded_unheard_gives_its_user_turns_away() -> None:
    """The pause that the user felt is that of the reply that was sent; the other one is on record without them."""
    told = [*spoken("u1", 1.0, 2.0), FirstAudioReceived(3.0, "r1", ("u1",)), *spoken("u2", 3.2, 4.0)]
    told += [ResponsePlayed(4.5, "r1", "the user went on"), *answered("r2", 5.0, "u1", "u2"), ResponsePlayed(9.0, "r2")]
    second, first = folded(told)
    assert (first.response_id, first.items, first.end, first.why) == (
        "r1",
        (),
        TurnEnd.INTERRUPTED,
        "the user went on",
    )
    assert (second.response_id, second.items, second.end) == ("r2", ("u1", "u2"), TurnEnd.COMPLETED)
    assert first.reply_s is None
    assert second.reply_s == pytest.approx(1.1)


def test_the_turns_of_a_reply_that_was_cut_unheard_wait_for_their_end() -> None:
    """Whatever is heard in between, they are answered, given up, or left when the call ends."""
    log = TurnLog()
    for fact in [*spoken("u1", 1.0, 2.0), FirstAudioReceived(3.0, "r1", ("u1",))]:
        assert log.take(fact) == []
    (cut,) = log.take(ResponsePlayed(3.2, "r1", "lost"))
    assert (cut.items, cut.end, cut.why) == ((), TurnEnd.INTERRUPTED, "lost")
    for fact in answered("sorry", 4.0):
        assert log.take(fact) == []
    (apology,) = log.take(ResponsePlayed(5.0, "sorry"))
    assert apology.items == ()
    (failed,) = log.take(TurnsUnanswered(8.0, ("u1",), TurnEnd.FAILED, "no_reply"))
    assert (failed.items, failed.end, failed.response_id) == (("u1",), TurnEnd.FAILED, None)


def test_a_reply_that_is_heard_keeps_its_user_turns() -> None:
    """A later response that claims them, or news that nobody answers them, changes nothing."""
    told = [*spoken("u1", 1.0, 2.0), *answered("r1", 3.0, "u1"), *answered("r2", 4.0, "u1")]
    first, second = folded(told, [TurnsUnanswered(5.0, ("u1",), TurnEnd.FAILED, "no_reply")])
    assert (first.response_id, first.items, second.response_id, second.items) == ("r1", ("u1",), "r2", ())


# --- barge-ins -------------------------------------------------------------------------------

CUT = BargeInConfirmed(4.2, "r1", 1.0, overlap_at_s=4.0, decided_by="words")
CLEAR = ClearSent(4.21, 0.01)


def test_an_interrupted_turn_is_told_when_the_ear_is_silent() -> None:
    """Its figures are whole then."""
    log = TurnLog()
    for fact in [*answered("r1", 3.0), CUT, ResponsePlayed(4.2, "r1", "the user"), CLEAR]:
        assert log.take(fact) == []
    (turn,) = log.take(ClearConfirmed(4.3))
    assert (turn.end, turn.why, turn.ended_at_s) == (TurnEnd.INTERRUPTED, "barged in on", 4.2)
    assert turn.overlap is not None
    figures = [turn.overlap.began_at_s, turn.overlap.detection_s, turn.overlap.clear_s, turn.overlap.silence_s]
    assert figures == pytest.approx([4.0, 0.2, 0.01, 0.09])


@pytest.mark.parametrize("told", [[], [CLEAR]], ids=["nothing", "clear"])
def test_an_interrupted_turn_is_told_at_the_latest_when_the_agent_is_audible_again(told: list[Fact]) -> None:
    """A mark that never comes back holds nothing up; what it would have said is None."""
    log = TurnLog()
    for fact in [*answered("r1", 3.0), CUT, *told, FirstAudioReceived(5.0, "r2")]:
        assert log.take(fact) == []
    (turn,) = log.take(FirstAudioSent(5.1, "r2", "i2", None))
    assert turn.overlap is not None
    assert (turn.overlap.clear_s is None, turn.overlap.silence_s) == (not told, None)
    assert log.take(ClearConfirmed(5.2)) == []


def test_silence_before_the_clear_is_on_the_wire_is_that_of_an_earlier_clear() -> None:
    """It is not charged to this one."""
    turn = only(answered("r1", 3.0), [CUT, ClearConfirmed(4.2), ClearSent(4.25, 0.05), ClearConfirmed(4.5)])
    assert turn.overlap is not None
    assert turn.overlap.silence_s == pytest.approx(0.25)


def test_an_onset_after_its_own_decision_gives_no_figures() -> None:
    """It was a barge-in all the same."""
    turn = only(answered("r1", 3.0), [BargeInConfirmed(4.2, "r1", 1.0, overlap_at_s=4.3, decided_by="onset"), CLEAR])
    assert (turn.end, turn.overlap) == (TurnEnd.INTERRUPTED, None)


def test_a_barge_in_that_was_doubted_and_declined_is_in_no_record() -> None:
    """The agent went on as if nothing was said."""
    sound: list[Fact] = [UserStarted(3.5, "n1"), BargeInPending(3.5, "n1"), BargeInDismissed(4.0, "a backchannel")]
    reply, done = [*spoken("u1", 1.0, 2.0), *answered("r1", 3.0, "u1")], [ResponsePlayed(6.0, "r1")]
    assert folded(reply, sound, done) == folded(reply, done)


def test_d2_the_first_stamp_of_a_step_wins() -> None:
    """A step that is told twice, and a barge-in that is confirmed twice, keep their first moment."""
    told = [*spoken("u1", 1.0, 2.0), *answered("r1", 3.0, "u1"), UserSaid(3.5, "u1", "Hi."), CUT, CLEAR]
    again: list[Fact] = [
        *spoken("u1", 11.0, 12.0),
        *answered("r1", 13.0, "u1"),
        UserSaid(13.5, "u1", "Hi."),
        BargeInConfirmed(14.2, "r1", 1.0, overlap_at_s=14.2, decided_by="onset"),
        ClearSent(14.3, 0.1),
    ]
    twice = [fact for pair in zip(told, again, strict=True) for fact in pair]
    assert folded(twice) == folded(told)
    (turn,) = folded(twice)
    assert turn.overlap == Overlap(began_at_s=4.0, detection_s=4.2 - 4.0, clear_s=4.21 - 4.2, silence_s=None)


# --- the catalogue's group E -------------------------------------------------------------------


@pytest.mark.parametrize("completed_first", [True, False])
def test_e1_a_barge_in_in_the_instant_of_completion_leaves_one_record(completed_first: bool) -> None:
    """The first of the two says how it ended."""
    both: list[Fact] = [ResponsePlayed(4.2, "r1"), CUT] if completed_first else [CUT, ResponsePlayed(4.2, "r1")]
    turn = only(spoken("u1", 1.0, 2.0), answered("r1", 3.0, "u1"), both, [ClearConfirmed(4.3)])
    assert turn.end is (TurnEnd.COMPLETED if completed_first else TurnEnd.INTERRUPTED)
    assert (turn.items, turn.overlap is None) == (("u1",), completed_first)


def test_e2_each_of_five_hundred_turns_that_an_onset_opens_has_its_record() -> None:
    """The last is measured like the first."""
    log = TurnLog()
    told: list[TurnTimes] = []
    for number in range(500):
        begin_s, item, response = 10.0 * number, f"u{number}", f"r{number}"
        done = ResponsePlayed(begin_s + 5, response)
        for fact in [*spoken(item, begin_s, begin_s + 1), *answered(response, begin_s + 2, item), done]:
            told += log.take(fact)
    assert [turn.items for turn in told] == [(f"u{number}",) for number in range(500)]
    assert {turn.end for turn in told} == {TurnEnd.COMPLETED}
    assert [turn.reply_s for turn in told] == pytest.approx([1.1] * 500)


def test_e3_noise_touches_no_turn() -> None:
    """Neither one that never stops nor one that does is charged to the turn behind it; none of it piles up."""
    noise: list[Fact] = []
    for number in range(1000):
        noise += [UserStarted(0.001 * number, f"n{number}", 0.0), UserStopped(1.0, f"n{number}", 5.0, 0.5)]
    real = [*spoken("u1", 2.0, 3.0), *answered("r1", 4.0, "u1"), ResponsePlayed(5.0, "r1")]
    assert folded(noise, real) == folded(real)
    log = TurnLog()
    for fact in noise:
        log.take(fact)
    assert len(log._sounds) <= 8
    assert log._utterances == {}


def test_e3_the_stamps_of_an_utterance_belong_to_it_alone() -> None:
    """The next turn, of which no onset was heard, borrows nothing."""
    told = [*spoken("u1", 1.0, 2.0), *answered("r1", 3.0, "u1"), ResponsePlayed(4.0, "r1"), UserTurn(8.0, "u2")]
    _, second = folded(told, answered("r2", 9.0, "u2"))
    assert (second.user_started_at_s, second.user_stopped_at_s, second.reply_s) == (None, None, None)


def test_e4_without_the_end_of_speech_nothing_is_measured_from_it() -> None:
    """Missing is None."""
    told: list[Fact] = [UserStarted(1.0, "u1", 1.0), UserTurn(2.0, "u1"), *answered("r1", 3.0, "u1")]
    turn = only(told)
    assert (turn.user_started_at_s, turn.user_stopped_at_s, turn.committed_at_s) == (1.0, None, 2.0)
    assert (turn.speech_s, turn.end_of_utterance_s, turn.reply_s) == (None, None, None)


def test_e4_a_reply_before_the_end_of_speech_has_no_negative_latency() -> None:
    """The stamps stand as they came; the durations between them are None."""
    told: list[Fact] = [UserTurn(1.0, "u1"), *answered("r1", 2.0, "u1"), UserStopped(5.0, "u1", 4.0, 0.5)]
    turn = only(told)
    assert (turn.committed_at_s, turn.first_sent_at_s, turn.user_stopped_at_s) == (1.0, 2.1, 5.0)
    assert (turn.end_of_utterance_s, turn.reply_s, turn.speech_s) == (None, None, None)
    assert set(latencies([turn])) == {"generation", "sending", "line"}


def test_e4_speech_that_was_held_back_and_came_at_once_has_no_end_to_measure_from() -> None:
    """Onset and stop are read together, so that the silence would lie before the onset. Its length is known."""
    told: list[Fact] = [UserStarted(5.72, "u1", 0.0), UserStopped(5.73, "u1", 1.5, 0.5), UserTurn(5.73, "u1")]
    turn = only(told, answered("r1", 6.0, "u1"))
    assert (turn.speech_s, turn.end_of_utterance_s, turn.reply_s) == (1.0, None, None)


def test_e5_a_turn_is_closed_whether_or_not_its_reply_made_a_sound() -> None:
    """Dropped, failed, answered by a later response, left open by the call's end: each with its cause."""
    told = [*spoken("u1", 1.0, 2.0), TurnsUnanswered(3.0, ("u1",), TurnEnd.DROPPED, "said nothing")]
    told += [*spoken("u2", 4.0, 5.0), TurnsUnanswered(6.0, ("u2",), TurnEnd.FAILED, "no_reply")]
    told += [*spoken("u3", 7.0, 8.0), *answered("behind the tool", 9.0, "u3"), ResponsePlayed(10.0, "behind the tool")]
    told += [*spoken("u4", 11.0, 12.0)]
    assert [(turn.items, turn.end, turn.why) for turn in folded(told)] == [
        (("u1",), TurnEnd.DROPPED, "said nothing"),
        (("u2",), TurnEnd.FAILED, "no_reply"),
        (("u3",), TurnEnd.COMPLETED, ""),
        (("u4",), TurnEnd.CALL_OVER, "the call ended"),
    ]


def test_e6_no_time_at_all_and_a_minute_are_latencies_like_others() -> None:
    """0.0 is not missing, and 60 s are not 60 ms."""
    at_once: list[Fact] = [
        *spoken("u1", 1.0, 2.0, silence_s=0.0),
        FirstAudioReceived(2.0, "r1", ("u1",)),
        FirstAudioSent(2.0, "r1", "i1", None),
        ResponsePlayed(3.0, "r1"),
    ]
    late: list[Fact] = [
        *spoken("u2", 4.0, 5.0, silence_s=0.0),
        FirstAudioReceived(65.0, "r2", ("u2",)),
        FirstAudioSent(65.0, "r2", "i2", None),
    ]
    turns = folded(at_once, late)
    assert [turn.reply_s for turn in turns] == [0.0, 60.0]
    reply = latencies(turns)["reply"]
    assert (reply.count, reply.p50_s, reply.p90_s, reply.max_s) == (2, 0.0, 60.0, 60.0)


def test_e6_a_percentile_is_a_sample_and_comes_with_its_count() -> None:
    """With few samples the high ones are the highest; with enough of them they are not."""
    few, many = percentiles([0.3]), percentiles([number / 100 for number in range(200, 0, -1)])
    assert (few.count, few.p50_s, few.p99_s, few.max_s) == (1, 0.3, 0.3, 0.3)
    assert (many.count, many.p50_s, many.p90_s, many.p99_s, many.max_s) == (200, 1.0, 1.8, 1.98, 2.0)


def test_e6_a_step_of_which_there_is_no_sample_has_no_percentile() -> None:
    """Not even zero."""
    assert set(latencies(folded(answered("r1", 1.0)))) == {"sending", "line"}
    assert latencies([]) == {}


STEPS_S = st.integers(0, 100 * 1024).map(lambda ticks: ticks / 1024)  # moments that floats add exactly


@given(st.tuples(*[STEPS_S] * 5))
def test_e10_the_stages_of_a_turn_add_up_to_the_pause_that_the_user_feels(steps_s: Sequence[float]) -> None:
    """One clock: to within a millisecond."""
    ended, committed, generated, sent, heard = itertools.accumulate(steps_s)
    told: list[Fact] = [
        UserStopped(committed, "u1", committed, committed - ended),
        UserTurn(committed, "u1"),
        FirstAudioReceived(generated, "r1", ("u1",)),
        FirstAudioSent(sent, "r1", "i1", None),
        FirstAudioHeard(heard, "r1"),
    ]
    turn = only(told)
    took = {name: found.p50_s for name, found in latencies([turn]).items()}
    assert took["end_of_utterance"] + took["generation"] + took["sending"] == pytest.approx(took["reply"], abs=1e-3)
    assert took["reply"] + took["line"] == pytest.approx(heard - ended, abs=1e-3)


# --- any order ----------------------------------------------------------------------------------

MOMENTS = st.floats(0, 100, allow_nan=False)
MAYBE = st.none() | MOMENTS
ITEMS, RESPONSES = st.sampled_from(["u1", "u2", "u3", "u4"]), st.sampled_from(["r1", "r2", "r3"])
SEVERAL = st.lists(ITEMS, max_size=3).map(tuple)
UNANSWERED = st.sampled_from([TurnEnd.DROPPED, TurnEnd.FAILED])
WHY = st.sampled_from(["", "the call took another course"])
TOLD = st.lists(
    st.one_of(
        st.builds(UserStarted, MOMENTS, ITEMS, MAYBE),
        st.builds(UserStopped, MOMENTS, ITEMS, MAYBE, MAYBE),
        st.builds(UserTurn, MOMENTS, ITEMS),
        st.builds(UserSaid, MOMENTS, ITEMS, st.none() | st.just("words")),
        st.builds(TurnsUnanswered, MOMENTS, SEVERAL, UNANSWERED, st.just("why")),
        st.builds(FirstAudioReceived, MOMENTS, RESPONSES, SEVERAL),
        st.builds(FirstAudioSent, MOMENTS, RESPONSES, st.just("i1"), st.none()),
        st.builds(FirstAudioHeard, MOMENTS, RESPONSES),
        st.builds(ResponsePlayed, MOMENTS, RESPONSES, WHY),
        st.builds(BargeInConfirmed, MOMENTS, RESPONSES, MOMENTS, MOMENTS, st.just("onset")),
        st.builds(ClearSent, MOMENTS, MOMENTS),
        st.builds(ClearConfirmed, MOMENTS),
    ),
    max_size=40,
)


def durations(turn: TurnTimes) -> list[float | None]:
    overlap = turn.overlap
    over = [] if overlap is None else [overlap.detection_s, overlap.clear_s, overlap.silence_s]
    return [turn.speech_s, turn.end_of_utterance_s, turn.transcription_s, turn.reply_s, *over]


@given(TOLD, st.booleans())
def test_whatever_is_told_in_whatever_order_each_turn_has_one_record(told: list[Fact], in_time: bool) -> None:
    """Every committed user turn and every response in exactly one, none twice, and no negative duration."""
    if in_time:
        told = sorted(told, key=lambda fact: fact.at_s)
    log = TurnLog()
    returned = [turn for fact in told for turn in log.take(fact)] + log.end(101.0)
    turns = log.turns()
    assert sorted(map(but_words, returned)) == sorted(map(but_words, turns))
    assert turns == turn_times(told, 101.0)
    items = [item for turn in turns for item in turn.items]
    assert sorted(items) == sorted({fact.item_id for fact in told if isinstance(fact, UserTurn)})
    responses = [turn.response_id for turn in turns if turn.response_id is not None]
    spoke = {fact.response_id for fact in told if isinstance(fact, FirstAudioReceived | FirstAudioSent)}
    assert sorted(responses) == sorted(spoke)
    assert [took_s for turn in turns for took_s in durations(turn) if took_s is not None and took_s < 0] == []
    assert (log._open, log.end(102.0)) == ([], [])


def but_words(turn: TurnTimes) -> str:
    """A turn without what may still come after its end."""
    return repr(attrs.evolve(turn, transcribed_at_s=None, transcription_s=None))


@given(TOLD)
def test_an_end_that_was_told_is_final(told: list[Fact]) -> None:
    """A kept log can be cut anywhere: what had ended by then stays as it was."""
    log = TurnLog()
    so_far: list[TurnTimes] = []
    for fact in told:
        so_far += log.take(fact)
        assert sorted(map(but_words, so_far)) == sorted(map(but_words, log.turns()))
