"""Sleeping until a deadline that others may bring forward.

A loop that acts on deadlines sleeps here; whoever learns of an earlier one moves the
wake-up.  That costs no event object, and a later deadline wakes nobody.

Rule 1: the sleeper computes its deadline and calls `wait_until` without a
checkpoint between, so that nothing brought forward meanwhile can be missed.
Rule 2: the sleeper is rescheduled, as by an event.  Ending its sleep by an exception, as
cancelling it does, takes a third longer and leaves garbage to collect.
"""

from __future__ import annotations

import trio


class Alarm:
    """One sleeper, any number of wakers."""

    def __init__(self) -> None:
        self._scope: trio.CancelScope | None = None
        self._sleeper: trio.lowlevel.Task | None = None

    async def wait_until(self, deadline: float | None) -> None:
        """Sleep until ``deadline`` (seconds on Trio's clock; None: until brought forward)."""
        self._sleeper = trio.lowlevel.current_task()
        with trio.CancelScope(deadline=float("inf") if deadline is None else deadline) as self._scope:
            await trio.lowlevel.wait_task_rescheduled(self._wake)
        self._scope = None
        await trio.lowlevel.checkpoint_if_cancelled()  # from outside; a deadline that has passed must not hide it

    def bring_forward(self, deadline: float | None) -> None:
        """Make the sleeper wake no later than this; nothing when it is awake, or for None."""
        if self._scope is not None and deadline is not None and deadline < self._scope.deadline:
            self._scope.deadline = deadline

    def _wake(self, _raise_cancel: object) -> trio.lowlevel.Abort:
        """Wake the sleeper; Trio calls this when the deadline, or a scope around the sleeper, cancels it."""
        if self._sleeper is not None:
            trio.lowlevel.reschedule(self._sleeper)
        return trio.lowlevel.Abort.FAILED
