"""The effective session configuration, as the server reports it, and how it differs from the requested one.

Rule 1: an update counts as applied only if the effective configuration agrees with it.
Rule 2: turn detection must be reported, because a wrong one would cut or mute the
first message. Any other field that the server leaves out, formats included, is
taken to be as requested.
Rule 3: fields that the server may legitimately rewrite are not compared: the model
(an alias becomes a dated name), tracing, truncation and limits. Tools are compared
by name only.
Rule 4: a field of the wrong type counts as left out, and is noted.

Facts: OpenAI Realtime, sections session object, session.update rules, turn detection.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeGuard

import attrs

from voicecore.wire.fields import Fields
from voicecore.wire.openai_realtime.config import SessionConfig
from voicecore.wire.openai_realtime.formats import EffectiveFormat, format_from_wire
from voicecore.wire.openai_realtime.parts import ServerVad, TurnDetection
from voicecore.wire.openai_realtime.tools import tool_key

_TURN_DETECTION: Final = "audio.input.turn_detection"
_COMPARED: Final = (
    ("output_modalities",),
    ("instructions",),
    ("tool_choice",),
    ("audio", "input", "noise_reduction"),
    ("audio", "input", "transcription"),
    ("audio", "output", "voice"),
    ("audio", "output", "speed"),
)
_FLOAT_TOLERANCE: Final = 1e-6
"""Relative: a server that stores 0.6 in 32 bits reports 0.6000000238."""


class DetectionKind(enum.Enum):
    """The kind of turn detection."""

    OFF = "off"
    SERVER_VAD = "server_vad"
    SEMANTIC_VAD = "semantic_vad"
    OTHER = "other"  #: a kind that we do not know
    NOT_REPORTED = "not_reported"


@attrs.frozen(kw_only=True)
class EffectiveTurnDetection:
    """Turn detection in force; flags that the server leaves out have the API's default, true."""

    kind: DetectionKind
    create_response: bool
    interrupt_response: bool
    silence_duration_ms: int | None = None
    """The silence that ends a turn; None: not reported, or no fixed length."""

    @classmethod
    def as_requested(cls, wanted: TurnDetection | None) -> EffectiveTurnDetection:
        """Return the value that reports exactly what was requested."""
        if wanted is None:
            return cls(kind=DetectionKind.OFF, create_response=False, interrupt_response=False)
        return cls(
            kind=DetectionKind(wanted.wire_type),
            create_response=wanted.create_response,
            interrupt_response=wanted.interrupt_response,
            silence_duration_ms=wanted.silence_duration_ms if isinstance(wanted, ServerVad) else None,
        )


@attrs.frozen(kw_only=True)
class EffectiveConfig:
    """The session configuration that the server reported, as far as it did."""

    id: str | None
    type: str | None
    model: str | None
    expires_at: int | None
    """Unix time in seconds at which the server ends the session."""
    input_format: EffectiveFormat
    output_format: EffectiveFormat
    turn_detection: EffectiveTurnDetection
    transcribes: bool | None
    """Whether the user's speech is transcribed; None: not reported."""
    transcription_model: str | None
    output_modalities: tuple[str, ...] | None
    voice: str | None
    """The name of a built-in voice, or the id of a custom one."""
    tools: tuple[tuple[str, str], ...] | None
    """Kind and name of each tool; for a remote server, its label."""
    reported: Mapping[str, Any] = attrs.field(repr=False)
    """The session object as it was sent."""

    @classmethod
    def read(cls, session: Fields) -> EffectiveConfig:
        """Read the ``session`` of session.created or session.updated, as far as possible."""
        hearing, speaking = (
            session.optional_child("audio").optional_child("input"),
            session.optional_child("audio").optional_child("output"),
        )
        return cls(
            id=session.optional(Fields.text, "id", None),
            type=session.optional(Fields.text, "type", None),
            model=session.optional(Fields.text, "model", None),
            expires_at=session.optional(Fields.whole, "expires_at", None),
            input_format=_format(hearing, session, "input_audio_format"),
            output_format=_format(speaking, session, "output_audio_format"),
            turn_detection=_turn_detection(hearing),
            transcribes="transcription" in hearing if "transcription" in hearing.raw else None,
            transcription_model=hearing.optional_child("transcription").optional(Fields.text, "model", None),
            output_modalities=session.optional(Fields.texts, "output_modalities", None),
            voice=speaking.optional(_voice, "voice", None),
            tools=session.optional(_tools, "tools", None),
            reported=session.raw,
        )


def differences(wanted: SessionConfig, effective: EffectiveConfig) -> list[str]:
    """Return the dotted keys in which the effective configuration differs from the requested one."""
    found = []
    if effective.input_format not in {None, wanted.input_format}:
        found.append("audio.input.format")
    found += _turn_detection_differences(wanted.turn_detection, effective)
    if effective.output_format not in {None, wanted.output_format}:
        found.append("audio.output.format")
    wire = wanted.to_wire()
    for path in _COMPARED:
        requested, reported = _at(wire, path), _at(effective.reported, path)
        if requested is not _ABSENT and reported is not _ABSENT:
            found += _unequal(requested, reported, ".".join(path))
    if isinstance(wanted.tools, tuple) and effective.tools is not None:
        found += ["tools"] if sorted(map(tool_key, wanted.tools)) != sorted(effective.tools) else []
    return found


# --- reading ------------------------------------------------------------------


def _format(direction: Fields, session: Fields, beta_shape: str) -> EffectiveFormat:
    """Return the format of a direction, also if it is a bare name or in its beta location."""
    if isinstance(direction.raw.get("format"), str):
        return format_from_wire(direction.text("format"))
    if "format" not in direction:
        return format_from_wire(session.optional(Fields.text, beta_shape, None))
    wire = direction.optional_child("format")
    return format_from_wire(wire.optional(Fields.text, "type", None), wire.optional(Fields.whole, "rate", None))


def _turn_detection(hearing: Fields) -> EffectiveTurnDetection:
    wire = hearing.optional_child("turn_detection")
    create = wire.optional(Fields.boolean, "create_response", None)
    interrupt = wire.optional(Fields.boolean, "interrupt_response", None)
    kind = _detection_kind(hearing, wire)
    detects = kind is not DetectionKind.OFF
    return EffectiveTurnDetection(
        kind=kind,
        create_response=detects if create is None else create,
        interrupt_response=detects if interrupt is None else interrupt,
        silence_duration_ms=wire.optional(Fields.whole, "silence_duration_ms", None),
    )


def _detection_kind(hearing: Fields, wire: Fields) -> DetectionKind:
    if "turn_detection" in hearing:
        named = wire.optional(Fields.text, "type", None)
        known = {DetectionKind.SERVER_VAD.value, DetectionKind.SEMANTIC_VAD.value}
        return DetectionKind(named) if named in known else DetectionKind.OTHER
    return DetectionKind.OFF if "turn_detection" in hearing.raw else DetectionKind.NOT_REPORTED


def _voice(speaking: Fields, name: str) -> str:
    return speaking.child(name).text("id") if isinstance(speaking.raw.get(name), dict) else speaking.text(name)


def _tools(session: Fields, name: str) -> tuple[tuple[str, str], ...]:
    return session.entries(name, _tool)


def _tool(tool: Fields) -> tuple[str, str]:
    kind = tool.optional(Fields.text, "type", "function")
    return kind, tool.optional(Fields.text, "server_label" if kind == "mcp" else "name", "")


# --- comparing -----------------------------------------------------------------

_ABSENT: Final = object()


def _at(value: object, path: tuple[str, ...]) -> object:
    for name in path:
        if not isinstance(value, Mapping) or name not in value:
            return _ABSENT
        value = value[name]
    return value


def _turn_detection_differences(wanted: TurnDetection | None, effective: EffectiveConfig) -> list[str]:
    """Compare every reported field. One that we leave out must be null; otherwise an earlier value is still in force.

    A flag that the server leaves out has the API's default, which is true.
    """
    kind = effective.turn_detection.kind
    if wanted is None:
        return [] if kind is DetectionKind.OFF else [_TURN_DETECTION]
    if kind.value != wanted.wire_type:
        return [_TURN_DETECTION]
    reported = _at(effective.reported, ("audio", "input", "turn_detection"))
    found = []
    for name, value in attrs.asdict(wanted, recurse=False).items():
        shown = _at(reported, (name,))
        if shown is _ABSENT:
            shown = True if isinstance(value, bool) else value
        if not _same(value, shown):
            found.append(f"{_TURN_DETECTION}.{name}")
    return found


def _unequal(requested: object, reported: object, path: str) -> Iterator[str]:
    """Yield the paths that are reported with another value; fields left out are not differences."""
    if isinstance(requested, Mapping) and isinstance(reported, Mapping):
        for name, value in requested.items():
            if name in reported:
                yield from _unequal(value, reported[name], f"{path}.{name}")
    elif not _same(requested, reported):
        yield path


def _same(requested: object, reported: object) -> bool:
    if _is_number(requested) and _is_number(reported):
        return math.isclose(requested, reported, rel_tol=_FLOAT_TOLERANCE)
    return type(requested) is type(reported) and requested == reported


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


NOTHING_REPORTED: Final = EffectiveConfig.read(Fields({}, ""))
"""A configuration of which nothing was reported."""
