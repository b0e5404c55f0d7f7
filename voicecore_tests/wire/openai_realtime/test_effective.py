"""The effective configuration, compared with the requested one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given

from voicecore.audio.formats import PCM16_16K, PCM16_24K, PCMA_8K, PCMU_8K
from voicecore.wire import openai_realtime as oai
from voicecore_tests.wire.openai_realtime.kit import config, received, session_configs


def echoed(session: dict[str, Any]) -> oai.EffectiveConfig:
    event = received({"type": "session.updated", "event_id": "event_1", "session": session})
    assert isinstance(event, oai.SessionUpdated)
    return event.session


def echo_with(wanted: oai.SessionConfig, path: str, value: Any) -> oai.EffectiveConfig:
    """The configuration that a correct server reports, with one change; ... removes the field."""
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
    assert effective.turn_detection == oai.EffectiveTurnDetection(
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
        ({}, oai.DetectionKind.NOT_REPORTED),
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
        (config(), "audio.output.format", ..., []),
        (config(), "audio.output.format", None, []),
        (config(), "audio.output.format", {}, []),
        (config(), "audio.output.format", {"type": "audio/pcmu", "rate": 24000}, []),
        (config(), "audio.output.format", "g711_ulaw", []),
        (config(), "audio.output.format", "pcm16", ["audio.output.format"]),
        (config(input_format=PCM16_24K), "audio.input.format", {"type": "audio/pcm"}, []),
        (config(input_format=PCM16_24K), "audio.input.format.rate", 16000, ["audio.input.format"]),
        (config(), VAD, None, [VAD]),
        (config(), VAD, {"type": "semantic_vad"}, [VAD]),
        (config(turn_detection=None), VAD, {"type": "server_vad"}, [VAD]),
        (config(turn_detection=None), VAD, ..., [VAD]),
        (LOCKED, f"{VAD}.create_response", True, [f"{VAD}.create_response"]),
        (LOCKED, f"{VAD}.interrupt_response", ..., [f"{VAD}.interrupt_response"]),
        (config(), f"{VAD}.interrupt_response", ..., []),
        (config(), f"{VAD}.silence_duration_ms", ..., []),
        (config(), f"{VAD}.silence_duration_ms", 500.0, []),
        (config(), f"{VAD}.silence_duration_ms", 200.0, [f"{VAD}.silence_duration_ms"]),
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
    """By its dotted key; what the server may rewrite is no difference."""
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
        ({"audio": []}, "audio"),
        ({"audio": {"input": 7}}, "audio.input"),
        ({"audio": {"input": {"turn_detection": True}}}, "audio.input.turn_detection"),
        ({"audio": {"input": {"turn_detection": {"silence_duration_ms": -1}}}}, f"{VAD}.silence_duration_ms"),
        ({"audio": {"input": {"format": {"type": 7}}}}, "audio.input.format.type"),
        ({"audio": {"input": {"format": []}}}, "audio.input.format"),
        ({"audio": {"output": {"voice": 7}}}, "audio.output.voice"),
        ({"audio": {"output": {"voice": {}}}}, "audio.output.voice.id"),
        ({"tools": [{"type": "mcp", "server_label": 7}]}, "tools[].server_label"),
        ({"tools": [7]}, "tools[]"),
        ({"output_modalities": "audio"}, "output_modalities"),
        ({"output_modalities": [7]}, "output_modalities"),
        ({"expires_at": "soon"}, "expires_at"),
        ({"expires_at": 1758283908.25}, "expires_at"),
        ({"expires_at": 2**63}, "expires_at"),
    ],
)
def test_what_an_echo_says_in_the_wrong_shape_is_ignored_and_named(session: dict[str, Any], field: str) -> None:
    """It costs nothing else: a session is opened all the same."""
    told = oai.RealtimeCodec().receive(json.dumps({"type": "session.updated", "session": {"id": "sess_1"} | session}))
    *ignored, event = told
    assert isinstance(event, oai.SessionUpdated)
    assert event.session.id == "sess_1"
    assert [each.name for each in ignored if isinstance(each, oai.FieldIgnored)] == [f"session.updated.session.{field}"]


def test_a_fraction_of_a_second_is_cut_off() -> None:
    """Seen: an `expires_at` of 1758283908.25."""
    with_fraction = {"type": "session.updated", "session": {"expires_at": 1758283908.25}}
    *_, event = oai.RealtimeCodec().receive(json.dumps(with_fraction))
    assert isinstance(event, oai.SessionUpdated)
    assert event.session.expires_at == 1758283908


@pytest.mark.parametrize("session", [..., None, {}, [], {"audio": None}, {"audio": {"input": None, "output": None}}])
def test_a_session_that_is_not_shown_says_nothing(session: Any) -> None:
    """It is taken to be as requested; only turn detection must be reported."""
    frame = {"type": "session.updated"} | ({} if session is ... else {"session": session})
    *_, event = oai.RealtimeCodec().receive(json.dumps(frame))
    assert isinstance(event, oai.SessionUpdated)
    assert oai.differences(config(), event.session) == [VAD]
    assert (event.session.input_format, event.session.transcribes) == (None, None)


@pytest.mark.parametrize(
    ("told", "meant"),
    [
        ({"type": "audio/pcmu"}, PCMU_8K),
        ({"type": "audio/pcmu", "rate": 24000}, PCMU_8K),
        ({"type": "audio/pcma", "rate": 0}, PCMA_8K),
        ({"type": "audio/pcm"}, PCM16_24K),
        ({"type": "audio/pcm", "rate": 24000.0}, PCM16_24K),
        ({"type": "audio/pcm", "rate": "fast"}, PCM16_24K),
        ({"type": "audio/pcm", "rate": 16000}, PCM16_16K),
        ({"type": "audio/pcm", "rate": 44100}, oai.ForeignFormat("audio/pcm at 44100 Hz")),
        ({"type": "audio/opus"}, oai.ForeignFormat("audio/opus")),
        ("pcm16", PCM16_24K),
        ("audio/pcmu", PCMU_8K),
        ({}, None),
        ({"rate": 8000}, None),
        (7, None),
        (None, None),
    ],
)
def test_a_format_is_what_is_meant(told: object, meant: object) -> None:
    """G.711 is 8 kHz whatever rate is given; an unsupported format keeps its name."""
    assert echoed({"audio": {"output": {"format": told}}}).output_format == meant


def test_formats_are_also_found_where_the_retired_shape_had_them() -> None:
    """Some gateways report the session object of the beta API."""
    old = echoed({"input_audio_format": "g711_ulaw", "output_audio_format": "pcm16"})
    assert (old.input_format, old.output_format) == (PCMU_8K, PCM16_24K)


def test_the_echo_is_not_shown() -> None:
    """It repeats instructions and whatever opens remote servers."""
    assert "secret words" not in repr(echoed({"type": "realtime", "instructions": "secret words"}))
