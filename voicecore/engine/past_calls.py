"""Remembers the carrier's ids of calls that are over, so that a late webhook does not start a call again.

Rule 1: bounded in number and in age; the oldest are forgotten first.
Rule 2: nothing is kept of a call but that it is over.

Synchronous; time is an argument.
"""

from __future__ import annotations

from collections.abc import Iterable

IDS_LIMIT = 10_000
KEPT_S = 3600.0  #: carriers repeat a webhook within minutes, and never use an id for another call


class PastCalls:
    """The carrier's ids of calls that have ended lately."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}  # oldest first; bounded by IDS_LIMIT

    def __len__(self) -> int:
        return len(self._until)

    def add(self, ids: Iterable[str], now: float) -> None:
        """Remember that the call with these ids is over."""
        for each in ids:
            self._until.pop(each, None)
            self._until[each] = now + KEPT_S
        while self._until and (len(self._until) > IDS_LIMIT or self._until[next(iter(self._until))] <= now):
            del self._until[next(iter(self._until))]

    def knows(self, carrier_call_id: str, now: float) -> bool:
        """Whether this is the id of a call that is over."""
        return now < self._until.get(carrier_call_id, now)
