"""Who has the floor: one table of states and what moves between them.

    GREETING  a message that must be heard is due, on its way or plays
    USER    the user speaks, or may
    THINKING  the user finished; no agent audio yet
    AGENT     agent audio is on its way to the user's ear
    DOUBT     the user makes a sound over the agent; it is being decided what it means
    OVER      the call ended; absorbs everything

Rule 1: every pair of state and event is listed; there are no booleans beside the state.
Rule 2: no state lasts without somebody's deadline: GREETING has those of
turns/first_message/opening.py, THINKING those of turns/user_turns.py, AGENT the playout's,
DOUBT those of turns/barge_in/machine.py, USER the idle prompt's.

Pure: no Trio, no time.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping


class Floor(enum.Enum):
    """The states; see the head of this file."""

    GREETING = "greeting"
    USER = "user"
    THINKING = "thinking"
    AGENT = "agent"
    UNDECIDED = "undecided"
    OVER = "over"


class Move(enum.Enum):
    """What can happen to the floor."""

    USER_SPOKE = "user spoke"  #: onset of user speech
    USER_DONE = "user done"  #: a user turn was committed, or is now to be answered
    AGENT_AUDIBLE = "agent audible"  #: the first audio of an agent item was sent
    AGENT_PLAYED = "agent played"  #: all agent audio was played
    PENDING = "pending"  #: it is not yet known what user speech over the agent means
    DISMISSED = "dismissed"  #: it does not stop the agent
    BARGED_IN = "barged in"  #: agent audio was cut
    NO_REPLY = "no reply"  #: nobody will answer the turns that were open
    MESSAGE_DUE = "message due"  #: something must be heard now, whoever had the floor
    MESSAGE_OVER = "message over"  #: it has met its fate
    ENDED = "ended"


_F, _M = Floor, Move
NEXT_FLOOR: Mapping[Floor, Mapping[Move, Floor]] = {
    _F.GREETING: {
        **dict.fromkeys(Move, _F.GREETING),
        _M.MESSAGE_OVER: _F.USER,
        _M.ENDED: _F.OVER,
    },
    _F.USER: {
        _M.USER_SPOKE: _F.USER,
        _M.USER_DONE: _F.THINKING,
        _M.AGENT_AUDIBLE: _F.AGENT,
        _M.AGENT_PLAYED: _F.USER,
        _M.PENDING: _F.USER,
        _M.DISMISSED: _F.USER,
        _M.BARGED_IN: _F.USER,
        _M.NO_REPLY: _F.USER,
        _M.MESSAGE_DUE: _F.GREETING,
        _M.MESSAGE_OVER: _F.USER,
        _M.ENDED: _F.OVER,
    },
    _F.THINKING: {
        _M.USER_SPOKE: _F.USER,
        _M.USER_DONE: _F.THINKING,
        _M.AGENT_AUDIBLE: _F.AGENT,
        _M.AGENT_PLAYED: _F.THINKING,
        _M.PENDING: _F.THINKING,
        _M.DISMISSED: _F.THINKING,
        _M.BARGED_IN: _F.THINKING,
        _M.NO_REPLY: _F.USER,
        _M.MESSAGE_DUE: _F.GREETING,
        _M.MESSAGE_OVER: _F.THINKING,
        _M.ENDED: _F.OVER,
    },
    _F.AGENT: {
        _M.USER_SPOKE: _F.AGENT,
        _M.USER_DONE: _F.AGENT,
        _M.AGENT_AUDIBLE: _F.AGENT,
        _M.AGENT_PLAYED: _F.USER,
        _M.PENDING: _F.UNDECIDED,
        _M.DISMISSED: _F.AGENT,
        _M.BARGED_IN: _F.USER,
        _M.NO_REPLY: _F.AGENT,
        _M.MESSAGE_DUE: _F.GREETING,
        _M.MESSAGE_OVER: _F.AGENT,
        _M.ENDED: _F.OVER,
    },
    _F.UNDECIDED: {
        _M.USER_SPOKE: _F.UNDECIDED,
        _M.USER_DONE: _F.UNDECIDED,
        _M.AGENT_AUDIBLE: _F.UNDECIDED,
        _M.AGENT_PLAYED: _F.USER,
        _M.PENDING: _F.UNDECIDED,
        _M.DISMISSED: _F.AGENT,
        _M.BARGED_IN: _F.USER,
        _M.NO_REPLY: _F.UNDECIDED,
        _M.MESSAGE_DUE: _F.GREETING,
        _M.MESSAGE_OVER: _F.UNDECIDED,
        _M.ENDED: _F.OVER,
    },
    _F.OVER: dict.fromkeys(Move, _F.OVER),
}


class FloorMachine:
    """The floor of one call."""

    def __init__(self, first: Floor) -> None:
        self.state = first

    def handle(self, move: Move) -> None:
        """Make one move. Every pair is legal; see the table."""
        self.state = NEXT_FLOOR[self.state][move]
