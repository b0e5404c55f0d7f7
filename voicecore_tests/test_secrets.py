"""The Secret type: nothing but `reveal` brings the text out."""

from __future__ import annotations

import base64
import contextlib
import copy
import gc
import io
import json
import logging
import pickle
import re
import traceback
from pathlib import Path
from urllib.parse import quote, quote_plus

import attrs
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

import voicecore
from voicecore.errors import ProviderRefused, VoicecoreError, printable
from voicecore.logs import LOGGERS
from voicecore.secrets import Secret, scrubbed

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
    """Both JSON encoders in use refuse it, and their error does not show it."""
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
    """And the error does not show the value."""
    with pytest.raises(TypeError, match="must be a string") as caught:
        Secret([PLANTED])  # type: ignore[arg-type]
    assert PLANTED not in str(caught.value)


# --- secrets that a peer says back --------------------------------------------------------

KEY = "sk-proj-Zq81kPlantedKey0c77e"
SPELLINGS = {
    "plain": KEY,
    "bearer": f"Bearer {KEY}",
    "percent": quote(KEY + "/+", safe=""),
    "hex": KEY.encode().hex(),
    "HEX": KEY.encode().hex().upper(),
    "basic": base64.b64encode(f"AC0001:{KEY}".encode()).decode(),
    "basic, longer name": base64.b64encode(f"AC00012:{KEY}".encode()).decode(),
    "basic, longest name": base64.b64encode(f"AC000123:{KEY}".encode()).decode(),
    "url-safe": base64.urlsafe_b64encode(f"?>{KEY}?>".encode()).decode(),
    "in a URL": f"wss://user:{KEY}@host/path?key={KEY}",
    "in JSON": json.dumps({"authorization": KEY}),
    "masked by the peer": f"{KEY[:12]}*******{KEY[-4:]}",
}


def runs(text: str, length: int = 8) -> set[str]:
    return {text[at : at + length] for at in range(len(text) - length + 1)}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_i19_no_eight_characters_of_a_secret_stay_in_a_text(spelling: str) -> None:
    """In any spelling, beside other words, which stay."""
    secret = Secret(KEY)
    text = scrubbed(f"before {SPELLINGS[spelling]} after")
    assert text.startswith("before ")
    assert text.endswith(" after")
    assert "***" in text
    for decoded in (text, *map(_decoded, text.split())):
        assert not runs(decoded) & runs(KEY)
    del secret


def _decoded(word: str) -> str:
    with contextlib.suppress(ValueError):
        return base64.b64decode(word.replace("-", "+").replace("_", "/") + "==").decode("latin-1")
    return ""


def test_a_secret_is_looked_for_as_long_as_somebody_has_it() -> None:
    """Equal ones count as one; when the last is gone its words are words again."""
    first, second = Secret("planted-once-9f"), Secret("planted-once-9f")
    del first
    assert scrubbed("planted-once-9f") == "***"
    del second
    gc.collect()
    assert scrubbed("planted-once-9f") == "planted-once-9f"


def test_words_that_a_poor_secret_is_made_of_stay_words() -> None:
    """Whole it is a secret; its words are everybody's."""
    secret = Secret("voicecore-test-token-provider")
    assert scrubbed("voicecore: the provider's test-token") == "voicecore: the provider's test-token"
    assert scrubbed("it is voicecore-test-token-provider!") == "it is ***!"
    del secret


def test_short_secrets_are_taken_out_whole() -> None:
    """Six characters are no eight; three are part of too many words."""
    secrets = Secret("pin4711"[:6]), Secret("abc")
    assert scrubbed("the pin471 of abc") == "the *** of abc"
    del secrets


@given(st.text(max_size=40), st.text(min_size=8, max_size=40), st.text(max_size=40))
def test_a_secret_is_found_wherever_it_stands(before: str, text: str, after: str) -> None:
    """Also cut to a limit in its middle."""
    secret = Secret(text)
    assert text not in scrubbed(before + text + after)
    for limit in range(1, 60, 7):
        shown = printable(before + text + after, limit)
        assert not runs(shown) & (
            runs(text) - runs(before + "***" + after) - runs(printable(before + "***" + after, limit))
        )
    del secret


def test_an_error_says_no_secret() -> None:
    """Whatever a peer repeats in it."""
    secret = Secret(KEY)
    for error in (VoicecoreError(f"no: {KEY}", 7), ProviderRefused(f"Incorrect API key provided: {KEY}")):
        assert not runs(str(error)) & runs(KEY)
        assert not runs(repr(error)) & runs(KEY)
    del secret


def test_no_logger_of_the_package_passes_a_secret_on() -> None:
    """Lines, their arguments and foreign tracebacks; other lines and lines that do not fit stay as they are."""
    secret, lines = Secret(KEY), io.StringIO()
    handler = logging.StreamHandler(lines)
    for name in LOGGERS:
        logger = logging.getLogger(name)
        logger.addHandler(handler)
        try:
            logger.error("key %s in %d", KEY, 7)
            logger.error("plain %s", "words")
            try:
                int(f"foreign: {KEY}")
            except ValueError:
                logger.exception("failed")
        finally:
            logger.removeHandler(handler)
    assert lines.getvalue().count("in 7") == lines.getvalue().count("plain words") == len(LOGGERS)
    assert lines.getvalue().count("'foreign: ***'") == len(LOGGERS)
    assert not runs(lines.getvalue()) & runs(KEY)
    del secret


def test_every_logger_of_the_package_is_known() -> None:
    """A filter applies to one logger, not to its children."""
    folder = Path(voicecore.__file__).parent
    names = {
        name for path in folder.rglob("*.py") for name in re.findall(r'getLogger\("(\w[\w.]*)"\)', path.read_text())
    }
    assert {name for name in names if name.startswith("voicecore")} <= set(LOGGERS)


def test_a_word_that_serves_as_a_secret_is_no_reason_to_garble_every_line() -> None:
    """Short and made of letters, as in examples; with a digit in it, or longer, it is looked for."""
    kept = Secret("token"), Secret("tok3n"), Secret("planted-token")
    assert scrubbed("a token, a tok3n and a planted-token") == "a token, a *** and a ***"
    del kept


@pytest.mark.parametrize(
    "spelt",
    [
        b"K?>~7?>~".hex().upper(),
        base64.urlsafe_b64encode(b"K?>~7?>~").decode(),
        base64.b64encode(b"K?>~7?>~").decode(),
    ],
)
def test_a_short_secret_is_found_in_every_spelling(spelt: str) -> None:
    """It is too short for parts of it to give it away: each spelling is looked for by itself."""
    kept = Secret("K?>~7?>~")
    assert kept.reveal() not in scrubbed(f"key {spelt}")
    assert spelt[:8] not in scrubbed(f"key {spelt}")


def test_a_secret_with_a_space_is_found_in_a_form() -> None:
    """There a space is a plus sign, and no eight characters in a row are those of another spelling."""
    kept = Secret("a1 b2 c3 d4")
    assert scrubbed(f"token={quote_plus(kept.reveal())}&x=1") == "token=***&x=1"


def test_a_secret_that_repeats_itself_is_hidden_to_its_last_character() -> None:
    """If it occurs twice and overlaps itself."""
    kept = Secret("1a1a")
    assert scrubbed(f"is {kept.reveal()}1a") == "is ***"
