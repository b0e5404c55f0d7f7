"""The tables of states: whole, and drawn into the documentation as they are in the code."""

from __future__ import annotations

import enum

import pytest

from voicecore_tests.code_rules.states import MOVE_TABLES, STATES, MoveTable, written_states


def test_the_document_is_up_to_date() -> None:
    """After a change of a table, run `make docs`."""
    assert STATES.read_text() == written_states()


@pytest.mark.parametrize("table", MOVE_TABLES, ids=lambda table: table.module)
def test_every_state_has_a_row_and_can_be_reached(table: MoveTable) -> None:
    """A state that no row leads to is dead; the first one is where the machine begins."""
    first: enum.Enum = next(iter(table.rows))
    states = list(type(first))
    assert list(table.rows) == states
    reached = {states[0]} | {following for row in table.rows.values() for following in row.values()}
    assert reached == set(states)


def test_a_move_that_is_not_legal_is_drawn_as_one() -> None:
    """A message that is over makes no move."""
    assert "| **over** | — | — | — | — | — |" in written_states()
