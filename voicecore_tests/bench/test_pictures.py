"""The pictures of a run: they stand alone, and every bar says its figure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from voicecore.bench.main import MEASUREMENTS, main
from voicecore.bench.report.chart import Panel, chart_svg
from voicecore.bench.report.pictures import PANELS, picture
from voicecore.bench.report.result import SMALL, Column, Result, Value

COLUMNS = (Column("calls"), Column("through"), Column("p50", "ms"), Column("p99", "ms"))
ROWS: tuple[Mapping[str, Value], ...] = (
    {"calls": 1, "through": "engine", "p50": 2.0, "p99": 4.0},
    {"calls": 1, "through": "relay", "p50": 1.0, "p99": None},
    {"calls": 50, "through": "engine", "p50": None, "p99": None},
)
TABLE = Result(name="delay", about="", columns=COLUMNS, rows=ROWS)


def elements(svg: str, tag: str) -> list[ET.Element]:
    root = ET.fromstring(svg)  # noqa: S314  (our own)
    return [element for element in root.iter() if element.tag.endswith(tag)]


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in elements(svg, "text")]


def test_every_measurement_has_a_picture() -> None:
    """Pacing one of its own."""
    assert set(PANELS) | {"pacing"} == set(MEASUREMENTS)


def test_bars_say_their_figures() -> None:
    """Their names on the left, in colours by the last name; what a table has no figure for is left out."""
    svg = chart_svg("Delay", [Panel("delay", "p50", "p99", names=2)], [TABLE])
    assert {"Delay", "delay: p50, and p99 (ms)", "1 call, engine", "1 call, relay"} <= set(texts(svg))
    assert {"2.00 – 4.00", "1.00"} <= set(texts(svg))
    assert len({bar.get("fill") for bar in elements(svg, "polygon")}) == 2


def test_a_bar_is_as_long_as_its_figure() -> None:
    """From nothing on: half the figure, half the length."""
    svg = chart_svg("Delay", [Panel("delay", "p50", names=2)], [TABLE])
    lengths = []
    for bar in elements(svg, "polygon"):
        xs = [float(point.partition(",")[0]) for point in (bar.get("points") or "").split()]
        lengths.append(max(xs) - min(xs))
    assert lengths[0] == pytest.approx(2 * lengths[1], abs=0.2)


def test_a_panel_without_a_table_is_left_out() -> None:
    """The others are drawn all the same."""
    svg = chart_svg("Delay", [Panel("no such table", "p50"), Panel("delay", "p50")], [TABLE])
    assert any(text.startswith("delay: p50") for text in texts(svg))
    assert not any("no such table" in text for text in texts(svg))


def test_a_table_of_nothing_is_a_picture_too() -> None:
    """All zero is no division."""
    row: Mapping[str, Value] = {"calls": 1, "through": "engine", "p50": 0.0, "p99": 0.0}
    svg = chart_svg("Delay", [Panel("delay", "p50")], [Result(name="delay", about="", columns=COLUMNS, rows=[row])])
    assert "0.00" in texts(svg)


def test_pictures_are_drawn_where_they_are_asked_for(tmp_path: Path) -> None:
    """One a measurement, under its name; they stand alone."""
    assert main(["json", "machines", "--size", "small", "--pictures", str(tmp_path)]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["json.svg", "machines.svg"]
    for path in tmp_path.iterdir():
        svg = path.read_text(encoding="utf-8")
        assert "http" not in svg.replace("http://www.w3.org/2000/svg", "")
        assert len(texts(svg)) > 6


@pytest.mark.parametrize("name", sorted(PANELS))
def test_the_panels_of_a_measurement_name_what_there_is(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture without tables has a title and no more; columns are tried where tables are made."""
    assert texts(picture(name, SMALL, [])) == [PANELS[name][0]]
