"""The state of a call, from the first that is known of it until its record is filed, and its one ending.

    ANNOUNCED  the carrier announced an incoming call; its media have not come
    DIALLING   the carrier is being asked to place a call
    UNCERTAIN  it was asked and gave no clear answer; the phone may ring
    QUEUED     the carrier has accepted the call; the phone does not ring yet
    RINGING    the phone rings
    ANSWERED   somebody or something has answered; the media have not come
    LIVE       the media are here
    ENDING     there is a cause of its end; its media may still be in use
    CLOSING    the media are released; its session is being closed
    ENDED      nothing of it runs; its record waits for the carrier's final status
    FILED      its record was written, or trying to write it took too long

Rule 1: a move that the table does not list is a bug, and raises.  What a carrier may
say late, twice or out of order is listed, and stays where it is.
Rule 2: the first cause of the end wins: END is listed everywhere, and once it has
been decided it changes nothing.
Rule 3: states go forward only.

Synchronous, except that others may wait for a state; time is an argument.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Mapping

import trio

from voicecore.engine.ending import Ending
from voicecore.errors import LocalProtocolError


class CallState(enum.Enum):
    """The states; see the head of this file."""

    ANNOUNCED = "announced"
    DIALLING = "dialling"
    UNCERTAIN = "uncertain"
    QUEUED = "queued"
    RINGING = "ringing"
    ANSWERED = "answered"
    LIVE = "live"
    ENDING = "ending"
    CLOSING = "closing"
    ENDED = "ended"
    FILED = "filed"


class CallMove(enum.Enum):
    """What can happen to a call."""

    UNCLEAR = "unclear"  #: the carrier gave no clear answer to the request to place it
    QUEUED = "queued"  #: the carrier has accepted it
    RANG = "rang"
    ANSWERED = "answered"
    MEDIA_CAME = "media came"
    END = "end"  #: something ended it
    MEDIA_RELEASED = "media released"  #: nothing uses its media
    STOPPED = "stopped"  #: none of its tasks runs
    FILED = "filed"


_S, _M = CallState, CallMove
_BY_CARRIER = (_M.QUEUED, _M.RANG, _M.ANSWERED)
_OF_REQUEST = (_M.UNCLEAR, *_BY_CARRIER)


NEXT_CALL_STATE: Mapping[CallState, Mapping[CallMove, CallState]] = {
    _S.ANNOUNCED: {**dict.fromkeys(_BY_CARRIER, _S.ANNOUNCED), _M.MEDIA_CAME: _S.LIVE, _M.END: _S.ENDING},
    _S.DIALLING: {
        _M.UNCLEAR: _S.UNCERTAIN,
        _M.QUEUED: _S.QUEUED,
        _M.RANG: _S.RINGING,
        _M.ANSWERED: _S.ANSWERED,
        _M.MEDIA_CAME: _S.LIVE,
        _M.END: _S.ENDING,
    },
    _S.UNCERTAIN: {
        _M.QUEUED: _S.QUEUED,
        _M.RANG: _S.RINGING,
        _M.ANSWERED: _S.ANSWERED,
        _M.MEDIA_CAME: _S.LIVE,
        _M.END: _S.ENDING,
    },
    _S.QUEUED: {
        _M.UNCLEAR: _S.QUEUED,
        _M.QUEUED: _S.QUEUED,
        _M.RANG: _S.RINGING,
        _M.ANSWERED: _S.ANSWERED,
        _M.MEDIA_CAME: _S.LIVE,
        _M.END: _S.ENDING,
    },
    _S.RINGING: {
        _M.UNCLEAR: _S.RINGING,
        _M.QUEUED: _S.RINGING,
        _M.RANG: _S.RINGING,
        _M.ANSWERED: _S.ANSWERED,
        _M.MEDIA_CAME: _S.LIVE,
        _M.END: _S.ENDING,
    },
    _S.ANSWERED: {**dict.fromkeys(_OF_REQUEST, _S.ANSWERED), _M.MEDIA_CAME: _S.LIVE, _M.END: _S.ENDING},
    _S.LIVE: {**dict.fromkeys(_OF_REQUEST, _S.LIVE), _M.END: _S.ENDING},
    _S.ENDING: {
        **dict.fromkeys((*_OF_REQUEST, _M.MEDIA_CAME, _M.END), _S.ENDING),
        _M.MEDIA_RELEASED: _S.CLOSING,
    },
    _S.CLOSING: {
        **dict.fromkeys((*_OF_REQUEST, _M.MEDIA_CAME, _M.END, _M.MEDIA_RELEASED), _S.CLOSING),
        _M.STOPPED: _S.ENDED,
    },
    _S.ENDED: {**dict.fromkeys((*_OF_REQUEST, _M.MEDIA_CAME, _M.END), _S.ENDED), _M.FILED: _S.FILED},
    _S.FILED: dict.fromkeys((*_OF_REQUEST, _M.MEDIA_CAME, _M.END), _S.FILED),
}

AWAITS_MEDIA = frozenset({_S.ANNOUNCED, _S.DIALLING, _S.UNCERTAIN, _S.QUEUED, _S.RINGING, _S.ANSWERED})
HAS_ENDED = frozenset({_S.ENDING, _S.CLOSING, _S.ENDED, _S.FILED})
MEDIA_RELEASED = frozenset({_S.CLOSING, _S.ENDED, _S.FILED})
HAS_STOPPED = frozenset({_S.ENDED, _S.FILED})


class CallProgress:
    """The state of one call, and its ending: there is one exactly when the state is in HAS_ENDED."""

    def __init__(self, state: CallState) -> None:
        self.state = state
        self.ending: Ending | None = None
        self._changed = trio.Event()

    @property
    def has_ended(self) -> bool:
        """Whether there is a cause of the call's end."""
        return self.state in HAS_ENDED

    def move(self, move: CallMove) -> bool:
        """Make one move; return whether the state has changed.

        Raises:
            LocalProtocolError: The move is not possible in this state, or it is END, which needs a cause.
        """
        if move is CallMove.END:
            raise LocalProtocolError("a call is ended by `end`, with its cause")
        return self._make(move)

    def end(self, ending: Ending) -> bool:
        """End the call; return whether this is its ending: False where it has ended before."""
        if not self._make(CallMove.END):
            return False
        self.ending = ending
        return True

    async def wait_for(self, states: Collection[CallState]) -> None:
        """Return once the call is in one of these states."""
        await trio.lowlevel.checkpoint()
        while self.state not in states:
            await self._changed.wait()

    def _make(self, move: CallMove) -> bool:
        after = NEXT_CALL_STATE[self.state].get(move)
        if after is None:
            raise LocalProtocolError(f'"{move.value}" cannot happen to a call that is {self.state.value}')
        if after is self.state:
            return False
        self.state = after
        self._changed.set()
        self._changed = trio.Event()
        return True
