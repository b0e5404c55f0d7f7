"""A standalone SVG drawing: lines, areas and texts, in the colours of the timeline."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree as ET

INK, FAINT, GRID = "#1f2937", "#6b7280", "#e5e7eb"
GREEN, BLUE, RED = "#059669", "#2563eb", "#dc2626"

Point = tuple[float, float]


class Canvas:
    """One picture, white at first; sizes are pixels, from the upper left corner."""

    def __init__(self, width: int, height: int) -> None:
        size = {"width": str(width), "height": str(height), "viewBox": f"0 0 {width} {height}"}
        self._root = ET.Element("svg", {"xmlns": "http://www.w3.org/2000/svg", "font-family": "sans-serif", **size})
        ET.SubElement(self._root, "rect", {"width": "100%", "height": "100%", "fill": "white"})

    def svg(self) -> str:
        """Return the picture as SVG text."""
        return ET.tostring(self._root, encoding="unicode") + "\n"

    def polygon(self, points: Sequence[Point], colour: str, *, opacity: str | None = None) -> None:
        """Fill what the points surround."""
        look = {} if opacity is None else {"opacity": opacity}
        ET.SubElement(self._root, "polygon", {"points": _joined(points), "fill": colour, **look})

    def polyline(self, points: Sequence[Point], colour: str) -> None:
        """Draw from point to point."""
        look = {"fill": "none", "stroke": colour, "stroke-width": "1.5"}
        ET.SubElement(self._root, "polyline", {"points": _joined(points), **look})

    def line(self, begin: Point, end: Point, colour: str = GRID) -> None:
        """Draw a thin line."""
        (x1, y1), (x2, y2) = begin, end
        ends = {"x1": f"{x1:.1f}", "y1": f"{y1:.1f}", "x2": f"{x2:.1f}", "y2": f"{y2:.1f}"}
        ET.SubElement(self._root, "line", {**ends, "stroke": colour})

    def text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        size: int = 14,
        colour: str = INK,
        weight: str = "normal",
        anchor: str = "start",
    ) -> None:
        """Write one line."""
        place = {"x": f"{x:.1f}", "y": f"{y:.1f}", "text-anchor": anchor}
        look = {"font-size": str(size), "fill": colour, "font-weight": weight}
        ET.SubElement(self._root, "text", {**place, **look}).text = text


def _joined(points: Sequence[Point]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
