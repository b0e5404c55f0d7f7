"""The engine under load: what a call costs, and how much later its audio is.

    this process                      child, on a processor of its own
    carrier's lines ──────────────► engine ──► provider ┐
          ▲                           │   ◄── echo ◄────┘  (this process again)
          └───────────────────────────┘

Every call speaks 50 frames of 20 ms a second, G.711 passed through; the provider
says each again at once.  The same load then goes through a relay: the same
sockets, a process that hands messages over unread.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import attrs
import trio

from voicecore.bench.load.echo import PLAIN_PATH, EchoProvider
from voicecore.bench.load.many_calls import Line, dial_engine, dial_relay, report_end, speak
from voicecore.bench.micro.frames import Faults, Track, directions
from voicecore.bench.processes.child import Child, apart_from_children, open_child
from voicecore.bench.processes.controlled import Usage, others, own_usage, share
from voicecore.bench.report.result import BenchmarkFailed, Column, Plan, Progress, Result, Value, median, percentile
from voicecore.net.http.client import HttpClient, open_http_client
from voicecore.net.transport.network import RealNetwork

ENGINE, RELAY = "engine", "relay"

_SLICES = 3  #: of a level's time; CPU is told as their median, least and most
_READY_S = 20.0
_ARRIVE_S = 3.0  #: for what is still on its way at the end
_SETTLE_S = 0.3
_LOOK_S = 0.01
_CALM = 0.25  #: of a processor; with more taken by others, figures are not the engine's own

_ABOUT_COST = """\
CPU of the process between carrier and provider, user and system, for one second of one call; memory that it holds
more with these calls than after a first one. G.711 passed through, 20 ms messages in all four directions (a provider's
own are longer, and fewer), no TLS, no recording. Not: opening and ending calls, the peers.
Relay: the same load through the same sockets, messages handed over unread, no marks."""
_ABOUT_DELAY = """\
From before the write of a frame on one side to after its read on the other, both in one process with one clock: two
loopback hops, the process between them, and the load's own waking up. The echo never runs ahead, so that no frame waits
for its turn to be played: pacing is not in it. Frames are all that left, warm-up included; each is compared whole.
Late: how far behind its time the load sent. Load, others: share of a processor that this load and everything else on
the machine used. Near 100 % load, or with others at work, the delays are not the engine's: measure again."""
_ABOUT_ADDED = """\
Each percentile of the engine's delays less the same one of the relay's: what the engine adds to two loopback hops and a
process that hands messages over. Of few calls the high ones are the machine's, and may be below zero."""

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
    """What was seen of one number of calls through one process."""

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
        BenchmarkFailed: A frame did not come as it left, or a process did not do its part.
    """
    levels: list[Level] = []
    with apart_from_children():
        for calls, through in itertools.product(plan.calls, (ENGINE, RELAY)):
            progress(f"{calls} call{'s' * (calls > 1)} through the {through}")
            levels.append(trio.run(_level, plan, calls, through))
            if (levels[-1].others or 0.0) > _CALM:
                progress(f"  others were at work ({levels[-1].others:.0%} of a processor): measure this again")
    for level in levels:
        if level.faults != Faults():
            raise BenchmarkFailed(f"{level.calls} calls through the {level.through}: {level.faults}")
    relays = {level.calls: median(level.cpu_ms) for level in levels if level.through == RELAY}
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
    engines, relays = ([level for level in levels if level.through == through] for through in (ENGINE, RELAY))
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
    """Return what the engine's delays are above the relay's."""
    over = _percentiles(relay)
    return {"calls": engine.calls, **{name: ms - over[name] for name, ms in _percentiles(engine).items()}}


async def _level(plan: Plan, calls: int, through: str) -> Level:
    rng = random.Random(plan.seed)
    first, *tracks = (Track(number, rng) for number in range(calls + 1))
    provider = EchoProvider([first, *tracks], plan.seed)
    async with (
        provider.serve() as provider_port,
        _child(through, provider_port, calls + 1) as child,
        open_http_client(RealNetwork()) as http,
    ):
        exchange = _Exchange(through, child.port, provider, http)
        async with exchange.lines([first]) as lines:  # what is made once a process is made now
            await speak(lines, plan.warm_up_s, [])
        await trio.sleep(_SETTLE_S)
        idle = await child.usage()
        async with exchange.lines(tracks) as lines:
            watch = await _watch(plan, child, lines)
        return _level_of(calls, through, idle, watch, tracks)


def _child(through: str, provider_port: int, max_calls: int) -> AbstractAsyncContextManager[Child]:
    provider = f"ws://127.0.0.1:{provider_port}"
    if through == RELAY:
        return open_child("voicecore.bench.processes.relay_process", provider + PLAIN_PATH)
    return open_child("voicecore.bench.processes.engine_process", f"{provider}/v1", str(max_calls))


@attrs.frozen
class _Exchange:
    """Opens lines through one process."""

    through: str
    port: int
    provider: EchoProvider
    http: HttpClient

    @asynccontextmanager
    async def lines(self, tracks: Sequence[Track]) -> AsyncIterator[Sequence[Line]]:
        """Hold a line for each track, every session open; leaving the block hangs up."""
        expected = self.provider.ready + len(tracks)
        lines: list[Line] = []
        try:
            async with trio.open_nursery() as nursery:
                for track in tracks:
                    lines.append(await self._dial(track))
                    nursery.start_soon(lines[-1].listen)
                await _wait(lambda: self.provider.ready >= expected, _READY_S)
                if self.provider.ready < expected:
                    raise BenchmarkFailed(f"{expected - self.provider.ready} sessions were not opened")
                yield lines
                nursery.cancel_scope.cancel()
        finally:
            for line in lines:
                await line.end()
        if self.through == ENGINE:
            for track in tracks:
                await report_end(self.http, self.port, track)

    async def _dial(self, track: Track) -> Line:
        if self.through == RELAY:
            return await dial_relay(self.port, track)
        return await dial_engine(self.http, self.port, track)


@attrs.frozen
class _Watch:
    """What was noted while the lines spoke."""

    usages: Sequence[Usage]
    """Of the child, at the borders of the slices."""
    own: Sequence[Usage]
    """Of this process, at the first and the last."""
    lateness_s: Sequence[float]


async def _watch(plan: Plan, child: Child, lines: Sequence[Line]) -> _Watch:
    """Let the lines speak; look from the end of the warm-up on."""
    lateness_s: list[float] = []
    usages, own = [], []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(speak, lines, plan.warm_up_s + plan.seconds + _SETTLE_S, lateness_s)
        await trio.sleep(plan.warm_up_s)
        lateness_s.clear()
        own.append(own_usage())
        usages.append(await child.usage())
        for _ in range(_SLICES):
            await trio.sleep(plan.seconds / _SLICES)
            usages.append(await child.usage())
        own.append(own_usage())
    tracks = [line.track for line in lines]
    await _wait(lambda: not any(direction.waiting for direction in directions(tracks)), _ARRIVE_S)
    return _Watch(usages, own, lateness_s)


def _level_of(calls: int, through: str, idle: Usage, watch: _Watch, tracks: Sequence[Track]) -> Level:
    begin, end = watch.usages[0], watch.usages[-1]
    both = None if idle.rss_bytes is None or end.rss_bytes is None else end.rss_bytes - idle.rss_bytes
    return Level(
        calls=calls,
        through=through,
        cpu_ms=[used / calls * 1000 for used in map(share, watch.usages, watch.usages[1:])],
        memory_kib=None if both is None else both / 1024 / calls,
        to_provider_s=[each for track in tracks for each in track.to_provider.delays(begin.at_s, end.at_s)],
        to_carrier_s=[each for track in tracks for each in track.to_carrier.delays(begin.at_s, end.at_s)],
        frames=sum(direction.frames for direction in directions(tracks)),
        faults=sum((direction.faults() for direction in directions(tracks)), Faults()),
        lateness_s=watch.lateness_s,
        load=share(*watch.own),
        others=others(watch.own, watch.usages),
    )


async def _wait(condition: Callable[[], bool], limit_s: float) -> None:
    """Return once the condition holds, or the time is up; looks now and then, so that the audio path stays bare."""
    deadline = trio.current_time() + limit_s
    while not condition() and trio.current_time() < deadline:  # noqa: ASYNC110
        await trio.sleep(_LOOK_S)
