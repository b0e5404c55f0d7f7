"""What the REST interface shows of a call, whoever placed it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from voicecore.simulation.twilio.call_flow import CallFlow
from voicecore.simulation.twilio.line import Line
from voicecore.simulation.twilio.progress import CallProgress


class CarrierCall:
    """A call at the carrier; its two kinds say how it runs and how it ends."""

    answered_by: str | None = None
    """The verdict of machine detection, once there is one."""

    def __init__(self, progress: CallProgress, flow: CallFlow, created_at: datetime) -> None:
        self.created_at = created_at
        self._progress = progress
        self._flow = flow

    @property
    def identity(self) -> Mapping[str, str]:
        """The fields that all webhooks of the call have in common."""
        return self._progress.identity

    @property
    def status(self) -> str:
        """The status as a fetch shows it."""
        return self._progress.status

    @property
    def duration_s(self) -> int | None:
        """Of a call that was answered and is over."""
        return self._progress.duration_s

    @property
    def line(self) -> Line | None:
        """The media stream; None as long as there was none."""
        return self._flow.line
