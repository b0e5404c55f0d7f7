"""The one place where calls are found: by our own id, by a carrier's id, or by a media token.

Rule 1: a call is entered with its first webhook or the order to place it, and
removed when its report is complete; in between every webhook, stream and status
finds the same object.
Rule 2: a token is taken once, while it is valid.  It is looked up by its digest, so
that the time a wrong guess takes says nothing about a right one.
Rule 3: a carrier's ids of a call that is over are remembered for a while: what the
carrier still says of it starts nothing.

Synchronous; time is an argument.
"""

from __future__ import annotations

import hashlib

from voicecore.engine.ending import Ending
from voicecore.engine.hosted_call import HostedCall
from voicecore.engine.past_calls import PastCalls
from voicecore.ports import StatusReport


class CallRegistry:
    """All calls of one host."""

    def __init__(self, max_calls: int) -> None:
        self._max_calls = max_calls
        # By our id; bounded by max_calls, and calls that wait for the carrier's final status.
        self._hosted_calls: dict[str, HostedCall] = {}
        self._by_carrier_id: dict[str, HostedCall] = {}  # bounded by the ids of one call, see call_at_carrier.py
        self._by_digest: dict[bytes, HostedCall] = {}
        self._past = PastCalls()

    def enter(self, hosted: HostedCall) -> bool:
        """Take a new call in; False when there are too many."""
        if self.active >= self._max_calls:
            return False
        self._hosted_calls[hosted.call_id] = hosted
        self._by_digest[_digest(hosted.token)] = hosted
        for carrier_call_id in hosted.at_carrier.ids:
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
        if not hosted.at_carrier.learn_id(carrier_call_id):
            return False
        self._by_carrier_id[carrier_call_id] = hosted
        return True

    def token_valid(self, token: str, now: float) -> bool:
        """Whether a token may be taken now."""
        hosted = self._by_digest.get(_digest(token))
        return hosted is not None and now < hosted.limit_at

    def take_token(self, token: str, now: float) -> HostedCall | None:
        """Use up a token; None when it is unknown, used or too late."""
        return self._by_digest.pop(_digest(token)) if self.token_valid(token, now) else None

    def status(self, report: StatusReport, now: float) -> HostedCall | None:
        """Take a status; return the call that it changed, None when it is unknown or says nothing new."""
        hosted = self.find(report.carrier_call_id, report.call_id)
        if hosted is None:
            if report.status.is_surely_terminal:  # it may have overtaken the call's first webhook
                self._past.add([report.carrier_call_id], now)
            return None
        self.alias(hosted, report.carrier_call_id)
        return hosted if hosted.at_carrier.learn_status(report, now) else None

    def stop(self, hosted: HostedCall, now: float) -> Ending:
        """Nothing of this call runs any more, and its token is void; return its ending."""
        self._by_digest.pop(_digest(hosted.token), None)
        return hosted.stop(now)

    def remove(self, hosted: HostedCall, now: float) -> None:
        """The call's report is complete: forget the call, but for its carrier's ids."""
        self._hosted_calls.pop(hosted.call_id, None)
        self._past.add(hosted.at_carrier.ids, now)
        for carrier_call_id in hosted.at_carrier.ids:
            self._by_carrier_id.pop(carrier_call_id, None)

    @property
    def active(self) -> int:
        """How many calls run, those that are ending included."""
        return sum(hosted.runs for hosted in self._hosted_calls.values())

    def hosted_calls(self) -> list[HostedCall]:
        """Return all calls whose report is not complete yet."""
        return list(self._hosted_calls.values())


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
