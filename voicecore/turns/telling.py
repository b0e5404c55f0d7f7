"""What a conversation tells: facts with their time, and problems once each.

Rule: a problem is told the first time it comes up in a call; after that it is counted.

Pure; time is an argument.  Used by turns/conversation.py and turns/turn_taking.py.
"""

from __future__ import annotations

from collections import Counter

from voicecore import facts
from voicecore.turns.orders import Tell


class Teller:
    """One call's voice to its observers."""

    def __init__(self, began_at: float) -> None:
        self.problems: Counter[str] = Counter()
        self._began_at = began_at

    def at(self, now: float) -> float:
        """Return seconds since the call began."""
        return now - self._began_at

    def problem(self, code: str, message: str, now: float) -> list[Tell]:
        """Count a problem; tell it where it is new."""
        self.problems[code] += 1
        return [Tell(facts.ProblemSeen(self.at(now), code, message))] if self.problems[code] == 1 else []
