"""The provider's official types: whether they accept what we send, and everything that the server may send.

Rule 1: the official models let unknown keys pass, so every key is looked at here.
Rule 2: a server event is built from its model's annotations, so that a new
field or event in a newer package is tested the day it is installed.

Used by the tests of this room.
"""

from __future__ import annotations

import base64
import json
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from hypothesis import strategies as st
from openai.types.realtime import RealtimeClientEvent, RealtimeServerEvent, ResponseAudioDeltaEvent
from pydantic import BaseModel, TypeAdapter

from voicecore.wire.fields import LARGEST_WHOLE

JsonObject = dict[str, Any]

_CLIENT_EVENTS: TypeAdapter[Any] = TypeAdapter(RealtimeClientEvent)

#: Fields whose text has a form that the annotations do not tell.
_FORMS: Mapping[tuple[type[BaseModel], str], st.SearchStrategy[Any]] = {
    (ResponseAudioDeltaEvent, "delta"): st.binary(max_size=40).map(lambda audio: base64.b64encode(audio).decode())
}


def json_values(max_leaves: int = 8) -> st.SearchStrategy[Any]:
    """Any JSON value."""
    numbers = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
    leaves = st.none() | st.booleans() | numbers | st.text(max_size=8)
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
        max_leaves=max_leaves,
    )


# --- judging what we send --------------------------------------------------------


def accepted(text: str) -> JsonObject:
    """Return a frame of ours as JSON; fails when the official types refuse it or do not know a key of it."""
    event = _CLIENT_EVENTS.validate_json(text, strict=True)
    unknown = list(_unknown_keys(event, ""))
    assert not unknown, f"keys that the API does not know: {unknown}"
    frame: JsonObject = json.loads(text)
    return frame


def _unknown_keys(value: object, path: str) -> Iterator[str]:
    if isinstance(value, BaseModel):
        yield from (f"{path}.{name}" for name in value.model_extra or {})
        for name in type(value).model_fields:
            yield from _unknown_keys(value.__dict__[name], f"{path}.{name}")
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from _unknown_keys(each, f"{path}[{index}]")


# --- building what the server sends -------------------------------------------------


def server_event_models() -> dict[str, type[BaseModel]]:
    """Return the official model of every server event, by its name on the wire."""
    union = get_args(RealtimeServerEvent)[0]
    return {get_args(model.model_fields["type"].annotation)[0]: model for model in get_args(union)}


def instances(model: type[BaseModel]) -> st.SearchStrategy[JsonObject]:
    """Build objects that the model accepts: required fields always, optional ones now and then, null or not."""
    required: dict[str, st.SearchStrategy[Any]] = {}
    optional: dict[str, st.SearchStrategy[Any]] = {}
    for name, field in model.model_fields.items():
        form = _FORMS.get((model, name))
        strategy = _values(field.annotation) if form is None else form
        (required if field.is_required() else optional)[field.alias or name] = strategy
    return st.fixed_dictionaries(required, optional=optional)


def _values(annotation: Any) -> st.SearchStrategy[Any]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return st.deferred(lambda: instances(annotation))
    compound = _COMPOUNDS.get(get_origin(annotation))
    return _SCALARS[annotation] if compound is None else compound(get_args(annotation))


def _one_of(choices: tuple[Any, ...]) -> st.SearchStrategy[Any]:
    return st.one_of([_values(each) for each in choices])


_COMPOUNDS: Mapping[Any, Callable[[tuple[Any, ...]], st.SearchStrategy[Any]]] = {
    Annotated: lambda arguments: _values(arguments[0]),
    Union: _one_of,
    types.UnionType: _one_of,
    Literal: st.sampled_from,
    list: lambda arguments: st.lists(_values(arguments[0]), max_size=2),
    dict: lambda arguments: st.dictionaries(_values(arguments[0]), _values(arguments[1]), max_size=2),
}

_SCALARS: Mapping[Any, st.SearchStrategy[Any]] = {
    str: st.text(max_size=12),
    int: st.integers(0, LARGEST_WHOLE),
    float: st.floats(0, 1e6) | st.integers(0, 10_000),
    bool: st.booleans(),
    object: json_values(3),
    type(None): st.none(),
}


def whole_example(model: type[BaseModel]) -> JsonObject:
    """Build one object with every field that the model has, none of them null; the same each time."""
    built: JsonObject = {}
    for name, field in model.model_fields.items():
        is_audio = (model, name) in _FORMS
        built[field.alias or name] = base64.b64encode(b"\x7f" * 8).decode() if is_audio else _example(field.annotation)
    return built


def _example(annotation: Any) -> Any:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return whole_example(annotation)
    if origin is Literal:
        return arguments[0]
    if origin is list:
        return [_example(arguments[0])]
    if origin is dict:
        return {"key": _example(arguments[1])}
    if origin in {Annotated, Union, types.UnionType}:
        return _example(next(each for each in arguments if each is not type(None)))
    return {str: "word", int: 7, float: 0.5, bool: True, object: 7}[annotation]
