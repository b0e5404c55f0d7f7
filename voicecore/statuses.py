"""Call statuses, answering-machine results and failure reasons, as carriers report them.

Rule 1: statuses have ranks. Callbacks come in any order, and a later callback
never lowers the rank.
Rule 2: an unknown status is terminal, because a carrier's rare or new final
statuses must not leave a call open for ever. The statuses of calls in progress
are few and stable; an unknown one among them would cost one call, while a
missed end would be billed without limit.

Level 0.
"""

from __future__ import annotations

import enum

import attrs


class CarrierStatus(enum.Enum):
    """The status of a call as carriers report it."""

    QUEUED = "queued"
    INITIATED = "initiated"
    RINGING = "ringing"
    IN_PROGRESS = "in-progress"
    COMPLETED = "completed"
    BUSY = "busy"
    FAILED = "failed"
    NO_ANSWER = "no-answer"
    CANCELED = "canceled"
    UNKNOWN = "unknown"  #: a status that we do not know; terminal

    def rank(self) -> int:
        """Return the rank in a call's life; all terminal statuses share the last one."""
        return _RANKS.get(self, _LAST)

    @property
    def is_terminal(self) -> bool:
        """Whether the call is over."""
        return self.rank() == _LAST

    @property
    def is_surely_terminal(self) -> bool:
        """Whether the call is over, by a status that we know."""
        return self.is_terminal and self is not CarrierStatus.UNKNOWN


_RANKS = {
    CarrierStatus.QUEUED: 0,
    CarrierStatus.INITIATED: 1,
    CarrierStatus.RINGING: 2,
    CarrierStatus.IN_PROGRESS: 3,
}
_LAST = 4


class AnsweredBy(enum.Enum):
    """The result of a carrier's answering-machine detection."""

    HUMAN = "human"
    MACHINE_GREETING = "machine_greeting"  #: an answering machine that is playing its greeting
    MACHINE_RECORDING = "machine_recording"  #: an answering machine whose greeting has ended; it records now
    FAX = "fax"
    UNKNOWN = "unknown"  #: the carrier could not decide, or used a word that we do not know

    @property
    def is_machine(self) -> bool:
        """Whether no human answered."""
        return self in {AnsweredBy.MACHINE_GREETING, AnsweredBy.MACHINE_RECORDING, AnsweredBy.FAX}


@attrs.frozen(kw_only=True)
class CarrierFailure:
    """Why a call failed, as far as the carrier says."""

    sip_code: int | None = None
    """SIP code of the final response, such as 486."""
    error_code: int | None = None
    """The carrier's own error number."""
    message: str = ""
    """The carrier's own words, safe to log."""

    def __str__(self) -> str:
        """Return codes and message as one phrase."""
        named = (("SIP", self.sip_code), ("error", self.error_code))
        codes = ", ".join(f"{name} {code}" for name, code in named if code is not None)
        return ": ".join(part for part in (codes, self.message) if part)
