"""The tables of states, drawn from the code into docs/states.md by `make docs`.

A table of moves is a mapping: state to move to next state.  A move that a row
does not have is not legal in that state, and the machine asks before it makes one.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from voicecore.turns.agent_items import NEXT_ITEM_STAGE
from voicecore.turns.first_message.message import NEXT_MESSAGE_PHASE
from voicecore.turns.first_message.protection import Protection
from voicecore.turns.recovery import NEXT_RECOVERY
from voicecore.turns.tool_calls import NEXT_CALLING
from voicecore.turns.waiting_sound import NEXT_WAIT_PHASE

STATES = Path(__file__).parents[2] / "docs" / "states.md"
_HEAD = """# States

Written by `make docs` from the tables in the code. Rows are states, columns are moves, a cell is the next state. "·" is
a move that changes nothing, "—" one that is not made in this state.
"""
_DECISIONS_HEAD = "Rows are moments, columns what is known then, a cell is what is done."


@attrs.frozen
class MoveTable:
    """One machine's table of moves."""

    title: str
    module: str
    rows: Mapping[Any, Mapping[Any, Any]]


MOVE_TABLES = (
    MoveTable("An item of the agent", "turns/agent_items.py", NEXT_ITEM_STAGE),
    MoveTable("A message that must be heard", "turns/first_message/message.py", NEXT_MESSAGE_PHASE),
    MoveTable("Replies, where one may not come", "turns/recovery.py", NEXT_RECOVERY),
    MoveTable("Tool calls of a response", "turns/tool_calls.py", NEXT_CALLING),
    MoveTable("The user's wait for the agent", "turns/waiting_sound.py", NEXT_WAIT_PHASE),
)


def written_states() -> str:
    """Return the text of docs/states.md."""
    parts = ["\n".join([_title(table.title, table.module), *_moves(table.rows), ""]) for table in MOVE_TABLES]
    title = _title("User audio that is buffered when its protection ends", "turns/first_message/protection.py")
    decisions = "\n".join([title, _DECISIONS_HEAD, "", *_decisions(Protection.WHILE_IT_PLAYS), ""])
    return "\n".join([_HEAD, *parts, decisions])


def _title(title: str, module: str) -> str:
    return f"## {title}\n\n`voicecore/{module}`\n"


def _moves(rows: Mapping[Any, Mapping[Any, Any]]) -> Iterable[str]:
    first: enum.Enum = next(move for row in rows.values() for move in row)
    moves = list(type(first))
    yield from _table_head([""] + [_word(move) for move in moves])
    for state, row in rows.items():
        cells = [_next(state, row.get(move)) for move in moves]
        yield _line([f"**{_word(state)}**", *cells])


def _next(state: enum.Enum, following: enum.Enum | None) -> str:
    if following is None:
        return "—"
    return "·" if following is state else _word(following)


def _decisions(table: Mapping[tuple[Any, Any], Any]) -> Iterable[str]:
    moments = list(dict.fromkeys(moment for moment, _ in table))
    knowns = list(dict.fromkeys(known for _, known in table))
    yield from _table_head([""] + [_word(known) for known in knowns])
    for moment in moments:
        done = [table[moment, known].__name__.strip("_").replace("_", " ") for known in knowns]
        yield _line([f"**{_word(moment)}**", *done])


def _table_head(columns: Sequence[str]) -> Iterable[str]:
    yield _line(columns)
    yield _line(["---"] * len(columns))


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _word(member: enum.Enum) -> str:
    return str(member.value)


if __name__ == "__main__":
    STATES.write_text(written_states())
