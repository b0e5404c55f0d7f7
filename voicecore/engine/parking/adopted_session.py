"""A parked session as the call that has adopted it sees it: first what came before pick-up, then what comes.

Rule: it neither opens nor closes the connection; the task that opened it does (parked_session.py).
"""

from __future__ import annotations

from collections.abc import Sequence

import trio

from voicecore.audio.formats import AudioFormat
from voicecore.engine.parking.events_before_pickup import EventsBeforePickup
from voicecore.events import Capabilities, LockoutState, SessionEvent, SessionOrder
from voicecore.ports import Session


class NotAdopted(Exception):
    """A parked session could not be used; the message says why. The call has nothing to close."""


class AdoptedSession:
    """A parked session that its call uses; implements `voicecore.ports.Session`."""

    def __init__(self, session: Session, early: EventsBeforePickup, *, asked: bool) -> None:
        self.asked = asked
        """Whether the first message was asked for while the phone rang."""
        self.unasked = early.unasked
        """Responses that it began by itself before pick-up, and that were cancelled."""
        self._session = session
        self._early = early.events()  # what came before pick-up

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
    def lock(self) -> LockoutState:
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
