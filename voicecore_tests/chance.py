"""Chance in the tests: none in `make test`, all there is in `make fuzz`.

`make test` has to give the same verdict on the same code whenever and wherever it
runs.  So Hypothesis derives its examples from each test itself and remembers none of
an earlier run, Trio's scheduler is seeded, and the Makefile fixes the order of sets.

`make fuzz` draws other examples each time, TIMES as many, under another order of sets,
and keeps those that failed in .hypothesis/.  What it finds is repeated in the test as an
``@example``, with the fix.

What runs by the real clock bears `REAL_TIME`: such tests run one after the other, so
that no two of them judge each other's delays.

Used by conftest.py, and by every test that wants another number of examples than 100.
"""

from __future__ import annotations

import os
import random
from typing import Any

import pytest
import trio._core._run as _trio_run
from hypothesis import settings

REAL_TIME = pytest.mark.xdist_group("real time")  #: for processes and sockets that wait on the real clock

_USUAL = 100  # examples of a test that names no number
_TIMES = "FUZZ_TIMES"  # in the environment: how many times as many `make fuzz` tries


def register_profiles() -> None:
    """Make "test" the profile; ``--hypothesis-profile=fuzz`` takes the other."""
    common = settings(
        settings.get_profile("default"), deadline=None, print_blob=True
    )  # with few cores a slow example says nothing about the code
    times = int(os.environ.get(_TIMES, "20"))
    settings.register_profile("test", common, derandomize=True, database=None)
    settings.register_profile("fuzz", common, max_examples=_USUAL * times)
    settings.load_profile("test")


def examples(count: int | None = None, *, steps: int | None = None, **others: Any) -> settings:
    """Return settings for so many examples in `make test`, and the fuzz profile's multiple of them in `make fuzz`.

    Args:
        count: Of examples; None: as many as usual.
        steps: Most steps of a state machine; None: as many as usual.
        others: Any other setting of Hypothesis.
    """
    profile = settings()
    if count is not None:
        others["max_examples"] = count * profile.max_examples // _USUAL
    if steps is not None:
        others["stateful_step_count"] = steps
    return settings(profile, **others)


def seed_trio(seed: int = 0) -> None:
    """Make Trio's own choices repeatable from here on.

    Trio sorts each batch of runnable tasks when Hypothesis is loaded, as it is in tests, and shuffles it with a
    random number generator of its own.  That generator is private; this is the one place that knows it.
    """
    chance: random.Random = _trio_run._r
    chance.seed(seed)
