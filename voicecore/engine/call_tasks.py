"""Holding a call: two nurseries, and the short loops that wait in it.

    run_call
    ├── converse      adopts or opens the session, then reads it; never waits for playback
    │   └── tell_agent    writes to the session what could not be written at once
    └── the media
        ├── hear_user   reads the leg; never waits for anything else
        ├── speak         the only writer to the leg: paced audio, marks, clear
        └── heartbeat     watchdog deadlines and the call's limit

Liveness of the two sockets is watched by the sockets themselves (net/).

Rule 1: a loop waits in one place and decides nothing; decisions are in engine/live_call.py.
Rule 2: peers' failures are named and end the call; any other exception is a bug
and ends it through the host's one boundary.
Rule 3: what the session is told goes through one outbox, in order; whoever puts it
there sends it while nothing waits, see outbox.py.
Rule 4: the session closes in the shielded, bounded exit of its own scope; when the
call is over it outlives the media by a moment, for the user's last words.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import attrs
import trio

from voicecore.engine.live_call import LiveCall
from voicecore.engine.parking.parked_session import NotAdopted, ParkedSession
from voicecore.errors import LegLost, ProviderRefused, ProviderUnavailable, RemoteProtocolError, SessionLost
from voicecore.facts import EndCause
from voicecore.ports import Brief, Leg, Provider, Session
from voicecore.world import World


@attrs.frozen(kw_only=True)
class SessionSource:
    """Where a call's session comes from."""

    provider: Provider
    brief: Brief
    parked: ParkedSession | None = None
    """One that was opened before pick-up."""


async def run_call(
    call: LiveCall, leg: Leg, source: SessionSource, world: World, let_go: Callable[[], Awaitable[object]]
) -> None:
    """Hold one call until it is over; every task of it ends before this returns.

    Where the session still has the user's last words to tell, ``let_go`` is called
    for the media at once, and the session is read on for a moment.

    Cancelled, or broken by a bug, it leaves naming the cause to its owner.
    """
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_converse_to_the_end, call, source, world)
        async with trio.open_nursery() as media:
            media.start_soon(hear_user, call, leg)
            media.start_soon(speak, call, leg)
            media.start_soon(heartbeat, call)
            await call.over.wait()
            media.cancel_scope.cancel()
        if call.awaits_words() and not call.words_known.is_set():
            nursery.start_soon(let_go)
            call.hush()
            with trio.move_on_after(call.settings.words_wait_s):
                await call.words_known.wait()
        nursery.cancel_scope.cancel()


async def _converse_to_the_end(call: LiveCall, source: SessionSource, world: World) -> None:
    try:
        await converse(call, source, world)
    finally:
        call.words_known.set()


async def hear_user(call: LiveCall, leg: Leg) -> None:
    """Read the leg until it ends."""
    try:
        while call.ending is None:
            call.hear(await leg.receive())
    except LegLost as lost:
        call.end(EndCause.LEG_LOST, str(lost))
    except RemoteProtocolError as broken:
        call.end(EndCause.LEG_MISBEHAVED, str(broken))


async def speak(call: LiveCall, leg: Leg) -> None:
    """Write to the leg what is due, in order; what a clear has overtaken is not written."""
    try:
        while True:
            for order in call.due():
                if call.conversation.is_current(order):
                    if not leg.send_nowait(order):
                        await leg.send(order)
                    call.sent(order)
                else:
                    call.conversation.speech.skipped(order)
            await call.speak_alarm.wait_until(call.next_due())
    except LegLost as lost:
        call.end(EndCause.LEG_LOST, str(lost))


async def converse(call: LiveCall, source: SessionSource, world: World) -> None:
    """Hold a session until it or the call ends: the parked one, where it can be adopted; otherwise a fresh one."""
    provider, brief, parked = source.provider, source.brief, source.parked
    if parked is not None and await _talk_adopted(call, parked, provider.fingerprint(brief)):
        return
    while True:
        call.session_attempts += 1
        began_at = world.now()
        try:
            async with provider.open_session(world, brief) as session:
                call.session_opened(session, world.now() - began_at)
                await _talk(call, session)
                return
        except (ProviderUnavailable, ProviderRefused) as failure:
            if not _may_try_again(call, failure):
                return
        await trio.sleep(call.settings.retry_pause_s)


async def _talk_adopted(call: LiveCall, parked: ParkedSession, fingerprint: str) -> bool:
    """Adopt the parked session and talk; False where it could not be adopted."""
    try:
        async with parked.adopt(fingerprint) as adopted:
            open_s = parked.opened_after_s or 0.0
            call.session_opened(adopted, open_s, "adopted", asked=adopted.asked, unasked=adopted.unasked)
            await _talk(call, adopted)
    except NotAdopted as reason:
        call.report_problem("not_adopted", str(reason))
        return False
    return True


def _may_try_again(call: LiveCall, failure: ProviderUnavailable | ProviderRefused) -> bool:
    refused = isinstance(failure, ProviderRefused)
    hopeless = isinstance(failure, ProviderRefused) and not failure.retryable
    if hopeless or call.session_attempts >= call.settings.open_tries:
        call.end(EndCause.SESSION_REFUSED if refused else EndCause.SESSION_UNAVAILABLE, str(failure))
        return False
    call.report_problem("session_not_opened", str(failure))
    return True


async def _talk(call: LiveCall, session: Session) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(tell_agent, call, session)
        call.talk_to(session)
        try:
            while True:
                call.listen(await session.receive())
        except SessionLost as lost:
            call.end(EndCause.SESSION_LOST, str(lost))
        nursery.cancel_scope.cancel()


async def tell_agent(call: LiveCall, session: Session) -> None:
    """Write to the session what could not be written at once: see engine/outbox.py."""
    try:
        while True:
            order = call.for_session(await call.outbox.take())
            if order is not None:
                await session.send(order.order)
                call.told(order)
    except SessionLost as lost:
        call.end(EndCause.SESSION_LOST, str(lost))


async def heartbeat(call: LiveCall) -> None:
    """Let the call act on its deadlines."""
    while True:
        await call.heartbeat_alarm.wait_until(call.deadline())
        call.expire()
