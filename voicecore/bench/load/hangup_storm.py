"""A storm of hang-ups: calls that end at random moments, and a count of what is left when it is over.

    ringing         the session is being opened
    parked          it waits for pickup
    first message   media have begun, the agent greets
    talking         the user speaks, is waited for, or is answered
    barge-in        around the moment at which the user stops the agent

    ended by stop, by the socket's end, by the carrier's last status, by us

Virtual time, both twins, the ports of the simulated world.  When these moments are is
taken from a call that nobody ends.

Rule: every call is reported once, and nothing of it is left; otherwise there is no
table.
"""

from __future__ import annotations

import enum
import itertools
import random
from collections.abc import Iterator, Mapping, Sequence

import attrs
import trio

from voicecore.bench.load.simulated_calls import HANDSHAKE_S, SimulatedRig, open_simulated_rig, run_virtual, user_steps
from voicecore.bench.processes.resource_counts import call_objects, living_tasks, registered
from voicecore.bench.report.result import BenchmarkFailed, Plan, Progress
from voicecore.facts import CallBegan, CallReport, EndCause
from voicecore.simulation.twilio import DialPlan, DialRequest, LineFaults, Pickup, StatusFaults, StreamEnd

_AT_ONCE = 25
_APART_S = 0.05  #: between the beginnings of two calls of a batch
_RING_S = 0.3  #: of calls that are picked up: longer than the handshake
_LONGEST_RING_S = 1.0
_STATUS_BEFORE_S = 0.2  #: how long before the stop the carrier's last status is sent
_AROUND_S = 0.15  #: a barge-in, before and after
_OUTCOMES = {EndCause.REMOTE_HUNG_UP, EndCause.LEG_LOST, EndCause.HUNG_UP, EndCause.BUSY}
_IDLE_S = 120.0  #: virtual, until kept-alive connections are closed too


class Moment(enum.Enum):
    """What a call is doing when it ends."""

    RINGING = "ringing"
    PARKED = "parked"
    FIRST_MESSAGE = "first message"
    TALKING = "talking"
    BARGE_IN = "barge-in"


class By(enum.Enum):
    """What ends a call."""

    STOP = "stop"
    SOCKET = "socket"
    STATUS = "status"
    US = "us"


Spans = Mapping[Moment, tuple[float, float]]
"""When each moment is, in seconds after dialling, or after the start of the media."""


@attrs.frozen
class HangUp:
    """How one call of the storm ends, ``after_s`` dialling or the start of the media."""

    moment: Moment
    by: By
    after_s: float
    stream_end: StreamEnd = StreamEnd.STOP

    @property
    def is_picked_up(self) -> bool:
        """Whether it ever has media."""
        return self.moment not in {Moment.RINGING, Moment.PARKED}


@attrs.frozen
class Storm:
    """The result of a storm."""

    hang_ups: Mapping[Moment, int]
    reports: int
    outcomes: frozenset[EndCause]
    before: Mapping[str, int]
    after: Mapping[str, int]


def run_storm(plan: Plan, progress: Progress) -> Storm:
    """Run the storm; return what was counted before and after.

    Raises:
        BenchmarkFailed: A call was not reported once, or something is left.
    """
    count = plan.pick(20, 200, 2_000)
    progress(f"{count} hang-ups in virtual time")
    storm = run_virtual(lambda: _storm(count, plan.seed))
    if storm.reports != count:
        raise BenchmarkFailed(f"{count} calls of a storm had {storm.reports} reports")
    if odd := storm.outcomes - _OUTCOMES:
        raise BenchmarkFailed(f"calls of a storm ended as {', '.join(sorted(each.value for each in odd))}")
    if storm.after != storm.before:
        raise BenchmarkFailed(f"a storm of {count} hang-ups left {dict(storm.after)}, not {dict(storm.before)}")
    return storm


async def _storm(count: int, seed: int) -> Storm:
    async with open_simulated_rig(seed, max_calls=2 * _AT_ONCE) as it:
        spans = await _find_spans(it)
        hang_ups = list(drawn(count, random.Random(seed), spans, tuple(By)))
        before = await _count(it)
        for batch in range(0, count, _AT_ONCE):
            await _run_calls(it, hang_ups[batch : batch + _AT_ONCE])
        after = await _count(it)
    counted = {moment: sum(each.moment is moment for each in hang_ups) for moment in Moment}
    outcomes = frozenset(report.outcome for report in it.reports)
    return Storm(counted, len(it.reports), outcomes, before, after)


# --- which calls --------------------------------------------------------------------


def find_spans(seed: int) -> Spans:
    """Return when each moment is, from a call that nobody ends; takes a few virtual seconds."""

    async def look() -> Spans:
        async with open_simulated_rig(seed) as it:
            return await _find_spans(it)

    return run_virtual(look)


async def _find_spans(it: SimulatedRig) -> Spans:
    await it.run(user_steps(brief=True))
    await it.wait_until_idle()
    return _spans(it.reports.pop())


def _spans(report: CallReport) -> Spans:
    if report.first_message is None or report.first_message.heard_s is None or not report.decisions:
        raise BenchmarkFailed("the call that a storm is made of had no greeting or no barge-in")
    greeted_s, barged_in_s = report.first_message.heard_s, report.decisions[0].at_s
    return {
        Moment.RINGING: (0.0, HANDSHAKE_S),
        Moment.PARKED: (HANDSHAKE_S + 0.05, _LONGEST_RING_S),
        Moment.FIRST_MESSAGE: (0.0, greeted_s),
        Moment.TALKING: (greeted_s, barged_in_s - _AROUND_S),
        Moment.BARGE_IN: (barged_in_s - _AROUND_S, barged_in_s + _AROUND_S),
    }


def drawn(count: int, rng: random.Random, spans: Spans, ways: Sequence[By]) -> Iterator[HangUp]:
    """Yield ``count`` hang-ups, each moment as often as the others."""
    early = [by for by in ways if by in {By.US, By.STATUS}]  # no media yet
    for moment in itertools.islice(itertools.cycle(Moment), count):
        after_s = rng.uniform(*spans[moment])
        if moment in {Moment.RINGING, Moment.PARKED}:
            yield HangUp(moment, rng.choice(early), after_s)
        else:
            by = rng.choice(ways)
            stream_end = rng.choice((StreamEnd.CLOSE, StreamEnd.CUT)) if by is By.SOCKET else StreamEnd.STOP
            yield HangUp(moment, by, after_s, stream_end)


# --- one call -----------------------------------------------------------------------


async def _run_calls(it: SimulatedRig, hang_ups: Sequence[HangUp]) -> None:
    """Run these calls at once, each to its own number; return once all are over and filed."""
    numbered = {f"+1555{index:07d}": hang_up for index, hang_up in enumerate(hang_ups)}
    it.carrier.expect(lambda request: _plan(numbered, request))
    async with trio.open_nursery() as nursery:
        for index, (number, hang_up) in enumerate(numbered.items()):
            nursery.start_soon(_run_call, it, number, hang_up, index * _APART_S)
    await it.wait_until_idle()


def _plan(numbered: Mapping[str, HangUp], request: DialRequest) -> DialPlan:
    hang_up = numbered[request.to]
    if not hang_up.is_picked_up:
        ends = hang_up.by is By.STATUS
        return DialPlan(ring_s=hang_up.after_s if ends else 2 * _LONGEST_RING_S, end=Pickup.BUSY)
    status = StatusFaults(completed_before_stop_s=_STATUS_BEFORE_S if hang_up.by is By.STATUS else None)
    ends_at_s = None if hang_up.by is By.US else hang_up.after_s
    line = LineFaults(ends_at_s=ends_at_s, stream_end=hang_up.stream_end)
    return DialPlan(ring_s=_RING_S, script=user_steps(brief=True), line=line, statuses=status)


async def _run_call(it: SimulatedRig, number: str, hang_up: HangUp, after_s: float) -> None:
    await trio.sleep(after_s)
    async with it.engine.dial(number) as call:
        if hang_up.by is By.US and not hang_up.is_picked_up:
            await trio.sleep(hang_up.after_s)
            return
        async for fact in call.facts():
            if hang_up.by is By.US and isinstance(fact, CallBegan):
                await trio.sleep(hang_up.after_s)
                return


async def _count(it: SimulatedRig) -> Mapping[str, int]:
    """Return what exists once everything is idle."""
    await trio.sleep(_IDLE_S)
    return {
        "registry": registered(it.engine.statistics()),
        "tasks": sum(1 for _ in living_tasks()),
        "sockets": it.simulated.network.open_streams,
        "sessions": it.provider.open_connections,
        "objects": call_objects(),
    }
