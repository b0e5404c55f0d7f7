"""The child's half of a measured process: report the port, then its resource usage whenever asked.

child  → {"port": 40123}                            once it serves
parent → any line
child  → a `Usage` as JSON                          one for each line
parent closes its end: the child exits
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import attrs
import orjson
import trio

_READ_BYTES = 1024
_STATM = Path("/proc/self/statm")
_STAT = Path("/proc/stat")
_IDLE = (3, 4)  #: the fields of its first line that count time without work: idle and waiting for a disk


@attrs.frozen
class Usage:
    """What a process had used at a moment of the machine's clock, which all its processes share."""

    at_s: float
    cpu_s: float
    """User and system time of all its threads."""
    rss_bytes: int | None
    machine_s: float | None
    """Processor time of the whole machine since it started, all processors together."""
    counts: Mapping[str, int] = attrs.field(factory=dict)
    """Other resources that a process counts, by name; most count none."""


def share(begin: Usage, end: Usage) -> float:
    """Return the part of a processor that was used between two moments."""
    return (end.cpu_s - begin.cpu_s) / (end.at_s - begin.at_s)


def others(own: Sequence[Usage], child: Sequence[Usage]) -> float | None:
    """Return the part of a processor that everything but this process and the child used; first to last moment.

    None where the system does not say.
    """
    begin, end = own[0], own[-1]
    if begin.machine_s is None or end.machine_s is None:
        return None
    everything = (end.machine_s - begin.machine_s) / (end.at_s - begin.at_s)
    return max(0.0, everything - share(begin, end) - share(child[0], child[-1]))


def own_usage() -> Usage:
    """Return what this process has used."""
    return Usage(time.perf_counter(), time.process_time(), _resident_bytes(), _machine_s())


async def report_usage(port: int, look: Callable[[], Usage] = own_usage) -> None:
    """Report the port, answer each question with the usage, and return when the parent has gone."""
    with suppress(BrokenPipeError):  # the parent exited while we started, or before it read an answer
        _say({"port": port})
        async with trio.lowlevel.FdStream(os.dup(sys.stdin.fileno())) as questions:
            while received := await questions.receive_some(_READ_BYTES):
                for _ in range(received.count(b"\n")):
                    _say(attrs.asdict(look()))


def _say(message: dict[str, object]) -> None:
    """Write unbuffered: Python would complain at exit about what it could not flush."""
    os.write(sys.stdout.fileno(), orjson.dumps(message) + b"\n")


def _machine_s() -> float | None:
    """Return the time that all processes of the machine have used; None where the system does not say."""
    if sys.platform != "linux":
        return None
    ticks = [int(field) for field in _STAT.read_text().partition("\n")[0].split()[1:9]]
    return sum(count for index, count in enumerate(ticks) if index not in _IDLE) / os.sysconf("SC_CLK_TCK")


def _resident_bytes() -> int | None:
    """Return the memory that the process holds; None where the system does not say."""
    if sys.platform != "linux":
        return None
    return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
