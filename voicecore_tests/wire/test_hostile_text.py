"""Whatever text a peer sends, of any depth: what a reader makes of it, or the one error that it declares."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicecore.errors import RemoteProtocolError
from voicecore.events import UserAudio
from voicecore.simulation.twilio.messages import read_application
from voicecore.wire import openai_realtime as oai
from voicecore.wire.twilio_media import TwilioMedia
from voicecore.wire.twilio_rest import read_call_sid, read_problem

MEDIA = '{"event":"media","streamSid":"MZ1","media":{"payload":"//8="}}'
DELTA = '{"type":"response.output_audio.delta","response_id":"r","item_id":"i","delta":"//8="}'
DONE = '{"type":"response.done","response":{"id":"r","metadata":{"a":"b"},"usage":{"total_tokens":1}}}'
UPDATED = '{"type":"session.updated","session":{"id":"s","audio":{"input":{"turn_detection":null}}}}'
ERROR = '{"type":"error","error":{"message":"m","code":"c"}}'
MESSAGES = (MEDIA, DELTA, DONE, UPDATED, ERROR)
DEPTHS = (1, 100, 500, 990, 1_000, 1_020, 1_030, 5_000, 200_000)


def started() -> TwilioMedia:
    """A stream that has begun."""
    codec = TwilioMedia()
    codec.receive('{"event":"connected"}')
    media_format = {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}
    codec.receive(
        json.dumps({"event": "start", "streamSid": "MZ1", "start": {"callSid": "CA1", "mediaFormat": media_format}})
    )
    return codec


READERS: dict[str, Callable[[str], object]] = {
    "provider": lambda text: oai.RealtimeCodec().receive(text),
    "provider, bytes": lambda text: oai.RealtimeCodec().receive(text.encode("utf-8", "surrogatepass")),
    "carrier": lambda text: started().receive(text),
    "carrier's REST, created": lambda text: read_call_sid(text.encode("utf-8", "surrogatepass")),
    "carrier's REST, problem": lambda text: read_problem(400, text.encode("utf-8", "surrogatepass")),
    "carrier twin": lambda text: read_application(text, "MZ1"),
}


def assert_no_more_than_the_declared_error(name: str, text: str) -> None:
    """Fail on any other exception."""
    with suppress(RemoteProtocolError):
        READERS[name](text)


def places(message: str) -> Iterator[tuple[str, str]]:
    """Every position of a value in a message, as the text before and after it; and one more field."""
    yield message[:-1] + ',"x":', "}"

    def within(value: Any, before: str, behind: str) -> Iterator[tuple[str, str]]:
        yield before, behind
        for key, inner in value.items() if isinstance(value, dict) else ():
            rest = json.dumps({other: each for other, each in value.items() if other != key})[1:]
            yield from within(inner, f"{before}{{{json.dumps(key)}:", f"{',' if len(rest) > 1 else ''}{rest}{behind}")

    yield from within(json.loads(message), "", "")


PLACES = [place for message in MESSAGES for place in places(message)]


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("depth", DEPTHS)
def test_no_depth_at_any_place_is_more_than_the_declared_error(name: str, depth: int) -> None:
    """Lists and objects, in fields that are read and in one that is not, closed and left open."""
    nests = (("[" * depth, "]" * depth), ('{"a":' * depth + "1", "}" * depth), ("[" * depth, ""))
    for before, behind in PLACES:
        for opening, closing in nests:
            assert_no_more_than_the_declared_error(name, before + opening + closing + behind)


@pytest.mark.parametrize("depth", [100, 500, 900, 1_000])
def test_speech_with_something_deep_beside_it_is_speech(depth: int) -> None:
    """Depth in an unused field is harmless, up to the limit of the parser."""
    deep = "[" * depth + "]" * depth
    (event,) = oai.RealtimeCodec().receive(DELTA[:-1] + f',"x":{deep}}}')
    assert isinstance(event, oai.OutputAudioDelta)
    assert started().receive(MEDIA[:-1] + f',"x":{deep}}}') == UserAudio(b"\xff\xff")


@pytest.mark.parametrize("name", READERS)
@given(
    st.sampled_from(PLACES),
    st.one_of(
        st.integers(1, 1_200).map(lambda depth: "[" * depth + "]" * depth),
        st.integers(1, 1_200).map(lambda depth: '{"a":' * depth + "1" + "}" * depth),
        st.integers().map(str),
        st.integers(0, 6_000).map(lambda digits: "9" * digits),
        st.floats().map(repr),
        st.sampled_from(["1e999", "-1e999", '"\\ud800"', '"\ud800"', "NaN", "-", "tru", '"', "\x00", "é", "2" * 70]),
        st.text(max_size=20),
    ),
)
def test_any_value_at_any_place_is_no_more_than_the_declared_error(
    name: str, place: tuple[str, str], value: str
) -> None:
    """Numbers of any size, cut literals, lone surrogates, text that is no value."""
    assert_no_more_than_the_declared_error(name, place[0] + value + place[1])


@pytest.mark.parametrize("name", READERS)
@given(st.sampled_from(MESSAGES), st.integers(0, 100), st.text(max_size=5))
def test_a_message_that_is_cut_or_written_over_is_no_more_than_the_declared_error(
    name: str, message: str, at: int, over: str
) -> None:
    """As a proxy might do it."""
    assert_no_more_than_the_declared_error(name, message[:at] + over)
    assert_no_more_than_the_declared_error(name, message[:at] + over + message[at + len(over) :])
