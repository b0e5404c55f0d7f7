"""The life of one call: it rings, it talks, it is over.

    live
    ├── ring            waits for the media, the carrier's last word or a deadline
    │   └── keep_parked     sees to it that a session waits
    └── talk            the media are here: engine/call_tasks.py

    place               asks the carrier to ring (of calls that we place)

Rule 1: whatever happens, a call ends with one cause, its media are released and
nothing that was opened for it stays.
Rule 2: one call's failure never reaches another, nor the host: whatever is raised
here ends this call, and each step of its clean-up is taken all the same (boundary.py).
Rule 3: a request to the carrier is not broken off half-way: a phone that may
ring is known, or is hung up, even when nobody wants the call any more.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

import attrs
import trio

from voicecore.audio.formats import PCMU_8K, AudioFormat
from voicecore.audio.recording import Recording
from voicecore.engine.boundary import contained
from voicecore.engine.call_tasks import SessionSource, run_call
from voicecore.engine.hosted_call import CallPhase, HostedCall
from voicecore.engine.live_call import LiveCall
from voicecore.engine.next_step import NEXT_STEPS, NextStep
from voicecore.engine.parking.parked_session import ParkedSession, ParkedSessions
from voicecore.engine.ringing import RingPhase
from voicecore.engine.settings import HostSettings, OnVoicemail
from voicecore.errors import CarrierError, CarrierRefused, CarrierUnavailable, LocalProtocolError, printable
from voicecore.events import RequestResponse
from voicecore.facts import CallBegan, EndCause, Fact, ParkingOutcome, ProblemSeen, SessionParked
from voicecore.ports import Brief, CallControl, Dialler, DialOrder, Leg, Provider
from voicecore.turns.first_message.message import Message, SpeaksFirst
from voicecore.turns.first_message.requests import prepared_request
from voicecore.world import World

log = logging.getLogger("voicecore.engine")

_PARKED_AFTER_S = 1.0  #: a parked session outlives the last moment of ringing by this

Alias = Callable[[HostedCall, str], object]
"""Learn a carrier's id of a call."""


@attrs.frozen(kw_only=True)
class LifecycleParts:
    """What a call needs of its host."""

    world: World
    provider: Provider
    control: CallControl | None
    """None: calls end when their media close, and no other way."""
    parked: ParkedSessions
    settings: HostSettings
    notify: Callable[[HostedCall, Fact], None]
    record: Callable[[HostedCall, LiveCall, Recording], None] | None
    """Start writing a call's recording; None: it is not recorded."""
    expected_format: Callable[[], AudioFormat] = lambda: PCMU_8K
    """Of a leg that has not begun; one that announces another gets a cold session."""
    keep_lines: Callable[[HostedCall, LiveCall], None] | None = None
    """Start writing what is said in a call; None: it is kept nowhere."""


async def live(hosted: HostedCall, parts: LifecycleParts) -> None:
    """Hold one call from its first word until nothing of it runs."""

    def failed(failure: BaseException) -> None:
        hosted.end(EndCause.FAILED, type(failure).__name__, parts.world.now())

    name = f"call {hosted.call_id}"
    try:
        await contained(name, partial(_ring_and_talk, hosted, parts), failed)
    finally:
        hosted.end(EndCause.SHUT_DOWN, "", parts.world.now())  # nothing, where the call has ended by itself
        await contained(f"{name}: giving up its parked session", partial(_release_parked, hosted, parts))
        await contained(f"{name}: letting go of its media", partial(_release_media, hosted, parts))
        hosted.media_over.set()


async def _ring_and_talk(hosted: HostedCall, parts: LifecycleParts) -> None:
    await _ring(hosted, parts)
    if hosted.leg is not None and hosted.ending is None:
        await _talk(hosted, hosted.leg, parts)


# --- before the media -----------------------------------------------------------------


async def place(hosted: HostedCall, dialler: Dialler, order: DialOrder, parts: LifecycleParts, alias: Alias) -> None:
    """Ask the carrier to ring, and take note of what it says."""
    try:
        with hosted.placing:
            carrier_call_id = await dialler.dial(order)
            alias(hosted, carrier_call_id)
            hosted.ringing.reach(RingPhase.PLACED, parts.world.now())
    except CarrierRefused as refused:
        hosted.end(EndCause.DIAL_REFUSED, str(refused), parts.world.now())
    except CarrierUnavailable as unavailable:
        hosted.end(EndCause.DIAL_UNAVAILABLE, str(unavailable), parts.world.now())
    except LocalProtocolError as impossible:
        hosted.end(EndCause.DIAL_FAILED, str(impossible), parts.world.now())
    except CarrierError as uncertain:
        hosted.placing_doubt = str(uncertain)  # made printable where the call ends
        hosted.ringing.reach(RingPhase.UNCERTAIN, parts.world.now())
        parts.notify(hosted, ProblemSeen(parts.world.now() - hosted.announced_at, "dial_uncertain", str(uncertain)))
    finally:
        hosted.placed.set()
        hosted.wake()


async def _ring(hosted: HostedCall, parts: LifecycleParts) -> None:
    """Wait for the media; what does not come in time ends the call."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_keep_parked, hosted, parts)
        while hosted.leg is None and hosted.ending is None:
            await hosted.alarm.wait_until(hosted.ringing.deadline)
            _expire(hosted, parts.world.now())
        nursery.cancel_scope.cancel()


def _expire(hosted: HostedCall, now: float) -> None:
    if hosted.leg is None and hosted.ringing.deadline <= now:
        cause = hosted.ringing.cause
        hosted.end(cause, hosted.placing_doubt if cause is EndCause.DIAL_UNCERTAIN else "", now)


async def _keep_parked(hosted: HostedCall, parts: LifecycleParts) -> None:
    """Have a session opened; replace it, a few times, if it was ready and dies while the phone rings."""
    settings = parts.settings.parking
    for _ in range(1 + settings.retries):
        parked = _park(hosted, parts)
        if parked is None:
            return
        hosted.parked = parked
        hosted.all_parked.append(parked)
        await parked.opened_or_closed.wait()
        if parked.opened_after_s is None:
            return
        parts.notify(hosted, SessionParked(parts.world.now() - hosted.announced_at, parked.opened_after_s))
        await parked.closed.wait()
        if parked.entry.outcome is not ParkingOutcome.DIED:
            return
        await trio.sleep(settings.retry_pause_s)


def _park(hosted: HostedCall, parts: LifecycleParts) -> ParkedSession | None:
    until = hosted.ringing.deadline + _PARKED_AFTER_S
    brief = _brief(hosted, parts.expected_format())
    return parts.parked.park(hosted.call_id, parts.provider, brief, until=until, first=_prepared(hosted))


def _prepared(hosted: HostedCall) -> RequestResponse | None:
    """Return the request for a first message that is to be generated while the phone rings."""
    agent, policy = hosted.agent, hosted.agent.policy_for(hosted.direction)
    spoken = agent.first_message is not None and agent.first_message_audio is None
    if not spoken or not policy.prepared or policy.speaks_first is SpeaksFirst.USER:
        return None
    return prepared_request(Message(agent.first_message or ""))


def _brief(hosted: HostedCall, leg_format: AudioFormat) -> Brief:
    """Return what a session of this call is opened with: the one place, for parked and cold ones."""
    return Brief(
        instructions=hosted.agent.instructions,
        audio_format=leg_format,
        lockout=hosted.agent.lockout(hosted.direction),
        engine_takes_turns=hosted.agent.barge_in.engine_decides,
    )


# --- the media ------------------------------------------------------------------------


async def _talk(hosted: HostedCall, leg: Leg, parts: LifecycleParts) -> None:
    world = parts.world
    recording = Recording(leg.started.audio_format, world.now()) if parts.record is not None else None
    call = LiveCall(
        world,
        leg,
        hosted.agent,
        parts.settings.call,
        direction=hosted.direction,
        notify=lambda fact: parts.notify(hosted, fact),
        recording=recording,
    )
    hosted.call = call
    ringing_s = world.now() - hosted.announced_at
    call.notify(CallBegan(0.0, hosted.call_id, hosted.caller, hosted.callee, ringing_s))
    if recording is not None and parts.record is not None:
        parts.record(hosted, call, recording)
    if parts.keep_lines is not None:
        parts.keep_lines(hosted, call)
    call.begin(voicemail_message(hosted))
    brief = _brief(hosted, leg.started.audio_format)
    source = SessionSource(provider=parts.provider, brief=brief, parked=hosted.parked)
    await run_call(call, leg, source, world, partial(_release_media, hosted, parts))


def voicemail_message(hosted: HostedCall) -> Message | None:
    """Return what is to be said to the machine that has answered; None for people, and for machines to be greeted."""
    options = hosted.options
    if options is None or hosted.answered_by is None or not hosted.answered_by.is_machine:
        return None
    if options.on_voicemail is not OnVoicemail.LEAVE_MESSAGE or options.voicemail_message is None:
        return None
    return Message(options.voicemail_message, name="message for the machine")


async def _release_parked(hosted: HostedCall, parts: LifecycleParts) -> None:
    """Give up what still waits for this call, and see it closed, bounded."""
    if hosted.parked is not None:
        hosted.parked.settle(ParkingOutcome.HUNG_UP, "its call ended first")
    with trio.move_on_after(parts.settings.parking.close_s, shield=True):
        for parked in hosted.all_parked:
            await parked.closed.wait()


async def _release_media(hosted: HostedCall, parts: LifecycleParts) -> None:
    """Let go of the media stream; where the carrier is to end the call, it is told first."""
    if hosted.media_over.is_set():
        return
    ending = hosted.call.ending if hosted.call is not None else hosted.ending
    if hosted.phase is CallPhase.LIVE and ending is not None and NEXT_STEPS[ending.last] is NextStep.HANG_UP:
        with trio.move_on_after(parts.settings.hang_up_s, shield=True) as bound:
            await _end_at_carrier(hosted, parts)
        if bound.cancelled_caught:
            log.warning("call %s could not be hung up: the carrier did not answer in time", hosted.call_id)
    hosted.media_over.set()


async def hang_up(hosted: HostedCall, parts: LifecycleParts) -> None:
    """Have the carrier end a call that we placed, where it is not over there. Never raises what the carrier does."""
    if hosted.options is not None:
        await _end_at_carrier(hosted, parts)


async def _end_at_carrier(hosted: HostedCall, parts: LifecycleParts) -> None:
    if parts.control is None or hosted.carrier_call_id is None or hosted.is_over_at_carrier:
        return
    hanging_up = partial(_hang_up_by, parts.control, hosted, hosted.carrier_call_id)
    await contained(f"call {hosted.call_id}: its hang-up", hanging_up)


async def _hang_up_by(control: CallControl, hosted: HostedCall, carrier_call_id: str) -> None:
    try:
        await control.hang_up(carrier_call_id)
        hosted.was_hung_up = True
    except CarrierError as failure:
        log.warning("call %s could not be hung up: %s", hosted.call_id, printable(str(failure)))
