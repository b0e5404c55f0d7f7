"""The playout ledger: paced, cut at once, and never claiming more than was heard.

How the lead follows the line is in test_pacing.py; everything that a line can do, together, in
test_playout_machine.py.
"""

from __future__ import annotations

import attrs
import pytest

from voicecore.audio.formats import PCMU_8K
from voicecore.errors import ConfigError
from voicecore.events import ClearPlayout, LegOrder, PlaceMark, PlayAudio
from voicecore.facts import ConfirmedBy, HeardBy, HeardPosition
from voicecore.turns.playout.ledger import (
    FirstHeard,
    Interrupted,
    MarkKind,
    MarkSupport,
    Played,
    PlayoutLedger,
    PlayoutSettings,
)

FRAME_BYTES = 160
SETTINGS = PlayoutSettings(lead_s=0.2, piece_s=0.06, mark_every_s=0.2, mark_late_s=2.0, waiting_limit_s=10.0)
NO_MARKS = attrs.evolve(SETTINGS, echoes=MarkSupport.NONE)


def ledger(settings: PlayoutSettings = SETTINGS) -> PlayoutLedger:
    return PlayoutLedger(PCMU_8K, settings)


def speech(frames: int) -> bytes:
    return bytes(number % 251 for number in range(frames * FRAME_BYTES))


def audio(orders: list[LegOrder]) -> bytes:
    return b"".join(order.audio for order in orders if isinstance(order, PlayAudio))


def marks(orders: list[LegOrder]) -> list[str]:
    return [order.name for order in orders if isinstance(order, PlaceMark)]


def run_until(playout: PlayoutLedger, begin: float, end: float) -> list[tuple[float, LegOrder]]:
    """Carry out `due` at exactly the moments that `next_due` names."""
    sent, now = [], begin
    while True:
        sent += [(now, order) for order in playout.due(now)]
        moment = playout.next_due()
        if moment is None or moment > end:
            return sent
        now = max(now, moment)


@pytest.mark.parametrize(
    "wrong", [{"piece_s": 0.0}, {"piece_s": 0.3}, {"lead_limit_s": 0.1}], ids=["nothing", "too large", "no limit"]
)
def test_settings_under_which_nothing_could_leave_are_refused(wrong: dict[str, float]) -> None:
    """A piece has to fit into the lead, and the lead into its limit."""
    with pytest.raises(ConfigError, match=r"has to fit|must be from"):
        PlayoutSettings(**wrong)  # type: ignore[arg-type]


def test_speech_starts_at_once_and_never_runs_further_ahead_than_the_lead() -> None:
    """What waits at the carrier is what a barge-in has to clear."""
    playout = ledger()
    playout.push("r", "i", speech(50))
    assert len(audio(playout.due(0.0))) == 9 * FRAME_BYTES
    assert playout.lead_s(0.0) <= SETTINGS.lead_s


def test_c16_pacing_runs_on_absolute_times() -> None:
    """A minute of speech leaves in exactly a minute less the lead, wherever the wake-ups fall."""
    playout = PlayoutLedger(PCMU_8K, PlayoutSettings(waiting_limit_s=100.0))
    playout.push("r", "i", speech(3000))
    playout.finish("i")
    sent = run_until(playout, 0.0, 100.0)
    last_audio = max(moment for moment, order in sent if isinstance(order, PlayAudio))
    assert abs(last_audio - (60.0 - 0.2)) < 0.061
    assert audio([order for _, order in sent]) == speech(3000)


def test_a_late_wake_up_is_caught_up() -> None:
    """The lead is filled again in one go, and the gap at the carrier is counted."""
    playout = ledger()
    playout.push("r", "i", speech(100))
    playout.due(0.0)
    assert len(audio(playout.due(0.5))) == 9 * FRAME_BYTES
    assert playout.counts.underruns == 1


def test_every_byte_leaves_in_order_and_the_last_frame_is_filled_with_silence() -> None:
    """H8: a tail shorter than a frame is neither lost nor clicked."""
    playout = ledger()
    playout.push("r", "i", speech(2) + b"\x01" * 30)
    playout.finish("i")
    assert audio(playout.due(0.0)) == speech(2) + b"\x01" * 30 + b"\xff" * 130
    assert playout.counts.padding_bytes == 130


def test_half_a_frame_waits_for_its_rest() -> None:
    """Only whole frames leave while more may come."""
    playout = ledger()
    playout.push("r", "i", speech(1)[:100])
    assert (playout.due(0.0), playout.next_due()) == ([], None)
    playout.push("r", "i", speech(1)[100:])
    assert audio(playout.due(0.0)) == speech(1)


def test_the_first_and_the_last_piece_have_a_mark_and_so_has_every_fifth_of_a_second() -> None:
    """Marks cost a message each way; between them the position is interpolated."""
    playout = ledger()
    playout.push("r", "i", speech(50))
    playout.finish("i")
    names = marks([order for _, order in run_until(playout, 0.0, 5.0)])
    assert len(names) == 1 + 4 + 1 - 1
    assert len(set(names)) == len(names)


def test_an_end_that_is_said_after_the_last_byte_left_still_gets_its_mark() -> None:
    """Providers say that an item is over after its last delta, sometimes much later."""
    playout = ledger()
    playout.push("r", "i", speech(6))
    first = marks(playout.due(0.0))
    assert playout.finish("i") == []
    last = marks(playout.due(0.1))
    assert (len(first), len(last)) == (1, 1)
    assert playout.echoed(last[0], 0.3)[1][-1] == Played("r", "i", mark=last[0])
    assert not playout.speaking


def test_an_echo_confirms_everything_before_its_mark() -> None:
    """C4: a lost echo costs nothing when the next one comes."""
    playout = ledger()
    playout.push("r", "i", speech(20))
    playout.finish("i")
    names = marks([order for _, order in run_until(playout, 0.0, 1.0)])
    kind, found = playout.echoed(names[-1], 1.0)
    assert kind is MarkKind.HEARD
    assert found == [FirstHeard("r", "i"), Played("r", "i", mark=names[-1])]
    assert playout.counts.marks_heard == len(names)


def test_the_trip_of_an_echo_is_that_of_its_own_mark() -> None:
    """Those before it were lost, not late."""
    playout = ledger()
    playout.push("r", "i", speech(50))
    names = marks([order for _, order in run_until(playout, 0.0, 0.6)])
    playout.echoed(names[0], 0.06 + 0.1)
    playout.echoed(names[2], 0.54 + 0.1)
    assert playout.line.max_round_trip_s == pytest.approx(0.1)


def test_c2_echoes_that_match_nothing_change_nothing_and_are_counted() -> None:
    """Doubled echoes, and names that were never sent."""
    playout = ledger()
    playout.push("r", "i", speech(20))
    (name, *_) = marks(playout.due(0.0))
    playout.echoed(name, 0.1)
    before = playout.heard_s("i", 0.1)
    assert [playout.echoed(stranger, 0.1)[0] for stranger in (name, "nobody", "g9-9", "")] == [MarkKind.UNMATCHED] * 4
    assert (playout.heard_s("i", 0.1), playout.counts.marks_unmatched) == (before, 4)


def test_heard_grows_with_the_clock_but_not_past_the_next_mark() -> None:
    """Rule 4: counted low between two echoes."""
    playout = ledger()
    playout.push("r", "i", speech(20))
    names = marks(playout.due(0.0))
    assert playout.heard_s("i", 5.0) == 0.0
    playout.echoed(names[0], 0.06)
    assert abs(playout.heard_s("i", 0.10) - 0.10) < 1e-9
    assert playout.heard_s("i", 9.0) <= 0.18


def test_c12_the_clear_is_the_next_order_and_the_new_generation_follows_it() -> None:
    """Whatever was queued is gone; the next words come behind the clear."""
    playout = ledger()
    playout.push("r1", "i1", speech(50))
    playout.due(0.0)
    playout.clear(0.1)
    playout.push("r2", "i2", speech(3))
    orders = playout.due(0.1)
    assert orders[0] == ClearPlayout(1)
    assert {order.generation for order in orders} == {1}
    assert audio(orders) == speech(3)


def test_an_echo_after_the_clear_is_flushed_not_heard() -> None:
    """Carriers send every pending mark back on a clear; the wire does not tell the two apart, the name does."""
    playout = ledger()
    playout.push("r", "i", speech(50))
    names = marks(playout.due(0.0))
    playout.clear(0.1)
    playout.due(0.1)
    assert [playout.echoed(name, 0.15)[0] for name in names] == [MarkKind.FLUSHED] * len(names)
    assert (playout.counts.marks_heard, playout.counts.marks_flushed) == (0, len(names))


def test_an_echo_before_the_clear_has_left_is_no_answer_to_it() -> None:
    """It was on its way when the user began to speak."""
    playout = ledger()
    playout.push("r", "i", speech(50))
    (name, *_) = marks(playout.due(0.0))
    playout.clear(0.1)
    assert playout.echoed(name, 0.1)[0] is MarkKind.STALE
    playout.due(0.1)
    assert playout.echoed(name, 0.15)[0] is MarkKind.FLUSHED
    assert playout.echoed(name, 0.15)[0] is MarkKind.STALE  # a carrier that doubles answers once all the same


def test_echoes_of_two_clears_in_a_row_are_told_apart() -> None:
    """What comes back late for the first does not say that the second was obeyed."""
    playout = ledger()
    names = []
    for moment in (0.0, 0.2):
        playout.push("r", f"i{moment}", speech(50))
        names.append(marks(playout.due(moment))[0])
        playout.clear(moment + 0.1)
        playout.due(moment + 0.1)
    assert [playout.echoed(name, 0.5)[0] for name in names] == [MarkKind.STALE, MarkKind.FLUSHED]
    assert (playout.counts.marks_flushed, playout.counts.marks_unmatched) == (2, 0)


def test_a_mark_that_was_given_up_is_flushed_by_a_clear_like_any_other() -> None:
    """What comes back of a generation that is over says nothing about what was heard."""
    playout = ledger()
    playout.push("r", "i", speech(50))
    (name, *_) = marks(playout.due(0.0))
    playout.expire(2.5)
    playout.clear(2.5)
    playout.due(2.5)
    assert playout.echoed(name, 2.6)[0] is MarkKind.FLUSHED


def test_after_a_clear_nothing_of_the_old_words_stands_before_the_new_ones() -> None:
    """The whole lead is free again."""
    playout = ledger()
    playout.push("r", "i1", speech(50))
    playout.due(0.0)
    playout.clear(0.1)
    playout.push("r", "i2", speech(50))
    assert len(audio(playout.due(0.1))) == 9 * FRAME_BYTES


def test_c8_nothing_heard_is_said_as_zero() -> None:
    """A cut before the first echo leaves nothing of the item; all that was sent may have been heard."""
    playout = ledger()
    playout.push("r", "i", speech(50))
    playout.due(0.0)
    (cut,) = playout.clear(0.01)
    assert cut == Interrupted("r", "i", HeardPosition(0.0, 0.0, 0.18, HeardBy.ESTIMATE), None)
    assert cut.heard_s == 0.0


def test_heard_is_a_span_and_says_what_it_is_known_by() -> None:
    """The last echo exactly, then the clock; what was sent is the most."""
    playout = ledger()
    playout.push("r", "i", speech(50))
    (name, *_) = marks(playout.due(0.0))
    playout.echoed(name, 0.1)
    assert playout.position("i", 0.1) == HeardPosition(0.06, 0.06, 0.18, HeardBy.MARKS)
    later = playout.position("i", 0.15)
    assert (later.lower_s, later.upper_s, later.source) == (0.06, 0.18, HeardBy.PACING)
    assert later.best_s == pytest.approx(0.11)


def test_heard_is_counted_lower_on_a_line_with_jitter() -> None:
    """Where echoes vary by 50 ms the clock may be ahead of the ear by as much."""
    playout = ledger()
    playout.push("r", "i", speech(50))
    (name, *_) = marks(playout.due(0.0))
    playout.echoed(name, 0.06)
    (name,) = marks(playout.due(0.1)) + marks(playout.due(0.2))
    playout.echoed(name, 0.30 + 0.05)
    assert playout.line.jitter_s == pytest.approx(0.05)
    assert playout.position("i", 0.38) == HeardPosition(0.30, 0.30, 0.36, HeardBy.MARKS)
    playout.due(0.4)
    assert playout.heard_s("i", 0.42) == pytest.approx(0.30 + 0.02)


def test_nothing_is_known_of_an_item_that_is_not_in_hand() -> None:
    """Rather than an exception in the middle of a barge-in."""
    assert ledger().position("nobody", 1.0) == HeardPosition(0.0, 0.0, 0.0, HeardBy.ESTIMATE)


def test_a_clear_of_speech_that_was_not_sent_writes_nothing() -> None:
    """B10: there is nothing at the carrier to clear."""
    playout = ledger()
    playout.push("r", "i", speech(50))
    playout.clear(0.0)
    assert (playout.due(0.0), playout.generation, playout.counts.dropped_bytes) == ([], 0, 50 * FRAME_BYTES)


def test_c6_the_tail_of_a_finished_response_is_cut_like_any_other() -> None:
    """Speaking lasts until the last mark, not until the provider is done."""
    playout = ledger()
    playout.push("r", "i", speech(500))
    playout.finish_response("r")
    names = marks([order for _, order in run_until(playout, 0.0, 4.0)])
    playout.echoed(names[-3], 4.0)
    assert playout.audible
    (cut,) = playout.clear(4.1)
    assert 3.0 < cut.heard_s <= 4.1
    assert cut.generated_s == 10.0


def test_c7_what_was_sent_after_a_gap_is_not_heard_before_it_can_be() -> None:
    """A provider that pauses in an item: the time since the last echo went by in silence, and is not counted."""
    playout = ledger()
    playout.push("r", "i", speech(3))
    (first,) = marks(playout.due(0.0))
    playout.echoed(first, 0.06)
    playout.push("r", "i", speech(50))
    playout.due(5.0)
    assert playout.heard_s("i", 5.0) == pytest.approx(0.06)
    assert playout.heard_s("i", 5.02) == pytest.approx(0.08)
    assert playout.unplayed(5.02)[0].heard_s == pytest.approx(0.08)


def test_c7_heard_starts_from_zero_for_each_item() -> None:
    """The position in turn two knows nothing of turn one."""
    playout = ledger()
    for item in ("i1", "i2"):
        playout.push("r", item, speech(5))
        playout.finish(item)
    sent = run_until(playout, 0.0, 1.0)
    names = marks([order for _, order in sent])
    playout.echoed(names[1], 0.1)
    assert playout.heard_s("i2", 5.0) == 0.0


def test_a_mark_behind_audio_that_was_played_long_ago_is_expected_now() -> None:
    """The end of an item that is said seconds late: its mark has its full time, and says nothing about the line."""
    playout = ledger()
    playout.push("r", "i", speech(6))
    playout.due(0.0)
    playout.expire(3.0)
    playout.finish("i")
    (name,) = marks(playout.due(3.0))
    assert playout.deadline() == 3.0 + SETTINGS.mark_late_s
    playout.echoed(name, 3.1)
    assert playout.line.round_trip_s == pytest.approx(0.1)


def test_c18_marks_that_never_come_back_are_given_up_by_the_clock() -> None:
    """A lost echo costs bounded time, and is counted as assumed."""
    playout = ledger()
    playout.push("r", "i", speech(9))
    playout.finish("i")
    playout.due(0.0)
    deadline = playout.deadline()
    assert deadline is not None
    assert deadline <= 0.18 + 2.0
    found = playout.expire(2.5)
    assert found == [Played("r", "i")]
    assert (playout.counts.marks_assumed, playout.deadline()) == (2, None)
    assert (playout.line.confirmed_by, playout.line.round_trip_s) == (ConfirmedBy.CLOCK, None)


def lost_marks(playout: PlayoutLedger, item: str, begin: float) -> list[str]:
    """Let an item of a second be spoken whose marks do not come back in time."""
    playout.push("r", item, speech(50))
    playout.finish(item)
    names = marks([order for _, order in run_until(playout, begin, begin + 2.0)])
    playout.expire(begin + 4.0)
    return names


def test_c18_a_carrier_that_stops_returning_marks_is_not_waited_for() -> None:
    """After three in a row the clock is believed after its margin; marks are still placed."""
    playout = ledger()
    lost_marks(playout, "i1", 0.0)
    assert playout.counts.marks_assumed >= 3
    playout.push("r", "i2", speech(9))
    playout.finish("i2")
    assert marks(playout.due(10.0))
    assert playout.deadline() == pytest.approx(10.06 + SETTINGS.clock_margin_s)
    assert playout.expire(10.18 + SETTINGS.clock_margin_s) == [Played("r", "i2")]
    assert playout.line.confirmed_by is ConfirmedBy.CLOCK


@pytest.mark.parametrize("late", [False, True], ids=["in time", "late"])
def test_c18_the_first_echo_that_comes_again_restores_trust(late: bool) -> None:
    """Also one that was given up already: with a trip beyond the margin no other would ever come."""
    playout = ledger()
    names = lost_marks(playout, "i1", 0.0)
    playout.push("r", "i2", speech(20))
    (name, *_) = marks(playout.due(10.0))
    assert playout.echoed(names[-1] if late else name, 10.1)[0] is MarkKind.HEARD
    (name, *_) = marks(playout.due(10.2)) + marks(playout.due(10.4))
    playout.expire(10.4 + SETTINGS.clock_margin_s)
    assert playout.echoed(name, 10.9)[0] is MarkKind.HEARD
    assert (playout.counts.marks_late, playout.line.confirmed_by) == (int(late), ConfirmedBy.BOTH)


def test_a_late_echo_says_that_what_was_assumed_is_so_and_counts_once() -> None:
    """The position is the same; what it is known by is not."""
    playout = ledger()
    playout.push("r", "i", speech(9))
    (name, *_) = marks(playout.due(0.0))
    playout.expire(2.5)
    assert playout.position("i", 2.5) == HeardPosition(0.06, 0.06, 0.18, HeardBy.ESTIMATE)
    assert [playout.echoed(name, 2.6)[0] for _ in range(2)] == [MarkKind.HEARD, MarkKind.UNMATCHED]
    assert playout.position("i", 2.5) == HeardPosition(0.06, 0.06, 0.18, HeardBy.MARKS)


def test_c18_a_carrier_without_marks_is_counted_by_the_clock() -> None:
    """No mark is placed; a position counts as played after a short margin, and is called an estimate."""
    playout = ledger(NO_MARKS)
    playout.push("r", "i", speech(20))
    playout.finish("i")
    orders = [order for _, order in run_until(playout, 0.0, 1.0)]
    assert (marks(orders), audio(orders)) == ([], speech(20))
    assert playout.deadline() == pytest.approx(0.06 + 0.3)
    assert playout.expire(0.36) == []
    assert playout.position("i", 0.36) == HeardPosition(0.06, 0.06, 0.4, HeardBy.ESTIMATE)
    assert playout.heard_s("i", 0.4) == pytest.approx(0.1)
    assert playout.echoed("", 0.4)[0] is MarkKind.UNMATCHED
    assert playout.expire(0.7) == [Played("r", "i")]
    assert (playout.counts.marks_placed, playout.counts.marks_assumed, playout.line.confirmed_by) == (
        0,
        0,
        ConfirmedBy.CLOCK,
    )


def test_c21_what_exceeds_the_limit_is_refused_not_kept() -> None:
    """Ten minutes is the most that is kept; the user of push learns how much was refused."""
    playout = ledger()
    assert playout.push("r", "i", speech(499)) == 0
    assert playout.push("r", "i", speech(3)) == 2 * FRAME_BYTES
    assert playout.waiting_bytes == 500 * FRAME_BYTES


@pytest.mark.parametrize(("minutes", "within_s"), [(1, 0.0), (12, 30.0)], ids=["a minute", "c21"])
def test_c21_a_burst_waits_here_and_not_at_the_carrier(minutes: int, within_s: float) -> None:
    """A minute at once, and twelve in half a minute: bounded here, and the line is as far ahead as ever."""
    playout = ledger(attrs.evolve(SETTINGS, waiting_limit_s=600.0))
    now, kept, sent = 0.0, 0, 0
    for number in range(minutes * 60):
        now = number * within_s / (minutes * 60)
        kept += 8000 - playout.push("r", "i", speech(50))
        sent += len(audio(playout.due(now)))
        assert playout.waiting_bytes == kept - sent <= 600 * 8000
        assert playout.lead_s(now) <= SETTINGS.lead_s + 1e-6
        assert sent <= (now + SETTINGS.lead_s) * 8000
    assert (kept == 60 * 8000) == (minutes == 1)
