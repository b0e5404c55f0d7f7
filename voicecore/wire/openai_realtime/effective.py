"""What a session really is: the configuration that the server echoes, held against the one asked for.

Rule 1: an update counts when its echo agrees, not when nothing complained.
Rule 2: formats and turn detection must be echoed; of everything else an echo
that leaves it out says nothing.  Wrong formats are static for the whole call,
wrong turn detection cuts or mutes the first message.
Rule 3: what the server may rightly echo in other words is not compared: the
model (an alias becomes a dated name), tracing, truncation and limits; of tools
only which there are.

Facts: OpenAI Realtime, sections session object, session.update rules, turn detection.
Used by server_events.py and the provider.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeGuard

import attrs

from voicecore.audio.formats import AudioFormat
from voicecore.wire.fields import Fields
from voicecore.wire.openai_realtime.config import SessionConfig
from voicecore.wire.openai_realtime.formats import format_from_wire
from voicecore.wire.openai_realtime.parts import TurnDetection
from voicecore.wire.openai_realtime.schema import texts
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
    """Who notices the ends of the caller's turns."""

    OFF = "off"
    SERVER_VAD = "server_vad"
    SEMANTIC_VAD = "semantic_vad"
    OTHER = "other"  #: a kind that is not known here
    NOT_ECHOED = "not_echoed"


@attrs.frozen(kw_only=True)
class EchoedTurnDetection:
    """Turn detection in force; what the echo leaves out counts as the API's default, which is true."""

    kind: DetectionKind
    create_response: bool
    interrupt_response: bool
    silence_duration_ms: int | None = None
    """The silence that ends a turn; None: not echoed, or not a fixed one."""


@attrs.frozen(kw_only=True)
class EffectiveConfig:
    """The session as the server echoed it, as far as it did."""

    id: str | None
    type: str | None
    model: str | None
    expires_at: int | None
    """Unix time in seconds at which the session ends, whatever happens."""
    input_format: AudioFormat | None
    """None: not echoed, or none that this API is known to speak."""
    output_format: AudioFormat | None
    turn_detection: EchoedTurnDetection
    transcription_model: str | None
    """None: the caller's words are not transcribed."""
    output_modalities: tuple[str, ...] | None
    voice: str | None
    """The name of a built-in voice, the id of a custom one."""
    tools: tuple[tuple[str, str], ...] | None
    """Kind and name (of a remote server: its label) of each tool."""
    echo: Mapping[str, Any] = attrs.field(repr=False)
    """The object itself."""

    @classmethod
    def read(cls, session: Fields) -> EffectiveConfig:
        """Read the ``session`` of session.created or session.updated.

        Raises:
            RemoteProtocolError: A field that is there has the wrong type.
        """
        audio = _child(session, "audio")
        hearing, speaking = _child(audio, "input"), _child(audio, "output")
        return cls(
            id=session.optional_text("id"),
            type=session.optional_text("type"),
            model=session.optional_text("model"),
            expires_at=session.optional_integer("expires_at"),
            input_format=_format(hearing),
            output_format=_format(speaking),
            turn_detection=_turn_detection(hearing),
            transcription_model=_child(hearing, "transcription").optional_text("model"),
            output_modalities=texts(session, "output_modalities") if "output_modalities" in session else None,
            voice=_voice(speaking),
            tools=_tools(session),
            echo=session.raw,
        )


def differences(wanted: SessionConfig, effective: EffectiveConfig) -> list[str]:
    """Return the dotted keys in which a session is not what was asked for; empty when it is."""
    found = []
    if effective.input_format != wanted.input_format:
        found.append("audio.input.format")
    found += _turn_detection_differences(wanted.turn_detection, effective)
    if effective.output_format != wanted.output_format:
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


def _child(fields: Fields, name: str) -> Fields:
    """Return an object inside another, an empty one where it is absent or null."""
    return fields.optional_child(name) or Fields({}, fields.peer, fields.path(name))


def _format(direction: Fields) -> AudioFormat | None:
    wire = _child(direction, "format")
    return format_from_wire(wire.optional_text("type"), wire.optional_integer("rate"))


def _turn_detection(hearing: Fields) -> EchoedTurnDetection:
    wire = _child(hearing, "turn_detection")
    create, interrupt = wire.optional_boolean("create_response"), wire.optional_boolean("interrupt_response")
    kind = _detection_kind(hearing, wire)
    detects = kind is not DetectionKind.OFF
    return EchoedTurnDetection(
        kind=kind,
        create_response=detects if create is None else create,
        interrupt_response=detects if interrupt is None else interrupt,
        silence_duration_ms=wire.optional_count("silence_duration_ms"),
    )


def _detection_kind(hearing: Fields, wire: Fields) -> DetectionKind:
    if "turn_detection" in hearing:
        named = wire.optional_text("type")
        known = {DetectionKind.SERVER_VAD.value, DetectionKind.SEMANTIC_VAD.value}
        return DetectionKind(named) if named in known else DetectionKind.OTHER
    return DetectionKind.OFF if "turn_detection" in hearing.raw else DetectionKind.NOT_ECHOED


def _voice(speaking: Fields) -> str | None:
    if isinstance(speaking.raw.get("voice"), dict):
        return speaking.child("voice").text("id")
    return speaking.optional_text("voice")


def _tools(session: Fields) -> tuple[tuple[str, str], ...] | None:
    if "tools" not in session:
        return None
    return tuple(_tool(each) for each in session.children("tools"))


def _tool(tool: Fields) -> tuple[str, str]:
    kind = tool.optional_text("type") or "function"
    named = tool.optional_text("server_label" if kind == "mcp" else "name")
    return kind, named or ""


# --- comparing -----------------------------------------------------------------

_ABSENT: Final = object()


def _at(value: object, path: tuple[str, ...]) -> object:
    for name in path:
        if not isinstance(value, Mapping) or name not in value:
            return _ABSENT
        value = value[name]
    return value


def _turn_detection_differences(wanted: TurnDetection | None, effective: EffectiveConfig) -> list[str]:
    """Compare every field: one that we leave out must be absent or null, or an earlier value has stayed."""
    kind = effective.turn_detection.kind
    if wanted is None:
        return [] if kind is DetectionKind.OFF else [_TURN_DETECTION]
    if kind.value != wanted.wire_type:
        return [_TURN_DETECTION]
    echoed = _at(effective.echo, ("audio", "input", "turn_detection"))
    asked = attrs.asdict(wanted, recurse=False)
    return [
        f"{_TURN_DETECTION}.{name}" for name, value in asked.items() if not _same(value, _none_if_absent(echoed, name))
    ]


def _none_if_absent(value: object, name: str) -> object:
    found = _at(value, (name,))
    return None if found is _ABSENT else found


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
