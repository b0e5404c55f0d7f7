"""A step is timed only if it does what it should."""

from __future__ import annotations

import itertools

import pytest

from voicecore.bench.result import SMALL, BenchmarkFailed
from voicecore.bench.timing import Step, timed


def test_a_step_with_another_output_has_no_figure() -> None:
    """The name of the step is in the message."""
    with pytest.raises(BenchmarkFailed, match="adding"):
        timed(Step("adding", "two numbers", lambda: 1 + 1, 3), SMALL)


def test_a_step_is_checked_once_it_has_settled_in() -> None:
    """Filters have to fill first."""
    outputs = itertools.chain([0, 0, 0], itertools.repeat(7))
    assert timed(Step("filter", "a sample", lambda: next(outputs), 7), SMALL)["step"] == "filter"
