"""Opens and configures a session with OpenAI Realtime.

    dial → session.created → session.update → session.updated → ready

Rule 1: opening returns a configured session or raises; each step has a time limit,
and a failure leaves nothing open.
Rule 2: the server refuses an update as a whole. If a refused update contained a
lockout, the lockout may be the reason: the update is sent once more without it, and
`Session.lock` says so.
Rule 3: if the acknowledgement is late but the peer is alive, opening succeeds,
because updates are applied in order and a user is waiting. The requested
configuration is assumed, the lockout is not relied on, and the effective
configuration is compared when it arrives.
Rule 4: if the effective formats differ from the requested ones, the update is sent
again for a limited time, because a wrong format is noise for the whole call. The
formats reported in the end are used, or refused if they cannot be converted.
Formats that are not reported are taken to be as requested.

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
    """Time limits of opening a session, in seconds."""

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
    """What to open: URL, key, configuration and lockout."""

    url: str
    api_key: Secret
    config: SessionConfig
    """The configuration with the lockout."""
    turn_detection: TurnDetection | None
    """The real turn detection, for after the lockout."""
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
    """An update was refused as a whole; the session is unchanged."""


class _Opening:
    """Reads a connection until the session is configured."""

    def __init__(self, socket: ClientSideWebSocket, limits: OpenLimits, now: Callable[[], float], key: Secret) -> None:
        self._now = now
        self._key = key
        self._socket = socket
        self._limits = limits
        self._codec = RealtimeCodec()
        self._early: list[Read] = []  # events for the session's user; bounded by the time of opening

    async def configure(self, plan: SessionPlan) -> OpenAISession:
        """Configure the session, without the lockout if that is refused. Raises ProviderError."""
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
            requested=config,
            restored=plan.restored,
            lockout=plan.lockout,
            effective=updated,
            refusal=refusal,
        )

    async def _settle(self, config: SessionConfig, event_id: str) -> EffectiveConfig | None:
        """Send the update until the effective formats are right, or time is up."""
        give_up_at = self._now() + self._limits.settle_s
        while True:
            effective = await self._update(config, event_id)
            right = effective is None or not FORMATS & set(differences(config, effective))
            if right or self._now() + self._limits.settle_pause_s > give_up_at:
                return effective
            await trio.sleep(self._limits.settle_pause_s)

    async def _update(self, config: SessionConfig, event_id: str) -> EffectiveConfig | None:
        """Send an update; return the effective configuration, None if a live peer did not acknowledge it in time."""
        with trio.move_on_after(self._limits.updated_s):
            await self._socket.send(encode(SessionUpdate(config=config, event_id=event_id)))
            return await self._wait_for(SessionUpdated, event_id)
        with trio.move_on_after(self._limits.alive_s):
            await self._socket.prove_alive(0.0)
            return None
        raise ProviderUnavailable(f"{PEER} did not acknowledge the configuration and does not answer pings")

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
        """Raise if an error ends the opening; an error without an id belongs to the update in flight."""
        error = event.error
        where = f" ({error.param})" if error.param else ""
        words = said(error.message, self._key)
        named = ": ".join(part for part in (f"{error.code or error.type or ''}{where}".strip(), words) if part)
        words = f"{PEER} refused the session: {named or 'no reason given'}"
        if classify_error(error.code, error.type, error.message) is ErrorClass.FATAL:
            raise ProviderRefused(words, code=error.code)
        if event_id and error.event_id in {None, event_id}:
            self._early.remove(event)
            raise _UpdateRefused(words, code=error.code)


def _refuse_foreign_formats(effective: EffectiveConfig | None) -> None:
    for reported in (effective.input_format, effective.output_format) if effective is not None else ():
        if isinstance(reported, ForeignFormat):
            raise ProviderRefused(
                f"{PEER} uses the format {reported.name}, which cannot be converted; request another format"
            )


def _not_opened(lost: ConnectionLost) -> ProviderRefused | ProviderUnavailable:
    if lost.code is not None and classify_close(lost.code) is Outlook.REFUSED:
        return ProviderRefused(f"{PEER} closed the connection with code {lost.code}: {lost.reason}")
    return ProviderUnavailable(f"{PEER} could not be reached: {lost}")
