"""Measured processes: they answer what they used, and end with their block."""

from __future__ import annotations

import os
import sys

import pytest
import trio

from voicecore.bench.processes.child import apart_from_children, open_child
from voicecore.bench.processes.usage import own_usage
from voicecore.bench.report.result import BenchmarkFailed
from voicecore_tests.chance import REAL_TIME

pytestmark = REAL_TIME

RELAY = "voicecore.bench.processes.relay_process"


async def test_a_child_says_where_it_serves_and_what_it_used() -> None:
    """Its times are on the same clock as its parent's; usage only grows."""
    async with open_child(RELAY, "ws://127.0.0.1:1/") as child:
        before, first, second = own_usage(), await child.usage(), await child.usage()
        assert before.at_s <= first.at_s <= second.at_s <= own_usage().at_s
        assert 0 < first.cpu_s <= second.cpu_s
        await (await trio.open_tcp_stream("127.0.0.1", child.port)).aclose()


async def test_a_child_ends_with_its_block() -> None:
    """Also when the block is left by an error."""
    ports: list[int] = []

    async def leave_by_an_error() -> None:
        async with open_child(RELAY, "ws://127.0.0.1:1/") as child:
            ports.append(child.port)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await leave_by_an_error()
    with pytest.raises(OSError, match="attempts to connect"):
        await trio.open_tcp_stream("127.0.0.1", ports[0])


async def test_a_child_that_does_not_come_up_is_a_failure() -> None:
    """With a line for people; the child's own words are on stderr."""
    with pytest.raises(BenchmarkFailed, match="has exited"):
        async with open_child("voicecore.bench.no_such_process"):
            pass


def test_the_parent_keeps_off_the_childs_processor_for_a_while_only() -> None:
    """Afterwards everything is as it was before."""
    if sys.platform == "linux":
        before = os.sched_getaffinity(0)
        with apart_from_children():
            assert os.sched_getaffinity(0) <= before
        assert os.sched_getaffinity(0) == before
    else:
        with apart_from_children():
            assert own_usage().machine_s is None
