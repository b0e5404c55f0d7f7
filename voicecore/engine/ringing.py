"""A call before its media: what the carrier has said so far, and until when the next word must come.

    ASKED ──► PLACED ──► RINGS ──► ANSWERED ──► (the media stream)
      └──► UNCERTAIN ──┘

Rule 1: phases go forward only, whatever order callbacks come in.
Rule 2: every phase has a deadline and a cause that ends the call at it.
Rule 3: an incoming call begins as answered: only its media are awaited.

Synchronous; time is an argument.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

import attrs

from voicecore.engine.settings import DialOptions
from voicecore.facts import EndCause
from voicecore.ports import MachineDetection, StatusReport
from voicecore.statuses import CarrierStatus


class RingPhase(enum.Enum):
    """Where a call stands before its media, in its order."""

    ASKED = 0  #: the carrier is being asked
    UNCERTAIN = 1  #: it was asked and gave no clear answer
    PLACED = 2  #: it has the call, and does not ring yet
    RINGS = 3
    ANSWERED = 4


_PHASES: Mapping[CarrierStatus, RingPhase] = {
    CarrierStatus.QUEUED: RingPhase.PLACED,
    CarrierStatus.INITIATED: RingPhase.RINGS,
    CarrierStatus.RINGING: RingPhase.RINGS,
    CarrierStatus.IN_PROGRESS: RingPhase.ANSWERED,
}

OUTCOMES: Mapping[CarrierStatus, EndCause] = {
    CarrierStatus.NO_ANSWER: EndCause.NO_ANSWER,
    CarrierStatus.BUSY: EndCause.BUSY,
    CarrierStatus.CANCELED: EndCause.CANCELED,
    CarrierStatus.FAILED: EndCause.DIAL_FAILED,
    CarrierStatus.COMPLETED: EndCause.MEDIA_NEVER_CAME,  # answered, and no stream reached us
    CarrierStatus.UNKNOWN: EndCause.DIAL_FAILED,
}
"""What a terminal status before any media means for a call that we placed."""


@attrs.define
class Ringing:
    """The time before the media of one call."""

    phase: RingPhase
    deadline: float
    """When the next word must have come."""
    cause: EndCause
    """What ends the call at the deadline."""
    options: DialOptions | None = None

    @classmethod
    def incoming(cls, now: float, media_s: float) -> Ringing:
        """Return the beginning of a call that comes in."""
        return cls(RingPhase.ANSWERED, now + media_s, EndCause.MEDIA_NEVER_CAME)

    @classmethod
    def placed_by_us(cls, now: float, options: DialOptions) -> Ringing:
        """Return the beginning of a call that we place."""
        ringing = cls(RingPhase.ASKED, now, EndCause.RING_TIMEOUT, options)
        ringing.deadline = now + ringing._longest_s(options)
        return ringing

    def reach(self, phase: RingPhase, now: float) -> bool:
        """The carrier said that the call is so far; return whether that is news."""
        if self.options is None or phase.value <= self.phase.value:
            return False
        self.phase = phase
        self.cause, wait_s = self._limit(self.options)
        self.deadline = now + wait_s
        return True

    def status(self, status: CarrierStatus, now: float) -> bool:
        """Take a status that is not terminal; return whether it is news."""
        return self.reach(_PHASES[status], now) if status in _PHASES else False

    def _limit(self, options: DialOptions) -> tuple[EndCause, float]:
        ring_s = options.ring_timeout_s + options.grace_s
        if self.phase is RingPhase.UNCERTAIN:
            return EndCause.DIAL_UNCERTAIN, ring_s
        if self.phase is RingPhase.RINGS:
            return EndCause.RING_TIMEOUT, ring_s
        if self.phase is RingPhase.ANSWERED:
            waits = options.detection is MachineDetection.SYNC
            return EndCause.MEDIA_NEVER_CAME, options.media_s + (options.verdict_s if waits else 0.0)
        return EndCause.RING_TIMEOUT, self._longest_s(options)

    @staticmethod
    def _longest_s(options: DialOptions) -> float:
        return options.queue_s + options.ring_timeout_s + options.grace_s


def before_media(report: StatusReport) -> str:
    """Return what a terminal status before any media says, with the carrier's reason."""
    lasted = f" after {report.duration_s} s" if report.duration_s else ""
    reason = f" ({report.failure})" if report.failure is not None else ""
    nothing_came = ", before any media" if report.status is CarrierStatus.COMPLETED else ""
    return f"the carrier reported {report.word}{lasted}{reason}{nothing_came}"
