"""What we send: every frame is one that the official types accept, key by key."""

from __future__ import annotations

import base64
import json
from typing import Any, get_args

import pytest
from hypothesis import given
from openai.types.realtime import RealtimeClientEvent

from voicecore.errors import LocalProtocolError
from voicecore.wire import openai_realtime as oai
from voicecore.wire.openai_realtime.client_events import APPEND_LIMIT_BYTES
from voicecore_tests.chance import examples
from voicecore_tests.wire.openai_realtime.kit import client_events
from voicecore_tests.wire.openai_realtime.official import accepted


@examples(300)
@given(client_events)
def test_every_frame_is_one_that_the_api_knows(event: oai.ClientEvent) -> None:
    """Accepted strictly, without a key that the official types lack; our event id goes along."""
    assert accepted(oai.encode(event)).get("event_id") == event.event_id


@pytest.mark.parametrize(
    ("event", "frame"),
    [
        (oai.InputAudioCommit(), {"type": "input_audio_buffer.commit"}),
        (oai.InputAudioClear(event_id="c-1"), {"type": "input_audio_buffer.clear", "event_id": "c-1"}),
        (
            oai.ItemTruncate(item_id="item_1", audio_end_ms=1480),
            {"type": "conversation.item.truncate", "item_id": "item_1", "content_index": 0, "audio_end_ms": 1480},
        ),
        (oai.ItemDelete(item_id="item_1"), {"type": "conversation.item.delete", "item_id": "item_1"}),
        (oai.ItemRetrieve(item_id="item_1"), {"type": "conversation.item.retrieve", "item_id": "item_1"}),
        (oai.ResponseCancel(response_id="resp_1"), {"type": "response.cancel", "response_id": "resp_1"}),
        (oai.ResponseCancel(), {"type": "response.cancel"}),
        (oai.ResponseCreate(), {"type": "response.create"}),
        (
            oai.ResponseCreate(
                request_id="greeting-1",
                instructions="Say exactly: hello.",
                tool_choice="none",
                output_modality="audio",
                input=(),
                conversation="none",
            ),
            {
                "type": "response.create",
                "response": {
                    "metadata": {"voicecore_request": "greeting-1"},
                    "instructions": "Say exactly: hello.",
                    "tool_choice": "none",
                    "output_modalities": ["audio"],
                    "input": [],
                    "conversation": "none",
                },
            },
        ),
    ],
)
def test_an_event_says_this_and_nothing_else(event: oai.ClientEvent, frame: dict[str, Any]) -> None:
    """Fields that are None are left out; an empty input is sent."""
    assert accepted(oai.encode(event)) == frame


@pytest.mark.parametrize(
    ("item", "wire"),
    [
        (
            oai.UserMessage("hi", "u-1"),
            {"type": "message", "id": "u-1", "role": "user", "content": [{"type": "input_text", "text": "hi"}]},
        ),
        (
            oai.SystemMessage("be kind"),
            {"type": "message", "role": "system", "content": [{"type": "input_text", "text": "be kind"}]},
        ),
        (
            oai.AssistantMessage("hello"),
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "hello"}]},
        ),
        (
            oai.FunctionCall(call_id="call_1", name="find", arguments="{}"),
            {"type": "function_call", "call_id": "call_1", "name": "find", "arguments": "{}"},
        ),
        (
            oai.FunctionCallOutput(call_id="call_1", output='{"found": 1}'),
            {"type": "function_call_output", "call_id": "call_1", "output": '{"found": 1}'},
        ),
    ],
)
def test_an_item_has_the_shape_of_its_kind(item: oai.NewItem, wire: dict[str, Any]) -> None:
    """The agent's words are output text, instructions and user messages are input text."""
    frame = accepted(oai.encode(oai.ItemCreate(item=item, previous_item_id="root")))
    assert frame == {"type": "conversation.item.create", "previous_item_id": "root", "item": wire}


def test_an_item_may_be_referred_to_as_input_of_one_response() -> None:
    """The guide's shape; the official types have none for it, so they cannot judge."""
    frame = json.loads(oai.encode(oai.ResponseCreate(input=(oai.ItemReference("item_1"),))))
    assert frame["response"]["input"] == [{"type": "item_reference", "id": "item_1"}]


# --- the hot event -------------------------------------------------------------------


@pytest.mark.parametrize("event_id", [None, "a-1", 'quote " and \\ and \n', "ünï"])
def test_user_audio_comes_out_as_it_went_in(event_id: str | None) -> None:
    """The frame is a template, not an encoder's work; it is the same JSON."""
    audio = bytes(range(256))
    frame = accepted(oai.encode(oai.InputAudioAppend(audio=audio, event_id=event_id)))
    assert base64.b64decode(frame["audio"]) == audio
    assert frame.get("event_id") == event_id


def test_an_append_is_never_larger_than_the_api_takes() -> None:
    """15 MiB an event."""
    most = APPEND_LIMIT_BYTES // 4 * 3
    assert len(oai.InputAudioAppend(audio=bytes(most)).audio) == most
    with pytest.raises(LocalProtocolError, match="one append"):
        oai.InputAudioAppend(audio=bytes(most + 1))


def test_user_audio_is_not_shown() -> None:
    """The repr of an append has no audio."""
    assert repr(oai.InputAudioAppend(audio=b"\xff" * 160)) == "InputAudioAppend(audio=<160 bytes>, event_id=None)"


# --- what is never sent ------------------------------------------------------------------


@pytest.mark.parametrize("audio_end_ms", [-1, 1480.5, True, 2**31])
def test_an_item_is_truncated_at_whole_milliseconds(audio_end_ms: Any) -> None:
    """The server refuses decimals; a negative time is a bug of the ledger."""
    with pytest.raises(LocalProtocolError, match="whole, non-negative"):
        oai.ItemTruncate(item_id="item_1", audio_end_ms=audio_end_ms)


def test_a_request_id_fits_into_metadata() -> None:
    """512 characters is all that the server gives back."""
    oai.encode(oai.ResponseCreate(request_id="r" * 512))
    with pytest.raises(LocalProtocolError, match="512"):
        oai.ResponseCreate(request_id="r" * 513)


def test_the_only_event_of_the_api_that_we_cannot_say_is_for_other_transports() -> None:
    """output_audio_buffer.clear belongs to WebRTC and SIP; everything else is in the union."""
    official = {
        get_args(model.model_fields["type"].annotation)[0] for model in get_args(get_args(RealtimeClientEvent)[0])
    }
    assert official - SPOKEN == {"output_audio_buffer.clear"}


SPOKEN = {
    json.loads(oai.encode(event))["type"]
    for event in (
        oai.InputAudioAppend(audio=b""),
        oai.InputAudioCommit(),
        oai.InputAudioClear(),
        oai.ItemCreate(item=oai.UserMessage("")),
        oai.ItemTruncate(item_id="", audio_end_ms=0),
        oai.ItemDelete(item_id=""),
        oai.ItemRetrieve(item_id=""),
        oai.ResponseCreate(),
        oai.ResponseCancel(),
    )
} | {"session.update"}
