"""The states of a call: forward only, one ending, and no impossible move without an error."""

from __future__ import annotations

import itertools

import pytest
import trio
from trio.testing import MockClock

from voicecore.engine.call_state import (
    AWAITS_MEDIA,
    HAS_ENDED,
    HAS_STOPPED,
    MEDIA_RELEASED,
    NEXT_CALL_STATE,
    CallMove,
    CallProgress,
    CallState,
)
from voicecore.engine.ending import Ending
from voicecore.errors import LocalProtocolError
from voicecore.facts import EndCause

BY_OTHERS = (CallMove.QUEUED, CallMove.RANG, CallMove.ANSWERED)
EVERY_PAIR = list(itertools.product(CallState, CallMove))


def make(progress: CallProgress, move: CallMove) -> bool:
    return progress.end(Ending(EndCause.HUNG_UP, "", 1.0)) if move is CallMove.END else progress.move(move)


@pytest.mark.parametrize(("state", "move"), EVERY_PAIR)
def test_every_pair_is_in_the_table_or_raises(state: CallState, move: CallMove) -> None:
    """And a move that raises changes nothing."""
    progress = CallProgress(state)
    after = NEXT_CALL_STATE[state].get(move)
    if after is None:
        with pytest.raises(LocalProtocolError, match=state.value):
            make(progress, move)
        assert (progress.state, progress.ending) == (state, None)
    else:
        assert make(progress, move) is (after is not state)
        assert progress.state is after


def test_states_go_forward_only() -> None:
    """In the order in which they are listed."""
    places = list(CallState)
    for state, moves in NEXT_CALL_STATE.items():
        assert all(places.index(after) >= places.index(state) for after in moves.values())


@pytest.mark.parametrize("state", CallState)
def test_whatever_others_may_say_late_is_possible_in_every_state(state: CallState) -> None:
    """A carrier's statuses, and a cause of the end, wherever the call is."""
    assert {*BY_OTHERS, CallMove.END} <= set(NEXT_CALL_STATE[state])


def test_every_state_is_reached_from_where_calls_begin_and_reaches_the_end() -> None:
    """No state is unused, and none is a dead end but the last."""
    reached, new = set[CallState](), {CallState.ANNOUNCED, CallState.DIALLING}
    while new:
        reached |= new
        new = {after for state in new for after in NEXT_CALL_STATE[state].values()} - reached
    assert reached == set(CallState)
    dead_ends = {state for state, moves in NEXT_CALL_STATE.items() if set(moves.values()) <= {state}}
    assert dead_ends == {CallState.FILED}


def test_the_groups_of_states_contain_each_other() -> None:
    """What has stopped has released its media, and what has released them has ended."""
    assert HAS_STOPPED < MEDIA_RELEASED < HAS_ENDED
    assert set(CallState) == AWAITS_MEDIA | {CallState.LIVE} | HAS_ENDED


def test_the_first_ending_stands() -> None:
    """Also when another one comes in the last state of all."""
    progress = CallProgress(CallState.LIVE)
    first = Ending(EndCause.REMOTE_HUNG_UP, "", 1.0)
    assert progress.end(first)
    for move in (CallMove.MEDIA_RELEASED, CallMove.STOPPED, CallMove.FILED):
        assert not progress.end(Ending(EndCause.SHUT_DOWN, "", 2.0))
        progress.move(move)
    assert not progress.end(Ending(EndCause.SHUT_DOWN, "", 3.0))
    assert (progress.ending, progress.state) == (first, CallState.FILED)


def test_there_is_no_end_without_a_cause() -> None:
    """The ending is there exactly when the state says so."""
    progress = CallProgress(CallState.LIVE)
    with pytest.raises(LocalProtocolError, match="cause"):
        progress.move(CallMove.END)
    assert not progress.has_ended


def test_what_a_peer_wrote_is_printable_in_an_ending() -> None:
    """And bounded."""
    ending = Ending(EndCause.DIAL_REFUSED, "no\n" + "x" * 1000, 1.0)
    assert "\n" not in ending.detail
    assert len(ending.detail) < 520


async def test_whoever_waits_for_a_state_sees_it_however_fast_it_is_left(autojump_clock: MockClock) -> None:
    """Waiting is for any of several states: those behind it count too."""
    progress = CallProgress(CallState.LIVE)
    seen: list[CallState] = []

    async def wait() -> None:
        await progress.wait_for(MEDIA_RELEASED)
        seen.append(progress.state)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        progress.end(Ending(EndCause.HUNG_UP, "", 1.0))
        await trio.testing.wait_all_tasks_blocked()
        assert seen == []
        progress.move(CallMove.MEDIA_RELEASED)
        progress.move(CallMove.STOPPED)
    await wait()
    assert seen == [CallState.ENDED, CallState.ENDED]
