"""An open session with OpenAI Realtime: events out, orders in, and what its configuration has become.

Rule 1: the echo is the truth: formats come from it, and a difference from what
was asked for is told, not guessed away.
Rule 2: an update's answer does not carry our id; it is recognised by what it
echoes: the real turn detection, or the lockout of an opening that is
acknowledged late.
Rule 3: a malformed event is told and skipped; only the socket's end ends a session.

Implements `voicecore.ports.Session`; made by opening.py.
"""

from __future__ import annotations

from collections.abc import Sequence

from voicecore.audio.formats import AudioFormat
from voicecore.errors import ConnectionLost, RemoteProtocolError, SessionLost
from voicecore.events import (
    AppendCallerAudio,
    Capabilities,
    Lockout,
    LockState,
    SessionEvent,
    SessionNotice,
    SessionOrder,
    SessionProblem,
    SessionReconfigured,
    Severity,
    Unlock,
)
from voicecore.net.websocket import DialledWebSocket
from voicecore.providers.openai_realtime.incoming import Translator
from voicecore.providers.openai_realtime.outgoing import to_wire
from voicecore.wire.openai_realtime import (
    DetectionKind,
    EffectiveConfig,
    ErrorReported,
    RealtimeCodec,
    ServerEvent,
    SessionConfig,
    SessionUpdated,
    TurnDetectionUpdate,
    differences,
    encode,
    encode_append,
)

Read = ServerEvent | RemoteProtocolError
"""What one frame holds: events, or the error of a malformed one."""

PEER = "OpenAI Realtime"
UPDATE_ID = "voicecore-session"  #: of the update that configures a session
UNLOCKED_ID = "voicecore-session-unlocked"  #: of the same without a lockout that was refused
_OPENING_IDS = frozenset({UPDATE_ID, UNLOCKED_ID})
FORMATS = frozenset({"audio.input.format", "audio.output.format"})


class OpenAISession:
    """An open session."""

    def __init__(
        self,
        socket: DialledWebSocket,
        codec: RealtimeCodec,
        early: Sequence[Read],
        *,
        session_id: str,
        asked: SessionConfig,
        unlocked: SessionConfig,
        lockout: Lockout,
        echo: EffectiveConfig | None,
        refusal: str | None,
    ) -> None:
        """Hold what was opened: ``echo`` is None where nothing was acknowledged yet."""
        self._socket = socket
        self._codec = codec
        self._session_id = session_id
        self._asked = asked
        self._unlocked = unlocked
        self._unacknowledged = echo is None
        self._lock = _lock(asked, lockout, echo, refusal)
        self._caller_format = (echo and echo.input_format) or asked.input_format
        self._agent_format = (echo and echo.output_format) or asked.output_format
        self._capabilities = _capabilities(unlocked if echo is None else asked, echo)
        self._translator = Translator(self._agent_format)
        self._waiting = self._translated(early)
        if refusal is not None:
            self._waiting.append(SessionNotice("lockout", f"was refused: {refusal}"))
        if echo is None:
            self._waiting.append(SessionNotice("session.updated", "did not come in time"))
        else:
            self._waiting += [SessionNotice(key, "is not as asked for") for key in differences(asked, echo)]

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

    @property
    def lock(self) -> LockState:
        """See `voicecore.ports.Session`."""
        return self._lock

    async def prove_alive(self, fresh_s: float) -> None:
        """See `voicecore.ports.Session`."""
        try:
            await self._socket.prove_alive(fresh_s)
        except ConnectionLost as lost:
            raise _ended(lost) from lost

    async def receive(self) -> list[SessionEvent]:
        """See `voicecore.ports.Session`."""
        while not self._waiting:
            try:
                texts = await self._socket.receive()
            except ConnectionLost as lost:
                raise _ended(lost) from lost
            for text in texts:
                self._waiting += self._translated(decoded(self._codec, text))
        events, self._waiting = self._waiting, []
        return events

    async def send(self, order: SessionOrder) -> None:
        """See `voicecore.ports.Session`."""
        try:
            await self._socket.send(self._encoded(order))
        except ConnectionLost as lost:
            raise _ended(lost) from lost

    def send_nowait(self, order: SessionOrder) -> bool:
        """See `voicecore.ports.Session`."""
        try:
            return self._socket.send_nowait(self._encoded(order))
        except ConnectionLost as lost:
            raise _ended(lost) from lost

    # --- inside --------------------------------------------------------------------

    def _encoded(self, order: SessionOrder) -> str:
        if isinstance(order, AppendCallerAudio):  # nearly every one
            return encode_append(order.audio)
        if isinstance(order, Unlock):
            event_id = order.request_id
            return encode(TurnDetectionUpdate(turn_detection=self._unlocked.turn_detection, event_id=event_id))
        return encode(to_wire(order))

    def _translated(self, read: Sequence[Read]) -> list[SessionEvent]:
        events: list[SessionEvent] = []
        for event in read:
            if isinstance(event, SessionUpdated):
                events.append(self._echoed(event.session))
            elif self._unacknowledged and isinstance(event, ErrorReported) and event.error.event_id in _OPENING_IDS:
                why = "the configuration was refused, later than it was waited for"
                events.append(SessionProblem(code=event.error.code, message=why, severity=Severity.FATAL))
            else:
                events += self._translator.translate(event)
        return events

    def _echoed(self, echo: EffectiveConfig) -> SessionEvent:
        """Judge a configuration that was echoed after the opening."""
        late, self._unacknowledged = self._unacknowledged, False
        unlike = differences(self._unlocked, echo)
        if late and unlike and not differences(self._asked, echo):
            lock, unlike = LockState.IN_FORCE, []
        else:
            lock = LockState.UNPROVEN if unlike else LockState.LIFTED
        if FORMATS & set(unlike):
            why = "the audio is in another format than was asked for"
            return SessionProblem(code="audio_format", message=why, severity=Severity.FATAL)
        self._capabilities = _capabilities(self._unlocked, echo)
        return SessionReconfigured(capabilities=self._capabilities, lock=lock, differences=tuple(unlike))


def decoded(codec: RealtimeCodec, text: str) -> list[Read]:
    """Return the events of one frame; what is malformed stands among them as its error."""
    try:
        return [*codec.receive(text)]
    except RemoteProtocolError as malformed:
        return [malformed]


def _lock(asked: SessionConfig, lockout: Lockout, echo: EffectiveConfig | None, refusal: str | None) -> LockState:
    if lockout is Lockout.NONE:
        return LockState.NOT_ASKED
    if refusal is not None:
        return LockState.REFUSED
    unlike = ["session.updated"] if echo is None else differences(asked, echo)
    proved = not any("turn_detection" in key for key in unlike) and echo is not None
    return LockState.IN_FORCE if proved else LockState.UNPROVEN


def _capabilities(asked: SessionConfig, echo: EffectiveConfig | None) -> Capabilities:
    """Return what the session does by itself; without an echo, the most that it might do."""
    detection = None if echo is None else echo.turn_detection
    detects = detection is None or detection.kind is not DetectionKind.OFF
    silence_ms = None if detection is None else detection.silence_duration_ms
    return Capabilities(
        detects_turns=detects,
        replies=detects and (detection is None or detection.create_response),
        interrupts=detects and (detection is None or detection.interrupt_response),
        speaks=asked.output_modality != "text",
        transcribes_caller=echo is None or echo.transcription_model is not None,
        silence_s=None if silence_ms is None else silence_ms / 1000,
    )


def _ended(lost: ConnectionLost) -> SessionLost:
    return SessionLost(f"the session with {PEER} ended: {lost}", code=lost.code)
