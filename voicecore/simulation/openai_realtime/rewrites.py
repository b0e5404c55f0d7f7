"""Events as other servers and gateways send them: the twin's events, changed on their way out.

    Behaviour(rewrites=(READY_MADE["usage in floats"], replaced("session.updated", "session.audio", None)))

Rule 1: a rewrite changes the text on the wire and nothing else: the session goes on as
if it had sent the original.
Rule 2: it returns another object and leaves the one that it was given unchanged: the
session keeps that.

Each ready-made one was seen from a server, a gateway or a proxy, or is a row of the
fault matrix.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson

from voicecore.simulation.openai_realtime.json_checks import JsonObject

Rewrite = Callable[[JsonObject], JsonObject | str | None]
"""Takes an event; returns what to send for it: another object, any text, or None to send nothing."""

_LEFT_OUT: Final = object()


def left_out(kinds: str, *paths: str) -> Rewrite:
    """Omit fields from the events whose type ends with ``kinds`` (``""``: all), where they are present."""
    return _changing(kinds, paths, lambda _old: _LEFT_OUT)


def replaced(kinds: str, path: str, value: Any) -> Rewrite:
    """Replace a field that is present by a value, or by what a function makes of the old one."""
    return _changing(kinds, (path,), value if callable(value) else lambda _old: copy.deepcopy(value))


def acknowledged_formats(wire_format: Any) -> Rewrite:
    """Show this as both formats of the session in every acknowledgement, whatever they really are."""
    paths = ("session.audio.input.format", "session.audio.output.format")
    return _changing("session.updated", paths, lambda _old: copy.deepcopy(wire_format))


def with_deep_field(kinds: str, depth: int) -> Rewrite:
    """Add a field of deeply nested lists, as text: no encoder here nests that deep."""

    def rewrite(event: JsonObject) -> JsonObject | str:
        if not event["type"].endswith(kinds):
            return event
        return orjson.dumps(event).decode()[:-1] + ',"deep":' + "[" * depth + "]" * depth + "}"

    return rewrite


def dropped(kinds: str) -> Rewrite:
    """Do not send these events at all."""
    return lambda event: None if event["type"].endswith(kinds) else event


def bare_responses(event: JsonObject) -> JsonObject:
    """Show only id, status, output and metadata of a response, as one gateway does."""
    bare = {"id", "object", "status", "output", "metadata"}
    return _with(event, "response", lambda response: {key: each for key, each in response.items() if key in bare})


def flat_errors(event: JsonObject) -> JsonObject:
    """Put the fields of an error at the top level of the event, as some proxies do."""
    if event["type"] != "error":
        return event
    flat = {key: each for key, each in event["error"].items() if key in {"code", "message", "param"}}
    return {"type": "error", "event_id": event["event_id"], **flat}


def _changing(kinds: str, paths: tuple[str, ...], change: Callable[[Any], Any]) -> Rewrite:
    def rewrite(event: JsonObject) -> JsonObject:
        for path in paths if event["type"].endswith(kinds) else ():
            event = _with(event, path, change)
        return event

    return rewrite


def _with(event: JsonObject, path: str, change: Callable[[Any], Any]) -> JsonObject:
    """Return a copy with one place changed; the same where there is no such place."""
    copied: JsonObject = copy.deepcopy(event)
    *way, last = path.split(".")
    place: Any = copied
    for name in way:
        place = place.get(name) if isinstance(place, dict) else None
    if not isinstance(place, dict) or last not in place:
        return event
    new = change(place[last])
    if new is _LEFT_OUT:
        del place[last]
    else:
        place[last] = new
    return copied


def _in_floats(value: Any) -> Any:
    """Return counts as floats, however deep."""
    if isinstance(value, dict):
        return {key: _in_floats(each) for key, each in value.items()}
    return float(value) if isinstance(value, int) else value


_VAD: Final = "session.audio.input.turn_detection"

_TEXT_AS_CONTENT: Final[JsonObject] = {
    "id": "item_q",
    "type": "message",
    "role": "assistant",
    "status": "completed",
    "content": "hello there",
}
_FLAT_SESSION: Final[JsonObject] = {
    "object": "realtime.session",
    "id": "sess_flat",
    "model": "gpt-realtime-2025-08-28",
    "modalities": ["audio", "text"],
    "instructions": "...",
    "voice": "alloy",
    "input_audio_format": "pcm16",
    "output_audio_format": "pcm16",
    "input_audio_transcription": None,
    "input_audio_noise_reduction": None,
    "turn_detection": {
        "type": "server_vad",
        "threshold": 0.5,
        "prefix_padding_ms": 300,
        "silence_duration_ms": 200,
        "create_response": True,
        "interrupt_response": True,
    },
    "tools": [],
    "tool_choice": "auto",
    "temperature": 0.8,
    "max_response_output_tokens": "inf",
    "speed": 1.0,
    "tracing": None,
    "prompt": None,
    "expires_at": 1758283908,
    "client_secret": None,
    "include": None,
}
"""The session of an endpoint that speaks the retired beta shape, as it was captured."""

READY_MADE: Final[Mapping[str, Rewrite]] = {
    "usage in floats": replaced("response.done", "response.usage", _in_floats),
    "usage of 2^63": replaced("response.done", "response.usage.input_token_details", {"text_tokens": 2**63}),
    "no usage": left_out("response.done", "response.usage"),
    "bare responses": bare_responses,
    "metadata of nulls": replaced("response.done", "response.metadata", {"voicecore_request": None, "topic": None}),
    "content as a text": replaced("response.done", "response.output", [_TEXT_AS_CONTENT]),
    "output as a text": replaced("response.done", "response.output", "hello there"),
    "an unknown status": replaced("response.done", "response.status", "finished"),
    "no response in its end": left_out("response.done", "response"),
    "no id in its end": left_out("response.done", "response.id"),
    "no id in its beginning": left_out("response.created", "response.id"),
    "transcription without usage": left_out("transcription.completed", "usage", "content_index"),
    "no numbers of outputs and parts": left_out("", "output_index", "content_index"),
    "numbers of 64 bits": replaced("", "output_index", 2**64 - 1),
    "no milliseconds": left_out("", "audio_start_ms", "audio_end_ms"),
    "speech without its item": left_out("input_audio_buffer.speech_started", "item_id"),
    "no response ids": left_out(".delta", "response_id"),
    "no item ids": left_out("output_audio.delta", "item_id"),
    "items of null": replaced("response.output_item.added", "item", None),
    "items without a type": left_out("response.output_item.added", "item.type"),
    "items without an id": left_out("response.output_item.added", "item.id"),
    "turns without their item": left_out("input_audio_buffer.committed", "item_id"),
    "flat errors": flat_errors,
    "errors as texts": replaced("error", "error", lambda error: f"{error['code']}: {error['message']}"),
    "errors without a type": left_out("error", "error.type"),
    "errors of null": replaced("error", "error", None),
    "a fraction in expires_at": replaced("", "session.expires_at", 1758283908.25),
    "expires_at of 0": replaced("", "session.expires_at", 0),
    "created in the flat shape": replaced("session.created", "session", _FLAT_SESSION),
    "milliseconds as floats": replaced("", f"{_VAD}.silence_duration_ms", float),
    "created without audio": replaced("session.created", "session.audio", None),
    "created without a session": left_out("session.created", "session"),
    "updated without audio": left_out("session.updated", "session.audio"),
    "updated without a session": replaced("session.updated", "session", None),
    "formats of null": acknowledged_formats(None),
    "G.711 at 24 kHz": acknowledged_formats({"type": "audio/pcmu", "rate": 24000}),
    "formats as names": acknowledged_formats("g711_ulaw"),
    "bare turn detection": replaced("session.updated", _VAD, lambda old: old and {"type": old["type"]}),
    "event ids as numbers": replaced("", "event_id", 7),
    "depth beside speech": with_deep_field("output_audio.delta", 1_000),
}
"""By their names in tests and documentation."""
