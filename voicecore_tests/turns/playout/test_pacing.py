"""The line's clock: jitter moves the lead, a long round trip does not, and nothing drifts."""

from __future__ import annotations

import random

import pytest

from voicecore.turns.playout.pacing import Pacing, Trips

LEAD_S, LIMIT_S, PIECE_S = 0.2, 1.0, 0.06


def pacing() -> Pacing:
    return Pacing(lead_s=LEAD_S, lead_limit_s=LIMIT_S, piece_s=PIECE_S)


def echo(line: Pacing, *trips_s: float) -> None:
    """Let marks come back, each so long after its moment."""
    for trip_s in trips_s:
        line.echoed(10.0, 10.0 + trip_s)


@pytest.mark.parametrize("trip_s", [0.0, 0.02, 0.3, 0.8, 1.9])
def test_c17_a_long_and_steady_round_trip_changes_nothing(trip_s: float) -> None:
    """Nothing waits for an echo, so there is no window that a trip could exceed."""
    line = pacing()
    echo(line, *[trip_s] * 200)
    assert (line.lead_s, line.max_lead_s) == (LEAD_S, LEAD_S)
    assert line.trips.base_s == pytest.approx(trip_s)
    assert line.trips.jitter_s == pytest.approx(0.0)


def test_jitter_moves_the_lead_at_once() -> None:
    """What echoes are late by and a quarter of it, and one piece, by which the lead is shorter before the next."""
    line = pacing()
    echo(line, 0.1, 0.1, 0.5)
    assert line.lead_s == pytest.approx(0.4 * 1.25 + PIECE_S)


def test_small_jitter_is_covered_by_the_least_lead() -> None:
    """Up to the lead less one piece, with a quarter to spare."""
    line = pacing()
    echo(line, 0.1, 0.1 + (LEAD_S - PIECE_S) / 1.25 - 0.001)
    assert line.lead_s == LEAD_S


def test_the_lead_has_a_limit() -> None:
    """A line that stalls for seconds does not make a barge-in clear seconds."""
    line = pacing()
    echo(line, 0.1, 5.0)
    assert (line.lead_s, line.trips.most_s) == (LIMIT_S, 5.0)


def test_a_grown_lead_lets_speech_out_in_the_middle_of_an_utterance() -> None:
    """Not with the next one."""
    line = pacing()
    while line.has_room(0.0):
        line.sent(PIECE_S, 0.0)
    echo(line, 0.1, 0.5)
    assert line.has_room(0.0)
    assert line.room_at() < 0.0


def test_the_lead_shrinks_slowly() -> None:
    """Three quarters of a minute of quiet speech forget half of the jitter, eight minutes all of it."""
    line = pacing()
    echo(line, 0.1, 0.7, *[0.1] * 231)
    assert line.lead_s == pytest.approx(0.3 * 1.25 + PIECE_S, abs=0.02)
    echo(line, *[0.1] * 2200)
    assert line.lead_s == LEAD_S
    assert line.max_lead_s == pytest.approx(0.6 * 1.25 + PIECE_S)


def test_c17_a_lasting_change_of_the_round_trip_is_followed() -> None:
    """It counts as jitter at first, then becomes the base; back again too."""
    line = pacing()
    for trip_s in (0.1, 0.5, 0.1):
        echo(line, *[trip_s] * 100)
        assert line.trips.base_s == pytest.approx(trip_s)
        echo(line, *[trip_s] * 1000)
        assert line.lead_s == LEAD_S


def test_the_first_echo_may_be_a_late_one() -> None:
    """When the base turns out to be lower, what seemed quick was late: the peak stays where it was."""
    trips = Trips()
    trips.add(0.5)
    trips.add(0.1)
    assert trips.base_s == 0.1
    assert trips.jitter_s == pytest.approx(0.4)


@pytest.mark.parametrize("jitter_s", [0.05, 0.2, 0.6])
def test_steady_jitter_is_measured_within_a_fifth(jitter_s: float) -> None:
    """Drawn evenly: after ten seconds of speech the peak is found, and it is not forgotten between two peaks."""
    trips, rng = Trips(), random.Random(7)
    for number in range(2000):
        trips.add(0.2 + rng.uniform(0.0, jitter_s))
        if number > 50:
            assert 0.8 * jitter_s <= trips.jitter_s <= 1.01 * jitter_s


def test_one_echo_that_is_too_early_costs_lead_for_a_while_only() -> None:
    """A carrier that answers a mark before it is reached: the wrong base is out of the window after 100 echoes."""
    line = pacing()
    echo(line, 0.3, -0.4, *[0.3] * 100)
    assert line.trips.base_s == pytest.approx(0.3)
    assert line.max_lead_s <= LIMIT_S


def test_c16_the_clock_does_not_drift_with_late_wake_ups() -> None:
    """Ten minutes with timers up to 10 ms late: the last piece leaves when it should, and the line never runs dry."""
    line, rng, now = pacing(), random.Random(1), 0.0
    for _ in range(10_000):
        now = max(now, line.room_at() if line.play_end > 0 else 0.0) + rng.uniform(0.0, 0.01)
        assert line.has_room(now)
        assert line.play_end < 0 or not line.ran_dry(now)
        line.sent(PIECE_S, now)
    assert line.play_end == pytest.approx(10_000 * PIECE_S, abs=0.02)


def test_a_late_wake_up_is_caught_up() -> None:
    """A gap that was too long starts the clock again; the lead is filled in one go."""
    line = pacing()
    line.sent(PIECE_S, 0.0)
    assert line.ran_dry(5.0)
    pieces = 0
    while line.has_room(5.0):
        line.sent(PIECE_S, 5.0)
        pieces += 1
    assert pieces == 3
    assert line.ahead_s(5.0) == pytest.approx(0.18)
