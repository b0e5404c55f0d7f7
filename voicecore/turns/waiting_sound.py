"""A sound for a user who waits for the agent longer than usual: once a wait.

    TALKING  nobody waits for the agent
    WAITING  since a moment; the sound is due behind it
    PLAYED   the sound was played; the wait goes on

Rule: whether the user waits is a function of the states, computed anew at each
event; the owner says so.

Pure; time is an argument.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

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
    PLAYED = "played"


class WaitMove(enum.Enum):
    """What can happen to a wait."""

    WAITS = "waits"  #: the user waits for the agent
    SERVED = "served"  #: the user does not
    PLAYED = "played"  #: the sound was played


_P, _M = WaitPhase, WaitMove
NEXT_WAIT_PHASE: Mapping[WaitPhase, Mapping[WaitMove, WaitPhase]] = {
    _P.TALKING: {_M.WAITS: _P.WAITING, _M.SERVED: _P.TALKING, _M.PLAYED: _P.TALKING},
    _P.WAITING: {_M.WAITS: _P.WAITING, _M.SERVED: _P.TALKING, _M.PLAYED: _P.PLAYED},
    _P.PLAYED: {_M.WAITS: _P.PLAYED, _M.SERVED: _P.TALKING, _M.PLAYED: _P.PLAYED},
}


class Waiting:
    """The waits of one call."""

    def __init__(self, sound: WaitingSound | None) -> None:
        self.phase = WaitPhase.TALKING
        self._sound = sound
        self._since = 0.0

    def notice(self, waits: bool, now: float) -> None:
        """Take in whether the user waits for the agent."""
        if waits and self.phase is WaitPhase.TALKING:
            self._since = now
        self.phase = NEXT_WAIT_PHASE[self.phase][WaitMove.WAITS if waits else WaitMove.SERVED]

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
        self.phase = NEXT_WAIT_PHASE[self.phase][WaitMove.PLAYED]
        return self._sound.audio
