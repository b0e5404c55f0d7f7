"""The program: which measurements exist, how long they run, where their results go.

    0 done    1 a measurement failed    2 wrong usage

Rule 1: tables go to stdout, progress to stderr; an error is one line there.
Rule 2: a new measurement is a module with a function, and a line in MEASUREMENTS.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import attrs

from voicecore.bench.arguments import OneLineParser, call_counts, milliseconds, seconds
from voicecore.bench.load import barge_in, calls, conversation, limit, pickup, teardown
from voicecore.bench.micro import audio_path, json_libraries, machines, pacing, sockets
from voicecore.bench.report.compare import Earlier, comparison, read_earlier
from voicecore.bench.report.pictures import draw
from voicecore.bench.report.result import FULL, SMALL, BenchmarkFailed, Measurement, Plan, Result, Size
from voicecore.bench.report.tables import as_json, as_text, machine_line
from voicecore.errors import first_cause

MEASUREMENTS: dict[str, Measurement] = {
    "pickup": pickup.measure,
    "calls": calls.measure,
    "conversation": conversation.measure,
    "limit": limit.measure,
    "barge-in": barge_in.measure,
    "teardown": teardown.measure,
    "machines": machines.measure,
    "audio": audio_path.measure,
    "pacing": pacing.measure,
    "sockets": sockets.measure,
    "json": json_libraries.measure,
}
"""By the names that the command line takes."""

LONG = frozenset({"limit"})
"""Run only when named, or with --full: they take minutes."""

_DONE, _FAILED = 0, 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the requested measurements; return the exit code."""
    code = _FAILED
    try:
        code = _measure(_parser().parse_args(arguments))
    except* KeyboardInterrupt:
        _say("interrupted")
    return code


def _measure(options: argparse.Namespace) -> int:
    plan = _plan(options)
    names = options.names or [name for name in MEASUREMENTS if plan.size is Size.FULL or name not in LONG]
    try:
        found = _run(names, plan)
        results = [result for tables in found.values() for result in tables]
        if options.json is not None:
            options.json.write_bytes(as_json(plan, results))
        if options.pictures is not None:
            draw(options.pictures, plan, found)
        if options.compare is not None:
            print(comparison(options.compare, plan, results), end="")
    except (BenchmarkFailed, OSError) as failure:
        _say(str(failure))
        return _FAILED
    return _DONE


def _plan(options: argparse.Namespace) -> Plan:
    """Return the plan of the requested size, with the other arguments."""
    size = Size.FULL if options.full else Size(options.size)
    base = {Size.SMALL: SMALL, Size.DESK: Plan(), Size.FULL: FULL}[size]
    given = {
        "calls": options.calls,
        "seconds": options.seconds,
        "seed": options.seed,
        "handshake_s": options.handshake_ms,
        "first_delta_s": options.first_delta_ms,
    }
    return attrs.evolve(base, **{name: value for name, value in given.items() if value is not None})


def _run(names: Sequence[str], plan: Plan) -> dict[str, Sequence[Result]]:
    """Return the tables of these measurements."""
    print(f"{machine_line()}\n", flush=True)
    results: dict[str, Sequence[Result]] = {}
    for name in names:
        _say(name)
        try:
            results[name] = MEASUREMENTS[name](plan, lambda what: _say(f"  {what}"))
        except ExceptionGroup as group:
            raise first_cause(group) from group
        for result in results[name]:
            print(as_text(result), flush=True)
    return results


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = OneLineParser(prog="voicecore.bench", description="What a call costs, and how much latency is added.")
    parser.add_argument("names", nargs="*", type=_name, metavar="NAME", help=f"some of: {', '.join(MEASUREMENTS)}")
    parser.add_argument("--full", action="store_true", help="the long plan: about 40 minutes")
    parser.add_argument(
        "--calls", type=call_counts, metavar="N,N", help="calls at once (1,10,50; full: 1,10,25,50,100)"
    )
    parser.add_argument("--seconds", type=seconds, metavar="S", help="for each level (2; full: 20)")
    parser.add_argument("--seed", type=int, metavar="N", help="of all random choices (1)")
    parser.add_argument("--handshake-ms", type=milliseconds, metavar="MS", help="of the provider, in pickup (300)")
    parser.add_argument("--first-delta-ms", type=milliseconds, metavar="MS", help="of the provider, in pickup (250)")
    parser.add_argument("--size", choices=[size.value for size in Size], default=Size.DESK.value, help="(desk)")
    parser.add_argument("--json", type=_file, metavar="FILE", help="also write the results there")
    parser.add_argument("--pictures", type=_folder, metavar="DIR", help="also draw each measurement there, as SVG")
    parser.add_argument("--compare", type=_earlier, metavar="FILE", help="also compare with what --json wrote earlier")
    return parser


def _name(text: str) -> str:
    if text not in MEASUREMENTS:
        raise argparse.ArgumentTypeError(f"unknown measurement {text!r}; choose from {', '.join(MEASUREMENTS)}")
    return text


def _folder(text: str) -> Path:
    path = Path(text)
    try:
        fits = path.is_dir()
    except OSError:  # not a valid name
        fits = False
    if not fits:
        raise argparse.ArgumentTypeError(f"{text[:80]!r} is not an existing folder")
    return path


def _earlier(text: str) -> Earlier:
    try:
        return read_earlier(Path(text))
    except (OSError, ValueError) as error:
        raise argparse.ArgumentTypeError(f"{text[:80]!r} was not written by --json") from error


def _file(text: str) -> Path:
    path = Path(text)
    try:
        fits = path.parent.is_dir() and not path.is_dir()
    except OSError:  # not a valid name
        fits = False
    if not fits:
        raise argparse.ArgumentTypeError(f"{text[:80]!r} is not a file in an existing folder")
    return path
