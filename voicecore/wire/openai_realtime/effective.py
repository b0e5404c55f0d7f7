"""What a session really is: the configuration that the server echoes, held against the one asked for.

Rule 1: an update counts when its echo agrees, not when nothing complained.
Rule 2: turn detection must be echoed: wrong, it cuts or mutes the first message.
Of everything else, formats too, an echo that leaves it out says nothing, and what
was asked for holds.
Rule 3: what the server may rightly echo in other words is not compared: the
model (an alias becomes a dated name), tracing, truncation and limits; of tools
only which there are.
Rule 4: a field of the wrong shape says nothing either, and is noted.

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
"""Relative: the server may hold 0.6 in 32 bits and echo 0.6000000238."""


class DetectionKind(enum.Enum):
    """Who notices the ends of the user's turns."""

    OFF = "off"
    SERVER_VAD = "server_vad"
    SEMANTIC_VAD = "semantic_vad"
    OTHER = "other"  #: a kind that is not known here
    NOT_REPORTED = "not_reported"


@attrs.frozen(kw_only=True)
class EffectiveTurnDetection:
    """Turn detection in force; what the echo leaves out counts as the API's default, which is true."""

    kind: DetectionKind
    create_response: bool
    interrupt_response: bool
    silence_duration_ms: int | None = None
    """The silence that ends a turn; None: not echoed, or not a fixed one."""

    @classmethod
    def as_asked(cls, wanted: TurnDetection | None) -> EffectiveTurnDetection:
        """Return what an echo would show where it shows what was asked for."""
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
    """The session as the server echoed it, as far as it did."""

    id: str | None
    type: str | None
    model: str | None
    expires_at: int | None
    """Unix time in seconds at which the session ends, whatever happens."""
    input_format: EffectiveFormat
    output_format: EffectiveFormat
    turn_detection: EffectiveTurnDetection
    transcribes: bool | None
    """Whether the user's words are transcribed; None: not echoed."""
    transcription_model: str | None
    output_modalities: tuple[str, ...] | None
    voice: str | None
    """The name of a built-in voice, the id of a custom one."""
    tools: tuple[tuple[str, str], ...] | None
    """Kind and name (of a remote server: its label) of each tool."""
    echo: Mapping[str, Any] = attrs.field(repr=False)
    """The object itself."""

    @classmethod
    def read(cls, session: Fields) -> EffectiveConfig:
        """Read the ``session`` of session.created or session.updated, as far as it can be read."""
        hearing, speaking = session.inside("audio").inside("input"), session.inside("audio").inside("output")
        return cls(
            id=session.spare(Fields.text, "id", None),
            type=session.spare(Fields.text, "type", None),
            model=session.spare(Fields.text, "model", None),
            expires_at=session.spare(Fields.whole, "expires_at", None),
            input_format=_format(hearing, session, "input_audio_format"),
            output_format=_format(speaking, session, "output_audio_format"),
            turn_detection=_turn_detection(hearing),
            transcribes="transcription" in hearing if "transcription" in hearing.raw else None,
            transcription_model=hearing.inside("transcription").spare(Fields.text, "model", None),
            output_modalities=session.spare(Fields.texts, "output_modalities", None),
            voice=speaking.spare(_voice, "voice", None),
            tools=session.spare(_tools, "tools", None),
            echo=session.raw,
        )


def differences(wanted: SessionConfig, effective: EffectiveConfig) -> list[str]:
    """Return the dotted keys in which a session is not what was asked for; empty when it is."""
    found = []
    if effective.input_format not in {None, wanted.input_format}:
        found.append("audio.input.format")
    found += _turn_detection_differences(wanted.turn_detection, effective)
    if effective.output_format not in {None, wanted.output_format}:
        found.append("audio.output.format")
    wire = wanted.to_wire()
    for path in _COMPARED:
        asked, echoed = _at(wire, path), _at(effective.echo, path)
        if asked is not _ABSENT and echoed is not _ABSENT:
            found += _unequal(asked, echoed, ".".join(path))
    if isinstance(wanted.tools, tuple) and effective.tools is not None:
        found += ["tools"] if sorted(map(tool_key, wanted.tools)) != sorted(effective.tools) else []
    return found


# --- reading ------------------------------------------------------------------


def _format(direction: Fields, session: Fields, beta_shape: str) -> EffectiveFormat:
    """Return the format of a direction, also where it is a name alone, or stands where it once stood."""
    if isinstance(direction.raw.get("format"), str):
        return format_from_wire(direction.text("format"))
    if "format" not in direction:
        return format_from_wire(session.spare(Fields.text, beta_shape, None))
    wire = direction.inside("format")
    return format_from_wire(wire.spare(Fields.text, "type", None), wire.spare(Fields.whole, "rate", None))


def _turn_detection(hearing: Fields) -> EffectiveTurnDetection:
    wire = hearing.inside("turn_detection")
    create = wire.spare(Fields.boolean, "create_response", None)
    interrupt = wire.spare(Fields.boolean, "interrupt_response", None)
    kind = _detection_kind(hearing, wire)
    detects = kind is not DetectionKind.OFF
    return EffectiveTurnDetection(
        kind=kind,
        create_response=detects if create is None else create,
        interrupt_response=detects if interrupt is None else interrupt,
        silence_duration_ms=wire.spare(Fields.whole, "silence_duration_ms", None),
    )


def _detection_kind(hearing: Fields, wire: Fields) -> DetectionKind:
    if "turn_detection" in hearing:
        named = wire.spare(Fields.text, "type", None)
        known = {DetectionKind.SERVER_VAD.value, DetectionKind.SEMANTIC_VAD.value}
        return DetectionKind(named) if named in known else DetectionKind.OTHER
    return DetectionKind.OFF if "turn_detection" in hearing.raw else DetectionKind.NOT_REPORTED


def _voice(speaking: Fields, name: str) -> str:
    return speaking.child(name).text("id") if isinstance(speaking.raw.get(name), dict) else speaking.text(name)


def _tools(session: Fields, name: str) -> tuple[tuple[str, str], ...]:
    return session.entries(name, _tool)


def _tool(tool: Fields) -> tuple[str, str]:
    kind = tool.spare(Fields.text, "type", "function")
    return kind, tool.spare(Fields.text, "server_label" if kind == "mcp" else "name", "")


# --- comparing -----------------------------------------------------------------

_ABSENT: Final = object()


def _at(value: object, path: tuple[str, ...]) -> object:
    for name in path:
        if not isinstance(value, Mapping) or name not in value:
            return _ABSENT
        value = value[name]
    return value


def _turn_detection_differences(wanted: TurnDetection | None, effective: EffectiveConfig) -> list[str]:
    """Compare every field that is echoed: one that we leave out must be null, or an earlier value has stayed.

    A flag that the echo leaves out has the API's default, which is true.
    """
    kind = effective.turn_detection.kind
    if wanted is None:
        return [] if kind is DetectionKind.OFF else [_TURN_DETECTION]
    if kind.value != wanted.wire_type:
        return [_TURN_DETECTION]
    echoed = _at(effective.echo, ("audio", "input", "turn_detection"))
    found = []
    for name, value in attrs.asdict(wanted, recurse=False).items():
        shown = _at(echoed, (name,))
        if shown is _ABSENT:
            shown = True if isinstance(value, bool) else value
        if not _same(value, shown):
            found.append(f"{_TURN_DETECTION}.{name}")
    return found


def _unequal(asked: object, echoed: object, path: str) -> Iterator[str]:
    """Yield the paths at which an echo says something else; what it leaves out is no difference."""
    if isinstance(asked, Mapping) and isinstance(echoed, Mapping):
        for name, value in asked.items():
            if name in echoed:
                yield from _unequal(value, echoed[name], f"{path}.{name}")
    elif not _same(asked, echoed):
        yield path


def _same(asked: object, echoed: object) -> bool:
    if _is_number(asked) and _is_number(echoed):
        return math.isclose(asked, echoed, rel_tol=_FLOAT_TOLERANCE)
    return type(asked) is type(echoed) and asked == echoed


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


NOTHING_ECHOED: Final = EffectiveConfig.read(Fields({}, ""))
"""A session of which nothing was said."""
