"""From OpenAI's events to voicecore's: one row for each event that means something here.

Rule 1: a row adds nothing and decides nothing; what no row names says nothing to
a call (deltas of arguments, parts, buffers of other transports).
Rule 2: audio leaves in whole samples: half a PCM16 sample waits for its other
half, and ends with its item.

Pure.  Used by session.py.
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
        self._whole: Converter = converter(agent_format, agent_format)
        self._item_id: str | None = None

    def translate(self, event: wire.ServerEvent | RemoteProtocolError) -> Sequence[ev.SessionEvent]:
        """Return what one event means; usually one event, or nothing."""
        if isinstance(event, wire.OutputAudioDelta):
            return self._audio(event)
        row = _ROWS.get(type(event))
        return row(event) if row else ()

    def _audio(self, event: wire.OutputAudioDelta) -> Sequence[ev.SessionEvent]:
        if event.item_id != self._item_id:
            self._whole.reset()
            self._item_id = event.item_id
        audio = self._whole.convert(event.delta)
        return (ev.AgentAudio(event.response_id, event.item_id, audio),) if audio else ()


def _response_started(event: wire.ResponseCreated) -> Sequence[ev.SessionEvent]:
    return (ev.ResponseStarted(event.response.id or "", event.response.request_id),)


def _item_added(event: wire.OutputItemAdded) -> Sequence[ev.SessionEvent]:
    spoken = event.item.type == "message" and event.item.id is not None
    return (ev.AgentItemAdded(event.response_id, event.item.id or ""),) if spoken else ()


def _item_done(event: wire.OutputItemDone) -> Sequence[ev.SessionEvent]:
    item = event.item
    if item.type != "function_call" or item.status == "incomplete":
        return ()
    return (ev.ToolCallRequested(event.response_id, item.call_id or "", item.name or "", item.arguments or ""),)


def _response_done(event: wire.ResponseDone) -> Sequence[ev.SessionEvent]:
    response = event.response
    details = response.status_details
    error = details.error if details else None
    ended = ev.ResponseEnded(
        response_id=response.id or "",
        status=_STATUSES.get(response.status or "", ev.ResponseStatus.FAILED),
        reason=details.reason if details else None,
        error_code=(error.code or error.type) if error else None,
        error_message=(error.message or "") if error else "",
        severity=wire.classify_error(error.code, error.type, error.message).severity if error else None,
        usage=response.usage.counted() if response.usage else None,
    )
    return (ended,)


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
    return (ev.CallerTranscriptFailed(event.item_id, event.error.code or "unnamed", event.error.message or ""),)


def _transcription_delta(event: wire.TranscriptionDelta) -> Sequence[ev.SessionEvent]:
    return (ev.CallerTranscriptPart(event.item_id, event.delta),) if event.delta else ()


_STATUSES = {status.value: status for status in ev.ResponseStatus}

_ROWS: Mapping[type, Callable[[Any], Sequence[ev.SessionEvent]]] = {
    wire.SpeechStarted: lambda e: (ev.CallerSpeechStarted(e.item_id, e.audio_start_ms),),
    wire.SpeechStopped: lambda e: (ev.CallerSpeechStopped(e.item_id, e.audio_end_ms),),
    wire.InputAudioCommitted: lambda e: (ev.CallerTurnCommitted(e.item_id, e.previous_item_id),),
    wire.InputAudioCleared: lambda _: (ev.CallerAudioDiscarded(),),
    wire.IdleTimeoutTriggered: lambda e: (ev.SilenceTimedOut(e.item_id),),
    wire.TranscriptionDelta: _transcription_delta,
    wire.TranscriptionCompleted: lambda e: (ev.CallerTranscriptDone(e.item_id, e.transcript),),
    wire.TranscriptionFailed: _transcription_failed,
    wire.ResponseCreated: _response_started,
    wire.ResponseDone: _response_done,
    wire.OutputItemAdded: _item_added,
    wire.OutputItemDone: _item_done,
    wire.OutputAudioDone: lambda e: (ev.AgentAudioEnded(e.response_id, e.item_id),),
    wire.OutputTranscriptDelta: lambda e: (ev.AgentTextPart(e.response_id, e.item_id, e.delta),),
    wire.OutputTranscriptDone: lambda e: (ev.AgentTextDone(e.response_id, e.item_id, e.transcript),),
    wire.OutputTextDelta: lambda e: (ev.AgentTextPart(e.response_id, e.item_id, e.delta),),
    wire.OutputTextDone: lambda e: (ev.AgentTextDone(e.response_id, e.item_id, e.text),),
    wire.ItemTruncated: lambda e: (ev.ItemTruncated(e.item_id, e.audio_end_ms),),
    wire.ItemDeleted: lambda e: (ev.ItemDeleted(e.item_id),),
    wire.ErrorReported: _error,
    wire.BetaNameUsed: lambda e: (ev.SessionNotice(e.name, f"an old name of {e.canonical}"),),
    wire.Unrecognised: lambda e: (ev.SessionNotice(e.name, "an event we do not know"),),
    RemoteProtocolError: lambda e: (ev.SessionNotice(e.field, e.problem),),
}
