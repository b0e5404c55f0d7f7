"""Keeping sessions that were opened before pick-up, and lending them to their calls.

    keep      the one task that opens a session, reads it while it is parked, and closes it
    adopt     the call's side: claim, wait until the keeper has let go, prove it alive, use it

Rule 1: the task that opened a connection also closes it; a call borrows it.
Rule 2: there is one reader at any time: the keeper has stopped before the call begins.
Rule 3: a session that is not surely alive is not adopted.  It is proved alive
when the carrier says that somebody answers, so that pick-up does not wait for it.
Rule 4: whatever becomes of an adoption, nothing of the session is left to the
call: a cold connect starts on a fresh object.  A bug in the keeper or in the
proof counts as a dead session, with its traceback in the log.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial

import trio

from voicecore.audio.formats import AudioFormat
from voicecore.engine.boundary import contained
from voicecore.engine.parking.early_events import EarlyEvents
from voicecore.engine.parking.pool import ParkingSettings, PoolEntry, SessionPool, Stage
from voicecore.errors import ProviderError, SessionLost, printable
from voicecore.events import (
    AgentAudio,
    Capabilities,
    LockState,
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


class NotAdopted(Exception):
    """A parked session could not be used; the message says why. Nothing of it is left to the call."""


class AdoptedSession:
    """A parked session in the hands of its call; implements `voicecore.ports.Session`."""

    def __init__(self, session: Session, early: EarlyEvents, *, asked: bool) -> None:
        self.asked = asked
        """Whether the first message was asked for while the phone rang."""
        self.unasked = early.unasked
        """Responses that it began by itself before pick-up, and was told to stop."""
        self._session = session
        self._early = early.events()  # what came before pick-up; bounded by the keeper

    @property
    def session_id(self) -> str:
        return self._session.session_id

    @property
    def user_format(self) -> AudioFormat:
        return self._session.user_format

    @property
    def agent_format(self) -> AudioFormat:
        return self._session.agent_format

    @property
    def capabilities(self) -> Capabilities:
        return self._session.capabilities

    @property
    def lock(self) -> LockState:
        """See `voicecore.ports.Session`."""
        return self._session.lock

    async def prove_alive(self, fresh_s: float) -> None:
        """See `voicecore.ports.Session`."""
        await self._session.prove_alive(fresh_s)

    async def receive(self) -> Sequence[SessionEvent]:
        """See `voicecore.ports.Session`; what came before pick-up comes first."""
        if not self._early:
            return await self._session.receive()
        await trio.lowlevel.checkpoint()
        early, self._early = self._early, []
        return early

    async def send(self, order: SessionOrder) -> None:
        """See `voicecore.ports.Session`."""
        await self._session.send(order)

    def send_nowait(self, order: SessionOrder) -> bool:
        """See `voicecore.ports.Session`."""
        return self._session.send_nowait(order)


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
        """Its connection is closed and its keeper has ended."""
        self.opened_or_closed = trio.Event()
        self.opened_after_s: float | None = None
        self._pool = pool
        self._world = world
        self._provider = provider
        self._brief = brief
        self._first = first
        self._session: Session | None = None
        self._early = EarlyEvents(first.request_id if first is not None else None)
        self._scope = trio.CancelScope(deadline=entry.deadline)  # around everything that the keeper does
        self._resting = trio.CancelScope()  # around its waiting for something to read; ends when a probe is due
        self._reading = trio.CancelScope()  # around its reading: cancelled to make it let go
        self._let_go = trio.Event()
        self._returned = trio.Event()

    # --- the keeper's side ------------------------------------------------------------

    async def keep(self) -> None:
        """Open the session, read it while it is parked, hold it while it is lent, close it."""
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
            for event in (self.opened_or_closed, self._let_go, self.closed):
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
            self._let_go.set()
        await self._returned.wait()

    async def _read(self, session: Session) -> None:
        every_s = self._settings.probe_every_s
        self._resting.deadline = self._world.now() + every_s
        while True:
            with self._resting:
                for order in self._take(await session.receive()):
                    if not session.send_nowait(order):
                        await session.send(order)
            if self._world.now() >= self._resting.deadline:
                with trio.CancelScope(shield=True):  # bounded in itself; an adoption waits for it: it wants the same
                    await self.prove_alive(session, self._settings.fresh_s)
                self._resting = trio.CancelScope(deadline=self._world.now() + every_s)
            else:
                self._resting = trio.CancelScope(deadline=self._resting.deadline)

    def _take(self, events: Sequence[SessionEvent]) -> list[SessionOrder]:
        """Keep what a session was asked to say before pick-up; it belongs to the call. Return what stops the rest."""
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
            raise SessionLost("it said more before pick-up than there is room for")
        return orders

    async def prove_alive(self, session: Session, fresh_s: float) -> None:
        """Return once the session is known to live; raises SessionLost where that takes longer than ``proof_s``."""
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
            NotAdopted: It is not to be had.
        """
        if not self._pool.claim(self.entry, fingerprint, self._world.now()):
            if self.entry.stage is Stage.CLOSING:
                self._scope.cancel()
            raise NotAdopted(self._why())
        try:
            self._scope.deadline = float("inf")
            session = await self._take_over()
            yield AdoptedSession(session, self._early, asked=self._first is not None)
        finally:
            await self._give_back()

    def settle(self, outcome: ParkingOutcome, detail: str) -> None:
        """Give the session up, unless its fate is known already; its keeper closes it."""
        if self._settle(outcome, detail):
            self._scope.cancel()

    def evict(self) -> None:
        """Close it: the lot has settled its fate already."""
        self._scope.cancel()

    def expect_pickup(self) -> None:
        """The call is about to be picked up: prove the session alive now, so that adopting need not wait for it."""
        self._resting.deadline = self._world.now()

    def extend(self, deadline: float) -> None:
        """Let it wait until ``deadline`` at least."""
        if self.entry.stage in {Stage.OPENING, Stage.READY}:
            self._pool.extend(self.entry, deadline)
            self._scope.deadline = self.entry.deadline

    async def _take_over(self) -> Session:
        with trio.move_on_after(self._settings.open_wait_s):
            await self.opened_or_closed.wait()
        if self._session is None:
            self._settle(ParkingOutcome.EXPIRED, "it was not open in time")
            raise NotAdopted(self._why())
        self._reading.cancel()
        await self._let_go.wait()
        try:
            if self.entry.waits:
                await self.prove_alive(self._session, self._settings.fresh_s)
        except SessionLost as lost:
            self._settle(ParkingOutcome.DIED, printable(str(lost)))
        except Exception:  # unknown counts as dead; there is a cold session to be had
            log.exception("call %s: its parked session could not be proved alive", self.entry.call_id)
            self._settle(ParkingOutcome.DIED, "a bug; see the log")
        if not self._pool.adopted(self.entry, self._world.now()):
            raise NotAdopted(self._why())
        return self._session

    async def _give_back(self) -> None:
        self._settle(ParkingOutcome.HUNG_UP, "its call ended first")
        if self.entry.stage is not Stage.ADOPTED:
            self._scope.cancel()
            return
        self._returned.set()
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
    """All parked sessions of one host: the registry and its keepers' nursery."""

    def __init__(self, nursery: trio.Nursery, world: World, settings: ParkingSettings) -> None:
        self.pool = SessionPool(settings)
        self._nursery = nursery
        self._world = world
        self._kept: dict[PoolEntry, ParkedSession] = {}  # bounded by the lot and the calls that hold a lease

    def park(
        self, call_id: str, provider: Provider, brief: Brief, *, until: float, first: RequestResponse | None = None
    ) -> ParkedSession | None:
        """Open a session for a call that rings; None where none is parked, and the call goes cold.

        Args:
            until: When it is given up at the latest.
            first: A request for speech that is generated while the phone rings.
        """
        if not self.pool.settings.enabled:
            return None
        fingerprint = provider.fingerprint(brief)
        entry, gives_way = self.pool.park(call_id, fingerprint, until, self._world.now())
        if gives_way is not None:
            self._kept[gives_way].evict()
        if entry is None:
            return None
        parked = ParkedSession(self.pool, entry, self._world, provider, brief, first=first)
        self._kept[entry] = parked
        self._nursery.start_soon(contained, f"call {call_id}: keeping its session", partial(self._keep, parked))
        return parked

    def shut_down(self) -> None:
        """Give up what still waits; what is lent ends with its call."""
        for parked in list(self._kept.values()):
            parked.settle(*_ENGINE_CLOSES)

    async def _keep(self, parked: ParkedSession) -> None:
        try:
            await parked.keep()
        finally:
            del self._kept[parked.entry]
            _say_if_wasted(parked)


def _say_if_wasted(parked: ParkedSession) -> None:
    """Log what a session that no call used has cost, and why it was not used."""
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
