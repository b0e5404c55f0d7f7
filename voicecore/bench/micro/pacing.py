"""Whether the line ever runs dry: the playout ledger over lines with round trips, jitter and lost marks.

Three tables: under-runs with a fixed lead and with the one that follows jitter, in
virtual time; the greatest jitter without any; and what a message costs by its size, in
processor time.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import attrs

from voicecore.audio.formats import PCMU_8K
from voicecore.bench.micro.line_model import Course, Line, Talk, course
from voicecore.bench.micro.timing import Step, timed
from voicecore.bench.report.result import Column, Plan, Progress, Result, Size, Value, median, percentile
from voicecore.events import LegStarted, PlaceMark, PlayAudio
from voicecore.net.websocket.frame_codec import Opcode, encode_frame
from voicecore.simulation.twilio.messages import StreamWriter
from voicecore.turns.playout.ledger import PlayoutLedger, PlayoutSettings
from voicecore.wire.twilio_media import TwilioMedia

ADAPTING = PlayoutSettings()
FIXED = attrs.evolve(ADAPTING, lead_limit_s=ADAPTING.lead_s)

_DELAYS_S = (0.02, 0.3)
_JITTERS_S = (0.0, 0.1, 0.2, 0.4, 0.8)
_LOSSES = (0.0, 0.3)
_SIZES_S = (0.02, 0.04, 0.06, 0.1)
_JITTER_STEP_S = 0.02
_MOST_JITTER_S = 1.2

_ABOUT_LINES = """\
Virtual time: the real ledger, a line that delays messages by the delay and up to the jitter, drawn uniformly for each
50 ms, both ways and in order, and the carrier twin's playout. Speech is generated four times as fast as real time.
Under-runs are what the user hears: gaps at the carrier, per minute of speech. The first utterance of a call is shown
separately: the jitter has not been measured yet. Lead: in force, by pieces sent; trip: the estimated round trip at the
end of a call, median of all calls."""
_ABOUT_LIMITS = """\
The greatest jitter (steps of 20 ms, one-way delay 100 ms) at which no call had an under-run. Generated: how much
faster than real time; audio that does not exist yet cannot be sent ahead."""
_ABOUT_SIZES = """\
Playout (push, due, marks and their returns), Twilio's JSON and the WebSocket frame. Not included: the write itself, one
per message."""


def measure(plan: Plan, progress: Progress) -> Sequence[Result]:
    """Return the three tables."""
    talk = Talk(utterances=2, utterance_s=2.0) if plan.size is Size.SMALL else Talk()
    few, many = plan.pick(2, 2, 10), plan.pick(2, 4, 40)
    calls, more = (_Calls(range(plan.seed, plan.seed + count), talk) for count in (few, many))
    return [_lines(calls, progress), _limits(more, progress), _sizes(plan, progress)]


class _Calls:
    """A number of calls over a line."""

    def __init__(self, seeds: range, talk: Talk) -> None:
        self._seeds = seeds
        self._talk = talk

    def generated(self, times: float) -> _Calls:
        """Return the same calls with speech that is generated slower or faster."""
        return _Calls(self._seeds, attrs.evolve(self._talk, generated=times))

    def over(self, line: Line, settings: PlayoutSettings) -> list[Course]:
        return [course(line, self._talk, settings, seed) for seed in self._seeds]

    def per_minute(self, courses: Sequence[Course], utterances: slice) -> float:
        """Return the under-runs of these utterances per minute of speech."""
        counts = [count for each in courses for count in each.underruns[utterances]]
        return sum(counts) / (len(counts) * self._talk.utterance_s / 60)


_FIRST, _LATER, _ALL = slice(0, 1), slice(1, None), slice(None)


# --- under-runs ---------------------------------------------------------------------


def _lines(calls: _Calls, progress: Progress) -> Result:
    names = (("delay", "ms"), ("jitter", "ms"), ("lost", "%"), ("fixed lead", "/min"))
    more = (("adapting, 1st", "/min"), ("adapting, later", "/min"), ("lead p50", "ms"), ("lead p99", "ms"))
    columns = [Column(*each) for each in (*names, *more, ("trip", "ms"))]
    rows = []
    for jitter_s in _JITTERS_S:
        progress(f"jitter of {jitter_s * 1000:.0f} ms")
        for loss, delay_s in itertools.product(_LOSSES, _DELAYS_S):
            rows.append(_row(calls, Line(delay_s=delay_s, jitter_s=jitter_s, loss=loss)))
    return Result(name="under-runs by line", about=_ABOUT_LINES, columns=columns, rows=rows)


def _row(calls: _Calls, line: Line) -> dict[str, Value]:
    adapting = calls.over(line, ADAPTING)
    leads_ms = [lead_s * 1000 for each in adapting for _, lead_s in each.leads]
    trips_s = [each.line.round_trip_s for each in adapting]
    return {
        "delay": round(line.delay_s * 1000),
        "jitter": round(line.jitter_s * 1000),
        "lost": round(line.loss * 100),
        "fixed lead": calls.per_minute(calls.over(line, FIXED), _ALL),
        "adapting, 1st": calls.per_minute(adapting, _FIRST),
        "adapting, later": calls.per_minute(adapting, _LATER),
        "lead p50": round(percentile(leads_ms, 50)),
        "lead p99": round(percentile(leads_ms, 99)),
        "trip": round(median([trip_s for trip_s in trips_s if trip_s is not None]) * 1000),
    }


def _limits(calls: _Calls, progress: Progress) -> Result:
    progress("greatest jitter without an under-run")
    columns = [Column("lead"), Column("generated", "×"), Column("1st utterance", "ms"), Column("later", "ms")]
    leads = (("fixed", FIXED), ("adapting", ADAPTING))
    cases = itertools.product(leads, (("4", 4.0), ("at once", math.inf)))
    rows = [
        {"lead": name, "generated": speed, **_limit(calls.generated(times), settings)}
        for (name, settings), (speed, times) in cases
    ]
    return Result(name="jitter without under-runs", about=_ABOUT_LIMITS, columns=columns, rows=rows)


def _limit(calls: _Calls, settings: PlayoutSettings) -> dict[str, Value]:
    limits: dict[str, Value] = {"1st utterance": None, "later": None}
    jitters_s = (step * _JITTER_STEP_S for step in itertools.count())
    while None in limits.values() and (jitter_s := next(jitters_s)) <= _MOST_JITTER_S:
        courses = calls.over(Line(delay_s=0.1, jitter_s=jitter_s), settings)
        for column, utterances in (("1st utterance", _FIRST), ("later", _LATER)):
            if limits[column] is None and calls.per_minute(courses, utterances) > 0:
                limits[column] = round((jitter_s - _JITTER_STEP_S) * 1000)
    return limits


# --- sizes --------------------------------------------------------------------------


def _sizes(plan: Plan, progress: Progress) -> Result:
    steps = [Step(f"{size_s * 1000:.0f} ms", "", _sender(size_s), PCMU_8K.bytes_in(size_s)) for size_s in _SIZES_S]
    (table,) = timed("", "", steps, plan, progress)
    columns = [Column("audio", "ms"), Column("messages", "/s"), Column("CPU", "µs/s"), Column("least", "µs/s")]
    rows = [_size(size_s, row["CPU"], row["least"]) for size_s, row in zip(_SIZES_S, table.rows, strict=True)]
    return Result(name="size of media messages", about=_ABOUT_SIZES, columns=columns, rows=rows)


def _size(size_s: float, cpu_us: Value, least_us: Value) -> dict[str, Value]:
    per_second = [each / size_s for each in (cpu_us, least_us) if isinstance(each, float)]
    return {"audio": round(size_s * 1000), "messages": 1 / size_s, "CPU": per_second[0], "least": per_second[1]}


def _sender(size_s: float) -> Callable[[], int]:
    """Return the work on a piece of this size, from the provider's delta to the frame on the socket."""
    writer, codec = StreamWriter("AC" + "0" * 32, "CA" + "0" * 32, "MZ" + "0" * 32), TwilioMedia()
    codec.receive(writer.connected())
    if not isinstance(codec.receive(writer.start({})), LegStarted):
        return lambda: 0
    ledger = PlayoutLedger(PCMU_8K, attrs.evolve(ADAPTING, piece_s=size_s))
    audio, clock = bytes(PCMU_8K.bytes_in(size_s)), itertools.count()

    def run() -> int:
        now = next(clock) * size_s
        ledger.push("response", "item", audio)
        orders = ledger.due(now)
        for order in orders:
            encode_frame(Opcode.TEXT, codec.send(order).encode())
            if isinstance(order, PlaceMark):
                ledger.echoed(order.name, now)
        return sum(len(order.audio) for order in orders if isinstance(order, PlayAudio))

    return run
