"""Sessions that are opened before pick-up, kept open while the phone rings, and adopted by their calls.

    run       the task that owns a session: opens it, reads it while it is parked, closes it
    adopt     the call's side: claim it, wait until its owner has stopped reading, check it, use it

Rule 1: the task that opened a connection also closes it; a call only uses it.
Rule 2: there is one reader at any time: the owner has stopped before the call begins.
Rule 3: a session that is not known to be alive is not adopted.  It is checked when the
carrier says that somebody answers, so that pick-up need not wait for that.
Rule 4: a failed adoption leaves the call nothing to close: a cold session is opened
on its own.  A bug in the owner or in the check counts as a dead session, with its
traceback in the log.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial

import trio

from voicecore.engine.boundary import contained
from voicecore.engine.parking.adopted_session import AdoptedSession, NotAdopted
from voicecore.engine.parking.events_before_pickup import EventsBeforePickup
from voicecore.engine.parking.pool import ParkingSettings, ParkingStage, PoolEntry, SessionPool
from voicecore.errors import ProviderError, SessionLost, printable
from voicecore.events import (
    AgentAudio,
    RequestResponse,
    ResponseEnded,
    SessionEvent,
    SessionOrder,
    SessionProblem,
    Severity,
)
from voicecore.facts import ParkingOutcome
from voicecore.ports import Brief, Provider, Session
from voicecore.world import World

log = logging.getLogger("voicecore.engine")

_EVENTS_LIMIT = 20_000  #: events of one session before pick-up; a minute of speech has some two thousand


class ParkedSession:
    """One session that waits for its call. Made by `ParkedSessions.park`."""

    def __init__(
        self,
        pool: SessionPool,
        entry: PoolEntry,
        world: World,
        provider: Provider,
        brief: Brief,
        *,
        first: RequestResponse | None,
    ) -> None:
        self.entry = entry
        self.closed = trio.Event()
        """Its connection is closed, and the task that owned it has ended."""
        self.opened_or_closed = trio.Event()
        self.opened_after_s: float | None = None
        self._pool = pool
        self._world = world
        self._provider = provider
        self._brief = brief
        self._first = first
        self._session: Session | None = None
        self._early = EventsBeforePickup(first.request_id if first is not None else None)
        self._scope = trio.CancelScope(deadline=entry.deadline)  # around everything that the owner does
        self._until_probe = trio.CancelScope()  # around waiting for something to read; ends when a probe is due
        self._reading = trio.CancelScope()  # around reading: cancelled when the call is to read
        self._reading_stopped = trio.Event()
        self._given_back = trio.Event()

    # --- the owner's side -------------------------------------------------------------

    async def run(self) -> None:
        """Open the session, read it while it is parked, keep it open while its call uses it, close it."""
        try:
            with self._scope:
                async with self._provider.open_session(self._world, self._brief) as session:
                    await self._keep_open(session)
        except ProviderError as failure:
            self._settle(ParkingOutcome.DIED, printable(str(failure)))
        except Exception:
            log.exception("call %s: its parked session failed", self.entry.call_id)
            self._settle(ParkingOutcome.DIED, "a bug; see the log")
        finally:
            expired = self._world.now() >= self.entry.deadline
            self._settle(*_TIME_OVER if expired else _ENGINE_CLOSES)
            self._pool.gone(self.entry)
            for event in (self.opened_or_closed, self._reading_stopped, self.closed):
                event.set()

    async def _keep_open(self, session: Session) -> None:
        if self._first is not None:
            await session.send(self._first)
        if not self._pool.opened(self.entry):
            return
        self._session = session
        self.opened_after_s = self._world.now() - self.entry.began_at
        self.opened_or_closed.set()
        try:
            with self._reading:
                await self._read(session)
        except SessionLost as lost:  # known before the connection is closed, which may take a moment
            self._settle(ParkingOutcome.DIED, printable(str(lost)))
            raise
        finally:
            self._reading_stopped.set()
        await self._given_back.wait()

    async def _read(self, session: Session) -> None:
        every_s = self._settings.probe_every_s
        self._until_probe.deadline = self._world.now() + every_s
        while True:
            with self._until_probe:
                for order in self._take(await session.receive()):
                    if not session.send_nowait(order):
                        await session.send(order)
            if self._world.now() >= self._until_probe.deadline:
                with trio.CancelScope(
                    shield=True
                ):  # bounded in itself; an adoption waits for it: it needs the same check
                    await self.prove_alive(session, self._settings.fresh_s)
                self._until_probe = trio.CancelScope(deadline=self._world.now() + every_s)
            else:
                self._until_probe = trio.CancelScope(deadline=self._until_probe.deadline)

    def _take(self, events: Sequence[SessionEvent]) -> list[SessionOrder]:
        """Keep the events that belong to the call; return the orders that stop the rest."""
        orders: list[SessionOrder] = []
        for event in events:
            if isinstance(event, SessionProblem) and event.severity is Severity.FATAL:
                raise SessionLost(f"the provider ended the session: {event.code}")
            kept, more = self._early.take(event)
            orders += more
            if kept and isinstance(event, AgentAudio) and self._session is not None:
                self.entry.prepared_s += self._session.agent_format.seconds_in(len(event.audio))
            if isinstance(event, ResponseEnded) and event.usage is not None:
                self.entry.usage += event.usage
        if self.entry.prepared_s > self._settings.prepared_limit_s or self._early.taken > _EVENTS_LIMIT:
            raise SessionLost("it sent more before pick-up than may be kept")
        return orders

    async def prove_alive(self, session: Session, fresh_s: float) -> None:
        """Return once the session is known to be alive; raises SessionLost where that takes longer than ``proof_s``."""
        with trio.move_on_after(self._settings.proof_s) as scope:
            await session.prove_alive(fresh_s)
        if scope.cancelled_caught:
            raise SessionLost(f"did not answer a ping within {self._settings.proof_s} s")

    # --- the call's side ----------------------------------------------------------------

    @asynccontextmanager
    async def adopt(self, fingerprint: str) -> AsyncIterator[AdoptedSession]:
        """Use the session, where it is the one that ``fingerprint`` means; leaving the block closes it, bounded.

        Waits, bounded, for one that is still opening; never opens another.

        Raises (on entering):
            NotAdopted: It cannot be used.
        """
        if not self._pool.claim(self.entry, fingerprint, self._world.now()):
            if self.entry.stage is ParkingStage.CLOSING:
                self._scope.cancel()
            raise NotAdopted(self._why())
        try:
            self._scope.deadline = float("inf")
            session = await self._take_over()
            yield AdoptedSession(session, self._early, asked=self._first is not None)
        finally:
            await self._give_back()

    def settle(self, outcome: ParkingOutcome, detail: str) -> None:
        """Give the session up, unless its outcome is settled already; its owner closes it."""
        if self._settle(outcome, detail):
            self._scope.cancel()

    def close(self) -> None:
        """Have its owner close it; its outcome is settled already."""
        self._scope.cancel()

    def expect_pickup(self) -> None:
        """The call is about to be picked up: prove the session alive now, so that adopting need not wait for it."""
        self._until_probe.deadline = self._world.now()

    def extend(self, deadline: float) -> None:
        """Let it wait until ``deadline`` at least."""
        if self.entry.stage in {ParkingStage.OPENING, ParkingStage.READY}:
            self._pool.extend(self.entry, deadline)
            self._scope.deadline = self.entry.deadline

    async def _take_over(self) -> Session:
        with trio.move_on_after(self._settings.open_wait_s):
            await self.opened_or_closed.wait()
        if self._session is None:
            self._settle(ParkingOutcome.EXPIRED, "it was not open in time")
            raise NotAdopted(self._why())
        self._reading.cancel()
        await self._reading_stopped.wait()
        try:
            if self.entry.waits:
                await self.prove_alive(self._session, self._settings.fresh_s)
        except SessionLost as lost:
            self._settle(ParkingOutcome.DIED, printable(str(lost)))
        except Exception:  # unknown counts as dead; a cold session can be opened
            log.exception("call %s: its parked session could not be proved alive", self.entry.call_id)
            self._settle(ParkingOutcome.DIED, "a bug; see the log")
        if not self._pool.adopted(self.entry, self._world.now()):
            raise NotAdopted(self._why())
        return self._session

    async def _give_back(self) -> None:
        self._settle(ParkingOutcome.HUNG_UP, "its call ended first")
        if self.entry.stage is not ParkingStage.ADOPTED:
            self._scope.cancel()
            return
        self._given_back.set()
        with trio.move_on_after(self._settings.close_s, shield=True) as scope:
            await self.closed.wait()
        if scope.cancelled_caught:
            self._scope.cancel()

    # --- inside ------------------------------------------------------------------------

    @property
    def _settings(self) -> ParkingSettings:
        return self._pool.settings

    def _settle(self, outcome: ParkingOutcome, detail: str) -> bool:
        return self._pool.settle(self.entry, outcome, detail, self._world.now())

    def _why(self) -> str:
        return self.entry.detail or f"it was {self.entry.stage.value}"


_TIME_OVER = (ParkingOutcome.EXPIRED, "its time was over")
_ENGINE_CLOSES = (ParkingOutcome.SHUT_DOWN, "the engine closes")


class ParkedSessions:
    """All parked sessions of one host, and the tasks that own them."""

    def __init__(self, nursery: trio.Nursery, world: World, settings: ParkingSettings) -> None:
        self.pool = SessionPool(settings)
        self._nursery = nursery
        self._world = world
        self._sessions: dict[PoolEntry, ParkedSession] = {}  # bounded by the pool, and the calls that use theirs

    def park(
        self, call_id: str, provider: Provider, brief: Brief, *, until: float, first: RequestResponse | None = None
    ) -> ParkedSession | None:
        """Open a session for a call that rings; None where none is parked: the call opens its own.

        Args:
            until: When it is given up at the latest.
            first: A request for speech that is generated while the phone rings.
        """
        if not self.pool.settings.enabled:
            return None
        fingerprint = provider.fingerprint(brief)
        entry, gives_way = self.pool.park(call_id, fingerprint, until, self._world.now())
        if gives_way is not None:
            self._sessions[gives_way].close()
        if entry is None:
            return None
        parked = ParkedSession(self.pool, entry, self._world, provider, brief, first=first)
        self._sessions[entry] = parked
        self._nursery.start_soon(contained, f"call {call_id}: its parked session", partial(self._run, parked))
        return parked

    def shut_down(self) -> None:
        """Give up what still waits; an adopted session ends with its call."""
        for parked in list(self._sessions.values()):
            parked.settle(*_ENGINE_CLOSES)

    async def _run(self, parked: ParkedSession) -> None:
        try:
            await parked.run()
        finally:
            del self._sessions[parked.entry]
            _log_if_wasted(parked)


def _log_if_wasted(parked: ParkedSession) -> None:
    """Log what a session that no call used has cost, and why."""
    entry = parked.entry
    report = entry.report()
    if report is None or not report.wasted:
        return
    level = logging.WARNING if report.outcome is ParkingOutcome.DIED else logging.INFO
    if parked.opened_after_s is None:
        if report.outcome is ParkingOutcome.DIED:
            log.log(level, "call %s: no session could be parked: %s", entry.call_id, report.detail)
        return
    tokens = entry.usage
    log.log(
        level,
        "call %s: a parked session was not used: %s (%s); open for %.1f s, %.1f s of speech prepared, %d tokens billed",
        entry.call_id,
        report.outcome.value,
        report.detail,
        report.parked_s - parked.opened_after_s,
        report.prepared_s,
        tokens.text_in + tokens.audio_in + tokens.text_out + tokens.audio_out,
    )
