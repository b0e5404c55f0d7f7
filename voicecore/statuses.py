"""Where a carrier says that a call stands, and who answered it, in words that all carriers share.

Rule 1: statuses have ranks; callbacks come in any order, and a later one never
takes back a higher one.
Rule 2: a word that nobody knows is terminal: a carrier's rarer endings (and the
ones it will invent) must not leave a call that never ends.  The words for
calls under way are few and old; a new one among them would cost one call, a
missed ending would bill until the end of time.

Level 0.
"""

from __future__ import annotations

import enum

import attrs


class CarrierStatus(enum.Enum):
    """The life of a call as carriers report it."""

    QUEUED = "queued"
    INITIATED = "initiated"
    RINGING = "ringing"
    IN_PROGRESS = "in-progress"
    COMPLETED = "completed"
    BUSY = "busy"
    FAILED = "failed"
    NO_ANSWER = "no-answer"
    CANCELED = "canceled"
    UNKNOWN = "unknown"  #: a word we do not know; terminal

    def rank(self) -> int:
        """Return the place in a call's life; all terminal statuses share the last one."""
        return _RANKS.get(self, _LAST)

    @property
    def is_terminal(self) -> bool:
        """Whether the call is over."""
        return self.rank() == _LAST

    @property
    def is_surely_terminal(self) -> bool:
        """Whether the call is over by a word that we know."""
        return self.is_terminal and self is not CarrierStatus.UNKNOWN


_RANKS = {
    CarrierStatus.QUEUED: 0,
    CarrierStatus.INITIATED: 1,
    CarrierStatus.RINGING: 2,
    CarrierStatus.IN_PROGRESS: 3,
}
_LAST = 4


class AnsweredBy(enum.Enum):
    """What a carrier's machine detection heard at the other end."""

    HUMAN = "human"
    MACHINE_GREETING = "machine_greeting"  #: an answering machine, its greeting still running
    MACHINE_RECORDING = "machine_recording"  #: its greeting has ended; a message would be recorded now
    FAX = "fax"
    UNKNOWN = "unknown"  #: the carrier could not tell, or used a word we do not know

    @property
    def is_machine(self) -> bool:
        """Whether nobody is listening."""
        return self in {AnsweredBy.MACHINE_GREETING, AnsweredBy.MACHINE_RECORDING, AnsweredBy.FAX}


@attrs.frozen(kw_only=True)
class CarrierFailure:
    """Why a call failed, as far as the carrier says it."""

    sip_code: int | None = None
    """Of the network's last answer, such as 486."""
    error_code: int | None = None
    """The carrier's own number."""
    message: str = ""
    """The carrier's own words, fit for a log."""

    def __str__(self) -> str:
        """Return all of it as one phrase."""
        named = (("SIP", self.sip_code), ("error", self.error_code))
        codes = ", ".join(f"{name} {code}" for name, code in named if code is not None)
        return ": ".join(part for part in (codes, self.message) if part)
