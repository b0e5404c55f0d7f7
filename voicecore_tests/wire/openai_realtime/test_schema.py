"""Annotations as shapes: what may be absent, what must be there, what has no meaning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import attrs
import pytest

from voicecore.errors import RemoteProtocolError
from voicecore.wire.fields import Fields
from voicecore.wire.openai_realtime.schema import Schema


@attrs.frozen(kw_only=True)
class Inner:
    name: str
    note: str | None = None


@attrs.frozen(kw_only=True)
class Needed:
    number: int
    ratio: float
    payload: bytes
    inner: Inner
    inners: tuple[Inner, ...]
    words: tuple[str, ...]
    labels: Mapping[str, str]


@attrs.frozen(kw_only=True)
class Spared:
    number: int | None = None
    ratio: float = 0.5
    payload: bytes | None = None
    inner: Inner | None = None
    inners: tuple[Inner, ...] = ()
    words: tuple[str, ...] | None = None
    labels: Mapping[str, str] | None = None


GOOD: dict[str, Any] = {
    "number": 1,
    "ratio": 2,
    "payload": "AAE=",
    "inner": {"name": "a", "ignored": 1},
    "inners": [{"name": "b"}],
    "words": ["c"],
    "labels": {"d": "e"},
}


def read(shape: type[attrs.AttrsInstance], value: dict[str, Any]) -> tuple[Any, dict[str, str]]:
    """Return what is read, and what is noted."""
    fields = Fields(value, "somebody")
    return Schema({}).reader(shape)(fields), fields.noted


@pytest.mark.parametrize("shape", [Needed, Spared])
def test_every_annotation_has_its_shape(shape: type[attrs.AttrsInstance]) -> None:
    """Scalars, base64, objects, lists and maps; what no class mentions is not read."""
    expected = cast("Any", shape)(
        number=1,
        ratio=2.0,
        payload=b"\x00\x01",
        inner=Inner(name="a"),
        inners=(Inner(name="b"),),
        words=("c",),
        labels={"d": "e"},
    )
    assert read(shape, GOOD) == (expected, {})


@pytest.mark.parametrize("name", GOOD)
def test_a_field_without_a_default_costs_its_object(name: str) -> None:
    """Absent, null or wrong."""
    for broken in (without(name), GOOD | {name: None}, GOOD | {name: WRONG_FOR[name]}):
        with pytest.raises(RemoteProtocolError) as caught:
            read(Needed, broken)
        assert caught.value.field.startswith(name)


@pytest.mark.parametrize("name", GOOD)
def test_a_field_with_a_default_costs_nothing(name: str) -> None:
    """Absent or null it is its default, and that is no news; wrong it is that too, and is noted."""
    default = getattr(Spared(), name)
    whole, _ = read(Spared, GOOD)
    for absent in (without(name), GOOD | {name: None}):
        assert read(Spared, absent) == (attrs.evolve(whole, **{name: default}), {})
    spared, noted = read(Spared, GOOD | {name: WRONG_FOR[name]})
    assert spared == attrs.evolve(whole, **{name: default})
    assert len(noted) == 1
    assert next(iter(noted)).startswith(name)


WRONG_FOR: dict[str, Any] = {
    "number": "1",
    "ratio": True,
    "payload": "A",
    "inner": {},
    "inners": {},
    "words": "c",
    "labels": [],
}


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in GOOD.items() if key != name}


@pytest.mark.parametrize(
    ("change", "left", "noted"),
    [
        ({"inners": [{"name": "b"}, {}, 7]}, {"inners": (Inner(name="b"),)}, ["inners[].name", "inners[]"]),
        ({"inners": [{"name": "b", "note": 1}]}, {"inners": (Inner(name="b"),)}, ["inners[].note"]),
        ({"words": ["c", 1]}, {"words": ("c",)}, ["words"]),
        ({"labels": {"d": "e", "f": None}}, {"labels": {"d": "e"}}, ["labels"]),
        ({"number": 7.9}, {"number": 7}, ["number"]),
        ({"number": 7.0}, {"number": 7}, []),
    ],
)
@pytest.mark.parametrize("shape", [Needed, Spared])
def test_of_a_list_or_a_map_only_the_odd_entry_is_lost(
    shape: type[attrs.AttrsInstance], change: dict[str, Any], left: dict[str, Any], noted: list[str]
) -> None:
    """Named without its place, and without a key that the peer made up."""
    value, names = read(shape, GOOD | change)
    assert {name: getattr(value, name) for name in left} == left
    assert list(names) == noted


@attrs.frozen
class Choice:
    either: int | str


@attrs.frozen
class Odd:
    thing: set[int]


@pytest.mark.parametrize("shape", [Choice, Odd])
def test_an_annotation_without_meaning_fails_before_any_message(shape: type[attrs.AttrsInstance]) -> None:
    """A shape that cannot be read is found when the module is imported."""
    with pytest.raises(TypeError, match=r"not supported|union"):
        Schema({}).reader(shape)
