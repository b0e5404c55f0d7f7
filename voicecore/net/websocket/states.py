"""The state of one WebSocket connection: one value for both directions, from one table.

A WebSocket closes in two halves: each side sends one close frame, and either may
come first, or be missing.  So there is a state for each combination that makes
a difference to somebody who sends, receives or closes.

Pure.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping


class State(enum.Enum):
    """Where a connection stands."""

    CONNECTING = "connecting"
    """Upgraded; its tasks do not run yet."""
    OPEN = "open"
    """Messages go both ways."""
    UNREACHABLE = "unreachable"
    """A write failed: what we send is dropped, and reading goes on, because the peer may have said why."""
    PEER_ENDED = "peer ended"
    """The peer ended its direction without a close frame; all that we may still send is a close frame."""
    CLOSING = "closing"
    """Our close frame was sent first; the peer's is awaited, and what it sends before that is ignored."""
    REJECTING = "rejecting"
    """The peer broke the protocol: our close frame says how, and the end of its direction is awaited."""
    PEER_CLOSED = "peer closed"
    """The peer's close frame came first and was answered; a client lets the server end the connection."""
    FINISHED = "finished"
    """Neither side has anything more to say; what is buffered may still be on its way out."""
    CLOSED = "closed"
    """The byte stream is closed."""


class Move(enum.Enum):
    """What changes a connection's state."""

    OPENED = "opened"
    WRITE_FAILED = "write failed"
    PEER_CLOSED = "peer's close frame"
    PEER_ENDED = "peer's end of stream"
    PEER_FAULT = "peer's fault"
    CLOSE = "close"
    CUT = "cut"


_FINISHED: Mapping[Move, State] = {
    Move.WRITE_FAILED: State.FINISHED,
    Move.PEER_CLOSED: State.FINISHED,
    Move.PEER_ENDED: State.FINISHED,
    Move.PEER_FAULT: State.FINISHED,
    Move.CLOSE: State.FINISHED,
    Move.CUT: State.CLOSED,
}

NEXT_STATE: Mapping[State, Mapping[Move, State]] = {
    State.CONNECTING: {
        Move.OPENED: State.OPEN,
        Move.CLOSE: State.CLOSING,
        Move.CUT: State.CLOSED,
    },
    State.OPEN: {
        Move.WRITE_FAILED: State.UNREACHABLE,
        Move.PEER_CLOSED: State.PEER_CLOSED,
        Move.PEER_ENDED: State.PEER_ENDED,
        Move.PEER_FAULT: State.REJECTING,
        Move.CLOSE: State.CLOSING,
        Move.CUT: State.CLOSED,
    },
    State.UNREACHABLE: {**_FINISHED, Move.WRITE_FAILED: State.UNREACHABLE},
    State.PEER_ENDED: {**_FINISHED, Move.PEER_ENDED: State.PEER_ENDED},
    State.CLOSING: {**_FINISHED, Move.PEER_FAULT: State.REJECTING, Move.CLOSE: State.CLOSING},
    State.REJECTING: {**_FINISHED, Move.PEER_FAULT: State.REJECTING, Move.CLOSE: State.REJECTING},
    State.PEER_CLOSED: {**_FINISHED, Move.PEER_FAULT: State.PEER_CLOSED, Move.CLOSE: State.PEER_CLOSED},
    State.FINISHED: _FINISHED,
    State.CLOSED: {move: State.CLOSED for move in Move if move is not Move.OPENED},
}
"""Every move that can happen, by state; any other is a bug."""

AWAITS_PEER = frozenset({State.CLOSING, State.REJECTING})
"""Where a close waits for the peer before it closes the byte stream."""


# Plain names: in Python 3.11 each look-up of a member on its class is a call.
_OPEN, _UNREACHABLE, _CLOSING = State.OPEN, State.UNREACHABLE, State.CLOSING


class ConnectionState:
    """The state of one connection, shared by those who read and those who write."""

    def __init__(self) -> None:
        self.now = State.CONNECTING

    def move(self, move: Move) -> None:
        """Take a move. Raises KeyError for one that the table does not have."""
        self.now = NEXT_STATE[self.now][move]

    @property
    def is_over(self) -> bool:
        """Whether nothing more can be received."""
        now = self.now  # compared one by one: the hash of an enum is a function in Python
        return now is not _OPEN and now is not _UNREACHABLE and now is not _CLOSING

    @property
    def may_send(self) -> bool:
        """Whether a message may be sent; towards a peer that cannot be reached, reading finds out why."""
        return self.now is _OPEN or self.now is _UNREACHABLE

    @property
    def may_send_close(self) -> bool:
        """Whether a close frame of ours can still be sent: there is only one."""
        return self.now in {State.OPEN, State.CONNECTING, State.PEER_ENDED}
