"""The engine under load: what a call costs, and how much latency it adds to the audio.

    this process                      child, on a processor of its own
    carrier's lines ──────────────► engine ──► provider ┐
          ▲                           │   ◄── audio ◄───┘  (this process again)
          └───────────────────────────┘

Every call sends 50 frames of 20 ms a second, G.711 passed through; the provider sends
each straight back.  The same load then goes through a relay: the same sockets in a
process that passes messages on unread.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence

import attrs

from voicecore.bench.load.call_log import CallLog, MessageCounts, ProviderAudio
from voicecore.bench.load.echo_session import EchoLog, EchoSession, PlainEchoSession
from voicecore.bench.load.frames import Faults, Track, directions
from voicecore.bench.load.peers import Run, Session, run_calls
from voicecore.bench.load.selector_loop import Connection, Loop
from voicecore.bench.load.targets import PLAIN_PATH, Target, engine_target, relay_target
from voicecore.bench.processes.usage import others, share
from voicecore.bench.report.result import BenchmarkFailed, Column, Plan, Progress, Result, Value, median, percentile

_CALM = 0.25  #: of a processor; with more taken by others, figures are not the engine's own

_ABOUT_COST = """\
CPU of the process between carrier and provider, user and system, for one second of one call; memory that it uses with
these calls, less what it used after a first one. G.711 passed through, 20 ms messages in all four directions (a real
provider's are longer and fewer), no TLS, no recording. Not included: opening and ending calls, the peers.
Relay: the same load through the same sockets, messages passed on unread, no marks."""
_ABOUT_DELAY = """\
From before the write of a frame on one side to after its read on the other, both in one process with one clock: two
loopback hops, the process between them, and the load's own wake-ups. What the provider sends back never runs ahead, so
that no frame waits for its turn to be played: pacing is not included. Frames: all that were sent, warm-up included;
each is compared as a whole. Late: how long after its due time the load sent. Load, others: share of a processor that
this load and everything else on the machine used. Near 100 % load, or with others busy, the delays are not the
engine's: measure again."""
_ABOUT_ADDED = """\
Each percentile of the engine's delays minus the same one of the relay's: what the engine adds to two loopback hops and
a process that passes messages on. With few calls the high ones are the machine's, and may be negative."""

_ENGINE, _RELAY = engine_target().name, relay_target().name
_PERCENTS = (50, 99, 99.9)
_COST = (
    Column("calls"),
    Column("through"),
    Column("CPU", "ms/call·s"),
    Column("least", "ms/call·s"),
    Column("most", "ms/call·s"),
    Column("× relay"),
    Column("memory", "KiB/call"),
)
_DELAY = (
    Column("calls"),
    Column("through"),
    Column("to provider p50", "ms"),
    Column("to provider p99", "ms"),
    Column("to provider p99.9", "ms"),
    Column("to carrier p50", "ms"),
    Column("to carrier p99", "ms"),
    Column("to carrier p99.9", "ms"),
    Column("frames"),
    Column("lost"),
    Column("doubled"),
    Column("reordered"),
    Column("altered"),
    Column("late p99", "ms"),
    Column("load", "%"),
    Column("others", "%"),
)
_ADDED = (Column("calls"), *_DELAY[2:8])


@attrs.frozen(kw_only=True)
class Level:
    """The measurements of one number of calls through one process."""

    calls: int
    through: str
    cpu_ms: Sequence[float]
    """Per call-second, one a slice."""
    memory_kib: float | None
    to_provider_s: Sequence[float]
    to_carrier_s: Sequence[float]
    frames: int
    faults: Faults
    lateness_s: Sequence[float]
    load: float
    """Share of a processor that this process used."""
    others: float | None
    """Share of a processor that everything else on the machine used."""


def measure(plan: Plan, progress: Progress) -> Sequence[Result]:
    """Return the tables of cost, of delay, and of what the engine adds to it.

    Raises:
        BenchmarkFailed: A frame did not arrive as it was sent, or a process failed.
    """
    levels: list[Level] = []
    for calls, target in itertools.product(plan.calls, (engine_target(), relay_target())):
        progress(f"{calls} call{'s' * (calls > 1)} through the {target.name}")
        levels.append(_level(plan, calls, target))
        if (levels[-1].others or 0.0) > _CALM:
            progress(f"  other processes used {levels[-1].others:.0%} of a processor: measure again")
    for level in levels:
        if level.faults != Faults():
            raise BenchmarkFailed(f"{level.calls} calls through the {level.through}: {level.faults}")
    relays = {level.calls: median(level.cpu_ms) for level in levels if level.through == _RELAY}
    return [
        Result(
            name="cost of a call",
            about=_ABOUT_COST,
            columns=_COST,
            rows=[_cost(level, relays[level.calls]) for level in levels],
        ),
        Result(name="delay of a frame", about=_ABOUT_DELAY, columns=_DELAY, rows=[_delay(level) for level in levels]),
        Result(name="added delay", about=_ABOUT_ADDED, columns=_ADDED, rows=list(map(_added, *_by_process(levels)))),
    ]


def _by_process(levels: Sequence[Level]) -> tuple[Sequence[Level], Sequence[Level]]:
    """Return the engine's levels and the relay's, each in the order of the calls."""
    engines, relays = ([level for level in levels if level.through == through] for through in (_ENGINE, _RELAY))
    return engines, relays


def _cost(level: Level, relay_ms: float) -> dict[str, Value]:
    cpu_ms = median(level.cpu_ms)
    return {
        "calls": level.calls,
        "through": level.through,
        "CPU": cpu_ms,
        "least": min(level.cpu_ms),
        "most": max(level.cpu_ms),
        "× relay": cpu_ms / relay_ms,
        "memory": level.memory_kib,
    }


def _delay(level: Level) -> dict[str, Value]:
    return {
        "calls": level.calls,
        "through": level.through,
        **_percentiles(level),
        "frames": level.frames,
        **attrs.asdict(level.faults),
        "late p99": percentile(level.lateness_s, 99) * 1000,
        "load": level.load * 100,
        "others": None if level.others is None else level.others * 100,
    }


def _percentiles(level: Level) -> dict[str, float]:
    """Return the delays both ways in milliseconds, by the names of their columns."""
    ways = {"to provider": level.to_provider_s, "to carrier": level.to_carrier_s}
    return {
        f"{way} p{percent:g}": percentile(delays_s, percent) * 1000
        for way, delays_s in ways.items()
        for percent in _PERCENTS
    }


def _added(engine: Level, relay: Level) -> dict[str, Value]:
    """Return the engine's delays minus the relay's."""
    over = _percentiles(relay)
    return {"calls": engine.calls, **{name: ms - over[name] for name, ms in _percentiles(engine).items()}}


def _level(plan: Plan, calls: int, target: Target) -> Level:
    def new_log(call: int, counts: MessageCounts) -> CallLog:
        rng = random.Random(f"{plan.seed}/{call}")
        track = Track(call, rng)
        return CallLog(call, ProviderAudio.PCMU, track, EchoLog(call, rng, track=track), counts)

    def new_session(loop: Loop, connection: Connection, log: CallLog, head: str) -> Session:
        kind = PlainEchoSession if head.startswith(f"GET {PLAIN_PATH} ") else EchoSession
        return kind(loop, connection, log)

    run = run_calls(
        target, calls, warm_up_s=plan.warm_up_s, seconds=plan.seconds, new_log=new_log, new_session=new_session
    )
    return _level_of(target, run)


def _level_of(target: Target, run: Run) -> Level:
    tracks = [log.user for log in run.logs]
    observed, stretch, calls = run.observed, run.observed.stretch, len(tracks)
    if wrong := sum(log.answers.wrong_clears for log in run.logs):
        raise BenchmarkFailed(f"{calls} calls through the {target.name}: {wrong} clears without a barge-in")
    return Level(
        calls=calls,
        through=target.name,
        cpu_ms=[used / calls * 1000 for used in itertools.starmap(share, itertools.pairwise(observed.usages))],
        memory_kib=run.memory_kib,
        to_provider_s=[each for track in tracks for each in track.to_provider.delays(*stretch)],
        to_carrier_s=[each for track in tracks for each in track.to_carrier.delays(*stretch)],
        frames=sum(direction.frames for direction in directions(tracks)),
        faults=sum((direction.faults() for direction in directions(tracks)), Faults()),
        lateness_s=run.peers.lateness_s,
        load=share(*observed.own),
        others=others(observed.own, observed.usages),
    )
