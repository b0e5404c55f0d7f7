"""The messages that must be heard in one call: the first one, then perhaps one for an answering machine.

At most one of them is open at a time; it is open until it is over, its protection
is off, and nothing of a lockout is left.

Pure.
"""

from __future__ import annotations

from voicecore.turns.first_message.message import MessagePhase
from voicecore.turns.first_message.opening import Opening
from voicecore.turns.first_message.requests import Purpose

_AWAITED = frozenset({MessagePhase.ASKED, MessagePhase.RECOVERING})


class Openings:
    """The openings of one call, oldest first."""

    def __init__(self) -> None:
        self.all: list[Opening] = []
        self.current: Opening | None = None
        """The one that is open."""

    def add(self, opening: Opening) -> None:
        """Open another one; the one before it was dropped."""
        self.all.append(opening)
        self.current = opening

    def close(self) -> bool:
        """Close the one that is open, where nothing of it is left; return whether that was so."""
        if self.current is None or not self.current.is_over:
            return False
        self.current = None
        return True

    @property
    def purpose(self) -> Purpose | None:
        """What the newest message is for."""
        return self.all[-1].purpose if self.all else None

    @property
    def is_message_due(self) -> bool:
        """Whether a message has still to be heard: nothing else may be asked for."""
        return self.current is not None and self.current.message.over is None

    @property
    def is_message_awaited(self) -> bool:
        """Whether the session was asked for the message, and no audio of it has come."""
        return self.current is not None and self.current.message.phase in _AWAITED
