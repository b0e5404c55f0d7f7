"""The official client's own types as a judge of what the twin sends.

Strict: every event must be valid for its type without any conversion, and must
hold no key that the type does not know.
"""

from __future__ import annotations

import typing
from collections.abc import Iterator, Mapping
from typing import Any

import orjson
from openai.types.realtime import RealtimeServerEvent, RealtimeSessionCreateResponse
from pydantic import BaseModel

_REPORTED_BESIDE_THE_REQUEST = {"id", "object", "expires_at"}  #: of a session; known to the response type only


def _models() -> Mapping[str, type[BaseModel]]:
    union = typing.get_args(RealtimeServerEvent)[0]
    return {typing.get_args(model.model_fields["type"].annotation)[0]: model for model in typing.get_args(union)}


MODELS = _models()


def check_event(event: Mapping[str, Any]) -> None:
    """Assert that the event is one of the official types, to the letter."""
    assert event["type"] in MODELS, f"{event['type']} is no server event"
    judged = MODELS[event["type"]].model_validate_json(orjson.dumps(event), strict=True)
    unknown = set(_unknown_keys(judged, ""))
    if "session" in event:
        RealtimeSessionCreateResponse.model_validate_json(orjson.dumps(event["session"]), strict=True)
        unknown -= {f".session.{key}" for key in _REPORTED_BESIDE_THE_REQUEST}
    assert not unknown, f"{event['type']} holds keys that its type does not know: {sorted(unknown)}"


def _unknown_keys(value: object, path: str) -> Iterator[str]:
    if isinstance(value, BaseModel):
        yield from (f"{path}.{key}" for key in value.model_extra or ())
        for name in value.model_fields_set - set(value.model_extra or ()):
            yield from _unknown_keys(value.__dict__[name], f"{path}.{name}")
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from _unknown_keys(each, f"{path}[{index}]")
