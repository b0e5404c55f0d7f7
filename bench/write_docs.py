"""The generated part of docs/benchmarks.md, and its two pictures.

    write(results)          both, from the figures of a run
    part(results)           the text alone

Rule 1: everything here is made from the results; what an engine is, and what could not
be made equal, is in targets.py and below.
Rule 2: an overloaded engine has no CPU figure.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from figures import Record, is_overloaded, medians
from targets import ENGINES, Engine

from voicecore.bench.report.chart import Panel, chart_svg
from voicecore.bench.report.result import Column, Result, Value
from voicecore.bench.report.tables import shown

REPOSITORY = Path(__file__).parents[1]
DOCUMENT, PICTURES = REPOSITORY / "docs" / "benchmarks.md", REPOSITORY / "docs" / "pictures"
BEGIN = "<!-- From here on written by bench/run.py. -->"
END = "<!-- Up to here. -->"

_OURS, _OURS_CONVERTING = "voicecore", "voicecore-24k"
_LINE = 120
_COST, _DELAY = "against-others-cost.svg", "against-others-delay.svg"

_COST_HEAD = (
    "engine",
    "CPU, ms/call·s",
    "× voicecore",
    "× passed through",
    "memory, KiB/call",
    "messages to provider, /s",
    "to carrier, /s",
    "others, %",
)
_DELAY_HEAD = (
    "engine",
    "to provider p50, ms",
    "p99, ms",
    "first audio p50, ms",
    "p99, ms",
    "answers",
    "barge-in p50, ms",
    "p99, ms",
    "cuts",
    "lost",
    "stale",
)

_METHOD = """\
The conversation load of this repository (`voicecore.bench.load`) with another program in the middle: users
whose frames flow all the time, turns, answers generated five times as fast as speech, a third of them cut by a
barge-in. Each engine is one process on one processor; the load has the other one. Each figure is the median of {rounds}
rounds of {seconds:g} s, which go through all engines in turn, so that whatever else the machine does affects all of
them. Each process runs one call first; opening and ending calls is not measured."""

_TERMS = """\
- *CPU*: user and system, for one second of one call. *× voicecore*: relative to voicecore with the same audio formats,
  G.711 passed through or 24 kHz converted both ways; *× passed through*: relative to voicecore without conversion.
- *messages*: WebSocket messages that the engine sends for one second of one call; much of the cost depends on them.
- *to provider*: a user's frame, from before the carrier's write to after the provider's read. *first audio*: an
  answer's, from before the provider's write to after the carrier's read, on a silent line. *barge-in*: from the
  provider's `speech_started` to the carrier's `clear`. All of it is added by the program in the middle and two
  loopback hops: *floor* and *relay* show what these cost by themselves.
- *answers*, *cuts*: how many values the last two delays are based on, all rounds together. With fewer than a hundred in
  a round, p99 is the largest of the round.
- *stale*: 20 ms frames of a cut answer that came after its clear, which the user then hears; two deltas are still
  on their way when the provider sends `speech_started`. *lost*: frames, both ways.
- Where 24 kHz is converted, frames carry their numbers in the signs of their samples, so that they can be identified
  after any filter; a frame counts as received when 15 of its 20 ms were."""

_LIMIT = """\
The most calls that one processor can run with p99 of *to provider* and *first audio* within 20 ms of what the same
engine adds on a quiet processor (its lowest level above; where that took more than {quiet:.0%} of the processor, two
calls), no frame lost, doubled or altered. Searched from an estimate to {resolution:.0%}, {limit_seconds:g} s per level;
a level has failed when it failed twice. Not for floor and relay, which are not engines."""

_NOT_COMPARED = """\
What could not be made equal:

- voicecore and Pipecat pace answers and send the carrier what it needs, so that a barge-in takes effect where the audio
  is; openai-agents, Patter, floor and relay send everything to the carrier as it comes. That is more work for the
  first two, in smaller messages.
- openai-agents buffers 50 ms of the user's audio before it sends any, as its example does: fewer messages to the
  provider, and 20 to 40 ms of delay. voicecore-60ms is voicecore with that choice, at the same delay; by default it
  sends each frame on at once. Pipecat's resampler outputs its audio in bursts.
- voicecore's process tunes Python's garbage collector, as `voicecore serve` does; the others leave it, as theirs do.
- voicecore answers a signed webhook, the others are called at their media stream: opening is not measured.
- uvicorn has uvloop and httptools everywhere, also where an engine's own instructions do without them.
- The floor and the relay are not engines: they pace nothing, track nothing, and truncate nothing.
- TLS, recordings, tools, kept transcripts, observers: off, or not available."""


def write(results: Record) -> None:
    """Write the marked part of the documentation, and the pictures."""
    text = DOCUMENT.read_text(encoding="utf-8")
    DOCUMENT.write_text(replaced(text, part(results)), encoding="utf-8")
    for name, svg in pictures(results).items():
        (PICTURES / name).write_text(svg, encoding="utf-8")


def replaced(text: str, new: str) -> str:
    """Return a document with its marked part replaced."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{new}\n{END}{after}"


def marked(text: str) -> str:
    """Return the marked part of a document."""
    return text.partition(BEGIN)[2].partition(END)[0].strip()


def part(results: Record) -> str:
    """Return the marked part."""
    settings = results["settings"]
    described = dict(results["machine"])
    head = f"{described.pop('processors')} processors, {described.pop('system')}, {described.pop('python')}"
    machine = ", ".join([head, *(f"{name} {version}" for name, version in described.items())])
    pieces = [
        _wrapped(_METHOD.format(**settings)),
        _TERMS,
        _wrapped(f"{results['date']}: {machine}. {_disturbance(results)}"),
        *(_level_text(results, calls) for calls in settings["levels"]),
        f"![CPU of a call by engine](pictures/{_COST})",
        f"![What engines add, and how soon a barge-in takes effect](pictures/{_DELAY})",
    ]
    if results["limits"]:
        pieces += [_wrapped(_LIMIT.format(**settings)), _limit_text(results)]
    pieces += [_versions_text(results), _NOT_COMPARED]
    return "\n\n".join(pieces) + "\n"


def pictures(results: Record) -> Mapping[str, str]:
    """Return the pictures by the names of their files."""
    cost, delay = _cost_table(results), _delay_table(results)
    return {
        _COST: chart_svg(
            "What a second of a call costs",
            [Panel(cost.name, "CPU", names=2), Panel(cost.name, "memory", names=2)],
            [cost],
        ),
        _DELAY: chart_svg(
            "What engines add, and how soon a barge-in takes effect",
            [
                Panel(delay.name, "frame to provider p50", "p99", names=2),
                Panel(delay.name, "first audio p50", "first audio p99", names=2),
                Panel(delay.name, "barge-in p50", "barge-in p99", names=2),
            ],
            [delay],
        ),
    }


# --- tables ---------------------------------------------------------------


def _level_text(results: Record, calls: int) -> str:
    found = [(engine, medians(results["runs"], engine.name, calls)) for engine in _engines(results)]
    seen = [(engine, record) for engine, record in found if record is not None]
    costs = _markdown(_COST_HEAD, [_cost_row(results, engine, record) for engine, record in seen])
    delays = _markdown(_DELAY_HEAD, [_delay_row(record) for _, record in seen])
    remarks = [remark for engine in _engines(results) if (remark := _remark(results, engine, calls))]
    return "\n\n".join([f"**{calls} calls: cost**", costs, f"**{calls} calls: delay**", delays, *remarks])


def _cost_row(results: Record, engine: Engine, record: Record) -> Sequence[Value]:
    return [
        engine.name,
        None if is_overloaded(record) else record["cpu_ms"],
        _ratio(results, record, _OURS_CONVERTING if engine.is_converting else _OURS),
        _ratio(results, record, _OURS),
        record["memory_kib"],
        record["messages_to_provider"],
        record["messages_to_carrier"],
        None if record["others"] is None else record["others"] * 100,
    ]


def _delay_row(record: Record) -> Sequence[Value]:
    return [
        record["engine"],
        record["to_provider_p50_ms"],
        record["to_provider_p99_ms"],
        record["first_audio_p50_ms"],
        record["first_audio_p99_ms"],
        record["answers"],
        record["barge_in_p50_ms"],
        record["barge_in_p99_ms"],
        record["cuts"],
        record["lost"],
        record["stale_frames"],
    ]


def _ratio(results: Record, record: Record, name: str) -> float | None:
    base = medians(results["runs"], name, record["calls"])
    if base is None or is_overloaded(base) or is_overloaded(record):
        return None
    ratio: float = record["cpu_ms"] / base["cpu_ms"]
    return ratio


def _remark(results: Record, engine: Engine, calls: int) -> str | None:
    found = medians(results["runs"], engine.name, calls)
    if found is not None:
        if is_overloaded(found):
            return f"{engine.name} was overloaded: its CPU figure is the limit of the processor."
        return None
    failures = [run["failed"] for run in results["runs"] if (run["engine"], run["calls"]) == (engine.name, calls)]
    return f"{engine.name}: {failures[0]}." if failures else None


def _limit_text(results: Record) -> str:
    head = (
        "engine",
        "calls on a core",
        "× voicecore",
        "CPU there, ms/call·s",
        "to provider p99, ms",
        "first audio p99, ms",
        "fails with",
        "because",
    )
    limits = {limit["engine"]: limit for limit in results["limits"]}
    return _markdown(head, [_limit_row(limit, limits) for limit in limits.values()])


def _limit_row(limit: Record, limits: Mapping[str, Record]) -> Sequence[Value]:
    base = limits.get(_OURS_CONVERTING if ENGINES[limit["engine"]].is_converting else _OURS)
    return [
        limit["engine"],
        limit["calls"],
        limit["calls"] / base["calls"] if base and base["calls"] else None,
        limit.get("cpu_ms"),
        limit.get("to_provider_p99_ms"),
        limit.get("first_audio_p99_ms"),
        limit["fails_with"],
        limit["because"],
    ]


def _versions_text(results: Record) -> str:
    rows = [[engine.name, results["versions"][engine.name], engine.what] for engine in _engines(results)]
    return _markdown(("engine", "version", "set-up"), rows)


def _disturbance(results: Record) -> str:
    """Say how much else the machine did."""
    others = [run["others"] for run in results["runs"] if run.get("others") is not None]
    if not others:
        return "What else ran on the machine was not recorded."
    prefix = "At real-time priority. " if results["settings"]["real_time"] else ""
    return f"{prefix}Everything else on the machine used {min(others):.0%} to {max(others):.0%} of a processor."


def _engines(results: Record) -> Iterator[Engine]:
    return (ENGINES[name] for name in results["versions"])


def _cost_table(results: Record) -> Result:
    columns = (Column("calls"), Column("engine"), Column("CPU", "ms/call·s"), Column("memory", "KiB/call"))
    rows = [
        {
            "calls": found["calls"],
            "engine": found["engine"],
            "CPU": None if is_overloaded(found) else found["cpu_ms"],
            "memory": found["memory_kib"],
        }
        for found in _found(results)
    ]
    return Result(name="cost of a call", about="", columns=columns, rows=rows)


def _delay_table(results: Record) -> Result:
    figures = {
        "frame to provider p50": "to_provider_p50_ms",
        "p99": "to_provider_p99_ms",
        "first audio p50": "first_audio_p50_ms",
        "first audio p99": "first_audio_p99_ms",
        "barge-in p50": "barge_in_p50_ms",
        "barge-in p99": "barge_in_p99_ms",
    }
    columns = (Column("calls"), Column("engine"), *(Column(name, "ms") for name in figures))
    rows = [
        {
            "calls": found["calls"],
            "engine": found["engine"],
            **{name: None if is_overloaded(found) else found[key] for name, key in figures.items()},
        }
        for found in _found(results)
    ]
    return Result(name="added delay", about="", columns=columns, rows=rows)


def _found(results: Record) -> Iterator[Record]:
    for calls in results["settings"]["levels"]:
        for engine in _engines(results):
            found = medians(results["runs"], engine.name, calls)
            if found is not None:
                yield found


def _wrapped(text: str) -> str:
    return textwrap.fill(text, _LINE, break_long_words=False, break_on_hyphens=False)


def _markdown(head: Sequence[str], rows: Sequence[Sequence[Value]]) -> str:
    lines = [list(head), ["---"] * len(head), *([shown(value) for value in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
