"""TwiML as the twin reads it: verbs in order, and everything that Twilio would not take."""

from __future__ import annotations

import pytest

from voicecore.errors import RemoteProtocolError
from voicecore.simulation.twilio.twiml import ConnectStream, EndCall, RejectCall, SpeakText, read_twiml

URL = "wss://voice.example.test/media/token"


def test_verbs_are_read_in_order() -> None:
    """A stream with its parameters, what is said behind it, the end."""
    stream = f'<Stream url="{URL}" name="leg"><Parameter name="a" value="1"/><Parameter name="b" value=""/></Stream>'
    verbs = read_twiml(f"<Response><Connect>{stream}</Connect><Say voice='alice'>Sorry.</Say><Hangup/></Response>")
    assert verbs == [ConnectStream(URL, {"a": "1", "b": ""}), SpeakText("Sorry."), EndCall()]


def test_a_document_may_be_empty_or_reject() -> None:
    """With a declaration and without."""
    assert read_twiml(b'<?xml version="1.0" encoding="UTF-8"?><Response/>') == []
    assert read_twiml('<Response><Reject reason="busy"/></Response>') == [RejectCall()]


def connect(stream: str) -> str:
    return f"<Response><Connect>{stream}</Connect></Response>"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "12100"),
        ("<Response>", "12100"),
        ("<response/>", "12200"),
        ("<Response><Play>x</Play></Response>", "12200"),
        ("<Response><hangup/></Response>", "12200"),
        ("<Response><Stream url='wss://a/b'/></Response>", "12200"),
        (connect(""), "12200"),
        (connect("<Stream url='wss://a/b'/><Stream url='wss://a/c'/>"), "12200"),
        (connect("<Stream url='wss://a/b' colour='red'/>"), "12200"),
        (connect("<Stream url='wss://a/b'><Say/></Stream>"), "12200"),
        (connect("<Stream url='wss://a/b'><Parameter value='1'/></Stream>"), "12200"),
        (connect(f"<Stream url='wss://a/b'><Parameter name='a' value='{'1' * 499}'/></Stream>"), "12200"),
        (connect("<Stream/>"), "31923"),
        (connect("<Stream url='https://a/b'/>"), "31923"),
        (connect("<Stream url='ws://voice.example.test/b'/>"), "31922"),
        (connect("<Stream url='wss://a/b?token=1'/>"), "31920"),
        (f"<Response><Say>{'x' * 70_000}</Say></Response>", "11750"),
    ],
)
def test_anything_else_is_refused_with_twilios_code(text: str, code: str) -> None:
    """A twin that passed it over would let a fault through to the real carrier."""
    with pytest.raises(RemoteProtocolError) as refused:
        read_twiml(text)
    assert refused.value.problem.startswith(f"{code}:")


def test_loopback_needs_no_tls() -> None:
    """Tests and demos run there."""
    (verb,) = read_twiml(connect("<Stream url='ws://127.0.0.1:8000/media/t'/>"))
    assert verb == ConnectStream("ws://127.0.0.1:8000/media/t")


def test_a_verb_shows_no_url_when_printed() -> None:
    """The media token stands in it."""
    assert "token" not in repr(ConnectStream(URL, {"token": "planted"}))
