"""Frames of the server become typed events, or one kind of error that names the field."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from operator import attrgetter
from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import strategies as st
from pydantic import BaseModel

from voicecore.errors import RemoteProtocolError
from voicecore.wire import openai_realtime as oai
from voicecore.wire.openai_realtime.codec import BETA_NAMES, EVENT_CLASSES
from voicecore.wire.openai_realtime.server_events import ServerEvent
from voicecore_tests.chance import examples
from voicecore_tests.wire.openai_realtime.kit import received
from voicecore_tests.wire.openai_realtime.official import JsonObject, instances, json_values, server_event_models

MODELS = server_event_models()
FEW = examples(25, suppress_health_check=[HealthCheck.too_slow])


def sent_events(name: str) -> st.SearchStrategy[JsonObject]:
    """What the official model of an event accepts; a response with its id, which the types let be absent."""

    def identified(sent: JsonObject) -> JsonObject:
        return sent | {"response": {"id": "resp_1"} | sent["response"]} if "response" in sent else sent

    return (
        instances(MODELS[name]).map(identified).filter(lambda sent: sent.get("response", {}).get("id", "") is not None)
    )


any_event = st.sampled_from(sorted(MODELS)).flatmap(sent_events)

AUDIO_DELTA = {
    "type": "response.output_audio.delta",
    "event_id": "event_1",
    "response_id": "resp_1",
    "item_id": "item_1",
    "output_index": 0,
    "content_index": 0,
    "delta": base64.b64encode(b"\xff\x7f" * 80).decode(),
}


# --- everything that the official types can say ----------------------------------


def test_the_official_types_and_ours_name_the_same_events() -> None:
    """Every event of the API has a class, and no class has an event that the API does not know."""
    assert set(MODELS) - set(BETA_NAMES) == set(EVENT_CLASSES)


@pytest.mark.parametrize("name", sorted(MODELS))
@FEW
@given(data=st.data())
def test_every_event_of_the_official_types_is_read(name: str, data: st.DataObject) -> None:
    """Whatever the official model of an event accepts becomes its class, with the values that were sent."""
    sent = data.draw(sent_events(name))
    MODELS[name].model_validate(sent)
    told = oai.RealtimeCodec().receive(json.dumps(sent))
    assert type(told[-1]) is EVENT_CLASSES[BETA_NAMES.get(name, name)]
    assert list(disagreements(told[-1], sent, "")) == []
    assert not [each for each in told if isinstance(each, oai.FieldIgnored)]


@pytest.mark.parametrize("name", sorted(set(MODELS) - set(BETA_NAMES)))
def test_no_field_is_left_out_unnoticed(name: str) -> None:
    """A field of the API that is not read is listed here, so that leaving it out was a decision."""
    assert set(unread(MODELS[name], EVENT_CLASSES[name])) <= LEFT_OUT


LEFT_OUT = {"event_id", "output_index", "content_index", "logprobs", "obfuscation"}
"""Everything goes by ids, not by the numbers of outputs and parts; nobody uses the others."""


def unread(model: type[BaseModel], ours: type[attrs.AttrsInstance]) -> Iterator[str]:
    names = {field.name for field in attrs.fields(ours)}
    yield from (name for name in model.model_fields if name not in names | {"type"})


def disagreements(ours: object, sent: Any, path: str) -> Iterator[str]:
    """Name the fields in which an event is not what was sent."""
    if isinstance(ours, oai.EffectiveConfig):
        if ours.reported != sent:
            yield path
    elif attrs.has(shape := type(ours)):
        for field in attrs.fields(shape):
            yield from disagreements(attrgetter(field.name)(ours), sent.get(field.name), f"{path}.{field.name}")
    elif isinstance(ours, tuple):
        for index, (value, other) in enumerate(zip(ours, sent, strict=True)):
            yield from disagreements(value, other, f"{path}.{index}")
    elif isinstance(ours, bytes):
        if base64.b64encode(ours).decode() != sent:
            yield path
    elif ours != sent:
        yield path


# --- the hot event -----------------------------------------------------------------


def test_speech_comes_decoded() -> None:
    """The codec decodes audio once and returns bytes, never base64."""
    event = received(AUDIO_DELTA)
    assert isinstance(event, oai.OutputAudioDelta)
    assert event.delta == b"\xff\x7f" * 80


def test_h1_a_delta_may_end_inside_a_sample() -> None:
    """Deltas are cut anywhere; an odd number of bytes is passed on as it is."""
    event = received(AUDIO_DELTA | {"delta": base64.b64encode(b"\x01\x02\x03").decode()})
    assert isinstance(event, oai.OutputAudioDelta)
    assert event.delta == b"\x01\x02\x03"


QUICKLY_READ: list[Any] = [
    0,
    1.0,
    -1,
    True,
    2**63,
    2**64,
    -(2**200),
    1.5,
    None,
    "AQ=",
    "QQ==",
    "",
    "\ud800",
    [[[]]],
    {"a": {}},
]


@given(
    st.sampled_from([*AUDIO_DELTA, "another"]),
    st.one_of(json_values(), st.integers(), st.sampled_from(QUICKLY_READ)),
    st.booleans(),
)
@example("output_index", 2**64, True)
@example("event_id", 7, True)
@example("event_id", None, True)
def test_speech_read_in_one_step_is_as_read_by_field(name: str, value: object, is_there: bool) -> None:
    """The quick reader reads what the thorough one needs; a name with an escape in it is never read quickly."""
    event = (
        {**AUDIO_DELTA, name: value} if is_there else {key: each for key, each in AUDIO_DELTA.items() if key != name}
    )
    text = json.dumps(event)
    assert read(text) == read(text.replace("output_audio.delta", "output_audio\\u002edelta"))
    late = {"by the way": " " * 200, **event}
    assert read(text) == read(json.dumps(late))


def read(text: str) -> list[ServerEvent] | tuple[str, str]:
    """Return what a fresh codec makes of a message: events, or the fault's words."""
    try:
        return oai.RealtimeCodec().receive(text)
    except RemoteProtocolError as fault:
        return fault.field, fault.problem


def test_speech_is_not_shown() -> None:
    """The repr of an event has no audio."""
    assert "<160 bytes>" in repr(received(AUDIO_DELTA))


def test_a_digit_of_the_user_is_not_shown() -> None:
    """Users type card numbers; the value is there, a log line does not have it."""
    event = received({"type": "input_audio_buffer.dtmf_event_received", "event": "7", "received_at": 1_790_000_000})
    assert isinstance(event, oai.DtmfReceived)
    assert event.event == "7"
    assert "7'" not in repr(event)


@pytest.mark.parametrize("delta", ["!!!!", "AAA", "AA=A", "A A=", "żółw"])
def test_speech_that_is_not_base64_is_refused(delta: str) -> None:
    """The error names event and field, and shows nothing of the payload."""
    with pytest.raises(RemoteProtocolError, match=r"response\.output_audio\.delta\.delta: not base64$") as caught:
        received(AUDIO_DELTA | {"delta": delta})
    assert caught.value.peer == "OpenAI Realtime"


# --- names ---------------------------------------------------------------------------


@pytest.mark.parametrize(("beta", "canonical"), sorted(BETA_NAMES.items()))
def test_a_retired_name_is_read_as_the_present_one_and_said_once(beta: str, canonical: str) -> None:
    """Some deployments still send beta names: one notice a name and connection, before the event it is about."""
    codec = oai.RealtimeCodec()
    item = {"type": "message", "role": "user", "content": [], "id": "item_1"}
    words = {"transcript": "", "text": "", "item": item}
    frame = json.dumps(AUDIO_DELTA | words | {"type": beta})
    first, second = codec.receive(frame), codec.receive(frame)
    assert first[0] == oai.BetaNameUsed(beta, canonical)
    assert first[1:] == second
    assert [type(event) for event in second] == [EVENT_CLASSES[canonical]]


def test_each_retired_name_and_each_connection_has_its_own_notice() -> None:
    """A second name is news, and so is the first name on another connection."""
    one, other = oai.RealtimeCodec(), oai.RealtimeCodec()
    delta = json.dumps(AUDIO_DELTA | {"type": "response.audio.delta"})
    done = json.dumps(AUDIO_DELTA | {"type": "response.audio.done"})
    notices = [event for frame in (delta, done, delta, done) for event in one.receive(frame)]
    assert [event.name for event in notices if isinstance(event, oai.BetaNameUsed)] == [
        "response.audio.delta",
        "response.audio.done",
    ]
    assert isinstance(other.receive(delta)[0], oai.BetaNameUsed)


def test_a_malformed_event_does_not_use_up_the_notice() -> None:
    """The notice comes with the first event that could be read."""
    codec = oai.RealtimeCodec()
    beta = AUDIO_DELTA | {"type": "response.audio.delta"}
    with pytest.raises(RemoteProtocolError):
        codec.receive(json.dumps(beta | {"delta": None}))
    assert isinstance(codec.receive(json.dumps(beta))[0], oai.BetaNameUsed)


@pytest.mark.parametrize("name", ["response.cancelled", "session.renamed", "", "response.output_audio.delta "])
def test_an_unknown_event_is_kept_by_name(name: str) -> None:
    """New events appear without notice; they are a value, neither an error nor silence."""
    assert received({"type": name, "event_id": "event_9"}) == oai.Unrecognised(name)


# --- what is malformed ------------------------------------------------------------------


@given(st.text() | st.binary())
def test_any_text_is_an_event_or_one_kind_of_error(text: str | bytes) -> None:
    """Nothing but RemoteProtocolError ever escapes."""
    assert_answered(text)


@given(json_values(20))
def test_any_json_is_an_event_or_one_kind_of_error(value: object) -> None:
    """Lists, numbers and objects without a type too."""
    assert_answered(json.dumps(value))


@given(st.sampled_from(sorted(MODELS)), st.data())
def test_any_content_of_a_known_event_is_an_event_or_one_kind_of_error(name: str, data: st.DataObject) -> None:
    """The right name with anything at all inside."""
    content = {field: json_values() for field in MODELS[name].model_fields}
    frame = data.draw(st.fixed_dictionaries({}, optional=content))
    assert_answered(json.dumps(frame | {"type": name}))


@pytest.mark.parametrize(
    "text",
    ["", "null", "[]", '"text"', "{", '{"type": 1}', "{}", "[" * 100_000, '{"type": "error", "x": NaN}', "\ud800"],
)
def test_what_is_no_typed_object_is_refused(text: str) -> None:
    """A frame is one JSON object with a type; deep nesting and lone surrogates are refused like the rest."""
    with pytest.raises(RemoteProtocolError):
        oai.RealtimeCodec().receive(text)


def test_a_refused_frame_does_not_spoil_the_next() -> None:
    """The codec has nothing that a malformed frame could break."""
    codec = oai.RealtimeCodec()
    with pytest.raises(RemoteProtocolError):
        codec.receive("{")
    assert len(codec.receive(json.dumps(AUDIO_DELTA))) == 1


@examples(300, suppress_health_check=[HealthCheck.too_slow])
@given(any_event, st.data())
def test_a_broken_field_is_named_or_was_not_needed(sent: JsonObject, data: st.DataObject) -> None:
    """A field removed, or of another type: the error names it, or the event is read without it."""
    path = data.draw(st.sampled_from([each for each in paths(sent, ()) if each != ("type",)]))
    broken = with_change(sent, path, data.draw(st.just(REMOVED) | st.sampled_from(OTHER_VALUES)))
    told = read(json.dumps(broken))
    if isinstance(told, tuple):
        field, _ = told
        named = [field]
    else:
        *notices, event = told
        assert type(event) is EVENT_CLASSES[BETA_NAMES.get(sent["type"], sent["type"])]
        named = [each.name for each in notices if isinstance(each, oai.FieldIgnored)]
    assert all(same_way(each, sent["type"], path) for each in named)


def same_way(named: str, event: str, path: tuple[str | int, ...]) -> bool:
    """Whether a name is that of a place, or of one that it is in, or that is in it."""
    told = [each for each in named.removeprefix(f"{event}.").replace("[]", ".[]").split(".") if each]
    wanted = ["[]" if isinstance(each, int) else each for each in path]
    shorter = min(len(told), len(wanted))
    return named.startswith(f"{event}.") and told[:shorter] == wanted[:shorter]


REMOVED = object()
OTHER_VALUES: list[Any] = [None, True, 7, 0.5, "text", [], {}, [1], {"a": 1}]


def paths(value: object, path: tuple[str | int, ...]) -> Iterator[tuple[str | int, ...]]:
    """Every place inside a JSON value."""
    entries: Iterator[tuple[str | int, object]] = iter(())
    if isinstance(value, Mapping):
        entries = iter(value.items())
    elif isinstance(value, list):
        entries = iter(enumerate(value))
    for key, inner in entries:
        if "." not in str(key):  # a dot in a key of the server would read as two fields
            yield (*path, key)
            yield from paths(inner, (*path, key))


def with_change(value: JsonObject, path: tuple[str | int, ...], change: object) -> JsonObject:
    """A copy with one place changed or removed."""
    copy: JsonObject = json.loads(json.dumps(value))
    place: Any = copy
    for key in path[:-1]:
        place = place[key]
    if change is not REMOVED:
        place[path[-1]] = change
    else:
        place.pop(path[-1])
    return copy


def assert_answered(text: str | bytes) -> None:
    """Fail on any other exception, and on silence."""
    with suppress(RemoteProtocolError):
        *told, _event = oai.RealtimeCodec().receive(text)
        assert all(isinstance(each, oai.BetaNameUsed | oai.FieldIgnored) for each in told)
