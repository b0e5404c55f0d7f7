"""A step is timed only if it does what it should."""

from __future__ import annotations

import itertools

import pytest

from voicecore.bench.micro.timing import Step, timed
from voicecore.bench.report.result import SMALL, BenchmarkFailed, Result


def _table(step: Step) -> Result:
    (table,) = timed("sums", "What sums cost.", [step], SMALL, lambda _: None)
    return table


def test_a_step_with_another_output_has_no_figure() -> None:
    """The name of the step is in the message."""
    with pytest.raises(BenchmarkFailed, match="adding"):
        _table(Step("adding", "two numbers", lambda: 1 + 1, 3))


def test_a_step_is_checked_once_it_has_settled_in() -> None:
    """Filters have to fill first."""
    outputs = itertools.chain([0, 0, 0], itertools.repeat(7))
    (row,) = _table(Step("filter", "a sample", lambda: next(outputs), 7)).rows
    assert row["step"] == "filter"
