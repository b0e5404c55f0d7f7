"""What a conversation reports: facts with their time, and problems once each, in bounds.

Rule 1: a problem is reported the first time it comes up in a call; after that it is counted.
Rule 2: a peer's own words can be part of a problem's name.  Names are printable, of
bounded length and number: what is beyond is counted under "other" of its kind,
which is what stands before the first ": ", or under "other" alone.
Rule 3: at most REPORTED_LIMIT problems are reported a minute; how many were not is reported as one.

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
REPORTED_LIMIT = 20  #: problems reported within REPORTED_S
REPORTED_S = 60.0
NOT_TOLD = "problems_not_told"
OTHER = "other"


class Problems(Counter[str]):
    """How often each problem came up; ``problems[name] += 1`` counts one more."""

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
        self._reported_at: deque[float] = deque(maxlen=REPORTED_LIMIT)
        self._unreported = 0

    def at(self, now: float) -> float:
        """Return seconds since the call began."""
        return now - self._began_at

    def problem(self, code: str, message: str, now: float) -> list[Notify]:
        """Count a problem; report it where it is new, within the limit."""
        name = self.problems.name_of(code)
        self.problems[name] += 1
        if self.problems[name] > 1:
            return []
        if self._reported_of_late(now) + bool(self._unreported) >= REPORTED_LIMIT - 1:  # one is for the end of the call
            self._unreported += 1
            return []
        self._reported_at.append(now)
        seen = facts.ProblemSeen(self.at(now), name, printable(message, MESSAGE_CHARS))
        return [*self.untold(now), Notify(seen)]

    def untold(self, now: float) -> list[Notify]:
        """Report how many problems were not reported, if any: with the next one that is, or at the end of the call."""
        count, self._unreported = self._unreported, 0
        if not count:
            return []
        self._reported_at.append(now)
        words = f"{count} more problems came up and were not reported one by one; the record counts them"
        return [Notify(facts.ProblemSeen(self.at(now), NOT_TOLD, words))]

    def _reported_of_late(self, now: float) -> int:
        return sum(now - reported_at < REPORTED_S for reported_at in self._reported_at)
