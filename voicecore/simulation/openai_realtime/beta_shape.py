"""The flat session shape of the retired beta API, read as what it used to mean.

Rule: this translates and checks nothing; what it does not know stays where it is, and
is refused by the check of the whole update.

Facts: OpenAI Realtime, section beta → GA names.
Pure.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from voicecore.simulation.openai_realtime.json_checks import JsonObject

_PLACES: Mapping[str, tuple[str, ...]] = {
    "turn_detection": ("audio", "input", "turn_detection"),
    "input_audio_format": ("audio", "input", "format"),
    "input_audio_transcription": ("audio", "input", "transcription"),
    "input_audio_noise_reduction": ("audio", "input", "noise_reduction"),
    "output_audio_format": ("audio", "output", "format"),
    "voice": ("audio", "output", "voice"),
    "speed": ("audio", "output", "speed"),
    "modalities": ("output_modalities",),
    "max_response_output_tokens": ("max_output_tokens",),
}
_FORMATS: Mapping[str, JsonObject] = {
    "pcm16": {"type": "audio/pcm", "rate": 24000},
    "g711_ulaw": {"type": "audio/pcmu"},
    "g711_alaw": {"type": "audio/pcma"},
}


def nested(flat: JsonObject) -> JsonObject:
    """Return a session in the GA shape; ``temperature``, which GA does not have, is dropped."""
    session: JsonObject = {"type": "realtime", **copy.deepcopy(flat)}
    session.pop("temperature", None)
    for name, (*path, last) in _PLACES.items():
        if name in session and (place := _inner(session, path)) is not None:
            place[last] = _translated(name, session.pop(name))
    return session


def without_turn_detection(flat: JsonObject) -> JsonObject:
    """Return the session without its flat `turn_detection`."""
    return {"type": "realtime", **{key: value for key, value in flat.items() if key != "turn_detection"}}


def _inner(session: JsonObject, path: list[str]) -> JsonObject | None:
    """Return the object at ``path``, created if missing; None where something else is there."""
    for key in path:
        inner = session.setdefault(key, {})
        if not isinstance(inner, dict):
            return None
        session = inner
    return session


def _translated(name: str, value: Any) -> Any:
    if name in {"input_audio_format", "output_audio_format"} and isinstance(value, str):
        return _FORMATS.get(value, value)
    if name == "modalities" and isinstance(value, list) and "audio" in value:
        return ["audio"]  # usually together with "text"
    return value
