"""A record that goes into the log because no disk takes it: whole, in lines that a collector of logs takes."""

from __future__ import annotations

import errno
import logging
import re
from pathlib import Path

import attrs
import orjson
import pytest
from trio.testing import MockClock

from voicecore.engine.record_queue import WritingSettings
from voicecore.engine.records import open_records
from voicecore.facts import CallReport, Speaker, TranscriptLine
from voicecore.observe.store import FolderStore, record_json
from voicecore.simulation.memory_files import DiskFault
from voicecore.simulation.world import simulated_world
from voicecore_tests.observe.test_store import REPORT

LINE_BYTES = 8192


def report_of(lines: int, text: str) -> CallReport:
    said = tuple(TranscriptLine(Speaker.USER, f"item_{number}", text) for number in range(lines))
    return attrs.evolve(REPORT, transcript=said)


@pytest.mark.parametrize("report", [report_of(1, "hello"), report_of(300, "Grüße, 你好 " * 20)], ids=["short", "long"])
async def test_a_record_in_the_log_is_whole_and_no_line_is_too_long(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, report: CallReport
) -> None:
    """Its parts are numbered and joined they are the record."""
    simulated = simulated_world()
    simulated.files.fault = DiskFault(fails_with=errno.ENOSPC)
    store = FolderStore(simulated.files, Path("calls"))
    async with open_records(store, simulated.world, WritingSettings(), 5.0) as records:
        records.keep(report)
    errors = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert max(len(line.encode()) for line in errors) < LINE_BYTES
    entry = re.compile(r"here it is(?: \(part (\d+) of (\d+)\))?: (.*)", re.DOTALL)
    found = [each for line in errors if (each := entry.search(line))]
    if len(found) > 1:
        assert [each.group(1) for each in found] == [str(number) for number in range(1, len(found) + 1)]
        assert {each.group(2) for each in found} == {str(len(found))}
    assert orjson.loads("".join(each.group(3) for each in found)) == orjson.loads(record_json(report))
    assert (len(found) > 1) == (len(record_json(report)) > LINE_BYTES)
