"""The table of a connection's states."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicecore.net.websocket.states import AWAITS_PEER, NEXT_STATE, ConnectionState, Move, State
from voicecore_tests.chance import examples

pytestmark = pytest.mark.own_transport("no connection in it")

moves = st.lists(st.sampled_from([move for move in Move if move is not Move.OPENED]), max_size=8)


def test_every_state_can_be_cut_and_closed() -> None:
    """Whatever has happened, an owner can always leave."""
    for state, row in NEXT_STATE.items():
        assert row[Move.CUT] is State.CLOSED, state
        assert Move.CLOSE in row, state


def test_every_state_can_be_reached() -> None:
    """From the first one on."""
    reached, todo = set[State](), {State.CONNECTING}
    while todo:
        state = todo.pop()
        reached.add(state)
        todo |= set(NEXT_STATE[state].values()) - reached
    assert reached == set(State)


def test_a_connection_opens_once() -> None:
    """A second time is a bug, and shows."""
    state = ConnectionState()
    state.move(Move.OPENED)
    with pytest.raises(KeyError):
        state.move(Move.OPENED)


@examples(200)
@given(moves)
def test_an_open_connection_takes_any_moves_and_sends_one_close_frame(moves: list[Move]) -> None:
    """What was once impossible stays so: sending, receiving, the close frame."""
    state = ConnectionState()
    state.move(Move.OPENED)
    closes = 0
    for move in moves:
        could_send, was_over, could_close = state.may_send, state.is_over, state.may_send_close
        state.move(move)
        closes += could_close and move in {Move.CLOSE, Move.PEER_CLOSED, Move.PEER_FAULT}
        assert could_send or not state.may_send
        assert not (was_over and not state.is_over)
        assert could_close or not state.may_send_close
        assert not (state.may_send and state.is_over)
        assert state.now not in AWAITS_PEER or closes == 1
    assert closes <= 1
