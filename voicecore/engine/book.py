"""The one registry of call objects: what rings, what talks, what waits for its record.

Our own id of a call, carriers' ids and media tokens are aliases of an entry;
nothing else in the engine is keyed by them.

Rule 1: an entry is made at the first word of a call and removed when its record
is filed; in between every webhook, stream and status finds the same one.
Rule 2: a token is claimed once, while it is good.  It is looked up by its
digest, so that the time a wrong guess takes tells nothing about a right one.
Rule 3: of a call that is over its carrier's names are remembered for a while:
what a carrier still says of it begins nothing.
Rule 4: statuses are ranked: a later one never takes back an earlier, higher
one, and a terminal one absorbs.  A known fact never becomes empty.

Synchronous; time is an argument.  Used by engine/host.py.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator

from voicecore.engine.entry import CallEntry, CallPhase
from voicecore.engine.past_calls import PastCalls
from voicecore.ports import StatusReport

_ALIASES_LIMIT = 8  #: carrier ids of one call


class CallBook:
    """All calls of one host."""

    def __init__(self, max_calls: int) -> None:
        self._max_calls = max_calls
        self._entries: dict[str, CallEntry] = {}  # by our id; bounded by max_calls and calls that wait for a record
        self._by_carrier_id: dict[str, CallEntry] = {}  # bounded by _ALIASES_LIMIT for each entry
        self._by_digest: dict[bytes, CallEntry] = {}
        self._past = PastCalls()

    def enter(self, entry: CallEntry) -> bool:
        """Take a new call in; False when there are too many."""
        if self.active >= self._max_calls:
            return False
        self._entries[entry.call_id] = entry
        self._by_digest[_digest(entry.token)] = entry
        for carrier_call_id in entry.carrier_call_ids:
            self._by_carrier_id[carrier_call_id] = entry
        return True

    def find(self, carrier_call_id: str, call_id: str | None = None) -> CallEntry | None:
        """Return a call by our own id, where that is known, or by a carrier's."""
        return self._entries.get(call_id) if call_id is not None else self._by_carrier_id.get(carrier_call_id)

    def is_over(self, carrier_call_id: str, now: float) -> bool:
        """Whether a carrier's id is that of a call that has ended, filed or not."""
        entry = self.find(carrier_call_id)
        return entry.has_ended if entry is not None else self._past.knows(carrier_call_id, now)

    def alias(self, entry: CallEntry, carrier_call_id: str) -> bool:
        """Learn one more carrier id of a call; False where it is another call's."""
        known = self._by_carrier_id.get(carrier_call_id)
        if known is not None:
            return known is entry
        if len(entry.carrier_call_ids) >= _ALIASES_LIMIT:
            return False
        entry.carrier_call_ids.append(carrier_call_id)
        self._by_carrier_id[carrier_call_id] = entry
        return True

    def admits(self, token: str, now: float) -> bool:
        """Whether a token may be claimed."""
        entry = self._by_digest.get(_digest(token))
        return entry is not None and now < entry.ringing.deadline

    def claim(self, token: str, now: float) -> CallEntry | None:
        """Use up a token; None when it is unknown, used or too late."""
        return self._by_digest.pop(_digest(token)) if self.admits(token, now) else None

    def status(self, report: StatusReport, now: float) -> CallEntry | None:
        """Take a status; return the entry it changed, None when it is unknown or says nothing new."""
        entry = self.find(report.carrier_call_id, report.call_id)
        if entry is None:
            if report.status.is_surely_terminal:  # it may have overtaken the call's first webhook
                self._past.add([report.carrier_call_id], now)
            return None
        self.alias(entry, report.carrier_call_id)
        if entry.status is not None and entry.status.status.rank() >= report.status.rank():
            return None
        entry.status, entry.status_at = report, now
        if report.status.is_terminal:
            entry.final_status.set()
        return entry

    def over(self, entry: CallEntry) -> None:
        """Nothing of this call runs any more; its token is void."""
        entry.phase = CallPhase.OVER
        self._by_digest.pop(_digest(entry.token), None)

    def remove(self, entry: CallEntry, now: float) -> None:
        """The record is filed; forget the call, but for its carrier's names."""
        self._entries.pop(entry.call_id, None)
        self._past.add(entry.carrier_call_ids, now)
        for carrier_call_id in entry.carrier_call_ids:
            self._by_carrier_id.pop(carrier_call_id, None)

    @property
    def active(self) -> int:
        """Calls that ring or talk."""
        return sum(1 for _ in self._running())

    def entries(self) -> list[CallEntry]:
        """Return all calls that are not filed yet."""
        return list(self._entries.values())

    def phases(self) -> Counter[CallPhase]:
        """Return how many calls are in each phase."""
        return Counter(entry.phase for entry in self._entries.values())

    def _running(self) -> Iterator[CallEntry]:
        return (entry for entry in self._entries.values() if entry.phase is not CallPhase.OVER)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
