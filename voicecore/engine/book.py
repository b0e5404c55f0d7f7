"""The one registry of call objects: what rings, what talks, what waits for its record.

Carrier ids and media tokens are aliases of an entry; nothing else in the engine
is keyed by them.

Rule 1: an entry is made at the first word of a call and removed when its record
is filed; in between every webhook, stream and status finds the same one.
Rule 2: a token is claimed once, until it expires.  It is looked up by its
digest, so that the time a wrong guess takes tells nothing about a right one.
Rule 3: statuses are ranked: a later one never takes back an earlier, higher
one, and a terminal one absorbs.  A known fact never becomes empty.

Synchronous; time is an argument.  Used by engine/host.py.
"""

from __future__ import annotations

import enum
import hashlib
from collections import Counter
from collections.abc import Callable, Iterator

import attrs
import trio

from voicecore.engine.call import Call
from voicecore.ports import RingingCall, StatusReport


class CallPhase(enum.Enum):
    """Where a call stands."""

    RINGING = "ringing"  #: announced; its media stream has not come
    LIVE = "live"
    OVER = "over"  #: nothing of it runs; its record waits for the last status


@attrs.define(eq=False)
class CallEntry:
    """One call, from its first word to its record."""

    call_id: str
    ringing: RingingCall
    started_at: str
    announced_at: float
    token: str = attrs.field(repr=False)
    phase: CallPhase = CallPhase.RINGING
    call: Call | None = None
    status: StatusReport | None = None
    final_status: trio.Event = attrs.field(factory=trio.Event, repr=False)


class CallBook:
    """All calls of one host."""

    def __init__(self, max_calls: int, token_s: float) -> None:
        self._max_calls = max_calls
        self._token_s = token_s
        self._by_carrier_id: dict[str, CallEntry] = {}  # bounded by max_calls and the calls that wait for their record
        self._by_digest: dict[bytes, CallEntry] = {}

    def announce(self, ringing: RingingCall, make: Callable[[], tuple[str, str, str]], now: float) -> CallEntry | None:
        """Enter a call, or find it; None when no more calls are taken.

        ``make`` gives call id, token and time of day for a new entry.
        """
        if (known := self._by_carrier_id.get(ringing.carrier_call_id)) is not None:
            return known if known.phase is not CallPhase.OVER else None
        if self.active >= self._max_calls:
            return None
        call_id, token, started_at = make()
        entry = CallEntry(call_id, ringing, started_at, now, token)
        self._by_carrier_id[ringing.carrier_call_id] = entry
        self._by_digest[_digest(token)] = entry
        return entry

    def claim(self, token: str, now: float) -> CallEntry | None:
        """Use up a token; None when it is unknown, used or expired."""
        entry = self.find(token, now)
        if entry is not None:
            del self._by_digest[_digest(token)]
            entry.phase = CallPhase.LIVE
        return entry

    def find(self, token: str, now: float) -> CallEntry | None:
        """Return the call of a token that may still be claimed."""
        entry = self._by_digest.get(_digest(token))
        return entry if entry is not None and now < self._expires_at(entry) else None

    def status(self, report: StatusReport) -> CallEntry | None:
        """Take a status; return the entry it changed, None when it is unknown or says nothing new."""
        entry = self._by_carrier_id.get(report.carrier_call_id)
        if entry is None or (entry.status is not None and entry.status.status.rank() >= report.status.rank()):
            return None
        entry.status = report
        if report.status.is_terminal:
            entry.final_status.set()
        return entry

    def over(self, entry: CallEntry) -> None:
        """Nothing of this call runs any more; its token is void."""
        entry.phase = CallPhase.OVER
        self._by_digest.pop(_digest(entry.token), None)

    def remove(self, entry: CallEntry) -> None:
        """The record is filed; forget the call."""
        self._by_carrier_id.pop(entry.ringing.carrier_call_id, None)

    def deadline(self) -> float | None:
        """Return when the next token expires."""
        return min((self._expires_at(entry) for entry in self._ringing()), default=None)

    def expired(self, now: float) -> list[CallEntry]:
        """Return the ringing calls whose stream has not come in time."""
        return [entry for entry in self._ringing() if self._expires_at(entry) <= now]

    @property
    def active(self) -> int:
        """Calls that ring or talk."""
        return sum(entry.phase is not CallPhase.OVER for entry in self._by_carrier_id.values())

    def entries(self) -> list[CallEntry]:
        """Return all calls that are not filed yet."""
        return list(self._by_carrier_id.values())

    def phases(self) -> Counter[CallPhase]:
        """Return how many calls are in each phase."""
        return Counter(entry.phase for entry in self._by_carrier_id.values())

    def _ringing(self) -> Iterator[CallEntry]:
        return (entry for entry in self._by_carrier_id.values() if entry.phase is CallPhase.RINGING)

    def _expires_at(self, entry: CallEntry) -> float:
        return entry.announced_at + self._token_s


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
