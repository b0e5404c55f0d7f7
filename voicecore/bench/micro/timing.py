"""How long one step takes, in processor time: many repetitions, several rounds, the median.

Rule: a step is checked before it is timed: after a few warm-up runs its next output
must be as expected, or there is no figure.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence

import attrs

from voicecore.bench.report.result import BenchmarkFailed, Column, Plan, Progress, Result, Value, median

ROUNDS = 5
_WARM_UP_RUNS = 4  #: before a step is checked: filters fill, tables are built

_COLUMNS = (Column("step"), Column("unit of work"), Column("CPU", "µs"), Column("least", "µs"))


@attrs.frozen
class Step:
    """Something to be timed."""

    name: str
    work: str
    """What one run does."""
    run: Callable[[], object]
    expected: object
    """What a run returns after the warm-up."""
    length: int = 1
    """How many times fewer runs are timed than of the shortest steps."""


def timed(name: str, about: str, steps: Iterable[Step], plan: Plan, progress: Progress) -> Sequence[Result]:
    """Return the table of these steps, one row each.

    Raises:
        BenchmarkFailed: A step does not do what it should.
    """
    rows = []
    for step in steps:
        progress(step.name)
        rows.append(_row(step, plan))
    return [Result(name=name, about=about, columns=_COLUMNS, rows=rows)]


def _row(step: Step, plan: Plan) -> dict[str, Value]:
    for _ in range(_WARM_UP_RUNS):
        step.run()
    if step.run() != step.expected:
        raise BenchmarkFailed(f"{step.name}: not the expected output")
    repetitions = max(1, plan.pick(50, 2_000, 20_000) // step.length)
    rounds = [_round_us(step.run, repetitions) for _ in range(ROUNDS)]
    return {"step": step.name, "unit of work": step.work, "CPU": median(rounds), "least": min(rounds)}


def _round_us(run: Callable[[], object], repetitions: int) -> float:
    began_at = time.process_time()
    for _ in range(repetitions):
        run()
    return (time.process_time() - began_at) / repetitions * 1e6
