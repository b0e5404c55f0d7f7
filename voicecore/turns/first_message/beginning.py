"""The beginning of a message: when its first frame may be sent, and how far that frame has come.

Rule: who speaks first is decided anew at the moment of the first frame, because
the user may have begun to speak since the message was asked for.

Pure; time is an argument.
"""

from __future__ import annotations

import enum

from voicecore.turns.first_message.message import FirstMessagePolicy, SpeaksFirst


class Reach(enum.Enum):
    """How far the beginning of the present try has come."""

    UNSENT = "unsent"
    SENT = "sent"
    HEARD = "heard"


class Beginning:
    """The beginning of one message, try after try."""

    def __init__(self, policy: FirstMessagePolicy, began_at: float) -> None:
        self.reach = Reach.UNSENT
        self._policy = policy
        self._began_at = began_at
        self._user_since: float | None = None

    def user_began(self, now: float) -> None:
        """The user began to speak."""
        self._user_since = now

    def user_stopped(self) -> None:
        """The user has stopped speaking."""
        self._user_since = None

    def sent(self) -> bool:
        """Audio of the message was written to the carrier; return whether it is the first of this try."""
        if self.reach is not Reach.UNSENT:
            return False
        self.reach = Reach.SENT
        return True

    def plays_at(self) -> float:
        """Return from when audio may be sent."""
        if self.reach is not Reach.UNSENT:
            return float("-inf")
        free_at = self._began_at + self._policy.lead_in_s
        if self._policy.speaks_first is SpeaksFirst.WHOEVER and self._user_since is not None:
            return max(free_at, self._user_since + self._policy.user_turn_s)
        return free_at

    def awaits_user(self, deadline: float | None, now: float) -> bool:
        """Whether the user speaks, or is to speak, before the message; ``deadline``: how long that is waited for."""
        waits = deadline is not None and now < deadline
        if self._policy.speaks_first is SpeaksFirst.WHOEVER:
            return waits and self._user_since is not None
        return waits and self._policy.speaks_first is SpeaksFirst.USER
