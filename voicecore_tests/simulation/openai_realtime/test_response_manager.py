"""Responses: which may run, in which order their events come, how they are cancelled."""

from __future__ import annotations

import itertools
import math

import pytest

from voicecore.audio.formats import PCM16_24K, PCMU_8K
from voicecore.simulation.numbered_audio import numbered_audio, runs_in
from voicecore.simulation.openai_realtime.behaviour import Behaviour, Pace
from voicecore.simulation.openai_realtime.script import Echo, NumberedFrames, Recorded, Reply, Script, ToolCall
from voicecore_tests.simulation.openai_realtime.kit import (
    PCMU,
    SERVER_VAD,
    Client,
    Event,
    audio_of,
    error,
    kinds,
    one,
    only,
    recording,
    silence,
)

LONG = Script(replies=(Reply("my reply takes a while to say, as you can hear", speech=Recorded("agent-you-are-next")),))
OPENING = [
    "response.created",
    "response.output_item.added",
    "conversation.item.added",
    "response.content_part.added",
]
CLOSING = [
    "response.output_audio.done",
    "response.output_audio_transcript.done",
    "response.content_part.done",
    "response.output_item.done",
    "conversation.item.done",
    "response.done",
    "rate_limits.updated",
]
DELTAS = {"response.output_audio.delta", "response.output_audio_transcript.delta"}


def telephone(script: Script, behaviour: Behaviour | None = None) -> Client:
    """Return a client with µ-law both ways and no turn detection."""
    client = Client(script, behaviour)
    client.configure_telephone(None)
    return client


def test_spoken_response_has_the_documented_order() -> None:
    """created, item, part, deltas, the done events from the inside out, response.done, rate limits."""
    client = telephone(LONG)
    events = client.send("response.create") + client.wait(10)
    names = kinds(events)
    assert names[:4] == OPENING
    assert set(names[4:-7]) == DELTAS
    assert names[-7:] == CLOSING
    done = one(events, "response.done")["response"]
    assert done["status"] == "completed"
    assert [item["content"][0] for item in done["output"]] == [
        {"type": "output_audio", "transcript": "my reply takes a while to say, as you can hear"}
    ]


def test_the_audio_is_the_recording_in_the_session_format() -> None:
    """The deltas of a response join to the whole utterance; they are uneven and split samples and frames."""
    client = telephone(LONG)
    events = client.send("response.create") + client.wait(10)
    assert audio_of(events) == recording("agent-you-are-next")
    sizes = [len(audio_of([event])) for event in only(events, "response.output_audio.delta")]
    assert len(set(sizes)) > len(sizes) // 2
    assert any(size % 160 for size in sizes)


@pytest.mark.parametrize("splits", [False, True])
def test_pcm_deltas_split_a_sample_only_where_that_is_the_fault(splits: bool) -> None:
    """At 24 kHz some delta ends inside a sample then; the whole is exact all the same."""
    client = Client(LONG, Behaviour(pace=Pace(splits_samples=splits)))
    events = client.send("response.create") + client.wait(10)
    assert audio_of(events) == recording("agent-you-are-next", PCM16_24K)
    assert any(len(audio_of([event])) % 2 for event in only(events, "response.output_audio.delta")) is splits


def test_audio_comes_in_bursts_faster_than_real_time() -> None:
    """First delta after its delay; then bursts, all of it `speed` times faster than it plays."""
    pace = Pace(first_delta_s=0.4, speed=4.0, burst_s=1.0)
    client = telephone(LONG, Behaviour(pace=pace))
    client.send("response.create")
    client.wait(10)
    at = [
        time
        for time, event in zip(client.times, client.events, strict=True)
        if event["type"] == "response.output_audio.delta"
    ]
    assert at[0] == pytest.approx(0.4)
    bursts = sorted(set(at))
    assert len(bursts) == math.ceil(5.36)
    assert [b - a for a, b in itertools.pairwise(bursts)] == pytest.approx([0.25] * (len(bursts) - 1))
    assert at[-1] - at[0] < 5.36 / 3


def test_transcript_runs_ahead_of_the_audio() -> None:
    """When the last word is sent, half of the audio is still to come."""
    client = telephone(LONG)
    events = client.send("response.create") + client.wait(10)
    last_word = max(n for n, event in enumerate(events) if event["type"] == "response.output_audio_transcript.delta")
    assert len(audio_of(events[:last_word])) <= len(audio_of(events)) * 0.7


def test_second_response_is_refused_while_one_runs() -> None:
    """At most one in the default conversation; the refusal names the request, and the first goes on."""
    client = telephone(LONG)
    client.send("response.create")
    refusal = error(client.send("response.create", event_id="second"))
    assert (refusal["code"], refusal["event_id"]) == ("conversation_already_has_active_response", "second")
    assert one(client.wait(10), "response.done")["response"]["status"] == "completed"
    assert kinds(client.send("response.create")) == ["response.created"]


def test_out_of_band_response_runs_beside_and_leaves_no_trace() -> None:
    """conversation none: the same response events, no conversation events, no item, id null."""
    client = telephone(LONG)
    client.send("response.create")
    request: Event = {"conversation": "none", "input": [], "metadata": {"topic": "x"}}
    [created] = client.send("response.create", response=request)
    assert (created["response"]["conversation_id"], created["response"]["metadata"]) == (None, {"topic": "x"})
    events = client.wait(10)
    assert len(only(events, "response.done")) == 2
    assert len(only(events, "conversation.item.added")) == len(client.session.conversation.items) == 1
    mine = [event for event in events if event.get("response_id") == created["response"]["id"]]
    assert audio_of(mine) == recording("agent-you-are-next")


def test_metadata_comes_back_on_created_and_done() -> None:
    """A token in the metadata tells our responses from the server's own."""
    client = telephone(LONG)
    events = client.send("response.create", response={"metadata": {"request": "r-1"}}) + client.wait(10)
    for kind in ("response.created", "response.done"):
        assert one(events, kind)["response"]["metadata"] == {"request": "r-1"}


@pytest.mark.parametrize(
    ("request_", "code", "param"),
    [
        ({"turn_detection": None}, "unknown_parameter", "response.turn_detection"),
        ({"metadata": {"k": 1}}, "invalid_value", "response.metadata.k"),
        ({"metadata": {"k" * 65: "v"}}, "invalid_value", f"response.metadata.{'k' * 65}"),
        ({"metadata": {str(n): "v" for n in range(17)}}, "invalid_value", "response.metadata"),
        ({"output_modalities": ["audio", "text"]}, "invalid_value", "response.output_modalities"),
        ({"input": [{"type": "item_reference", "id": "item_x"}]}, "item_not_found", "item_id"),
    ],
)
def test_bad_request_starts_nothing(request_: Event, code: str, param: str) -> None:
    """A response that is refused was never created."""
    client = telephone(LONG)
    refusal = error(client.send("response.create", response=request_))
    assert (refusal["code"], refusal["param"]) == (code, param)
    assert client.wait(5) == []


def test_client_cancel_closes_what_is_open() -> None:
    """Every open part gets its done event, then response.done cancelled, client_cancelled; no more audio."""
    client = telephone(LONG)
    created = one(client.send("response.create"), "response.created")
    client.wait(0.5)
    events = client.send("response.cancel", response_id=created["response"]["id"])
    assert kinds(events) == CLOSING
    done = one(events, "response.done")["response"]
    assert done["status"] == "cancelled"
    assert done["status_details"] == {"type": "cancelled", "reason": "client_cancelled"}
    assert done["output"][0]["status"] == "incomplete"
    assert done["usage"]["output_token_details"]["audio_tokens"] > 0
    assert client.wait(10) == []


def test_cancel_without_id_means_the_active_one() -> None:
    """Without an id the running response of the default conversation is cancelled, before its first part too."""
    client = telephone(LONG)
    client.send("response.create")
    assert kinds(client.send("response.cancel")) == ["response.done", "rate_limits.updated"]


@pytest.mark.parametrize("fields", [{}, {"response_id": "resp_unknown"}])
def test_cancel_of_nothing_is_a_harmless_error(fields: Event) -> None:
    """Nothing runs: `response_cancel_not_active`."""
    client = telephone(LONG)
    refusal = error(client.send("response.cancel", event_id="c", **fields))
    assert (refusal["code"], refusal["event_id"]) == ("response_cancel_not_active", "c")


def test_speech_cancels_with_turn_detected() -> None:
    """speech_started, the done events, response.done cancelled with turn_detected."""
    client = Client(LONG)
    client.configure_telephone(SERVER_VAD)
    client.send("response.create")
    client.wait(0.5)
    events = client.speak(recording("caller-one-moment-it")[:8000])
    names = kinds(events)
    assert names[names.index("input_audio_buffer.speech_started") :] == ["input_audio_buffer.speech_started", *CLOSING]
    details = one(events, "response.done")["response"]["status_details"]
    assert details == {"type": "cancelled", "reason": "turn_detected"}


def test_speech_after_generation_cancels_nothing() -> None:
    """Generation ended long before playback: there is a speech_started and no cancelled response."""
    client = Client(LONG)
    client.configure_telephone(SERVER_VAD)
    client.send("response.create")
    client.wait(2.0)
    assert kinds(client.speak(recording("caller-one-moment-it")[:8000])) == ["input_audio_buffer.speech_started"]


def test_function_call_turn() -> None:
    """Speech first, then the call with arguments in pieces; response.done lists both; the result item is taken."""
    call = ToolCall("lookup", '{"number": "12345", "when": "tomorrow"}')
    client = telephone(Script(replies=(Reply("Let me see.", tool_calls=(call,)), Reply("It is ready."))))
    events = client.send("response.create") + client.wait(5)
    names = kinds(events)
    start = names.index("response.output_item.done") + 2
    assert names[start : start + 2] == ["response.output_item.added", "conversation.item.added"]
    arguments = "response.function_call_arguments"
    assert names[start + 2 :] == [
        *[f"{arguments}.delta"] * 4,
        f"{arguments}.done",
        "response.output_item.done",
        "conversation.item.done",
        "response.done",
        "rate_limits.updated",
    ]
    assert "".join(each["delta"] for each in only(events, f"{arguments}.delta")) == call.arguments
    message, function_call = one(events, "response.done")["response"]["output"]
    assert (message["type"], function_call["type"]) == ("message", "function_call")
    assert (function_call["name"], function_call["arguments"]) == ("lookup", call.arguments)
    output = {"type": "function_call_output", "call_id": function_call["call_id"], "output": '{"ready": true}'}
    assert kinds(client.send("conversation.item.create", item=output)) == [
        "conversation.item.added",
        "conversation.item.done",
    ]
    events = client.send("response.create") + client.wait(5)
    assert one(events, "response.output_audio_transcript.done")["transcript"] == "It is ready."


def test_several_calls_in_one_response_have_indexes_and_ids_of_their_own() -> None:
    """One response can hold several calls."""
    client = telephone(Script(replies=(Reply(tool_calls=(ToolCall("a"), ToolCall("b"))),)))
    events = client.send("response.create") + client.wait(5)
    done = only(events, "response.function_call_arguments.done")
    assert [(each["name"], each["output_index"]) for each in done] == [("a", 0), ("b", 1)]
    assert len({each["call_id"] for each in done}) == 2


def test_tool_choice_none_is_honoured() -> None:
    """A first message asked for with tool_choice none calls no tool."""
    client = telephone(Script(replies=(Reply("Hello.", tool_calls=(ToolCall("lookup"),)),)))
    events = client.send("response.create", response={"tool_choice": "none"}) + client.wait(5)
    assert not only(events, "response.function_call_arguments.done")


def test_text_modality_writes() -> None:
    """output_modalities text: output_text events, no audio."""
    client = Client(Script(replies=(Reply("Just words."),)))
    client.configure(output_modalities=["text"])
    events = client.send("response.create") + client.wait(5)
    assert one(events, "response.output_text.done")["text"].strip() == "Just words."
    assert not DELTAS & set(kinds(events))
    assert one(events, "response.content_part.added")["part"] == {"type": "text", "text": ""}


def test_replies_are_used_in_order_and_the_last_is_repeated() -> None:
    """One reply a response."""
    client = telephone(Script(replies=(Reply("one"), Reply("two"))))
    said = []
    for _ in range(3):
        events = client.send("response.create") + client.wait(5)
        said.append(one(events, "response.output_audio_transcript.done")["transcript"])
    assert said == ["one", "two", "two"]


def test_settings_are_those_of_the_creation() -> None:
    """An update takes effect for the next response, never for the one that runs."""
    client = telephone(LONG)
    client.send("response.create")
    client.configure(audio={"output": {"format": {"type": "audio/pcma"}}})
    assert audio_of(client.wait(10)) == recording("agent-you-are-next")
    created = one(client.send("response.create"), "response.created")
    assert created["response"]["audio"]["output"]["format"] == {"type": "audio/pcma"}


def test_response_may_ask_for_its_own_format() -> None:
    """audio.output.format of a response.create holds for that response."""
    client = Client(LONG)
    events = client.send("response.create", response={"audio": {"output": {"format": PCMU}}}) + client.wait(10)
    assert audio_of(events) == recording("agent-you-are-next")


def test_numbered_frames_name_their_call_and_response() -> None:
    """Every byte of a µ-law session's agent audio can be traced to its response and place."""
    client = telephone(Script(replies=(Reply(speech=NumberedFrames(1.0)),)))
    for number in (1, 2):
        events = client.send("response.create") + client.wait(5)
        assert audio_of(events) == numbered_audio(call=7, response=number, seconds=1.0)
        [run] = runs_in(audio_of(events))
        assert (run.first.call, run.first.response, run.size_bytes) == (7, number, 8000)


def test_usage_counts_audio_by_its_length() -> None:
    """Agent audio is one token per 50 ms, client audio one per 100 ms; what was read before is cached."""
    client = Client(LONG)
    client.configure_telephone(None)
    client.append(silence(2.0))
    client.send("input_audio_buffer.commit")
    first = one(client.send("response.create") + client.wait(10), "response.done")["response"]["usage"]
    assert first["output_token_details"]["audio_tokens"] == round(
        PCMU_8K.seconds_in(len(recording("agent-you-are-next"))) / 0.05
    )
    assert first["input_token_details"]["audio_tokens"] == 20
    assert first["total_tokens"] == first["input_tokens"] + first["output_tokens"]
    second = one(client.send("response.create") + client.wait(10), "response.done")["response"]["usage"]
    assert second["input_token_details"]["cached_tokens_details"]["audio_tokens"] == 20
    assert second["input_tokens"] > first["input_tokens"]


def test_echo_sends_every_chunk_back_at_once() -> None:
    """Benchmarks: each appended chunk is one delta of a running response, unchanged."""
    client = telephone(Script(replies=Echo()))
    chunks = [bytes([n]) * 160 for n in range(50)]
    first, *others = [client.append(chunk) for chunk in chunks]
    assert kinds(first) == [*OPENING, "response.output_audio.delta"]
    assert audio_of(first) == chunks[0]
    assert [audio_of(events) for events in others] == chunks[1:]
    assert kinds(client.send("response.cancel")) == CLOSING
    assert kinds(client.append(chunks[0])) == [*OPENING, "response.output_audio.delta"]
