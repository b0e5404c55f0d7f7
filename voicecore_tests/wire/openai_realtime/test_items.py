"""Items, responses and their usage: what is read of the server's objects, and what they say."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import attrs
import pytest
from openai.types.realtime import (
    RealtimeConversationItemAssistantMessage,
    RealtimeConversationItemFunctionCall,
    RealtimeConversationItemFunctionCallOutput,
    RealtimeConversationItemSystemMessage,
    RealtimeConversationItemUserMessage,
    RealtimeMcpApprovalRequest,
    RealtimeMcpApprovalResponse,
    RealtimeMcpListTools,
    RealtimeMcpToolCall,
    RealtimeResponse,
    RealtimeResponseStatus,
    RealtimeResponseUsage,
    RealtimeResponseUsageInputTokenDetails,
    RealtimeResponseUsageOutputTokenDetails,
    realtime_conversation_item_assistant_message,
    realtime_conversation_item_user_message,
)
from pydantic import BaseModel

from voicecore.events import TokenUsage
from voicecore.wire import openai_realtime as oai
from voicecore.wire.openai_realtime import items
from voicecore_tests.wire.openai_realtime.kit import received

ITEM_MODELS = [
    RealtimeConversationItemSystemMessage,
    RealtimeConversationItemUserMessage,
    RealtimeConversationItemAssistantMessage,
    RealtimeConversationItemFunctionCall,
    RealtimeConversationItemFunctionCallOutput,
    RealtimeMcpApprovalRequest,
    RealtimeMcpApprovalResponse,
    RealtimeMcpListTools,
    RealtimeMcpToolCall,
]
CONTENT_MODELS = [
    realtime_conversation_item_user_message.Content,
    realtime_conversation_item_assistant_message.Content,
]


@pytest.mark.parametrize(
    ("models", "ours", "left_out"),
    [
        (ITEM_MODELS, items.Item, {"object", "tools", "approve", "reason"}),
        (CONTENT_MODELS, items.Content, {"audio", "detail", "image_url"}),
        ([RealtimeResponse], items.Response, {"object", "audio", "max_output_tokens"}),
        ([RealtimeResponseStatus], items.StatusDetails, set()),
        ([RealtimeResponseUsage], items.ResponseUsage, set()),
        ([RealtimeResponseUsageInputTokenDetails], items.InputTokens, set()),
        ([RealtimeResponseUsageOutputTokenDetails], items.OutputTokens, set()),
    ],
)
def test_what_is_not_read_of_an_object_was_left_out_on_purpose(
    models: Sequence[type[BaseModel]], ours: type[attrs.AttrsInstance], left_out: set[str]
) -> None:
    """A field that a newer API adds fails this test until it is listed."""
    official = {name for model in models for name in model.model_fields}
    assert official - {field.name for field in attrs.fields(ours)} == left_out


def response(**fields: Any) -> oai.Response:
    event = received({"type": "response.done", "event_id": "event_1", "response": {"id": "resp_1"} | fields})
    assert isinstance(event, oai.ResponseDone)
    return event.response


def item(**fields: Any) -> oai.Item:
    event = received({"type": "conversation.item.done", "event_id": "event_1", "item": fields})
    assert isinstance(event, oai.ItemDone)
    return event.item


def test_a_response_that_we_asked_for_gives_our_id_back() -> None:
    """The id travels in metadata; the server's own responses have none."""
    assert response(metadata={items.REQUEST_ID_KEY: "greeting-1"}).request_id == "greeting-1"
    assert response(metadata={"other": "x"}).request_id is None
    assert response(metadata=None).request_id is None


def test_usage_is_counted_by_kind() -> None:
    """Cached tokens stay part of the tokens that came in, as the provider counts them."""
    usage = response(
        usage={
            "total_tokens": 253,
            "input_tokens": 132,
            "output_tokens": 121,
            "input_token_details": {
                "text_tokens": 119,
                "audio_tokens": 13,
                "image_tokens": 0,
                "cached_tokens": 64,
                "cached_tokens_details": {"text_tokens": 60, "audio_tokens": 4, "image_tokens": 0},
            },
            "output_token_details": {"text_tokens": 30, "audio_tokens": 91},
        }
    ).usage
    assert usage is not None
    assert usage.counted() == TokenUsage(
        text_in=119, audio_in=13, cached_text=60, cached_audio=4, text_out=30, audio_out=91
    )


def test_usage_without_details_counts_nothing_by_kind() -> None:
    """Totals alone do not say what a token was; nothing is guessed."""
    assert items.ResponseUsage(total_tokens=9).counted() == TokenUsage()


def test_an_interrupted_response_says_why() -> None:
    """The reason distinguishes an interruption from a cancel of ours."""
    details = response(status="cancelled", status_details={"type": "cancelled", "reason": "turn_detected"})
    assert details.status_details == items.StatusDetails(type="cancelled", reason="turn_detected")


def test_a_failed_response_keeps_its_error() -> None:
    """The code decides whether it is requested again."""
    error = {"type": "invalid_request_error", "code": "rate_limit_exceeded", "message": "slow down"}
    details = response(status="failed", status_details={"type": "failed", "error": error}).status_details
    assert details is not None
    assert details.error == items.StatusError(**error)


def test_the_words_of_a_message_are_its_texts_and_transcripts() -> None:
    """Spoken and written parts read the same."""
    parts = [{"type": "output_audio", "transcript": "Hello, "}, {"type": "output_text", "text": "user."}]
    assert item(type="message", role="assistant", content=parts).words == "Hello, user."
    assert item(type="function_call", name="lookup", arguments="{}").words == ""


def test_arguments_and_outputs_of_tools_are_not_shown() -> None:
    """They contain personal data."""
    call = item(type="function_call", name="lookup", call_id="call_1", arguments='{"name": "Ada"}')
    assert call.arguments == '{"name": "Ada"}'
    assert "Ada" not in repr(call)


def test_an_item_of_an_unknown_type_is_read_as_far_as_every_item_goes() -> None:
    """A new type may use old field names for something else; it must not break the session."""
    assert item(type="hologram", id="item_9", content=7, output=[1]) == oai.Item(type="hologram", id="item_9")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([{"type": "input_text", "text": 7}, {"type": "input_text", "text": "hello"}], "hello"),
        (["hello", {"type": "input_text", "text": "there"}], "there"),
        ("hello there", ""),
        (7, ""),
        (None, ""),
    ],
)
def test_of_an_item_only_the_odd_part_is_lost(content: object, words: str) -> None:
    """It is not needed: the words arrive as separate events."""
    frame = {"type": "conversation.item.done", "item": {"type": "message", "id": "item_1", "content": content}}
    *_, event = oai.RealtimeCodec().receive(json.dumps(frame))
    assert isinstance(event, oai.ItemDone)
    assert (event.item.id, event.item.words) == ("item_1", words)


@pytest.mark.parametrize(
    ("usage", "read"),
    [
        ({"type": "duration", "seconds": 3}, items.TranscribedDuration(seconds=3.0)),
        (
            {"type": "tokens", "total_tokens": 5, "input_tokens": 4, "output_tokens": 1},
            items.TranscribedTokens(total_tokens=5, input_tokens=4, output_tokens=1),
        ),
        ({"type": "words", "words": 12}, items.UnknownUsage(type="words")),
    ],
)
def test_a_transcription_is_billed_by_tokens_or_by_time(usage: dict[str, Any], read: object) -> None:
    """A third way to bill does not lose the user's words."""
    event = received(
        {
            "type": "conversation.item.input_audio_transcription.completed",
            "event_id": "event_1",
            "item_id": "item_1",
            "content_index": 0,
            "transcript": "hello",
            "usage": usage,
        }
    )
    assert isinstance(event, oai.TranscriptionCompleted)
    assert event.usage == read
