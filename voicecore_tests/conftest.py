"""What holds for all tests: chance is in hand, and the machine's cores are in use."""

from __future__ import annotations

import os
import signal
import sys

import pytest

from voicecore.gc_tuning import tune_gc
from voicecore_tests.chance import register_profiles, seed_trio

MOST_WORKERS = 5

register_profiles()


@pytest.hookimpl(optionalhook=True)  # of pytest-xdist
def pytest_xdist_auto_num_workers() -> int:
    """One more than cores: the worker that runs by the real clock mostly waits."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return min(cores + 1, MOST_WORKERS)


def pytest_configure() -> None:
    """Let programs that a test starts be stopped by signals, also where the tests run as a background job."""
    for each, handler in (("SIGINT", signal.default_int_handler), ("SIGHUP", signal.SIG_DFL)):
        number = getattr(signal, each, None)  # there is no SIGHUP on Windows
        if number is not None and signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)


def pytest_collection_finish() -> None:
    """As in a server: the garbage collector leaves alone what was imported and collected."""
    tune_gc()


@pytest.fixture(autouse=True)
def _trio_is_seeded() -> None:
    """Whatever ran before, a test meets the same choices of Trio's."""
    seed_trio()
