"""What a session will do, and when: a heap of deadlines with their actions.

Rule 1: actions run in the order of their times, and in the order of scheduling where times are equal.
Rule 2: an action that no longer applies is cancelled by its id, never checked by a flag.

Pure: time is an argument.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable

Action = Callable[[float], None]  #: called with the time at which it was due, which may be in the past
ActionId = int


class Scheduler:
    """Timed actions of one session."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, ActionId]] = []
        self._actions: dict[ActionId, Action] = {}
        self._last_id = 0

    def at(self, due: float, action: Action) -> ActionId:
        """Schedule ``action`` for ``due``; the returned id cancels it."""
        self._last_id += 1
        self._actions[self._last_id] = action
        heapq.heappush(self._heap, (due, self._last_id))
        return self._last_id

    def cancel(self, action_id: ActionId | None) -> None:
        """Cancel one action; does nothing for None, or one that has run."""
        if action_id is not None:
            self._actions.pop(action_id, None)

    def clear(self) -> None:
        """Cancel everything."""
        self._actions.clear()
        self._heap.clear()

    def deadline(self) -> float | None:
        """Return when `run` must be called next, None when nothing is scheduled."""
        while self._heap and self._heap[0][1] not in self._actions:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def run(self, now: float) -> None:
        """Run everything that is due at ``now``, including what an action schedules for the past."""
        while (due := self.deadline()) is not None and due <= now:
            _, action_id = heapq.heappop(self._heap)
            self._actions.pop(action_id)(due)
