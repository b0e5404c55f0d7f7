"""The life of one call: it rings, it talks, it is over.

    live
    ├── ring            waits for the media, the carrier's last word or a deadline
    │   └── keep_parked     sees to it that a session waits
    └── talk            the media are here: engine/run.py

    place               asks the carrier to ring (of calls that we place)

Rule 1: whatever happens, a call ends with one cause, its media are released and
nothing that was opened for it stays.
Rule 2: one call's failure never reaches another, nor the host: whatever is raised
here ends this call, and each step of its clean-up is taken all the same (boundary.py).
Rule 3: a request to the carrier is not broken off half-way: a phone that may
ring is known, or is hung up, even when nobody wants the call any more.

Used by engine/host.py.
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
from voicecore.engine.call import Call
from voicecore.engine.entry import CallEntry, CallPhase
from voicecore.engine.keeper import ParkedSession, ParkedSessions
from voicecore.engine.next_step import NEXT_STEPS, NextStep
from voicecore.engine.ringing import RingPhase
from voicecore.engine.run import SessionSource, run_call
from voicecore.engine.settings import HostSettings, OnMachine
from voicecore.errors import CarrierError, CarrierRefused, CarrierUnavailable, LocalProtocolError, printable
from voicecore.events import RequestResponse
from voicecore.facts import CallBegan, EndCause, Fact, ParkingFate, ProblemSeen, SessionParked
from voicecore.ports import Brief, CallControl, Dialler, DialOrder, Leg, Provider
from voicecore.turns.first_message import Message, SpeaksFirst
from voicecore.turns.opening import prepared_request
from voicecore.world import World

log = logging.getLogger("voicecore.engine")

_PARKED_AFTER_S = 1.0  #: a parked session outlives the last moment of ringing by this

Alias = Callable[[CallEntry, str], object]
"""Learn a carrier's id of a call."""


@attrs.frozen(kw_only=True)
class LifeParts:
    """What a call needs of its host."""

    world: World
    provider: Provider
    control: CallControl | None
    """None: calls end when their media close, and no other way."""
    parked: ParkedSessions
    settings: HostSettings
    tell: Callable[[CallEntry, Fact], None]
    record: Callable[[CallEntry, Call, Recording], None] | None
    """Start writing a call's recording; None: it is not recorded."""
    expected_format: Callable[[], AudioFormat] = lambda: PCMU_8K
    """Of a leg that has not begun; one that announces another gets a cold session."""
    keep_lines: Callable[[CallEntry, Call], None] | None = None
    """Start writing what is said in a call; None: it is kept nowhere."""


async def live(entry: CallEntry, parts: LifeParts) -> None:
    """Hold one call from its first word until nothing of it runs."""

    def failed(failure: BaseException) -> None:
        entry.end(EndCause.FAILED, type(failure).__name__, parts.world.now())

    name = f"call {entry.call_id}"
    try:
        await contained(name, partial(_ring_and_talk, entry, parts), failed)
    finally:
        entry.end(EndCause.SHUT_DOWN, "", parts.world.now())  # nothing, where the call has ended by itself
        await contained(f"{name}: giving up its parked session", partial(_release_parked, entry, parts))
        await contained(f"{name}: letting go of its media", partial(_release_media, entry, parts))
        entry.media_over.set()


async def _ring_and_talk(entry: CallEntry, parts: LifeParts) -> None:
    await _ring(entry, parts)
    if entry.leg is not None and entry.ending is None:
        await _talk(entry, entry.leg, parts)


# --- before the media -----------------------------------------------------------------


async def place(entry: CallEntry, dialler: Dialler, order: DialOrder, parts: LifeParts, alias: Alias) -> None:
    """Ask the carrier to ring, and take note of what it says."""
    try:
        with entry.placing:
            carrier_call_id = await dialler.dial(order)
            alias(entry, carrier_call_id)
            entry.ringing.reach(RingPhase.PLACED, parts.world.now())
    except CarrierRefused as refused:
        entry.end(EndCause.DIAL_REFUSED, str(refused), parts.world.now())
    except CarrierUnavailable as unavailable:
        entry.end(EndCause.DIAL_UNAVAILABLE, str(unavailable), parts.world.now())
    except LocalProtocolError as impossible:
        entry.end(EndCause.DIAL_FAILED, str(impossible), parts.world.now())
    except CarrierError as uncertain:
        entry.placing_doubt = str(uncertain)  # made printable where the call ends
        entry.ringing.reach(RingPhase.UNCERTAIN, parts.world.now())
        parts.tell(entry, ProblemSeen(parts.world.now() - entry.announced_at, "dial_uncertain", str(uncertain)))
    finally:
        entry.placed.set()
        entry.wake()


async def _ring(entry: CallEntry, parts: LifeParts) -> None:
    """Wait for the media; what does not come in time ends the call."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_keep_parked, entry, parts)
        while entry.leg is None and entry.ending is None:
            await entry.alarm.wait_until(entry.ringing.deadline)
            _expire(entry, parts.world.now())
        nursery.cancel_scope.cancel()


def _expire(entry: CallEntry, now: float) -> None:
    if entry.leg is None and entry.ringing.deadline <= now:
        cause = entry.ringing.cause
        entry.end(cause, entry.placing_doubt if cause is EndCause.DIAL_UNCERTAIN else "", now)


async def _keep_parked(entry: CallEntry, parts: LifeParts) -> None:
    """Have a session opened; replace it, a few times, if it was ready and dies while the phone rings."""
    settings = parts.settings.parking
    for _ in range(1 + settings.retries):
        parked = _park(entry, parts)
        if parked is None:
            return
        entry.parked = parked
        entry.all_parked.append(parked)
        await parked.opened_or_closed.wait()
        if parked.opened_after_s is None:
            return
        parts.tell(entry, SessionParked(parts.world.now() - entry.announced_at, parked.opened_after_s))
        await parked.closed.wait()
        if parked.ticket.fate is not ParkingFate.DIED:
            return
        await trio.sleep(settings.retry_pause_s)


def _park(entry: CallEntry, parts: LifeParts) -> ParkedSession | None:
    until = entry.ringing.deadline + _PARKED_AFTER_S
    brief = _brief(entry, parts.expected_format())
    return parts.parked.park(entry.call_id, parts.provider, brief, until=until, first=_prepared(entry))


def _prepared(entry: CallEntry) -> RequestResponse | None:
    """Return the request for a first message that is to be generated while the phone rings."""
    agent, policy = entry.agent, entry.agent.policy_for(entry.direction)
    spoken = agent.first_message is not None and agent.first_message_audio is None
    if not spoken or not policy.prepared or policy.speaks_first is SpeaksFirst.CALLER:
        return None
    return prepared_request(Message(agent.first_message or ""))


def _brief(entry: CallEntry, leg_format: AudioFormat) -> Brief:
    """Return what a session of this call is opened with: the one place, for parked and cold ones."""
    return Brief(
        instructions=entry.agent.instructions,
        audio_format=leg_format,
        lockout=entry.agent.lockout(entry.direction),
        engine_takes_turns=entry.agent.barge_in.engine_decides,
    )


# --- the media ------------------------------------------------------------------------


async def _talk(entry: CallEntry, leg: Leg, parts: LifeParts) -> None:
    world = parts.world
    recording = Recording(leg.started.audio_format, world.now()) if parts.record is not None else None
    call = Call(
        world,
        leg,
        entry.agent,
        parts.settings.call,
        direction=entry.direction,
        tell=lambda fact: parts.tell(entry, fact),
        recording=recording,
    )
    entry.call = call
    ringing_s = world.now() - entry.announced_at
    call.tell(CallBegan(0.0, entry.call_id, entry.caller, entry.callee, ringing_s))
    if recording is not None and parts.record is not None:
        parts.record(entry, call, recording)
    if parts.keep_lines is not None:
        parts.keep_lines(entry, call)
    call.begin(machine_message(entry))
    brief = _brief(entry, leg.started.audio_format)
    source = SessionSource(provider=parts.provider, brief=brief, parked=entry.parked)
    await run_call(call, leg, source, world, partial(_release_media, entry, parts))


def machine_message(entry: CallEntry) -> Message | None:
    """Return what is to be said to the machine that has answered; None for people, and for machines to be greeted."""
    options = entry.options
    if options is None or entry.answered_by is None or not entry.answered_by.is_machine:
        return None
    if options.on_machine is not OnMachine.LEAVE_MESSAGE or options.machine_message is None:
        return None
    return Message(options.machine_message, name="message for the machine")


async def _release_parked(entry: CallEntry, parts: LifeParts) -> None:
    """Give up what still waits for this call, and see it closed, bounded."""
    if entry.parked is not None:
        entry.parked.settle(ParkingFate.HUNG_UP, "its call ended first")
    with trio.move_on_after(parts.settings.parking.close_s, shield=True):
        for parked in entry.all_parked:
            await parked.closed.wait()


async def _release_media(entry: CallEntry, parts: LifeParts) -> None:
    """Let go of the media stream; where the carrier is to end the call, it is told first."""
    if entry.media_over.is_set():
        return
    ending = entry.call.ending if entry.call is not None else entry.ending
    if entry.phase is CallPhase.LIVE and ending is not None and NEXT_STEPS[ending.last] is NextStep.HANG_UP:
        with trio.move_on_after(parts.settings.hang_up_s, shield=True) as bound:
            await _end_at_carrier(entry, parts)
        if bound.cancelled_caught:
            log.warning("call %s could not be hung up: the carrier did not answer in time", entry.call_id)
    entry.media_over.set()


async def hang_up(entry: CallEntry, parts: LifeParts) -> None:
    """Have the carrier end a call that we placed, where it is not over there. Never raises what the carrier does."""
    if entry.options is not None:
        await _end_at_carrier(entry, parts)


async def _end_at_carrier(entry: CallEntry, parts: LifeParts) -> None:
    if parts.control is None or entry.carrier_call_id is None or entry.is_over_at_carrier:
        return
    hanging_up = partial(_hang_up_by, parts.control, entry, entry.carrier_call_id)
    await contained(f"call {entry.call_id}: its hang-up", hanging_up)


async def _hang_up_by(control: CallControl, entry: CallEntry, carrier_call_id: str) -> None:
    try:
        await control.hang_up(carrier_call_id)
        entry.was_hung_up = True
    except CarrierError as failure:
        log.warning("call %s could not be hung up: %s", entry.call_id, printable(str(failure)))
