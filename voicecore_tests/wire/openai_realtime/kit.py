"""Everything that we may say, as Hypothesis strategies, and frames of the server written short."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from voicecore.audio.formats import PCM16_24K, PCMA_8K, PCMU_8K
from voicecore.wire import openai_realtime as oai
from voicecore.wire.openai_realtime.server_events import ServerEvent

_words = st.text(min_size=1, max_size=12)
_ids = st.none() | _words
_flags = st.booleans()
_efforts = st.sampled_from(("minimal", "low", "medium", "high", "xhigh"))
_formats = st.sampled_from((PCM16_24K, PCMU_8K, PCMA_8K))
_unset = st.just(oai.UNSET)

_server_vad = st.builds(
    oai.ServerVad,
    threshold=st.floats(0, 1),
    prefix_padding_ms=st.integers(0, 5_000),
    silence_duration_ms=st.integers(0, 5_000),
    create_response=_flags,
    interrupt_response=_flags,
    idle_timeout_ms=st.none() | st.integers(5_000, 30_000),
)
_semantic_vad = st.builds(
    oai.SemanticVad,
    eagerness=st.sampled_from(("low", "medium", "high", "auto")),
    create_response=_flags,
    interrupt_response=_flags,
)
turn_detections = st.none() | _server_vad | _semantic_vad

_transcriptions = st.builds(
    oai.Transcription,
    model=st.sampled_from(("gpt-4o-transcribe", "gpt-transcribe")),
    language=_ids,
    languages=st.none() | st.lists(_words, max_size=2).map(tuple),
    keywords=st.none() | st.lists(_words, max_size=2).map(tuple),
    prompt=st.none() | st.text(max_size=12),
) | st.builds(oai.Transcription, model=st.just("gpt-realtime-whisper"), delay=st.none() | _efforts)

_schemas = st.just({"type": "object", "properties": {"when": {"type": ["string", "null"], "default": None}}})
_function_tools = st.builds(oai.FunctionTool, name=_words, description=st.text(max_size=12), parameters=_schemas)
_mcp_tools = st.builds(
    oai.McpTool,
    server_label=_words,
    server_url=st.just("https://tools.example/mcp"),
    authorization=st.none() | _words,
    headers=st.none() | st.dictionaries(_words, _words, max_size=2),
    allowed_tools=st.none() | st.lists(_words, max_size=2).map(tuple),
    require_approval=st.sampled_from((None, "always", "never")),
)
_tools = st.lists(
    _function_tools | _mcp_tools,
    max_size=2,
    unique_by=lambda tool: tool.name if isinstance(tool, oai.FunctionTool) else tool.server_label,
).map(tuple)
_tool_choices = (
    st.sampled_from(("none", "auto", "required"))
    | st.builds(oai.ChosenFunction, _words)
    | st.builds(oai.ChosenMcp, _words, _ids)
)

session_configs = st.builds(
    oai.SessionConfig,
    input_format=_formats,
    output_format=_formats,
    turn_detection=turn_detections,
    model=_unset | _words,
    instructions=_unset | st.text(max_size=12),
    output_modality=_unset | st.sampled_from(("audio", "text")),
    noise_reduction=_unset
    | st.none()
    | st.builds(
        oai.NoiseReduction,
        type=st.sampled_from(("near_field", "far_field")),
        strength=st.none() | st.floats(0, 1),
    ),
    transcription=_unset | st.none() | _transcriptions,
    voice=_unset | _words | st.builds(oai.CustomVoice, _words),
    speed=_unset | st.floats(0.25, 1.5),
    tools=_unset | _tools,
    tool_choice=_unset | _tool_choices,
    parallel_tool_calls=_unset | _flags,
    reasoning=_unset | st.builds(oai.Reasoning, _efforts),
    max_output_tokens=_unset | st.integers(1, 4096) | st.just("inf"),
    truncation=_unset
    | st.sampled_from(("auto", "disabled"))
    | st.builds(
        oai.RetentionRatio,
        retention_ratio=st.floats(0, 1),
        post_instructions_tokens=st.none() | st.integers(0, 32_000),
    ),
    tracing=_unset
    | st.sampled_from((None, "auto"))
    | st.builds(oai.Tracing, workflow_name=_ids, group_id=_ids, metadata=st.none() | st.just({"call": 1})),
    include=_unset | st.none() | st.just(("item.input_audio_transcription.logprobs",)),
)

new_items = (
    st.builds(oai.UserMessage, st.text(max_size=12), _ids)
    | st.builds(oai.SystemMessage, st.text(max_size=12), _ids)
    | st.builds(oai.AssistantMessage, st.text(max_size=12), _ids)
    | st.builds(oai.FunctionCall, call_id=_words, name=_words, arguments=st.just("{}"), id=_ids)
    | st.builds(oai.FunctionCallOutput, call_id=_words, output=st.text(max_size=12), id=_ids)
)

client_events: st.SearchStrategy[oai.ClientEvent] = st.one_of(
    st.builds(oai.SessionUpdate, config=session_configs, event_id=_ids),
    st.builds(oai.InputAudioAppend, audio=st.binary(max_size=400), event_id=_ids),
    st.builds(oai.InputAudioCommit, event_id=_ids),
    st.builds(oai.InputAudioClear, event_id=_ids),
    st.builds(oai.ItemCreate, item=new_items, previous_item_id=_ids, event_id=_ids),
    st.builds(oai.ItemTruncate, item_id=_words, audio_end_ms=st.integers(0, 3_600_000), event_id=_ids),
    st.builds(oai.ItemDelete, item_id=_words, event_id=_ids),
    st.builds(oai.ItemRetrieve, item_id=_words, event_id=_ids),
    st.builds(
        oai.ResponseCreate,
        request_id=st.none() | _words,
        instructions=st.none() | st.text(max_size=12),
        tool_choice=st.none() | _tool_choices,
        output_modality=st.sampled_from((None, "audio", "text")),
        input=st.none() | st.lists(new_items, max_size=2).map(tuple),
        conversation=st.sampled_from((None, "auto", "none")),
        event_id=_ids,
    ),
    st.builds(oai.ResponseCancel, response_id=_ids, event_id=_ids),
)


def config(**changes: Any) -> oai.SessionConfig:
    """A configuration for a telephone call, with changes."""
    telephone: dict[str, Any] = {
        "input_format": PCMU_8K,
        "output_format": PCMU_8K,
        "turn_detection": oai.ServerVad(),
    }
    return oai.SessionConfig(**(telephone | changes))


def received(frame: dict[str, Any]) -> ServerEvent:
    """The event of a frame for a new codec, after the notices about how it was read."""
    return oai.RealtimeCodec().receive(json.dumps(frame))[-1]
