"""A sound for a user who waits for the agent longer than usual: once a wait.

    TALKING  nobody waits for the agent
    WAITING  since a moment; the sound is due behind it
    TOLD     the sound was played; the wait goes on

Rule: whether the user waits is a function of the states, computed anew at each
event; the owner says so.

Pure; time is an argument.
"""

from __future__ import annotations

import enum

import attrs

from voicecore import kinds


@attrs.frozen
class WaitingSound:
    """The sound, in the leg's format, and after how many seconds of waiting it is played."""

    audio: bytes = attrs.field(repr=lambda audio: f"<{len(audio)} bytes>", validator=kinds.AUDIO)
    after_s: float = attrs.field(validator=kinds.seconds(above=0))


class WaitPhase(enum.Enum):
    """The states; see the head of this file."""

    TALKING = "talking"
    WAITING = "waiting"
    TOLD = "told"


class Waiting:
    """The waits of one call."""

    def __init__(self, sound: WaitingSound | None) -> None:
        self.phase = WaitPhase.TALKING
        self._sound = sound
        self._since = 0.0

    def notice(self, waits: bool, now: float) -> None:
        """Take in whether the user waits for the agent."""
        if not waits:
            self.phase = WaitPhase.TALKING
        elif self.phase is WaitPhase.TALKING:
            self.phase, self._since = WaitPhase.WAITING, now

    def deadline(self) -> float | None:
        """Return when to call `expire`."""
        if self._sound is None or self.phase is not WaitPhase.WAITING:
            return None
        return self._since + self._sound.after_s

    def expire(self, now: float) -> bytes | None:
        """Return the audio to play, where the wait has lasted long enough."""
        deadline = self.deadline()
        if self._sound is None or deadline is None or now < deadline:
            return None
        self.phase = WaitPhase.TOLD
        return self._sound.audio
