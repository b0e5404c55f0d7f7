"""The tasks of one call from its beginning to its end, and the requests to the carrier that it needs.

    run_hosted_call
    ├── await_media             waits for the media, an end, or the limit of the call's state
    │   └── keep_session_parked     opens a session meanwhile
    └── go_live                 the media are here: engine/call_tasks.py

    place_call              asks the carrier to place the call
    hang_up_unwanted        asks it to end one that may still be ringing

Rule 1: whatever happens, a call ends with one cause, its media are released and
nothing that was opened for it stays.
Rule 2: one call's failure never reaches another call or the host: whatever is raised
here ends this call, and each step of its clean-up is taken all the same (boundary.py).
Rule 3: a request to the carrier is never broken off half-way: a phone that may be
ringing is known or hung up, even when nobody wants the call any more.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from functools import partial

import attrs
import trio

from voicecore.audio.formats import PCMU_8K, AudioFormat
from voicecore.audio.recording import Recording
from voicecore.engine.agent import Agent
from voicecore.engine.boundary import contained
from voicecore.engine.call_origin import Outbound
from voicecore.engine.call_state import CallMove, CallState
from voicecore.engine.call_tasks import run_live_call
from voicecore.engine.hosted_call import HostedCall
from voicecore.engine.live_call import LiveCall
from voicecore.engine.next_step import NEXT_STEPS, NextStep
from voicecore.engine.parking.parked_session import ParkedSession, ParkedSessions
from voicecore.engine.session_source import SessionSource
from voicecore.engine.settings import HostSettings
from voicecore.errors import CarrierError, CarrierRefused, CarrierUnavailable, LocalProtocolError, printable
from voicecore.events import RequestResponse
from voicecore.facts import CallBegan, EndCause, Fact, ParkingOutcome, ProblemSeen, SessionParked
from voicecore.ports import Brief, CallControl, Dialler, DialOrder, Leg, Provider
from voicecore.turns.first_message.message import Message, SpeaksFirst
from voicecore.turns.first_message.requests import prepared_request
from voicecore.world import World

log = logging.getLogger("voicecore.engine")

_PARKED_AFTER_S = 1.0  #: a parked session waits this much longer than its call may


@attrs.frozen(kw_only=True)
class LifecycleParts:
    """What a call needs of its host."""

    world: World
    provider_of: Callable[[Agent], Provider]
    parked: ParkedSessions
    settings: HostSettings
    notify: Callable[[HostedCall, Fact], None]
    learn_id: Callable[[HostedCall, str], object]
    """Take note of a carrier's id of a call."""
    start_recording: Callable[[HostedCall, LiveCall, Recording], None] | None
    """Start writing a call's recording; None: it is not recorded."""
    expected_format: Callable[[HostedCall], AudioFormat] = lambda _: PCMU_8K
    """Of a leg that has not begun; one that announces another gets a cold session."""
    start_transcript: Callable[[HostedCall, LiveCall], None] | None = None
    """Start writing a call's transcript lines to disk; None: they are not kept."""
    choose_agent: Callable[[HostedCall], Awaitable[None]] | None = None
    """Settle who takes an incoming call, bounded; None: the agent that it came with."""


async def run_hosted_call(hosted: HostedCall, parts: LifecycleParts) -> None:
    """Run one call, from its announcement or dialling until nothing of it runs."""

    def failed(failure: BaseException) -> None:
        hosted.end(EndCause.FAILED, type(failure).__name__, parts.world.now())

    name = f"call {hosted.call_id}"
    try:
        await contained(name, partial(_run, hosted, parts), failed)
    finally:
        hosted.end(EndCause.SHUT_DOWN, "", parts.world.now())  # changes nothing where the call has ended
        await contained(f"{name}: closing its parked session", partial(_release_parked, hosted, parts))
        await contained(f"{name}: releasing its media", partial(_release_media, hosted, parts))
        hosted.release_media()


async def _run(hosted: HostedCall, parts: LifecycleParts) -> None:
    if parts.choose_agent is not None and hosted.direction == "inbound":
        await parts.choose_agent(hosted)
    await _await_media(hosted, parts)
    if hosted.state is CallState.LIVE and hosted.leg is not None:
        await _go_live(hosted, hosted.leg, parts)


# --- before the media -----------------------------------------------------------------


async def place_call(
    hosted: HostedCall,
    outbound: Outbound,
    dialler: Dialler,
    order: DialOrder,
    parts: LifecycleParts,
) -> None:
    """Ask the carrier to place the call, and take note of its answer."""
    try:
        with outbound.request:
            carrier_call_id = await dialler.dial(order)
            parts.learn_id(hosted, carrier_call_id)
            hosted.advance(CallMove.QUEUED, parts.world.now())
    except CarrierRefused as refused:
        hosted.end(EndCause.DIAL_REFUSED, str(refused), parts.world.now())
    except CarrierUnavailable as unavailable:
        hosted.end(EndCause.DIAL_UNAVAILABLE, str(unavailable), parts.world.now())
    except LocalProtocolError as impossible:
        hosted.end(EndCause.DIAL_FAILED, str(impossible), parts.world.now())
    except CarrierError as uncertain:
        outbound.doubt = str(uncertain)  # made printable where the call ends
        hosted.advance(CallMove.UNCLEAR, parts.world.now())
        parts.notify(hosted, ProblemSeen(parts.world.now() - hosted.announced_at, "dial_uncertain", str(uncertain)))
    finally:
        outbound.request_done.set()


async def _await_media(hosted: HostedCall, parts: LifecycleParts) -> None:
    """Wait for the media, or for the end of a call that gets none."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_keep_session_parked, hosted, parts)
        while hosted.awaits_media:
            await hosted.alarm.wait_until(hosted.limit_at)
            hosted.expire(parts.world.now())
        nursery.cancel_scope.cancel()


async def _keep_session_parked(hosted: HostedCall, parts: LifecycleParts) -> None:
    """Have a session opened; replace it, a few times, if it was ready and is lost while the phone rings."""
    settings = parts.settings.parking
    for _ in range(1 + settings.retries):
        parked = _park(hosted, parts)
        if parked is None:
            return
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
    until = hosted.limit_at + _PARKED_AFTER_S
    brief, provider = _brief(hosted, parts.expected_format(hosted)), parts.provider_of(hosted.agent)
    return parts.parked.park(hosted.call_id, provider, brief, until=until, first=_prepared(hosted))


def _prepared(hosted: HostedCall) -> RequestResponse | None:
    """Return the request for a first message that is generated while the phone rings; None: it is not."""
    agent, policy = hosted.agent, hosted.agent.policy_for(hosted.direction)
    spoken = agent.first_message is not None and agent.first_message_audio is None
    if not spoken or not policy.prepared or policy.speaks_first is SpeaksFirst.USER:
        return None
    return prepared_request(Message(agent.first_message or ""))


def _brief(hosted: HostedCall, leg_format: AudioFormat) -> Brief:
    """Return what a session of this call is opened with, parked or cold."""
    return Brief(
        instructions=hosted.agent.instructions,
        audio_format=leg_format,
        lockout=hosted.agent.lockout(hosted.direction),
        engine_takes_turns=hosted.agent.barge_in.engine_decides,
    )


# --- the media ------------------------------------------------------------------------


async def _go_live(hosted: HostedCall, leg: Leg, parts: LifecycleParts) -> None:
    world = parts.world
    recording = Recording(leg.started.audio_format, world.now()) if parts.start_recording is not None else None
    call = LiveCall(
        world,
        leg,
        hosted.agent,
        parts.settings.call,
        direction=hosted.direction,
        progress=hosted.progress,
        notify=lambda fact: parts.notify(hosted, fact),
        recording=recording,
    )
    hosted.call = call
    ringing_s = world.now() - hosted.announced_at
    call.notify(CallBegan(0.0, hosted.call_id, hosted.caller, hosted.callee, ringing_s))
    if recording is not None and parts.start_recording is not None:
        parts.start_recording(hosted, call, recording)
    if parts.start_transcript is not None:
        parts.start_transcript(hosted, call)
    call.begin(hosted.origin.voicemail_message)
    brief = _brief(hosted, leg.started.audio_format)
    source = SessionSource(provider=parts.provider_of(hosted.agent), brief=brief, parked=hosted.parked)
    await run_live_call(call, leg, source, world, partial(_release_media, hosted, parts))


async def _release_parked(hosted: HostedCall, parts: LifecycleParts) -> None:
    """Give up the session that still waits for this call; return when all of them are closed, bounded."""
    if hosted.parked is not None:
        hosted.parked.settle(ParkingOutcome.HUNG_UP, "its call ended first")
    with trio.move_on_after(parts.settings.parking.close_s, shield=True):
        for parked in hosted.all_parked:
            await parked.closed.wait()


async def _release_media(hosted: HostedCall, parts: LifecycleParts) -> None:
    """Release the media stream of a call that has ended; where the carrier is to end the call, it is asked first."""
    if hosted.state is not CallState.ENDING:
        return
    ending = hosted.ending
    if hosted.was_picked_up and ending is not None and NEXT_STEPS[ending.last] is NextStep.HANG_UP:
        with trio.move_on_after(parts.settings.hang_up_s, shield=True) as bound:
            await _end_at_carrier(hosted)
        if bound.cancelled_caught:
            log.warning("call %s could not be hung up: the carrier did not answer in time", hosted.call_id)
    hosted.release_media()


async def hang_up_unwanted(hosted: HostedCall) -> None:
    """Have the carrier end a call that we placed, or that the program did not want, unless it is over there.

    Never raises what the carrier does.
    """
    ending = hosted.ending
    if hosted.direction == "outbound" or (ending is not None and ending.last is EndCause.HUNG_UP):
        await _end_at_carrier(hosted)


async def _end_at_carrier(hosted: HostedCall) -> None:
    control = hosted.carrier.control if hosted.carrier is not None else None
    if control is None or hosted.carrier_call_id is None or hosted.at_carrier.is_over:
        return
    hanging_up = partial(_hang_up_by, control, hosted, hosted.carrier_call_id)
    await contained(f"call {hosted.call_id}: its hang-up", hanging_up)


async def _hang_up_by(control: CallControl, hosted: HostedCall, carrier_call_id: str) -> None:
    try:
        await control.hang_up(carrier_call_id)
        hosted.at_carrier.was_hung_up = True
    except CarrierError as failure:
        log.warning("call %s could not be hung up: %s", hosted.call_id, printable(str(failure)))
