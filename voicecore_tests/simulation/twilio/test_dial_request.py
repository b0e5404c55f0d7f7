"""The form that places a call: what is read from it, and everything that Twilio would not take."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicecore.simulation.twilio.dial_request import (
    AmdRequest,
    DialRequest,
    RestRefusal,
    read_dial_request,
    read_form,
)

Pairs = tuple[tuple[str, str], ...]

LEAST: Pairs = (("To", "+15550100077"), ("From", "+15550100002"), ("Twiml", "<Response/>"))
AMD_URL = "https://voice.example.test/twilio/amd"


def read(*pairs: tuple[str, str]) -> DialRequest:
    return read_dial_request(read_form(urlencode(pairs).encode()))


def changed(*pairs: tuple[str, str]) -> Pairs:
    """The least request with other values, and with those that it has not."""
    return tuple({**dict(LEAST), **dict(pairs)}.items())


def test_the_least_request_has_twilios_defaults() -> None:
    """It rings for 60 s, tells of the end only, and looks for no machine."""
    request = read(*LEAST)
    assert (request.to, request.caller, request.twiml) == ("+15550100077", "+15550100002", "<Response/>")
    assert (request.timeout_s, request.time_limit_s) == (60, 14_400)
    assert (request.events, request.detection, request.url) == (frozenset({"completed"}), None, None)


def test_repeated_events_are_all_wanted() -> None:
    """The one parameter that stands several times."""
    request = read(*LEAST, ("StatusCallbackEvent", "ringing"), ("StatusCallbackEvent", "answered"))
    assert request.events == {"ringing", "answered"}


@given(st.lists(st.tuples(st.text(min_size=1), st.text()), max_size=8))
def test_a_form_is_read_with_every_value_of_every_parameter(pairs: list[tuple[str, str]]) -> None:
    """In order, empty ones too, whatever characters they have."""
    form = read_form(urlencode(pairs).encode())
    assert [(name, value) for name in form for value in form[name]] == sorted(
        pairs, key=lambda pair: list(dict(pairs)).index(pair[0])
    )


@pytest.mark.parametrize(
    ("pairs", "detection"),
    [
        ((("MachineDetection", "Enable"),), AmdRequest(waits_for_end=False, callback=None, timeout_s=30)),
        (
            (("MachineDetection", "DetectMessageEnd"), ("AsyncAmd", "true"), ("AsyncAmdStatusCallback", AMD_URL)),
            AmdRequest(waits_for_end=True, callback=AMD_URL, timeout_s=30),
        ),
        (
            (("MachineDetection", "Enable"), ("AsyncAmd", "false"), ("MachineDetectionTimeout", "10")),
            AmdRequest(waits_for_end=False, callback=None, timeout_s=10),
        ),
        ((("MachineDetection", "Enable"), ("SendDigits", "ww1234#")), None),
        ((("AsyncAmd", "true"), ("AsyncAmdStatusCallback", AMD_URL)), None),
    ],
)
def test_machine_detection_is_read(pairs: Pairs, detection: AmdRequest | None) -> None:
    """Asynchronous ones have a callback; keys that are sent switch it off."""
    assert read(*LEAST, *pairs).detection == detection


@pytest.mark.parametrize(
    ("pairs", "code", "words"),
    [
        ((*LEAST, ("Colour", "red")), 21200, "Colour"),
        ((*LEAST, ("to", "+15550100077")), 21200, "'to' is unknown"),
        ((*LEAST, ("Record", "true")), 21200, "Record"),
        ((*LEAST, ("To", "+15550100078")), 21200, "more than once"),
        (LEAST[1:], 21200, "To is missing"),
        ((LEAST[0], LEAST[2]), 21200, "From is missing"),
        (LEAST[:2], 21200, "exactly one"),
        ((*LEAST, ("Url", "https://voice.example.test/")), 21200, "exactly one"),
        (changed(("Twiml", "x" * 4001)), 21200, "4000"),
        (changed(("To", "15550100077")), 21211, "E.164"),
        (changed(("To", "+1 555 010 0077")), 21211, "E.164"),
        (changed(("To", "+" + "1" * 16)), 21211, "E.164"),
        (changed(("From", "voicecore")), 21200, "E.164"),
        (changed(("Timeout", "0")), 21200, "from 1 to 600"),
        (changed(("Timeout", "601")), 21200, "from 1 to 600"),
        (changed(("Timeout", "30.5")), 21200, "from 1 to 600"),
        (changed(("Timeout", "")), 21200, "from 1 to 600"),
        (changed(("StatusCallback", "/status")), 21200, "absolute"),
        (changed(("StatusCallback", "ftp://voice.example.test/")), 21200, "absolute"),
        (changed(("StatusCallbackMethod", "PUT")), 21200, "POST"),
        (changed(("StatusCallbackEvent", "initiated ringing answered completed")), 21200, "repeated"),
        (changed(("StatusCallbackEvent", "busy")), 21200, "repeated"),
        (changed(("SendDigits", "12a")), 21200, "SendDigits"),
        (changed(("MachineDetection", "true")), 21200, "DetectMessageEnd"),
        (changed(("MachineDetection", "Enable"), ("AsyncAmd", "True")), 21200, "AsyncAmd must be"),
        (changed(("MachineDetection", "Enable"), ("MachineDetectionTimeout", "2")), 21200, "from 3 to 59"),
        (changed(("MachineDetection", "Enable"), ("AsyncAmd", "true")), 21262, "AsyncAmdStatusCallback"),
    ],
)
def test_what_twilio_would_not_take_is_refused(pairs: Pairs, code: int, words: str) -> None:
    """With HTTP 400, Twilio's code, and words that say what is wrong."""
    with pytest.raises(RestRefusal, match=words) as refused:
        read(*pairs)
    assert (refused.value.status, refused.value.code) == (400, code)


def test_a_request_shows_neither_twiml_nor_urls_when_printed() -> None:
    """Media tokens stand in them."""
    request = read(*changed(("Twiml", "<planted/>"), ("StatusCallback", "https://voice.example.test/planted")))
    assert "planted" not in repr(request)
