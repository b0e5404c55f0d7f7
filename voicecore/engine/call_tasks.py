"""The tasks of a live call: two nurseries, and the short loops that wait in them.

    run_live_call
    ├── run_session       adopts or opens the session, then reads it; never waits for playback
    │   └── write_session     writes what could not be sent at once
    └── the media
        ├── read_leg          never waits for anything but the leg
        ├── write_leg         the only writer to the leg: paced audio, marks, clear
        └── watch_deadlines   the call's deadlines and its time limit

The sockets watch the liveness of their connections themselves (net/).

Rule 1: a loop waits in one place and decides nothing; decisions are in live_call.py.
Rule 2: a peer's failure is named and ends the call; any other exception is a bug
and ends it at the host's boundary.
Rule 3: orders for the session go through one queue, in sequence (session_queue.py).
Rule 4: the session closes in the shielded, bounded exit of its own scope; when the
call is over it stays open a moment longer than the media, for the user's last words.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

from voicecore.engine.live_call import LiveCall
from voicecore.engine.parking.adopted_session import NotAdopted
from voicecore.engine.parking.parked_session import ParkedSession
from voicecore.engine.session_source import SessionSource
from voicecore.errors import LegLost, ProviderRefused, ProviderUnavailable, RemoteProtocolError, SessionLost
from voicecore.facts import EndCause
from voicecore.ports import Leg, Session
from voicecore.world import World


async def run_live_call(
    call: LiveCall, leg: Leg, source: SessionSource, world: World, release_media: Callable[[], Awaitable[object]]
) -> None:
    """Run a live call until it is over; all of its tasks end before this returns.

    Where the words of the user's last turn are still missing, the media are released by
    ``release_media`` at once, and the session is read for a moment longer.

    Cancelled, or broken by a bug, it leaves ending the call to its owner.
    """
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_run_session_to_its_end, call, source, world)
        async with trio.open_nursery() as media:
            media.start_soon(read_leg, call, leg)
            media.start_soon(write_leg, call, leg)
            media.start_soon(watch_deadlines, call)
            await call.until_ended()
            media.cancel_scope.cancel()
        if call.awaits_words() and not call.words_known.is_set():
            nursery.start_soon(release_media)
            call.cancel_response()
            with trio.move_on_after(call.settings.words_wait_s):
                await call.words_known.wait()
        nursery.cancel_scope.cancel()


async def _run_session_to_its_end(call: LiveCall, source: SessionSource, world: World) -> None:
    try:
        await run_session(call, source, world)
    finally:
        call.words_known.set()


async def read_leg(call: LiveCall, leg: Leg) -> None:
    """Read the leg until it ends."""
    try:
        while call.ending is None:
            call.handle_leg(await leg.receive())
    except LegLost as lost:
        call.end(EndCause.LEG_LOST, str(lost))
    except RemoteProtocolError as broken:
        call.end(EndCause.LEG_MISBEHAVED, str(broken))


async def write_leg(call: LiveCall, leg: Leg) -> None:
    """Write to the leg what is due, in sequence; what a clear has overtaken is not written."""
    try:
        while True:
            for order in call.due():
                if call.conversation.is_current(order):
                    if not leg.send_nowait(order):
                        await leg.send(order)
                    call.sent(order)
                else:
                    call.conversation.speech.skipped(order)
            await call.write_alarm.wait_until(call.next_due())
    except LegLost as lost:
        call.end(EndCause.LEG_LOST, str(lost))


async def run_session(call: LiveCall, source: SessionSource, world: World) -> None:
    """Use a session until it or the call ends: the parked one where it can be adopted, otherwise a cold one."""
    provider, brief, parked = source.provider, source.brief, source.parked
    if parked is not None and await _run_adopted(call, parked, provider.fingerprint(brief)):
        return
    while True:
        call.session_attempts += 1
        began_at = world.now()
        try:
            async with provider.open_session(world, brief) as session:
                call.session_opened(session, world.now() - began_at)
                await _read_session(call, session)
                return
        except (ProviderUnavailable, ProviderRefused) as failure:
            if not _may_try_again(call, failure):
                return
        await trio.sleep(call.settings.retry_pause_s)


async def _run_adopted(call: LiveCall, parked: ParkedSession, fingerprint: str) -> bool:
    """Adopt the parked session and use it; False where it could not be adopted."""
    try:
        async with parked.adopt(fingerprint) as adopted:
            open_s = parked.opened_after_s or 0.0
            call.session_opened(adopted, open_s, "adopted", asked=adopted.asked, unasked=adopted.unasked)
            await _read_session(call, adopted)
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


async def _read_session(call: LiveCall, session: Session) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(write_session, call, session)
        call.send_to(session)
        try:
            while True:
                call.handle_session(await session.receive())
        except SessionLost as lost:
            call.end(EndCause.SESSION_LOST, str(lost))
        nursery.cancel_scope.cancel()


async def write_session(call: LiveCall, session: Session) -> None:
    """Write to the session what could not be sent at once."""
    try:
        while True:
            order = call.for_session(await call.session_queue.take())
            if order is not None:
                await session.send(order.order)
                call.sent_to_session(order)
    except SessionLost as lost:
        call.end(EndCause.SESSION_LOST, str(lost))


async def watch_deadlines(call: LiveCall) -> None:
    """Let the call act on its deadlines."""
    while True:
        await call.deadline_alarm.wait_until(call.deadline())
        call.expire()
