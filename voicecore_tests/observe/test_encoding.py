"""A report as JSON: nothing that a peer says can keep a call from its record."""

from __future__ import annotations

import enum
import json
import math
from typing import Any

import attrs
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicecore.events import TokenUsage
from voicecore.facts import CallReport
from voicecore.observe.encoding import clean
from voicecore.observe.store import record_json, transcript_jsonl
from voicecore_tests.observe.test_store import REPORT


class Kind(enum.Enum):
    ONE = "one"


class Word(str):
    """A text of a library's own kind."""

    __slots__ = ()


TEXTS = st.text(st.characters(), max_size=12)  # half surrogate pairs too
NUMBERS = st.integers(-(2**70), 2**70) | st.floats() | st.integers(10**400, 10**401)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS | st.binary(max_size=4) | st.just(Kind.ONE) | TEXTS.map(Word),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(TEXTS | st.integers() | st.just(Kind.ONE) | st.none(), inner, max_size=3)
        | st.frozensets(st.integers(), max_size=3)
    ),
    max_leaves=8,
)


@given(VALUES)
def test_every_value_has_a_clean_form(value: Any) -> None:
    """Both encoders take it, and a clean value stays as it is."""
    cleaned = clean(value)
    assert json.loads(json.dumps(cleaned)) == json.loads(json.dumps(clean(cleaned))) or "NaN" in json.dumps(cleaned)
    orjson.dumps(cleaned)


@given(TEXTS, TEXTS, st.dictionaries(TEXTS, NUMBERS, max_size=3), st.integers(0, 2**66), st.floats())
def test_a_record_is_json_whatever_the_peers_said(
    word: str, detail: str, problems: dict[str, Any], tokens: int, seconds: float
) -> None:
    """Lone surrogates, token counts beyond 64 bits, NaN: a complete record, on one line if requested."""
    usage = TokenUsage(text_in=tokens, audio_in=tokens)
    report = attrs.evolve(
        REPORT,
        carrier_status=word,
        outcome_detail=detail,
        problems=problems,
        usage=usage + usage,
        duration_s=seconds,
        session_id=word,
    )
    read = orjson.loads(record_json(report))
    assert read["call_id"] == "call_1"
    assert len(read) == len(attrs.fields(CallReport)) + 1
    assert math.isclose(read["usage"]["text_in"], 2 * tokens)
    assert read["duration_s"] is None or read["duration_s"] == seconds
    assert b"\n" not in record_json(report, 0)
    orjson.loads(transcript_jsonl([attrs.evolve(report.transcript[0], item_id=word, text=detail)]))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (2**64 - 1, 2**64 - 1),
        (2**64, 2.0**64),
        (-(2**63) - 1, -(2.0**63)),
        (10**400, None),
        ("a\ud800b", "a\ufffdb"),
        ("\ud83d\ude00", "\U0001f600"),
        ({Kind.ONE: {3: Kind.ONE}}, {"one": {"3": "one"}}),
        (b"x", "b'x'"),
    ],
)
def test_the_nearest_clean_form(value: object, expected: object) -> None:
    """Values that fit 64 bits and UTF-8 are unchanged."""
    assert clean(value) == expected


def test_nesting_has_an_end() -> None:
    """A peer's nesting is never that deep; a bug's is."""
    value: list[Any] = []
    value.append(value)
    assert orjson.dumps(clean(value))
