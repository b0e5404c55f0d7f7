"""What a conversation tells: facts with their time, and problems once each, in bounds.

Rule 1: a problem is told the first time it comes up in a call; after that it is counted.
Rule 2: a peer's own words can be part of a problem's name.  Names are printable, of
bounded length and number: what is beyond is counted under "other" of its kind,
which is what stands before the first ": ", or under "other" alone.
Rule 3: at most so many problems are told a minute; how many were not is told as one.

Pure; time is an argument.
"""

from __future__ import annotations

from collections import Counter, deque

from voicecore import facts
from voicecore.errors import printable
from voicecore.turns.orders import Notify

NAME_CHARS = 80
KIND_CHARS = 40
NAMES_LIMIT = 64  #: of one call
NAMES_OF_KIND_LIMIT = 16  #: so that one kind of trouble does not crowd out the others
MESSAGE_CHARS = 300
TOLD_LIMIT = 20  #: problems told within TOLD_S
TOLD_S = 60.0
NOT_TOLD = "problems_not_told"
OTHER = "other"


class Problems(Counter[str]):
    """How often each problem came up; ``problems[name] += 1`` is all there is to know."""

    def __getitem__(self, name: str) -> int:
        return super().__getitem__(self.name_of(name))

    def __setitem__(self, name: str, count: int) -> None:
        super().__setitem__(self.name_of(name), count)

    def name_of(self, name: str) -> str:
        """Return the name under which a problem is counted."""
        if name in self or (name := _short(name)) in self:
            return name
        kind, separator, _ = name.partition(": ")
        if separator and len(kind) <= KIND_CHARS:
            of_kind = sum(known.startswith(kind + separator) for known in self)
            if of_kind >= NAMES_OF_KIND_LIMIT:
                return f"{kind}: {OTHER}"
        return name if len(self) < NAMES_LIMIT else OTHER


def _short(name: str) -> str:
    """Return a name that fits; one that fits already is returned as it is."""
    name = printable(name, NAME_CHARS)
    return name if len(name) <= NAME_CHARS else name[: NAME_CHARS - 1] + "…"


class Notifier:
    """One call's voice to its observers."""

    def __init__(self, began_at: float) -> None:
        self.problems = Problems()
        self._began_at = began_at
        self._told_at: deque[float] = deque(maxlen=TOLD_LIMIT)
        self._not_told = 0

    def at(self, now: float) -> float:
        """Return seconds since the call began."""
        return now - self._began_at

    def problem(self, code: str, message: str, now: float) -> list[Notify]:
        """Count a problem; tell it where it is new, and not one too many."""
        name = self.problems.name_of(code)
        self.problems[name] += 1
        if self.problems[name] > 1:
            return []
        if self._told_of_late(now) + bool(self._not_told) >= TOLD_LIMIT - 1:  # one is for the end of the call
            self._not_told += 1
            return []
        self._told_at.append(now)
        seen = facts.ProblemSeen(self.at(now), name, printable(message, MESSAGE_CHARS))
        return [*self.untold(now), Notify(seen)]

    def untold(self, now: float) -> list[Notify]:
        """Tell how many problems were not told, if any: with the next one that is, or at the end of the call."""
        count, self._not_told = self._not_told, 0
        if not count:
            return []
        self._told_at.append(now)
        words = f"{count} more problems came up and were not told one by one; the record counts them"
        return [Notify(facts.ProblemSeen(self.at(now), NOT_TOLD, words))]

    def _told_of_late(self, now: float) -> int:
        return sum(now - told_at < TOLD_S for told_at in self._told_at)
