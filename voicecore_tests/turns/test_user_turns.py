"""The user's turns: each has exactly one end, and a deadline until then.

The state machine at the end holds them against everything that user, replies and clock can do.
"""

from __future__ import annotations

from collections import Counter

import attrs
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from voicecore.errors import ConfigError
from voicecore.turns.user_turns import UserTurns, UserTurnSettings
from voicecore_tests.chance import examples

TICK_S = 0.001
SETTINGS = UserTurnSettings(reply_s=10.0, patience_s=30.0, yield_s=5.0)


def turns_of(*item_ids: str, now: float = 0.0, later: bool = False) -> UserTurns:
    turns = UserTurns(SETTINGS)
    for item_id in item_ids:
        turns.committed(item_id, now, later=later)
    return turns


def state(turns: UserTurns) -> tuple[tuple[str, ...], int, float | None]:
    """Return what is open, how many have met no end, and the deadline."""
    return turns.open, turns.unsettled, turns.deadline()


def holds(turns: UserTurns) -> tuple[float | None, float | None]:
    """Return since when the user speaks, and until when a reply waits."""
    return turns.speaking_since, turns.yields_until


# --- turns and their ends ----------------------------------------------------------------


def test_a_turn_is_open_from_its_commit_to_the_audio_of_its_reply() -> None:
    """Open, being answered, answered; then nothing of it is left."""
    turns = UserTurns(SETTINGS)
    turns.speech_started(1.0)
    turns.speech_stopped(2.0)
    assert turns.committed("u1", 2.25)
    assert state(turns) == (("u1",), 1, 12.25)
    assert turns.began("r1") == ("u1",)
    assert state(turns) == ((), 1, 12.25)
    assert turns.answered("r1", 3.0) == 1.0
    assert state(turns) == ((), 0, None)


def test_turns_close_together_are_answered_together() -> None:
    """A response answers what was open when it began, oldest first; what comes later is not its business."""
    turns = turns_of("u1", "u2")
    assert turns.began("r1") == ("u1", "u2")
    turns.committed("u3", 1.0)
    turns.answered("r1", 2.0)
    assert (turns.open, turns.unsettled) == (("u3",), 1)
    assert turns.began("r2") == ("u3",)


@pytest.mark.parametrize("end", ["being answered", "answered", "dropped"])
def test_d9_a_repeated_commit_changes_nothing(end: str) -> None:
    """Wherever the turn has got to; its deadline stays too."""
    turns = turns_of("u1", "u2")
    turns.began("r1")
    if end == "answered":
        turns.answered("r1", 1.0)
    elif end == "dropped":
        turns.settle("u1")
    before = state(turns)
    turns.tries_left = 0
    assert not turns.committed("u1", 5.0)
    assert not turns.committed("u1", 5.0, later=True)
    assert (*state(turns), turns.tries_left) == (*before, 0)


def test_a_response_that_is_told_twice_answers_the_same() -> None:
    """Its start, and its first audio."""
    turns = turns_of("u1", "u2")
    assert [turns.began("r1"), turns.began("r1")] == [("u1", "u2")] * 2


def test_a_response_that_answers_nothing_settles_nothing() -> None:
    """A greeting, or a prompt, while a turn is being answered by another."""
    turns = turns_of("u1")
    turns.began("r1")
    assert turns.began("r2") == ()
    assert turns.answered("r2", 1.0) is None
    assert turns.unsettled == 1


def test_d22_a_reply_that_is_cut_unheard_gives_its_turns_back() -> None:
    """They are open for the next one, with a deadline of their own."""
    turns = turns_of("u1", "u2")
    turns.began("r1")
    turns.committed("u3", 1.0)
    turns.not_answered("r1", 4.0)
    assert (turns.open, turns.deadline()) == (("u1", "u2", "u3"), 14.0)
    assert turns.began("r2") == ("u1", "u2", "u3")


def test_the_end_of_a_response_that_answers_nothing_moves_no_deadline() -> None:
    """However many of them there are: the turn has been waiting all the same."""
    turns = turns_of("u1")
    turns.not_answered("r9", 5.0)
    assert turns.deadline() == 10.0
    turns.began("r1")
    turns.answered("r1", 6.0)
    turns.committed("u2", 6.0)
    turns.not_answered("r1", 9.0)
    assert (turns.open, turns.deadline()) == (("u2",), 16.0)


def test_a_reply_that_was_heard_is_not_taken_back() -> None:
    """What was cut of it later is another matter."""
    turns = turns_of("u1")
    turns.began("r1")
    turns.answered("r1", 1.0)
    turns.not_answered("r1", 2.0)
    assert state(turns) == ((), 0, None)


def test_a_turn_is_settled_by_its_id() -> None:
    """Alone, once, and wherever it has got to."""
    turns = turns_of("u1", "u2")
    turns.began("r1")
    turns.committed("u3", 0.0)
    turns.committed("u4", 0.0, later=True)
    assert turns.settle("u9") == ()
    assert [turns.settle(item_id) for item_id in ("u2", "u3", "u4")] == [("u2",), ("u3",), ("u4",)]
    assert [turns.settle(item_id) for item_id in ("u2", "u3", "u4")] == [()] * 3
    assert turns.unsettled == 1
    assert not turns.release(1.0)  # a turn that was dropped does not come back behind the message


def test_all_turns_that_wait_for_nothing_else_are_settled_together() -> None:
    """Those that wait for a message are not late yet."""
    turns = turns_of("u1", "u2")
    turns.committed("u3", 0.0, later=True)
    assert turns.settle() == ("u1", "u2")
    assert (turns.settle(), turns.unsettled) == ((), 1)


def test_a_new_turn_has_its_own_tries() -> None:
    """A reply is asked for again once a turn, not once a call."""
    turns = turns_of("u1")
    turns.tries_left -= 1
    turns.committed("u2", 1.0)
    assert turns.tries_left == 1


# --- turns that wait for a message -------------------------------------------------------


def test_a_turn_behind_a_message_has_no_deadline_until_it_is_released() -> None:
    """However long the message takes; nothing answers it before."""
    turns = turns_of("u1", later=True)
    assert state(turns) == ((), 1, None)
    assert turns.began("the message") == ()
    assert turns.release(60.0)
    assert (turns.open, turns.deadline()) == (("u1",), 70.0)
    assert not turns.release(61.0)
    assert turns.deadline() == 70.0


# --- the end of speech -------------------------------------------------------------------


def test_e3_the_end_of_speech_is_charged_to_one_reply() -> None:
    """The next words of the agent, without a turn in between, have none."""
    turns = UserTurns(SETTINGS)
    turns.speech_started(0.0, "u1")
    turns.speech_stopped(1.0)
    turns.committed("u1", 1.0)
    turns.began("r1")
    assert turns.answered("r1", 1.5) == 0.5
    turns.committed("u2", 4.0)
    turns.began("r2")
    assert turns.answered("r2", 5.0) is None


def test_e3_speech_that_became_no_turn_is_charged_to_nobody() -> None:
    """The agent speaks of itself, and then a turn comes."""
    turns = UserTurns(SETTINGS)
    turns.speech_started(0.0, "noise")
    turns.speech_stopped(1.0)
    assert turns.answered("a prompt", 20.0) is None
    turns.committed("u1", 30.0)
    turns.began("r1")
    assert turns.answered("r1", 31.0) is None


def test_e4_a_reply_without_an_end_of_speech_has_no_time() -> None:
    """Nothing is invented; an answer in the same instant is zero, which is a time."""
    turns = turns_of("u1")
    turns.began("r1")
    assert turns.answered("r1", 1.0) is None
    turns.speech_stopped(2.0)
    turns.committed("u2", 2.0)
    turns.began("r2")
    assert turns.answered("r2", 2.0) == 0.0


# --- deadlines ---------------------------------------------------------------------------


def test_the_deadline_counts_from_the_newest_turn() -> None:
    """Or from the user's last sound after it."""
    turns = turns_of("u1")
    assert turns.deadline() == 10.0
    turns.committed("u2", 3.0)
    assert turns.deadline() == 13.0
    turns.speech_started(4.0)
    turns.speech_stopped(6.0)
    assert turns.deadline() == 16.0


def test_a_user_who_speaks_is_waited_for_with_patience() -> None:
    """From the onset, however often it is told; other events do not move it."""
    turns = turns_of("u1")
    turns.speech_started(2.0)
    turns.speech_started(9.0)
    turns.extend(9.5)
    turns.not_answered("r1", 9.5)
    assert turns.deadline() == 32.0
    turns.hush()
    turns.extend(32.0)
    assert (turns.speaking_since, turns.yields_until, turns.deadline()) == (None, None, 42.0)


@pytest.mark.parametrize(("stopped_at", "yields_until"), [(3.0, 3.3), (6.0, 6.3), (6.9, 7.0), (9.0, 7.0)])
def test_a_reply_that_is_ready_waits_for_the_user_within_a_bound(stopped_at: float, yields_until: float) -> None:
    """Until the turn is told that the speech becomes, shortly after its end; never longer than the hold."""
    turns = UserTurns(SETTINGS)
    turns.speech_started(2.0)
    assert holds(turns) == (2.0, 7.0)
    turns.speech_stopped(stopped_at)
    assert turns.yields_until == pytest.approx(yields_until)
    turns.committed("u1", stopped_at + 0.1)
    assert holds(turns) == (None, None)


@pytest.mark.parametrize("wrong", ["reply_s", "patience_s", "yield_s"])
def test_a_user_has_to_be_given_some_time(wrong: str) -> None:
    """Zero would give up at once."""
    with pytest.raises(ConfigError, match="must be"):
        UserTurnSettings(**{wrong: 0.0})


# --- everything together -----------------------------------------------------------------

TIMES_S = st.sampled_from([0.0, 0.1, 1.0, 5.0, 10.0, 31.0])
RESPONSES = st.integers(1, 8).map(lambda number: f"r{number}")


@attrs.define
class Known:
    """What the world knows of one turn."""

    released: bool
    response_id: str | None = None
    ends: int = 0


class UserTurnsMachine(RuleBasedStateMachine):
    """Speech, turns, replies and the clock in any order, everything told more than once."""

    @initialize()
    def begin(self) -> None:
        self.turns = UserTurns(SETTINGS)
        self.now = 0.0
        self.known: dict[str, Known] = {}
        self.begun: set[str] = set()

    def left(self) -> dict[str, Known]:
        return {item_id: turn for item_id, turn in self.known.items() if not turn.ends}

    def owned(self, response_id: str) -> dict[str, Known]:
        return {item_id: turn for item_id, turn in self.left().items() if turn.response_id == response_id}

    # --- the user ---------------------------------------------------------------------

    @rule(started=st.booleans())
    def user_makes_a_sound(self, started: bool) -> None:
        if started:
            self.turns.speech_started(self.now)
        else:
            self.turns.speech_stopped(self.now)

    @rule(later=st.booleans())
    @precondition(lambda self: len(self.known) < 60)  # all that is remembered
    def turn_is_committed(self, later: bool) -> None:
        item_id = f"u{len(self.known) + 1}"
        assert self.turns.committed(item_id, self.now, later=later)
        self.known[item_id] = Known(released=not later)

    @rule(number=st.integers(0, 59), later=st.booleans())
    @precondition(lambda self: self.known)
    def turn_is_committed_again(self, number: int, later: bool) -> None:
        before = (self.turns.open, self.turns.unsettled, self.turns.deadline(), self.turns.yields_until)
        assert not self.turns.committed(f"u{number % len(self.known) + 1}", self.now, later=later)
        assert (self.turns.open, self.turns.unsettled, self.turns.deadline(), self.turns.yields_until) == before

    @rule()
    def message_is_over(self) -> None:
        waited = [turn for turn in self.left().values() if not turn.released]
        assert self.turns.release(self.now) == bool(waited)
        for turn in waited:
            turn.released = True

    # --- replies ------------------------------------------------------------------------

    @rule(response_id=RESPONSES)
    def response_begins(self, response_id: str) -> None:
        for turn in self.left().values():
            if turn.released and turn.response_id is None and response_id not in self.begun:
                turn.response_id = response_id
        self.begun.add(response_id)
        assert self.turns.began(response_id) == tuple(self.owned(response_id))
        assert self.turns.began(response_id) == tuple(self.owned(response_id))

    @rule(response_id=RESPONSES)
    def response_is_sent(self, response_id: str) -> None:
        answered = self.owned(response_id)
        after_s = self.turns.answered(response_id, self.now)
        assert after_s is None or (answered and after_s >= 0.0)
        assert self.turns.answered(response_id, self.now) is None
        for turn in answered.values():
            turn.ends += 1

    @rule(response_id=RESPONSES)
    def response_is_cut_unheard(self, response_id: str) -> None:
        given_back = self.owned(response_id)
        before = self.turns.deadline()
        self.turns.not_answered(response_id, self.now)
        assert set(given_back) <= set(self.turns.open)
        assert given_back or self.turns.deadline() == before
        for turn in given_back.values():
            turn.response_id = None

    @rule(number=st.integers(0, 59))
    @precondition(lambda self: self.known)
    def one_is_settled(self, number: int) -> None:
        item_id = f"u{number % len(self.known) + 1}"
        expected = (item_id,) if item_id in self.left() else ()
        assert self.turns.settle(item_id) == expected
        self.known[item_id].ends += len(expected)

    @rule()
    def all_are_settled(self) -> None:
        for item_id in self.turns.settle():
            assert self.known[item_id].response_id is None
            self.known[item_id].ends += 1
        assert all(turn.response_id for turn in self.left().values() if turn.released)

    # --- time ---------------------------------------------------------------------------

    @rule(step_s=TIMES_S, gives_up=st.booleans())
    def time_passes(self, step_s: float, gives_up: bool) -> None:
        """A deadline that has passed is acted on as its owner does: begun anew, or everything is settled."""
        self.now += step_s
        deadline = self.turns.deadline()
        if deadline is None or deadline > self.now:
            return
        self.turns.hush()
        self.turns.extend(self.now)
        assert (self.turns.deadline() or self.now + 1) > self.now
        if gives_up:
            for response_id in sorted(self.begun):
                self.response_is_cut_unheard(response_id)
            self.all_are_settled()

    # --- what always holds --------------------------------------------------------------

    @invariant()
    def each_turn_has_at_most_one_end_and_is_known_until_then(self) -> None:
        assert Counter(turn.ends for turn in self.known.values()).keys() <= {0, 1}
        assert self.turns.unsettled == len(self.left())
        expected = [name for name, turn in self.left().items() if turn.released and turn.response_id is None]
        assert list(self.turns.open) == expected

    @invariant()
    def there_is_a_deadline_exactly_while_somebody_may_be_waiting(self) -> None:
        deadline = self.turns.deadline()
        speaking = self.turns.speaking_since is not None
        assert (deadline is not None) == (speaking or any(turn.released for turn in self.left().values()))
        most_s = SETTINGS.reply_s if self.turns.speaking_since is None else SETTINGS.patience_s
        assert deadline is None or deadline <= self.now + most_s

    @invariant()
    def a_reply_is_held_within_its_bound(self) -> None:
        yields_until = self.turns.yields_until
        assert yields_until is None or yields_until <= self.now + SETTINGS.yield_s
        assert self.turns.speaking_since is None or yields_until is not None

    def teardown(self) -> None:
        """Liveness: once the message is over, the deadline comes and every turn meets its end."""
        self.message_is_over()
        while (deadline := self.turns.deadline()) is not None:
            assert deadline <= self.now + SETTINGS.patience_s
            self.time_passes(max(0.0, deadline - self.now), gives_up=True)
        assert (self.turns.unsettled, {turn.ends for turn in self.known.values()} <= {1}) == (0, True)


UserTurnsMachine.TestCase.settings = examples(150, steps=40)
TestUserTurnsMachine = UserTurnsMachine.TestCase
