"""Explicit nulls, field by field, as the table says and as the official types do."""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints, is_typeddict

import pytest
from openai.types.realtime.realtime_response_create_params_param import RealtimeResponseCreateParamsParam
from openai.types.realtime.realtime_session_create_request_param import RealtimeSessionCreateRequestParam

from voicecore.simulation.openai_realtime.nulls import NULLS, Null
from voicecore_tests.simulation.openai_realtime.kit import Client, Event, only

BELOW = {
    "session.audio.input.turn_detection": {"type": "server_vad"},
    "session.audio.input.transcription": {"model": "whisper-1"},
    "session.prompt": {"id": "pmpt_1"},
    "session.tools[]": {"type": "mcp", "server_label": "crm"},
    "response.prompt": {"id": "pmpt_1"},
    "response.tools[]": {"type": "mcp", "server_label": "crm"},
}
"""What an object needs beside the field that is null."""
SEMANTIC = {"type": "semantic_vad"}


def with_null(path: str) -> Event:
    """The event of a client that says null in one place."""
    value: Any = None
    names = path.split(".")
    for depth in range(len(names) - 1, -1, -1):
        name, within = names[depth], ".".join(names[:depth])
        needed = BELOW.get(within, {})
        value = {
            **(SEMANTIC if name == "eagerness" else needed),
            name.removesuffix("[]"): [value] if name.endswith("[]") else value,
        }
    kind = {"session": "session.update", "response": "response.create", "response_id": "response.cancel"}.get(names[0])
    if names[0] == "session":
        value["session"] = {"type": "realtime", **value["session"]}
    if names[0] == "previous_item_id":
        kind, value["item"] = "conversation.item.create", {"type": "message", "role": "user", "content": []}
    return {"type": kind or "input_audio_buffer.clear", **value}


@pytest.mark.parametrize("path", NULLS)
def test_a_null_is_taken_or_refused_as_the_table_says(path: str) -> None:
    """A refusal names the field, as `invalid_type`; there is no other error."""
    client = Client()
    if path == "response_id":
        client.send("response.create")
    errors = only(client.send_raw(with_null(path)), "error")
    if NULLS[path][0] is Null.REFUSED:
        assert [(each["error"]["code"], each["error"]["param"]) for each in errors] == [("invalid_type", path)]
    else:
        assert errors == []


@pytest.mark.parametrize(
    "path",
    ["session.type", "session.output_modalities", "session.tools", "session.audio", "session.audio.output.format.type"],
)
def test_a_null_without_a_row_is_refused(path: str) -> None:
    """By its path."""
    event = {"type": "session.update", "session": {"type": "realtime"}}
    place: Any = event
    *way, last = path.split(".")
    for name in way:
        place = place.setdefault(name, {})
    place[last] = None
    (error,) = only(Client().send_raw(event), "error")
    assert error["error"]["param"] == path


def test_a_null_that_is_kept_is_shown_and_one_that_is_not_given_changes_nothing() -> None:
    """The one switches off, the other says nothing."""
    client = Client()
    before = client.session.effective
    audio = {
        "input": {"turn_detection": None, "format": None, "noise_reduction": None},
        "output": {"voice": None, "speed": None, "format": None},
    }
    session = {"type": "realtime", "audio": audio, "instructions": None, "tool_choice": None, "max_output_tokens": None}
    (updated,) = only(client.send("session.update", session=session), "session.updated")
    assert updated["session"]["audio"]["input"]["turn_detection"] is None
    for path in ("instructions", "tool_choice", "max_output_tokens"):
        assert updated["session"][path] == before[path]
    assert updated["session"]["audio"]["output"] == before["audio"]["output"]


def test_a_response_whose_every_field_is_null_is_a_plain_one() -> None:
    """As clients send it that write out what they have nothing to say about."""
    client = Client()
    nulls = {path.split(".")[1]: None for path in NULLS if path.startswith("response.") and path.count(".") == 1}
    assert len(nulls) > 10
    events = client.send("response.create", response=nulls, event_id=None) + client.wait(5)
    (done,) = only(events, "response.done")
    assert done["response"]["status"] == "completed"


@pytest.mark.parametrize("path", ["session", "response"])
def test_whatever_the_official_types_let_be_null_is_taken(path: str) -> None:
    """Every such field has a row that takes it."""
    shape: Any = RealtimeSessionCreateRequestParam if path == "session" else RealtimeResponseCreateParamsParam
    found = set(nullable_fields(shape, path))
    assert found
    assert [each for each in sorted(found) if NULLS.get(each, (Null.REFUSED, ""))[0] is Null.REFUSED] == []


def nullable_fields(shape: Any, path: str) -> Iterator[str]:
    """The paths of all fields whose request type allows null."""
    for name, annotation in get_type_hints(shape, include_extras=False).items():
        at = f"{path}.{name}"
        if type(None) in parts(annotation):
            yield at
        for each, below in inner(annotation, at):
            yield from nullable_fields(each, below)


def inner(annotation: Any, path: str) -> Iterator[tuple[Any, str]]:
    """The objects inside an annotation, with where they are."""
    for part in parts(annotation):
        if is_typeddict(part):
            yield part, path
        elif get_origin(part) is not None and not path.endswith((".input", ".input[]")):
            for each in get_args(part):
                yield from inner(each, f"{path}[]")


def parts(annotation: Any) -> tuple[Any, ...]:
    """What an annotation may be."""
    if get_origin(annotation) in {Union, types.UnionType, Annotated}:
        return tuple(part for each in get_args(annotation) for part in parts(each))
    return (annotation,)
