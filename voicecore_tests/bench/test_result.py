"""What a measurement gives: percentiles that are real values, and tables that are complete."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicecore.bench.report.result import Column, Result, percentile

VALUES = st.lists(st.floats(0, 1e6), min_size=1, max_size=200)


@pytest.mark.parametrize(
    ("percent", "expected"), [(0, 1.0), (1, 1.0), (50, 50.0), (50.5, 51.0), (99, 99.0), (99.1, 100.0), (100, 100.0)]
)
def test_a_percentile_is_the_nearest_rank(percent: float, expected: float) -> None:
    """Of 1 to 100 the p-th percentile is p, rounded up."""
    assert percentile([float(value) for value in range(100, 0, -1)], percent) == expected


@given(VALUES, st.floats(0, 100))
def test_a_percentile_is_a_value_that_so_many_are_not_above(values: list[float], percent: float) -> None:
    """Nothing is made up between two values."""
    found = percentile(values, percent)
    assert found in values
    assert sum(value <= found for value in values) >= len(values) * percent / 100


@pytest.mark.parametrize(("values", "percent"), [([], 50), ([1.0], -1), ([1.0], 101)])
def test_a_percentile_of_nothing_is_an_error(values: list[float], percent: float) -> None:
    """No figure where there is none."""
    with pytest.raises(ValueError, match="percentile"):
        percentile(values, percent)


def test_a_row_has_every_column_in_its_order() -> None:
    """A figure that is missing is noticed where it is missing."""
    columns = (Column("step"), Column("CPU", "µs"))
    with pytest.raises(ValueError, match="a row of x"):
        Result(name="x", about="", columns=columns, rows=[{"step": "a"}])
