"""The twin's own wire: signatures that the official validator accepts, messages as strict as Twilio's."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]

from voicecore.simulation.twilio.messages import FromApplication, StreamWriter, read_application
from voicecore.simulation.twilio.signing import sign
from voicecore.simulation.twilio.user import AfterAgent, At, HangUp, Press, Say, SimulatedUser, WhileAgentSpeaks

TOKEN = "voicecore-test-token"


@given(st.dictionaries(st.text("ABCabc", min_size=1, max_size=5), st.text(max_size=9), max_size=6))
def test_the_official_validator_accepts_the_twins_signature(fields: dict[str, str]) -> None:
    """Forms with any fields, and upgrades without."""
    url = "https://voice.example.test/twilio/voice"
    assert RequestValidator(TOKEN).validate(url, fields, sign(TOKEN, url, fields))


def test_messages_have_the_sheets_shape() -> None:
    """Numbers as texts; sequence numbers from 1 behind `connected`; media counted by themselves."""
    writer = StreamWriter("AC1", "CA1", "MZ1")
    texts = [writer.connected(), writer.start({}), writer.media(b"\xff" * 160, 0), writer.media(b"\xff" * 160, 20)]
    connected, start, first, second = map(json.loads, texts)
    assert connected == {"event": "connected", "protocol": "Call", "version": "1.0.0"}
    assert start["start"]["mediaFormat"] == {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}
    assert [m["sequenceNumber"] for m in (start, first, second)] == ["1", "2", "3"]
    assert (second["media"]["chunk"], second["media"]["timestamp"]) == ("2", "20")


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ('{"event":"media","streamSid":"MZ1","media":{"payload":"AQI="}}', FromApplication("media", audio=b"\x01\x02")),
        ('{"event":"mark","streamSid":"MZ1","mark":{"name":"m"}}', FromApplication("mark", name="m")),
        ('{"event":"clear","streamSid":"MZ1"}', FromApplication("clear")),
    ],
)
def test_what_an_application_may_send_is_read(text: str, read: FromApplication) -> None:
    """Three messages, no more."""
    assert read_application(text, "MZ1") == read


@pytest.mark.parametrize(
    "text",
    [
        "no json",
        "[]",
        '{"event":"dtmf","streamSid":"MZ1"}',
        '{"event":"clear","streamSid":"MZ2"}',
        '{"event":"clear","streamSid":"MZ1","extra":1}',
        '{"event":"mark","streamSid":"MZ1","mark":{"name":"m","extra":1}}',
        '{"event":"mark","streamSid":"MZ1","mark":{"name":5}}',
        '{"event":"media","streamSid":"MZ1","media":{"payload":"***"}}',
        '{"event":"media","streamSid":"MZ1","media":{"payload":""}}',
        '{"event":"media","streamSid":"MZ1","media":{"payload":"AQI=","track":"outbound"}}',
    ],
)
def test_anything_else_is_what_twilio_complains_about(text: str) -> None:
    """31951."""
    complaint = read_application(text, "MZ1")
    assert isinstance(complaint, str)
    assert complaint.startswith("31951")


def run(user: SimulatedUser, playing: list[bool]) -> tuple[bytes, list[tuple[int, str]], int | None]:
    """Give the user a frame's time for each entry; return sound, keys and the frame of hanging up."""
    sound, keys, end = b"", [], None
    for number, is_playing in enumerate(playing):
        frame, digits = user.frame(is_playing, number * 0.02)
        sound += frame
        keys += [(number, digit) for digit in digits]
        if user.hung_up and end is None:
            end = number
    return sound, keys, end


def test_a_user_acts_at_set_times() -> None:
    """Speech, a key, the end; silence between."""
    user = SimulatedUser([Say(At(0.04), b"\x01" * 200), Press(At(0.1), "5"), HangUp(At(0.2))], 0.0)
    sound, keys, end = run(user, [False] * 15)
    assert sound[:520] == b"\xff" * 320 + b"\x01" * 200
    assert set(sound[520:]) == {0xFF}
    assert (keys, end) == ([(5, "5")], 10)


def test_a_user_waits_for_the_agent_and_for_the_pause_behind_it() -> None:
    """Only what the agent says after the step before counts."""
    user = SimulatedUser([Say(AfterAgent(0.1), b"\x01" * 160), HangUp(AfterAgent(0.1))], 0.0)
    heard = [False] * 5 + [True] * 5 + [False] * 20 + [True] * 5 + [False] * 20
    sound, _, end = run(user, heard)
    assert (sound.index(b"\x01") // 160, end) == (15, 40)


def test_a_user_talks_over_the_agent() -> None:
    """So long after the agent began."""
    user = SimulatedUser([Say(WhileAgentSpeaks(0.1), b"\x01" * 160)], 0.0)
    sound, _, _ = run(user, [False] * 5 + [True] * 20)
    assert sound.index(b"\x01") // 160 == 10
