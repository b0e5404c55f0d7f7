"""An open session with OpenAI Realtime: events out, orders in, and what its configuration has become.

Rule 1: the echo is the truth where it speaks: formats come from it, and a difference
from what was asked for is told, not guessed away.  What it leaves out holds.
Rule 2: an update's answer does not carry our id; it is recognised by what it
echoes: the real turn detection, or the lockout of an opening that is
acknowledged late.
Rule 3: a malformed event is told and skipped; only the socket's end ends a session.
Rule 4: formats are judged once, at the opening.  Afterwards only another format than
the one in force is news: it is told, and followed by converting, so that what the
session announced stays true; one that cannot be converted is the end.

Implements `voicecore.ports.Session`; made by opening.py.
"""

from __future__ import annotations

from collections.abc import Sequence

from voicecore.audio.convert import Converter, converter
from voicecore.audio.formats import AudioFormat
from voicecore.errors import ConnectionLost, RemoteProtocolError, SessionLost
from voicecore.events import (
    AppendUserAudio,
    Capabilities,
    Lockout,
    LockoutState,
    RestoreTurnDetection,
    SessionEvent,
    SessionNotice,
    SessionOrder,
    SessionProblem,
    SessionReconfigured,
    Severity,
)
from voicecore.net.websocket.protocol import ClientSideWebSocket
from voicecore.providers.openai_realtime.incoming import Translator
from voicecore.providers.openai_realtime.outgoing import to_wire
from voicecore.wire.openai_realtime import (
    DetectionKind,
    EffectiveConfig,
    EffectiveFormat,
    EffectiveTurnDetection,
    ErrorDetail,
    ErrorReported,
    ForeignFormat,
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
_INPUT, _OUTPUT = "audio.input.format", "audio.output.format"
FORMATS = frozenset({_INPUT, _OUTPUT})
_TURN_DETECTION = "audio.input.turn_detection"


class OpenAISession:
    """An open session."""

    def __init__(
        self,
        socket: ClientSideWebSocket,
        codec: RealtimeCodec,
        early: Sequence[Read],
        *,
        session_id: str,
        asked: SessionConfig,
        restored: SessionConfig,
        lockout: Lockout,
        echo: EffectiveConfig | None,
        refusal: str | None,
    ) -> None:
        """Hold what was opened: ``echo`` is None where nothing was acknowledged yet."""
        self._socket = socket
        self._codec = codec
        self._session_id = session_id
        self._asked = asked
        self._restored = restored
        self._unacknowledged = echo is None
        self._lock = _lock(asked, lockout, echo, refusal)
        self._user_format = _in_force(echo.input_format if echo else None, asked.input_format)
        self._agent_format = _in_force(echo.output_format if echo else None, asked.output_format)
        self._formats = {_INPUT: self._user_format, _OUTPUT: self._agent_format}  # what is on the wire now
        self._to_server: Converter | None = None  # where that has become another than was announced
        holds = lockout is Lockout.NONE
        self._capabilities = _capabilities(restored if echo is None else asked, echo, asked_holds=holds)
        self._translator = Translator(self._agent_format)
        self._waiting = self._translated(early)
        if refusal is not None:
            self._waiting.append(SessionNotice("lockout", f"was refused: {refusal}"))
        if echo is None:
            self._waiting.append(SessionNotice("session.updated", "did not come in time"))
        else:
            self._waiting += [SessionNotice(key, _why(key, echo)) for key in differences(asked, echo)]

    def __repr__(self) -> str:
        return f"<OpenAISession {self._session_id}>"

    @property
    def session_id(self) -> str:
        return self._session_id

    @property
    def user_format(self) -> AudioFormat:
        return self._user_format

    @property
    def agent_format(self) -> AudioFormat:
        return self._agent_format

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    @property
    def lock(self) -> LockoutState:
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
        encoded = self._encoded(order)
        try:
            if encoded is not None:
                await self._socket.send(encoded)
        except ConnectionLost as lost:
            raise _ended(lost) from lost

    def send_nowait(self, order: SessionOrder) -> bool:
        """See `voicecore.ports.Session`."""
        encoded = self._encoded(order)
        try:
            return encoded is None or self._socket.send_nowait(encoded)
        except ConnectionLost as lost:
            raise _ended(lost) from lost

    # --- inside --------------------------------------------------------------------

    def _encoded(self, order: SessionOrder) -> str | None:
        """Return an order's frame; None where nothing is left to be sent of it yet."""
        if isinstance(order, AppendUserAudio):  # nearly every one
            audio = order.audio if self._to_server is None else self._to_server.convert(order.audio)
            return encode_append(audio) if audio else None
        if isinstance(order, RestoreTurnDetection):
            event_id = order.request_id
            return encode(TurnDetectionUpdate(turn_detection=self._restored.turn_detection, event_id=event_id))
        return encode(to_wire(order))

    def _translated(self, read: Sequence[Read]) -> list[SessionEvent]:
        events: list[SessionEvent] = []
        for event in read:
            if isinstance(event, SessionUpdated):
                events += self._echoed(event.session)
            elif isinstance(event, ErrorReported) and self._refuses_opening(event.error):
                events.append(_refused_late(event.error))
            else:
                events += self._translator.translate(event)
        return events

    def _refuses_opening(self, error: ErrorDetail) -> bool:
        """Whether an error answers the configuration that is not acknowledged yet.

        One that names no event does so by what it is about: our later updates carry turn detection alone.
        """
        about = "" if error.event_id else error.param or ""
        configures = about.startswith("session.") and not about.startswith(f"session.{_TURN_DETECTION}")
        return self._unacknowledged and (configures or error.event_id in _OPENING_IDS)

    def _echoed(self, echo: EffectiveConfig) -> list[SessionEvent]:
        """Judge a configuration that was echoed after the opening."""
        late, self._unacknowledged = self._unacknowledged, False
        lock, unlike = self._judged(echo, late=late)
        self._capabilities = _capabilities(self._restored, echo, asked_holds=lock is LockoutState.RESTORED)
        told = SessionReconfigured(capabilities=self._capabilities, lock=lock, differences=tuple(unlike))
        return [*self._followed(_INPUT, echo.input_format), *self._followed(_OUTPUT, echo.output_format), told]

    def _judged(self, echo: EffectiveConfig, *, late: bool) -> tuple[LockoutState, list[str]]:
        """Return what an echo says of the lockout, and where else it is not what was asked for, formats apart.

        ``late``: it may answer the opening as well as what was sent since.
        """
        if late and not _detection_differs(self._asked, echo) and _detection_differs(self._restored, echo):
            return LockoutState.IN_FORCE, _unlike(self._asked, echo)
        unlike = _unlike(self._restored, echo)
        if echo.turn_detection.kind is DetectionKind.NOT_REPORTED and not late:  # updates are applied whole, or refused
            return LockoutState.RESTORED, [key for key in unlike if key != _TURN_DETECTION]
        return LockoutState.UNCONFIRMED if _detection_differs(self._restored, echo) else LockoutState.RESTORED, unlike

    def _followed(self, key: str, echoed: EffectiveFormat) -> list[SessionEvent]:
        """Follow a format that is another than the one in force."""
        before = self._formats[key]
        if echoed is None or echoed == before:
            return []
        if isinstance(echoed, ForeignFormat):
            why = f"{key} has become {echoed.name}, which cannot be converted"
            return [SessionProblem(code="audio_format", message=why, severity=Severity.FATAL)]
        self._formats[key] = echoed
        if key == _INPUT:
            same = echoed == self._user_format
            self._to_server = None if same else converter(self._user_format, echoed)
        else:
            self._translator.follow(echoed)
        return [SessionNotice(key, f"has become {echoed} where {before} was in force; converted from here on")]


def _refused_late(error: ErrorDetail) -> SessionProblem:
    why = f"the configuration was refused, later than it was waited for: {error.message or 'no reason was given'}"
    return SessionProblem(
        code=error.code or error.type,
        message=why,
        severity=Severity.FATAL,
        request_id=error.event_id,
        param=error.param,
    )


def decoded(codec: RealtimeCodec, text: str) -> list[Read]:
    """Return the events of one frame; what is malformed stands among them as its error."""
    try:
        return [*codec.receive(text)]
    except RemoteProtocolError as malformed:
        return [malformed]


def _in_force(echoed: EffectiveFormat, asked: AudioFormat) -> AudioFormat:
    """Return the format of a session that was opened; an opening whose echo names a foreign one is refused before."""
    return echoed if isinstance(echoed, AudioFormat) else asked


def _why(key: str, echo: EffectiveConfig) -> str:
    shown = key != _TURN_DETECTION or echo.turn_detection.kind is not DetectionKind.NOT_REPORTED
    return "is not as asked for" if shown else "is not shown by the provider"


def _unlike(wanted: SessionConfig, echo: EffectiveConfig) -> list[str]:
    return [key for key in differences(wanted, echo) if key not in FORMATS]


def _detection_differs(wanted: SessionConfig, echo: EffectiveConfig) -> bool:
    return any(key.startswith(_TURN_DETECTION) for key in differences(wanted, echo))


def _lock(asked: SessionConfig, lockout: Lockout, echo: EffectiveConfig | None, refusal: str | None) -> LockoutState:
    if lockout is Lockout.NONE:
        return LockoutState.NOT_REQUESTED
    if refusal is not None:
        return LockoutState.REFUSED
    proved = echo is not None and not _detection_differs(asked, echo)
    return LockoutState.IN_FORCE if proved else LockoutState.UNCONFIRMED


def _capabilities(asked: SessionConfig, echo: EffectiveConfig | None, *, asked_holds: bool) -> Capabilities:
    """Return what the session does by itself; without an echo, the most that it might do.

    ``asked_holds``: what an echo leaves out about turn detection is as was asked for.
    """
    detection = None if echo is None else echo.turn_detection
    if detection is not None and detection.kind is DetectionKind.NOT_REPORTED and asked_holds:
        detection = EffectiveTurnDetection.as_asked(asked.turn_detection)
    detects = detection is None or detection.kind is not DetectionKind.OFF
    silence_ms = None if detection is None else detection.silence_duration_ms
    transcribes = None if echo is None else echo.transcribes
    return Capabilities(
        detects_turns=detects,
        replies=detects and (detection is None or detection.create_response),
        interrupts=detects and (detection is None or detection.interrupt_response),
        speaks=asked.output_modality != "text",
        transcribes_user=bool(asked.transcription) if transcribes is None else transcribes,
        silence_s=None if silence_ms is None else silence_ms / 1000,
    )


def _ended(lost: ConnectionLost) -> SessionLost:
    return SessionLost(f"the session with {PEER} ended: {lost}", code=lost.code)
