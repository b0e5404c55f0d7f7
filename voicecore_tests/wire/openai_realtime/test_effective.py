"""What the server echoes, held against what was asked for."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from voicecore.audio.formats import PCM16_24K, PCMU_8K
from voicecore.errors import RemoteProtocolError
from voicecore.wire import openai_realtime as oai
from voicecore_tests.wire.openai_realtime.kit import config, received, session_configs


def echoed(session: dict[str, Any]) -> oai.EffectiveConfig:
    event = received({"type": "session.updated", "event_id": "event_1", "session": session})
    assert isinstance(event, oai.SessionUpdated)
    return event.session


def echo_with(wanted: oai.SessionConfig, path: str, value: Any) -> oai.EffectiveConfig:
    """The echo of a faithful server, with one change; ... removes the field."""
    session = wanted.to_wire()
    place: Any = session
    *way, last = path.split(".")
    for name in way:
        place = place[name]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return echoed(session)


@given(session_configs)
def test_a_faithful_echo_has_no_differences(wanted: oai.SessionConfig) -> None:
    """Every configuration agrees with itself, and its formats come back as our own."""
    effective = echoed(wanted.to_wire())
    assert oai.differences(wanted, effective) == []
    assert (effective.input_format, effective.output_format) == (wanted.input_format, wanted.output_format)


def test_the_session_is_read_as_far_as_it_is_echoed() -> None:
    """What the server adds, and what it fills in by itself."""
    effective = echoed(
        {
            "type": "realtime",
            "object": "realtime.session",
            "id": "sess_1",
            "model": "gpt-realtime-2.1",
            "expires_at": 1_790_000_000,
            "output_modalities": ["audio"],
            "tools": [{"type": "function", "name": "find"}, {"type": "mcp", "server_label": "crm"}],
            "audio": {
                "input": {
                    "format": {"type": "audio/pcm", "rate": 24000},
                    "transcription": {"model": "gpt-realtime-whisper"},
                    "turn_detection": {"type": "server_vad", "create_response": False, "interrupt_response": True},
                },
                "output": {"format": {"type": "audio/pcmu"}, "voice": {"id": "voice_1"}},
            },
        }
    )
    assert (effective.id, effective.model, effective.expires_at) == ("sess_1", "gpt-realtime-2.1", 1_790_000_000)
    assert (effective.input_format, effective.output_format) == (PCM16_24K, PCMU_8K)
    assert effective.turn_detection == oai.EchoedTurnDetection(
        kind=oai.DetectionKind.SERVER_VAD, create_response=False, interrupt_response=True
    )
    assert effective.transcription_model == "gpt-realtime-whisper"
    assert effective.voice == "voice_1"
    assert effective.tools == (("function", "find"), ("mcp", "crm"))


@pytest.mark.parametrize(
    ("hearing", "kind"),
    [
        ({"turn_detection": None}, oai.DetectionKind.OFF),
        ({"turn_detection": {"type": "semantic_vad"}}, oai.DetectionKind.SEMANTIC_VAD),
        ({"turn_detection": {"type": "psychic_vad"}}, oai.DetectionKind.OTHER),
        ({"turn_detection": {}}, oai.DetectionKind.OTHER),
        ({}, oai.DetectionKind.NOT_ECHOED),
    ],
)
def test_off_is_told_from_not_said(hearing: dict[str, Any], kind: oai.DetectionKind) -> None:
    """The API's default is on, so silence about turn detection is no proof that it is off."""
    detection = echoed({"type": "realtime", "audio": {"input": hearing}}).turn_detection
    assert detection.kind is kind
    assert detection.create_response is (kind is not oai.DetectionKind.OFF)


LOCKED = config(turn_detection=oai.ServerVad(create_response=False, interrupt_response=False))
VAD = "audio.input.turn_detection"


@pytest.mark.parametrize(
    ("wanted", "path", "value", "found"),
    [
        (config(), "audio.input.format", {"type": "audio/pcm", "rate": 24000}, ["audio.input.format"]),
        (config(), "audio.output.format", {"type": "audio/pcm", "rate": 24000}, ["audio.output.format"]),
        (config(), "audio.output.format", {"type": "audio/opus"}, ["audio.output.format"]),
        (config(), "audio.output.format", ..., ["audio.output.format"]),
        (config(input_format=PCM16_24K), "audio.input.format", {"type": "audio/pcm"}, []),
        (config(input_format=PCM16_24K), "audio.input.format.rate", 16000, ["audio.input.format"]),
        (config(), VAD, None, [VAD]),
        (config(), VAD, {"type": "semantic_vad"}, [VAD]),
        (config(turn_detection=None), VAD, {"type": "server_vad"}, [VAD]),
        (config(turn_detection=None), VAD, ..., [VAD]),
        (LOCKED, f"{VAD}.create_response", True, [f"{VAD}.create_response"]),
        (LOCKED, f"{VAD}.interrupt_response", ..., [f"{VAD}.interrupt_response"]),
        (config(turn_detection=oai.ServerVad(threshold=1)), f"{VAD}.threshold", True, [f"{VAD}.threshold"]),
        (config(), f"{VAD}.idle_timeout_ms", 6_000, [f"{VAD}.idle_timeout_ms"]),
        (config(), f"{VAD}.idle_timeout_ms", None, []),
        (config(turn_detection=oai.ServerVad(threshold=0.6)), f"{VAD}.threshold", 0.6000000238418579, []),
        (config(voice="marin"), "audio.output.voice", "alloy", ["audio.output.voice"]),
        (config(voice="marin"), "audio.output.voice", ..., []),
        (config(speed=1.5), "audio.output.speed", 1, ["audio.output.speed"]),
        (config(instructions="Be brief."), "instructions", "You are helpful.", ["instructions"]),
        (config(output_modality="audio"), "output_modalities", ["text"], ["output_modalities"]),
        (config(tool_choice="none"), "tool_choice", "auto", ["tool_choice"]),
        (config(tools=(oai.FunctionTool(name="find"),)), "tools", [], ["tools"]),
        (config(tools=(oai.FunctionTool(name="find"),)), "tools", [{"type": "function", "name": "find"}], []),
        (config(tools=()), "tools", [{"type": "function", "name": "find"}], ["tools"]),
        (
            config(noise_reduction=None),
            "audio.input.noise_reduction",
            {"type": "near_field"},
            ["audio.input.noise_reduction"],
        ),
        (
            config(transcription=oai.Transcription(model="gpt-transcribe")),
            "audio.input.transcription",
            {"model": "whisper-1", "language": None},
            ["audio.input.transcription.model"],
        ),
        (
            config(transcription=oai.Transcription(model="gpt-transcribe")),
            "audio.input.transcription",
            {"model": "gpt-transcribe", "language": "en"},
            [],
        ),
        (config(model="gpt-realtime-2.1"), "model", "gpt-realtime-2.1-2026-09-01", []),
    ],
)
def test_a_difference_that_matters_is_named(wanted: oai.SessionConfig, path: str, value: Any, found: list[str]) -> None:
    """By its dotted key; what the server may put in other words is none."""
    assert oai.differences(wanted, echo_with(wanted, path, value)) == found


def test_the_defaults_of_a_new_session_acknowledge_nothing() -> None:
    """session.created shows server_vad and PCM; a call that wants something else sees that at once."""
    defaults = echoed(
        {
            "type": "realtime",
            "instructions": "You are helpful.",
            "audio": {
                "input": {"format": {"type": "audio/pcm", "rate": 24000}, "turn_detection": {"type": "server_vad"}},
                "output": {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "alloy"},
            },
        }
    )
    missing = oai.differences(config(turn_detection=None), defaults)
    assert missing == ["audio.input.format", VAD, "audio.output.format"]


@pytest.mark.parametrize(
    ("session", "field"),
    [
        ({"audio": []}, "session.audio"),
        ({"audio": {"input": {"turn_detection": True}}}, "session.audio.input.turn_detection"),
        ({"audio": {"input": {"format": {"type": 7}}}}, "session.audio.input.format.type"),
        ({"audio": {"output": {"voice": 7}}}, "session.audio.output.voice"),
        ({"audio": {"output": {"voice": {}}}}, "session.audio.output.voice.id"),
        ({"tools": [{"type": "mcp", "server_label": 7}]}, "session.tools.0.server_label"),
        ({"output_modalities": "audio"}, "session.output_modalities"),
        ({"expires_at": "soon"}, "session.expires_at"),
    ],
)
def test_an_echo_of_the_wrong_shape_is_refused(session: dict[str, Any], field: str) -> None:
    """The error names the dotted field."""
    with pytest.raises(RemoteProtocolError) as caught:
        echoed(session)
    assert caught.value.field == f"session.updated.{field}"


def test_the_echo_is_not_shown() -> None:
    """It repeats instructions and whatever opens remote servers."""
    assert "secret words" not in repr(echoed({"type": "realtime", "instructions": "secret words"}))
