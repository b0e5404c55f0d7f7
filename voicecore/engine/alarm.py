"""Waiting for a moment that others may bring forward.

A loop that acts on deadlines sleeps here; whoever learns of an earlier one
moves the wake-up.  No event object and no wake-up for news that changes nothing.

Rule: the sleeper computes its deadline and calls `wait_until` without a
checkpoint between, so that nothing brought forward meanwhile can be missed.

Used by the speak and heartbeat loops of engine/run.py and by engine/host.py.
"""

from __future__ import annotations

import trio


class Alarm:
    """One sleeper, any number of wakers."""

    def __init__(self) -> None:
        self._scope: trio.CancelScope | None = None

    async def wait_until(self, deadline: float | None) -> None:
        """Sleep until ``deadline`` (seconds on Trio's clock; None: until brought forward)."""
        with trio.CancelScope(deadline=float("inf") if deadline is None else deadline) as scope:
            self._scope = scope
            try:
                await trio.sleep_forever()
            finally:
                self._scope = None

    def bring_forward(self, deadline: float | None) -> None:
        """Make the sleeper wake no later than this; nothing when it is awake, or for None."""
        if self._scope is not None and deadline is not None and deadline < self._scope.deadline:
            self._scope.deadline = deadline
