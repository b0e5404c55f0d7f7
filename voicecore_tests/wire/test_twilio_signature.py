"""Twilio's signature: the vectors, the official validator as judge, and every way to fail closed."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]

from voicecore.wire.twilio_signature import is_signed, signature

TOKEN = "voicecore-test-token"
VOICE = "https://calls.example.test/twilio/voice?tenant=7"
FORM = {
    "CallSid": ["CA00000000000000000000000000000001"],
    "From": ["+15550100001"],
    "To": ["+15550100002"],
    "CallStatus": ["in-progress"],
    "Empty": [""],
}
VOICE_SIGNATURE = "0bsXnYnFSr17SJXph5HjT+7wCvk="
BODY = b'{"CallSid":"CA1","Ok":true}'
BODY_DIGEST = "f37597cea16dbd5b701c309c7590d822176ea633e15536f437fa314d2ec27f2e"
NAMES = st.text("abcXYZ_09", min_size=1, max_size=6)
FORMS = st.dictionaries(NAMES, st.lists(st.text(max_size=8), min_size=1, max_size=3), max_size=5)


class MultiDict(dict[str, list[str]]):
    """A form as web frameworks hand it to the official validator."""

    def getlist(self, name: str) -> list[str]:
        return self[name]


@pytest.mark.parametrize(
    ("url", "form", "expected"),
    [
        (VOICE, FORM, VOICE_SIGNATURE),
        ("https://calls.example.test/twilio/voice?a=1&b=2", None, "8jppg8KX19nWqCt3FQudrHTZnL4="),
        ("wss://calls.example.test/twilio/media", None, "nFjrXH3MAkNajD1L3WDmJuiWLdo="),
        ("wss://calls.example.test:443/twilio/media", None, "vrUQlR5PBodxIvN8SfAHcw79rlI="),
        (f"https://calls.example.test/twilio/json?bodySHA256={BODY_DIGEST}", None, "gktpFi9v8J98iQZ+J9FEHNPlrfs="),
        ("https://calls.example.test/x", {"Digits": ["1", "2", "1"], "A": ["z"]}, "m9MWr2cI3aXRNk8TAhpkgoI25gU="),
    ],
    ids=["form", "get", "websocket", "websocket-port", "json", "repeated"],
)
def test_the_vectors_of_the_sheet(url: str, form: dict[str, list[str]] | None, expected: str) -> None:
    """Computed with the official validator."""
    assert signature(TOKEN, url, form) == expected
    assert is_signed(TOKEN, url, expected, form=form)


def test_the_second_scheme_is_the_same_with_sha256() -> None:
    """A webhook secret in place of the auth token."""
    assert signature(TOKEN, VOICE, FORM, "sha256") == "s8DKCEna7FjJmauaAgwyP8NCIM5KOOuX/1xvXBr9G1U="


@given(FORMS, st.sampled_from(["", ":443", ":8443"]), st.sampled_from(["/a", "/a/b?c=d&e=%20", "/"]))
def test_the_official_validator_agrees(form: dict[str, list[str]], port: str, path: str) -> None:
    """It accepts what we compute; we accept what it computes."""
    url = f"https://calls.example.test{port}{path}"
    judge = RequestValidator(TOKEN)
    multi = MultiDict(form)
    theirs = judge.compute_signature(url, multi)
    assert judge.validate(url, multi, signature(TOKEN, url, form))
    assert is_signed(TOKEN, url, theirs, form=form)


@pytest.mark.parametrize("signed", ["https://h.test/x", "https://h.test:443/x"])
@pytest.mark.parametrize("asked", ["https://h.test/x", "https://h.test:443/x"])
def test_s3_default_ports_count_as_written_or_left_out(signed: str, asked: str) -> None:
    """Twilio is not of one mind there; the same for wss."""
    assert is_signed(TOKEN, asked, signature(TOKEN, signed), form=None)
    secure = asked.replace("https", "wss")
    assert is_signed(TOKEN, secure, signature(TOKEN, signed.replace("https", "wss")))


@pytest.mark.parametrize(
    "url",
    [
        "http://calls.example.test/twilio/voice?tenant=7",
        "https://calls.example.test:8443/twilio/voice?tenant=7",
        "https://other.example.test/twilio/voice?tenant=7",
        "https://calls.example.test/twilio/status?tenant=7",
        "https://calls.example.test/twilio/voice?tenant=8",
        "https://calls.example.test/twilio/voice",
    ],
)
def test_s1_a_signature_holds_for_one_url_only(url: str) -> None:
    """Scheme, host, port, path and query."""
    assert not is_signed(TOKEN, url, VOICE_SIGNATURE, form=FORM)


@pytest.mark.parametrize(
    "given",
    [None, "", "x", VOICE_SIGNATURE[:-1], VOICE_SIGNATURE.lower(), "é" * 28, VOICE_SIGNATURE + " "],
)
def test_s1_a_missing_or_wrong_signature_is_refused(given: str | None) -> None:
    """Never an exception."""
    assert not is_signed(TOKEN, VOICE, given, form=FORM)


def test_s1_another_accounts_token_does_not_sign() -> None:
    """Each account has its own."""
    assert not is_signed("another-token", VOICE, VOICE_SIGNATURE, form=FORM)


@pytest.mark.parametrize(
    "form",
    [
        {**FORM, "From": ["+15550100009"]},
        {**FORM, "New": ["x"]},
        {**FORM, "From": ["+15550100001", "+1"]},
        {name: value for name, value in FORM.items() if name != "Empty"},
        {},
    ],
    ids=["changed", "added", "doubled", "removed", "empty"],
)
def test_s2_any_change_of_the_form_is_refused(form: dict[str, list[str]]) -> None:
    """Every field is signed, empty ones too."""
    assert not is_signed(TOKEN, VOICE, VOICE_SIGNATURE, form=form)


def test_a_json_body_is_bound_by_its_digest() -> None:
    """In the query, which is signed."""
    url = f"https://calls.example.test/twilio/json?bodySHA256={BODY_DIGEST}"
    assert hashlib.sha256(BODY).hexdigest() == BODY_DIGEST
    assert is_signed(TOKEN, url, "gktpFi9v8J98iQZ+J9FEHNPlrfs=", body=BODY)
    assert not is_signed(TOKEN, url, "gktpFi9v8J98iQZ+J9FEHNPlrfs=", body=BODY + b" ")
    bare = "https://calls.example.test/twilio/json"
    assert not is_signed(TOKEN, bare, signature(TOKEN, bare), body=BODY)
