"""voicecore and other engines under the same load: `python bench/run.py`.

    --levels 10,50      calls at once, one level after the other
    --seconds 5         how long each level is measured
    --rounds 2          through all engines, in turn
    --engines a,b       some of targets.py; all without it
    --pcm               voicecore alone, passed through and with 24 kHz on the provider's side: what converting costs
    --limit             also search for the most calls that one processor can run
    --out FILE          where the results go: with all engines to results/latest.json, from which the documentation
                        is then written; with some of them to bench-output/

    0 done    1 an engine could not be prepared, or a file not be written    2 wrong usage

Rule 1: progress goes to stderr, tables to stdout; every run is in the file.
Rule 2: an engine that fails at a level is listed with its reason, and the others go on;
a level that its own CPU rules out is not tried.
"""

from __future__ import annotations

import argparse
import datetime as dt
import itertools
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import orjson
import write_docs
from figures import FULL_S, Record, is_overloaded, medians, of_level, of_limit
from targets import ENGINES, RUNNERS, Engine, prepare, target, version

from voicecore.bench.arguments import OneLineParser, call_counts, seconds
from voicecore.bench.load.conversation import tables, warn
from voicecore.bench.load.conversation_load import Level, run_level
from voicecore.bench.load.limit import DELAY_LIMIT_S, Search, find_limit
from voicecore.bench.report.result import BenchmarkFailed, Plan
from voicecore.bench.report.tables import as_text, machine

RESULTS = Path(__file__).parent / "results" / "latest.json"
PART = Path(__file__).parents[1] / "bench-output" / "comparison.json"
MOST_ROUNDS = 9
QUIET = 0.6  #: share of a processor above which an engine's delays are not its own any more

_PCM = ("voicecore", "voicecore-24k")
_TOO_MUCH = 1.5  # processors, estimated from a smaller level: a call costs less among many
_NO_LIMIT = frozenset({"floor", "relay"})  # no engines, and the load reaches its limit first
_LIMIT_S = 3.0
_QUIET_CALLS = 2
_FEW_GUESS, _MANY_GUESS = (
    0.6,
    1.2,
)  # share of what the CPU of few or many calls would allow: delays end it, or CPU per call falls
_STEP, _RESOLUTION = 1.4, 0.15
_DONE, _FAILED = 0, 1


@attrs.frozen(kw_only=True)
class Options:
    """The command line."""

    engines: Sequence[Engine]
    plan: Plan
    rounds: int
    limit: bool
    out: Path


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a comparison; return the exit code."""
    code = _FAILED
    try:
        code = _run(_options(arguments))
    except* KeyboardInterrupt:
        _say("interrupted")
    return code


def _run(options: Options) -> int:
    try:
        for engine in options.engines:
            prepare(engine, _say)
        results = compare(options)
        options.out.parent.mkdir(exist_ok=True)
        options.out.write_bytes(orjson.dumps(results, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
        if options.out == RESULTS:
            write_docs.write(results)
    except (BenchmarkFailed, OSError) as failure:
        _say(str(failure))
        return _FAILED
    return _DONE


def compare(options: Options) -> Record:
    """Run all of it; return the results as the file has them."""
    runs: list[dict[str, Any]] = []
    for number in range(1, options.rounds + 1):
        runs += _round(number, options, runs)
    searched = [engine for engine in options.engines if options.limit and engine.name not in _NO_LIMIT]
    return {
        "date": dt.datetime.now(tz=dt.UTC).date().isoformat(),
        "machine": machine(),
        "settings": {
            "levels": options.plan.calls,
            "seconds": options.plan.seconds,
            "rounds": options.rounds,
            "seed": options.plan.seed,
            "real_time": os.sched_getscheduler(0) in {os.SCHED_RR, os.SCHED_FIFO},
            "quiet": QUIET,
            "limit_seconds": _LIMIT_S,
            "resolution": _RESOLUTION,
        },
        "versions": {engine.name: version(engine) for engine in options.engines},
        "runs": runs,
        "limits": [_limit(engine, options.plan, runs) for engine in searched],
    }


def _round(number: int, options: Options, before: Sequence[Record]) -> list[dict[str, Any]]:
    """Return the records of one round, through all levels and engines; print its tables."""
    records: list[dict[str, Any]] = []
    levels: list[Level] = []
    for calls, engine in itertools.product(options.plan.calls, options.engines):
        record: dict[str, Any] = {"engine": engine.name, "calls": calls, "round": number}
        seen = _beyond(engine, calls, [*before, *records]) or _seen(engine, calls, number, options.plan)
        if isinstance(seen, str):
            _say(f"  {seen}")
            records.append({**record, "failed": seen})
        else:
            warn(seen, _say)
            levels.append(seen)
            records.append({**record, **of_level(seen)})
    for table in tables(levels) if levels else ():
        print(as_text(table), flush=True)
    return records


def _seen(engine: Engine, calls: int, number: int, plan: Plan) -> Level | str:
    """Return the measurements of one level, or why there are none."""
    _say(f"round {number}: {calls} calls through {engine.name}")
    try:
        return run_level(target(engine), calls, plan)
    except BenchmarkFailed as failure:
        return str(failure).replace(f"{RUNNERS.parent}/", "")


def _beyond(engine: Engine, calls: int, before: Sequence[Record]) -> str | None:
    """Return why a level is not tried, judging by a smaller one; None: it is tried."""
    for run in before:
        if run["engine"] == engine.name and run["calls"] < calls and "failed" not in run:
            share = run["share"] * calls / run["calls"]
            if share > _TOO_MUCH or is_overloaded(run):
                return f"not tried: {calls} calls would take {share:.1f} processors"
    return None


# --- limits ---------------------------------------------------------------


def _limit(engine: Engine, plan: Plan, runs: Sequence[Record]) -> dict[str, Any]:
    """Search for the most calls that a processor can run."""
    short = attrs.evolve(plan, seconds=_LIMIT_S)
    try:
        quiet = _quiet(engine, short, runs)
    except BenchmarkFailed as failure:
        return {"engine": engine.name, "calls": 0, "fails_with": _QUIET_CALLS, "because": str(failure)}
    search = Search(
        first=_guess(engine, plan, runs, quiet),
        step=_STEP,
        resolution=_RESOLUTION,
        to_provider_s=DELAY_LIMIT_S + (quiet["to_provider_p99_ms"] or 0.0) / 1000,
        first_audio_s=DELAY_LIMIT_S + (quiet["first_audio_p99_ms"] or 0.0) / 1000,
    )
    return {"engine": engine.name, **of_limit(find_limit(target(engine), short, _say, search))}


def _quiet(engine: Engine, plan: Plan, runs: Sequence[Record]) -> Record:
    """Return the figures of an engine under little load."""
    found = medians(runs, engine.name, min(plan.calls))
    if found is not None and found["share"] <= QUIET:
        return found
    _say(f"{_QUIET_CALLS} calls through {engine.name}")
    return of_level(run_level(target(engine), _QUIET_CALLS, plan))


def _guess(engine: Engine, plan: Plan, runs: Sequence[Record], quiet: Record) -> int:
    """Return how many calls to try first, by what a call costs at the highest level that an engine has managed."""
    found = [medians(runs, engine.name, calls) for calls in plan.calls]
    measured = [record for record in found if record is not None and not is_overloaded(record)]
    most = measured[-1] if measured else quiet
    share = _MANY_GUESS if most.get("calls", 0) > min(plan.calls) else _FEW_GUESS
    return max(1, int(1000 * FULL_S / most["cpu_ms"] * share))


# --- the command line ---------------------------------------------------------------


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _options(arguments: Sequence[str] | None) -> Options:
    parser = OneLineParser(prog="bench/run.py", description="voicecore and other engines under the same load.")
    parser.add_argument("--levels", type=call_counts, default=(10, 50), metavar="N,N", help="calls at once (10,50)")
    parser.add_argument("--seconds", type=seconds, default=5.0, metavar="S", help="for each level (5)")
    parser.add_argument("--rounds", type=_rounds, default=2, metavar="N", help="through all engines (2)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of all random choices (1)")
    parser.add_argument("--limit", action="store_true", help="also search for the most calls that a processor can run")
    parser.add_argument("--out", type=Path, default=None, metavar="FILE", help="where the results go")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--engines", type=_engines, metavar="NAME,…", help=f"some of: {', '.join(ENGINES)}")
    which.add_argument("--pcm", action="store_true", help="voicecore alone, passed through and with 24 kHz")
    given = parser.parse_args(arguments)
    engines = _engines(",".join(_PCM)) if given.pcm else given.engines or tuple(ENGINES.values())
    is_whole = len(engines) == len(ENGINES)
    return Options(
        engines=engines,
        plan=Plan(calls=tuple(sorted(given.levels)), seconds=given.seconds, seed=given.seed),
        rounds=given.rounds,
        limit=given.limit,
        out=(given.out or (RESULTS if is_whole else PART)).resolve(),
    )


def _rounds(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= MOST_ROUNDS):
        raise argparse.ArgumentTypeError(f"a number from 1 to {MOST_ROUNDS}, not {text!r}")
    return int(text)


def _engines(text: str) -> tuple[Engine, ...]:
    names = text.split(",")
    if unknown := [name for name in names if name not in ENGINES]:
        raise argparse.ArgumentTypeError(f"unknown engine {unknown[0]!r}; choose from {', '.join(ENGINES)}")
    return tuple(ENGINES[name] for name in dict.fromkeys(names))


if __name__ == "__main__":
    sys.exit(main())
