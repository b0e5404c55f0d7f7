"""What the package's loggers do to every line: it is bounded, and says what is left out."""

from __future__ import annotations

import logging

import pytest

from voicecore.errors import pieces
from voicecore.logs import LIMIT_BYTES
from voicecore.secrets import Secret

LINE_BYTES = 8192


@pytest.mark.parametrize("letter", ["x", "é", "\U0001f600", "\ud800"])
def test_a_line_that_is_too_long_loses_its_middle(caplog: pytest.LogCaptureFixture, letter: str) -> None:
    """Whatever its letters are; its beginning and its end are there."""
    logging.getLogger("voicecore.engine").warning("call %s: %s: the end", "call_1", letter * 10_000)
    (line,) = [record.getMessage() for record in caplog.records]
    assert len(line.encode("utf-8", "backslashreplace")) <= LIMIT_BYTES < LINE_BYTES
    assert line.startswith("call call_1: ")
    assert line.endswith(": the end")
    assert "bytes left out" in line


@pytest.mark.parametrize("letter", ["x", "\U0001f600"])
def test_a_line_that_fits_is_left_alone(caplog: pytest.LogCaptureFixture, letter: str) -> None:
    """To its last byte."""
    line = letter * (LIMIT_BYTES // len(letter.encode()))
    logging.getLogger("voicecore.net").warning("%s", line)
    assert [record.getMessage() for record in caplog.records] == [line]


def test_a_traceback_that_is_too_long_still_names_its_error(caplog: pytest.LogCaptureFixture) -> None:
    """A foreign library may put a whole payload into its exception."""
    failure = LookupError("x" * 100_000 + " was not found")
    logging.getLogger("voicecore.engine").error("call call_1 failed", exc_info=failure)
    (record,) = caplog.records
    assert record.exc_text is not None
    assert len(record.exc_text.encode()) <= LIMIT_BYTES
    assert record.exc_text.startswith("LookupError: ")
    assert record.exc_text.endswith(" was not found")


@pytest.mark.parametrize("letter", ["x", "é", "€", "\U0001f600"])
@pytest.mark.parametrize("limit_bytes", [4, 5, 7, 1000])
def test_the_pieces_of_a_text_are_all_of_it(letter: str, limit_bytes: int) -> None:
    """No character is torn apart, and none is lost."""
    text = f"a{letter * 999}b"
    found = pieces(text, limit_bytes)
    assert "".join(found) == text
    assert max(len(piece.encode()) for piece in found) <= limit_bytes
    assert pieces("", limit_bytes) == [""]


def test_a_secret_is_taken_out_before_a_text_is_cut() -> None:
    """A piece of it would be known for nothing."""
    kept = Secret("sk-planted-1234567890")
    assert "".join(pieces(f"key {kept.reveal()}!", 7)) == "key ***!"
