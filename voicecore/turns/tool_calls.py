"""A response that calls tools gets their results, and then one response to them.

    NONE    nothing was called
    CALLED  the response that called still runs; further calls of it change nothing
    DUE     it is over: a response to the results is to be asked for

Rule 1: one response answers all calls of a response.  Whatever else begins to
answer first has read the results too.
Rule 2: at most ``IN_A_ROW`` follow one another without a word of the user:
a model that goes on calling is not asked for ever.

Pure.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

IN_A_ROW = 5


class Calling(enum.Enum):
    """The states; see the head of this file."""

    NONE = "none"
    CALLED = "called"
    DUE = "due"


class CallingMove(enum.Enum):
    """What can happen to the calls of a response."""

    CALLED = "called"  #: a response has called a tool
    WANTED = "wanted"  #: it is over, and its results are to be answered
    UNWANTED = "unwanted"  #: it is over, and nobody wants it any more
    ANSWERED = "answered"  #: a response that reads the results was asked for, or has begun


_C, _M = Calling, CallingMove
NEXT_CALLING: Mapping[Calling, Mapping[CallingMove, Calling]] = {
    _C.NONE: {_M.CALLED: _C.CALLED, _M.WANTED: _C.NONE, _M.UNWANTED: _C.NONE, _M.ANSWERED: _C.NONE},
    _C.CALLED: {_M.CALLED: _C.CALLED, _M.WANTED: _C.DUE, _M.UNWANTED: _C.NONE, _M.ANSWERED: _C.NONE},
    _C.DUE: {_M.CALLED: _C.CALLED, _M.WANTED: _C.DUE, _M.UNWANTED: _C.DUE, _M.ANSWERED: _C.NONE},
}


class ToolCalls:
    """The tool calls of one call."""

    def __init__(self) -> None:
        self.state = Calling.NONE
        self._response_id = ""
        self._asked = 0

    def called(self, response_id: str) -> None:
        """A response has called a tool."""
        self._move(CallingMove.CALLED)
        self._response_id = response_id

    def ended(self, response_id: str, *, wanted: bool) -> bool:
        """A response is over; return whether it called. ``wanted``: its results are to be answered."""
        if self.state is not Calling.CALLED or response_id != self._response_id:
            return False
        self._move(CallingMove.WANTED if wanted else CallingMove.UNWANTED)
        return True

    def began(self, response_id: str) -> None:
        """A response has begun; it reads the results of the calls before it."""
        if response_id != self._response_id:
            self._move(CallingMove.ANSWERED)

    def ask(self) -> bool:
        """Take the response that is due as asked for; False where there were too many in a row."""
        self._move(CallingMove.ANSWERED)
        self._asked += 1
        return self._asked <= IN_A_ROW

    def user_acted(self) -> None:
        """The user has said something: follow-ups are counted anew."""
        self._asked = 0

    def _move(self, move: CallingMove) -> None:
        self.state = NEXT_CALLING[self.state][move]
