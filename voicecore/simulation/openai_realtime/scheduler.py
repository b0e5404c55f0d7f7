"""What a session still has to do, and when: a heap of deadlines with their actions.

Rule 1: actions run in the order of their time, and of their making where times are equal.
Rule 2: an action that no longer applies is struck off by its id, never checked by a flag.

Pure: time is an argument.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable

Action = Callable[[float], None]  #: called with the time it was due, which may lie before now
ActionId = int


class Scheduler:
    """Timed actions of one session."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, ActionId]] = []
        self._actions: dict[ActionId, Action] = {}
        self._made = 0

    def at(self, due: float, action: Action) -> ActionId:
        """Do ``action`` at ``due``; the id strikes it off again."""
        self._made += 1
        self._actions[self._made] = action
        heapq.heappush(self._heap, (due, self._made))
        return self._made

    def cancel(self, action_id: ActionId | None) -> None:
        """Forget one action; None, or one that is done already, is legal."""
        if action_id is not None:
            self._actions.pop(action_id, None)

    def clear(self) -> None:
        """Forget everything."""
        self._actions.clear()
        self._heap.clear()

    def deadline(self) -> float | None:
        """Return when `run` must be called next, None when nothing is planned."""
        while self._heap and self._heap[0][1] not in self._actions:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def run(self, now: float) -> None:
        """Do everything that is due at ``now``, also what an action plans for a time that is past."""
        while (due := self.deadline()) is not None and due <= now:
            _, action_id = heapq.heappop(self._heap)
            self._actions.pop(action_id)(due)
