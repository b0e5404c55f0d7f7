"""Every measurement, small: it ends in seconds, its tables are complete and its figures plausible."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from voicecore.bench import audio_path, calls, json_libraries, pacing, pickup, sockets
from voicecore.bench.main import MEASUREMENTS
from voicecore.bench.result import SMALL, Measurement, Result, Value


def run(measurement: Measurement) -> Sequence[Result]:
    told: list[str] = []
    results = measurement(SMALL, told.append)
    assert told, "nobody was told what is being done"
    return results


def number(row: Mapping[str, Value], name: str) -> float:
    value = row[name]
    assert isinstance(value, int | float), name
    return value


def test_every_measurement_is_tried_here() -> None:
    """A new one comes with its test."""
    tried = (pickup, calls, audio_path, pacing, sockets, json_libraries)
    assert set(MEASUREMENTS.values()) == {module.measure for module in tried}


def test_pickup() -> None:
    """Every call came the way it should; no figure is less than the provider's own part of it."""
    (table,) = run(pickup.measure)
    assert [row["session"] for row in table.rows] == ["cold", "parked", "parked, message prepared"]
    for row in table.rows:
        assert number(row, "calls") == 2
        assert number(row, "ours p50") > 0


def test_calls_through_engine_and_relay() -> None:
    """Two real calls through a real engine: no frame is missing, and each figure is there."""
    cost, delay = run(calls.measure)
    for table in (cost, delay):
        assert [(row["calls"], row["through"]) for row in table.rows] == [(2, "engine"), (2, "relay")]
    for row in cost.rows:
        assert 0 < number(row, "least") <= number(row, "CPU") <= number(row, "most") < 1000
    assert cost.rows[1]["× relay"] == 1.0
    spoken_s = SMALL.warm_up_s + SMALL.seconds
    for row in delay.rows:
        assert number(row, "frames") >= 2 * 2 * round(spoken_s / 0.02)
        assert all(row[fault] == 0 for fault in ("lost", "doubled", "reordered", "altered"))
        assert 0 < number(row, "to provider p50") <= number(row, "to provider p99") < 1000
        assert 0 < number(row, "to carrier p50") <= number(row, "to carrier p99") < 1000


@pytest.mark.parametrize("measurement", [audio_path.measure, json_libraries.measure])
def test_steps(measurement: Measurement) -> None:
    """Each step was checked against its expected output before it was timed; it takes time, and not long."""
    (table,) = run(measurement)
    assert len(table.rows) >= 6
    for row in table.rows:
        assert 0 < number(row, "least") <= number(row, "CPU") < 5_000


def test_sockets() -> None:
    """Ours cost more than the bare stream under them."""
    (table,) = run(sockets.measure)
    assert [row["socket"] for row in table.rows] == ["stream", "accepted", "dialled"]
    for row in table.rows:
        assert number(row, "together") > 0
        assert 0 < number(row, "one by one") < 50_000
