"""How a call began: announced by the carrier, or placed by us; and until when its next sign of life is waited for.

Rule: in every state before the media there is a limit, with the cause that ends the call at it.

Synchronous, except that others may wait for the carrier's answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import attrs
import trio

from voicecore.engine.call_state import CallMove, CallState
from voicecore.engine.settings import DialOptions, OnVoicemail
from voicecore.facts import EndCause
from voicecore.ports import AmdResult, MachineDetection, StatusReport
from voicecore.statuses import CarrierStatus
from voicecore.turns.first_message.message import Message

CARRIER_MOVES: Mapping[CarrierStatus, CallMove] = {
    CarrierStatus.QUEUED: CallMove.QUEUED,
    CarrierStatus.INITIATED: CallMove.RANG,
    CarrierStatus.RINGING: CallMove.RANG,
    CarrierStatus.IN_PROGRESS: CallMove.ANSWERED,
}
"""What each status that is not terminal says of a call."""

DIAL_OUTCOMES: Mapping[CarrierStatus, EndCause] = {
    CarrierStatus.NO_ANSWER: EndCause.NO_ANSWER,
    CarrierStatus.BUSY: EndCause.BUSY,
    CarrierStatus.CANCELED: EndCause.CANCELED,
    CarrierStatus.FAILED: EndCause.DIAL_FAILED,
    CarrierStatus.COMPLETED: EndCause.MEDIA_NEVER_CAME,  # answered, and no stream reached us
    CarrierStatus.UNKNOWN: EndCause.DIAL_FAILED,
}
"""What a terminal status before any media means for a call that we placed."""


@attrs.frozen
class Limit:
    """The end that a call comes to by itself, unless it gets further before."""

    cause: EndCause
    wait_s: float
    """From the moment at which the state was reached."""
    detail: str = ""


@attrs.frozen(kw_only=True)
class Inbound:
    """A call that the carrier has announced: only its media are waited for."""

    direction: ClassVar[Literal["inbound"]] = "inbound"
    first_state: ClassVar[CallState] = CallState.ANNOUNCED
    media_s: float
    """From the announcement to the media stream."""

    voicemail_message: ClassVar[None] = None

    def limit(self, state: CallState) -> Limit | None:
        """Return what ends the call in this state; None once its media came."""
        return Limit(EndCause.MEDIA_NEVER_CAME, self.media_s) if state is CallState.ANNOUNCED else None

    def outcome(self, status: CarrierStatus) -> EndCause:
        """Return what a terminal status before any media means."""
        del status
        return EndCause.REMOTE_HUNG_UP


@attrs.define(eq=False, kw_only=True)
class Outbound:
    """A call that we place, with everything that only such a call has."""

    direction: ClassVar[Literal["outbound"]] = "outbound"
    first_state: ClassVar[CallState] = CallState.DIALLING
    options: DialOptions
    amd: AmdResult | None = None
    """The first result of the carrier's machine detection."""
    doubt: str = ""
    """Why it is uncertain whether the carrier places the call; empty where that is certain."""
    request: trio.CancelScope = attrs.field(factory=lambda: trio.CancelScope(shield=True), repr=False)
    """Around the request to the carrier; whoever closes the engine gives it a deadline."""
    request_done: trio.Event = attrs.field(factory=trio.Event, repr=False)
    """The carrier's answer to the request is known, or the request was given up."""

    def limit(self, state: CallState) -> Limit | None:
        """Return what ends the call in this state; None once its media came."""
        options = self.options
        ring_s = options.ring_timeout_s + options.grace_s
        if state in {CallState.DIALLING, CallState.QUEUED}:
            return Limit(EndCause.RING_TIMEOUT, options.queue_s + ring_s)
        if state is CallState.UNCERTAIN:
            return Limit(EndCause.DIAL_UNCERTAIN, ring_s, self.doubt)
        if state is CallState.RINGING:
            return Limit(EndCause.RING_TIMEOUT, ring_s)
        if state is CallState.ANSWERED:
            waits_for_amd = options.detection is MachineDetection.SYNC
            return Limit(EndCause.MEDIA_NEVER_CAME, options.media_s + (options.verdict_s if waits_for_amd else 0.0))
        return None

    def outcome(self, status: CarrierStatus) -> EndCause:
        """Return what a terminal status before any media means."""
        return DIAL_OUTCOMES[status]

    @property
    def reached_machine(self) -> bool:
        """Whether an answering machine has answered, and is not to be talked to like a person."""
        is_machine = self.amd is not None and self.amd.answered_by.is_machine
        return is_machine and self.options.on_voicemail is not OnVoicemail.GO_ON

    @property
    def voicemail_message(self) -> Message | None:
        """What is to be said to the machine that has answered; None for people, and where nothing is."""
        text = self.options.voicemail_message
        if not self.reached_machine or self.options.on_voicemail is not OnVoicemail.LEAVE_MESSAGE or text is None:
            return None
        return Message(text, name="message for the machine")


CallOrigin = Inbound | Outbound


def before_media(report: StatusReport) -> str:
    """Return what a terminal status before any media says, with the carrier's reason."""
    lasted = f" after {report.duration_s} s" if report.duration_s else ""
    reason = f" ({report.failure})" if report.failure is not None else ""
    nothing_came = ", before any media" if report.status is CarrierStatus.COMPLETED else ""
    return f"the carrier reported {report.word}{lasted}{reason}{nothing_came}"
