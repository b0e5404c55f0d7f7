"""How many conversations one processor can run: `python -m voicecore.bench limit`.

Rule: the number is searched for, a few seconds per level, each in a fresh process; the
result is a level that passed, with one above it that failed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs

from voicecore.bench.load.conversation import ms, warn
from voicecore.bench.load.conversation_load import Level, run_level
from voicecore.bench.load.frames import Faults
from voicecore.bench.load.targets import Target, engine_target, relay_target
from voicecore.bench.report.result import BenchmarkFailed, Column, Plan, Progress, Result, Value, median, percentile

DELAY_LIMIT_S = 0.020  #: p99; a frame: later than that, the next one has come

_MOST_TRIED = 400
_STEP = 2.0  #: from the first level to the next
_LOAD_LIMIT = 0.9  #: of a processor
_TRIES = 2  #: a level fails when it fails this often: disturbances only make it worse


@attrs.frozen(kw_only=True)
class Search:
    """How a limit is searched for, and what a level must achieve."""

    first: int = 25
    step: float = _STEP
    """Factor between levels, until one fails, or one passes."""
    resolution: float = 0.05
    """Relative distance between the level that passed and the one that failed."""
    to_provider_s: float = DELAY_LIMIT_S
    """What p99 has to stay under."""
    first_audio_s: float = DELAY_LIMIT_S


_ABOUT_LIMIT = f"""\
Most calls on one processor with p99 of both delays under {DELAY_LIMIT_S * 1000:.0f} ms and no frame lost, doubled or
altered: doubled until it fails, then bisected, to {Search().resolution:.0%}. A level has failed when it failed
{_TRIES} times; where nothing failed, the limit may be higher."""

_LIMIT = (
    Column("through"),
    Column("calls"),
    Column("CPU", "ms/call·s"),
    Column("to provider p99", "ms"),
    Column("first audio p99", "ms"),
    Column("fails with"),
    Column("because"),
    Column("others", "%"),
)


def measure(plan: Plan, progress: Progress) -> Sequence[Result]:
    """Return the table of the most calls on one processor, for the engine and the relay."""
    return [limit_table([find_limit(target, plan, progress) for target in (engine_target(), relay_target())])]


@attrs.frozen
class Limit:
    """The limit of one target."""

    target: str
    best: Level | None
    """None: not even the smallest level passed."""
    fails_with: int | None
    """None: no level failed; the limit may be higher."""
    because: str
    """Why that level failed, or why no more was tried."""


def find_limit(target: Target, plan: Plan, progress: Progress, search: Search | None = None) -> Limit:
    """Search for the largest number of calls that passes; a level takes a few seconds."""
    search = search or Search()
    most = plan.pick(min(plan.calls), _MOST_TRIED, _MOST_TRIED)
    best: Level | None = None
    good, bad, because = 0, most + 1, f"more than {most} were not tried"
    calls = max(1, min(search.first, most))
    while bad - good > max(1, int(good * search.resolution)):
        progress(f"{calls} conversations through the {target.name}")
        level, wrong = _try(target, calls, plan, search, progress)
        if level is not None and level.load > _LOAD_LIMIT:
            return Limit(target.name, level if wrong is None else best, None, f"the load's own limit, at {calls} calls")
        if level is not None and wrong is None:
            best, good = level, calls
        else:
            bad, because = calls, wrong or ""
        if good == most:
            break
        calls = _next(good, bad, most, search.step)
    return Limit(target.name, best, None if bad > most else bad, because)


def _next(good: int, bad: int, most: int, step: float) -> int:
    """Return the number of calls to try next, when ``good`` passed and ``bad`` failed."""
    if bad > most:
        return min(max(good + 1, int(good * step)), most)
    if good == 0:
        return min(bad - 1, int(bad / step))
    return (good + bad) // 2


def _try(target: Target, calls: int, plan: Plan, search: Search, progress: Progress) -> tuple[Level | None, str | None]:
    """Return a level and why it failed, or None; the best of a few tries."""
    level: Level | None = None
    wrong: str | None = None
    for _ in range(_TRIES):
        try:
            level = run_level(target, calls, plan)
        except BenchmarkFailed as failed:
            wrong = str(failed)
            continue
        wrong = next(_wrong(level, search), None)
        if wrong is None or level.load > _LOAD_LIMIT:
            break
        warn(level, progress)
    if wrong is not None:
        progress(f"  {wrong}")
    return level, wrong


def _wrong(level: Level, search: Search) -> Iterator[str]:
    """Yield the reasons why a level fails."""
    if level.faults != Faults():
        yield f"frames: {level.faults.lost} lost, {level.faults.doubled} doubled, {level.faults.altered} altered"
    limits = (
        ("to provider", level.to_provider_s, search.to_provider_s),
        ("first audio", level.first_audio_s, search.first_audio_s),
    )
    for name, delays, limit_s in limits:
        if delays and percentile(delays, 99) >= limit_s:
            yield f"{name}: p99 {percentile(delays, 99) * 1000:.0f} ms"


def limit_table(limits: Sequence[Limit]) -> Result:
    """Return limits as a table."""
    return Result(name="calls on one processor", about=_ABOUT_LIMIT, columns=_LIMIT, rows=[_row(e) for e in limits])


def _row(limit: Limit) -> dict[str, Value]:
    level = limit.best
    return {
        "through": limit.target,
        "calls": level.calls if level else 0,
        "CPU": median(level.cpu_ms) if level else None,
        "to provider p99": ms(level.to_provider_s, 99) if level else None,
        "first audio p99": ms(level.first_audio_s, 99) if level else None,
        "fails with": limit.fails_with,
        "because": limit.because,
        "others": level.others * 100 if level and level.others is not None else None,
    }
