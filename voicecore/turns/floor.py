"""Who has the floor: one table of states and what moves between them.

    GREETING  a message that must be heard is due, on its way or plays
    CALLER    the caller speaks, or may
    THINKING  the caller finished; no agent audio yet
    AGENT     agent audio is on its way to the caller's ear
    OVER      the call ended; absorbs everything

Rule 1: every pair of state and event is listed; there are no booleans beside the state.
Rule 2: THINKING has a deadline: each committed caller turn ends in a reply, or
in a named failure.
Rule 3: GREETING is left by the message's fate alone; turns/opening.py owns its
deadlines, so that a lost greeting never wedges a call.

Pure: no Trio; time is an argument.  Used by turns/conversation.py.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

import attrs


class Floor(enum.Enum):
    """The states; see the head of this file."""

    GREETING = "greeting"
    CALLER = "caller"
    THINKING = "thinking"
    AGENT = "agent"
    OVER = "over"


class Move(enum.Enum):
    """What can happen to the floor."""

    CALLER_SPOKE = "caller spoke"  #: onset of caller speech
    CALLER_DONE = "caller done"  #: a caller turn was committed
    AGENT_AUDIBLE = "agent audible"  #: the first audio of an agent item was sent
    AGENT_PLAYED = "agent played"  #: all agent audio was played
    BARGED_IN = "barged in"  #: agent audio was cut
    NO_REPLY = "no reply"  #: the deadline passed, or the reply was lost
    MESSAGE_DUE = "message due"  #: something must be heard now, whoever had the floor
    MESSAGE_OVER = "message over"  #: it has met its fate
    ENDED = "ended"


_F, _M = Floor, Move
NEXT_FLOOR: Mapping[Floor, Mapping[Move, Floor]] = {
    _F.GREETING: {
        _M.CALLER_SPOKE: _F.GREETING,
        _M.CALLER_DONE: _F.GREETING,
        _M.AGENT_AUDIBLE: _F.GREETING,
        _M.AGENT_PLAYED: _F.GREETING,
        _M.BARGED_IN: _F.GREETING,
        _M.NO_REPLY: _F.GREETING,
        _M.MESSAGE_DUE: _F.GREETING,
        _M.MESSAGE_OVER: _F.CALLER,
        _M.ENDED: _F.OVER,
    },
    _F.CALLER: {
        _M.CALLER_SPOKE: _F.CALLER,
        _M.CALLER_DONE: _F.THINKING,
        _M.AGENT_AUDIBLE: _F.AGENT,
        _M.AGENT_PLAYED: _F.CALLER,
        _M.BARGED_IN: _F.CALLER,
        _M.NO_REPLY: _F.CALLER,
        _M.MESSAGE_DUE: _F.GREETING,
        _M.MESSAGE_OVER: _F.CALLER,
        _M.ENDED: _F.OVER,
    },
    _F.THINKING: {
        _M.CALLER_SPOKE: _F.CALLER,
        _M.CALLER_DONE: _F.THINKING,
        _M.AGENT_AUDIBLE: _F.AGENT,
        _M.AGENT_PLAYED: _F.THINKING,
        _M.BARGED_IN: _F.THINKING,
        _M.NO_REPLY: _F.CALLER,
        _M.MESSAGE_DUE: _F.GREETING,
        _M.MESSAGE_OVER: _F.THINKING,
        _M.ENDED: _F.OVER,
    },
    _F.AGENT: {
        _M.CALLER_SPOKE: _F.AGENT,
        _M.CALLER_DONE: _F.THINKING,
        _M.AGENT_AUDIBLE: _F.AGENT,
        _M.AGENT_PLAYED: _F.CALLER,
        _M.BARGED_IN: _F.CALLER,
        _M.NO_REPLY: _F.CALLER,
        _M.MESSAGE_DUE: _F.GREETING,
        _M.MESSAGE_OVER: _F.AGENT,
        _M.ENDED: _F.OVER,
    },
    _F.OVER: dict.fromkeys(Move, _F.OVER),
}


@attrs.frozen(kw_only=True)
class FloorSettings:
    """How long the agent may stay silent when it is its turn."""

    reply_s: float = 10.0
    """From a committed caller turn to the first audio of the reply."""


class FloorMachine:
    """The floor of one call."""

    def __init__(self, first: Floor, settings: FloorSettings | None = None) -> None:
        self.settings = settings or FloorSettings()
        self.state = first
        self._deadline: float | None = None

    def handle(self, move: Move, now: float) -> None:
        """Make one move. Every pair is legal; see the table."""
        before, self.state = self.state, NEXT_FLOOR[self.state][move]
        if move is Move.AGENT_AUDIBLE:
            self._deadline = None
        elif self.state is not before or move is Move.CALLER_DONE:
            self._deadline = self._limit(now)

    def deadline(self) -> float | None:
        """Return when the silence of the agent has lasted too long; then the owner makes the move NO_REPLY."""
        return self._deadline

    def extend(self, now: float) -> None:
        """Begin the present deadline (anew): speech was asked for, or asked for once more."""
        self._deadline = self._limit(now)

    def _limit(self, now: float) -> float | None:
        return now + self.settings.reply_s if self.state is Floor.THINKING else None
