"""The floor: one table, no state without a way on."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicecore.turns.floor import NEXT_FLOOR, Floor, FloorMachine, FloorSettings, Move

MOVES = st.lists(st.tuples(st.sampled_from(Move), st.sampled_from([0.0, 0.02, 9.98, 10.0, 10.02])), max_size=30)


def test_every_pair_of_state_and_move_is_listed() -> None:
    """Nothing can happen to the floor that the table does not answer."""
    assert set(NEXT_FLOOR) == set(Floor)
    assert all(set(moves) == set(Move) for moves in NEXT_FLOOR.values())


def test_over_absorbs_everything() -> None:
    """After the end no move brings the call back."""
    assert set(NEXT_FLOOR[Floor.OVER].values()) == {Floor.OVER}


def test_every_state_can_reach_over() -> None:
    """The end of a call is legal at every moment."""
    assert all(moves[Move.ENDED] is Floor.OVER for moves in NEXT_FLOOR.values())


def test_a_turn_goes_from_the_caller_through_thinking_to_the_agent_and_back() -> None:
    """The plain order of a turn."""
    floor = FloorMachine(Floor.CALLER)
    seen = []
    for move in (Move.CALLER_SPOKE, Move.CALLER_DONE, Move.AGENT_AUDIBLE, Move.AGENT_PLAYED):
        floor.handle(move, 1.0)
        seen.append(floor.state)
    assert seen == [Floor.CALLER, Floor.THINKING, Floor.AGENT, Floor.CALLER]


def test_d22_a_cough_while_the_agent_thinks_gives_the_floor_back_to_the_caller() -> None:
    """The turn that follows the cough gets a deadline of its own."""
    floor = FloorMachine(Floor.CALLER, FloorSettings(reply_s=5.0))
    floor.handle(Move.CALLER_DONE, 1.0)
    floor.handle(Move.CALLER_SPOKE, 1.3)
    assert (floor.state, floor.deadline()) == (Floor.CALLER, None)
    floor.handle(Move.CALLER_DONE, 1.5)
    assert (floor.state, floor.deadline()) == (Floor.THINKING, 6.5)


@pytest.mark.parametrize("first", [Floor.GREETING, Floor.CALLER])
def test_no_deadline_runs_before_speech_was_asked_for(first: Floor) -> None:
    """Opening a session has its own bound; the floor's clock starts when it is told to."""
    assert FloorMachine(first).deadline() is None


def test_only_the_fate_of_the_message_ends_the_greeting() -> None:
    """Speech, turns and lost replies meanwhile leave the floor with the message."""
    floor = FloorMachine(Floor.CALLER)
    floor.handle(Move.MESSAGE_DUE, 1.0)
    for move in set(Move) - {Move.MESSAGE_OVER, Move.ENDED}:
        floor.handle(move, 2.0)
        assert floor.state is Floor.GREETING
    floor.handle(Move.MESSAGE_OVER, 3.0)
    assert floor.state is Floor.CALLER


@given(MOVES)
def test_the_agents_silence_is_bounded_in_every_order_of_moves(moves: list[tuple[Move, float]]) -> None:
    """D22: wherever it is the agent's turn to speak, a deadline runs; nowhere else one does."""
    floor, now = FloorMachine(Floor.CALLER), 0.0
    for move, wait_s in moves:
        now += wait_s
        floor.handle(move, now)
        deadline = floor.deadline()
        if floor.state is Floor.THINKING:
            assert deadline is not None
            assert deadline > now - 1e9
        else:
            assert deadline is None
