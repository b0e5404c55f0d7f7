"""The program: which measurements there are, how large they run, where their results go.

    0 done    1 a measurement failed    2 wrong usage

Rule 1: tables go to stdout, what is being done to stderr; an error is one line there.
Rule 2: a new measurement is a module with a function, and a line in MEASUREMENTS.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from voicecore.bench import audio_path, calls, json_libraries, pacing, pickup, sockets
from voicecore.bench.lead_picture import lead_svg
from voicecore.bench.report import as_json, as_text, machine_line
from voicecore.bench.result import BenchmarkFailed, Measurement, Plan, Result, Size
from voicecore.errors import first_cause

MEASUREMENTS: dict[str, Measurement] = {
    "pickup": pickup.measure,
    "calls": calls.measure,
    "audio": audio_path.measure,
    "pacing": pacing.measure,
    "sockets": sockets.measure,
    "json": json_libraries.measure,
}
"""By the names that the command line takes."""

MOST_CALLS = 500
LONGEST_S = 600.0

_DONE, _FAILED, _USAGE = 0, 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the measurements that are asked for; return the exit code."""
    options = _parser().parse_args(arguments)
    plan = Plan(size=Size(options.size), calls=options.calls, seconds=options.seconds, seed=options.seed)
    try:
        results = _run(options.names or list(MEASUREMENTS), plan)
        if options.json is not None:
            options.json.write_bytes(as_json(plan, results))
        if options.picture is not None:
            options.picture.write_text(lead_svg(plan.seed), encoding="utf-8")
    except (BenchmarkFailed, OSError) as failure:
        _say(str(failure))
        return _FAILED
    except KeyboardInterrupt:
        return _FAILED
    return _DONE


def _run(names: Sequence[str], plan: Plan) -> list[Result]:
    print(f"{machine_line()}\n", flush=True)
    results: list[Result] = []
    for name in names:
        _say(name)
        try:
            found = MEASUREMENTS[name](plan, lambda what: _say(f"  {what}"))
        except ExceptionGroup as group:
            raise first_cause(group) from group
        for result in found:
            print(as_text(result), flush=True)
        results += found
    return results


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(_USAGE, f"{self.prog}: {message}\n")


def _parser() -> argparse.ArgumentParser:
    plan = Plan()
    parser = _Parser(prog="voicecore.bench", description="What a call costs, and how much later its audio is.")
    parser.add_argument("names", nargs="*", type=_name, metavar="NAME", help=f"some of: {', '.join(MEASUREMENTS)}")
    parser.add_argument("--calls", type=_calls, default=plan.calls, metavar="N,N", help="calls at once (1,10,50)")
    parser.add_argument("--seconds", type=_seconds, default=plan.seconds, metavar="S", help="for each level (8)")
    parser.add_argument("--seed", type=int, default=plan.seed, metavar="N", help="of all that is drawn (1)")
    parser.add_argument("--size", choices=[size.value for size in Size], default=plan.size.value, help="(full)")
    parser.add_argument("--json", type=_file, metavar="FILE", help="also write the results there")
    parser.add_argument("--picture", type=_file, metavar="FILE", help="also draw some lines of pacing there, as SVG")
    return parser


def _name(text: str) -> str:
    if text not in MEASUREMENTS:
        raise argparse.ArgumentTypeError(f"no measurement {text!r}; there are {', '.join(MEASUREMENTS)}")
    return text


def _calls(text: str) -> tuple[int, ...]:
    counts = text.split(",")
    if not all(count.isascii() and count.isdecimal() and 1 <= int(count) <= MOST_CALLS for count in counts):
        raise argparse.ArgumentTypeError(f"numbers from 1 to {MOST_CALLS} with commas between them, not {text!r}")
    return tuple(int(count) for count in counts)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.1 <= seconds <= LONGEST_S:
        raise argparse.ArgumentTypeError(f"a number from 0.1 to {LONGEST_S:g}, not {text!r}")
    return seconds


def _file(text: str) -> Path:
    path = Path(text)
    try:
        fits = path.parent.is_dir() and not path.is_dir()
    except OSError:  # a name that cannot be one
        fits = False
    if not fits:
        raise argparse.ArgumentTypeError(f"{text[:80]!r} is not a file in a folder that exists")
    return path
