"""The conversation: creating, retrieving, truncating and deleting items."""

from __future__ import annotations

import base64

import pytest

from voicecore.simulation.openai_realtime.script import Recorded, Reply, Script, ToolCall
from voicecore_tests.simulation.openai_realtime.kit import (
    Client,
    Event,
    audio_of,
    error,
    kinds,
    one,
    recording,
    silence,
)

SPOKEN = Script(replies=(Reply("one moment please", speech=Recorded("agent-one-moment")),))
LENGTH_MS = len(recording("agent-one-moment")) // 8


def user(text: str, **more: str) -> Event:
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}], **more}


def after_reply(script: Script = SPOKEN) -> tuple[Client, str]:
    """Return a client whose agent has spoken, and the id of what it said."""
    client = Client(script)
    client.configure_telephone(None)
    events = client.send("response.create") + client.wait(10)
    return client, one(events, "response.done")["response"]["output"][0]["id"]


def truncate(client: Client, item_id: str, audio_end_ms: object, content_index: int = 0) -> list[Event]:
    return client.send(
        "conversation.item.truncate",
        event_id="t",
        item_id=item_id,
        content_index=content_index,
        audio_end_ms=audio_end_ms,
    )


def test_created_items_stand_in_order_with_what_came_before() -> None:
    """added and done each name the item before; root is the front, an id the place after it."""
    client = Client()
    for item_id in ("b", "d"):
        added, done = client.send("conversation.item.create", item=user(item_id, id=item_id))
        assert (added["type"], done["type"]) == ("conversation.item.added", "conversation.item.done")
        assert added["item"]["status"] == "completed"
    [added, _] = client.send("conversation.item.create", item=user("c", id="c"), previous_item_id="b")
    assert added["previous_item_id"] == "b"
    [added, _] = client.send("conversation.item.create", item=user("a", id="a"), previous_item_id="root")
    assert added["previous_item_id"] is None
    assert [item.item_id for item in client.session.conversation.items] == ["a", "b", "c", "d"]


def test_item_without_id_gets_one() -> None:
    """The server makes the id where the client brings none."""
    [added, _] = Client().send("conversation.item.create", item=user("hello"))
    assert added["item"]["id"].startswith("item_")


@pytest.mark.parametrize(
    ("item", "code", "param"),
    [
        (user("again", id="taken"), "invalid_value", "item.id"),
        ({"type": "message", "role": "user"}, "missing_required_parameter", "item.content"),
        ({"type": "message", "role": "king", "content": []}, "invalid_value", "item.role"),
        (
            {"type": "message", "role": "assistant", "content": [{"type": "output_audio", "audio": ""}]},
            "unsupported_content_type",
            "item.content[0].type",
        ),
        (
            {"type": "message", "role": "assistant", "content": [{"type": "text", "text": "beta"}]},
            "unsupported_content_type",
            "item.content[0].type",
        ),
        ({"type": "function_call_output", "call_id": "c"}, "missing_required_parameter", "item.output"),
        ({"type": "function_call_output", "call_id": "c", "output": {"ok": 1}}, "invalid_value", "item.output"),
        ({"type": "poem"}, "invalid_value", "item.type"),
        (user("x") | {"mood": "good"}, "unknown_parameter", "item.mood"),
    ],
)
def test_bad_item_is_refused(item: Event, code: str, param: str) -> None:
    """A bad item is not added."""
    client = Client()
    client.send("conversation.item.create", item=user("hello", id="taken"))
    refusal = error(client.send("conversation.item.create", event_id="i", item=item))
    assert (refusal["code"], refusal["param"], refusal["event_id"]) == (code, param, "i")
    assert len(client.session.conversation.items) == 1


def test_unknown_place_is_refused() -> None:
    """An item cannot follow one that does not exist."""
    refusal = error(Client().send("conversation.item.create", item=user("x"), previous_item_id="nowhere"))
    assert refusal["code"] == "item_not_found"


def test_retrieved_item_holds_its_audio() -> None:
    """Retrieve shows the audio bytes that other events leave out."""
    client, item_id = after_reply()
    [retrieved] = client.send("conversation.item.retrieve", item_id=item_id)
    [content] = retrieved["item"]["content"]
    assert base64.b64decode(content["audio"]) == recording("agent-one-moment")
    assert error(client.send("conversation.item.retrieve", item_id="x"))["code"] == "item_retrieve_invalid_item_id"


def test_created_audio_item_keeps_its_audio() -> None:
    """A user item may bring audio; events show it without the bytes."""
    client = Client()
    audio = base64.b64encode(silence(0.1)).decode()
    item = {"type": "message", "role": "user", "id": "a", "content": [{"type": "input_audio", "audio": audio}]}
    [added, _] = client.send("conversation.item.create", item=item)
    assert added["item"]["content"] == [{"type": "input_audio"}]
    [retrieved] = client.send("conversation.item.retrieve", item_id="a")
    assert retrieved["item"]["content"][0]["audio"] == audio


def test_deleted_item_is_gone() -> None:
    """Delete is acknowledged once; then the id is unknown."""
    client, item_id = after_reply()
    assert kinds(client.send("conversation.item.delete", item_id=item_id)) == ["conversation.item.deleted"]
    assert client.session.conversation.items == []
    assert error(client.send("conversation.item.delete", item_id=item_id))["code"] == "item_not_found"


def test_truncation_keeps_the_beginning_and_deletes_the_words() -> None:
    """The numbers are acknowledged; what is left is the first audio_end_ms, and no transcript."""
    client, item_id = after_reply()
    [truncated] = truncate(client, item_id, 700)
    assert truncated["type"] == "conversation.item.truncated"
    assert (truncated["item_id"], truncated["content_index"], truncated["audio_end_ms"]) == (item_id, 0, 700)
    [item] = client.session.conversation.items
    assert bytes(item.audio) == recording("agent-one-moment")[: 700 * 8]
    assert bytes(item.generated) == recording("agent-one-moment")
    assert item.body["content"] == [{"type": "output_audio"}]


def test_truncation_to_the_whole_length_is_legal_and_to_more_is_not() -> None:
    """More than the real duration: invalid_value with both durations in the message; nothing is cut."""
    client, item_id = after_reply()
    refusal = error(truncate(client, item_id, LENGTH_MS + 1))
    assert refusal["code"] == "invalid_value"
    assert refusal["message"] == f"Audio content of {LENGTH_MS}ms is already shorter than {LENGTH_MS + 1}ms"
    assert refusal["event_id"] == "t"
    assert kinds(truncate(client, item_id, LENGTH_MS)) == ["conversation.item.truncated"]


def test_second_truncation_is_measured_against_the_first() -> None:
    """What was cut off does not come back."""
    client, item_id = after_reply()
    truncate(client, item_id, 500)
    assert error(truncate(client, item_id, 600))["message"] == "Audio content of 500ms is already shorter than 600ms"


@pytest.mark.parametrize(
    ("audio_end_ms", "code"),
    [(12.5, "invalid_type"), (-1, "invalid_value"), ("700", "invalid_value"), (None, "invalid_type")],
)
def test_only_whole_milliseconds_are_taken(audio_end_ms: object, code: str) -> None:
    """Decimals are refused, and so is anything that is no count of milliseconds."""
    client, item_id = after_reply()
    refusal = error(truncate(client, item_id, audio_end_ms))
    assert (refusal["code"], refusal["param"]) == (code, "audio_end_ms")


def test_only_the_first_content_can_be_truncated() -> None:
    """content_index is 0."""
    client, item_id = after_reply()
    assert error(truncate(client, item_id, 100, content_index=1))["param"] == "content_index"


def test_only_agent_audio_can_be_truncated() -> None:
    """User items, written items, calls and items without audio yet: refused, code null."""
    client, call_id = after_reply(Script(replies=(Reply(tool_calls=(ToolCall("f"),)), Reply("spoken"))))
    client.append(silence(0.5))
    caller_id = one(client.send("input_audio_buffer.commit"), "input_audio_buffer.committed")["item_id"]
    written = {"type": "message", "role": "assistant", "id": "w", "content": [{"type": "output_text", "text": "x"}]}
    client.send("conversation.item.create", item=written)
    for item_id in (call_id, caller_id, "w"):
        refusal = error(truncate(client, item_id, 100))
        assert (refusal["code"], refusal["message"]) == (None, "Only model output audio messages can be truncated")


def test_unknown_item_cannot_be_truncated() -> None:
    """An unknown id has a code of its own."""
    assert error(truncate(Client(), "item_x", 0))["code"] == "item_truncate_invalid_item_id"


def test_item_in_progress_can_be_truncated() -> None:
    """The limit is what was generated so far; audio that follows is sent and not remembered."""
    client = Client(Script(replies=(Reply("…", speech=Recorded("agent-you-are-next")),)))
    client.configure_telephone(None)
    events = client.send("response.create") + client.wait(0.3)
    item_id = one(events, "conversation.item.added")["item"]["id"]
    generated_ms = len(audio_of(events)) // 8
    assert 0 < generated_ms < 5000
    assert error(truncate(client, item_id, generated_ms + 1))["code"] == "invalid_value"
    assert kinds(truncate(client, item_id, 200)) == ["conversation.item.truncated"]
    rest = client.wait(10)
    assert audio_of(events) + audio_of(rest) == recording("agent-you-are-next")
    [item] = client.session.conversation.items
    assert len(item.audio) == 200 * 8
    assert one(rest, "response.done")["response"]["output"][0]["content"] == [{"type": "output_audio"}]


def test_nothing_heard_yet_is_no_audio_to_truncate() -> None:
    """Before the first delta there is nothing to truncate: code null."""
    client = Client(Script(replies=(Reply("…", speech=Recorded("agent-you-are-next")),)))
    client.configure_telephone(None)
    [created] = client.send("response.create")
    assert created["response"]["output"] == []
    client.send("response.cancel")
    assert client.session.conversation.items == []
