"""What an explicit null means to the server, field by field.

Several clients write fields that they do not want to set as null.  Where the real
server is known to accept that, or not to, the row says how we know:

    types    the official package's request types allow null
    sheet    the sheet in docs/protocols/ says so
    livekit  livekit/agents sends it in ordinary use (2025), or was refused for it
    agents   openai/openai-agents-python sends it in ordinary use
    analogy  a similar field that is read the same way has one of the reasons above

Rule: a field without a row refuses null: no type allows it, and no client is known to
send it.  The refusal is `invalid_type`, as it was captured for `create_response`; the
shapes (json_checks.py) make it, and also keep the nulls that are kept.

Pure.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any, Final


class Null(enum.Enum):
    """What a null does."""

    KEPT = "kept"  #: it is a value: the feature is switched off, and shown as null
    NOT_GIVEN = "not given"  #: as if the field were omitted
    REFUSED = "refused"


_VAD: Final = "session.audio.input.turn_detection"

NULLS: Final[Mapping[str, tuple[Null, str]]] = {
    "event_id": (Null.NOT_GIVEN, "analogy"),  # to the error events of the server, which say null for "no id"
    "response": (Null.NOT_GIVEN, "sheet"),
    "response_id": (Null.NOT_GIVEN, "sheet"),
    "previous_item_id": (Null.NOT_GIVEN, "sheet"),
    # session.update
    "session.audio.input.turn_detection": (Null.KEPT, "types"),
    "session.audio.input.noise_reduction": (Null.KEPT, "sheet"),
    "session.audio.input.transcription": (Null.KEPT, "sheet"),
    "session.tracing": (Null.KEPT, "types"),
    "session.prompt": (Null.KEPT, "types"),
    "session.include": (Null.KEPT, "analogy"),
    f"{_VAD}.idle_timeout_ms": (Null.KEPT, "types"),
    f"{_VAD}.create_response": (Null.REFUSED, "livekit"),
    f"{_VAD}.interrupt_response": (Null.REFUSED, "analogy"),
    f"{_VAD}.threshold": (Null.REFUSED, "livekit"),
    f"{_VAD}.prefix_padding_ms": (Null.REFUSED, "livekit"),
    f"{_VAD}.silence_duration_ms": (Null.REFUSED, "livekit"),
    f"{_VAD}.eagerness": (Null.REFUSED, "livekit"),
    "session.audio.input.format": (Null.NOT_GIVEN, "agents"),  # on calls that it joins by their id
    "session.audio.output.format": (Null.NOT_GIVEN, "agents"),
    "session.audio.output.speed": (Null.NOT_GIVEN, "agents"),
    "session.audio.output.voice": (Null.NOT_GIVEN, "agents"),
    "session.audio.input.transcription.language": (Null.NOT_GIVEN, "agents"),
    "session.audio.input.transcription.prompt": (Null.NOT_GIVEN, "analogy"),
    "session.max_output_tokens": (Null.NOT_GIVEN, "livekit"),
    "session.tool_choice": (Null.NOT_GIVEN, "agents"),
    "session.instructions": (Null.NOT_GIVEN, "agents"),
    "session.prompt.version": (Null.KEPT, "agents"),
    "session.prompt.variables": (Null.KEPT, "agents"),
    "session.tools[].allowed_callers": (Null.KEPT, "types"),
    "session.tools[].allowed_tools": (Null.KEPT, "types"),
    "session.tools[].headers": (Null.KEPT, "types"),
    "session.tools[].require_approval": (Null.KEPT, "types"),
    # response.create
    "response.instructions": (Null.NOT_GIVEN, "livekit"),  # each reply that it requests without instructions
    "response.metadata": (Null.KEPT, "types"),
    "response.prompt": (Null.KEPT, "types"),
    "response.audio": (Null.NOT_GIVEN, "analogy"),  # this row and those below: to instructions, metadata and prompt
    "response.audio.output": (Null.NOT_GIVEN, "analogy"),
    "response.audio.output.format": (Null.NOT_GIVEN, "analogy"),
    "response.audio.output.voice": (Null.NOT_GIVEN, "analogy"),
    "response.conversation": (Null.NOT_GIVEN, "analogy"),
    "response.input": (Null.NOT_GIVEN, "analogy"),
    "response.max_output_tokens": (Null.NOT_GIVEN, "analogy"),
    "response.output_modalities": (Null.NOT_GIVEN, "analogy"),
    "response.parallel_tool_calls": (Null.NOT_GIVEN, "analogy"),
    "response.reasoning": (Null.NOT_GIVEN, "analogy"),
    "response.tool_choice": (Null.NOT_GIVEN, "analogy"),
    "response.tools": (Null.NOT_GIVEN, "analogy"),
    "response.prompt.version": (Null.KEPT, "agents"),
    "response.prompt.variables": (Null.KEPT, "agents"),
    "response.tools[].allowed_callers": (Null.KEPT, "types"),
    "response.tools[].allowed_tools": (Null.KEPT, "types"),
    "response.tools[].headers": (Null.KEPT, "types"),
    "response.tools[].require_approval": (Null.KEPT, "types"),
}
"""Meaning and source by dotted path; ``[]`` is any index of a list."""


def without_nulls(value: Any, path: str = "") -> Any:
    """Return what a client sent without the nulls that mean nothing."""
    if isinstance(value, list):
        return [without_nulls(each, f"{path}[]") for each in value]
    if not isinstance(value, dict):
        return value
    at = {name: f"{path}.{name}" if path else name for name in value}
    return {
        name: without_nulls(each, at[name])
        for name, each in value.items()
        if each is not None or NULLS.get(at[name], _NO_ROW)[0] is not Null.NOT_GIVEN
    }


_NO_ROW: Final = (Null.REFUSED, "")
