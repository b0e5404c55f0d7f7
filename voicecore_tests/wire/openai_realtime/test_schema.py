"""Annotations as shapes: what may be absent, what must be there, what has no meaning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
import pytest

from voicecore.errors import RemoteProtocolError
from voicecore.wire.fields import Fields
from voicecore.wire.openai_realtime.schema import Schema


@attrs.frozen(kw_only=True)
class Inner:
    name: str


@attrs.frozen(kw_only=True)
class Outer:
    number: int
    ratio: float
    payload: bytes
    inner: Inner
    inners: tuple[Inner, ...]
    words: tuple[str, ...]
    labels: Mapping[str, str]
    note: str | None
    maybe: Inner | None


GOOD: dict[str, Any] = {
    "number": 1,
    "ratio": 2,
    "payload": "AAE=",
    "inner": {"name": "a", "ignored": 1},
    "inners": [{"name": "b"}],
    "words": ["c"],
    "labels": {"d": "e"},
}


def read(value: dict[str, Any]) -> Outer:
    return Schema({}).reader(Outer)(Fields(value, "somebody"))


def test_every_annotation_has_its_shape() -> None:
    """Scalars, base64, objects, lists and maps; what no class mentions is not read."""
    assert read(GOOD) == Outer(
        number=1,
        ratio=2.0,
        payload=b"\x00\x01",
        inner=Inner(name="a"),
        inners=(Inner(name="b"),),
        words=("c",),
        labels={"d": "e"},
        note=None,
        maybe=None,
    )


def test_only_what_may_be_none_may_be_absent_or_null() -> None:
    """Null and absent are the same to a reader."""
    assert read(GOOD | {"note": None, "maybe": None}) == read(GOOD)
    for name in GOOD:
        with pytest.raises(RemoteProtocolError) as caught:
            read(GOOD | {name: None})
        assert caught.value.field == name


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"inners": [{"name": "b"}, {}]}, "inners.1.name"),
        ({"inners": [1]}, "inners.0"),
        ({"words": ["c", 1]}, "words"),
        ({"labels": {"d": 1}}, "labels.d"),
        ({"maybe": {"name": 1}}, "maybe.name"),
        ({"note": 1}, "note"),
    ],
)
def test_what_is_wrong_is_named_by_its_path(change: dict[str, Any], field: str) -> None:
    """List positions and map keys are part of the path."""
    with pytest.raises(RemoteProtocolError) as caught:
        read(GOOD | change)
    assert caught.value.field == field


@attrs.frozen
class Choice:
    either: int | str


@attrs.frozen
class Odd:
    thing: set[int]


@pytest.mark.parametrize("shape", [Choice, Odd])
def test_an_annotation_without_meaning_fails_before_any_message(shape: type[attrs.AttrsInstance]) -> None:
    """A shape that cannot be read is found when the module is imported."""
    with pytest.raises(TypeError, match=r"shape|choice"):
        Schema({}).reader(shape)
