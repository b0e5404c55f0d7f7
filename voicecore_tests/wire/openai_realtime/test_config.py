"""The configuration of a session: what reaches the wire, and what is refused before."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest
from hypothesis import given

from voicecore.audio.formats import PCM16_8K, PCM16_24K, PCMA_8K, PCMU_8K, AudioFormat
from voicecore.errors import ConfigError, LocalProtocolError
from voicecore.wire import openai_realtime as oai
from voicecore_tests.wire.openai_realtime.kit import config, session_configs
from voicecore_tests.wire.openai_realtime.official import accepted


def on_the_wire(session: oai.SessionConfig) -> dict[str, Any]:
    """The session as the server would get it."""
    sent: dict[str, Any] = accepted(oai.encode(oai.SessionUpdate(config=session)))["session"]
    return sent


@given(session_configs)
def test_every_configuration_is_one_that_the_api_knows(session: oai.SessionConfig) -> None:
    """The official types accept it strictly, and know every key in it."""
    assert on_the_wire(session)["type"] == "realtime"


def test_what_is_not_set_is_not_mentioned() -> None:
    """A small configuration leaves every other setting of the server alone."""
    vad = {
        "type": "server_vad",
        "threshold": 0.5,
        "prefix_padding_ms": 300,
        "silence_duration_ms": 500,
        "create_response": True,
        "interrupt_response": True,
    }
    assert on_the_wire(config()) == {
        "type": "realtime",
        "audio": {
            "input": {"format": {"type": "audio/pcmu"}, "turn_detection": vad},
            "output": {"format": {"type": "audio/pcmu"}},
        },
    }


def test_b2_turn_detection_switched_off_reaches_the_wire_as_null() -> None:
    """A serialiser that drops nulls leaves turn detection on, and the first message unprotected."""
    frame = oai.encode(oai.SessionUpdate(config=config(turn_detection=None)))
    assert '"turn_detection":null' in frame
    assert json.loads(frame)["session"]["audio"]["input"]["turn_detection"] is None


@pytest.mark.parametrize("name", ["noise_reduction", "transcription"])
def test_whatever_is_switched_off_reaches_the_wire_as_null(name: str) -> None:
    """None is an order; leaving a setting alone is another one."""
    assert on_the_wire(config(**{name: None}))["audio"]["input"][name] is None
    assert name not in on_the_wire(config())["audio"]["input"]


@pytest.mark.parametrize("name", ["tracing", "include"])
def test_whatever_is_switched_off_beside_the_audio_is_null_too(name: str) -> None:
    """The same rule on the upper level."""
    assert on_the_wire(config(**{name: None}))[name] is None


def test_an_empty_value_clears() -> None:
    """No instructions and no tools are said, not left out."""
    sent = on_the_wire(config(instructions="", tools=()))
    assert (sent["instructions"], sent["tools"]) == ("", [])


@pytest.mark.parametrize(
    ("audio_format", "wire"),
    [
        (PCM16_24K, {"type": "audio/pcm", "rate": 24000}),
        (PCMU_8K, {"type": "audio/pcmu"}),
        (PCMA_8K, {"type": "audio/pcma"}),
    ],
)
def test_h4_both_formats_are_always_stated(audio_format: AudioFormat, wire: dict[str, Any]) -> None:
    """An update that leaves them out has turned calls to static."""
    assert on_the_wire(config(input_format=audio_format))["audio"]["input"]["format"] == wire
    assert on_the_wire(config(output_format=audio_format))["audio"]["output"]["format"] == wire


def test_an_idle_timeout_that_is_off_is_left_out() -> None:
    """It is the one field of turn detection that has no value for "off"."""
    on = on_the_wire(config(turn_detection=oai.ServerVad(idle_timeout_ms=6_000)))
    assert on["audio"]["input"]["turn_detection"]["idle_timeout_ms"] == 6_000
    assert "idle_timeout_ms" not in on_the_wire(config())["audio"]["input"]["turn_detection"]


@pytest.mark.parametrize(
    ("changes", "path", "wire"),
    [
        ({"model": "gpt-realtime-2.1"}, "model", "gpt-realtime-2.1"),
        ({"instructions": "Be brief."}, "instructions", "Be brief."),
        ({"output_modality": "text"}, "output_modalities", ["text"]),
        (
            {"turn_detection": oai.SemanticVad(eagerness="high", create_response=False, interrupt_response=False)},
            "audio.input.turn_detection",
            {"type": "semantic_vad", "eagerness": "high", "create_response": False, "interrupt_response": False},
        ),
        (
            {"noise_reduction": oai.NoiseReduction(type="far_field", strength=0.5)},
            "audio.input.noise_reduction",
            {"type": "far_field", "strength": 0.5},
        ),
        (
            {"transcription": oai.Transcription(model="gpt-realtime-whisper", language="en", delay="low")},
            "audio.input.transcription",
            {"model": "gpt-realtime-whisper", "language": "en", "delay": "low"},
        ),
        (
            {
                "transcription": oai.Transcription(
                    model="gpt-transcribe", languages=("de",), keywords=("Ada",), prompt="x"
                )
            },
            "audio.input.transcription",
            {"model": "gpt-transcribe", "languages": ["de"], "keywords": ["Ada"], "prompt": "x"},
        ),
        ({"voice": "marin"}, "audio.output.voice", "marin"),
        ({"voice": oai.CustomVoice("voice_1")}, "audio.output.voice", {"id": "voice_1"}),
        ({"speed": 1.25}, "audio.output.speed", 1.25),
        ({"tool_choice": "required"}, "tool_choice", "required"),
        ({"tool_choice": oai.ChosenFunction("lookup")}, "tool_choice", {"type": "function", "name": "lookup"}),
        (
            {"tool_choice": oai.ChosenMcp("crm", "find")},
            "tool_choice",
            {"type": "mcp", "server_label": "crm", "name": "find"},
        ),
        ({"parallel_tool_calls": False}, "parallel_tool_calls", False),
        ({"reasoning": oai.Reasoning("low")}, "reasoning", {"effort": "low"}),
        ({"max_output_tokens": 4096}, "max_output_tokens", 4096),
        ({"max_output_tokens": "inf"}, "max_output_tokens", "inf"),
        ({"truncation": "disabled"}, "truncation", "disabled"),
        (
            {"truncation": oai.RetentionRatio(retention_ratio=0.8, post_instructions_tokens=9_000)},
            "truncation",
            {"type": "retention_ratio", "retention_ratio": 0.8, "token_limits": {"post_instructions": 9_000}},
        ),
        ({"tracing": "auto"}, "tracing", "auto"),
        (
            {"tracing": oai.Tracing(workflow_name="calls", group_id="g", metadata={"a": 1})},
            "tracing",
            {"workflow_name": "calls", "group_id": "g", "metadata": {"a": 1}},
        ),
        (
            {"include": ("item.input_audio_transcription.logprobs",)},
            "include",
            ["item.input_audio_transcription.logprobs"],
        ),
    ],
)
def test_every_setting_has_its_place_on_the_wire(changes: dict[str, Any], path: str, wire: object) -> None:
    """One setting, one dotted place; parts are complete objects."""
    place: Any = on_the_wire(config(**changes))
    for name in path.split("."):
        place = place[name]
    assert place == wire


# --- what is refused ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("part", "fields", "key", "problem"),
    [
        (oai.ServerVad, {"threshold": 1.5}, "audio.input.turn_detection.threshold", "number from 0 to 1"),
        (oai.ServerVad, {"threshold": float("nan")}, "audio.input.turn_detection.threshold", "number"),
        (oai.ServerVad, {"threshold": True}, "audio.input.turn_detection.threshold", "number"),
        (oai.ServerVad, {"silence_duration_ms": 0.5}, "audio.input.turn_detection.silence_duration_ms", "whole"),
        (oai.ServerVad, {"prefix_padding_ms": -1}, "audio.input.turn_detection.prefix_padding_ms", "whole"),
        (oai.ServerVad, {"idle_timeout_ms": 4_999}, "audio.input.turn_detection.idle_timeout_ms", "from 5000 to 30000"),
        (oai.ServerVad, {"create_response": 1}, "audio.input.turn_detection.create_response", "True or False"),
        (oai.ServerVad, {"interrupt_response": None}, "audio.input.turn_detection.interrupt_response", "True or"),
        (oai.SemanticVad, {"eagerness": "soon"}, "audio.input.turn_detection.eagerness", "one of low, medium, high"),
        (oai.NoiseReduction, {"type": "no_field"}, "audio.input.noise_reduction.type", "one of near_field"),
        (oai.Transcription, {"model": ""}, "audio.input.transcription.model", "not be empty"),
        (oai.Transcription, {"model": "whisper-1", "delay": "low"}, "audio.input.transcription.delay", "supported by"),
        (
            oai.Transcription,
            {"model": "gpt-realtime-whisper", "prompt": "x"},
            "audio.input.transcription.prompt",
            "not supported",
        ),
        (oai.Transcription, {"model": "m", "keywords": ["a"]}, "audio.input.transcription.keywords", "tuple"),
        (oai.RetentionRatio, {"retention_ratio": 2}, "truncation.retention_ratio", "number from 0 to 1"),
        (oai.Reasoning, {"effort": "huge"}, "reasoning.effort", "one of minimal"),
        (config, {"input_format": PCM16_8K}, "audio.input.format", "one of pcm16@24000, pcma@8000, pcmu@8000"),
        (config, {"output_format": "pcmu"}, "audio.output.format", "one of"),
        (config, {"turn_detection": "server_vad"}, "audio.input.turn_detection", "ServerVad or SemanticVad"),
        (config, {"turn_detection": oai.UNSET}, "audio.input.turn_detection", "ServerVad or SemanticVad"),
        (config, {"model": ""}, "model", "not be empty"),
        (config, {"instructions": None}, "instructions", "string"),
        (config, {"instructions": "\ud800"}, "instructions", "surrogate"),
        (config, {"output_modality": "both"}, "output_modalities", "one of audio, text"),
        (config, {"voice": ""}, "audio.output.voice", "not be empty"),
        (config, {"voice": None}, "audio.output.voice", "string"),
        (config, {"speed": 1.6}, "audio.output.speed", "from 0.25 to 1.5"),
        (config, {"speed": 10**400}, "audio.output.speed", "from 0.25 to 1.5"),
        (config, {"max_output_tokens": 4097}, "max_output_tokens", "from 1 to 4096"),
        (config, {"tool_choice": "any"}, "tool_choice", "one of none, auto, required"),
        (config, {"truncation": None}, "truncation", "one of auto, disabled"),
        (config, {"tracing": "on"}, "tracing", "one of auto"),
        (config, {"include": ("everything",)}, "include", "one of"),
        (config, {"tools": [oai.FunctionTool(name="a")]}, "tools", "tuple"),
        (config, {"tools": ("lookup",)}, "tools", "FunctionTool or McpTool"),
        (config, {"tools": (oai.FunctionTool(name="a"), oai.FunctionTool(name="a"))}, "tools", "twice"),
    ],
)
def test_a_value_that_the_api_refuses_is_refused_when_it_is_made(
    part: Any, fields: dict[str, Any], key: str, problem: str
) -> None:
    """The server would refuse the whole update; the key is the one that it would name."""
    with pytest.raises(ConfigError, match=problem) as caught:
        part(**fields)
    assert caught.value.key == key


def test_a_refused_value_is_not_repeated() -> None:
    """A misplaced value may be an API key."""
    with pytest.raises(ConfigError) as caught:
        config(speed="sk-secret")
    assert "secret" not in str(caught.value)


# --- sameness ----------------------------------------------------------------------------


def test_the_same_configuration_has_the_same_fingerprint() -> None:
    """However it was put together: order of keys and way of writing numbers do not count."""
    one = config(speed=1, tools=(oai.FunctionTool(name="a", parameters={"type": "object", "required": []}),))
    other = config(speed=1.0, tools=(oai.FunctionTool(name="a", parameters={"required": [], "type": "object"}),))
    assert one.canonical_json() == other.canonical_json()
    assert one.fingerprint() == other.fingerprint()


@pytest.mark.parametrize(
    "changes",
    [
        {"turn_detection": None},
        {"turn_detection": oai.ServerVad(create_response=False)},
        {"tools": ()},
        {"instructions": ""},
        {"output_format": PCMA_8K},
        {"noise_reduction": None},
    ],
)
def test_any_other_configuration_has_another_fingerprint(changes: dict[str, Any]) -> None:
    """Tools are part of it: a parked session without them is not adopted."""
    assert config(**changes).fingerprint() != config().fingerprint()


def test_the_lockout_is_the_live_configuration_with_one_change() -> None:
    """Unlocking restates everything: nothing can be reset by being left out."""
    live = config(tools=(oai.FunctionTool(name="a"),), voice="marin")
    locked = attrs.evolve(live, turn_detection=None)
    wire = on_the_wire(locked)
    wire["audio"]["input"]["turn_detection"] = on_the_wire(live)["audio"]["input"]["turn_detection"]
    assert wire == on_the_wire(live)


# --- tools -----------------------------------------------------------------------------------


def test_a_function_tool_is_flat() -> None:
    """Nothing is nested under a ``function`` key."""
    schema = {"type": "object", "properties": {"id": {"type": ["string", "null"], "default": None}}}
    (tool,) = on_the_wire(config(tools=(oai.FunctionTool(name="find", description="Finds.", parameters=schema),)))[
        "tools"
    ]
    assert tool == {"type": "function", "name": "find", "description": "Finds.", "parameters": schema}


def test_a_tool_keeps_its_own_copy_of_its_schema() -> None:
    """Changing the mapping afterwards changes no session."""
    schema: dict[str, Any] = {"type": "object", "properties": {}}
    tool = oai.FunctionTool(name="find", parameters=schema)
    schema["properties"]["id"] = {"type": "string"}
    assert tool.parameters == {"type": "object", "properties": {}}


@pytest.mark.parametrize("parameters", [None, [], {"a": object()}, {"a": 10**30}, {1: 2}, {"a": "\ud800"}])
def test_a_schema_that_json_cannot_say_is_refused(parameters: Any) -> None:
    """At the latest when the tool is made, not when a call rings."""
    with pytest.raises(ConfigError, match=r"^tools\.parameters: must be a mapping of JSON values"):
        oai.FunctionTool(name="find", parameters=parameters)


def test_what_opens_a_remote_server_goes_on_the_wire_and_nowhere_else() -> None:
    """Authorization and headers are secrets until they are sent."""
    tool = oai.McpTool(
        server_label="crm", server_url="https://crm.example", authorization="tok-1", headers={"X-Key": "tok-2"}
    )
    session = config(tools=(tool,))
    (sent,) = on_the_wire(session)["tools"]
    assert (sent["authorization"], sent["headers"]) == ("tok-1", {"X-Key": "tok-2"})
    assert "tok-" not in repr(session)


@pytest.mark.parametrize("ways", [{}, {"server_url": "https://a.example", "tunnel_id": "t"}])
def test_a_remote_server_is_reached_in_exactly_one_way(ways: dict[str, Any]) -> None:
    """By URL, connector or tunnel."""
    with pytest.raises(ConfigError, match="exactly one"):
        oai.McpTool(server_label="crm", **ways)


def test_a_secret_that_no_frame_can_carry_is_refused() -> None:
    """Without being shown."""
    with pytest.raises(ConfigError, match=r"^tools\.authorization: must be valid Unicode: it has a lone surrogate$"):
        oai.McpTool(server_label="crm", tunnel_id="t", authorization="\ud800")


def test_an_event_that_no_frame_can_carry_is_our_own_bug() -> None:
    """A lone surrogate in an event id."""
    with pytest.raises(LocalProtocolError, match="not valid Unicode"):
        oai.encode(oai.SessionUpdate(config=config(), event_id="\ud800"))
