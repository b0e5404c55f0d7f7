"""The session object: its defaults, what an update may contain, and how an update is merged.

Rule 1: an update is checked as a whole before anything of it is merged.
Rule 2: records merge deeply, an explicit null stays null; formats, tools, choices and
other tagged objects are replaced as a whole.
Rule 3: what a partial turn_detection object does to the fields that it omits is not
documented; `PartialTurnDetection` chooses what this server does.

Facts: OpenAI Realtime, sections session object, session.update rules, turn detection.
Pure.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from voicecore.audio.formats import PCM16_24K, PCMA_8K, PCMU_8K, AudioFormat
from voicecore.simulation.openai_realtime.behaviour import PartialTurnDetection
from voicecore.simulation.openai_realtime.json_checks import (
    JsonObject,
    Refused,
    anything,
    choice,
    either,
    flag,
    invalid_value,
    many,
    nullable,
    number,
    record,
    tagged,
    text,
    whole,
)

VOICES = ("alloy", "ash", "ballad", "coral", "echo", "sage", "shimmer", "verse", "marin", "cedar")
DEFAULT_INSTRUCTIONS = "Your knowledge cutoff is 2023-10. You are a helpful, witty, and friendly AI."

_FORMATS = {"audio/pcm": PCM16_24K, "audio/pcmu": PCMU_8K, "audio/pcma": PCMA_8K}
_VAD_DEFAULTS: Mapping[str, JsonObject] = {
    "server_vad": {
        "type": "server_vad",
        "threshold": 0.5,
        "prefix_padding_ms": 300,
        "silence_duration_ms": 500,
        "idle_timeout_ms": None,
        "create_response": True,
        "interrupt_response": True,
    },
    "semantic_vad": {
        "type": "semantic_vad",
        "eagerness": "auto",
        "create_response": True,
        "interrupt_response": True,
    },
}

_FORMAT = tagged(
    {
        "audio/pcm": record({"type": text, "rate": choice(24000)}),
        "audio/pcmu": record({"type": text}),
        "audio/pcma": record({"type": text}),
    }
)
_TURN_DETECTION = tagged(
    {
        "server_vad": record(
            {
                "type": text,
                "threshold": number(0, 1),
                "prefix_padding_ms": whole(0, 60_000),
                "silence_duration_ms": whole(0, 60_000),
                "idle_timeout_ms": nullable(whole(5_000, 30_000)),
                "create_response": flag,
                "interrupt_response": flag,
            }
        ),
        "semantic_vad": record(
            {
                "type": text,
                "eagerness": choice("low", "medium", "high", "auto"),
                "create_response": flag,
                "interrupt_response": flag,
            }
        ),
    }
)
_TRANSCRIPTION = record(
    {
        "model": text,
        "language": text,
        "languages": many(text),
        "keywords": many(text),
        "prompt": text,
        "delay": choice("minimal", "low", "medium", "high", "xhigh"),
    }
)
_NOISE_REDUCTION = record({"type": choice("near_field", "far_field"), "strength": number(0, 1)})
_VOICE = either(choice(*VOICES), record({"id": text}, required=("id",)))
_MCP_FIELDS = (
    "type", "server_label", "server_url", "connector_id", "tunnel_id", "authorization", "headers",
    "allowed_tools", "allowed_callers", "require_approval", "server_description", "defer_loading",
)  # fmt: skip
_TOOL = tagged(
    {
        "function": record(
            {"type": text, "name": text, "description": text, "parameters": anything}, required=("name",)
        ),
        "mcp": record(dict.fromkeys(_MCP_FIELDS, anything), required=("server_label",)),
    }
)
_TOOL_CHOICE = either(
    choice("none", "auto", "required"),
    tagged(
        {
            "function": record({"type": text, "name": text}, required=("name",)),
            "mcp": record({"type": text, "server_label": text, "name": text}, required=("server_label",)),
        }
    ),
)
_MODALITIES = many(choice("audio", "text"))
_MAX_TOKENS = either(lambda value, path: value if value == "inf" else whole(1, 4096)(value, path), anything)
_REASONING = record({"effort": choice("minimal", "low", "medium", "high", "xhigh")})
_PROMPT = nullable(record({"id": text, "version": nullable(text), "variables": anything}, required=("id",)))

_SESSION = record(
    {
        "type": choice("realtime"),
        "model": text,
        "instructions": text,
        "output_modalities": _MODALITIES,
        "audio": record(
            {
                "input": record(
                    {
                        "format": _FORMAT,
                        "noise_reduction": nullable(_NOISE_REDUCTION),
                        "transcription": nullable(_TRANSCRIPTION),
                        "turn_detection": nullable(_TURN_DETECTION),
                    }
                ),
                "output": record({"format": _FORMAT, "voice": _VOICE, "speed": number(0.25, 1.5)}),
            }
        ),
        "tools": many(_TOOL),
        "tool_choice": _TOOL_CHOICE,
        "parallel_tool_calls": flag,
        "reasoning": _REASONING,
        "max_output_tokens": _MAX_TOKENS,
        "truncation": either(
            choice("auto", "disabled"), record(dict.fromkeys(("type", "retention_ratio", "token_limits"), anything))
        ),
        "tracing": nullable(
            either(choice("auto"), record(dict.fromkeys(("workflow_name", "group_id", "metadata"), anything)))
        ),
        "prompt": _PROMPT,
        "include": nullable(many(choice("item.input_audio_transcription.logprobs"))),
    },
    required=("type",),
)


def _metadata(value: Any, path: str) -> JsonObject:
    """Accept at most 16 pairs of text, keys up to 64 and values up to 512 characters."""
    if not isinstance(value, dict) or len(value) > 16:
        raise invalid_value(path, "expected an object with at most 16 entries")
    for key, each in value.items():
        if len(key) > 64 or not isinstance(each, str) or len(each) > 512:
            raise invalid_value(f"{path}.{key}", "keys have at most 64 characters, values are text of at most 512")
    return value


RESPONSE = record(
    {
        "audio": record({"output": record({"format": _FORMAT, "voice": _VOICE})}),
        "conversation": choice("auto", "none"),
        "input": many(anything),
        "instructions": text,
        "max_output_tokens": _MAX_TOKENS,
        "metadata": nullable(_metadata),
        "output_modalities": _MODALITIES,
        "parallel_tool_calls": flag,
        "prompt": _PROMPT,
        "reasoning": _REASONING,
        "tool_choice": _TOOL_CHOICE,
        "tools": many(_TOOL),
    }
)
"""What `response.create` may carry; no turn detection here."""


def default_session(*, session_id: str, model: str, expires_at: int) -> JsonObject:
    """Return what `session.created` shows: server VAD on, PCM at 24 kHz both ways."""
    return {
        "type": "realtime",
        "object": "realtime.session",
        "id": session_id,
        "model": model,
        "expires_at": expires_at,
        "output_modalities": ["audio"],
        "instructions": DEFAULT_INSTRUCTIONS,
        "tools": [],
        "tool_choice": "auto",
        "max_output_tokens": "inf",
        "truncation": "auto",
        "tracing": None,
        "prompt": None,
        "include": None,
        "audio": {
            "input": {
                "format": {"type": "audio/pcm", "rate": 24000},
                "noise_reduction": None,
                "transcription": None,
                "turn_detection": dict(_VAD_DEFAULTS["server_vad"]),
            },
            "output": {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "marin", "speed": 1.0},
        },
    }


def check_update(patch: Any, effective: JsonObject, *, voice_in_use: Any | None) -> JsonObject:
    """Return the checked update.

    Args:
        patch: The `session` of a `session.update`.
        effective: The configuration in force.
        voice_in_use: The voice that has already spoken; None before the first audio.

    Raises:
        Refused: Anything in it is not allowed; then nothing of it applies.
    """
    checked: JsonObject = _SESSION(patch, "session")
    _refuse_both_modalities(checked, "session")
    # NB: the real server's codes for a changed model or tracing were never recorded; the general code is used.
    if checked.get("model", effective["model"]) != effective["model"]:
        raise invalid_value("session.model", "the model cannot be changed during a session")
    if effective["tracing"] is not None and checked.get("tracing", effective["tracing"]) != effective["tracing"]:
        raise invalid_value("session.tracing", "tracing cannot be changed once it is on")
    voice = checked.get("audio", {}).get("output", {}).get("voice")
    if voice_in_use is not None and voice is not None and voice != voice_in_use:
        raise voice_refused()
    return checked


def voice_refused() -> Refused:
    """Return the refusal of an update that names a voice too late."""
    return Refused("cannot_update_voice", "Cannot update a conversation's voice if assistant audio is present.")


def check_response(request: Any) -> JsonObject:
    """Return the `response` of a `response.create` as the server keeps it; raises Refused."""
    checked: JsonObject = RESPONSE(request, "response")
    _refuse_both_modalities(checked, "response")
    return checked


def merge_update(effective: JsonObject, checked: JsonObject, partial: PartialTurnDetection) -> JsonObject:
    """Return the configuration after a checked update; the arguments stay as they are."""
    merged = copy.deepcopy(effective)
    given = copy.deepcopy(checked)
    given_input, given_output = given.get("audio", {}).get("input", {}), given.get("audio", {}).get("output", {})
    given.pop("audio", None)
    merged.update(given)
    mine = merged["audio"]["input"]
    if given_input.get("turn_detection") is not None:
        given_input["turn_detection"] = _complete_vad(given_input["turn_detection"], mine["turn_detection"], partial)
    for name, defaults in (("noise_reduction", {"strength": 1.0}), ("transcription", {})):
        if given_input.get(name) is not None:
            given_input[name] = {**(mine[name] or defaults), **given_input[name]}
    mine.update(given_input)
    merged["audio"]["output"].update(given_output)
    for side in merged["audio"].values():
        if side["format"]["type"] == "audio/pcm":
            side["format"]["rate"] = 24000
    return merged


def audio_format(described: JsonObject) -> AudioFormat:
    """Return the format that a checked `format` object describes."""
    return _FORMATS[described["type"]]


def _complete_vad(given: JsonObject, present: JsonObject | None, partial: PartialTurnDetection) -> JsonObject:
    keeps = partial is PartialTurnDetection.MERGED and present is not None and present["type"] == given["type"]
    base = present if keeps and present is not None else _VAD_DEFAULTS[given["type"]]
    return {**base, **given}


def _refuse_both_modalities(checked: JsonObject, path: str) -> None:
    if len(checked.get("output_modalities", ["audio"])) != 1:
        raise invalid_value(f"{path}.output_modalities", "supported combinations are ['text'] and ['audio']")
