"""Figures as bars: one panel per figure, one bar per row, its higher percentile as a thin line after it.

Rule: the figures drawn are the table's own, written next to each bar; a figure that a
table does not have leaves its panel out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from voicecore.bench.report.canvas import BLUE, FAINT, GREEN, GRID, RED, Canvas
from voicecore.bench.report.result import Result, Value
from voicecore.bench.report.tables import shown

_WIDTH, _MARGIN, _LABELS, _VALUES = 1000, 24, 300, 150
_TOP, _HEAD, _BAR, _ROW, _GAP = 48, 30, 14, 22, 20
_COLOURS = (GREEN, BLUE, RED)


@attrs.frozen
class Panel:
    """One figure of one table."""

    table: str
    figure: str
    """The column of the bars."""
    beyond: str | None = None
    """The column of the thin line: a higher percentile of the same."""
    names: int = 1
    """How many first columns name a bar; the last of them has its colour, where there are more."""


@attrs.frozen
class _Bar:
    label: str
    colour: str
    value: float
    beyond: float | None


@attrs.frozen
class _Bars:
    title: str
    bars: Sequence[_Bar]

    @property
    def most(self) -> float:
        return max(max(bar.value, bar.beyond or 0.0) for bar in self.bars) or 1.0

    @property
    def height(self) -> int:
        return _HEAD + _ROW * len(self.bars) + _GAP


def chart_svg(title: str, panels: Sequence[Panel], results: Sequence[Result]) -> str:
    """Return the panels below each other, as SVG text."""
    tables = {result.name: result for result in results}
    found = [_bars(panel, tables[panel.table]) for panel in panels if panel.table in tables]
    drawn = [each for each in found if each.bars]
    canvas = Canvas(_WIDTH, _TOP + sum(each.height for each in drawn))
    canvas.text(_MARGIN, 30, title, size=18, weight="bold")
    top = _TOP
    for each in drawn:
        _draw(canvas, each, top)
        top += each.height
    return canvas.svg()


def _bars(panel: Panel, table: Result) -> _Bars:
    colours = _colours([_last_name(row, panel) for row in table.rows]) if panel.names > 1 else {}
    bars = [
        _Bar(_label(row, panel, table), colours.get(_last_name(row, panel), GREEN), value, _number(row, panel.beyond))
        for row in table.rows
        if (value := _number(row, panel.figure)) is not None
    ]
    unit = next((column.unit for column in table.columns if column.name == panel.figure), "")
    beyond = f", and {panel.beyond}" if panel.beyond is not None else ""
    return _Bars(f"{table.name}: {panel.figure}{beyond}{f' ({unit})' if unit else ''}", bars)


def _label(row: Mapping[str, Value], panel: Panel, table: Result) -> str:
    names = list(row.items())[: panel.names]
    units = {column.name: column.unit for column in table.columns}
    return ", ".join(_named(name, value, units[name]) for name, value in names)


def _named(name: str, value: Value, unit: str) -> str:
    """Return a number with its unit or noun; a text stays as it is."""
    if isinstance(value, str):
        return value
    return f"{shown(value)} {unit or (name.removesuffix('s') if value == 1 else name)}"


def _last_name(row: Mapping[str, Value], panel: Panel) -> Value:
    return list(row.values())[panel.names - 1]


def _colours(names: Sequence[Value]) -> Mapping[Value, str]:
    kinds = list(dict.fromkeys(names))
    return dict(zip(kinds, _COLOURS, strict=False)) if len(kinds) <= len(_COLOURS) else {}


def _number(row: Mapping[str, Value], name: str | None) -> float | None:
    value = row.get(name) if name is not None else None
    return None if value is None or isinstance(value, str) else max(0.0, float(value))


def _draw(canvas: Canvas, bars: _Bars, top: float) -> None:
    canvas.text(_MARGIN, top + 18, bars.title, size=13, weight="bold")
    left, room = _MARGIN + _LABELS, _WIDTH - 2 * _MARGIN - _LABELS - _VALUES
    bottom = top + _HEAD + _ROW * len(bars.bars)
    canvas.line((left, top + _HEAD - 4), (left, bottom), GRID)
    for number, bar in enumerate(bars.bars):
        middle = top + _HEAD + number * _ROW + _ROW / 2
        end = left + room * bar.value / bars.most
        upper, lower = middle - _BAR / 2, middle + _BAR / 2
        canvas.text(left - 8, middle + 4, bar.label, size=12, anchor="end")
        canvas.polygon([(left, upper), (end, upper), (end, lower), (left, lower)], bar.colour, opacity="0.75")
        far, label = end, shown(bar.value)
        if bar.beyond is not None:
            far = max(end, left + room * bar.beyond / bars.most)
            label += f" – {shown(bar.beyond)}"
            canvas.line((end, middle), (far, middle), bar.colour)
            canvas.line((far, upper + 2), (far, lower - 2), bar.colour)
        canvas.text(far + 8, middle + 4, label, size=12, colour=FAINT)
