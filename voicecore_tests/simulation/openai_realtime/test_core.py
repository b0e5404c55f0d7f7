"""The session's life: its opening, the reading of client events, its end."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicecore.simulation.openai_realtime.behaviour import Behaviour, Handshake
from voicecore.simulation.openai_realtime.outbox import Close
from voicecore.simulation.openai_realtime.script import NumberedFrames, Reply, Script
from voicecore.simulation.openai_realtime.session import APPEND_LIMIT_BYTES, Phase
from voicecore_tests.simulation.openai_realtime.kit import Client, error, kinds, recording, silence


def test_session_created_comes_first_then_the_conversation() -> None:
    """The opening of a connection, before the client has said anything."""
    assert kinds(Client().events) == ["session.created", "conversation.created"]


def test_conversation_created_may_be_missing() -> None:
    """A client must not wait for it."""
    behaviour = Behaviour(handshake=Handshake(announces_conversation=False))
    assert kinds(Client(behaviour=behaviour).events) == ["session.created"]


def test_what_is_sent_before_the_opening_is_read_after_it() -> None:
    """Events that overtake session.created are not lost, and are answered in order."""
    client = Client(behaviour=Behaviour(handshake=Handshake(created_s=1.0)))
    client.configure()
    client.send("response.create")
    assert client.events == []
    assert kinds(client.wait(1.0)) == [
        "session.created",
        "conversation.created",
        "session.updated",
        "response.created",
    ]


def test_ids_are_unique_and_come_from_the_seed() -> None:
    """No event id twice in a session; the same seed gives the same session, another one another."""

    def run(seed: int) -> list[str]:
        client = Client(Script(replies=(Reply(speech=NumberedFrames(3.0)),)), seed=seed)
        client.configure_telephone(None)
        client.send("response.create")
        client.wait(10)
        return [event["event_id"] for event in client.events]

    ids = run(1)
    assert len(set(ids)) == len(ids) > 20
    assert run(1) == ids
    assert not set(run(2)) & set(ids)


@pytest.mark.parametrize(
    ("message", "code", "param"),
    [
        ({"type": "session.mood", "event_id": "e"}, "unknown_event", "type"),
        ({"type": "transcription_session.update", "event_id": "e"}, "unknown_event", "type"),
        ({"type": "output_audio_buffer.clear", "event_id": "e"}, "unknown_event", "type"),
        ({"event_id": "e"}, "missing_required_parameter", "type"),
        ({"type": 7, "event_id": "e"}, "invalid_value", "type"),
        ({"type": "session.update", "event_id": "e"}, "missing_required_parameter", "session"),
        ({"type": "response.create", "event_id": "e", "instructions": "x"}, "unknown_parameter", "instructions"),
        ({"type": "input_audio_buffer.append", "event_id": "e", "audio": "not base64!"}, "invalid_value", "audio"),
        ({"type": "input_audio_buffer.append", "event_id": "e"}, "missing_required_parameter", "audio"),
        (
            {"type": "conversation.item.truncate", "event_id": "e", "item_id": "i", "audio_end_ms": 1},
            "missing_required_parameter",
            "content_index",
        ),
    ],
)
def test_bad_client_event_is_refused_by_name(message: dict[str, object], code: str, param: str) -> None:
    """The error names code, parameter and the client's event; the session goes on."""
    client = Client()
    refusal = error(client.send_raw(message))
    assert refusal["type"] == "invalid_request_error"
    assert (refusal["code"], refusal["param"], refusal["event_id"]) == (code, param, "e")
    assert kinds(client.configure()) == ["session.updated"]


def test_what_is_no_event_is_refused() -> None:
    """JSON that is no object gets an error without an event id, and so does text that is no JSON."""
    client = Client()
    for message in (["session.update"], "session.update", None):
        refusal = error(client.send_raw(message))
        assert (refusal["code"], refusal["event_id"]) == ("invalid_value", None)


@given(
    message=st.recursive(
        st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["type", "session", "audio", "item", "response", "event_id", "item_id"]),
                inner
                | st.sampled_from(
                    [
                        "session.update",
                        "realtime",
                        "response.create",
                        "conversation.item.create",
                        "message",
                        "input_audio_buffer.append",
                    ]
                ),
                max_size=4,
            )
        ),
    )
)
def test_no_message_ends_a_session(message: object) -> None:
    """Whatever a client sends, it is answered with events or nothing, and the session goes on."""
    client = Client()
    client.send_raw(message)
    client.wait(1.0)
    assert client.session.phase is Phase.OPEN


def test_append_is_silent_bounded_and_kept() -> None:
    """Appends have no answer; the audio is at hand byte for byte; 15 MiB are the most in one event."""
    client = Client()
    client.configure_telephone(None)
    speech = recording("caller-hello-it")
    assert client.speak(speech) == []
    too_much = base64.b64encode(bytes(APPEND_LIMIT_BYTES + 1)).decode()
    assert error(client.send("input_audio_buffer.append", audio=too_much))["code"] == "invalid_value"
    assert bytes(client.session.user_audio) == speech


def test_commit_of_less_than_100_ms_is_refused() -> None:
    """`input_audio_buffer_commit_empty`, with the event id."""
    client = Client()
    client.configure_telephone(None)
    client.append(silence(0.08))
    refusal = error(client.send("input_audio_buffer.commit", event_id="c"))
    assert (refusal["code"], refusal["event_id"]) == ("input_audio_buffer_commit_empty", "c")


def test_session_ends_after_sixty_minutes() -> None:
    """session_expired, then close 1001; nothing is sent or taken after it."""
    client = Client()
    assert client.wait(3599.9) == []
    assert error(client.wait(0.2))["code"] == "session_expired"
    assert client.outgoing[-1] == Close(1001, "session_expired")
    assert client.session.phase is Phase.ENDED
    assert client.configure() == []
    assert client.session.deadline() is None


def test_beta_client_is_turned_away() -> None:
    """The retired header gives beta_api_shape_disabled and close 4000, and no session."""
    client = Client(asks_for_beta=True)
    assert kinds(client.events) == ["error"]
    assert error(client.events)["code"] == "beta_api_shape_disabled"
    last = client.outgoing[-1]
    assert isinstance(last, Close)
    assert last.code == 4000
    assert "beta_api_shape_disabled" in last.reason
