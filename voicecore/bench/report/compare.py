"""A run next to an earlier one: each figure of each table, as a ratio to the earlier figure.

Rows are matched by their first columns: as few of them as identify the rows of a table.
Figures are the columns after those; names and counts before them are not compared.

Rule: differences between the runs themselves (machine, plan, measurements) are printed
first: a ratio across them says nothing about the code.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import orjson

from voicecore.bench.report.result import Column, Plan, Result, Value
from voicecore.bench.report.tables import as_text, machine, plan_of

_ABOUT = """\
New figure divided by the old one: 1 is no change, — is nothing to compare. Two runs of the same code differ by 10 %,
and by more when other processes are busy."""


@attrs.frozen
class Earlier:
    """An earlier run, read from its file."""

    name: str
    machine: Mapping[str, Any]
    plan: Mapping[str, Any]
    results: Sequence[Result]


def read_earlier(path: Path) -> Earlier:
    """Read what an earlier run wrote with `--json`.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is not such a file.
    """
    try:
        kept = orjson.loads(path.read_bytes())
        results = [_result(each) for each in kept["results"]]
        return Earlier(path.name, dict(kept["machine"]), dict(kept["plan"]), results)
    except (KeyError, TypeError, orjson.JSONDecodeError) as error:
        raise ValueError(f"{path.name} was not written by --json") from error


def comparison(earlier: Earlier, plan: Plan, results: Sequence[Result]) -> str:
    """Return the comparison as text."""
    lines = [f"compared with {earlier.name}", "", _ABOUT]
    lines += _differences("machine", earlier.machine, machine())
    lines += _differences("plan", earlier.plan, plan_of(plan))
    by_name = {result.name: result for result in earlier.results}
    for result in results:
        if result.name in by_name:
            lines += ["", *_compared(by_name[result.name], result)]
        else:
            lines += ["", f"{result.name}: not in the earlier run"]
    return "\n".join(lines) + "\n"


def _differences(what: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line for each difference."""
    for key in sorted({*old, *new}):
        before, now = _plain(old.get(key)), _plain(new.get(key))
        if before != now:
            yield f"{what}, {key}: {before} → {now}"


def _plain(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, Sequence) and not isinstance(value, str) else str(value)


def _compared(old: Result, new: Result) -> Iterator[str]:
    keys = max(_keys(old), _keys(new))
    before = {_key(row, keys): row for row in old.rows}
    now = {_key(row, keys): row for row in new.rows}
    figures = [column.name for column in new.columns[keys:]]
    ratios = [
        {**dict(list(row.items())[:keys]), **{name: _ratio(before[key].get(name), row[name]) for name in figures}}
        for key, row in now.items()
        if key in before
    ]
    compared = [name for name in figures if any(row[name] is not None for row in ratios)]
    if compared:
        names = [column.name for column in new.columns[:keys]] + compared
        columns = [*new.columns[:keys], *(Column(name, "×") for name in compared)]
        rows = [{name: row[name] for name in names} for row in ratios]
        yield as_text(Result(name=new.name, about="", columns=columns, rows=rows)).rstrip()
    yield from (f"{new.name}: {' '.join(map(str, key))} is new" for key in now if key not in before)
    yield from (f"{new.name}: {' '.join(map(str, key))} is missing" for key in before if key not in now)


def _keys(result: Result) -> int:
    """Return how many first columns identify the rows."""
    for count in range(1, len(result.columns)):
        if len({_key(row, count) for row in result.rows}) == len(result.rows):
            return count
    return len(result.columns)


def _key(row: Mapping[str, Value], count: int) -> tuple[Value, ...]:
    return tuple(row.values())[:count]


def _ratio(old: Value, new: Value) -> Value:
    """Return the new figure divided by the old one; both as text, where that is not a number."""
    if isinstance(old, str) or isinstance(new, str) or old is None or new is None:
        return None if old == new else f"{old} → {new}"
    if old == new:
        return 1.0
    return new / old if old > 0 and new >= 0 else f"{old:.3g} → {new:.3g}"


def _result(kept: Mapping[str, Any]) -> Result:
    columns = [Column(column["name"], column["unit"]) for column in kept["columns"]]
    return Result(name=kept["name"], about=kept["about"], columns=columns, rows=[dict(row) for row in kept["rows"]])
