"""What a call could leave behind, counted: tasks, files, threads, objects.

Rule: two counts of one kind are taken in the same idle state, after a garbage
collection; a difference is a leak.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from pathlib import Path

import trio
from trio.lowlevel import Task

from voicecore.engine.call_handle import CallHandle
from voicecore.engine.host_statistics import HostStatistics
from voicecore.engine.hosted_call import HostedCall
from voicecore.engine.live_call import LiveCall
from voicecore.engine.parking.parked_session import ParkedSession
from voicecore.turns.conversation import Conversation

_FILES, _THREADS = Path("/proc/self/fd"), Path("/proc/self/task")
_OF_A_CALL = (LiveCall, HostedCall, Conversation, ParkedSession, CallHandle)


def living_tasks(root: Task | None = None) -> Iterator[Task]:
    """Yield every task below ``root``, or below the root task of this run."""
    task = root or trio.lowlevel.current_root_task()
    for nursery in task.child_nurseries if task is not None else ():
        for child in nursery.child_tasks:
            yield child
            yield from living_tasks(child)


def registered(statistics: HostStatistics) -> int:
    """Return how many calls, unwritten records and parked sessions an engine has."""
    calls = statistics.ringing + statistics.live + statistics.unfiled
    return calls + statistics.unwritten + statistics.parked.waiting


def call_objects() -> int:
    """Return how many objects of calls exist, whoever references them."""
    gc.collect()
    return sum(isinstance(each, _OF_A_CALL) for each in gc.get_objects())


def process_counts() -> dict[str, int]:
    """Return the resources of the process, by kind; files and threads where the system reports them."""
    counts = {"tasks": sum(1 for _ in living_tasks()), "objects": call_objects()}
    if sys.platform == "linux":
        counts["files"] = sum(1 for _ in _FILES.iterdir())
        counts["threads"] = sum(1 for _ in _THREADS.iterdir())
    return counts
