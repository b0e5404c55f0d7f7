"""Encodes reports as JSON, whatever values are in them, so that a record can always be written.

Rule 1: values that JSON can represent in 64 bits and UTF-8 are written unchanged.
Rule 2: other values are written in the nearest valid form: a lone surrogate as
U+FFFD, an integer beyond 64 bits as the nearest float, NaN and infinity as null,
anything else as its text.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from typing import Any

import attrs
import orjson

_LEAST, _MOST = -(2**63), 2**64 - 1
_DEPTH = 100  #: nesting limit; a report has six levels


def json_of(value: attrs.AttrsInstance, option: int = 0, **before: int) -> bytes:
    """Return an attrs value as a JSON object, with the fields of ``before`` first. No value makes it fail."""
    plain = {**before, **attrs.asdict(value, value_serializer=_plain)}
    try:
        return orjson.dumps(plain, option=option)
    except TypeError:  # orjson's error is a TypeError
        return orjson.dumps(clean(plain), option=option)


def clean(value: Any, depth: int = 0) -> Any:
    """Return a value that every JSON encoder accepts."""
    if isinstance(value, enum.Enum):
        value = value.value
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return int(value) if _LEAST <= value <= _MOST else _float(value)
    if isinstance(value, str | bytes | bytearray) or depth >= _DEPTH:
        return _text(value if isinstance(value, str) else repr(value))
    if isinstance(value, Mapping):
        return {_key(key): clean(inner, depth + 1) for key, inner in value.items()}
    return [clean(inner, depth + 1) for inner in value] if isinstance(value, Iterable) else _text(repr(value))


def _plain(_owner: object, _field: object, value: Any) -> Any:
    return value.value if isinstance(value, enum.Enum) else value


def _key(key: object) -> str:
    if isinstance(key, enum.Enum):
        key = key.value
    return _text(key if isinstance(key, str) else str(key))


def _text(text: str) -> str:
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _float(number: int) -> float | None:
    try:
        return float(number)
    except OverflowError:
        return None
