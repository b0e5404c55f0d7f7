"""The child's half of a measured process for programs other than voicecore: the standard library alone.

    report_usage(port)      report the port; then answer each question with the usage, and exit with the parent

The same protocol as voicecore/bench/processes/usage.py.  A thread waits for the
questions: it costs nothing in between, and does not depend on any event loop.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path

_IDLE = (3, 4)  # fields of /proc/stat that count time without work


def report_usage(port: int) -> None:
    """Report the port and answer from now on."""
    _say({"port": port})
    threading.Thread(target=_answer, daemon=True).start()


def _answer() -> None:
    for _ in sys.stdin:
        _say(
            {
                "at_s": time.perf_counter(),
                "cpu_s": time.process_time(),
                "rss_bytes": int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE"),
                "machine_s": _machine_s(),
            }
        )
    os._exit(0)  # the parent has gone; there is nothing to save


def _machine_s() -> float:
    ticks = [int(field) for field in Path("/proc/stat").read_text().partition("\n")[0].split()[1:9]]
    return sum(count for index, count in enumerate(ticks) if index not in _IDLE) / os.sysconf("SC_CLK_TCK")


def _say(message: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(message, separators=(",", ":")) + "\n")
    sys.stdout.flush()
