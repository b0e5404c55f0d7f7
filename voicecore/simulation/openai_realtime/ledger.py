"""What went over a twin's sockets: one entry per message, for invariants that are checked from outside.

Rule: an entry is written when the twin sends or has received, never later, and takes
nothing from what the engine reports about itself.
"""

from __future__ import annotations

import hashlib
from collections import deque
from typing import Any, Literal

import attrs

LEDGER_LIMIT_LINES = 500_000  #: the oldest are dropped; some hours of one call

Direction = Literal["in", "out", "socket"]  #: received, sent, or an event of the socket itself

_DIGEST_BYTES = 8


@attrs.frozen(kw_only=True)
class LedgerLine:
    """One message, or one event of a socket."""

    t: float
    """Seconds on Trio's clock."""
    who: str = "provider"
    conn: int
    """The number of the connection, from 1."""
    dir: Direction
    kind: str
    """The event's type; for a socket: opened, then closed, cut, stalled or lost, then ended; or refused."""
    id: str = ""
    """The response, item, client event or close code that it concerns; the first of these that it has."""
    size_bytes: int = 0
    """Of the message's text."""
    sha: str = ""
    """Digest of the text, to compare messages without keeping them."""


class Ledger:
    """The entries of all connections of a twin."""

    def __init__(self) -> None:
        self.lines: deque[LedgerLine] = deque(maxlen=LEDGER_LIMIT_LINES)

    def message(self, t: float, conn: int, direction: Direction, event: Any, text: str) -> None:
        """Enter one message; ``event`` is None where the text is not an event."""
        encoded = text.encode()
        line = LedgerLine(
            t=t,
            conn=conn,
            dir=direction,
            kind=str(event.get("type")) if isinstance(event, dict) else "malformed",
            id=_subject(event) if isinstance(event, dict) else "",
            size_bytes=len(encoded),
            sha=hashlib.blake2b(encoded, digest_size=_DIGEST_BYTES).hexdigest(),
        )
        self.lines.append(line)

    def socket(self, t: float, conn: int, kind: str, detail: str = "") -> None:
        """Enter an event of a socket."""
        self.lines.append(LedgerLine(t=t, conn=conn, dir="socket", kind=kind, id=detail))

    def of(self, conn: int) -> list[LedgerLine]:
        """Return the entries of one connection."""
        return [line for line in self.lines if line.conn == conn]


def _subject(event: dict[str, Any]) -> str:
    response = event.get("response")
    if isinstance(response, dict) and "id" in response:
        return str(response["id"])
    return str(event.get("response_id") or event.get("item_id") or event.get("event_id") or "")
