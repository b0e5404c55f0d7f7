"""The Secret type: nothing but `reveal` brings the text out."""

from __future__ import annotations

import copy
import json
import logging
import pickle
import traceback

import attrs
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicecore.secrets import Secret

PLANTED = "sk-planted-5f1e0c"


@attrs.frozen
class Account:
    """A settings value such as carriers and providers have."""

    name: str
    token: Secret = attrs.field(converter=Secret)


@pytest.mark.parametrize("shown", [str, repr, "{}".format, "{!r:>20}".format, "{:>20}".format, "%s".__mod__, ascii])
def test_every_way_to_write_a_secret_shows_the_mask(shown: object) -> None:
    """str, repr, format with any specification and %-formatting show ***."""
    assert callable(shown)
    text = shown(Secret(PLANTED))
    assert "***" in text
    assert PLANTED not in text


def test_reveal_is_the_way_to_the_text() -> None:
    """What went in comes out, and only there."""
    assert Secret(PLANTED).reveal() == PLANTED


def test_a_value_that_holds_a_secret_does_not_show_it() -> None:
    """attrs' repr and asdict of a settings value carry the mask, not the text."""
    account = Account("clinic", PLANTED)
    assert PLANTED not in repr(account)
    assert PLANTED not in repr(attrs.asdict(account))
    assert account.token == Secret(PLANTED)


def test_a_secret_has_no_attributes_to_dump() -> None:
    """There is no __dict__ for a debugger or a crash reporter to walk."""
    with pytest.raises(TypeError):
        vars(Secret(PLANTED))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_secret_cannot_be_pickled(protocol: int) -> None:
    """A secret never reaches a file or another process in a pickle."""
    with pytest.raises(TypeError, match="cannot be pickled") as caught:
        pickle.dumps(Account("clinic", PLANTED), protocol)
    assert PLANTED not in str(caught.value)


def test_a_secret_cannot_be_copied() -> None:
    """A deep copy of a whole configuration does not multiply its secrets."""
    with pytest.raises(TypeError, match="copied"):
        copy.deepcopy(Secret(PLANTED))


@pytest.mark.parametrize("encode", [json.dumps, orjson.dumps])
def test_a_secret_cannot_be_written_as_json(encode: object) -> None:
    """Both JSON encoders in use refuse it, and their error does not tell it."""
    assert callable(encode)
    with pytest.raises(TypeError) as caught:
        encode({"token": Secret(PLANTED)})
    assert PLANTED not in str(caught.value)


def test_a_json_encoder_that_falls_back_to_str_writes_the_mask() -> None:
    """The usual `default=str` is harmless."""
    assert json.dumps({"token": Secret(PLANTED)}, default=str) == '{"token": "***"}'


def test_a_log_record_shows_the_mask(caplog: pytest.LogCaptureFixture) -> None:
    """Also as a lazily formatted argument, and at DEBUG."""
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("voicecore").debug("token %s, account %r", Secret(PLANTED), Account("clinic", PLANTED))
    assert "token ***" in caplog.text
    assert PLANTED not in caplog.text


def test_a_traceback_that_shows_local_values_shows_the_mask() -> None:
    """Crash reports that print locals find the mask."""

    def refuse(token: Secret) -> None:
        raise ValueError(token)

    with pytest.raises(ValueError, match=r"\*\*\*") as caught:
        refuse(Secret(PLANTED))
    report = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    assert "token = ***" in report
    assert PLANTED not in report


@given(st.text(min_size=1), st.text(min_size=1))
def test_secrets_are_equal_as_their_texts_are(one: str, other: str) -> None:
    """Equality and hash follow the text, whatever characters it has."""
    assert Secret(one) == Secret(Secret(one))
    assert hash(Secret(one)) == hash(Secret(one))
    assert (Secret(one) == Secret(other)) is (one == other)


def test_a_secret_never_equals_a_plain_text() -> None:
    """Comparing with a plain text would be a comparison in variable time."""
    assert Secret(PLANTED) != PLANTED


def test_an_empty_secret_is_refused() -> None:
    """An empty key would verify every signature made with an empty key."""
    with pytest.raises(ValueError, match="must not be empty"):
        Secret("")


def test_only_texts_become_secrets() -> None:
    """And the refused value is not told."""
    with pytest.raises(TypeError, match="made from a text") as caught:
        Secret([PLANTED])  # type: ignore[arg-type]
    assert PLANTED not in str(caught.value)
