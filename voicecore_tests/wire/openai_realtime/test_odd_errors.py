"""An error is an error in whatever shape it comes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from voicecore.wire import openai_realtime as oai


@pytest.mark.parametrize(
    ("fields", "detail", "ignored"),
    [
        (
            {"error": {"type": "t", "code": "c", "message": "m", "param": "p", "event_id": "e"}},
            oai.ErrorDetail(type="t", code="c", message="m", param="p", event_id="e"),
            [],
        ),
        ({"error": {"message": "m"}}, oai.ErrorDetail(message="m"), []),
        ({"error": {"code": 429, "message": None}}, oai.ErrorDetail(code="429"), []),
        ({"error": {"code": [], "type": 7}}, oai.ErrorDetail(), ["error.error.type", "error.error.code"]),
        ({"error": "out of quota"}, oai.ErrorDetail(message="out of quota"), ["error.error"]),
        ({"error": "words", "code": "c"}, oai.ErrorDetail(message="words", code="c"), ["error.error"]),
        (
            {"code": "c", "message": "m", "param": "p"},
            oai.ErrorDetail(code="c", message="m", param="p"),
            ["error.error"],
        ),
        ({"error": None}, oai.ErrorDetail(), ["error.error"]),
        ({"error": []}, oai.ErrorDetail(), ["error.error"]),
        ({}, oai.ErrorDetail(), ["error.error"]),
    ],
    ids=["whole", "message alone", "code of digits", "odd", "text", "text, code", "flat", "null", "list", "nothing"],
)
def test_an_error_says_what_it_says(fields: dict[str, Any], detail: oai.ErrorDetail, ignored: list[str]) -> None:
    """Flat, a text, or without a word."""
    *told, event = oai.RealtimeCodec().receive(json.dumps({"type": "error", "event_id": "event_1"} | fields))
    assert event == oai.ErrorReported(error=detail)
    assert [each.name for each in told if isinstance(each, oai.FieldIgnored)] == ignored
