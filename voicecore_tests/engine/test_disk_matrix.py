"""The disk matrix: slow, full, read-only, gone, back again, with 200 ends at once: written, or kept and said."""

from __future__ import annotations

import errno
import json
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock

from voicecore.disk import RealFiles
from voicecore.engine.agent import Agent
from voicecore.engine.host import Host, open_host
from voicecore.engine.host_ports import HostPorts
from voicecore.engine.record_queue import WritingSettings
from voicecore.engine.settings import HostSettings
from voicecore.facts import CallEnded, Fact
from voicecore.observe.store import FolderStore
from voicecore.ports import RingingCall, StatusReport
from voicecore.simulation.memory_files import HEALTHY, DiskFault, MemoryFiles
from voicecore.simulation.world import simulated_world
from voicecore.statuses import CarrierStatus
from voicecore_tests.engine.failing import OpenParts, Trap, TrappedDialler, TrappedProvider

CALLS = 200
FULL = DiskFault(fails_with=errno.ENOSPC)
ROWS = {
    "full": FULL,
    "read-only": DiskFault(fails_with=errno.EROFS),
    "gone": DiskFault(fails_with=errno.ENOENT),
    "broken": DiskFault(fails_with=errno.EIO),
    "no threads": DiskFault(is_without_threads=True),
    "slow and full": DiskFault(takes_s=0.3, fails_with=errno.ENOSPC),
}


@attrs.define(eq=False)
class Ends:
    """A host, its disk, and the calls that ended on it."""

    host: Host
    disk: MemoryFiles
    ended: list[str]

    def end_calls(self, count: int = CALLS) -> None:
        """Let calls ring and be over, at the same moment."""
        first = len(self.ended) + 1000 * (self.host.statistics().unfiled + 1)
        ids = [f"CA{first + number}" for number in range(count)]
        for carrier_call_id in ids:
            assert self.host.incoming(RingingCall(carrier_call_id=carrier_call_id, caller="+1", callee="+2"))
        for carrier_call_id in ids:
            word = CarrierStatus.COMPLETED
            self.host.status(StatusReport(carrier_call_id=carrier_call_id, status=word, word="completed"))

    @property
    def records(self) -> dict[str, Any]:
        files = self.disk.files.items()
        return {path.parent.name: json.loads(bytes(data)) for path, data in files if path.name == "record.json"}


@asynccontextmanager
async def ends(trouble: DiskFault = HEALTHY, **settings: Any) -> AsyncIterator[Ends]:
    simulated = simulated_world()
    simulated.files.fault = trouble
    ended: list[str] = []

    def observe(call_id: str, fact: Fact) -> None:
        if isinstance(fact, CallEnded):
            ended.append(call_id)

    parts = HostPorts(
        providers={"trapped": TrappedProvider(Trap())},
        agent=Agent(instructions="Be brief."),
        carriers=[OpenParts(dialler=TrappedDialler(Trap()))],
        store=FolderStore(simulated.files, Path("calls")),
        observers=[observe],
    )
    given = HostSettings(max_calls=2000, **settings)
    async with open_host(simulated.world, parts, given) as host:
        yield Ends(host, simulated.files, ended)


def said(caplog: pytest.LogCaptureFixture, words: str) -> Sequence[str]:
    return [record.getMessage() for record in caplog.records if words in record.getMessage()]


@pytest.mark.parametrize("takes_s", [0.0, 0.3, 5.0])
async def test_a_slow_disk_keeps_nothing_from_being_written(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, takes_s: float
) -> None:
    """Every record is written in the end; observers are notified at the same time, a few are written at once."""
    async with ends(DiskFault(takes_s=takes_s)) as it:
        it.end_calls()
        await trio.sleep(1.0)
        assert len(it.ended) == CALLS  # told when it is over, not when it is written
        statistics = it.host.statistics()
        assert statistics.filed == len(it.records) if takes_s == 0.0 else statistics.filed < CALLS
        assert statistics.filed + statistics.unwritten == CALLS
        began_at = trio.current_time()
        await it.host.wait_idle()
        assert (it.host.statistics().filed, it.host.statistics().unwritten) == (CALLS, 0)
        assert set(it.records) == set(it.ended)
        assert it.disk.most_at_once <= 4
        assert trio.current_time() - began_at <= 2 * takes_s * CALLS / 4 + 1.0
    minutes = (trio.current_time() - began_at) / 60.0
    assert len(said(caplog, "writing its record has taken")) <= minutes + 1
    assert bool(said(caplog, "writing its record has taken")) is (takes_s >= 5.0)


@pytest.mark.parametrize("row", ROWS)
async def test_what_the_disk_does_not_take_is_kept_said_and_written_when_it_is_back(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, row: str
) -> None:
    """Ten minutes without a disk: one line with the path and the reason, one a minute, one when it is back."""
    async with ends(ROWS[row]) as it:
        it.end_calls()
        await trio.sleep(600.0)
        assert len(it.ended) == CALLS
        assert (it.host.statistics().filed, it.host.statistics().unwritten) == (0, CALLS)
        assert it.records == {}
        lines = said(caplog, "could not be written")
        assert 2 <= len(lines) <= 12
        assert "calls/call_" in lines[0] or row == "no threads"
        assert f"records waiting: {CALLS}" in lines[0]
        with trio.fail_after(1.0):
            await it.host.wait_idle()  # who drains is not kept by a dead disk
        it.end_calls(10)  # calls go on
        it.disk.fault = HEALTHY
        await trio.sleep(61.0)
        assert (it.host.statistics().filed, it.host.statistics().unwritten) == (CALLS + 10, 0)
        assert set(it.records) == set(it.ended)
    assert len(said(caplog, "records are being written again")) == 1
    assert said(caplog, "before the engine closed") == []


@pytest.mark.parametrize("row", ROWS)
async def test_what_cannot_be_written_before_the_end_is_put_into_the_log_whole(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, row: str
) -> None:
    """Bounded; and the call that the program placed has its report."""
    async with ends(ROWS[row]) as it:
        it.end_calls()
        await trio.sleep(30.0)
        left_at = trio.current_time()
    assert trio.current_time() - left_at <= 5.0 + 2 * 0.3
    lines = said(caplog, "could not be written before the engine closed")
    assert {json.loads(line.partition(": ")[2].partition(": ")[2])["call_id"] for line in lines} == set(it.ended)
    assert len(lines) == CALLS


async def test_a_disk_that_is_back_at_the_end_gets_everything(autojump_clock: MockClock) -> None:
    """The last try is made at full width, not after the pause."""
    async with ends(FULL) as it:
        it.end_calls()
        await trio.sleep(100.0)
        it.disk.fault = HEALTHY
    assert len(it.records) == CALLS


async def test_beyond_the_bound_of_memory_the_oldest_is_said_whole(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is lost without its words in the log."""
    async with ends(FULL, records=WritingSettings(limit=50)) as it:
        for _ in range(4):
            it.end_calls(50)
            await trio.sleep(20.0)
        assert it.host.statistics().unwritten == 50
        lost = {json.loads(line[line.index("{") :])["call_id"] for line in said(caplog, "was dropped to make room")}
        assert len(lost) == 150
        it.disk.fault = HEALTHY
        await trio.sleep(61.0)
        assert set(it.records) == set(it.ended) - lost


async def test_who_placed_a_call_does_not_wait_for_a_dead_disk(autojump_clock: MockClock) -> None:
    """The block of `dial` is left when the report is there and a first try was made, within a bound."""
    for trouble, bound_s in ((FULL, 0.1), (DiskFault(takes_s=3600.0), 5.1)):
        async with ends(trouble, status_wait_s=0.0) as it:
            began_at = trio.current_time()
            async with it.host.dial("+15550100001") as call:
                await trio.sleep(0.2)
                call.hang_up()
            assert trio.current_time() - began_at <= 0.2 + bound_s
            assert call.report.call_id == call.call_id


async def test_a_record_is_there_before_the_carriers_last_word_and_completed_by_it(autojump_clock: MockClock) -> None:
    """At once at the end; anew when the status comes; not anew when it never comes."""
    async with ends() as it:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_dial_for, it, 0.5)
            await trio.sleep(1.0)
            (record,) = it.records.values()
            assert record["carrier_status"] is None
            assert it.ended == []
            status = CarrierStatus.COMPLETED
            it.host.status(StatusReport(carrier_call_id="CA-victim", status=status, word="completed", duration_s=3))
            await trio.testing.wait_all_tasks_blocked()
            assert it.ended == [record["call_id"]]
            (record,) = it.records.values()
            assert (record["carrier_status"], record["carrier_duration_s"]) == ("completed", 3)
        writes = len(it.disk.history)
        await _dial_for(it, 0.5)
        await it.host.wait_idle()
        assert len(it.disk.history) - writes == 2  # one transcript, one record


async def _dial_for(it: Ends, seconds: float) -> None:
    async with it.host.dial("+15550100001"):
        await trio.sleep(seconds)


async def test_filed_is_said_when_it_is_true(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    """No number and no line says so while the disk has nothing."""
    caplog.set_level(logging.INFO)
    async with ends(FULL) as it:
        it.end_calls(1)
        await trio.sleep(20.0)
        assert it.host.statistics().filed == 0
        assert said(caplog, "filed") == []


async def test_on_a_real_disk_that_comes_back(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The folder's place is taken by a file, then it is free; no virtual time, no simulated file."""
    simulated, (taken, data_dir) = simulated_world(), (tmp_path / "data", tmp_path / "data" / "calls")
    taken.write_bytes(b"")
    parts = HostPorts(
        providers={"trapped": TrappedProvider(Trap())},
        agent=Agent(instructions="Be brief."),
        store=FolderStore(RealFiles(), data_dir),
    )
    given = HostSettings(max_calls=2000, records=WritingSettings(pause_s=0.01, longest_pause_s=0.05))
    with trio.fail_after(60.0):
        async with open_host(simulated.world, parts, given) as host:
            it = Ends(host, simulated.files, [])
            it.end_calls()
            while not said(caplog, "could not be written"):  # noqa: ASYNC110 - a real disk gives no event
                await trio.sleep(0.01)
            assert (host.statistics().filed, host.statistics().unwritten) == (0, CALLS)
            assert (
                f"{taken}: Not a directory; it is kept and will be retried" in said(caplog, "could not be written")[0]
            )
            taken.unlink()
            while host.statistics().unwritten:  # noqa: ASYNC110
                await trio.sleep(0.01)
            assert host.statistics().filed == CALLS
    assert len(list(data_dir.glob("call_*/record.json"))) == CALLS
