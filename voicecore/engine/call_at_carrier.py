"""A call as the carrier sees it: its ids, its status, and whether it is over there.

Rule: statuses are ranked: a later one never takes back an earlier, higher one, and
the first terminal one stands.

Synchronous, except that others may wait for the last status; time is an argument.
"""

from __future__ import annotations

import attrs
import trio

from voicecore.ports import StatusReport

_IDS_LIMIT = 8  #: carrier ids of one call


@attrs.define(eq=False, kw_only=True)
class CallAtCarrier:
    """What the carrier has said of one call."""

    ids: list[str] = attrs.field(factory=list)
    """Every id that the carrier uses for it, the first one first; at most _IDS_LIMIT."""
    status: StatusReport | None = None
    status_at: float | None = None
    """When the last status that was news came."""
    was_hung_up: bool = False
    """The carrier has confirmed that it ended the call because we asked."""
    last_word: trio.Event = attrs.field(factory=trio.Event, repr=False)
    """The terminal status has come, or is not waited for any more."""

    @property
    def is_over(self) -> bool:
        """Whether the call is over there, by a status or because it was hung up."""
        return self.was_hung_up or self.final is not None

    @property
    def final(self) -> StatusReport | None:
        """The terminal status; None before it came."""
        return self.status if self.status is not None and self.status.status.is_terminal else None

    def learn_id(self, carrier_call_id: str) -> bool:
        """Take one more id; False where there are too many."""
        if len(self.ids) >= _IDS_LIMIT:
            return False
        self.ids.append(carrier_call_id)
        return True

    def learn_status(self, report: StatusReport, now: float) -> bool:
        """Take a status; return whether it is news."""
        if self.status is not None and self.status.status.rank() >= report.status.rank():
            return False
        self.status, self.status_at = report, now
        if report.status.is_terminal:
            self.last_word.set()
        return True
