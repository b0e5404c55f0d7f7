"""One call, from its first webhook or the order to place it until its record is filed.

It exists before there are any media and after there are none; while they flow,
`call` is the live call.  Webhooks, media streams and the program that placed the
call all speak to it.

Rule 1: it has one state and one ending, both in `progress` (call_state.py).
Rule 2: its media come once, with whoever has its token, and are kept open until
nothing of the call uses them.

Synchronous, except that others may wait for its states.  Found through
call_registry.py; its tasks are in lifecycle.py.
"""

from __future__ import annotations

import attrs

from voicecore.engine.agent import Agent, Direction
from voicecore.engine.alarm import Alarm
from voicecore.engine.call_at_carrier import CallAtCarrier
from voicecore.engine.call_origin import CallOrigin
from voicecore.engine.call_state import (
    AWAITS_MEDIA,
    HAS_STOPPED,
    MEDIA_RELEASED,
    CallMove,
    CallProgress,
    CallState,
)
from voicecore.engine.ending import Ending
from voicecore.engine.live_call import LiveCall
from voicecore.engine.live_transcript import LiveTranscript
from voicecore.engine.parking.parked_session import ParkedSession
from voicecore.events import TokenUsage
from voicecore.facts import EndCause, ParkedReport, ParkingOutcome
from voicecore.ports import Leg, OpenCarrier


@attrs.define(eq=False, kw_only=True)
class HostedCall:
    """One call."""

    call_id: str
    caller: str
    callee: str
    agent: Agent
    carrier: OpenCarrier | None = None
    """Who brings it, or places it; None in tests of parts."""
    started_at: str
    announced_at: float
    token: str = attrs.field(repr=False)
    origin: CallOrigin
    """Whether it came in or was placed by us, with what only such a call has."""
    at_carrier: CallAtCarrier = attrs.field(factory=CallAtCarrier)
    progress: CallProgress = attrs.field(init=False)
    limit_at: float = attrs.field(init=False)
    """When the call ends by itself, unless it gets further before; without meaning once its media came."""
    leg: Leg | None = None
    """Its media stream; None before it came."""
    call: LiveCall | None = None
    transcript: LiveTranscript | None = None
    """Its lines on their way to the disk; None: they are not kept."""
    all_parked: list[ParkedSession] = attrs.field(factory=list)
    """Every session that was parked for it, the newest last; bounded by the retries of `ParkingSettings`."""
    alarm: Alarm = attrs.field(factory=Alarm, repr=False)
    """Wakes the task that waits for its media."""

    def __attrs_post_init__(self) -> None:
        self.progress = CallProgress(self.origin.first_state)
        self._set_limit(self.announced_at)

    @property
    def direction(self) -> Direction:
        return self.origin.direction

    @property
    def carrier_call_id(self) -> str | None:
        """The carrier's id of the call; None before it gave one."""
        return self.at_carrier.ids[0] if self.at_carrier.ids else None

    @property
    def parked(self) -> ParkedSession | None:
        """The session that is parked for it now."""
        return self.all_parked[-1] if self.all_parked else None

    # --- where it stands ----------------------------------------------------------------

    @property
    def state(self) -> CallState:
        return self.progress.state

    @property
    def ending(self) -> Ending | None:
        """Why it ended; None before that."""
        return self.progress.ending

    @property
    def has_ended(self) -> bool:
        """Whether there is a cause of its end; something of it may still run."""
        return self.progress.has_ended

    @property
    def awaits_media(self) -> bool:
        """Whether it is announced, dialled, ringing or answered, and no more."""
        return self.state in AWAITS_MEDIA

    @property
    def runs(self) -> bool:
        """Whether something of it still runs, its end included."""
        return self.state not in HAS_STOPPED

    @property
    def was_picked_up(self) -> bool:
        """Whether its media have come."""
        return self.leg is not None

    # --- what happens to it -------------------------------------------------------------

    def advance(self, move: CallMove, now: float) -> bool:
        """The carrier says that the call has got this far; return whether that is news."""
        if not self.progress.move(move):
            return False
        self._set_limit(now)
        if self.parked is not None:
            self.parked.extend(self.limit_at)
        self.wake()
        return True

    def expect_pickup(self) -> None:
        """Its media are about to come: have the parked session checked now, so that pick-up need not wait for that."""
        if self.parked is not None:
            self.parked.expect_pickup()

    def media_came(self, leg: Leg) -> None:
        """Take the media; a call that has ended meanwhile does not use them."""
        self.progress.move(CallMove.MEDIA_CAME)
        self.leg = leg
        self.wake()

    def expire(self, now: float) -> None:
        """End the call if nothing has come by its limit."""
        limit = self.origin.limit(self.state)
        if limit is not None and self.limit_at <= now:
            self.end(limit.cause, limit.detail, now)

    def end(self, cause: EndCause, detail: str, now: float) -> None:
        """End the call; the first cause stands, in every state."""
        if self.call is not None:
            self.call.end(cause, detail)
        else:
            self.progress.end(Ending(cause, detail, now))
        self.wake()

    def release_media(self) -> None:
        """Nothing uses its media any more."""
        self.progress.move(CallMove.MEDIA_RELEASED)

    def stop(self, now: float) -> Ending:
        """Nothing of it runs any more, however that came about; return its ending."""
        ending = Ending(EndCause.SHUT_DOWN, "", now)
        if not self.progress.end(ending):
            ending = self.ending or ending
        self.release_media()
        self.progress.move(CallMove.STOPPED)
        return ending

    def file(self) -> None:
        """Its record is written, or is not waited for any more."""
        self.progress.move(CallMove.FILED)

    def wake(self) -> None:
        """Let the task that waits for its media look at what has changed."""
        self.alarm.bring_forward(float("-inf"))

    async def until_media_released(self) -> None:
        """Return once nothing of the call uses its media."""
        await self.progress.wait_for(MEDIA_RELEASED)

    async def until_filed(self) -> None:
        """Return once its record is written, or is not waited for any more."""
        await self.progress.wait_for({CallState.FILED})

    # --- its parked sessions ------------------------------------------------------------

    def parked_reports(self) -> tuple[ParkedReport, ...]:
        """Return what became of every session that was parked for it."""
        reports = (parked.entry.report() for parked in self.all_parked)
        return tuple(report for report in reports if report is not None)

    def usage_before(self) -> TokenUsage:
        """Return what sessions that were never adopted have used; what an adopted one used, its call has counted."""
        unused = (p.entry.usage for p in self.all_parked if p.entry.outcome is not ParkingOutcome.ADOPTED)
        return sum(unused, TokenUsage())

    def _set_limit(self, now: float) -> None:
        if (limit := self.origin.limit(self.state)) is not None:
            self.limit_at = now + limit.wait_s
