"""An open session with OpenAI Realtime: receives events, sends orders, tracks its configuration.

Rule 1: the effective configuration decides: formats come from it, and differences
from the requested one are reported. What it leaves out is as requested.
Rule 2: the acknowledgement of an update lacks our id. It is recognised by its
turn detection: the real one, or the lockout of an opening that is acknowledged late.
Rule 3: a malformed event is reported and skipped; a session ends only with its
connection.
Rule 4: formats are decided at the opening. If the server changes one later, that is
reported, and audio is converted so that the announced format stays valid; a format
that cannot be converted ends the session.

Implements `voicecore.ports.Session`; opening.py creates it.
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
"""An event, or the error of a malformed frame."""

PEER = "OpenAI Realtime"
UPDATE_ID = "voicecore-session"  #: id of the update that configures a session
UNLOCKED_ID = "voicecore-session-unlocked"  #: id of the update without a lockout that was refused
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
        requested: SessionConfig,
        restored: SessionConfig,
        lockout: Lockout,
        effective: EffectiveConfig | None,
        refusal: str | None,
    ) -> None:
        """``effective`` is None if the configuration is not acknowledged yet."""
        self._socket = socket
        self._codec = codec
        self._session_id = session_id
        self._requested = requested
        self._restored = restored
        self._unacknowledged = effective is None
        self._lock = _lock(requested, lockout, effective, refusal)
        self._user_format = _in_force(effective.input_format if effective else None, requested.input_format)
        self._agent_format = _in_force(effective.output_format if effective else None, requested.output_format)
        self._formats = {_INPUT: self._user_format, _OUTPUT: self._agent_format}  # the formats in use by the server
        self._to_server: Converter | None = None  # set if the server's format is no longer the announced one
        holds = lockout is Lockout.NONE
        self._capabilities = _capabilities(
            restored if effective is None else requested, effective, requested_holds=holds
        )
        self._translator = Translator(self._agent_format)
        self._waiting = self._translated(early)
        if refusal is not None:
            self._waiting.append(SessionNotice("lockout", f"was refused: {refusal}"))
        if effective is None:
            self._waiting.append(SessionNotice("session.updated", "did not come in time"))
        else:
            self._waiting += [SessionNotice(key, _why(key, effective)) for key in differences(requested, effective)]

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
        """Return the frame of an order; None if there is nothing to send yet."""
        if isinstance(order, AppendUserAudio):  # nearly every order
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
                events += self._reconfigured(event.session)
            elif isinstance(event, ErrorReported) and self._refuses_opening(event.error):
                events.append(_refused_late(event.error))
            else:
                events += self._translator.translate(event)
        return events

    def _refuses_opening(self, error: ErrorDetail) -> bool:
        """Whether an error refuses the configuration that is not acknowledged yet.

        An error without an event id does if it names a field: our later updates change turn detection only.
        """
        about = "" if error.event_id else error.param or ""
        configures = about.startswith("session.") and not about.startswith(f"session.{_TURN_DETECTION}")
        return self._unacknowledged and (configures or error.event_id in _OPENING_IDS)

    def _reconfigured(self, effective: EffectiveConfig) -> list[SessionEvent]:
        """Return the events for a configuration that was reported after the opening."""
        late, self._unacknowledged = self._unacknowledged, False
        lock, unlike = self._judged(effective, late=late)
        self._capabilities = _capabilities(self._restored, effective, requested_holds=lock is LockoutState.RESTORED)
        event = SessionReconfigured(capabilities=self._capabilities, lock=lock, differences=tuple(unlike))
        return [*self._follow(_INPUT, effective.input_format), *self._follow(_OUTPUT, effective.output_format), event]

    def _judged(self, effective: EffectiveConfig, *, late: bool) -> tuple[LockoutState, list[str]]:
        """Return the state of the lockout, and other differences from the requested configuration, formats apart.

        ``late``: it may acknowledge the opening or an update since then.
        """
        if (
            late
            and not _detection_differs(self._requested, effective)
            and _detection_differs(self._restored, effective)
        ):
            return LockoutState.IN_FORCE, _unlike(self._requested, effective)
        unlike = _unlike(self._restored, effective)
        if effective.turn_detection.kind is DetectionKind.NOT_REPORTED and not late:  # applied whole, or refused
            return LockoutState.RESTORED, [key for key in unlike if key != _TURN_DETECTION]
        return LockoutState.UNCONFIRMED if _detection_differs(
            self._restored, effective
        ) else LockoutState.RESTORED, unlike

    def _follow(self, key: str, reported: EffectiveFormat) -> list[SessionEvent]:
        """Convert to or from a format if it differs from the one in use."""
        before = self._formats[key]
        if reported is None or reported == before:
            return []
        if isinstance(reported, ForeignFormat):
            why = f"{key} has become {reported.name}, which cannot be converted"
            return [SessionProblem(code="audio_format", message=why, severity=Severity.FATAL)]
        self._formats[key] = reported
        if key == _INPUT:
            same = reported == self._user_format
            self._to_server = None if same else converter(self._user_format, reported)
        else:
            self._translator.follow(reported)
        return [SessionNotice(key, f"changed from {before} to {reported}; converted from now on")]


def _refused_late(error: ErrorDetail) -> SessionProblem:
    why = f"the configuration was refused after the time limit: {error.message or 'no reason given'}"
    return SessionProblem(
        code=error.code or error.type,
        message=why,
        severity=Severity.FATAL,
        request_id=error.event_id,
        param=error.param,
    )


def decoded(codec: RealtimeCodec, text: str) -> list[Read]:
    """Return the events of one frame, or the error of a malformed one."""
    try:
        return [*codec.receive(text)]
    except RemoteProtocolError as malformed:
        return [malformed]


def _in_force(reported: EffectiveFormat, requested: AudioFormat) -> AudioFormat:
    """Return the format in use when a session opens; opening has already refused foreign formats."""
    return reported if isinstance(reported, AudioFormat) else requested


def _why(key: str, effective: EffectiveConfig) -> str:
    shown = key != _TURN_DETECTION or effective.turn_detection.kind is not DetectionKind.NOT_REPORTED
    return "is not as requested" if shown else "is not reported by the provider"


def _unlike(wanted: SessionConfig, effective: EffectiveConfig) -> list[str]:
    return [key for key in differences(wanted, effective) if key not in FORMATS]


def _detection_differs(wanted: SessionConfig, effective: EffectiveConfig) -> bool:
    return any(key.startswith(_TURN_DETECTION) for key in differences(wanted, effective))


def _lock(
    requested: SessionConfig, lockout: Lockout, effective: EffectiveConfig | None, refusal: str | None
) -> LockoutState:
    if lockout is Lockout.NONE:
        return LockoutState.NOT_REQUESTED
    if refusal is not None:
        return LockoutState.REFUSED
    proved = effective is not None and not _detection_differs(requested, effective)
    return LockoutState.IN_FORCE if proved else LockoutState.UNCONFIRMED


def _capabilities(
    requested: SessionConfig, effective: EffectiveConfig | None, *, requested_holds: bool
) -> Capabilities:
    """Return what the session does by itself; if unacknowledged, the most that it might do.

    ``requested_holds``: turn detection that is not reported is as requested.
    """
    detection = None if effective is None else effective.turn_detection
    if detection is not None and detection.kind is DetectionKind.NOT_REPORTED and requested_holds:
        detection = EffectiveTurnDetection.as_requested(requested.turn_detection)
    detects = detection is None or detection.kind is not DetectionKind.OFF
    silence_ms = None if detection is None else detection.silence_duration_ms
    transcribes = None if effective is None else effective.transcribes
    return Capabilities(
        detects_turns=detects,
        replies=detects and (detection is None or detection.create_response),
        interrupts=detects and (detection is None or detection.interrupt_response),
        speaks=requested.output_modality != "text",
        transcribes_user=bool(requested.transcription) if transcribes is None else transcribes,
        silence_s=None if silence_ms is None else silence_ms / 1000,
    )


def _ended(lost: ConnectionLost) -> SessionLost:
    return SessionLost(f"the session with {PEER} ended: {lost}", code=lost.code)
