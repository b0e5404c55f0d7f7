"""The conversation measurement: what it prints, and levels of the conversation load as three tables."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from voicecore.bench.load.conversation_load import Level, run_level
from voicecore.bench.load.frames import Faults
from voicecore.bench.load.targets import engine_target, relay_target
from voicecore.bench.report.result import BenchmarkFailed, Column, Plan, Progress, Result, Value, median, percentile

CALM = 0.25  #: of a processor; with more taken by others, figures are not the target's own
_ABOUT_COST = """\
Whole conversations: user's frames all the time, answers generated 5 × as fast as speech, a third of them cut by a
barge-in. CPU of the process between carrier and provider, user and system, for one second of one call; memory that it
uses with these calls, less what it used after a first one; WebSocket messages by way, for one second of one call. Not
included: opening and ending calls, the peers, TLS, recordings."""
_ABOUT_DELAY = """\
To provider: from before the carrier's write of a 20 ms frame to after the provider's read. First audio: from before the
provider's write of an answer's first delta to after the carrier's read, where the line was silent: nothing had to wait
for its turn. Barge-in: from before the provider's write of speech_started to after the carrier's read of clear. Both
ends in one process with one clock: two loopback hops and the load's own wake-ups are in all of them."""
_ABOUT_SOUND = """\
What the user hears. Lost, doubled, altered: frames of both ways, compared byte by byte. Stale: frames of a cut answer
that came after its clear. Missed: cuts without a clear within a second. Holes: the carrier ran dry within an answer;
those of more than a frame. Late: how long after its due time the load sent. Load, others: share of a processor that
this load and everything else on the machine used."""
_COST = (
    Column("calls"),
    Column("through"),
    Column("CPU", "ms/call·s"),
    Column("least", "ms/call·s"),
    Column("most", "ms/call·s"),
    Column("memory", "KiB/call"),
    Column("from carrier", "/s"),
    Column("to provider", "/s"),
    Column("from provider", "/s"),
    Column("to carrier", "/s"),
)
_DELAY = (
    Column("calls"),
    Column("through"),
    Column("to provider p50", "ms"),
    Column("p99", "ms"),
    Column("p99.9", "ms"),
    Column("first audio p50", "ms"),
    Column("first audio p99", "ms"),
    Column("answers"),
    Column("barge-in p50", "ms"),
    Column("barge-in p99", "ms"),
    Column("cuts"),
)
_SOUND = (
    Column("calls"),
    Column("through"),
    Column("lost"),
    Column("doubled"),
    Column("altered"),
    Column("stale"),
    Column("missed"),
    Column("holes", "/min"),
    Column("late p99", "ms"),
    Column("load", "%"),
    Column("others", "%"),
)


def measure(plan: Plan, progress: Progress) -> Sequence[Result]:
    """Return the tables of cost, delay and sound, for the engine and the relay.

    Raises:
        BenchmarkFailed: A frame was lost, doubled or altered, or a process failed.
    """
    levels: list[Level] = []
    for calls, target in itertools.product(plan.calls, (engine_target(), relay_target())):
        progress(f"{calls} conversation{'s' * (calls > 1)} through the {target.name}")
        levels.append(run_level(target, calls, plan))
        warn(levels[-1], progress)
    for level in levels:
        if level.faults != Faults():
            raise BenchmarkFailed(f"{level.calls} conversations through the {level.target}: {level.faults}")
    return tables(levels)


def tables(levels: Sequence[Level]) -> Sequence[Result]:
    """Return levels as three tables."""
    return [
        Result(name="cost of a conversation", about=_ABOUT_COST, columns=_COST, rows=[_cost(each) for each in levels]),
        Result(name="delay in a conversation", about=_ABOUT_DELAY, columns=_DELAY, rows=[_delay(e) for e in levels]),
        Result(name="what the user hears", about=_ABOUT_SOUND, columns=_SOUND, rows=[_sound(e) for e in levels]),
    ]


def warn(level: Level, progress: Progress) -> None:
    """Report it where other processes were busy."""
    if (level.others or 0.0) > CALM:
        progress(f"  other processes used {level.others:.0%} of a processor: measure again")


def _cost(level: Level) -> dict[str, Value]:
    return {
        "calls": level.calls,
        "through": level.target,
        "CPU": median(level.cpu_ms),
        "least": min(level.cpu_ms),
        "most": max(level.cpu_ms),
        "memory": level.memory_kib,
        "from carrier": level.messages["from_carrier"],
        "to provider": level.messages["to_provider"],
        "from provider": level.messages["from_provider"],
        "to carrier": level.messages["to_carrier"],
    }


def _delay(level: Level) -> dict[str, Value]:
    return {
        "calls": level.calls,
        "through": level.target,
        "to provider p50": ms(level.to_provider_s, 50),
        "p99": ms(level.to_provider_s, 99),
        "p99.9": ms(level.to_provider_s, 99.9),
        "first audio p50": ms(level.first_audio_s, 50),
        "first audio p99": ms(level.first_audio_s, 99),
        "answers": len(level.first_audio_s),
        "barge-in p50": ms(level.barge_in_s, 50),
        "barge-in p99": ms(level.barge_in_s, 99),
        "cuts": len(level.barge_in_s),
    }


def _sound(level: Level) -> dict[str, Value]:
    faults = level.faults
    return {
        "calls": level.calls,
        "through": level.target,
        "lost": faults.lost,
        "doubled": faults.doubled,
        "altered": faults.altered,
        "stale": level.stale_frames,
        "missed": level.missed_barge_ins,
        "holes": level.holes_a_minute,
        "late p99": ms(level.lateness_s, 99),
        "load": level.load * 100,
        "others": None if level.others is None else level.others * 100,
    }


def ms(delays_s: Sequence[float], percent: float) -> float | None:
    """Return a percentile in milliseconds; None without values."""
    return percentile(delays_s, percent) * 1000 if delays_s else None
