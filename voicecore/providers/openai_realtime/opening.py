"""Opening a session with OpenAI Realtime.

    dial → session.created → session.update → session.updated → ready

Rule 1: a session exists configured, or not at all; each step has its bound, and
whatever goes wrong leaves nothing open.
Rule 2: an update is refused whole.  Where it held a lockout, that alone may be
what the server does not like: it is asked once more without, and the session
says so (`Session.lock`).
Rule 3: an acknowledgement that does not come in time does not end the opening
where the peer is alive: updates are applied in their order, and a user is
waiting.  What was asked for is then assumed, the lockout is not relied on, and a
late echo is still compared.
Rule 4: an echo that names other formats than were asked for may be ahead of the
update: it is asked for again, bounded, because guessing a format wrong is noise for
the whole call; what is echoed in the end is obeyed, or refused where it cannot be
converted.  An echo that names none says nothing: what was asked for holds.

Facts: OpenAI Realtime, sections session.update rules and first-message lockout.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import attrs
import trio

from voicecore import kinds
from voicecore.errors import ConnectionLost, HandshakeRefused, ProviderRefused, ProviderUnavailable
from voicecore.events import Lockout
from voicecore.net.websocket.connect import DialLimits, dial
from voicecore.net.websocket.protocol import ClientSideWebSocket
from voicecore.providers.openai_realtime.refusals import refusal_words, said
from voicecore.providers.openai_realtime.session import (
    FORMATS,
    PEER,
    UNLOCKED_ID,
    UPDATE_ID,
    OpenAISession,
    Read,
    decoded,
)
from voicecore.secrets import Secret
from voicecore.wire.openai_realtime import (
    EffectiveConfig,
    ErrorClass,
    ErrorReported,
    ForeignFormat,
    Outlook,
    RealtimeCodec,
    SessionConfig,
    SessionCreated,
    SessionUpdate,
    SessionUpdated,
    TurnDetection,
    classify_close,
    classify_error,
    classify_status,
    differences,
    encode,
)
from voicecore.world import World


@attrs.frozen(kw_only=True)
class OpenLimits:
    """Bounds of opening; seconds."""

    dial: DialLimits = attrs.field(factory=DialLimits, validator=kinds.instance(DialLimits))
    created_s: float = attrs.field(default=2.0, validator=kinds.seconds())
    """From the open socket to session.created."""
    updated_s: float = attrs.field(default=2.0, validator=kinds.seconds())
    """From our session.update to its acknowledgement."""
    settle_s: float = attrs.field(default=2.0, validator=kinds.seconds())
    """For an echo to show the formats that were asked for."""
    settle_pause_s: float = attrs.field(default=0.5, validator=kinds.seconds())
    """Before the same update is sent again."""
    alive_s: float = attrs.field(default=1.0, validator=kinds.seconds())
    """For the answer to a ping, where the acknowledgement did not come in time."""


@attrs.frozen(kw_only=True)
class SessionPlan:
    """What is to be opened."""

    url: str
    api_key: Secret
    config: SessionConfig
    """Under the lockout."""
    turn_detection: TurnDetection | None
    """The real one, for the time after the lockout."""
    lockout: Lockout = Lockout.NONE

    @property
    def restored(self) -> SessionConfig:
        """The configuration without the lockout."""
        return attrs.evolve(self.config, turn_detection=self.turn_detection)


@asynccontextmanager
async def open_session(world: World, plan: SessionPlan, limits: OpenLimits) -> AsyncIterator[OpenAISession]:
    """See `voicecore.ports.Provider.open_session`."""
    async with AsyncExitStack() as stack:
        headers = [("Authorization", f"Bearer {plan.api_key.reveal()}")]
        try:
            socket = await stack.enter_async_context(dial(world.network, plan.url, headers=headers, limits=limits.dial))
            session = await _Opening(socket, limits, world.now, plan.api_key).configure(plan)
        except HandshakeRefused as refusal:
            retryable = classify_status(refusal.status) is not Outlook.REFUSED
            raise ProviderRefused(
                f"{PEER} refused the connection with HTTP status {refusal.status}"
                f"{refusal_words(refusal, plan.api_key)}",
                status=refusal.status,
                retryable=retryable,
            ) from refusal
        except ConnectionLost as lost:
            raise _not_opened(lost) from lost
        yield session


class _UpdateRefused(ProviderRefused):
    """An update was refused whole; the session is as it was before."""


class _Opening:
    """Reads a socket until the session is as it should be."""

    def __init__(self, socket: ClientSideWebSocket, limits: OpenLimits, now: Callable[[], float], key: Secret) -> None:
        self._now = now
        self._key = key
        self._socket = socket
        self._limits = limits
        self._codec = RealtimeCodec()
        self._early: list[Read] = []  # what belongs to whoever holds the session; bounded by the opening's time

    async def configure(self, plan: SessionPlan) -> OpenAISession:
        """Configure the session, without its lockout where that is refused. Raises ProviderError."""
        created = None
        with trio.move_on_after(self._limits.created_s):
            created = await self._wait_for(SessionCreated)
        if created is None:
            raise ProviderUnavailable(f"{PEER} sent no session.created within {self._limits.created_s} s")
        config, refusal = plan.config, None
        try:
            updated = await self._settle(config, UPDATE_ID)
        except _UpdateRefused as refused:
            if plan.lockout is Lockout.NONE:
                raise
            config, refusal = plan.restored, str(refused)
            updated = await self._settle(config, UNLOCKED_ID)
        _refuse_foreign_formats(updated)
        return OpenAISession(
            self._socket,
            self._codec,
            self._early,
            session_id=(updated and updated.id) or created.id or "",
            asked=config,
            restored=plan.restored,
            lockout=plan.lockout,
            echo=updated,
            refusal=refusal,
        )

    async def _settle(self, config: SessionConfig, event_id: str) -> EffectiveConfig | None:
        """Update until the echo shows the right formats, or has had its time."""
        give_up_at = self._now() + self._limits.settle_s
        while True:
            echo = await self._update(config, event_id)
            right = echo is None or not FORMATS & set(differences(config, echo))
            if right or self._now() + self._limits.settle_pause_s > give_up_at:
                return echo
            await trio.sleep(self._limits.settle_pause_s)

    async def _update(self, config: SessionConfig, event_id: str) -> EffectiveConfig | None:
        """Send an update; return its echo, None where a living peer gave none in time."""
        with trio.move_on_after(self._limits.updated_s):
            await self._socket.send(encode(SessionUpdate(config=config, event_id=event_id)))
            return await self._wait_for(SessionUpdated, event_id)
        with trio.move_on_after(self._limits.alive_s):
            await self._socket.prove_alive(0.0)
            return None
        raise ProviderUnavailable(f"{PEER} did not acknowledge the configuration, and answers nothing")

    async def _wait_for(self, kind: type[SessionCreated | SessionUpdated], event_id: str = "") -> EffectiveConfig:
        while True:
            for text in await self._socket.receive():
                self._early += decoded(self._codec, text)
            for index, event in enumerate(self._early):
                if isinstance(event, ErrorReported):
                    self._judge(event, event_id)
                elif isinstance(event, kind):
                    del self._early[index]
                    return event.session

    def _judge(self, event: ErrorReported, event_id: str) -> None:
        """Raise for what ends the opening; an error without an id, while one update is out, is that update's."""
        error = event.error
        where = f" ({error.param})" if error.param else ""
        words = said(error.message, self._key)
        named = ": ".join(part for part in (f"{error.code or error.type or ''}{where}".strip(), words) if part)
        words = f"{PEER} refused the session: {named or 'it gave no reason'}"
        if classify_error(error.code, error.type, error.message) is ErrorClass.FATAL:
            raise ProviderRefused(words, code=error.code)
        if event_id and error.event_id in {None, event_id}:
            self._early.remove(event)
            raise _UpdateRefused(words, code=error.code)


def _refuse_foreign_formats(echo: EffectiveConfig | None) -> None:
    for echoed in (echo.input_format, echo.output_format) if echo is not None else ():
        if isinstance(echoed, ForeignFormat):
            raise ProviderRefused(f"{PEER} speaks {echoed.name}, which cannot be converted; ask for another format")


def _not_opened(lost: ConnectionLost) -> ProviderRefused | ProviderUnavailable:
    if lost.code is not None and classify_close(lost.code) is Outlook.REFUSED:
        return ProviderRefused(f"{PEER} closed the connection with code {lost.code}: {lost.reason}")
    return ProviderUnavailable(f"{PEER} could not be reached: {lost}")
