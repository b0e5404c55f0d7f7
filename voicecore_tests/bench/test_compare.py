"""A comparison of two runs: rows find each other, ratios are of the figures, and what else differs is said."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from voicecore.bench.report.compare import Earlier, comparison, read_earlier
from voicecore.bench.report.result import SMALL, Column, Result, Value
from voicecore.bench.report.tables import as_json, machine, plan_of

COLUMNS = (Column("calls"), Column("through"), Column("CPU", "ms"), Column("lost"), Column("note"))


def table(*rows: tuple[Value, ...], name: str = "cost") -> Result:
    names = [column.name for column in COLUMNS]
    return Result(name=name, about="", columns=COLUMNS, rows=[dict(zip(names, row, strict=True)) for row in rows])


def earlier(*results: Result, **machine_is: object) -> Earlier:
    return Earlier("old.json", {**machine(), **machine_is}, plan_of(SMALL), results)


def cells(text: str, beginning: str) -> list[str]:
    return next(line for line in text.splitlines() if line.startswith(beginning)).split()


def test_rows_are_matched_by_as_few_first_columns_as_tell_them_apart() -> None:
    """The order of the rows does not matter."""
    old = table((1, "engine", 10.0, 0, "a"), (1, "relay", 5.0, 0, "b"))
    new = table((1, "relay", 10.0, 0, "b"), (1, "engine", 5.0, 0, "a"))
    text = comparison(earlier(old), SMALL, [new])
    assert cells(text, "    1  relay")[:4] == ["1", "relay", "2.00", "1.00"]
    assert cells(text, "    1  engine")[:4] == ["1", "engine", "0.50", "1.00"]
    assert "note" not in text  # a column of texts that are the same says nothing


def test_where_there_is_no_ratio_both_figures_are_shown() -> None:
    """From nothing to something, from a figure to none, from one word to another."""
    old = table((1, "engine", 0.0, None, "calm"), (2, "engine", -1.0, 3, "calm"))
    new = table((1, "engine", 2.0, 1, "calm"), (2, "engine", 1.0, None, "busy"))
    text = comparison(earlier(old), SMALL, [new])
    for told in ("0 → 2", "None → 1", "-1 → 1", "3 → None", "calm → busy"):
        assert told in text


def test_rows_and_tables_of_one_run_only_are_named() -> None:
    """Nothing is compared with nothing."""
    old, new = table((1, "engine", 1.0, 0, "")), table((50, "engine", 1.0, 0, ""))
    text = comparison(earlier(old), SMALL, [new, table(name="delay")])
    assert "cost: 50 is new" in text
    assert "cost: 1 is missing" in text
    assert "delay: not in the earlier run" in text


def test_another_machine_and_another_plan_are_said_first() -> None:
    """A ratio across them says nothing about the code."""
    old = earlier(table((1, "engine", 1.0, 0, "")), processors=64)
    text = comparison(old, SMALL, [table((1, "engine", 1.0, 0, ""))])
    assert f"machine, processors: 64 → {machine()['processors']}" in text.splitlines()
    assert "plan," not in text


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    """A run compared with itself has not changed."""
    path, result = tmp_path / "run.json", table((1, "engine", 3.0, 0, "x"))
    path.write_bytes(as_json(SMALL, [result]))
    text = comparison(read_earlier(path), SMALL, [result])
    assert "machine," not in text
    assert "plan," not in text
    assert cells(text, "    1  1.00") or cells(text, "    1")[1:] == ["—", "1.00", "1.00"]


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"machine": {}, "plan": {}, "results": [{}]}', b"null"])
def test_another_file_is_refused(tmp_path: Path, content: bytes) -> None:
    """By a plain error, whatever is in it."""
    path = tmp_path / "other.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="not written by --json"):
        read_earlier(path)


def test_a_row_that_lacks_a_column_is_refused(tmp_path: Path) -> None:
    """Half a table is none."""
    path, kept = tmp_path / "run.json", orjson.loads(as_json(SMALL, [table((1, "engine", 3.0, 0, "x"))]))
    del kept["results"][0]["rows"][0]["CPU"]
    path.write_bytes(orjson.dumps(kept))
    with pytest.raises(ValueError, match="a row of cost"):
        read_earlier(path)
