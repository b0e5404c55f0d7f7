"""The carrier's ids of calls that are over: a late webhook must not start a call again.

Rule 1: bounded in number and in age; the oldest are forgotten first.
Rule 2: a name says that its call is over, and nothing else of it.

Synchronous; time is an argument.
"""

from __future__ import annotations

from collections.abc import Iterable

NAMES_LIMIT = 10_000
KEPT_S = 3600.0  #: carriers deliver a webhook again within minutes, and never use a name for another call


class PastCalls:
    """The names of calls that were over lately."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}  # oldest first; bounded by NAMES_LIMIT

    def __len__(self) -> int:
        return len(self._until)

    def add(self, names: Iterable[str], now: float) -> None:
        """Remember that the call with these names is over."""
        for name in names:
            self._until.pop(name, None)
            self._until[name] = now + KEPT_S
        while self._until and (len(self._until) > NAMES_LIMIT or self._until[next(iter(self._until))] <= now):
            del self._until[next(iter(self._until))]

    def knows(self, name: str, now: float) -> bool:
        """Whether this is the name of a call that is over."""
        return now < self._until.get(name, now)
