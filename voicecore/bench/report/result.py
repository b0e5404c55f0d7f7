"""What every measurement is given, and what it returns: a plan, and tables of figures with units.

Rule: a table is complete or the measurement raises `BenchmarkFailed`; there are no
figures for work that was not done.
"""

from __future__ import annotations

import enum
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import attrs

Value = str | int | float | None
"""One cell; None: it could not be measured on this system."""

_Amount = TypeVar("_Amount", int, float)

Progress = Callable[[str], None]
"""Called with what is being done, for people who wait."""


class Size(enum.Enum):
    """How long a run may take: seconds in tests, two minutes by default, and as long as good figures need."""

    SMALL = "small"
    DESK = "desk"
    FULL = "full"


class BenchmarkFailed(Exception):
    """A measurement could not be made; the message is one line for people."""


@attrs.frozen(kw_only=True)
class Plan:
    """How long a run takes, and what it covers."""

    size: Size = Size.DESK
    calls: tuple[int, ...] = (1, 10, 50)
    """Calls at once, one level after the other."""
    seconds: float = 2.0
    """How long each level is measured, after its warm-up."""
    seed: int = 1
    """Of all random choices: audio, phases, ids."""
    handshake_s: float = 0.3
    """Of the provider, in `pickup`: from the dial to a session that is configured."""
    first_delta_s: float = 0.25
    """Of the provider, in `pickup`: from the request for a response to its first audio."""

    @property
    def warm_up_s(self) -> float:
        """How long calls run before anything is measured."""
        return self.pick(0.2, 0.5, 2.0)

    def pick(self, small: _Amount, desk: _Amount, full: _Amount) -> _Amount:
        """Return how much of something a run of this size does."""
        return {Size.SMALL: small, Size.DESK: desk, Size.FULL: full}[self.size]


SMALL = Plan(size=Size.SMALL, calls=(2,), seconds=0.3)
"""What the tests run."""
FULL = Plan(size=Size.FULL, calls=(1, 10, 25, 50, 100), seconds=20.0)
"""For figures that are kept."""


@attrs.frozen
class Column:
    """A name, and the unit of the values below it ("" for names and counts)."""

    name: str
    unit: str = ""


@attrs.frozen(kw_only=True)
class Result:
    """One table."""

    name: str
    about: str
    """What was measured and what was not, in a few lines."""
    columns: Sequence[Column]
    rows: Sequence[Mapping[str, Value]] = attrs.field()
    """By the names of the columns, all of them."""

    @rows.validator
    def _complete(self, _attribute: object, rows: Sequence[Mapping[str, Value]]) -> None:
        names = [column.name for column in self.columns]
        for row in rows:
            if list(row) != names:
                raise ValueError(f"a row of {self.name} has {list(row)}, not {names}")


Measurement = Callable[[Plan, Progress], Sequence[Result]]
"""Raises `BenchmarkFailed`. Runs Trio by itself where it needs it."""


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest value that at least ``percent`` of all are not above: nearest rank, no interpolation.

    Raises:
        ValueError: No values, or not a percentage.
    """
    if not values or not 0 <= percent <= 100:
        raise ValueError("a percentile needs values, and a number from 0 to 100")
    rank = max(1, math.ceil(len(values) * percent / 100))
    return sorted(values)[rank - 1]


def median(values: Sequence[float]) -> float:
    """Return the middle value, or the mean of the two."""
    return statistics.median(values)
