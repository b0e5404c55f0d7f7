"""How soon a barge-in takes effect: every answer is cut while the provider still streams it.

The load of conversation_load.py with a turn cycle of its own: a short utterance of the
user, an answer, and the next utterance half a second into it, again and again.

    provider writes speech_started ──► engine ──► carrier reads clear

Rule: audio of a cut answer after its clear, a cut without a clear, a clear without a
cut, or a damaged frame makes the run fail.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import attrs
import orjson

from voicecore.bench.load.conversation_load import Level, run_level
from voicecore.bench.load.frames import Faults
from voicecore.bench.load.targets import Target, engine_target
from voicecore.bench.load.turn_cycle import Turn, TurnCycle
from voicecore.bench.report.result import BenchmarkFailed, Column, Plan, Progress, Result, Value, percentile

_TURN = Turn(user_s=0.4, answer_s=6.0, cut_s=0.5)
_CYCLE = TurnCycle(cycle=(_TURN,), silence_s=0.2, thinking_s=0.1, first_delta_s=0.1)
_CALM = 0.25  #: of a processor; with more taken by others, figures are not the engine's own
_ABOUT = """\
From before the provider's write of speech_started to after the carrier's read of clear, both in one process with one
clock: this includes two loopback hops, the engine, and the load's own wake-ups. The provider is still generating, five
times as fast as speech. From that clear on the user hears nothing: the carrier drops what is queued, and no audio of
the cut answer came after it (stale), or the run would have failed. In the engine: from speech_started read to clear
written, by its own facts, warm-up included. Others: share of a processor that everything else on the machine used."""
_COLUMNS = (
    Column("calls"),
    Column("cuts"),
    Column("clear p50", "ms"),
    Column("clear p99", "ms"),
    Column("clear p99.9", "ms"),
    Column("in the engine p50", "ms"),
    Column("in the engine p99", "ms"),
    Column("stale"),
    Column("missed"),
    Column("load", "%"),
    Column("others", "%"),
)


def measure(plan: Plan, progress: Progress) -> Sequence[Result]:
    """Return the table of barge-ins.

    Raises:
        BenchmarkFailed: Stale audio was heard, a cut had no clear, or a frame was damaged.
    """
    rows = []
    for calls in plan.calls:
        progress(f"barge-ins on {calls} call{'s' * (calls > 1)}")
        level, inside_s = _level(calls, plan)
        if (level.others or 0.0) > _CALM:
            progress(f"  other processes used {level.others:.0%} of a processor: measure again")
        rows.append(_row(level, inside_s))
    return [Result(name="from the user's onset to silence", about=_ABOUT, columns=_COLUMNS, rows=rows)]


def _level(calls: int, plan: Plan) -> tuple[Level, Sequence[float]]:
    """Return what the load saw, and what the engine reports."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clears.json"
        level = run_level(_target(path), calls, attrs.evolve(plan, seconds=_seconds(calls, plan)), _CYCLE)
        _check(level)
        return level, orjson.loads(path.read_bytes())


def _seconds(calls: int, plan: Plan) -> float:
    """Return how long a level is measured: longer with few calls, so that there are enough cuts."""
    enough = plan.pick(6, 60, 2_000) * _CYCLE.length_s(_TURN) / calls
    return max(plan.seconds, min(enough, plan.pick(2.5, 5.0, 120.0)))


def _target(path: Path) -> Target:
    def command(provider: str, calls: int) -> Sequence[str]:
        module = "voicecore.bench.processes.barge_in_process"
        return [sys.executable, "-m", module, f"{provider}/v1", str(calls), str(path)]

    return attrs.evolve(engine_target(), command=command)


def _check(level: Level) -> None:
    found = {
        "stale frames": level.stale_frames,
        "cuts without a clear": level.missed_barge_ins,
        "clears without a cut": level.wrong_clears,
    }
    wrong = [f"{count:g} {what}" for what, count in found.items() if count]
    if level.faults != Faults():
        wrong.append(str(level.faults))
    if not level.barge_in_s:
        wrong.append("no barge-ins")
    if wrong:
        raise BenchmarkFailed(f"barge-ins on {level.calls} calls: {', '.join(wrong)}")


def _row(level: Level, inside_s: Sequence[float]) -> dict[str, Value]:
    cuts_s = level.barge_in_s
    return {
        "calls": level.calls,
        "cuts": len(cuts_s),
        "clear p50": percentile(cuts_s, 50) * 1000,
        "clear p99": percentile(cuts_s, 99) * 1000,
        "clear p99.9": percentile(cuts_s, 99.9) * 1000,
        "in the engine p50": percentile(inside_s, 50) * 1000 if inside_s else None,
        "in the engine p99": percentile(inside_s, 99) * 1000 if inside_s else None,
        "stale": round(level.stale_frames),
        "missed": level.missed_barge_ins,
        "load": level.load * 100,
        "others": None if level.others is None else level.others * 100,
    }
