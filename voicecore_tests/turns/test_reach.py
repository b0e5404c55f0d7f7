"""Machines speak to each other in verbs: none reaches through one of them for a part of it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from voicecore import turns

FILES = sorted(Path(turns.__file__).parent.rglob("*.py"))
PARTS = frozenset({"speech", "_speech", "responses", "transcript", "playout", "taking"})
"""Parts with parts of their own, or with state that only they may read and change."""
WITHIN = frozenset({"replies", "interruptions", "turns", "recovery", "dropped_bytes"})
"""What they hand out on purpose: the halves of turn taking, read-only questions, and counts."""


def reaches(source: str) -> Iterator[str]:
    """Yield the expressions ``a.part.b.c`` in which somebody goes through a part to something of it."""
    for node in ast.walk(ast.parse(source)):
        if not (isinstance(node, ast.Attribute) and isinstance(node.value, ast.Attribute)):
            continue
        part = node.value.value
        name = part.attr if isinstance(part, ast.Attribute) else ""
        if name in PARTS and node.value.attr not in WITHIN:
            yield ast.unparse(node)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_nobody_reaches_through_a_machine(path: Path) -> None:
    """``self.speech.responses.phase`` would tie its reader to how the agent's speech is made."""
    assert list(reaches(path.read_text())) == []


def test_a_reach_is_found() -> None:
    """Through one part to another, and not where a verb is called."""
    source = "self.speech.responses.phase\nself._speech.transcript.text(x)\nself.speech.running\nself.taking.turns.open"
    assert list(reaches(source)) == ["self.speech.responses.phase", "self._speech.transcript.text"]
