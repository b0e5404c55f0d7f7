"""The session object: what an update may say and what it does."""

from __future__ import annotations

import pytest

from voicecore.simulation.openai_realtime.behaviour import Behaviour, PartialTurnDetection
from voicecore_tests.simulation.openai_realtime.kit import SERVER_VAD, Client, Event, error, kinds


def refused(session: object) -> tuple[Event, Client]:
    """Send an update and return its refusal; nothing of the configuration may have changed."""
    client = Client()
    before = client.session.effective
    refusal = error(client.send("session.update", event_id="cfg-1", session=session))
    assert client.session.effective == before
    assert refusal["event_id"] == "cfg-1"
    return refusal, client


def test_created_session_is_the_ga_object_with_turn_detection_on() -> None:
    """`session.created` comes first and shows GA defaults: server VAD 0.5/300/500, PCM at 24 kHz."""
    created = Client().events[0]
    assert created["type"] == "session.created"
    session = created["session"]
    assert (session["type"], session["object"], session["model"]) == (
        "realtime",
        "realtime.session",
        "gpt-realtime-2.1",
    )
    assert session["id"].startswith("sess_")
    assert session["audio"]["input"]["format"] == {"type": "audio/pcm", "rate": 24000}
    assert session["audio"]["input"]["turn_detection"] == {**SERVER_VAD, "idle_timeout_ms": None}


def test_update_is_merged_deeply() -> None:
    """Fields that are left out keep their values, at any depth."""
    client = Client()
    client.configure(instructions="Be brief.", audio={"input": {"noise_reduction": {"type": "near_field"}}})
    [updated] = client.configure(audio={"output": {"speed": 1.2}})
    session = updated["session"]
    assert session["instructions"] == "Be brief."
    assert session["audio"]["input"]["noise_reduction"] == {"type": "near_field", "strength": 1.0}
    assert session["audio"]["input"]["turn_detection"]["type"] == "server_vad"
    assert session["audio"]["output"] == {
        "format": {"type": "audio/pcm", "rate": 24000},
        "voice": "marin",
        "speed": 1.2,
    }


def test_explicit_nulls_are_kept() -> None:
    """`turn_detection: null` switches detection off and is shown as null."""
    [updated] = Client().configure(audio={"input": {"turn_detection": None, "noise_reduction": None}})
    heard = updated["session"]["audio"]["input"]
    assert "turn_detection" in heard
    assert heard["turn_detection"] is None
    assert heard["noise_reduction"] is None


def test_acknowledgement_never_carries_the_clients_event_id() -> None:
    """The client's event id is given back in errors only."""
    [updated] = Client().send("session.update", event_id="cfg-1", session={"type": "realtime"})
    assert updated["event_id"] != "cfg-1"


def test_flat_typeless_update_is_refused_whole() -> None:
    """The retired flat shape lacks `session.type`, and nothing of it applies."""
    refusal, _ = refused({"turn_detection": None, "voice": "cedar"})
    assert (refusal["code"], refusal["param"]) == ("missing_required_parameter", "session.type")


@pytest.mark.parametrize(
    ("session", "param"),
    [
        ({"turn_detection": None}, "session.turn_detection"),
        ({"temperature": 0.8}, "session.temperature"),
        ({"audio": {"input": {"sample_rate": 8000}}}, "session.audio.input.sample_rate"),
        ({"tools": [{"type": "function", "name": "f", "function": {}}]}, "session.tools[0].function"),
        (
            {"audio": {"input": {"turn_detection": {"type": "semantic_vad", "threshold": 0.5}}}},
            "session.audio.input.turn_detection.threshold",
        ),
    ],
)
def test_unknown_field_is_named_with_its_path(session: Event, param: str) -> None:
    """One unknown field refuses the whole update, its good parts too."""
    refusal, _ = refused({"type": "realtime", "instructions": "lost with it", **session})
    assert (refusal["type"], refusal["code"], refusal["param"]) == ("invalid_request_error", "unknown_parameter", param)


@pytest.mark.parametrize(
    ("session", "param"),
    [
        ({"type": "transcription"}, "session.type"),
        ({"model": "gpt-realtime-mini"}, "session.model"),
        ({"output_modalities": ["audio", "text"]}, "session.output_modalities"),
        ({"output_modalities": ["smell"]}, "session.output_modalities[0]"),
        ({"max_output_tokens": 5000}, "session.max_output_tokens"),
        ({"audio": {"input": {"format": "g711_ulaw"}}}, "session.audio.input.format"),
        ({"audio": {"input": {"format": {"type": "audio/pcm", "rate": 8000}}}}, "session.audio.input.format.rate"),
        ({"audio": {"output": {"voice": "hal"}}}, "session.audio.output.voice"),
        ({"audio": {"output": {"speed": 2}}}, "session.audio.output.speed"),
        (
            {"audio": {"input": {"turn_detection": {"type": "server_vad", "threshold": 1.5}}}},
            "session.audio.input.turn_detection.threshold",
        ),
        (
            {"audio": {"input": {"turn_detection": {"type": "server_vad", "idle_timeout_ms": 4999}}}},
            "session.audio.input.turn_detection.idle_timeout_ms",
        ),
        (
            {"audio": {"input": {"turn_detection": {"type": "server_vad", "create_response": "no"}}}},
            "session.audio.input.turn_detection.create_response",
        ),
    ],
)
def test_bad_value_is_named_with_its_path(session: Event, param: str) -> None:
    """A value out of range refuses the whole update with `invalid_value` and the full path."""
    refusal, _ = refused({"type": "realtime", "instructions": "lost with it", **session})
    assert (refusal["code"], refusal["param"]) == ("invalid_value", param)


def test_turn_detection_without_its_type_is_refused() -> None:
    """A turn_detection object says which kind it is."""
    refusal, _ = refused({"type": "realtime", "audio": {"input": {"turn_detection": {"threshold": 0.6}}}})
    assert refusal["code"] == "missing_required_parameter"
    assert refusal["param"] == "session.audio.input.turn_detection.type"


def test_voice_is_locked_once_the_agent_was_heard() -> None:
    """Another voice after the first audio refuses the whole update, param null; the same voice is accepted."""
    client = Client()
    client.configure(audio={"output": {"voice": "cedar"}})
    client.send("response.create")
    client.wait(10)
    same = client.configure(audio={"output": {"voice": "cedar"}}, instructions="same voice")
    assert kinds(same) == ["session.updated"]
    refusal = error(client.configure(audio={"output": {"voice": "ash"}}, tools=[]))
    assert (refusal["code"], refusal["param"]) == ("cannot_update_voice", None)
    assert client.session.effective["audio"]["output"]["voice"] == "cedar"


def test_tracing_cannot_be_changed_once_it_is_on() -> None:
    """Tracing may be switched on, and not altered after that."""
    client = Client()
    assert kinds(client.configure(tracing="auto")) == ["session.updated"]
    assert error(client.configure(tracing=None))["param"] == "session.tracing"


@pytest.mark.parametrize(
    ("partial", "silence_ms"), [(PartialTurnDetection.REPLACED, 500), (PartialTurnDetection.MERGED, 900)]
)
def test_partial_turn_detection_follows_the_chosen_reading(partial: PartialTurnDetection, silence_ms: int) -> None:
    """What omitted turn-detection fields become is not documented; a client must survive both readings."""
    client = Client(behaviour=Behaviour(partial_turn_detection=partial))
    client.configure_telephone({**SERVER_VAD, "silence_duration_ms": 900})
    session = client.configure_telephone({"type": "server_vad", "threshold": 0.6})
    assert session["audio"]["input"]["turn_detection"]["threshold"] == 0.6
    assert session["audio"]["input"]["turn_detection"]["silence_duration_ms"] == silence_ms


def test_noise_reduction_strength_is_kept_when_left_out() -> None:
    """Omitting the strength keeps the present one; null switches the filter off."""
    client = Client()
    client.configure(audio={"input": {"noise_reduction": {"type": "near_field", "strength": 0.3}}})
    [updated] = client.configure(audio={"input": {"noise_reduction": {"type": "far_field"}}})
    assert updated["session"]["audio"]["input"]["noise_reduction"] == {"type": "far_field", "strength": 0.3}


def test_every_documented_field_is_accepted_together() -> None:
    """The largest legal session comes back as it was sent."""
    session = {
        "instructions": "…",
        "output_modalities": ["audio"],
        "audio": {
            "input": {
                "format": {"type": "audio/pcma"},
                "noise_reduction": {"type": "near_field", "strength": 1.0},
                "transcription": {"model": "gpt-realtime-whisper", "language": "en", "delay": "low"},
                "turn_detection": {**SERVER_VAD, "idle_timeout_ms": 6000},
            },
            "output": {"format": {"type": "audio/pcmu"}, "voice": "marin", "speed": 1.0},
        },
        "tools": [{"type": "function", "name": "lookup", "description": "…", "parameters": {"type": "object"}}],
        "tool_choice": {"type": "function", "name": "lookup"},
        "parallel_tool_calls": False,
        "reasoning": {"effort": "low"},
        "max_output_tokens": 300,
        "truncation": {"type": "retention_ratio", "retention_ratio": 0.8},
        "tracing": None,
        "include": ["item.input_audio_transcription.logprobs"],
    }
    [updated] = Client().configure(**session)
    assert {key: updated["session"][key] for key in session} == session
