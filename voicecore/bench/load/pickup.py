"""How long a user waits after pickup: with a session opened cold, a parked one, and a prepared first message.

The engine places calls to phones that ring, and is called where nothing can be
prepared, on loopback sockets, with a provider whose handshake and first audio take a
known time.  The engine adds the rest; pickup_floor.py shows how much of that any
program needs.

Rule 1: the carrier's clock decides: from its start message to the first media message
that it receives.
Rule 2: all variants run in one process and one run, so that they can be compared.
Rule 3: a call whose session did not come the intended way makes the run fail.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import attrs
import trio

from voicecore.assembly import real_world
from voicecore.bench.load.pickup_floor import serve_floor
from voicecore.bench.report.result import BenchmarkFailed, Column, Plan, Progress, Result, Value, percentile
from voicecore.facts import CallReport, MessageOutcome
from voicecore.simulation.openai_realtime import Behaviour, Handshake, Pace, Reply, Script, Tone, Updates
from voicecore.simulation.rig import open_rig, open_twins
from voicecore.simulation.twilio import AfterAgent, DialPlan, HangUp, Line

_APART_S = 0.4  #: between two calls: what is measured is one pickup, not a burst
_RINGS_S = 0.3  #: longer than the provider takes
_LONGEST_S = 120.0
_HEARS_IT = (HangUp(AfterAgent(0.1)),)
_ABOUT = """\
A provider whose handshake takes {handshake_ms:.0f} ms in all and whose first audio comes {first_delta_ms:.0f} ms after
it was requested. From the carrier's start message to the first audio that the carrier receives, and how much of that is
neither handshake nor first audio. Loopback sockets; both twins in the engine's process. Floor: no engine, just a task
that opens a session, configures it, requests the message and passes its audio on. Floor and cold are inbound calls;
the other two are outbound, so that the phone rings."""
_COLUMNS = (
    Column("session"),
    Column("calls"),
    Column("p50", "ms"),
    Column("p90", "ms"),
    Column("most", "ms"),
    Column("provider's part", "ms"),
    Column("ours p50", "ms"),
)


@attrs.frozen(kw_only=True)
class _Way:
    """One way in which a call gets its session."""

    source: str
    rings: bool
    """Whether the engine places the call; otherwise it is called, and nothing can be prepared."""
    overrides: Mapping[str, object]
    waits_for: tuple[bool, bool]
    """Whether the provider's handshake, and its first audio, are part of the wait."""

    def provider_s(self, plan: Plan) -> float:
        """Return how much of the wait is the provider's."""
        handshake, first_delta = self.waits_for
        return handshake * plan.handshake_s + first_delta * plan.first_delta_s


_WAYS: Mapping[str, _Way] = {
    "cold": _Way(source="cold", rings=False, overrides={"parking.enabled": False}, waits_for=(True, True)),
    "parked": _Way(source="adopted", rings=True, overrides={}, waits_for=(False, True)),
    "parked, message prepared": _Way(
        source="adopted", rings=True, overrides={"agent.prepare_first_message": True}, waits_for=(False, False)
    ),
}


def measure(plan: Plan, progress: Progress) -> Sequence[Result]:
    """Return the table of waits.

    Raises:
        BenchmarkFailed: A call was not answered, or got its session in another way.
    """
    calls = plan.pick(2, 15, 50)
    progress(f"{calls} calls, floor")
    rows = [_row("floor", plan.handshake_s + plan.first_delta_s, trio.run(_floor_waits, calls, plan))]
    for name, way in _WAYS.items():
        progress(f"{calls} calls, {name}")
        rows.append(_row(name, way.provider_s(plan), trio.run(_waits, way, calls, plan)))
    about = _ABOUT.format(handshake_ms=plan.handshake_s * 1000, first_delta_ms=plan.first_delta_s * 1000)
    return [Result(name="from pick-up to the first audio at the carrier", about=about, columns=_COLUMNS, rows=rows)]


def _row(name: str, provider_s: float, waits_s: Sequence[float]) -> Mapping[str, Value]:
    middle_ms = percentile(waits_s, 50) * 1000
    return {
        "session": name,
        "calls": len(waits_s),
        "p50": middle_ms,
        "p90": percentile(waits_s, 90) * 1000,
        "most": max(waits_s) * 1000,
        "provider's part": provider_s * 1000,
        "ours p50": middle_ms - provider_s * 1000,
    }


def _provider(plan: Plan) -> Behaviour:
    """Return a provider that spends a third of its handshake on each of its three steps."""
    step_s = plan.handshake_s / 3
    return Behaviour(
        handshake=Handshake(accept_s=step_s, created_s=step_s),
        updates=Updates(answer_s=step_s, effect_s=step_s),
        pace=Pace(first_delta_s=plan.first_delta_s),
    )


_SCRIPT = Script(replies=(Reply("Hello.", speech=Tone(0.4)),))


@contextmanager
def _bounded(calls: int) -> Iterator[None]:
    """Bound the time that a block may take. Raises BenchmarkFailed where it takes longer."""
    with trio.move_on_after(_LONGEST_S) as bound:
        yield
    if bound.cancelled_caught:
        raise BenchmarkFailed(f"{calls} calls took longer than {_LONGEST_S:.0f} s")


async def _waits(way: _Way, calls: int, plan: Plan) -> Sequence[float]:
    overrides = {"agent.first_message": "Hello.", **way.overrides}
    with _bounded(calls):
        async with open_rig(real_world(), _SCRIPT, _provider(plan), overrides=overrides) as rig:
            ring_s = plan.handshake_s + plan.first_delta_s + _RINGS_S  # whatever is prepared is ready
            answered = DialPlan(ring_s=ring_s, script=_HEARS_IT)

            async def call() -> object:
                return await (rig.dial(answered) if way.rings else rig.carrier.call(rig.engine.url, _HEARS_IT))

            await _apart(call, calls)
            await rig.engine.drain()
    _check(way, rig.reports, calls)
    return [_wait_s(line) for line in rig.carrier.lines]


async def _floor_waits(calls: int, plan: Plan) -> Sequence[float]:
    world = real_world()
    with _bounded(calls):
        async with open_twins(world, _SCRIPT, _provider(plan)) as twins, serve_floor(world, twins.base_url) as url:
            await _apart(lambda: twins.carrier.call(url, _HEARS_IT), calls)
    return [_wait_s(line) for line in twins.carrier.lines]


async def _apart(call: Callable[[], Awaitable[object]], calls: int) -> None:
    """Run this many calls, each begun a moment after the last."""
    async with trio.open_nursery() as nursery:
        for _ in range(calls):
            nursery.start_soon(call)
            await trio.sleep(_APART_S)


def _check(way: _Way, reports: Sequence[CallReport], calls: int) -> None:
    sources = {report.pickup.source if report.pickup is not None else "none" for report in reports}
    outcomes = {report.first_message.outcome if report.first_message is not None else None for report in reports}
    if len(reports) != calls or sources != {way.source} or outcomes != {MessageOutcome.HEARD}:
        raise BenchmarkFailed(f"{len(reports)} of {calls} calls; sessions {sources}; first messages {outcomes}")


def _wait_s(line: Line) -> float:
    """Return how long the user waited. Raises BenchmarkFailed where nothing was heard."""
    started_at = next(entry.at for entry in line.ledger if entry.kind == "start")
    for entry in line.ledger:
        if entry.direction == "in" and entry.kind == "media":
            return entry.at - started_at
    raise BenchmarkFailed("a call ended without any audio")
