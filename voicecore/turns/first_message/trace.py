"""What happened to the first message, line by line: who did what, and when.

A swallowed greeting leaves no sound to look at afterwards; its trace says what
was sent, what the provider acknowledged and which protection was in force.

Rule: at most LIMIT lines; what comes later is counted, and the count is the last line.

Pure; time is an argument.
"""

from __future__ import annotations

from typing import Literal

from voicecore.facts import TraceLine

LIMIT = 64  #: lines of one message

Who = Literal["engine", "provider", "carrier", "user"]


class Trace:
    """The trace of one message; times count from ``began_at``."""

    def __init__(self, began_at: float) -> None:
        self._began_at = began_at
        self._lines: list[TraceLine] = []
        self._more = 0

    def note(self, who: Who, what: str, now: float, detail: str | None = None) -> None:
        """Add one line; ``detail`` follows in brackets, where there is any."""
        if len(self._lines) < LIMIT:
            what = f"{what} ({detail})" if detail else what
            self._lines.append(TraceLine(round(now - self._began_at, 6), who, what))
        else:
            self._more += 1

    def lines(self) -> list[TraceLine]:
        """Return all lines, oldest first."""
        if not self._more:
            return list(self._lines)
        return [*self._lines, TraceLine(self._lines[-1].at_s, "engine", f"and {self._more} more lines")]
