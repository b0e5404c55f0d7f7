"""Each field of each server event left out, null, of another type, huge, with a fraction: what is lost, by rule.

The rule: a field that is needed costs its own event and nothing else, and the error
names it; any other field costs nothing but a notice, and leaves every other field of
its event as it was.  Which fields are needed is written down here once more, so that
needing another one is a decision.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from operator import attrgetter
from typing import Any

import attrs
import orjson
import pytest

from voicecore import events as ev
from voicecore.audio.formats import PCMU_8K
from voicecore.errors import RemoteProtocolError
from voicecore.providers.openai_realtime.incoming import Translator
from voicecore.wire import openai_realtime as oai
from voicecore.wire.openai_realtime.codec import EVENT_CLASSES
from voicecore.wire.openai_realtime.server_events import ServerEvent, WireEvent
from voicecore_tests.wire.openai_realtime.official import JsonObject, server_event_models, whole_example

_IDS = ("response_id", "item_id")
NEEDED: dict[str, tuple[str, ...]] = {
    "session.created": (),
    "session.updated": (),
    "rate_limits.updated": (),
    "error": (),
    "conversation.created": (),
    "conversation.item.added": ("item",),
    "conversation.item.done": ("item",),
    "conversation.item.retrieved": ("item",),
    "conversation.item.truncated": ("item_id", "audio_end_ms"),
    "conversation.item.deleted": ("item_id",),
    "conversation.item.input_audio_transcription.delta": ("item_id",),
    "conversation.item.input_audio_transcription.completed": ("item_id", "transcript"),
    "conversation.item.input_audio_transcription.failed": ("item_id",),
    "conversation.item.input_audio_transcription.segment": ("item_id", "text"),
    "input_audio_buffer.committed": ("item_id",),
    "input_audio_buffer.cleared": (),
    "input_audio_buffer.speech_started": (),
    "input_audio_buffer.speech_stopped": (),
    "input_audio_buffer.timeout_triggered": (),
    "input_audio_buffer.dtmf_event_received": ("event",),
    "output_audio_buffer.started": ("response_id",),
    "output_audio_buffer.stopped": ("response_id",),
    "output_audio_buffer.cleared": ("response_id",),
    "response.created": ("response", "response.id"),
    "response.done": ("response", "response.id"),
    "response.output_item.added": ("response_id", "item"),
    "response.output_item.done": ("response_id", "item"),
    "response.content_part.added": _IDS,
    "response.content_part.done": _IDS,
    "response.output_audio.delta": (*_IDS, "delta"),
    "response.output_audio.done": _IDS,
    "response.output_audio_transcript.delta": (*_IDS, "delta"),
    "response.output_audio_transcript.done": (*_IDS, "transcript"),
    "response.output_text.delta": (*_IDS, "delta"),
    "response.output_text.done": (*_IDS, "text"),
    "response.function_call_arguments.delta": _IDS,
    "response.function_call_arguments.done": _IDS,
    "response.mcp_call_arguments.delta": _IDS,
    "response.mcp_call_arguments.done": _IDS,
    "response.mcp_call.in_progress": ("item_id",),
    "response.mcp_call.completed": ("item_id",),
    "response.mcp_call.failed": ("item_id",),
    "mcp_list_tools.in_progress": ("item_id",),
    "mcp_list_tools.completed": ("item_id",),
    "mcp_list_tools.failed": ("item_id",),
}

LEFT_OUT = object()
CHANGES: dict[str, Any] = {
    "left out": LEFT_OUT,
    "null": None,
    "a flag": True,
    "a number": 3,
    "a text": "odd!",
    "a list": [],
    "a list of lists": [[1]],
    "an object": {},
    "an odd object": {"type": 7, "id": [], "text": {}},
    "negative": -1,
    "2^63": 2**63,
    "60 digits": 10**60,
    "a fraction": 2.5,
    "a whole float": 2.0,
    "1 MB of text": "x" * 2**20,
}
WHOLE = {name: whole_example(model) for name, model in server_event_models().items() if name in EVENT_CLASSES}
Path = tuple[str | int, ...]


def paths(value: object, path: Path = ()) -> Iterator[Path]:
    """Every place inside a JSON value but its type on the wire."""
    entries: list[tuple[str | int, object]] = []
    if isinstance(value, dict):
        entries = list(value.items())
    elif isinstance(value, list):
        entries = list(enumerate(value))
    for key, inner in entries:
        if (*path, key) != ("type",):
            yield (*path, key)
            yield from paths(inner, (*path, key))


def changed(event: JsonObject, path: Path, value: object) -> JsonObject:
    """A copy with one place changed, or left out."""
    other: Any = copy.deepcopy(event)
    place = other
    for key in path[:-1]:
        place = place[key]
    if value is LEFT_OUT:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return dict(other)


def read(codec: oai.RealtimeCodec, event: JsonObject) -> list[ServerEvent] | RemoteProtocolError:
    """What a codec makes of an event."""
    try:
        return codec.receive(json.dumps(event))
    except RemoteProtocolError as error:
        return error


CASES = [(name, path) for name, event in WHOLE.items() for path in paths(event)]


def test_every_event_is_swept() -> None:
    """And every field that is needed is in its example."""
    assert set(WHOLE) == set(NEEDED) == set(EVENT_CLASSES)
    for name, needed in NEEDED.items():
        assert {tuple(each.split(".")) for each in needed} <= set(paths(WHOLE[name]))


@pytest.mark.parametrize(
    ("name", "path"), CASES, ids=lambda each: each if isinstance(each, str) else ".".join(map(str, each))
)
def test_what_a_field_costs(name: str, path: Path) -> None:
    """Its event where it is needed and cannot be used, a notice where it is not."""
    whole = WHOLE[name]
    codec = oai.RealtimeCodec()
    (good,) = oai.RealtimeCodec().receive(json.dumps(whole))
    for change, value in CHANGES.items():
        told = read(codec, changed(whole, path, value))
        if isinstance(told, RemoteProtocolError):
            assert ".".join(map(str, path)) in NEEDED[name], f"{change} cost the event: {told}"
            assert told.field.startswith(f"{name}.{path[0]}"), change
        else:
            assert_all_but_this_is_read(told, good, path, change)
        again = read(oai.RealtimeCodec(), whole)
        assert again == [good], f"{change} cost more than its event"


def assert_all_but_this_is_read(told: list[ServerEvent], good: ServerEvent, path: Path, change: str) -> None:
    """Fail if another field changed, or if any other field is reported."""
    *notices, event = told
    assert type(event) is type(good), change
    assert isinstance(event, WireEvent)
    for field in attrs.fields(type(event)):
        if field.name != path[0]:
            assert getattr(event, field.name) == getattr(good, field.name), change
    for notice in notices:
        assert isinstance(notice, oai.FieldIgnored)
        assert notice.name.startswith(f"{event.wire_name}.{path[0]}"), change


@pytest.mark.parametrize(("name", "needed"), [(name, each) for name, all_ in NEEDED.items() for each in all_])
@pytest.mark.parametrize("change", ["left out", "null", "a flag", "a list", "60 digits"])
def test_a_field_that_is_needed_is_named_when_it_cannot_be_used(name: str, needed: str, change: str) -> None:
    """Every one of them, by its whole path, by a codec that knows of no response under way."""
    told = read(oai.RealtimeCodec(), changed(WHOLE[name], tuple(needed.split(".")), CHANGES[change]))
    assert isinstance(told, RemoteProtocolError)
    assert told.field == f"{name}.{needed}"


@pytest.mark.parametrize(
    ("name", "path", "change"),
    [
        ("response.done", "response.usage", "a text"),
        ("response.done", "response.usage.input_tokens", "2^63"),
        ("response.done", "response.usage.input_token_details.text_tokens", "negative"),
        ("response.done", "response.usage.output_token_details.audio_tokens", "a fraction"),
        ("response.done", "response.metadata", "a text"),
        ("response.done", "response.output", "a text"),
        ("response.done", "response.status_details", "a list"),
        ("response.created", "response.status", "a number"),
        ("response.output_item.added", "item.id", "an object"),
        ("session.created", "session.audio", "a text"),
        ("session.updated", "session.expires_at", "a fraction"),
        ("input_audio_buffer.speech_started", "audio_start_ms", "2^63"),
        ("input_audio_buffer.speech_stopped", "audio_end_ms", "a text"),
        ("conversation.item.input_audio_transcription.completed", "usage", "a number"),
        ("rate_limits.updated", "rate_limits", "an object"),
        ("error", "error.code", "a list"),
        ("error", "error.event_id", "a number"),
    ],
)
def test_each_leniency_is_told_every_time_by_its_place(name: str, path: str, change: str) -> None:
    """So that it can be counted."""
    codec = oai.RealtimeCodec()
    text = json.dumps(changed(WHOLE[name], tuple(path.split(".")), CHANGES[change]))
    for _ in range(3):
        notice, _event = codec.receive(text)
        assert isinstance(notice, oai.FieldIgnored)
        assert notice.name == f"{name}.{path}"


@pytest.mark.parametrize("change", ["2^63", "60 digits", "negative", "a fraction", "a whole float", "a text"])
def test_no_usage_makes_a_sum_that_cannot_be_written(change: str) -> None:
    """However often it is said."""
    total = ev.TokenUsage()
    event = WHOLE["response.done"]
    for path in (each for each in paths(event) if "usage" in each):
        told = read(oai.RealtimeCodec(), changed(event, path, CHANGES[change]))
        assert isinstance(told, list)
        done = told[-1]
        assert isinstance(done, oai.ResponseDone)
        usage = done.response.usage
        for _ in range(1_000 if usage is not None else 0):
            assert usage is not None
            total += usage.counted()
    assert orjson.dumps(attrs.asdict(total))


@pytest.mark.parametrize("name", WHOLE)
def test_whatever_is_read_can_be_translated(name: str) -> None:
    """Every event that the codec accepts has what the table needs, and ignored fields are reported."""
    for path in paths(WHOLE[name]):
        for value in CHANGES.values():
            told = read(oai.RealtimeCodec(), changed(WHOLE[name], path, value))
            for event in told if isinstance(told, list) else [told]:
                meant = Translator(PCMU_8K).translate(event)
                if isinstance(event, oai.FieldIgnored | RemoteProtocolError):
                    assert [type(each) for each in meant] == [ev.SessionNotice]


# --- names and ids --------------------------------------------------------------------------


def test_names_that_the_server_makes_up_are_cut_and_bounded() -> None:
    """A flood of unknown events is reported under 64 names, and the rest under one."""
    codec = oai.RealtimeCodec()
    for number in range(1_000):
        codec.receive(json.dumps({"type": f"response.new.{number}"}))
    long = codec.receive(json.dumps({"type": "response.new.0" + "x" * 10_000}))
    names = {
        attrgetter("name")(codec.receive(json.dumps({"type": f"response.new.{number}"}))[0]) for number in range(1_000)
    }
    assert len(names) == 65
    assert long == [oai.Unrecognised("others")]
    (first,) = oai.RealtimeCodec().receive(json.dumps({"type": "x" * 10_000}))
    assert first == oai.Unrecognised("x" * 80)


def test_keys_of_metadata_are_never_names() -> None:
    """They are the peer's own words."""
    odd = {"type": "response.done", "response": {"id": "resp_1", "metadata": {f"secret-{n}": n for n in range(100)}}}
    *notices, _event = oai.RealtimeCodec().receive(json.dumps(odd))
    assert [attrgetter("name")(each) for each in notices] == ["response.done.response.metadata"]


def under_way(*responses: str) -> oai.RealtimeCodec:
    """A codec that knows of responses that run, each with one item."""
    codec = oai.RealtimeCodec()
    for response_id in responses:
        codec.receive(json.dumps({"type": "response.created", "response": {"id": response_id}}))
        item = {"id": f"item-of-{response_id}", "type": "message"}
        codec.receive(json.dumps({"type": "response.output_item.added", "response_id": response_id, "item": item}))
    return codec


IN_ITEM = sorted(name for name, needed in NEEDED.items() if needed[:2] == _IDS)


@pytest.mark.parametrize("name", IN_ITEM)
@pytest.mark.parametrize("value", [LEFT_OUT, None, 7, []])
@pytest.mark.parametrize("missing", [("response_id",), ("item_id",), _IDS])
def test_an_id_that_is_missing_is_that_of_the_only_one_under_way(
    name: str, missing: tuple[str, ...], value: object
) -> None:
    """Filled in and reported: a missing id must not make a call silent."""
    event: JsonObject = WHOLE[name] | {"response_id": "r", "item_id": "item-of-r"}
    for each in missing:
        event = changed(event, (each,), value)
    *notices, read_event = under_way("r").receive(json.dumps(event))
    assert attrgetter(*_IDS)(read_event) == ("r", "item-of-r")
    assert {attrgetter("name")(each) for each in notices} == {f"{name}.{each}" for each in missing}


@pytest.mark.parametrize("name", IN_ITEM)
def test_no_id_is_guessed(name: str) -> None:
    """Of two that run either could be meant; of none, none."""
    for codec in (oai.RealtimeCodec(), under_way("r", "s")):
        with pytest.raises(RemoteProtocolError, match=r"response_id"):
            codec.receive(json.dumps(changed(WHOLE[name], ("response_id",), None)))


@pytest.mark.parametrize("response", [LEFT_OUT, None, "done", 7, [], {}, {"id": None, "status": "completed"}])
def test_the_end_of_the_only_response_is_its_end_whatever_it_forgets(response: object) -> None:
    """The agent would be thought to speak for ever."""
    codec = under_way("r")
    done: JsonObject = {"type": "response.done"} | ({} if response is LEFT_OUT else {"response": response})
    *_, event = codec.receive(json.dumps(done))
    assert isinstance(event, oai.ResponseDone)
    assert event.response.id == "r"
    with pytest.raises(RemoteProtocolError):
        codec.receive(json.dumps(done))


def test_a_turn_without_its_id_is_the_one_that_was_heard() -> None:
    """A committed event that forgets it."""
    codec = oai.RealtimeCodec()
    codec.receive('{"type":"input_audio_buffer.speech_started","item_id":"item_7"}')
    *_, event = codec.receive('{"type":"input_audio_buffer.committed"}')
    assert isinstance(event, oai.InputAudioCommitted)
    assert event.item_id == "item_7"


def test_what_is_remembered_of_responses_is_bounded() -> None:
    """A server that never says that one is over."""
    codec = under_way(*(f"r{number}" for number in range(1_000)))
    assert len(codec._under_way._items) == 8
    for number in range(1_000):
        item = {"id": f"item_{number}", "type": "message", "role": "assistant"}
        codec.receive(json.dumps({"type": "response.output_item.added", "response_id": "r999", "item": item}))
    assert len(codec._under_way._items["r999"]) == 64
