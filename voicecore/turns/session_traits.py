"""What the session of one call does by itself, as far as it has said so.

Pure.
"""

from __future__ import annotations

import attrs

from voicecore.events import Capabilities, Lockout, LockoutState

NO_LOCKOUT = (Lockout.NONE, LockoutState.NOT_REQUESTED)


@attrs.define
class SessionTraits:
    """The newest capabilities, and the lockout that the session was opened with; changed by its events."""

    capabilities: Capabilities | None = None
    """None before the session is ready."""
    lockout: tuple[Lockout, LockoutState] = NO_LOCKOUT

    @property
    def is_ready(self) -> bool:
        """Whether the session can be spoken to."""
        return self.capabilities is not None

    @property
    def replies(self) -> bool:
        """Whether it answers a user turn without being asked."""
        return self.capabilities is not None and self.capabilities.replies

    @property
    def interrupts(self) -> bool:
        """Whether it cancels a running response when the user speaks."""
        return self.capabilities is not None and self.capabilities.interrupts

    @property
    def transcribes_user(self) -> bool:
        """Whether it gives the words of the user's turns."""
        return self.capabilities is not None and self.capabilities.transcribes_user

    @property
    def silence_s(self) -> float | None:
        """The silence that it waits for before a turn is over; None where that is not known."""
        return self.capabilities.silence_s if self.capabilities is not None else None
