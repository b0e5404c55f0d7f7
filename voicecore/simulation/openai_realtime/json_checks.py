"""What the real server checks in a JSON value, and the messages with which it refuses one.

A `Shape` takes a value and its dotted path and returns the value as the server
keeps it, or raises `Refused`.  Small shapes build large ones.

Rule 1: a refusal carries the server's code and path; nothing is changed before the
whole message has passed.
Rule 2: an unknown key is `unknown_parameter`, a missing one
`missing_required_parameter`, a null where none is allowed `invalid_type`, anything else
`invalid_value`, each with its path.
Rule 3: an explicit null that is allowed stays a null; see also nulls.py.

Codes: OpenAI Realtime, sections session.update rules and errors.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any

JsonObject = dict[str, Any]
Shape = Callable[[Any, str], Any]


class Refused(Exception):
    """The server refuses a client event; becomes an `error` event and never leaves this package."""

    def __init__(self, code: str | None, message: str, param: str | None = None) -> None:
        self.code = code
        self.message = message
        self.param = param
        super().__init__(message)


def invalid_value(path: str, problem: str) -> Refused:
    """Return the refusal of a value with the right name and the wrong content."""
    return Refused("invalid_value", f"Invalid value for '{path}': {problem}.", path)


def anything(value: Any, path: str) -> Any:  # noqa: ARG001 - the signature of every shape
    """Accept any JSON value."""
    return value


def text(value: Any, path: str) -> str:
    """Accept a string."""
    if not isinstance(value, str):
        raise invalid_value(path, "expected a string")
    return value


def audio_bytes(value: Any, path: str) -> bytes:
    """Accept base64 text and return the decoded bytes."""
    try:
        return base64.b64decode(text(value, path), validate=True)
    except ValueError as exc:
        raise invalid_value(path, "expected base64-encoded audio") from exc


def flag(value: Any, path: str) -> bool:
    """Accept true or false."""
    if not isinstance(value, bool):
        raise invalid_value(path, "expected a boolean")
    return value


def number(low: float, high: float) -> Shape:
    """Accept a number from ``low`` to ``high``, both included."""

    def check(value: Any, path: str) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise invalid_value(path, f"expected a number from {low} to {high}")
        return value

    return check


def whole(low: int, high: int) -> Shape:
    """Accept an integer from ``low`` to ``high``, both included."""

    def check(value: Any, path: str) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise invalid_value(path, f"expected an integer from {low} to {high}")
        return value

    return check


def choice(*allowed: Any) -> Shape:
    """Accept one of the named values."""

    def check(value: Any, path: str) -> Any:
        if isinstance(value, dict | list) or value not in allowed:
            raise invalid_value(path, f"supported values are {', '.join(repr(each) for each in allowed)}")
        return value

    return check


def nullable(shape: Shape) -> Shape:
    """Accept null, and what ``shape`` accepts."""
    return lambda value, path: None if value is None else shape(value, path)


def either(words: Shape, record_shape: Shape) -> Shape:
    """Accept an object by ``record_shape`` and anything else by ``words``."""
    return lambda value, path: record_shape(value, path) if isinstance(value, dict) else words(value, path)


def many(shape: Shape) -> Shape:
    """Accept a list whose every entry has the shape."""

    def check(value: Any, path: str) -> list[Any]:
        if not isinstance(value, list):
            raise invalid_value(path, "expected an array")
        return [shape(each, f"{path}[{index}]") for index, each in enumerate(value)]

    return check


def record(fields: Mapping[str, Shape], required: tuple[str, ...] = ()) -> Shape:
    """Accept an object with these fields and no others."""

    def check(value: Any, path: str) -> JsonObject:
        if not isinstance(value, dict):
            raise invalid_value(path, "expected an object")
        for key in required:
            if key not in value:
                raise Refused(
                    "missing_required_parameter", f"Missing required parameter: '{_at(path, key)}'.", _at(path, key)
                )
        for key in value:
            if key not in fields:
                raise Refused("unknown_parameter", f"Unknown parameter: '{_at(path, key)}'.", _at(path, key))
        return {key: _field(fields[key], each, _at(path, key)) for key, each in value.items()}

    return check


def _field(shape: Shape, value: Any, path: str) -> Any:
    try:
        return shape(value, path)
    except Refused:
        if value is None:
            raise Refused("invalid_type", f"Invalid type for '{path}': got null instead of a value.", path) from None
        raise


def tagged(kinds: Mapping[str, Shape], tag: str = "type") -> Shape:
    """Accept an object whose ``tag`` names one of several shapes."""
    find_kind = choice(*kinds)

    def check(value: Any, path: str) -> JsonObject:
        if not isinstance(value, dict):
            raise invalid_value(path, "expected an object")
        if tag not in value:
            raise Refused(
                "missing_required_parameter", f"Missing required parameter: '{_at(path, tag)}'.", _at(path, tag)
            )
        kind = find_kind(value[tag], _at(path, tag))
        checked: JsonObject = kinds[kind](value, path)
        return checked

    return check


def _at(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key
