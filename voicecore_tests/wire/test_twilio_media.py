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

from voicecore.audio.formats import PCM16_16K, PCM16_24K, PCMU_8K, AudioFormat, Encoding
from voicecore.errors import LocalProtocolError, RemoteProtocolError
from voicecore.events import (
    ClearPlayout,
    DigitPressed,
    LegMessageIgnored,
    LegOrder,
    LegStarted,
    LegStopped,
    MarkReturned,
    PlaceMark,
    PlayAudio,
    UserAudio,
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
        UserAudio(b"\xff" * 160),
        DigitPressed("1"),
        MarkReturned("m-17"),
        LegStopped(),
    ]


def start_with(path: str, value: object) -> LegStarted:
    codec = TwilioMedia()
    codec.receive(json.dumps(CONNECTED))
    event = codec.receive(changed(START, path, value))
    assert isinstance(event, LegStarted)
    return event


@pytest.mark.parametrize(("path", "odd"), [("streamSid", None), ("streamSid", 5), ("start.streamSid", None)])
def test_a_stream_is_named_in_one_of_two_places(path: str, odd: object) -> None:
    """Beside the start, and in it."""
    assert start_with(path, odd).stream_id == "MZ1"


@pytest.mark.parametrize("encoding", ["audio/x-mulaw", "audio/x-alaw", "audio/l16", "audio/x-l16", "audio/L16"])
@pytest.mark.parametrize("rate", [8000, "8000", 8000.0, 16000, "16000", 24000])
def test_h9_an_announced_format_is_taken_for_what_it_is(encoding: str, rate: object) -> None:
    """The format travels with the stream: narrow, and wide as newer TwiML has it; numbers are written in any way."""
    laws = {"audio/x-mulaw": Encoding.PCMU, "audio/x-alaw": Encoding.PCMA}
    event = start_with("start.mediaFormat", {"encoding": encoding, "sampleRate": rate, "channels": "1"})
    assert event.audio_format == AudioFormat(laws.get(encoding, Encoding.PCM16), int(float(str(rate))))


@pytest.mark.parametrize(
    ("announced", "audio_format"),
    [
        (None, PCMU_8K),
        ({}, PCMU_8K),
        ("mulaw", PCMU_8K),
        ({"encoding": None, "sampleRate": None, "channels": None}, PCMU_8K),
        ({"encoding": "audio/x-mulaw", "sampleRate": "x", "channels": True}, PCMU_8K),
        ({"encoding": "audio/l16;rate=16000"}, PCM16_16K),
        ({"encoding": "audio/l16; rate=24000", "channels": 1}, PCM16_24K),
        ({"encoding": "audio/l16;rate=8000", "sampleRate": 16000}, PCM16_16K),
    ],
)
def test_h9_a_format_that_is_left_out_is_the_usual_one(announced: object, audio_format: AudioFormat) -> None:
    """µ-law at 8 kHz, which everybody gets."""
    assert start_with("start.mediaFormat", announced).audio_format == audio_format


@pytest.mark.parametrize("given", [None, "text", ["a"], 5])
def test_parameters_of_another_shape_are_none(given: object) -> None:
    """They cost no call."""
    assert start_with("start.customParameters", given).parameters == {}


def test_a_parameter_that_is_no_text_is_left_out() -> None:
    """The others are kept."""
    given = {"a": 1, "b": None, "c": ["x"], "d": "y"}
    assert start_with("start.customParameters", given).parameters == {"d": "y"}


@pytest.mark.parametrize("name", ["accountSid", "tracks", "customParameters", "mediaFormat", "streamSid"])
@pytest.mark.parametrize("value", [None, 5, {"a": 1}])
def test_a_field_of_the_start_that_nobody_needs_may_be_odd(name: str, value: object) -> None:
    """Or not there at all."""
    assert start_with(f"start.{name}", value).carrier_call_id == "CA1"


@pytest.mark.parametrize("cuts", [[640], [1, 639], [3, 5, 632], [639, 1]])
def test_h2_audio_of_two_bytes_leaves_in_whole_samples(cuts: list[int]) -> None:
    """However it was cut into messages."""
    codec, audio = TwilioMedia(), bytes(range(256)) * 3
    codec.receive(json.dumps(CONNECTED))
    codec.receive(changed(START, "start.mediaFormat", {"encoding": "audio/l16", "sampleRate": 16000}))
    heard, begin = b"", 0
    for size in cuts:
        payload = base64.b64encode(audio[begin : begin + size]).decode()
        event = codec.receive(changed(MEDIA, "media.payload", payload))
        assert isinstance(event, UserAudio)
        assert len(event.audio) % 2 == 0
        heard, begin = heard + event.audio, begin + size
    assert heard == audio[:640]


@pytest.mark.parametrize(("path", "value"), [("streamSid", None), ("streamSid", 5), ("media.track", 5)])
def test_a_media_message_needs_its_payload_alone(path: str, value: object) -> None:
    """One socket has one stream."""
    assert started().receive(changed(MEDIA, path, value)) == UserAudio(b"\xff" * 160)


@pytest.mark.parametrize("depth", [100, 1023, 1024, 1025, 5000, 100_000])
@pytest.mark.parametrize("place", ["event", "media", "more"])
def test_json_of_any_depth_gives_an_event_or_the_error(depth: int, place: str) -> None:
    """In the quick reader and in the thorough one."""
    nested = "[" * depth + "]" * depth
    text = compact(MEDIA)[:-1] + f',"more":{nested}}}'
    if place != "more":
        text = f'{{"{place}":{nested},{compact(MEDIA)[1:]}'
    with suppress(RemoteProtocolError):
        assert attrs.has(type(started().receive(text)))


@pytest.mark.parametrize(
    ("message", "path", "value", "field"),
    [
        (START, "start", None, "start"),
        (START, "start.callSid", 5, "start.callSid"),
        (START, "start.callSid", None, "start.callSid"),
        (START, "start.mediaFormat.encoding", "audio/opus", "start.mediaFormat.encoding"),
        (START, "start.mediaFormat.sampleRate", 48000, "start.mediaFormat.encoding"),
        (START, "start.mediaFormat.channels", 2, "start.mediaFormat.encoding"),
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
    assert codec.receive(json.dumps(MARK)) == MarkReturned("m-17")


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
    assert codec.receive(json.dumps(MARK)) == MarkReturned("m-17")


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
