"""TwiML: checked with the official package, and with hostile text."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twilio.twiml.voice_response import Connect, VoiceResponse  # type: ignore[import-untyped]

from voicecore.errors import LocalProtocolError
from voicecore.wire.twiml import connect_stream, hang_up, reject

URL = "wss://voice.example.test/twilio/media/abc"


def tree(xml: bytes | str) -> list[tuple[str, dict[str, str]]]:
    return [(element.tag, dict(element.attrib)) for element in ET.fromstring(xml).iter()]  # noqa: S314  (our own text)


def test_the_official_package_builds_the_same() -> None:
    """Elements, attributes and their nesting."""
    response, connect = VoiceResponse(), Connect()
    stream = connect.stream(url=URL)
    stream.parameter(name="call", value="c_123")
    response.append(connect)
    assert tree(connect_stream(URL, {"call": "c_123"})) == tree(str(response))
    refusal = VoiceResponse()
    refusal.reject(reason="busy")
    assert tree(reject("busy")) == tree(str(refusal))
    end = VoiceResponse()
    end.hangup()
    assert tree(hang_up()) == tree(str(end))


def test_an_apology_stands_behind_the_stream() -> None:
    """Twilio goes on there only when our side closed the stream."""
    response, connect = VoiceResponse(), Connect()
    connect.stream(url=URL)
    response.append(connect)
    response.say("We are sorry.")
    ours = connect_stream(URL, apology="We are sorry.")
    assert tree(ours) == tree(str(response))
    assert ET.fromstring(ours).findtext("Say") == "We are sorry."  # noqa: S314  (our own text)


@given(st.text(max_size=60), st.text(max_size=60))
def test_s28_hostile_text_changes_no_element(name: str, value: str) -> None:
    """Any text in a name or value gives the same tree, and parses."""
    elements = tree(connect_stream(URL, {name + "</Parameter><Dial>": value + "]]>&<Say>"}))
    assert [tag for tag, _ in elements] == ["Response", "Connect", "Stream", "Parameter"]
    assert elements[-1][1]["value"].endswith("]]>&<Say>")


@pytest.mark.parametrize("url", ["ws://127.0.0.1:8000/m/t", "ws://localhost/m", "ws://[::1]:1/m", URL])
def test_plain_ws_is_taken_for_loopback_only(url: str) -> None:
    """On loopback only."""
    assert dict(tree(connect_stream(url)))["Stream"] == {"url": url}


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("ws://voice.example.test/m", "wss://"),
        ("https://voice.example.test/m", "wss://"),
        (URL + "?call=1", "no query"),
        (URL + "#part", "no query"),
    ],
)
def test_what_twilio_would_refuse_is_refused_here(url: str, problem: str) -> None:
    """31920 and 31922, before a user meets them."""
    with pytest.raises(LocalProtocolError, match=problem):
        connect_stream(url)


def test_a_parameter_has_its_limit() -> None:
    """Name and value together stay under 500 characters."""
    connect_stream(URL, {"a": "b" * 498})
    with pytest.raises(LocalProtocolError, match="under 500"):
        connect_stream(URL, {"a": "b" * 499})


def test_a_rejection_has_two_reasons() -> None:
    """No third."""
    with pytest.raises(LocalProtocolError, match="busy or rejected"):
        reject("later")
