"""Opening a session with OpenAI Realtime, and holding it.

    dial → session.created → session.update → session.updated → ready

Rule 1: a session exists configured and acknowledged, or not at all; each step
has its bound, and whatever goes wrong leaves nothing open.
Rule 2: the echo is the truth: formats come from it, and a difference from what
was asked for is told, not guessed away.
Rule 3: a malformed event is told and skipped; only the socket's end ends a session.

Implements `voicecore.ports.Session`; used by settings.py.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import attrs
import trio

from voicecore.audio.formats import AudioFormat
from voicecore.errors import (
    ConnectionLost,
    HandshakeRefused,
    ProviderRefused,
    ProviderUnavailable,
    RemoteProtocolError,
    SessionLost,
)
from voicecore.events import Capabilities, SessionEvent, SessionNotice, SessionOrder
from voicecore.net.dial import DialLimits, dial
from voicecore.net.websocket import WebSocket
from voicecore.providers.openai_realtime.incoming import Translator
from voicecore.providers.openai_realtime.outgoing import to_wire
from voicecore.secrets import Secret
from voicecore.wire.openai_realtime import (
    DetectionKind,
    EffectiveConfig,
    ErrorClass,
    ErrorReported,
    Outlook,
    RealtimeCodec,
    ServerEvent,
    SessionConfig,
    SessionCreated,
    SessionUpdate,
    SessionUpdated,
    classify_close,
    classify_error,
    classify_status,
    differences,
    encode,
)
from voicecore.world import World

Read = ServerEvent | RemoteProtocolError
"""What one frame holds: events, or the error of a malformed one."""

_PEER = "OpenAI Realtime"
_UPDATE_ID = "voicecore-session"


@attrs.frozen(kw_only=True)
class OpenLimits:
    """Bounds of opening; seconds."""

    dial: DialLimits = attrs.field(factory=DialLimits)
    created_s: float = 2.0
    """From the open socket to session.created."""
    updated_s: float = 2.0
    """From our session.update to its acknowledgement."""


@asynccontextmanager
async def open_session(
    world: World, url: str, api_key: Secret, config: SessionConfig, limits: OpenLimits
) -> AsyncIterator[OpenAISession]:
    """See `voicecore.ports.Provider.open_session`."""
    async with AsyncExitStack() as stack:
        headers = [("Authorization", f"Bearer {api_key.reveal()}")]
        try:
            socket = await stack.enter_async_context(dial(world.network, url, headers=headers, limits=limits.dial))
            session = await _configure(socket, config, limits)
        except HandshakeRefused as refusal:
            retryable = classify_status(refusal.status) is not Outlook.REFUSED
            raise ProviderRefused(
                f"{_PEER} refused the connection with HTTP status {refusal.status}{_advice(refusal.status)}",
                status=refusal.status,
                retryable=retryable,
            ) from refusal
        except ConnectionLost as lost:
            raise _not_opened(lost) from lost
        yield session


async def _configure(socket: WebSocket, config: SessionConfig, limits: OpenLimits) -> OpenAISession:
    opening = _Opening(socket)
    created = updated = None
    with trio.move_on_after(limits.created_s):
        created = await opening.wait_for(SessionCreated)
    if created is None:
        raise ProviderUnavailable(f"{_PEER} sent no session.created within {limits.created_s} s")
    with trio.move_on_after(limits.updated_s):
        await socket.send(encode(SessionUpdate(config=config, event_id=_UPDATE_ID)))
        updated = await opening.wait_for(SessionUpdated)
    if updated is None:
        raise ProviderUnavailable(f"{_PEER} did not acknowledge the configuration within {limits.updated_s} s")
    return OpenAISession(socket, opening, config, attrs.evolve(updated, id=updated.id or created.id))


class _Opening:
    """Reads a socket until the session is as it should be."""

    def __init__(self, socket: WebSocket) -> None:
        self.codec = RealtimeCodec()
        self.early: list[Read] = []
        """What came in between and belongs to whoever holds the session; bounded by the opening's time."""
        self._socket = socket

    async def wait_for(self, kind: type[SessionCreated | SessionUpdated]) -> EffectiveConfig:
        while True:
            for text in await self._socket.receive():
                self.early += decoded(self.codec, text)
            for index, event in enumerate(self.early):
                if isinstance(event, ErrorReported):
                    self._judge(event)
                elif isinstance(event, kind):
                    del self.early[index]
                    return event.session

    def _judge(self, event: ErrorReported) -> None:
        error = event.error
        meaning = classify_error(error.code, error.type, error.message)
        if error.event_id == _UPDATE_ID or meaning is ErrorClass.FATAL:
            where = f" ({error.param})" if error.param else ""
            raise ProviderRefused(f"{_PEER} refused the session: {error.code or error.type}{where}", code=error.code)


class OpenAISession:
    """An open session."""

    def __init__(self, socket: WebSocket, opening: _Opening, config: SessionConfig, effective: EffectiveConfig) -> None:
        self._socket = socket
        self._codec = opening.codec
        self._session_id = effective.id or ""
        self._caller_format = effective.input_format or config.input_format
        self._agent_format = effective.output_format or config.output_format
        self._capabilities = _capabilities(config, effective)
        self._translator = Translator(self._agent_format)
        self._waiting = [event for early in opening.early for event in self._translator.translate(early)]
        self._waiting += [SessionNotice(key, "is not as asked for") for key in differences(config, effective)]

    def __repr__(self) -> str:
        return f"<OpenAISession {self._session_id}>"

    @property
    def session_id(self) -> str:
        return self._session_id

    @property
    def caller_format(self) -> AudioFormat:
        return self._caller_format

    @property
    def agent_format(self) -> AudioFormat:
        return self._agent_format

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    async def receive(self) -> list[SessionEvent]:
        """See `voicecore.ports.Session`."""
        while not self._waiting:
            try:
                texts = await self._socket.receive()
            except ConnectionLost as lost:
                raise SessionLost(f"the session with {_PEER} ended: {lost}", code=lost.code) from lost
            for text in texts:
                self._waiting += self._read(text)
        events, self._waiting = self._waiting, []
        return events

    async def send(self, order: SessionOrder) -> None:
        """See `voicecore.ports.Session`."""
        try:
            await self._socket.send(encode(to_wire(order)))
        except ConnectionLost as lost:
            raise SessionLost(f"the session with {_PEER} ended: {lost}", code=lost.code) from lost

    def _read(self, text: str) -> list[SessionEvent]:
        return [event for read in decoded(self._codec, text) for event in self._translator.translate(read)]


def decoded(codec: RealtimeCodec, text: str) -> list[Read]:
    """Return the events of one frame; what is malformed stands among them as its error."""
    try:
        return [*codec.receive(text)]
    except RemoteProtocolError as malformed:
        return [malformed]


def _capabilities(config: SessionConfig, effective: EffectiveConfig) -> Capabilities:
    detection = effective.turn_detection
    detects = detection.kind is not DetectionKind.OFF
    return Capabilities(
        detects_turns=detects,
        replies=detects and detection.create_response,
        interrupts=detects and detection.interrupt_response,
        speaks=config.output_modality != "text",
        transcribes_caller=effective.transcription_model is not None,
    )


def _not_opened(lost: ConnectionLost) -> ProviderRefused | ProviderUnavailable:
    if lost.code is not None and classify_close(lost.code) is Outlook.REFUSED:
        return ProviderRefused(f"{_PEER} closed the connection with code {lost.code}: {lost.reason}")
    return ProviderUnavailable(f"{_PEER} could not be reached: {lost}")


def _advice(status: int) -> str:
    return {401: ": check the API key", 404: ": check the base URL and the model", 429: ": over quota or limit"}.get(
        status, ""
    )
