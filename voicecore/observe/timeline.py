"""Draws the timeline of a call as SVG: speech of both sides, marks, barge-ins, pauses, transcript.

Two lanes (user above, agent below) share a time axis that starts at pickup. They
show returned marks, the protection of the first message, the pauses before replies,
barge-ins (confirmed and dismissed), keys, idle prompts and the transcript.

Rule 1: the picture is drawn from the facts, the report and the recording's levels;
what was not measured is not drawn. A caption has the time at which its words were
spoken, also if they were buffered. A pause begins where the user's speech ended, or,
if that is unknown, where the session detected its end.
Rule 2: the SVG is self-contained: no external font, script or style.

Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from xml.etree import ElementTree as ET

import attrs

from voicecore import facts
from voicecore.observe.speech_starts import speech_starts

_WIDTH = 1280
_LEFT, _RIGHT = 92, 24
_LANE = {facts.Speaker.USER: 150, facts.Speaker.AGENT: 290}
_LANE_HALF = 48
_AXIS_Y = 362
_CAPTIONS_Y = 402
_CAPTION_STEP = 22
_COLOUR = {facts.Speaker.USER: "#2563eb", facts.Speaker.AGENT: "#059669"}
_INK, _FAINT, _ALARM, _BUFFERED = "#1f2937", "#9ca3af", "#dc2626", "#b45309"
_AXIS_STEPS_S = (1, 2, 5, 10, 30, 60, 300, 1800, 3600, 86_400)
_FLOOR_DBFS = -50.0  #: quieter than this is drawn as silence


@attrs.frozen
class Levels:
    """The levels of both channels, one value in dBFS for each step."""

    step_s: float
    user: Sequence[float]
    agent: Sequence[float]


def timeline_svg(report: facts.CallReport, call_facts: Sequence[facts.Fact], levels: Levels) -> str:
    """Return the picture of a call as SVG text."""
    return _Drawing(report, call_facts, levels).draw()


class _Drawing:
    def __init__(self, report: facts.CallReport, call_facts: Sequence[facts.Fact], levels: Levels) -> None:
        self._report = report
        self._facts = call_facts
        self._levels = levels
        self._seconds = max(report.duration_s, 1.0)
        captions = list(self._captions())
        self._height = _CAPTIONS_Y + _CAPTION_STEP * len(captions) + 30
        size = {"width": str(_WIDTH), "height": str(self._height), "viewBox": f"0 0 {_WIDTH} {self._height}"}
        self._root = ET.Element("svg", {"xmlns": "http://www.w3.org/2000/svg", "font-family": "sans-serif", **size})
        self._lines = captions

    def draw(self) -> str:
        ET.SubElement(self._root, "rect", {"width": "100%", "height": "100%", "fill": "white"})
        self._title()
        self._axis()
        for speaker, values in (
            (facts.Speaker.USER, self._levels.user),
            (facts.Speaker.AGENT, self._levels.agent),
        ):
            self._lane(speaker, values)
        self._pauses()
        for fact in self._facts:
            self._moment(fact)
        for row, (at_s, speaker, text) in enumerate(self._lines):
            self._caption(row, at_s, speaker, text)
        return ET.tostring(self._root, encoding="unicode")

    def _moment(self, fact: facts.Fact) -> None:
        if isinstance(fact, facts.ProtectionEnded):
            self._protection(fact)
        elif isinstance(fact, facts.BargeInConfirmed):
            self._barge_in(fact)
        elif isinstance(fact, facts.BargeInDismissed):
            self._dismissed(fact)
        elif isinstance(fact, facts.MarkReceived):
            self._mark(fact)
        elif isinstance(fact, facts.KeysPressed):
            self._note(fact.at_s, facts.Speaker.USER, f"keys: {fact.count}")
        elif isinstance(fact, facts.IdlePrompted):
            self._note(fact.at_s, facts.Speaker.AGENT, f"prompt {fact.times} after a silence")

    # --- parts ---------------------------------------------------------------

    def _title(self) -> None:
        report = self._report
        self._text(_LEFT, 34, f"{report.caller} called {report.callee}", size=20, weight="bold")
        path = report.audio_path
        sound = "" if path is None else f" · {path.leg} {'passed through' if path.passthrough else 'converted'}"
        ending = report.outcome.value.replace("_", " ")
        self._text(_LEFT, 56, f"{report.duration_s:.1f} s · ended: {ending} · barge-ins: {report.barge_ins}{sound}")
        self._text(
            _LEFT,
            76,
            "▲ mark returned: heard    △ mark flushed by a clear    ├─┤ pause between user and agent",
            colour=_FAINT,
            size=12,
        )

    def _axis(self) -> None:
        self._line(_LEFT, _AXIS_Y, _WIDTH - _RIGHT, _AXIS_Y, _FAINT)
        step = next((each for each in _AXIS_STEPS_S if self._seconds / each <= 24), _AXIS_STEPS_S[-1])
        for second in range(0, int(self._seconds) + 1, step):
            x = self._x(second)
            self._line(x, 96, x, _AXIS_Y, "#f3f4f6")
            self._text(x, _AXIS_Y + 16, f"{second} s", size=11, colour=_FAINT, anchor="middle")

    def _lane(self, speaker: facts.Speaker, values: Sequence[float]) -> None:
        middle = _LANE[speaker]
        self._text(16, middle + 5, speaker.value, size=15, colour=_COLOUR[speaker], weight="bold")
        self._line(_LEFT, middle, _WIDTH - _RIGHT, middle, "#e5e7eb")
        heights = [max(0.0, (value - _FLOOR_DBFS) / -_FLOOR_DBFS) * _LANE_HALF for value in values]
        above = [(self._x(i * self._levels.step_s), middle - height) for i, height in enumerate(heights)]
        below = [(x, 2 * middle - y) for x, y in reversed(above)]
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in above + below)
        ET.SubElement(self._root, "polygon", {"points": points, "fill": _COLOUR[speaker], "opacity": "0.75"})

    def _pauses(self) -> None:
        y = (_LANE[facts.Speaker.USER] + _LANE[facts.Speaker.AGENT]) / 2
        for turn in self._report.turns:
            pause_s, sent_at_s = _pause_s(turn), turn.first_sent_at_s
            if pause_s is None or sent_at_s is None:
                continue
            begin, end = self._x(sent_at_s - pause_s), self._x(sent_at_s)
            self._line(begin, y, end, y, _INK)
            for x in (begin, end):
                self._line(x, y - 5, x, y + 5, _INK)
            self._text(end + 6, y + 4, f"{pause_s * 1000:.0f} ms", size=12)

    def _protection(self, fact: facts.ProtectionEnded) -> None:
        y = _LANE[facts.Speaker.USER] - _LANE_HALF - 2
        begin, end = self._x(0), self._x(fact.at_s)
        band = {"x": f"{begin:.1f}", "y": f"{y:.1f}", "width": f"{end - begin:.1f}", "height": str(2 * _LANE_HALF + 4)}
        ET.SubElement(self._root, "rect", {**band, "fill": _BUFFERED, "opacity": "0.18"})
        self._text(begin + 4, y + 12, "buffered: the first message is protected", size=11, colour=_BUFFERED)

    def _barge_in(self, fact: facts.BargeInConfirmed) -> None:
        x = self._x(fact.at_s)
        self._line(x, 100, x, _AXIS_Y - 8, _ALARM, width=2)
        self._beside(x, 108, f"barge-in, agent stopped after {fact.heard_s:.1f} s", size=12, colour=_ALARM)
        overlaps = (turn.overlap for turn in self._report.turns if turn.response_id == fact.response_id)
        if (overlap := next(overlaps, None)) is not None:
            self._beside(x, 238, _decision(overlap, fact.decided_by), size=11, colour=_ALARM)
            self._overlap(overlap)

    def _overlap(self, overlap: facts.Overlap) -> None:
        """Draw it from the onset until the user heard silence, or to the last step that was measured."""
        steps_s = (overlap.detection_s, overlap.clear_s or 0.0, overlap.silence_s or 0.0)
        begin, end = self._x(overlap.began_at_s), self._x(overlap.began_at_s + sum(steps_s))
        band = {"x": f"{begin:.1f}", "y": "100", "width": f"{max(end - begin, 1.0):.1f}", "height": "4"}
        ET.SubElement(self._root, "rect", {**band, "fill": _ALARM, "opacity": "0.5"})

    def _dismissed(self, fact: facts.BargeInDismissed) -> None:
        x = self._x(fact.at_s)
        self._line(x, 100, x, _AXIS_Y - 8, _FAINT)
        self._beside(x, 94, f"no barge-in: {fact.why}", size=11, colour=_FAINT)

    def _note(self, at_s: float, speaker: facts.Speaker, what: str) -> None:
        x, y = self._x(at_s), _LANE[speaker] + _LANE_HALF + 4
        self._line(x, y - 12, x, y, _COLOUR[speaker])
        self._beside(x, y, what, size=11, colour=_COLOUR[speaker])

    def _mark(self, fact: facts.MarkReceived) -> None:
        x, y = self._x(fact.at_s), _AXIS_Y - 10
        fill = _COLOUR[facts.Speaker.AGENT] if fact.heard else "white"
        points = f"{x:.1f},{y - 7} {x - 4:.1f},{y} {x + 4:.1f},{y}"
        ET.SubElement(self._root, "polygon", {"points": points, "fill": fill, "stroke": _COLOUR[facts.Speaker.AGENT]})

    def _captions(self) -> Iterator[tuple[float, facts.Speaker, str]]:
        began = speech_starts(self._facts)
        for line in self._report.transcript:
            text = line.text or "(no words)"
            yield began.get(line.item_id, 0.0), line.speaker, text + (" — cut" if line.interrupted else "")

    def _caption(self, row: int, at_s: float, speaker: facts.Speaker, text: str) -> None:
        y = _CAPTIONS_Y + row * _CAPTION_STEP
        shown = text if len(text) <= 130 else text[:130] + "…"
        self._text(_LEFT - 12, y, f"{at_s:.1f} s", size=12, colour=_FAINT, anchor="end")
        self._text(_LEFT, y, f"{speaker.value}:", size=13, colour=_COLOUR[speaker], weight="bold")
        self._text(_LEFT + 56, y, shown, size=13)

    # --- strokes ----------------------------------------------------------------

    def _x(self, seconds: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * min(seconds, self._seconds) / self._seconds

    def _line(self, x1: float, y1: float, x2: float, y2: float, colour: str, *, width: float = 1) -> None:
        ends = {"x1": f"{x1:.1f}", "y1": f"{y1:.1f}", "x2": f"{x2:.1f}", "y2": f"{y2:.1f}"}
        ET.SubElement(self._root, "line", {**ends, "stroke": colour, "stroke-width": str(width)})

    def _beside(self, x: float, y: float, text: str, *, size: int, colour: str) -> None:
        """Write beside a vertical line, on the side with more space."""
        right = x < _WIDTH / 2
        self._text(x + (5 if right else -5), y, text, size=size, colour=colour, anchor="start" if right else "end")

    def _text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        size: int = 14,
        colour: str = _INK,
        weight: str = "normal",
        anchor: str = "start",
    ) -> None:
        place = {"x": f"{x:.1f}", "y": f"{y:.1f}", "text-anchor": anchor}
        look = {"font-size": str(size), "fill": colour, "font-weight": weight}
        ET.SubElement(self._root, "text", {**place, **look}).text = "".join(c for c in text if c.isprintable())


def _pause_s(turn: facts.TurnTimes) -> float | None:
    """Return how long the user waited for the reply; see rule 1."""
    if turn.reply_s is not None or turn.user_stopped_at_s is None or turn.first_sent_at_s is None:
        return turn.reply_s
    pause_s = turn.first_sent_at_s - turn.user_stopped_at_s
    return pause_s if pause_s >= 0 else None


def _decision(overlap: facts.Overlap, decided_by: str) -> str:
    """Return the steps of a barge-in that were measured."""
    parts = [f"decided after {overlap.detection_s * 1000:.0f} ms ({decided_by})"]
    if overlap.clear_s is not None:
        parts.append(f"clear after {overlap.clear_s * 1000:.0f} ms")
    if overlap.silence_s is not None:
        parts.append(f"silence for the user after {overlap.silence_s * 1000:.0f} ms")
    return ", ".join(parts)
