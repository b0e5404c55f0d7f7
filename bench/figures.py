"""Figures of a comparison: one record per run, their medians, and the file that keeps them.

    {"date", "machine", "settings", "versions",
     "runs":   [{"engine", "calls", "round", figures…  or "failed"}],
     "limits": [{"engine", "calls", figures…, "fails_with", "because"}]}

Rule: the figures in the documentation come from this file; the file has every run, and
the medians are computed from it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from voicecore.bench.load.conversation import ms
from voicecore.bench.load.conversation_load import Level
from voicecore.bench.load.limit import Limit

Record = Mapping[str, Any]

FULL_S = 0.95  #: of a processor: an engine that uses this much is overloaded
_SUMMED = frozenset({"answers", "cuts", "lost", "doubled", "altered", "missed"})
_NAMES = ("engine", "calls")


def of_level(level: Level) -> dict[str, Any]:
    """Return the figures of one run."""
    return {
        "cpu_ms": median(level.cpu_ms),
        "share": median(level.cpu_ms) * level.calls / 1000,
        "memory_kib": level.memory_kib,
        "to_provider_p50_ms": ms(level.to_provider_s, 50),
        "to_provider_p99_ms": ms(level.to_provider_s, 99),
        "first_audio_p50_ms": ms(level.first_audio_s, 50),
        "first_audio_p99_ms": ms(level.first_audio_s, 99),
        "answers": len(level.first_audio_s),
        "barge_in_p50_ms": ms(level.barge_in_s, 50),
        "barge_in_p99_ms": ms(level.barge_in_s, 99),
        "cuts": len(level.barge_in_s),
        "lost": level.faults.lost,
        "doubled": level.faults.doubled,
        "altered": level.faults.altered,
        "stale_frames": level.stale_frames,
        "missed": level.missed_barge_ins,
        "holes_a_minute": level.holes_a_minute,
        **{f"messages_{way}": count for way, count in level.messages.items()},
        "load": level.load,
        "others": level.others,
    }


def of_limit(limit: Limit) -> dict[str, Any]:
    """Return the figures of a search."""
    best = of_level(limit.best) if limit.best is not None else {}
    calls = limit.best.calls if limit.best is not None else 0
    return {"calls": calls, **best, "fails_with": limit.fails_with, "because": limit.because}


def medians(runs: Sequence[Record], engine: str, calls: int) -> Record | None:
    """Return the median of each figure over an engine's rounds, counts summed; None where no run has any."""
    found = [run for run in runs if (run["engine"], run["calls"]) == (engine, calls) and "failed" not in run]
    if not found:
        return None
    names = [name for name in found[0] if name not in {*_NAMES, "round"}]
    return {"engine": engine, "calls": calls, **{name: _middle(name, found) for name in names}}


def is_overloaded(record: Record) -> bool:
    """Whether an engine had more to do than one processor can do."""
    share: float = record["share"]
    return share > FULL_S


def _middle(name: str, runs: Sequence[Record]) -> float | None:
    values = [run[name] for run in runs if run[name] is not None]
    if not values:
        return None
    return sum(values) if name in _SUMMED else median(values)
