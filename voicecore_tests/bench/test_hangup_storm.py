"""The storm of hang-ups: its moments are those of a real call, and what is left makes it fail."""

from __future__ import annotations

import random
from collections import Counter

import attrs
import pytest

from voicecore.bench.load import hangup_storm, hangup_storm_on_sockets
from voicecore.bench.load.hangup_storm import By, Moment, drawn, find_spans, run_storm
from voicecore.bench.processes.usage import Usage
from voicecore.bench.report.result import SMALL, BenchmarkFailed
from voicecore.engine import call_runner, lifecycle
from voicecore.engine.hosted_call import HostedCall
from voicecore.engine.lifecycle import LifecycleParts
from voicecore.facts import EndCause


def test_the_moments_follow_each_other() -> None:
    """As the call that nobody ends shows: it is greeted, then it talks, then the user stops the agent."""
    spans = find_spans(1)
    greeting, talk, cut = (spans[each] for each in (Moment.FIRST_MESSAGE, Moment.TALKING, Moment.BARGE_IN))
    assert 0.0 == greeting[0] < greeting[1] == talk[0] < talk[1] == cut[0] < cut[1]
    assert spans[Moment.RINGING][1] < spans[Moment.PARKED][0]


def test_ends_are_drawn_from_the_seed_and_evenly() -> None:
    """Each moment as often as the others; before the media a call ends by us or by the carrier's status."""
    spans = dict.fromkeys(Moment, (1.0, 2.0))
    first, again = (list(drawn(100, random.Random(3), spans, tuple(By))) for _ in range(2))
    assert first == again
    assert set(Counter(each.moment for each in first).values()) == {20}
    assert {each.by for each in first if not each.is_picked_up} == {By.US, By.STATUS}
    assert {each.by for each in first if each.is_picked_up} == set(By)
    assert all(1.0 <= each.after_s <= 2.0 for each in first)


def test_calls_that_somebody_holds_on_to_make_the_storm_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """What they have left is in the message."""
    kept: list[HostedCall] = []

    async def keeps(hosted: HostedCall, parts: LifecycleParts) -> None:
        kept.append(hosted)
        await lifecycle.run_hosted_call(hosted, parts)

    monkeypatch.setattr(call_runner, "run_hosted_call", keeps)
    with pytest.raises(BenchmarkFailed, match=r"20 hang-ups left .*'objects': \d\d"):
        run_storm(SMALL, lambda _: None)


def counted(**counts: int) -> Usage:
    given = {"tasks": 5, "threads": 1, "objects": 0, "registry": 0, "filed": 0, "odd": 0} | counts
    return Usage(at_s=0.0, cpu_s=0.0, rss_bytes=counts.get("rss"), machine_s=None, counts=given)


@pytest.mark.parametrize(
    ("last", "why"),
    [
        ({"filed": 199}, "were filed"),
        ({"tasks": 6}, "left .*'tasks': 6"),
        ({"threads": 2}, "left"),
        ({"registry": 1}, "left"),
        ({"odd": 1}, "1 calls of a storm on sockets did not end"),
    ],
)
def test_a_process_that_holds_more_makes_the_storm_on_sockets_fail(last: dict[str, int], why: str) -> None:
    """Counted before, half-way and after."""
    usages = [counted(), counted(filed=100), counted(**{"filed": 200} | last)]
    with pytest.raises(BenchmarkFailed, match=why):
        hangup_storm_on_sockets._checked(100, usages)


def test_memory_that_grows_makes_the_storm_on_sockets_fail() -> None:
    """Beyond the noise of an allocator; only the second half counts."""
    sizes = [50_000_000, 60_000_000, 60_000_000 + 100 * 5_000]
    usages = [attrs.evolve(counted(filed=100 * part), rss_bytes=size_bytes) for part, size_bytes in enumerate(sizes)]
    with pytest.raises(BenchmarkFailed, match="added 5000 bytes"):
        hangup_storm_on_sockets._checked(100, usages)
    quiet = [*usages[:2], attrs.evolve(usages[2], rss_bytes=60_000_000)]
    assert hangup_storm_on_sockets._checked(100, quiet).leaked_bytes == 0


def test_a_call_that_fails_is_no_hang_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A storm of calls that break by themselves would find nothing, and mean nothing."""
    monkeypatch.setattr(hangup_storm, "_OUTCOMES", {EndCause.HUNG_UP})
    with pytest.raises(BenchmarkFailed, match=r"ended as .*remote_hung_up"):
        run_storm(SMALL, lambda _: None)
