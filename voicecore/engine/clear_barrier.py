"""Orders for the session that wait until a clear is on the carrier's wire: silence first, then the history.

Rule: they wait for a quarter of a second at most, for a carrier that does not read.

Synchronous; time is an argument.
"""

from __future__ import annotations

from voicecore.events import SessionOrder

_WAIT_S = 0.25


class ClearBarrier:
    """What waits behind the newest clear of one call."""

    def __init__(self) -> None:
        self.deadline: float | None = None
        """When it is given up; None: no clear waits to be written."""
        self._waiting: list[SessionOrder] = []  # bounded by what one clear leads to, and _WAIT_S
        self._written_generation = 0

    def watch(self, generation: int, now: float) -> None:
        """Take the playout's generation: where it is newer than the last clear written, a clear is due."""
        if self.deadline is None and generation != self._written_generation:
            self.deadline = now + _WAIT_S

    def stop(self, order: SessionOrder) -> bool:
        """Keep an order while a clear waits; return whether it was kept."""
        if self.deadline is None:
            return False
        self._waiting.append(order)
        return True

    def written(self, generation: int) -> list[SessionOrder]:
        """The clear of this generation is on the wire; return the orders that may go now."""
        self._written_generation = generation
        return self._open()

    def expire(self, now: float) -> list[SessionOrder]:
        """Return the orders that have waited long enough."""
        return self._open() if self.deadline is not None and self.deadline <= now else []

    def _open(self) -> list[SessionOrder]:
        waiting, self._waiting, self.deadline = self._waiting, [], None
        return waiting
