"""The catalogue of races: every entry that is claimed to be survived has a test named after it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
_NAMED = re.compile(r"def (test(?:_[a-z]{1,2}\d+)+)_")

CLAIMED = (
    *(f"a{n}" for n in range(1, 18)),  # parking and adopting
    *(f"b{n}" for n in range(1, 21)),  # the first message
    *(f"c{n}" for n in range(1, 22)),  # playout, marks, heard
    *(f"d{n}" for n in range(1, 25)),  # barge-in and turn taking
    *(f"e{n}" for n in range(1, 11)),  # turn and metric accounting
    *("f1", "f2", "f3", "f4", "f5", "f6", "f7", "f8", "f9", "f10", "f11", "f14", "f28"),  # dialling, statuses, machines
)


def named() -> set[str]:
    """Return every id that a test's name begins with."""
    text = "\n".join(path.read_text() for path in TESTS.rglob("test_*.py"))
    return {race for name in _NAMED.findall(text) for race in name.split("_")[1:]}


@pytest.mark.parametrize("race", CLAIMED)
def test_a_race_that_is_claimed_has_its_test(race: str) -> None:
    """Search docs/races.md for the id to find what must hold."""
    assert race in named()
