"""Reading JSON: a value, or one error that names the field."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicecore.errors import RemoteProtocolError
from voicecore.wire.fields import LARGEST_WHOLE, Fields, parse_object

READERS: dict[str, Callable[[Fields, str], Any]] = {
    "text": Fields.text,
    "number": Fields.number,
    "boolean": Fields.boolean,
    "count": Fields.count,
    "whole": Fields.whole,
    "texts": Fields.texts,
    "texts_by_name": Fields.texts_by_name,
    "base64": Fields.base64,
    "child": Fields.child,
    "entries": lambda fields, name: fields.entries(name, lambda entry: entry.text("id")),
}
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        '"text"',
        "{",
        '{"a":NaN}',
        '{"a":"\\ud800"}',
        "[" * 100_000,
        '{"a":' * 100_000,
        "\ud800",
        "{'a': 1}",
    ],
    ids=["empty", "null", "list", "string", "cut", "nan", "surrogate", "deep", "deep-objects", "not-unicode", "quotes"],
)
def test_s36_hostile_json_is_the_one_declared_error(text: str) -> None:
    """Fast, and never a RecursionError."""
    with pytest.raises(RemoteProtocolError, match="peer-x sent an illegal message: not "):
        parse_object(text, "peer-x")


def test_s36_a_number_of_5000_digits_and_doubled_keys_do_no_harm() -> None:
    """The one is refused, of the other the last one counts."""
    with pytest.raises(RemoteProtocolError, match="not JSON"):
        parse_object('{"a":' + "9" * 5000 + "}", "p")
    assert parse_object('{"b":1,"b":2}', "p").whole("b") == 2


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("text", 1),
        ("whole", "1"),
        ("whole", True),
        ("whole", -1.5),
        ("number", "x"),
        ("number", False),
        ("boolean", 1),
        ("count", "-1"),
        ("count", "１"),
        ("count", -1),
        ("count", "9" * 19),
        ("base64", "not base64!"),
        ("base64", "YQ"),
        ("base64", "YQ==\n"),
        ("base64", 5),
        ("child", []),
        ("entries", {}),
        *[(kind, None) for kind in READERS],
    ],
)
def test_a_wrong_value_is_named_by_its_dotted_path(kind: str, value: object) -> None:
    """Two objects deep."""
    fields = parse_object(orjson.dumps({"outer": {"inner": value}}), "p").child("outer")
    with pytest.raises(RemoteProtocolError) as error:
        READERS[kind](fields, "inner")
    assert (error.value.field, error.value.peer) == ("outer.inner", "p")


def test_an_entry_of_a_list_that_cannot_be_read_is_left_out_and_noted_once() -> None:
    """Without its place: a list of a million odd entries is one note."""
    fields = parse_object('{"items":[{"id":"a"},5,{"id":5},{},null,{"id":"b"}]}', "p")
    assert fields.entries("items", lambda entry: entry.text("id")) == ("a", "b")
    assert fields.noted == {"items[]": "must be an object; ignored", "items[].id": "must be a string; ignored"}


def test_numbers_may_be_written_as_texts_where_a_carrier_does_so() -> None:
    """Twilio writes nearly all of them so."""
    fields = parse_object('{"a":"7","b":7}', "p")
    assert (fields.count("a"), fields.count("b")) == (7, 7)


def test_a_field_that_can_be_spared_may_be_absent_or_null_or_wrong() -> None:
    """Only the last one is noted."""
    fields = parse_object('{"null":null,"bad":[]}', "p")
    for name in ("absent", "null"):
        assert fields.optional(Fields.text, name, "default") == "default"
        assert fields.optional_child(name).raw == {}
    assert fields.noted == {}
    assert fields.optional(Fields.text, "bad", "default") == "default"
    assert fields.noted == {"bad": "must be a string; ignored"}


def test_an_error_shows_only_the_head_of_a_value() -> None:
    """No payload, no line break, no control character ends up in a log."""
    with pytest.raises(RemoteProtocolError) as error:
        parse_object(orjson.dumps({"a": "\n\x1b[31m" + "x" * 5000}), "p").whole("a")
    assert len(str(error.value)) < 200
    assert str(error.value).isprintable()


@pytest.mark.parametrize(
    ("value", "whole", "noted"),
    [(0, 0, False), (40.0, 40, False), (40.7, 40, True), (LARGEST_WHOLE, LARGEST_WHOLE, False)],
)
def test_a_whole_number_may_be_written_as_any_number(value: object, whole: int, noted: bool) -> None:
    """A fraction is cut off, and noted."""
    fields = parse_object(orjson.dumps({"a": value}), "p")
    assert (fields.whole("a"), bool(fields.noted)) == (whole, noted)


@pytest.mark.parametrize("value", [-1, -0.5, LARGEST_WHOLE + 1, 2**63, 2**200, "9", True, [], None])
def test_a_number_out_of_all_bounds_is_no_whole_number(value: object) -> None:
    """So that sums of them can always be written."""
    fields = parse_object(json.dumps({"a": value}), "p")
    with pytest.raises(RemoteProtocolError):
        fields.whole("a")
    assert fields.optional(Fields.whole, "a", 7) == 7
    assert list(fields.noted) == ([] if value is None else ["a"])


def test_what_is_noted_further_in_is_noted_for_the_whole_message() -> None:
    """By its whole path, once."""
    fields = parse_object('{"a":{"b":{"c":5}},"d":5}', "p")
    fields.optional_child("a").optional_child("b").optional(Fields.text, "c", None)
    fields.child("a").child("b").optional(Fields.boolean, "c", None)
    fields.optional_child("d").optional_child("e").optional(Fields.text, "f", None)
    assert fields.noted == {"a.b.c": "must be a string; ignored", "d": "must be an object; ignored"}


@given(JSON, st.sampled_from(sorted(READERS)), st.text(max_size=6))
def test_any_json_gives_a_value_or_the_error(value: object, kind: str, name: str) -> None:
    """Nothing else escapes."""
    with suppress(RemoteProtocolError):
        fields = parse_object(orjson.dumps(value), "p")
        assert isinstance(value, dict)
        READERS[kind](fields, name)
        assert name in value


@given(st.text() | st.binary())
def test_any_text_gives_an_object_or_the_error(text: str | bytes) -> None:
    """Nothing else escapes."""
    with suppress(RemoteProtocolError):
        assert isinstance(parse_object(text, "p").raw, dict)
