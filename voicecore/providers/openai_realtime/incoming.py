"""From OpenAI's events to voicecore's: one row for each event that means something here.

Rule 1: a row adds nothing and decides nothing; what no row names says nothing to
a call (deltas of arguments, parts, buffers of other transports).
Rule 2: audio leaves in whole samples: half a PCM16 sample waits for its other
half, and ends with its item.
Rule 3: audio leaves in the format that the session announced, also where the server
has changed to another since: from the next response on it is converted.
Rule 4: how a response ended is read from whatever says it; an end that says nothing
known, and no error, is one of a response that was complete: what was said was said.

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
    """Translates the events of one session."""

    def __init__(self, agent_format: AudioFormat) -> None:
        self._announced = agent_format
        self._next: Converter | None = None  # from the next response on
        self._converter: Converter = converter(agent_format, agent_format)
        self._response_id: str | None = None
        self._item_id: str | None = None

    def follow(self, agent_format: AudioFormat) -> None:
        """Expect another format from the next response on."""
        self._next = converter(agent_format, self._announced)

    def translate(self, event: wire.ServerEvent | RemoteProtocolError) -> Sequence[ev.SessionEvent]:
        """Return what one event means; usually one event, or nothing."""
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
        """Another item: what is left of the one before is not its own."""
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
        return (ev.SessionNotice("response.output_item.done.item", "is a tool call without its id or name"),)
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
    return (ended, ev.SessionNotice("response.done.response.status", "is none that we know"))


def _status(told: str | None, details: wire.StatusDetails) -> ev.ResponseStatus:
    known = _STATUSES.get(told or "") or _STATUSES.get(details.type or "") or _REASONS.get(details.reason or "")
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
    wire.BetaNameUsed: lambda e: (ev.SessionNotice(e.name, f"an old name of {e.canonical}"),),
    wire.Unrecognised: lambda e: (ev.SessionNotice(e.name, "an event we do not know"),),
    wire.FieldIgnored: lambda e: (ev.SessionNotice(e.name, e.problem),),
    RemoteProtocolError: _malformed,
}
