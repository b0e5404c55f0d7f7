"""The floor: one table, no state without a way on."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicecore.turns.floor import NEXT_FLOOR, Floor, FloorMachine, Move


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


@pytest.mark.parametrize(
    ("moves", "states"),
    [
        (
            [Move.USER_SPOKE, Move.USER_DONE, Move.AGENT_AUDIBLE, Move.AGENT_PLAYED],
            [Floor.USER, Floor.THINKING, Floor.AGENT, Floor.USER],
        ),
        ([Move.AGENT_AUDIBLE, Move.PENDING, Move.DISMISSED], [Floor.AGENT, Floor.UNDECIDED, Floor.AGENT]),
        ([Move.AGENT_AUDIBLE, Move.PENDING, Move.BARGED_IN], [Floor.AGENT, Floor.UNDECIDED, Floor.USER]),
        ([Move.AGENT_AUDIBLE, Move.PENDING, Move.AGENT_PLAYED], [Floor.AGENT, Floor.UNDECIDED, Floor.USER]),
        ([Move.AGENT_AUDIBLE, Move.PENDING, Move.USER_DONE], [Floor.AGENT, Floor.UNDECIDED, Floor.UNDECIDED]),
        ([Move.USER_DONE, Move.USER_SPOKE, Move.USER_DONE], [Floor.THINKING, Floor.USER, Floor.THINKING]),
        ([Move.USER_DONE, Move.NO_REPLY], [Floor.THINKING, Floor.USER]),
    ],
)
def test_the_plain_ways_through_a_turn(moves: list[Move], states: list[Floor]) -> None:
    """User, thinking, agent; a doubt that is declined, confirmed, overtaken; a cough; no reply."""
    floor = FloorMachine(Floor.USER)
    seen = []
    for move in moves:
        floor.handle(move)
        seen.append(floor.state)
    assert seen == states


def test_only_the_fate_of_the_message_ends_the_greeting() -> None:
    """Speech, turns and lost replies meanwhile leave the floor with the message."""
    floor = FloorMachine(Floor.USER)
    floor.handle(Move.MESSAGE_DUE)
    for move in set(Move) - {Move.MESSAGE_OVER, Move.ENDED}:
        floor.handle(move)
        assert floor.state is Floor.GREETING
    floor.handle(Move.MESSAGE_OVER)
    assert floor.state is Floor.USER


@given(st.lists(st.sampled_from(Move), max_size=30))
def test_doubt_is_only_ever_about_an_agent_who_speaks(moves: list[Move]) -> None:
    """A state of doubt begins with the agent's words, and does not outlast them."""
    floor = FloorMachine(Floor.USER)
    for move in moves:
        before = floor.state
        floor.handle(move)
        if floor.state is Floor.UNDECIDED:
            assert before in {Floor.AGENT, Floor.UNDECIDED}
        if move is Move.AGENT_PLAYED:
            assert floor.state is not Floor.UNDECIDED
