"""Results for people and for programs.

text: a table under a name, units in its head, what it means below
JSON: {"machine": {…}, "plan": {…}, "results": [{"name", "about", "columns", "rows"}]}
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Mapping, Sequence

import attrs
import orjson

from voicecore.bench.report.result import Plan, Result, Value

_LIBRARIES = ("trio", "trio-websocket", "orjson", "numpy")


def machine() -> Mapping[str, str | int]:
    """Return what the figures depend on."""
    libraries = {name: importlib.metadata.version(name) for name in _LIBRARIES}
    return {
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "processors": os.cpu_count() or 1,
        "system": f"{platform.system()} {platform.machine()}",
        **libraries,
    }


def plan_of(plan: Plan) -> Mapping[str, object]:
    """Return a run's plan as JSON values."""
    return {**attrs.asdict(plan), "size": plan.size.value}


def machine_line() -> str:
    """Return the machine in a line."""
    described = dict(machine())
    head = f"{described.pop('python')}, {described.pop('processors')} processors, {described.pop('system')}"
    return ", ".join([head, *(f"{name} {version}" for name, version in described.items())])


def as_text(result: Result) -> str:
    """Return one table."""
    heads = [column.name for column in result.columns]
    units = [column.unit for column in result.columns]
    body = [[shown(value) for value in row.values()] for row in result.rows]
    widths = [max(map(len, column)) for column in zip(heads, units, *body, strict=True)]
    texts = [any(isinstance(value, str) for value in column) for column in zip(*_values(result), strict=True)]
    lines = [_line(row, widths, texts) for row in (heads, units, *body)]
    return "\n".join([result.name, "", *lines, "", result.about, ""])


def as_json(plan: Plan, results: Sequence[Result]) -> bytes:
    """Return everything as one JSON object."""
    return orjson.dumps(
        {
            "machine": machine(),
            "plan": plan_of(plan),
            "results": [
                {
                    "name": result.name,
                    "about": result.about,
                    "columns": [attrs.asdict(column) for column in result.columns],
                    "rows": result.rows,
                }
                for result in results
            ],
        },
        option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE,
    )


def _values(result: Result) -> Sequence[Sequence[Value]]:
    return [list(row.values()) for row in result.rows]


def _line(cells: Sequence[str], widths: Sequence[int], texts: Sequence[bool]) -> str:
    """Align text to the left, numbers to the right."""
    aligned = [
        cell.ljust(width) if is_text else cell.rjust(width)
        for cell, width, is_text in zip(cells, widths, texts, strict=True)
    ]
    return "  ".join(aligned).rstrip()


def shown(value: Value) -> str:
    """Return a cell as people read it: three significant digits."""
    if value is None:
        return "—"
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
    return str(value)
