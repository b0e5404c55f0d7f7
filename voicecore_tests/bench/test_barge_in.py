"""The barge-in measurement: what makes it fail, and what the engine's own facts say of a clear."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from voicecore.bench.load import barge_in
from voicecore.bench.load.conversation_load import Level
from voicecore.bench.load.frames import Faults
from voicecore.bench.processes.barge_in_process import ClearTimes
from voicecore.bench.report.result import FULL, SMALL, BenchmarkFailed, Plan
from voicecore.facts import BargeInConfirmed, ClearSent

GOOD = Level(
    target="engine",
    calls=2,
    seconds=1.0,
    cpu_ms=[1.0],
    memory_kib=None,
    to_provider_s=[0.001],
    first_audio_s=[0.001],
    barge_in_s=[0.001, 0.003],
    messages={},
    faults=Faults(),
    stale_frames=0.0,
    missed_barge_ins=0,
    wrong_clears=0,
    filled_frames=0.0,
    holes_s=[],
    heard_s=1.0,
    unknown_requests=[],
    lateness_s=[0.0],
    load=0.1,
    others=None,
)


def test_a_row_has_what_was_seen() -> None:
    """In milliseconds; what the engine does not report stays empty."""
    barge_in._check(GOOD)
    row = barge_in._row(GOOD, [])
    assert (row["cuts"], row["clear p50"], row["clear p99.9"]) == (2, 1.0, 3.0)
    assert row["in the engine p50"] is None


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"stale_frames": 0.5}, "0.5 stale frames"),
        ({"missed_barge_ins": 1}, "1 cuts without a clear"),
        ({"wrong_clears": 2}, "2 clears without a cut"),
        ({"faults": Faults(lost=3)}, "lost=3"),
        ({"barge_in_s": []}, "no barge-in"),
    ],
)
def test_what_must_not_happen_makes_the_run_fail(change: dict[str, Any], why: str) -> None:
    """A cut without a clear yields no figure."""
    with pytest.raises(BenchmarkFailed, match=f"barge-ins on 2 calls: {why}|{why}"):
        barge_in._check(attrs.evolve(GOOD, **change))


def test_few_calls_are_looked_at_for_longer() -> None:
    """One call is cut less than once a second."""
    for plan in (SMALL, Plan(), FULL):
        lengths = [barge_in._seconds(calls, plan) for calls in (1, 10, 100)]
        assert lengths == sorted(lengths, reverse=True)
        assert min(lengths) >= plan.seconds


def test_a_clear_is_told_from_its_own_onset() -> None:
    """Calls side by side; a clear without a barge-in (a key, a machine) is not one."""
    times = ClearTimes()
    times.take("one", BargeInConfirmed(2.0, "response", 1.0, 1.5, "2 words"))
    times.take("two", ClearSent(2.25, 0.0))
    times.take("one", ClearSent(2.25, 0.25))
    times.take("one", ClearSent(3.0, 0.0))
    assert times.seconds == [0.75]
