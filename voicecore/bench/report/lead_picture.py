"""Four lines as a picture: the audio queued at the carrier, the lead in force, and where the user heard a gap.

Rule: a standalone SVG, drawn from the simulation and from nothing else; the same seed
gives the same picture.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs

from voicecore.bench.micro.line_model import Course, Line, Talk, course
from voicecore.bench.micro.pacing import ADAPTING, FIXED
from voicecore.bench.report.canvas import BLUE, FAINT, GREEN, RED, Canvas
from voicecore.turns.playout.ledger import PlayoutSettings

_WIDTH, _LEFT, _RIGHT = 1100, 84, 24
_TOP, _PANEL, _GAP, _BOTTOM = 88, 130, 54, 36
_MOST_S = 1.2  #: top of a panel
_WAITS, _LEAD, _HOLE = GREEN, BLUE, RED

_TALK = Talk(utterances=5, utterance_s=4.0, pause_s=1.8)


@attrs.frozen
class _Panel:
    title: str
    line: Line
    settings: PlayoutSettings


_PANELS = (
    _Panel("quiet line: 20 ms each way", Line(delay_s=0.02), ADAPTING),
    _Panel("long round trip: 300 ms each way, steady", Line(delay_s=0.3), ADAPTING),
    _Panel("jitter up to 400 ms, lead kept at 200 ms", Line(delay_s=0.1, jitter_s=0.4), FIXED),
    _Panel("jitter up to 400 ms, lead follows it", Line(delay_s=0.1, jitter_s=0.4), ADAPTING),
)


def lead_svg(seed: int) -> str:
    """Return the picture as SVG text."""
    return _Drawing(seed).draw()


class _Drawing:
    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._seconds = _TALK.begins[-1] + _TALK.utterance_s + 1.0
        self._canvas = Canvas(_WIDTH, _TOP + len(_PANELS) * (_PANEL + _GAP) - _GAP + _BOTTOM)

    def draw(self) -> str:
        self._canvas.text(_LEFT, 26, "Speech that waits at the carrier", size=18, weight="bold")
        self._legend()
        for number, panel in enumerate(_PANELS):
            self._panel(panel, _TOP + number * (_PANEL + _GAP) + _PANEL)
        return self._canvas.svg()

    def _legend(self) -> None:
        self._canvas.text(_LEFT, 46, "■ audio waiting at the carrier", size=12, colour=_WAITS)
        self._canvas.text(_LEFT + 200, 46, "— lead in force", size=12, colour=_LEAD)
        self._canvas.text(_LEFT + 310, 46, "▼ hole that the user heard", size=12, colour=_HOLE)

    def _panel(self, panel: _Panel, base: float) -> None:
        it = course(panel.line, _TALK, panel.settings, self._seed)
        self._axes(base)
        self._polygon(base, list(_waiting(it)))
        leads = [*it.leads, (self._seconds, it.line.lead_s)]
        self._steps(base, leads)
        holes = [arrival.at for arrival in it.arrivals if arrival.ran_dry]
        for at in holes:
            x, y = self._x(at), base - _PANEL
            self._canvas.polygon([(x - 4, y), (x + 4, y), (x, y + 8)], _HOLE)
        counted = f" · holes by utterance: {', '.join(map(str, it.underruns))}"
        self._canvas.text(_LEFT, base - _PANEL - 8, panel.title + counted, size=13, weight="bold")

    def _axes(self, base: float) -> None:
        for tenths in range(0, round(_MOST_S * 10) + 1, 4):
            y = self._y(base, tenths / 10)
            self._canvas.line((_LEFT, y), (_WIDTH - _RIGHT, y))
            self._canvas.text(_LEFT - 8, y + 4, f"{tenths * 100} ms", size=11, colour=FAINT, anchor="end")
        for second in range(0, int(self._seconds) + 1, 2):
            self._canvas.line((self._x(second), base), (self._x(second), base + 4))
            self._canvas.text(self._x(second), base + 16, f"{second} s", size=11, colour=FAINT, anchor="middle")

    # --- strokes ----------------------------------------------------------------

    def _x(self, seconds: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * seconds / self._seconds

    def _y(self, base: float, seconds: float) -> float:
        return base - _PANEL * min(seconds, _MOST_S) / _MOST_S

    def _polygon(self, base: float, points: Sequence[tuple[float, float]]) -> None:
        self._canvas.polygon([(self._x(at), self._y(base, waits_s)) for at, waits_s in points], _WAITS, opacity="0.55")

    def _steps(self, base: float, leads: Sequence[tuple[float, float]]) -> None:
        """Draw a value that stays the same until the next one."""
        corners: list[tuple[float, float]] = []
        for at, lead_s in leads:
            if corners:
                corners.append((self._x(at), corners[-1][1]))
            corners.append((self._x(at), self._y(base, lead_s)))
        self._canvas.polyline(corners, _LEAD)


def _waiting(it: Course) -> Iterator[tuple[float, float]]:
    """Yield the corners of what is queued at the carrier: up with each piece, down in real time."""
    dry_at = it.arrivals[0].at
    for arrival in it.arrivals:
        if dry_at <= arrival.at:
            yield dry_at, 0.0
        yield arrival.at, arrival.before_s
        yield arrival.at, arrival.after_s
        dry_at = arrival.at + arrival.after_s
    yield dry_at, 0.0
