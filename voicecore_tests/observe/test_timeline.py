"""The picture of a call: whole XML whatever was said, and only what was measured."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import attrs
from hypothesis import given
from hypothesis import strategies as st

from voicecore.facts import (
    BargeInConfirmed,
    BargeInDismissed,
    Fact,
    FirstAudioSent,
    IdlePrompted,
    KeysPressed,
    MarkReceived,
    Overlap,
    Speaker,
    TranscriptLine,
    TurnEnd,
    TurnTimes,
    UserStarted,
)
from voicecore.observe.timeline import Levels, timeline_svg
from voicecore_tests.observe.test_store import REPORT, REPORTS

QUIET = Levels(0.02, [-120.0] * 50, [-20.0] * 50)
FACTS: list[Fact] = [
    UserStarted(0.1, "u1"),
    FirstAudioSent(0.4, "r1", "i1", 0.25),
    MarkReceived(0.5, "g0-1", heard=True),
    MarkReceived(0.6, "g0-2", heard=False),
    BargeInConfirmed(0.6, "r1", 0.2, overlap_at_s=0.55, decided_by="2 words"),
    BargeInDismissed(0.7, "backchannels"),
    KeysPressed(0.8, "keys-1", 3),
    IdlePrompted(0.9, 1),
]
TURN = TurnTimes(
    items=("u1",),
    response_id="r1",
    end=TurnEnd.INTERRUPTED,
    user_stopped_at_s=0.15,
    first_generated_at_s=0.3,
    first_sent_at_s=0.4,
    first_heard_at_s=0.5,
)


def drawn(svg: str, tag: str) -> list[ET.Element]:
    return [element for element in ET.fromstring(svg).iter() if element.tag.endswith(tag)]  # noqa: S314


def texts(svg: str) -> str:
    return " ".join(element.text or "" for element in drawn(svg, "text"))


@given(REPORTS)
def test_any_report_is_drawn_as_whole_xml(report: object) -> None:
    """Names, numbers and words come from outside; markup in them is text."""
    assert drawn(timeline_svg(report, FACTS, QUIET), "svg")  # type: ignore[arg-type]


def test_hostile_words_stay_words() -> None:
    """No element of theirs appears."""
    line = TranscriptLine(Speaker.USER, "u1", "</text><script>alert(1)</script>\x00\x1b")
    svg = timeline_svg(attrs.evolve(REPORT, transcript=(line,)), FACTS, QUIET)
    assert drawn(svg, "script") == []
    assert "<script>alert(1)</script>" in texts(svg)


def test_marks_barge_ins_and_pauses_are_there() -> None:
    """Each where it happened."""
    svg = timeline_svg(attrs.evolve(REPORT, turns=(TURN,)), FACTS, QUIET)
    assert "barge-in, agent stopped after 0.2 s" in texts(svg)
    assert "250 ms" in texts(svg)
    assert len(drawn(svg, "polygon")) == 4  # two lanes, two marks


def test_a_pause_begins_where_the_users_speech_ended() -> None:
    """Where that was measured; the silence that the session waited for is part of it."""
    turn = attrs.evolve(TURN, reply_s=0.35)
    assert "350 ms" in texts(timeline_svg(attrs.evolve(REPORT, turns=(turn,)), [], QUIET))


def test_a_barge_in_shows_its_decision_and_the_silence_at_the_ear() -> None:
    """As far as they were seen."""
    overlap = Overlap(began_at_s=0.55, detection_s=0.05, clear_s=0.002, silence_s=0.08)
    for seen, shown in (
        (overlap, "decided after 50 ms (2 words), clear after 2 ms, silence for the user after 80 ms"),
        (attrs.evolve(overlap, clear_s=None, silence_s=None), "decided after 50 ms (2 words)"),
    ):
        svg = timeline_svg(attrs.evolve(REPORT, turns=(attrs.evolve(TURN, overlap=seen),)), FACTS, QUIET)
        assert shown in [element.text for element in drawn(svg, "text")]


def test_what_did_not_stop_the_agent_keys_and_prompts_are_there() -> None:
    """Small, and each with its reason or number."""
    shown = texts(timeline_svg(REPORT, FACTS, QUIET))
    for words in ("no barge-in: backchannels", "keys: 3", "prompt 1 after a silence"):
        assert words in shown


def test_what_was_not_measured_is_not_drawn() -> None:
    """No pause is shown for a greeting, or for a reply that began before the user stopped."""
    for stopped_at_s in (None, 0.6):
        turn = attrs.evolve(TURN, user_stopped_at_s=stopped_at_s, first_heard_at_s=None)
        assert " ms" not in texts(timeline_svg(attrs.evolve(REPORT, turns=(turn,)), [], QUIET))


@given(st.floats(0.1, 20_000))
def test_a_call_of_any_length_has_a_readable_axis(duration_s: float) -> None:
    """Not more than a couple of dozen ticks."""
    svg = timeline_svg(attrs.evolve(REPORT, duration_s=duration_s), [], QUIET)
    ticks = [element for element in drawn(svg, "text") if (element.text or "").endswith(" s")]
    assert 1 <= len(ticks) <= 30
