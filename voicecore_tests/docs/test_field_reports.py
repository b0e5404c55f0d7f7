"""The table of field reports names tests and abilities of the twins that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from voicecore.simulation import openai_realtime, twilio
from voicecore.simulation.openai_realtime.behaviour import ResponseFault, Transcribing
from voicecore.simulation.openai_realtime.rewrites import READY_MADE
from voicecore.simulation.twilio import faults
from voicecore.simulation.twilio.line import Line
from voicecore_tests.code_rules.packages import REPOSITORY

ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (REPOSITORY / "docs" / "field-reports.md").read_text().splitlines()
    if line.startswith("| ") and not line.startswith(("| what", "| ---"))
]
HOMES = {**vars(openai_realtime), **vars(twilio), **vars(faults)}
HOMES |= {"Line": Line, "ResponseFault": ResponseFault, "Transcribing": Transcribing, "READY_MADE": READY_MADE}


def test_the_table_has_rows() -> None:
    """Thirty-five reports at least, none twice."""
    assert len(ROWS) >= 35
    assert len({row[0] for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_every_row_names_a_test_and_an_ability_that_exist(row: list[str]) -> None:
    """By file and function; by class and field."""
    _, _, twin, test = row
    path, _, function = test.strip("`").partition("::")
    source = Path(REPOSITORY / "voicecore_tests" / path).read_text()
    assert not function or f"def {function}(" in source
    assert all(f'"{name}"' in repr(sorted(READY_MADE)).replace("'", '"') for name in re.findall(r'"([^"]+)"', twin))
    for name, field in re.findall(r"`(\w+)(?:\.(\w+))?`", twin):
        assert name in HOMES, name
        known = {*dir(HOMES[name]), *getattr(HOMES[name], "__annotations__", {}), *_set_in_init(HOMES[name])}
        assert not field or field in known, f"{name}.{field}"


def _set_in_init(home: object) -> tuple[str, ...]:
    code = getattr(getattr(home, "__init__", None), "__code__", None)
    return code.co_names if code is not None else ()
