"""The storm of hang-ups on loopback sockets, and what an idle call uses: an engine in a process of its own.

Calls come in from the carrier twin, some of them without ever having media; the
engine's process counts its resources before, half-way and after (counting_process.py).

Rule 1: between the counts the carrier is closed, so that kept-alive connections are
not taken for leaks.
Rule 2: memory is reported as what the second half of the storm has added: in the
first half, pools and caches fill.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import attrs
import trio

from voicecore.assembly import real_world
from voicecore.bench.load.hangup_storm import By, HangUp, drawn, find_spans
from voicecore.bench.load.simulated_calls import PROVIDER, SCRIPT, user_steps
from voicecore.bench.processes.child import Child, apart_from_children, open_child
from voicecore.bench.processes.usage import Usage
from voicecore.bench.report.result import BenchmarkFailed, Plan, Progress, Size
from voicecore.simulation.openai_realtime import RealtimeTwin
from voicecore.simulation.twilio import LineFaults, StatusFaults, TwilioTwin, WebhookFaults, open_twilio

LEAK_LIMIT_BYTES = 4096  #: that a hang-up may add to the memory for good: noise of the allocator

_AT_ONCE = 30
_MAX_CALLS = 120
_STATUS_BEFORE_S = 0.2
_LONGEST_S = 300.0
_LOOK_S = 0.1
_SETTLES_S = 15.0  #: whatever has not ended by then is stuck
_APART_S = 0.02  #: idle calls, as they come in


@attrs.frozen
class SocketsStorm:
    """The result of a storm on sockets."""

    hang_ups: int
    before: Mapping[str, int]
    after: Mapping[str, int]
    leaked_bytes: float | None
    """Of memory, for each hang-up of the second half."""


@attrs.frozen
class IdleCalls:
    """What each open, silent call uses."""

    calls: int
    memory_kib: float | None
    tasks: float
    files: float | None
    objects: float


def run_sockets_storm(plan: Plan, progress: Progress) -> SocketsStorm:
    """Run the storm on real sockets.

    Raises:
        BenchmarkFailed: A call was not filed once, or something is left.
    """
    half = plan.pick(3, 30, 250)
    progress(f"{2 * half} hang-ups on loopback sockets")
    spans = find_spans(plan.seed)
    ways = (By.STOP, By.SOCKET, By.STATUS)  # hanging up by us is in the storm in virtual time
    parts = [list(drawn(half, random.Random(f"{plan.seed}/{part}"), spans, ways)) for part in range(3)]
    with apart_from_children():
        usages = trio.run(_storm, parts, _rest_s(plan))
    return _checked(half, usages)


def _checked(half: int, usages: Sequence[Usage]) -> SocketsStorm:
    counts = [dict(usage.counts) for usage in usages]
    filed = [each.pop("filed") for each in counts]
    if [after - before for before, after in itertools.pairwise(filed)] != [half, half]:
        raise BenchmarkFailed(f"of twice {half} calls of a storm on sockets {filed[-1] - filed[0]} were filed")
    if counts[2]["odd"]:
        raise BenchmarkFailed(f"{counts[2]['odd']} calls of a storm on sockets did not end as hang-ups do")
    if not counts[0] == counts[1] == counts[2]:
        raise BenchmarkFailed(f"a storm on sockets left {counts[2]}, not {counts[0]}")
    middle, last = usages[1].rss_bytes, usages[2].rss_bytes
    leaked = None if middle is None or last is None else (last - middle) / half
    if leaked is not None and leaked > LEAK_LIMIT_BYTES and half > _AT_ONCE:  # a few calls say nothing of memory
        raise BenchmarkFailed(f"each hang-up of a storm on sockets added {leaked:.0f} bytes to the memory")
    return SocketsStorm(2 * half, counts[0], counts[2], leaked)


async def _storm(parts: Sequence[Sequence[HangUp]], rest_s: float) -> list[Usage]:
    """Return what the engine's process uses after each part; the first one is the warm-up."""
    usages = []
    async with _open_engine("Hello.") as (provider, child):
        for part in parts:
            async with open_twilio(real_world()) as carrier:
                await _run_calls(carrier, f"http://127.0.0.1:{child.port}", part)
            usages.append(await _usage_when_idle(child, 0, rest_s))
            if provider.open_connections:
                raise BenchmarkFailed(f"a storm on sockets left {provider.open_connections} sessions at the provider")
    return usages


async def _run_calls(carrier: TwilioTwin, url: str, hang_ups: Sequence[HangUp]) -> None:
    """Run these calls, a limited number at once; return once all are over for the carrier."""
    places = trio.CapacityLimiter(_AT_ONCE)
    with trio.move_on_after(_LONGEST_S):
        async with trio.open_nursery() as nursery:
            for hang_up in hang_ups:
                nursery.start_soon(_run_call, carrier, url, hang_up, places)
        return
    raise BenchmarkFailed(f"{len(hang_ups)} calls of a storm took longer than {_LONGEST_S:.0f} s")


async def _run_call(carrier: TwilioTwin, url: str, hang_up: HangUp, places: trio.CapacityLimiter) -> None:
    async with places:
        if not hang_up.is_picked_up:
            await carrier.call(url, (), webhooks=WebhookFaults(abandoned_after_s=hang_up.after_s))
            return
        faults = LineFaults(ends_at_s=hang_up.after_s, stream_end=hang_up.stream_end)
        statuses = StatusFaults(completed_before_stop_s=_STATUS_BEFORE_S if hang_up.by is By.STATUS else None)
        await carrier.call(url, user_steps(brief=True), faults=faults, statuses=statuses)


# --- idle calls ---------------------------------------------------------------------


def look_at_idle(plan: Plan, progress: Progress) -> Sequence[IdleCalls]:
    """Return what silent calls use, by how many there are.

    Raises:
        BenchmarkFailed: They could not be opened.
    """
    with apart_from_children():
        looked = []
        for calls in plan.calls if plan.size is Size.FULL else plan.calls[-1:]:
            progress(f"{calls} idle call{'s' * (calls > 1)}")
            looked.append(trio.run(_idle, calls, _rest_s(plan)))
    return looked


async def _idle(calls: int, rest_s: float) -> IdleCalls:
    async with _open_engine("") as (_, child), open_twilio(real_world()) as carrier:
        url = f"http://127.0.0.1:{child.port}"
        await carrier.call(url, (), faults=LineFaults(ends_at_s=rest_s))  # what is made once per process is made now
        before = await _usage_when_idle(child, 0, rest_s)
        async with trio.open_nursery() as nursery:
            for _ in range(calls):
                nursery.start_soon(carrier.call, url, ())
                await trio.sleep(_APART_S)
            during = await _usage_when_idle(child, calls, rest_s)
            nursery.cancel_scope.cancel()
    if during.counts["registry"] != calls:
        raise BenchmarkFailed(f"with {calls} idle calls the registry had {during.counts['registry']}")
    return _each(calls, before, during)


def _each(calls: int, before: Usage, during: Usage) -> IdleCalls:
    more = {kind: (during.counts[kind] - before.counts[kind]) / calls for kind in before.counts}
    both = None if before.rss_bytes is None or during.rss_bytes is None else during.rss_bytes - before.rss_bytes
    return IdleCalls(
        calls=calls,
        memory_kib=None if both is None else both / 1024 / calls,
        tasks=more["tasks"],
        files=more.get("files"),
        objects=more["objects"],
    )


async def _usage_when_idle(child: Child, registry: int, rest_s: float) -> Usage:
    """Return what the process uses once its registry has this many entries, or time is up, and some time has passed."""
    deadline = trio.current_time() + _SETTLES_S
    while (await child.usage()).counts["registry"] != registry and trio.current_time() < deadline:  # noqa: ASYNC110
        await trio.sleep(_LOOK_S)
    await trio.sleep(rest_s)
    return await child.usage()


def _rest_s(plan: Plan) -> float:
    """Return how long new calls take to settle, and closed ones to disappear on both sides."""
    return plan.pick(0.4, 1.0, 2.0)


@asynccontextmanager
async def _open_engine(first_message: str) -> AsyncIterator[tuple[RealtimeTwin, Child]]:
    """Run a provider twin here, and an engine that counts in a process of its own."""
    provider = RealtimeTwin(real_world(), SCRIPT, PROVIDER)
    async with (
        provider.serve() as base_url,
        open_child("voicecore.bench.processes.counting_process", base_url, str(_MAX_CALLS), first_message) as child,
    ):
        yield provider, child
