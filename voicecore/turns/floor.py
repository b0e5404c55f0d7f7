"""Who has the floor: one table of states and what moves between them.

    GREETING  a message that must be heard is due, on its way or plays
    CALLER    the caller speaks, or may
    THINKING  the caller finished; no agent audio yet
    AGENT     agent audio is on its way to the caller's ear
    DOUBT     the caller makes a sound over the agent; it is being decided what it means
    OVER      the call ended; absorbs everything

Rule 1: every pair of state and event is listed; there are no booleans beside the state.
Rule 2: no state lasts without somebody's deadline: GREETING has those of
turns/opening.py, THINKING those of turns/caller_turns.py, AGENT the playout's,
DOUBT those of turns/barge_in.py, CALLER the idle prompt's.

Pure: no Trio, no time.  Used by turns/turn_taking.py.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping


class Floor(enum.Enum):
    """The states; see the head of this file."""

    GREETING = "greeting"
    CALLER = "caller"
    THINKING = "thinking"
    AGENT = "agent"
    DOUBT = "doubt"
    OVER = "over"


class Move(enum.Enum):
    """What can happen to the floor."""

    CALLER_SPOKE = "caller spoke"  #: onset of caller speech
    CALLER_DONE = "caller done"  #: a caller turn was committed, or is now to be answered
    AGENT_AUDIBLE = "agent audible"  #: the first audio of an agent item was sent
    AGENT_PLAYED = "agent played"  #: all agent audio was played
    DOUBTED = "doubted"  #: it is not yet known what caller speech over the agent means
    DECLINED = "declined"  #: it does not stop the agent
    BARGED_IN = "barged in"  #: agent audio was cut
    NO_REPLY = "no reply"  #: nobody will answer the turns that were open
    MESSAGE_DUE = "message due"  #: something must be heard now, whoever had the floor
    MESSAGE_OVER = "message over"  #: it has met its fate
    ENDED = "ended"


_F, _M = Floor, Move
NEXT_FLOOR: Mapping[Floor, Mapping[Move, Floor]] = {
    _F.GREETING: {
        **dict.fromkeys(Move, _F.GREETING),
        _M.MESSAGE_OVER: _F.CALLER,
        _M.ENDED: _F.OVER,
    },
    _F.CALLER: {
        _M.CALLER_SPOKE: _F.CALLER,
        _M.CALLER_DONE: _F.THINKING,
        _M.AGENT_AUDIBLE: _F.AGENT,
        _M.AGENT_PLAYED: _F.CALLER,
        _M.DOUBTED: _F.CALLER,
        _M.DECLINED: _F.CALLER,
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
        _M.DOUBTED: _F.THINKING,
        _M.DECLINED: _F.THINKING,
        _M.BARGED_IN: _F.THINKING,
        _M.NO_REPLY: _F.CALLER,
        _M.MESSAGE_DUE: _F.GREETING,
        _M.MESSAGE_OVER: _F.THINKING,
        _M.ENDED: _F.OVER,
    },
    _F.AGENT: {
        _M.CALLER_SPOKE: _F.AGENT,
        _M.CALLER_DONE: _F.AGENT,
        _M.AGENT_AUDIBLE: _F.AGENT,
        _M.AGENT_PLAYED: _F.CALLER,
        _M.DOUBTED: _F.DOUBT,
        _M.DECLINED: _F.AGENT,
        _M.BARGED_IN: _F.CALLER,
        _M.NO_REPLY: _F.AGENT,
        _M.MESSAGE_DUE: _F.GREETING,
        _M.MESSAGE_OVER: _F.AGENT,
        _M.ENDED: _F.OVER,
    },
    _F.DOUBT: {
        _M.CALLER_SPOKE: _F.DOUBT,
        _M.CALLER_DONE: _F.DOUBT,
        _M.AGENT_AUDIBLE: _F.DOUBT,
        _M.AGENT_PLAYED: _F.CALLER,
        _M.DOUBTED: _F.DOUBT,
        _M.DECLINED: _F.AGENT,
        _M.BARGED_IN: _F.CALLER,
        _M.NO_REPLY: _F.DOUBT,
        _M.MESSAGE_DUE: _F.GREETING,
        _M.MESSAGE_OVER: _F.DOUBT,
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
