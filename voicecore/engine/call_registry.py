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

Synchronous; time is an argument.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator

from voicecore.engine.hosted_call import CallPhase, HostedCall
from voicecore.engine.past_calls import PastCalls
from voicecore.ports import StatusReport

_ALIASES_LIMIT = 8  #: carrier ids of one call


class CallRegistry:
    """All calls of one host."""

    def __init__(self, max_calls: int) -> None:
        self._max_calls = max_calls
        self._hosted_calls: dict[
            str, HostedCall
        ] = {}  # by our id; bounded by max_calls and calls that wait for a record
        self._by_carrier_id: dict[str, HostedCall] = {}  # bounded by _ALIASES_LIMIT for each entry
        self._by_digest: dict[bytes, HostedCall] = {}
        self._past = PastCalls()

    def enter(self, hosted: HostedCall) -> bool:
        """Take a new call in; False when there are too many."""
        if self.active >= self._max_calls:
            return False
        self._hosted_calls[hosted.call_id] = hosted
        self._by_digest[_digest(hosted.token)] = hosted
        for carrier_call_id in hosted.carrier_call_ids:
            self._by_carrier_id[carrier_call_id] = hosted
        return True

    def find(self, carrier_call_id: str, call_id: str | None = None) -> HostedCall | None:
        """Return a call by our own id, where that is known, or by a carrier's."""
        return self._hosted_calls.get(call_id) if call_id is not None else self._by_carrier_id.get(carrier_call_id)

    def is_over(self, carrier_call_id: str, now: float) -> bool:
        """Whether a carrier's id is that of a call that has ended, filed or not."""
        hosted = self.find(carrier_call_id)
        return hosted.has_ended if hosted is not None else self._past.knows(carrier_call_id, now)

    def alias(self, hosted: HostedCall, carrier_call_id: str) -> bool:
        """Learn one more carrier id of a call; False where it is another call's."""
        known = self._by_carrier_id.get(carrier_call_id)
        if known is not None:
            return known is hosted
        if len(hosted.carrier_call_ids) >= _ALIASES_LIMIT:
            return False
        hosted.carrier_call_ids.append(carrier_call_id)
        self._by_carrier_id[carrier_call_id] = hosted
        return True

    def token_valid(self, token: str, now: float) -> bool:
        """Whether a token may be claimed."""
        hosted = self._by_digest.get(_digest(token))
        return hosted is not None and now < hosted.ringing.deadline

    def take_token(self, token: str, now: float) -> HostedCall | None:
        """Use up a token; None when it is unknown, used or too late."""
        return self._by_digest.pop(_digest(token)) if self.token_valid(token, now) else None

    def status(self, report: StatusReport, now: float) -> HostedCall | None:
        """Take a status; return the entry it changed, None when it is unknown or says nothing new."""
        hosted = self.find(report.carrier_call_id, report.call_id)
        if hosted is None:
            if report.status.is_surely_terminal:  # it may have overtaken the call's first webhook
                self._past.add([report.carrier_call_id], now)
            return None
        self.alias(hosted, report.carrier_call_id)
        if hosted.status is not None and hosted.status.status.rank() >= report.status.rank():
            return None
        hosted.status, hosted.status_at = report, now
        if report.status.is_terminal:
            hosted.final_status.set()
        return hosted

    def over(self, hosted: HostedCall) -> None:
        """Nothing of this call runs any more; its token is void."""
        hosted.phase = CallPhase.OVER
        self._by_digest.pop(_digest(hosted.token), None)

    def remove(self, hosted: HostedCall, now: float) -> None:
        """The record is filed; forget the call, but for its carrier's names."""
        self._hosted_calls.pop(hosted.call_id, None)
        self._past.add(hosted.carrier_call_ids, now)
        for carrier_call_id in hosted.carrier_call_ids:
            self._by_carrier_id.pop(carrier_call_id, None)

    @property
    def active(self) -> int:
        """Calls that ring or talk."""
        return sum(1 for _ in self._running())

    def hosted_calls(self) -> list[HostedCall]:
        """Return all calls that are not filed yet."""
        return list(self._hosted_calls.values())

    def phases(self) -> Counter[CallPhase]:
        """Return how many calls are in each phase."""
        return Counter(hosted.phase for hosted in self._hosted_calls.values())

    def _running(self) -> Iterator[HostedCall]:
        return (hosted for hosted in self._hosted_calls.values() if hosted.phase is not CallPhase.OVER)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
