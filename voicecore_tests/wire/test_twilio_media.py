"""Twilio's media stream: every message both ways, out of place ignored, malformed refused by name."""

from __future__ import annotations

import base64
import json
from contextlib import suppress
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicecore.audio.formats import PCMA_8K, PCMU_8K
from voicecore.errors import LocalProtocolError, RemoteProtocolError
from voicecore.events import (
    CallerAudio,
    ClearPlayout,
    DigitPressed,
    LegMessageIgnored,
    LegOrder,
    LegStarted,
    LegStopped,
    MarkEchoed,
    PlaceMark,
    PlayAudio,
)
from voicecore.wire.twilio_media import TwilioMedia

CONNECTED = {"event": "connected", "protocol": "Call", "version": "1.0.0"}
START = {
    "event": "start",
    "sequenceNumber": "1",
    "streamSid": "MZ1",
    "start": {
        "accountSid": "AC1",
        "streamSid": "MZ1",
        "callSid": "CA1",
        "tracks": ["inbound"],
        "customParameters": {"call": "c_123", "token": "opaque"},
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
    },
}
MEDIA = {
    "event": "media",
    "sequenceNumber": "3",
    "streamSid": "MZ1",
    "media": {"track": "inbound", "chunk": "1", "timestamp": "5", "payload": base64.b64encode(b"\xff" * 160).decode()},
}
DTMF = {"event": "dtmf", "sequenceNumber": "5", "streamSid": "MZ1", "dtmf": {"track": "inbound_track", "digit": "1"}}
MARK = {"event": "mark", "sequenceNumber": "4", "streamSid": "MZ1", "mark": {"name": "m-17"}}
STOP = {"event": "stop", "sequenceNumber": "9", "streamSid": "MZ1", "stop": {"accountSid": "AC1", "callSid": "CA1"}}
ALL = [CONNECTED, START, MEDIA, DTMF, MARK, STOP]


def started() -> TwilioMedia:
    codec = TwilioMedia()
    codec.receive(json.dumps(CONNECTED))
    codec.receive(json.dumps(START))
    return codec


def changed(message: dict[str, Any], path: str, value: object) -> str:
    copy = json.loads(json.dumps(message))
    *parents, last = path.split(".")
    target = copy
    for name in parents:
        target = target[name]
    if value is None:
        del target[last]
    else:
        target[last] = value
    return json.dumps(copy)


def test_a_stream_from_connected_to_stop() -> None:
    """Every message of the sheet, in its order."""
    codec = TwilioMedia()
    events = [codec.receive(json.dumps(message)) for message in ALL]
    assert events == [
        None,
        LegStarted("MZ1", "CA1", PCMU_8K, {"call": "c_123", "token": "opaque"}),
        CallerAudio(b"\xff" * 160),
        DigitPressed("1"),
        MarkEchoed("m-17"),
        LegStopped(),
    ]


@pytest.mark.parametrize("rate", [8000, "8000"])
def test_numbers_come_as_numbers_or_as_texts(rate: object) -> None:
    """Both are seen."""
    codec = TwilioMedia()
    codec.receive(json.dumps(CONNECTED))
    event = codec.receive(changed(START, "start.mediaFormat.sampleRate", rate))
    assert isinstance(event, LegStarted)


def test_h9_an_announced_a_law_is_taken_for_what_it_is() -> None:
    """The format travels with the stream."""
    codec = TwilioMedia()
    codec.receive(json.dumps(CONNECTED))
    event = codec.receive(changed(START, "start.mediaFormat.encoding", "audio/x-alaw"))
    assert isinstance(event, LegStarted)
    assert event.audio_format == PCMA_8K


@pytest.mark.parametrize(
    ("message", "path", "value", "field"),
    [
        (START, "streamSid", None, "streamSid"),
        (START, "start", None, "start"),
        (START, "start.callSid", 5, "start.callSid"),
        (START, "start.mediaFormat.encoding", "audio/opus", "start.mediaFormat.encoding"),
        (START, "start.mediaFormat.sampleRate", 16000, "start.mediaFormat.encoding"),
        (START, "start.mediaFormat.channels", "x", "start.mediaFormat.channels"),
        (START, "start.customParameters", {"a": 1}, "start.customParameters.a"),
    ],
)
def test_a_malformed_start_names_its_field(message: dict[str, Any], path: str, value: object, field: str) -> None:
    """And the stream has not started by it."""
    codec = TwilioMedia()
    codec.receive(json.dumps(CONNECTED))
    with pytest.raises(RemoteProtocolError) as error:
        codec.receive(changed(message, path, value))
    assert error.value.field == field
    with pytest.raises(LocalProtocolError):
        codec.send(ClearPlayout(1))


@pytest.mark.parametrize(
    ("message", "path", "value", "field"),
    [
        (MEDIA, "media.payload", "***", "media.payload"),
        (MEDIA, "media.payload", None, "media.payload"),
        (MEDIA, "streamSid", None, "streamSid"),
        (DTMF, "dtmf.digit", "12", "dtmf.digit"),
        (DTMF, "dtmf.digit", "x", "dtmf.digit"),
        (MARK, "mark.name", None, "mark.name"),
        (MEDIA, "event", 5, "event"),
    ],
)
def test_a_malformed_message_names_its_field(message: dict[str, Any], path: str, value: object, field: str) -> None:
    """The next good one is read as if nothing had been."""
    codec = started()
    with pytest.raises(RemoteProtocolError) as error:
        codec.receive(changed(message, path, value))
    assert error.value.field == field
    assert codec.receive(json.dumps(MARK)) == MarkEchoed("m-17")


@pytest.mark.parametrize("message", ALL[1:], ids=lambda message: message["event"])
def test_f10_what_comes_before_start_or_after_stop_is_ignored_by_name(message: dict[str, Any]) -> None:
    """No state changes, nothing raises; connected must be first."""
    fresh, over = TwilioMedia(), started()
    over.receive(json.dumps(STOP))
    for codec in (fresh, over):
        event = codec.receive(json.dumps(message))
        assert isinstance(event, LegMessageIgnored)
        assert event.name == message["event"]


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(START),
        json.dumps(CONNECTED),
        changed(MEDIA, "streamSid", "MZ2"),
        changed(MEDIA, "media.track", "outbound"),
        '{"event":"future-event","streamSid":"MZ1"}',
    ],
    ids=["second-start", "second-connected", "other-stream", "other-track", "unknown"],
)
def test_f10_a_legal_message_out_of_place_is_told_and_changes_nothing(text: str) -> None:
    """Ignored and counted by the call."""
    codec = started()
    assert isinstance(codec.receive(text), LegMessageIgnored)
    assert codec.receive(json.dumps(MARK)) == MarkEchoed("m-17")


@pytest.mark.parametrize(
    ("order", "message"),
    [
        (PlayAudio(b"\x01\x02", 0), {"event": "media", "streamSid": "MZ1", "media": {"payload": "AQI="}}),
        (PlaceMark("g0-1", 0), {"event": "mark", "streamSid": "MZ1", "mark": {"name": "g0-1"}}),
        (ClearPlayout(1), {"event": "clear", "streamSid": "MZ1"}),
    ],
    ids=["media", "mark", "clear"],
)
def test_what_is_sent_has_exactly_the_documented_keys(order: LegOrder, message: dict[str, Any]) -> None:
    """One key too many is error 31951."""
    assert json.loads(started().send(order)) == message


@given(st.binary(min_size=1, max_size=2000), st.text('MZ"\\\n{}é', min_size=1, max_size=20))
def test_media_survives_any_audio_and_any_stream_id(audio: bytes, stream_id: str) -> None:
    """The template is JSON whatever it is filled with."""
    codec = TwilioMedia()
    codec.receive(json.dumps(CONNECTED))
    codec.receive(changed(START, "streamSid", stream_id))
    message = json.loads(codec.send(PlayAudio(audio, 0)))
    assert (message["streamSid"], base64.b64decode(message["media"]["payload"])) == (stream_id, audio)


def test_nothing_is_sent_before_start_or_after_stop() -> None:
    """Our own fault, and said so."""
    with pytest.raises(LocalProtocolError, match="before its connected"):
        TwilioMedia().send(ClearPlayout(1))
    over = started()
    over.receive(json.dumps(STOP))
    with pytest.raises(LocalProtocolError, match="after its stop"):
        over.send(PlayAudio(b"\xff", 0))
    with pytest.raises(LocalProtocolError, match="needs audio"):
        started().send(PlayAudio(b"", 0))


def test_j6_a_pressed_key_is_not_in_the_repr() -> None:
    """Digits are secrets."""
    assert "1" not in repr(started().receive(json.dumps(DTMF)))


@given(
    st.sampled_from(ALL),
    st.sampled_from(["event", "streamSid", "start", "media", "mark", "dtmf", "stop"]),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
        max_leaves=6,
    ),
    st.booleans(),
)
def test_any_change_of_a_message_gives_an_event_or_the_error(
    message: dict[str, Any], key: str, value: object, after_start: bool
) -> None:
    """Nothing else escapes, before the start and after it."""
    codec = started() if after_start else TwilioMedia()
    with suppress(RemoteProtocolError):
        event = codec.receive(json.dumps({**message, key: value}))
        assert event is None or attrs.has(type(event))


@given(st.text())
def test_any_text_gives_an_event_or_the_error(text: str) -> None:
    """Nothing else escapes."""
    with suppress(RemoteProtocolError):
        assert isinstance(started().receive(text), LegMessageIgnored)


TRACKS = st.sampled_from(["inbound", "outbound", "", None, 7])
AUDIO = st.binary(max_size=40).map(lambda audio: base64.b64encode(audio).decode())
EVENTS, STREAMS = st.sampled_from(["media", "mark"]), st.sampled_from(["MZ1", "MZ2", "\ud800"])


@given(TRACKS, AUDIO | st.text("AQ=\n ", max_size=9), STREAMS, EVENTS)
def test_media_read_in_one_step_are_as_read_by_field(track: object, payload: str, stream_id: str, name: str) -> None:
    """The quick way is the same way: what it reads the slow one reads alike, and it leaves every fault to that."""
    media = {"track": track, "timestamp": "5", "payload": payload}
    message = {"event": name, "streamSid": stream_id, "media": media}
    late = {"streamSid": stream_id, "media": media, "event": name}  # what it is, said last: never read quickly
    assert told(compact(message)) == told(json.dumps(message)) == told(compact(late))


@given(st.text(max_size=20), st.integers(0, 200))
def test_media_with_anything_around_them_are_read_alike(more: str, cut: int) -> None:
    """Continued, preceded, cut and doubled messages too."""
    media = compact(MEDIA)
    for text in (media + more, more + media, media[:cut], media.replace(",", ',"event":"stop",', 1)):
        assert told(text) == told(" " * 20 + text)


def compact(message: object) -> str:
    """Return a message as Twilio writes it."""
    return json.dumps(message, separators=(",", ":"))


def told(text: str) -> object:
    """Return what a started stream makes of a message: an event, or the fault's words."""
    try:
        return started().receive(text)
    except RemoteProtocolError as fault:
        return fault.field, fault.problem
