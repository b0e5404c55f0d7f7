"""Translates OpenAI's server events into voicecore's session events, by table.

Rule 1: a row translates and decides nothing; events without a row do not concern a
call (deltas of arguments, content parts, buffers of other transports).
Rule 2: audio is passed on in whole samples: half a PCM16 sample waits for its other
half, and is dropped at the end of its item.
Rule 3: audio is passed on in the format that the session announced. If the server
changes its format, audio is converted from the next response on.
Rule 4: the end of a response is read from status, status details and reason. If none
of them is known and there is no error, the response counts as completed.

Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from voicecore import events as ev
from voicecore.audio.convert import Converter, converter
from voicecore.audio.formats import AudioFormat
from voicecore.errors import RemoteProtocolError
from voicecore.wire import openai_realtime as wire


class Translator:
    """The translator of one session."""

    def __init__(self, agent_format: AudioFormat) -> None:
        self._announced = agent_format
        self._next: Converter | None = None  # from the next response on
        self._converter: Converter = converter(agent_format, agent_format)
        self._response_id: str | None = None
        self._item_id: str | None = None

    def follow(self, agent_format: AudioFormat) -> None:
        """Convert from another server format, from the next response on."""
        self._next = converter(agent_format, self._announced)

    def translate(self, event: wire.ServerEvent | RemoteProtocolError) -> Sequence[ev.SessionEvent]:
        """Translate one event; usually into one event, or none."""
        if isinstance(event, wire.OutputAudioDelta):
            return self._audio(event)
        if isinstance(event, wire.OutputAudioDone):
            return self._audio_done(event)
        row = _ROWS.get(type(event))
        return row(event) if row else ()

    def _audio(self, event: wire.OutputAudioDelta) -> Sequence[ev.SessionEvent]:
        if event.item_id != self._item_id:
            self._begin(event)
        audio = self._converter.convert(event.delta)
        return (ev.AgentAudio(event.response_id, event.item_id, audio),) if audio else ()

    def _begin(self, event: wire.OutputAudioDelta) -> None:
        """Begin another item: half a sample of the previous one does not belong to it."""
        if self._next is not None and event.response_id != self._response_id:
            self._converter, self._next = self._next, None
        self._converter.reset()
        self._response_id, self._item_id = event.response_id, event.item_id

    def _audio_done(self, event: wire.OutputAudioDone) -> Sequence[ev.SessionEvent]:
        ended = ev.AgentAudioEnded(event.response_id, event.item_id)
        tail = self._converter.flush() if event.item_id == self._item_id else b""
        return (ev.AgentAudio(event.response_id, event.item_id, tail), ended) if tail else (ended,)


def _response_started(event: wire.ResponseCreated) -> Sequence[ev.SessionEvent]:
    return (ev.ResponseStarted(event.response.id, event.response.request_id),)


def _item_added(event: wire.OutputItemAdded) -> Sequence[ev.SessionEvent]:
    spoken = event.item.type == "message" and event.item.id is not None
    return (ev.AgentItemAdded(event.response_id, event.item.id or ""),) if spoken else ()


def _item_done(event: wire.OutputItemDone) -> Sequence[ev.SessionEvent]:
    item = event.item
    if item.type != "function_call" or item.status == "incomplete":
        return ()
    if item.call_id is None or item.name is None:
        return (ev.SessionNotice("response.output_item.done.item", "is a tool call without id or name"),)
    return (ev.ToolCallRequested(event.response_id, item.call_id, item.name, item.arguments or ""),)


def _response_done(event: wire.ResponseDone) -> Sequence[ev.SessionEvent]:
    response = event.response
    details = response.status_details or wire.StatusDetails()
    error = details.error
    ended = ev.ResponseEnded(
        response_id=response.id,
        status=_status(response.status, details),
        reason=details.reason,
        error_code=(error.code or error.type) if error else None,
        error_message=(error.message or "") if error else "",
        severity=wire.classify_error(error.code, error.type, error.message).severity if error else None,
        usage=response.usage.counted() if response.usage else None,
    )
    if response.status in _STATUSES:
        return (ended,)
    return (ended, ev.SessionNotice("response.done.response.status", "is unknown"))


def _status(given: str | None, details: wire.StatusDetails) -> ev.ResponseStatus:
    known = _STATUSES.get(given or "") or _STATUSES.get(details.type or "") or _REASONS.get(details.reason or "")
    return known or (ev.ResponseStatus.FAILED if details.error else ev.ResponseStatus.COMPLETED)


def _error(event: wire.ErrorReported) -> Sequence[ev.SessionEvent]:
    error = event.error
    problem = ev.SessionProblem(
        code=error.code or error.type,
        message=error.message,
        severity=wire.classify_error(error.code, error.type, error.message).severity,
        request_id=error.event_id,
        param=error.param,
    )
    return (problem,)


def _transcription_failed(event: wire.TranscriptionFailed) -> Sequence[ev.SessionEvent]:
    error = event.error
    return (ev.UserTranscriptFailed(event.item_id, error.code or error.type or "unnamed", error.message or ""),)


def _transcription_delta(event: wire.TranscriptionDelta) -> Sequence[ev.SessionEvent]:
    return (ev.UserTranscriptPart(event.item_id, event.delta),) if event.delta else ()


def _malformed(error: RemoteProtocolError) -> Sequence[ev.SessionEvent]:
    return (ev.SessionNotice(error.field or "a message", f"{error.problem}; the event is lost"),)


_STATUSES = {status.value: status for status in ev.ResponseStatus}
_REASONS = {
    "turn_detected": ev.ResponseStatus.CANCELLED,
    "client_cancelled": ev.ResponseStatus.CANCELLED,
    "max_output_tokens": ev.ResponseStatus.INCOMPLETE,
    "content_filter": ev.ResponseStatus.INCOMPLETE,
}

_ROWS: Mapping[type, Callable[[Any], Sequence[ev.SessionEvent]]] = {
    wire.SpeechStarted: lambda e: (ev.UserSpeechStarted(e.item_id or "", e.audio_start_ms),),
    wire.SpeechStopped: lambda e: (ev.UserSpeechStopped(e.item_id or "", e.audio_end_ms),),
    wire.InputAudioCommitted: lambda e: (ev.UserTurnCommitted(e.item_id, e.previous_item_id),),
    wire.InputAudioCleared: lambda _: (ev.UserAudioDiscarded(),),
    wire.IdleTimeoutTriggered: lambda e: (ev.SilenceTimedOut(e.item_id or ""),),
    wire.TranscriptionDelta: _transcription_delta,
    wire.TranscriptionCompleted: lambda e: (ev.UserTranscriptDone(e.item_id, e.transcript),),
    wire.TranscriptionFailed: _transcription_failed,
    wire.ResponseCreated: _response_started,
    wire.ResponseDone: _response_done,
    wire.OutputItemAdded: _item_added,
    wire.OutputItemDone: _item_done,
    wire.OutputTranscriptDelta: lambda e: (ev.AgentTextPart(e.response_id, e.item_id, e.delta),),
    wire.OutputTranscriptDone: lambda e: (ev.AgentTextDone(e.response_id, e.item_id, e.transcript),),
    wire.OutputTextDelta: lambda e: (ev.AgentTextPart(e.response_id, e.item_id, e.delta),),
    wire.OutputTextDone: lambda e: (ev.AgentTextDone(e.response_id, e.item_id, e.text),),
    wire.ItemTruncated: lambda e: (ev.ItemTruncated(e.item_id, e.audio_end_ms),),
    wire.ItemDeleted: lambda e: (ev.ItemDeleted(e.item_id),),
    wire.ErrorReported: _error,
    wire.BetaNameUsed: lambda e: (ev.SessionNotice(e.name, f"a deprecated name of {e.canonical}"),),
    wire.Unrecognised: lambda e: (ev.SessionNotice(e.name, "an unknown event"),),
    wire.FieldIgnored: lambda e: (ev.SessionNotice(e.name, e.problem),),
    RemoteProtocolError: _malformed,
}
