"""One call as an object, from its first word to its record: what is known of it, and how it ends.

It stands before there is any media and after there is none; while the media
run, `call` holds the talk.  Webhooks, streams and the program that placed the
call all speak to it.

Rule 1: the first cause of the end wins; what comes later changes nothing.
Rule 2: the media are brought once, by whoever holds the call's token, and are
held until nothing of the call uses them.

Synchronous, except that others may wait for its events.  Kept in call_registry.py; its
tasks are in lifecycle.py.
"""

from __future__ import annotations

import enum

import attrs
import trio

from voicecore.engine.agent import Agent, Direction
from voicecore.engine.alarm import Alarm
from voicecore.engine.live_call import DETAIL_CHARS, Ending, LiveCall
from voicecore.engine.live_transcript import LiveTranscript
from voicecore.engine.parking.parked_session import ParkedSession
from voicecore.engine.ringing import Ringing
from voicecore.engine.settings import DialOptions
from voicecore.errors import printable
from voicecore.events import TokenUsage
from voicecore.facts import EndCause, ParkedReport, ParkingOutcome
from voicecore.ports import Leg, OpenCarrier, StatusReport
from voicecore.statuses import AnsweredBy


class CallPhase(enum.Enum):
    """Where a call stands."""

    RINGING = "ringing"  #: announced or dialled; its media have not come
    LIVE = "live"
    OVER = "over"  #: nothing of it runs; its record waits for the last status


@attrs.define(eq=False, kw_only=True)
class HostedCall:
    """One call."""

    call_id: str
    direction: Direction
    caller: str
    callee: str
    agent: Agent
    carrier: OpenCarrier | None = None
    """Who brings it, or places it; None in tests of parts."""
    started_at: str
    announced_at: float
    token: str = attrs.field(repr=False)
    ringing: Ringing
    options: DialOptions | None = None
    """How it is placed; None for one that comes in."""
    carrier_call_ids: list[str] = attrs.field(factory=list)
    """Every name that the carrier has for it, the first one first."""
    phase: CallPhase = CallPhase.RINGING
    leg: Leg | None = None
    call: LiveCall | None = None
    spoken: LiveTranscript | None = None
    """Its lines on their way to the disk; None: it is kept nowhere."""
    ending: Ending | None = None
    status: StatusReport | None = None
    status_at: float | None = None
    """When the last status that was news came."""
    was_hung_up: bool = False
    """The carrier has confirmed that it ended the call because we asked."""
    placing_doubt: str = ""
    """Why it is uncertain whether the carrier places it; empty where that is certain."""
    answered_by: AnsweredBy | None = None
    answered_by_word: str | None = None
    parked: ParkedSession | None = None
    """The session that waits for it now."""
    all_parked: list[ParkedSession] = attrs.field(factory=list)
    """Every session that was parked for it; bounded by the parking lot's retries."""
    alarm: Alarm = attrs.field(factory=Alarm, repr=False)
    """Wakes its ringing."""
    placing: trio.CancelScope = attrs.field(factory=lambda: trio.CancelScope(shield=True), repr=False)
    """Around the request to the carrier; whoever closes the engine gives it a deadline."""
    placed: trio.Event = attrs.field(factory=trio.Event, repr=False)
    """The carrier's answer to our request is known, or nothing was asked."""
    media_over: trio.Event = attrs.field(factory=trio.Event, repr=False)
    """Nothing of the call uses its media."""
    final_status: trio.Event = attrs.field(factory=trio.Event, repr=False)
    filed: trio.Event = attrs.field(factory=trio.Event, repr=False)

    @property
    def carrier_call_id(self) -> str | None:
        """The carrier's id of the call; None before it gave one."""
        return self.carrier_call_ids[0] if self.carrier_call_ids else None

    @property
    def has_ended(self) -> bool:
        """Whether there is a cause of its end already."""
        return self.ending is not None or (self.call is not None and self.call.ending is not None)

    @property
    def is_over_at_carrier(self) -> bool:
        """Whether the carrier has said that the call is over, by a status or when it was asked to end it."""
        return self.was_hung_up or (self.status is not None and self.status.status.is_terminal)

    def bring(self, leg: Leg) -> None:
        """The media are here."""
        self.leg = leg
        self.phase = CallPhase.LIVE
        self.wake()

    def end(self, cause: EndCause, detail: str, now: float) -> None:
        """End the call; the first cause stands, wherever the call is."""
        if self.call is not None:
            self.call.end(cause, detail)
        elif self.ending is None:
            self.ending = Ending(cause, printable(detail, DETAIL_CHARS), now)
        self.wake()

    def wake(self) -> None:
        """Let the ringing look again at what has changed."""
        self.alarm.bring_forward(float("-inf"))

    def parked_once(self) -> tuple[ParkedReport, ...]:
        """Return what became of every session that was parked for this call."""
        told = (parked.entry.told() for parked in self.all_parked)
        return tuple(each for each in told if each is not None)

    def usage_before(self) -> TokenUsage:
        """Return what sessions that were never adopted have used; what an adopted one used, its call has counted."""
        unused = (p.entry.usage for p in self.all_parked if p.entry.outcome is not ParkingOutcome.ADOPTED)
        return sum(unused, TokenUsage())
