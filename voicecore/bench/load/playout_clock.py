"""How a carrier plays the audio that it receives: without pauses, from the moment it has some.

Rule: nothing is played twice or early; where audio arrives later than it was needed,
the user has heard a gap.

Pure.
"""

from __future__ import annotations

BYTES_PER_S = 8000  #: G.711


class PlayoutClock:
    """The buffer of one line, as the time at which it will run dry."""

    def __init__(self) -> None:
        self.empty_at = 0.0

    def is_playing(self, now: float) -> bool:
        """Whether audio is playing."""
        return self.empty_at > now

    def put(self, size_bytes: int, now: float) -> float:
        """Add audio; return how long the line had been silent, 0.0 where it was not."""
        silent_s = max(0.0, now - self.empty_at)
        self.empty_at = max(self.empty_at, now) + size_bytes / BYTES_PER_S
        return silent_s

    def clear(self, now: float) -> float:
        """Drop what is queued; return how many seconds that was."""
        waiting_s = max(0.0, self.empty_at - now)
        self.empty_at = min(self.empty_at, now)
        return waiting_s
