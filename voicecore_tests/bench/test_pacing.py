"""The pacing measurement: its line plays what it receives, its tables are complete, its picture is in the docs."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from voicecore.bench.main import main
from voicecore.bench.micro import pacing
from voicecore.bench.micro.line_model import Course, Line, Talk, course
from voicecore.bench.report.lead_picture import lead_svg
from voicecore.bench.report.result import SMALL, Plan
from voicecore.facts import ConfirmedBy
from voicecore.turns.playout.ledger import PlayoutSettings
from voicecore_tests.code_rules.packages import REPOSITORY

TALK = Talk(utterances=4, utterance_s=6.0, pause_s=2.0, generated=math.inf)


def holes(line: Line, settings: PlayoutSettings, utterances: slice = slice(None)) -> int:
    courses = [course(line, TALK, settings, seed) for seed in range(6)]
    return sum(sum(each.underruns[utterances]) for each in courses)


def spoken_s(it: Course) -> float:
    return sum(arrival.after_s - arrival.before_s for arrival in it.arrivals)


@pytest.mark.parametrize("line", [Line(delay_s=0.3), Line(delay_s=0.02, jitter_s=0.5, loss=0.5)], ids=["long", "bad"])
def test_a_line_plays_everything_in_order(line: Line) -> None:
    """Nothing is lost but marks; the same seed gives the same call."""
    it = course(line, TALK, pacing.ADAPTING, 1)
    assert spoken_s(it) == pytest.approx(TALK.utterances * TALK.utterance_s)
    assert all(one.at <= other.at for one, other in pairwise(it.arrivals))
    assert it == course(line, TALK, pacing.ADAPTING, 1)


@pytest.mark.parametrize("delay_s", [0.02, 0.1, 0.3, 0.8])
def test_c17_a_long_round_trip_without_jitter_needs_no_larger_lead(delay_s: float) -> None:
    """The trip is measured, and changes nothing."""
    it = course(Line(delay_s=delay_s), TALK, pacing.ADAPTING, 1)
    assert it.underruns == [0] * TALK.utterances
    assert it.line.max_lead_s == pacing.ADAPTING.lead_s
    assert it.line.round_trip_s == pytest.approx(2 * delay_s)
    assert it.line.confirmed_by is ConfirmedBy.MARKS


def test_jitter_below_the_lead_less_a_piece_makes_no_hole() -> None:
    """Whether the lead follows or not, in the first utterance too."""
    line = Line(delay_s=0.1, jitter_s=pacing.ADAPTING.lead_s - pacing.ADAPTING.piece_s)
    assert (holes(line, pacing.FIXED), holes(line, pacing.ADAPTING)) == (0, 0)


def test_c17_the_lead_that_follows_jitter_makes_no_hole_from_the_second_utterance_on() -> None:
    """Where a fixed one makes many; the first utterance has to show the jitter."""
    line = Line(delay_s=0.1, jitter_s=0.4)
    assert holes(line, pacing.FIXED, slice(1, None)) > 20
    assert holes(line, pacing.ADAPTING, slice(1, None)) == 0


def test_lost_echoes_hide_the_jitter_and_no_more() -> None:
    """Half of them suffice."""
    assert holes(Line(delay_s=0.1, jitter_s=0.3, loss=0.5), pacing.ADAPTING, slice(1, None)) <= 1


def test_the_tables() -> None:
    """Complete and plausible; larger messages cost less."""
    told: list[str] = []
    lines, limits, sizes = pacing.measure(SMALL, told.append)
    assert told
    assert len(lines.rows) == 5 * 2 * 2
    assert [row["adapting, later"] for row in lines.rows[:4]] == [0.0] * 4
    assert [(row["lead"], row["generated"]) for row in limits.rows] == [
        ("fixed", "4"),
        ("fixed", "at once"),
        ("adapting", "4"),
        ("adapting", "at once"),
    ]
    assert [row["audio"] for row in sizes.rows] == [20, 40, 60, 100]


def test_the_picture_stands_alone(tmp_path: Path) -> None:
    """It is drawn when it is asked for."""
    path = tmp_path / "pacing.svg"
    assert main(["pacing", "--size", "small", "--pictures", str(tmp_path)]) == 0
    root = ET.fromstring(path.read_text(encoding="utf-8"))  # noqa: S314  (our own)
    texts = [element.text or "" for element in root.iter() if element.tag.endswith("text")]
    assert sum("holes by utterance" in text for text in texts) == 4
    assert "http" not in path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")


def test_the_picture_in_the_documentation_is_what_is_drawn() -> None:
    """Draw it again as docs/benchmarks.md says."""
    drawn = (REPOSITORY / "docs" / "pictures" / "pacing.svg").read_text(encoding="utf-8")
    assert drawn == lead_svg(Plan().seed), 'run `make bench ARGS="pacing --pictures docs/pictures"`'
