"""A provider whose every step a test decides, for orders of events that no wire would produce on demand."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import trio

from voicecore.audio.formats import PCMU_8K, AudioFormat
from voicecore.errors import ProviderUnavailable, SessionLost
from voicecore.events import Capabilities, LockoutState, SessionEvent, SessionOrder
from voicecore.ports import Brief, Session
from voicecore.world import World

DOES_ALL = Capabilities(detects_turns=True, replies=True, interrupts=True, speaks=True, transcribes_user=True)


class PuppetSession:
    """An open session; implements `voicecore.ports.Session`."""

    session_id = "puppet"
    user_format: AudioFormat = PCMU_8K
    agent_format: AudioFormat = PCMU_8K
    capabilities = DOES_ALL
    lock = LockoutState.NOT_REQUESTED

    def __init__(self) -> None:
        self.sent: list[SessionOrder] = []
        self.readers = 0
        self.most_readers = 0
        self.answers_pings = True
        self.lets_go_after_s = 0.0
        """How long a reader that is cancelled still holds on."""
        self._waiting: list[SessionEvent] = []
        self._news = trio.Event()
        self._dead = False

    def says(self, *events: SessionEvent) -> None:
        self._waiting += events
        self._news.set()

    def dies(self) -> None:
        self._dead = True
        self._news.set()

    async def prove_alive(self, fresh_s: float) -> None:
        del fresh_s
        await trio.lowlevel.checkpoint()
        if self._dead:
            raise SessionLost("it is dead")
        if not self.answers_pings:
            await trio.sleep_forever()

    async def receive(self) -> list[SessionEvent]:
        self.readers += 1
        self.most_readers = max(self.most_readers, self.readers)
        try:
            while not self._waiting:
                if self._dead:
                    raise SessionLost("it is dead")
                self._news = trio.Event()
                await self._news.wait()
            events, self._waiting = self._waiting, []
            return events
        finally:
            if self.lets_go_after_s:
                with trio.CancelScope(shield=True):
                    await trio.sleep(self.lets_go_after_s)
            self.readers -= 1

    async def send(self, order: SessionOrder) -> None:
        await trio.lowlevel.checkpoint()
        if self._dead:
            raise SessionLost("it is dead")
        self.sent.append(order)

    def send_nowait(self, order: SessionOrder) -> bool:
        if self._dead:
            raise SessionLost("it is dead")
        self.sent.append(order)
        return True


class PuppetProvider:
    """Opens sessions on demand; implements `voicecore.ports.Provider`."""

    name = "puppet"

    def __init__(self, *, opens_at_once: bool = True) -> None:
        self.handshakes = 0
        self.opened = 0
        self.closed = 0
        self.sessions: list[PuppetSession] = []
        self.print = "print"
        self._may_open = trio.Event()
        self._fails = False
        if opens_at_once:
            self._may_open.set()

    def open(self) -> None:
        self._may_open.set()

    def fail(self) -> None:
        self._fails = True
        self._may_open.set()

    def filled_from(self, environ: Mapping[str, str]) -> PuppetProvider:
        del environ
        return self

    def fingerprint(self, brief: Brief) -> str:
        return f"{self.print} {brief.instructions}"

    def open_session(self, world: World, brief: Brief) -> AbstractAsyncContextManager[Session]:
        del world, brief
        return self._open()

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[PuppetSession]:
        self.handshakes += 1
        await self._may_open.wait()
        await trio.lowlevel.checkpoint()
        if self._fails:
            raise ProviderUnavailable("it was told to fail")
        session = PuppetSession()
        self.opened += 1
        self.sessions.append(session)
        try:
            yield session
        finally:
            self.closed += 1
