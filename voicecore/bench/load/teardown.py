"""From a call's last event until nothing of it is left; and what is left after very many calls: nothing.

Four tables: how long it takes on loopback sockets, what a storm of hang-ups has left in
virtual time and on sockets, when the calls of the storm ended, and what an open,
silent call uses.

Rule 1: a call is released once its tasks (the carrier's and the provider's too), the
sockets at both ends and the registry have released it.
Rule 2: anything that is left makes the run fail.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

import attrs
import trio
from trio.lowlevel import Task

from voicecore.assembly import real_world
from voicecore.bench.load.hangup_storm import Moment, Storm, run_storm
from voicecore.bench.load.hangup_storm_on_sockets import IdleCalls, SocketsStorm, look_at_idle, run_sockets_storm
from voicecore.bench.load.simulated_calls import SCRIPT
from voicecore.bench.processes.resource_counts import registered
from voicecore.bench.report.result import BenchmarkFailed, Column, Plan, Progress, Result, Value, percentile
from voicecore.engine.settings import CallSettings
from voicecore.facts import CallEnded, Fact
from voicecore.nurseries import open_service_nursery
from voicecore.simulation.openai_realtime import Behaviour, Pace
from voicecore.simulation.rig import CALLEE, Rig, open_rig
from voicecore.simulation.twilio import DialPlan, Line, LineFaults, StreamEnd

_STOP, _CLOSE, _STATUS, _US = "stop message", "socket close", "status, no stop", "hang-up by us"
_SPEAKS_S = (0.15, 0.35)  #: from the start of the stream to the end: the greeting is being said
_LOOK_S = 0.002
_GONE_S = 5.0  #: the longest time that a call may take to disappear
_SETTLE_S = 0.03
_LONGEST_S = 300.0

_ABOUT_TIMES = """\
From a call's last event until its session is closed at the provider, until its report is filed and its entry removed,
and until everything is released: these two, and every task of the call, those of the twins too. One call at a time,
ended during its first message. Loopback sockets; both twins in the engine's process. After a terminal status the engine
waits {stop_wait_s:g} s for the stream's own stop, which is not sent here; to hang up, it asks the carrier by REST."""
_ABOUT_LEFT = """\
The difference after a storm, when idle and after a garbage collection. In virtual time: engine and both twins in one
process on memory streams, from ringing to barge-in, ended by stop, socket, status and us. On sockets: the engine in a
process of its own, inbound calls. Objects: calls, entries, conversations, parked sessions. Memory: what a hang-up of
the storm's second half has added to the resident memory: allocator noise, or a leak."""
_ABOUT_MOMENTS = """\
What the calls of the storm in virtual time were doing when they ended; the moments are random within each."""
_ABOUT_IDLE = """\
What a call adds to the engine's process while its line and its session are open and nobody speaks: frames of silence
arrive all the time. Resident memory, tasks, files (sockets), objects of calls; with few calls the memory is noise."""

_TIMES = (
    Column("ended by"),
    Column("calls"),
    Column("session p50", "ms"),
    Column("registry p50", "ms"),
    Column("everything p50", "ms"),
    Column("everything p99", "ms"),
    Column("most", "ms"),
)
_LEFT = (
    Column("storm"),
    Column("hang-ups"),
    Column("registry"),
    Column("tasks"),
    Column("sockets"),
    Column("objects"),
    Column("files"),
    Column("threads"),
    Column("memory", "bytes/call"),
)
_MOMENTS = (Column("while"), Column("hang-ups"))
_IDLE = (
    Column("calls"),
    Column("memory", "KiB/call"),
    Column("tasks", "/call"),
    Column("files", "/call"),
    Column("objects", "/call"),
)


def measure(plan: Plan, progress: Progress) -> Sequence[Result]:
    """Return the tables.

    Raises:
        BenchmarkFailed: Something of a call is left, or a call was not reported once.
    """
    times = _measure_times(plan, progress)
    virtual = run_storm(plan, progress)
    on_sockets = run_sockets_storm(plan, progress)
    idle = [_idle_row(each) for each in look_at_idle(plan, progress)]
    left = [_virtual_row(virtual), _sockets_row(on_sockets)]
    moments = [_moment_row(moment, count) for moment, count in virtual.hang_ups.items()]
    about = _ABOUT_TIMES.format(stop_wait_s=CallSettings().stop_wait_s)
    return [
        Result(name="from a call's last event to nothing left", about=about, columns=_TIMES, rows=times),
        Result(name="left after a storm of hang-ups", about=_ABOUT_LEFT, columns=_LEFT, rows=left),
        Result(name="moments of the storm", about=_ABOUT_MOMENTS, columns=_MOMENTS, rows=moments),
        Result(name="an idle call", about=_ABOUT_IDLE, columns=_IDLE, rows=idle),
    ]


# --- times --------------------------------------------------------------------------


@attrs.frozen
class _Gone:
    """When parts of one call were released, in seconds after its last event."""

    session_s: float
    registry_s: float
    everything_s: float


class _Tasks(trio.abc.Instrument):
    """How many tasks exist, and when the last one ended."""

    def __init__(self) -> None:
        self.living = 0  # above what there was at first
        self.ended_at = 0.0

    def task_spawned(self, _task: Task) -> None:
        """See `trio.abc.Instrument`."""
        self.living += 1

    def task_exited(self, _task: Task) -> None:
        """See `trio.abc.Instrument`."""
        self.living -= 1
        self.ended_at = trio.current_time()


def _measure_times(plan: Plan, progress: Progress) -> list[dict[str, Value]]:
    calls = plan.pick(1, 4, 50)
    progress(f"{calls} calls ended in each of 4 ways")
    times = trio.run(_times, calls, random.Random(plan.seed))
    return [_times_row(how, gone) for how, gone in times.items()]


def _times_row(how: str, gone: Sequence[_Gone]) -> dict[str, Value]:
    everything_s = [each.everything_s for each in gone]
    return {
        "ended by": how,
        "calls": len(gone),
        "session p50": percentile([each.session_s for each in gone], 50) * 1000,
        "registry p50": percentile([each.registry_s for each in gone], 50) * 1000,
        "everything p50": percentile(everything_s, 50) * 1000,
        "everything p99": percentile(everything_s, 99) * 1000,
        "most": max(everything_s) * 1000,
    }


async def _times(calls: int, rng: random.Random) -> Mapping[str, Sequence[_Gone]]:
    filed_at: list[float] = []

    def observe(_call_id: str, fact: Fact) -> None:
        if isinstance(fact, CallEnded):
            filed_at.append(trio.current_time())

    provider, overrides = Behaviour(pace=Pace(first_delta_s=0.05)), {"agent.first_message": "Hello."}
    with trio.move_on_after(_LONGEST_S):
        async with open_rig(real_world(), SCRIPT, provider, overrides=overrides, observers=[observe]) as rig:
            bench = _Bench(rig, filed_at, rng)
            for how in (_STOP, _US):  # kept-alive connections are opened now
                await bench.end_one(how)
            return {how: [await bench.end_one(how) for _ in range(calls)] for how in (_STOP, _CLOSE, _STATUS, _US)}
    raise BenchmarkFailed(f"4 times {calls} calls took longer than {_LONGEST_S:.0f} s")


@attrs.frozen
class _Bench:
    """An engine between its twins, and when its calls were filed."""

    rig: Rig
    filed_at: list[float]
    rng: random.Random

    async def end_one(self, how: str) -> _Gone:
        """Run a call, end it, and wait until it is released."""
        tasks = _Tasks()
        trio.lowlevel.add_instrument(tasks)
        try:
            ended_at = await (self._dial() if how == _US else self._call(how))
            await self._gone(tasks, ended_at)
        finally:
            trio.lowlevel.remove_instrument(tasks)
        closed = (line.t for line in self.rig.provider.ledger.of(self.rig.provider.attempts) if line.kind == "ended")
        session_at, filed_at = next(closed), self.filed_at[-1]
        everything_at = max(session_at, filed_at, tasks.ended_at)
        return _Gone(session_at - ended_at, filed_at - ended_at, everything_at - ended_at)

    async def _call(self, how: str) -> float:
        """Run an inbound call and end it; return when."""
        lines: list[Line] = []
        faults = LineFaults(stream_end=StreamEnd.CLOSE if how == _CLOSE else StreamEnd.STOP)

        async def run() -> None:
            await self.rig.carrier.call(self.rig.engine.url, (), faults=faults, on_line=lines.append)

        async with open_service_nursery() as nursery:
            nursery.start_soon(run)
            while not lines:  # noqa: ASYNC110 - nothing to wait for
                await trio.sleep(_LOOK_S)
            await trio.sleep(self.rng.uniform(*_SPEAKS_S))
            ended_at = trio.current_time()
            if how == _STATUS:
                await self.rig.carrier.inbound[-1].report_completed()
            else:
                lines[0].hang_up()
            await self._released()
        return ended_at

    async def _dial(self) -> float:
        """Place a call and hang up; return when."""
        self.rig.carrier.expect(DialPlan(ring_s=0.05))
        before = len(self.rig.carrier.lines)
        async with self.rig.engine.dial(CALLEE) as call:
            while len(self.rig.carrier.lines) == before:  # noqa: ASYNC110 - nothing to wait for
                await trio.sleep(_LOOK_S)
            await trio.sleep(self.rng.uniform(*_SPEAKS_S))
            ended_at = trio.current_time()
            call.hang_up()
        return ended_at

    async def _released(self) -> None:
        with trio.move_on_after(_GONE_S):
            while registered(self.rig.engine.statistics()) or self.rig.provider.open_connections:  # noqa: ASYNC110
                await trio.sleep(_LOOK_S)
            await trio.sleep(_SETTLE_S)

    async def _gone(self, tasks: _Tasks, ended_at: float) -> None:
        """Return once nothing of the call is left. Raises BenchmarkFailed where something stays."""
        await self._released()
        while tasks.living > 0:
            if trio.current_time() > ended_at + _GONE_S:
                raise BenchmarkFailed(f"{tasks.living} tasks of a call that has ended are left")
            await trio.sleep(_LOOK_S)


# --- rows ---------------------------------------------------------------------------


def _virtual_row(storm: Storm) -> dict[str, Value]:
    more = {kind: storm.after[kind] - storm.before[kind] for kind in storm.after}
    return {
        "storm": "virtual time",
        "hang-ups": storm.reports,
        "registry": more["registry"],
        "tasks": more["tasks"],
        "sockets": more["sockets"] + more["sessions"],
        "objects": more["objects"],
        "files": None,
        "threads": None,
        "memory": None,
    }


def _sockets_row(storm: SocketsStorm) -> dict[str, Value]:
    more = {kind: storm.after[kind] - storm.before[kind] for kind in storm.after}
    return {
        "storm": "loopback sockets",
        "hang-ups": storm.hang_ups,
        "registry": more["registry"],
        "tasks": more["tasks"],
        "sockets": 0,  # at the twins: it fails where one is left; the engine's are files
        "objects": more["objects"],
        "files": more.get("files"),
        "threads": more.get("threads"),
        "memory": storm.leaked_bytes,
    }


def _moment_row(moment: Moment, count: int) -> dict[str, Value]:
    return {"while": moment.value, "hang-ups": count}


def _idle_row(idle: IdleCalls) -> dict[str, Value]:
    return {
        "calls": idle.calls,
        "memory": idle.memory_kib,
        "tasks": idle.tasks,
        "files": idle.files,
        "objects": idle.objects,
    }
