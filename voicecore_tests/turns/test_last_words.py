"""The user's last words: what comes after the end is written down and told, and nothing else follows from it."""

from __future__ import annotations

from voicecore import events as ev
from voicecore.facts import Fact, FirstAudioReceived, TurnEnd, UserSaid, UserTurn
from voicecore.turns.metrics.turn_times import TurnLog
from voicecore.turns.orders import Notify
from voicecore_tests.turns.metrics.test_turn_times import folded, spoken
from voicecore_tests.turns.test_conversation import Talk, user_turn


def test_the_users_last_words_are_taken_after_the_end_of_the_call() -> None:
    """Until every turn has its words, or is known to get none; nothing but facts follows from them."""
    talk = Talk()
    talk.hears(*user_turn("u1"))
    talk.take(talk.machine.end(talk.now))
    told = len(talk.orders)
    missing = [talk.machine.last_words.are_missing]
    talk.hears(*user_turn("u2"), ev.UserTranscriptPart("u1", "I take"), ev.UserTranscriptDone("u1", "I take it"))
    missing.append(talk.machine.last_words.are_missing)
    talk.hears(ev.UserTranscriptFailed("u2", "unclear", "no words"))
    assert [*missing, talk.machine.last_words.are_missing] == [True, True, False]
    assert all(isinstance(order, Notify) for order in talk.orders[told:])
    assert [(line.item_id, line.text) for line in talk.machine.speech.transcript.lines()] == [
        ("u1", "I take it"),
        ("u2", None),
    ]
    assert talk.machine.problems["unclear"] == 1


def test_words_that_come_before_their_turn_are_not_awaited() -> None:
    """Any order of words and commit."""
    talk = Talk()
    talk.hears(ev.UserTranscriptDone("u1", "I take it"), *user_turn("u1"))
    assert not talk.machine.last_words.are_missing


def test_after_the_end_of_the_call_only_the_users_last_words_count() -> None:
    """A fact that comes late opens no turn that nobody would close; a turn that comes late has ended with the call."""
    log = TurnLog()
    assert (log.end(1.0), log.take(FirstAudioReceived(1.0, "r1", ())), log.turns()) == ([], [], ())
    (told,) = log.take(UserTurn(1.25, "u1"))
    assert (told.items, told.end, told.ended_at_s, told.committed_at_s) == (("u1",), TurnEnd.CALL_OVER, 1.0, 1.25)
    assert log.take(UserSaid(1.5, "u1", "bye")) == []
    assert log.take(UserTurn(1.5, "u2")) == []
    (turn,) = log.turns()
    assert (turn.items, turn.end, turn.ended_at_s) == (("u1", "u2"), TurnEnd.CALL_OVER, 1.0)


def test_the_turns_are_the_same_whether_their_last_words_came_before_the_end_was_told_or_after() -> None:
    """A fold over the facts of a call knows its end from the last of them."""
    late: list[Fact] = [UserTurn(4.25, "u2"), UserSaid(4.5, "u1", "one"), UserSaid(4.75, "u2", "bye")]
    log = TurnLog()
    for fact in spoken("u1", 2.0, 3.0):
        log.take(fact)
    log.end(4.0)
    for fact in late:
        log.take(fact)
    assert log.turns() == tuple(folded(spoken("u1", 2.0, 3.0), late, ended_at_s=4.0))


def test_a_turn_that_is_told_again_after_the_end_is_one_turn() -> None:
    """Servers repeat themselves; also in their last second."""
    talk = Talk()
    talk.hears(*user_turn("u1"))
    talk.take(talk.machine.end(talk.now))
    told = len(talk.orders)
    talk.hears(*user_turn("u1"), *user_turn("u2"), *user_turn("u2"))
    facts = [order.fact for order in talk.orders[told:] if isinstance(order, Notify)]
    assert [fact.item_id for fact in facts if isinstance(fact, UserTurn)] == ["u2"]
