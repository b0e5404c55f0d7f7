"""Each fault that a behaviour asks for really happens."""

from __future__ import annotations

import attrs
import orjson
import pytest

from voicecore.simulation.openai_realtime.behaviour import (
    Behaviour,
    End,
    Ending,
    Handshake,
    Pace,
    ResponseFault,
    Updates,
)
from voicecore.simulation.openai_realtime.outbox import Close, Cut, Outgoing, SendText, Stall
from voicecore.simulation.openai_realtime.refused_events import RefusedEvent
from voicecore.simulation.openai_realtime.script import Recorded, Reply, Script, Silence, ToolCall
from voicecore.simulation.openai_realtime.session import Phase
from voicecore_tests.simulation.openai_realtime.judge import MODELS
from voicecore_tests.simulation.openai_realtime.kit import (
    PCMU,
    SERVER_VAD,
    Client,
    Event,
    Unjudged,
    audio_of,
    error,
    kinds,
    one,
    only,
    recording,
)

LONG = Script(replies=(Reply("a long reply", speech=Recorded("agent-you-are-next"), tool_calls=(ToolCall("f"),)),))


def asked(behaviour: Behaviour) -> tuple[Client, list[Event]]:
    """Ask for a response and wait; return the client and what came."""
    client = Client(LONG, behaviour)
    client.configure_telephone(None)
    return client, client.send("response.create") + client.wait(10)


def test_settings_are_frozen() -> None:
    """Nobody changes a behaviour under a running session."""
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        Behaviour().late_deltas = 3  # type: ignore[misc]


def test_metadata_may_be_left_out() -> None:
    """Some servers and gateways do not give it back."""
    client = Client(LONG, Behaviour(gives_metadata_back=False))
    client.configure_telephone(None)
    events = client.send("response.create", response={"metadata": {"id": "1"}}) + client.wait(10)
    shown = [
        event["response"]["metadata"] for event in events if event["type"] in {"response.created", "response.done"}
    ]
    assert shown == [None, None]


def test_a_server_may_speak_of_its_own_accord() -> None:
    """Nobody asked, and nobody said a word."""
    client = Client(LONG, Behaviour(speaks_unasked_s=(2.0,)))
    client.configure_telephone(None)
    assert "response.created" not in kinds(client.wait(1.9))
    assert kinds(client.wait(8.0)).count("response.done") == 1


def test_speech_may_be_silence() -> None:
    """As long as it is said to be, in the session's format."""
    client = Client(Script(replies=(Reply("Hello.", speech=Silence(1.5)),)))
    client.configure_telephone(None)
    client.send("response.create")
    assert audio_of(client.wait(5)) == b"\xff" * 12000


def test_session_created_may_be_late_or_never_come() -> None:
    """A handshake that hangs after the upgrade."""
    late = Client(behaviour=Behaviour(handshake=Handshake(created_s=2.0)))
    assert late.wait(1.9) == []
    assert kinds(late.wait(0.2))[0] == "session.created"
    never = Client(behaviour=Behaviour(handshake=Handshake(created_s=None)))
    assert never.configure() == []
    assert never.wait(100) == []


def test_what_comes_before_session_created_waits_in_order() -> None:
    """It is handled once the session is there, each event under the effect of those before it."""
    client = Client(behaviour=Behaviour(handshake=Handshake(created_s=1.0)))
    client.configure(output_modalities=["text"])
    client.send("response.create")
    events = client.wait(1.0)
    assert kinds(events)[2:4] == ["session.updated", "response.created"]
    assert one(events, "response.created")["response"]["output_modalities"] == ["text"]


def test_first_event_may_be_an_error() -> None:
    """A bad key or model that is noticed after the upgrade: error, then close."""
    client = Client(behaviour=Behaviour(handshake=Handshake(first_error="invalid_api_key")))
    assert error(client.events)["code"] == "invalid_api_key"
    assert isinstance(client.outgoing[-1], Close)


def test_update_may_be_acknowledged_late() -> None:
    """Until its time the old settings hold: a response asked for in between is made under them."""
    client = Client(behaviour=Behaviour(updates=Updates(answer_s=1.0, effect_s=1.0)))
    assert client.configure(output_modalities=["text"]) == []
    created = one(client.send("response.create"), "response.created")
    assert created["response"]["output_modalities"] == ["audio"]
    assert "session.updated" not in kinds(client.wait(0.9))
    assert one(client.wait(0.2), "session.updated")["session"]["output_modalities"] == ["text"]


def test_update_may_never_be_acknowledged() -> None:
    """It takes effect all the same."""
    client = Client(behaviour=Behaviour(updates=Updates(answer_s=None)))
    client.configure(instructions="new")
    assert client.wait(60) == []
    assert client.session.effective["instructions"] == "new"


def test_update_may_be_acknowledged_and_take_effect_later_or_never() -> None:
    """`session.updated` then shows the old configuration, which a client can see."""
    client = Client(behaviour=Behaviour(updates=Updates(effect_s=1.0)))
    [updated] = client.configure(instructions="new")
    assert updated["session"]["instructions"] != "new"
    client.wait(1.0)
    assert client.session.effective["instructions"] == "new"
    never = Client(behaviour=Behaviour(updates=Updates(effect_s=None)))
    never.configure(instructions="new")
    never.wait(60)
    assert never.session.effective["instructions"] != "new"


def test_one_update_may_be_refused_whole() -> None:
    """The second of three, by number."""
    client = Client(behaviour=Behaviour(updates=Updates(refused=frozenset({2}))))
    answers = [kinds(client.configure(instructions=text)) for text in ("one", "two", "three")]
    assert answers == [["session.updated"], ["error"], ["session.updated"]]


def test_null_turn_detection_may_be_ignored_in_silence() -> None:
    """Acknowledged without an error, and detection stays on: only the acknowledgement shows it."""
    client = Client(behaviour=Behaviour(updates=Updates(ignores_null_turn_detection=True)))
    session = client.configure_telephone(None)
    assert session["audio"]["input"]["turn_detection"]["type"] == "server_vad"
    assert "input_audio_buffer.speech_started" in kinds(client.speak(recording("caller-long-it")[:8000]))


def test_response_may_stay_silent() -> None:
    """Created, and nothing more; it counts as active until it is cancelled."""
    client, events = asked(Behaviour(responses={1: ResponseFault.SILENT}))
    assert kinds(events) == ["response.created"]
    assert error(client.send("response.create"))["code"] == "conversation_already_has_active_response"
    assert one(client.send("response.cancel"), "response.done")["response"]["status"] == "cancelled"


def test_response_may_be_lost() -> None:
    """Half of the audio, an error without a code, and no response.done; the server itself has forgotten it."""
    client, events = asked(Behaviour(responses={1: ResponseFault.LOST}))
    assert 0 < len(audio_of(events)) < len(recording("agent-you-are-next"))
    assert error(events)["type"] == "server_error"
    assert "response.done" not in kinds(events)
    assert error(client.send("response.cancel"))["code"] == "response_cancel_not_active"
    assert one(client.send("response.create") + client.wait(10), "response.done")["response"]["status"] == "completed"


def test_response_may_lack_its_created_event() -> None:
    """response.done without response.created; the rest is whole."""
    _, events = asked(Behaviour(responses={1: ResponseFault.UNANNOUNCED}))
    assert "response.created" not in kinds(events)
    assert one(events, "response.done")["response"]["status"] == "completed"
    assert audio_of(events) == recording("agent-you-are-next")


@pytest.mark.parametrize(
    ("fault", "status", "details"),
    [
        (
            ResponseFault.FAILED,
            "failed",
            {"type": "failed", "error": {"type": "rate_limit_error", "code": "rate_limit_exceeded"}},
        ),
        (ResponseFault.INCOMPLETE, "incomplete", {"type": "incomplete", "reason": "max_output_tokens"}),
        (ResponseFault.FILTERED, "incomplete", {"type": "incomplete", "reason": "content_filter"}),
    ],
)
def test_response_may_end_badly(fault: ResponseFault, status: str, details: Event) -> None:
    """Half of it, its done events, and response.done with the reason; no tool is called."""
    _, events = asked(Behaviour(responses={1: fault}))
    done = one(events, "response.done")["response"]
    assert (done["status"], done["status_details"]) == (status, details)
    assert [item["status"] for item in done["output"]] == ["incomplete"]
    assert 0 < len(audio_of(events)) < len(recording("agent-you-are-next"))


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [(ResponseFault.EMPTY, "completed", None), (ResponseFault.NO_QUOTA, "failed", "insufficient_quota")],
)
def test_response_may_end_with_nothing_in_it(fault: ResponseFault, status: str, code: str | None) -> None:
    """Created and done, no output and no `error` event."""
    _, events = asked(Behaviour(responses={1: fault}))
    done = one(events, "response.done")["response"]
    details = done["status_details"] or {"error": {"code": None}}
    assert (done["status"], details["error"]["code"]) == (status, code)
    assert audio_of(events) == b""
    assert "error" not in kinds(events)


def test_the_quota_may_run_out_in_the_middle() -> None:
    """Half of it, then failed with the reason."""
    _, events = asked(Behaviour(responses={1: ResponseFault.QUOTA_RAN_OUT}))
    assert one(events, "response.done")["response"]["status_details"]["error"]["code"] == "insufficient_quota"
    assert 0 < len(audio_of(events)) < len(recording("agent-you-are-next"))


def test_created_may_be_late() -> None:
    """response.created comes after the client may have given up; until then nothing of it comes."""
    client = Client(LONG, Behaviour(pace=Pace(created_s=12.0)))
    assert client.send("response.create") + client.wait(11.9) == []
    assert kinds(client.wait(0.2)) == ["response.created"]


def test_deltas_may_come_after_the_cancel() -> None:
    """This many deltas of the cancelled response still follow its response.done."""
    client = Client(LONG, Behaviour(late_deltas=3))
    client.configure_telephone(None)
    created = one(client.send("response.create"), "response.created")
    client.wait(0.4)
    assert "response.done" in kinds(client.send("response.cancel"))
    late = client.wait(5)
    assert kinds(late) == ["response.output_audio.delta"] * 3
    assert {event["response_id"] for event in late} == {created["response"]["id"]}


@pytest.mark.parametrize(
    ("how", "code", "act"),
    [
        (End.EXPIRED, "session_expired", Close(1001, "session_expired")),
        (End.GOING_AWAY, None, Close(1001, "")),
        (End.IDLE, None, Close(1000, "idle timeout")),
        (End.BETA_DISABLED, "beta_api_shape_disabled", Close(4000, "invalid_request_error.beta_api_shape_disabled")),
        (End.CUT, None, Cut()),
        (End.STALL, None, Stall()),
    ],
)
def test_connection_may_end_at_a_time_or_at_a_step(how: End, code: str | None, act: Outgoing) -> None:
    """Each ending, at 1 s, after the ninth event, and by hand: its error, its action, and silence."""
    timed = Client(LONG, Behaviour(endings=(Ending(how=how, at_s=1.0),)))
    stepped = Client(LONG, Behaviour(endings=(Ending(how=how, after_events=9),)))
    by_hand = Client(LONG)
    for client in (timed, stepped, by_hand):
        client.send("response.create")
        client.wait(1.0)
    by_hand.session.end(how, by_hand.now)
    for client in (timed, stepped, by_hand):
        client.wait(10)
        client.session.end(End.GOING_AWAY, client.now)
        client.wait(0)
        assert client.session.deadline() is None
        assert client.outgoing[-1] == act
        assert [event["error"]["code"] for event in only(client.events, "error")] == [code] * (code is not None)
        assert client.session.phase is Phase.ENDED
        assert client.configure() == []
    assert len(stepped.events) == 9 + (code is not None)


def test_events_may_have_their_beta_names() -> None:
    """Some deployments spell audio events and item events the old way."""
    client = Unjudged(LONG, Behaviour(beta_names=True))
    client.configure_telephone(SERVER_VAD)
    names = set(kinds(client.send("response.create") + client.wait(10)))
    assert {"response.audio.delta", "response.audio_transcript.done", "conversation.item.created"} <= names
    assert not [name for name in names if "output_audio" in name]


def test_errors_may_be_anonymous() -> None:
    """error.event_id is null although a client event is to blame."""
    client = Client(behaviour=Behaviour(anonymous_errors=True))
    assert error(client.send("response.cancel", event_id="c"))["event_id"] is None


def test_client_events_may_be_objected_to() -> None:
    """Each refusal of an event is an error of its own; nothing of the event applies, and others pass."""
    update = "session.update"
    refused_events = (
        RefusedEvent(update, "unknown_parameter", "Unknown.", "session.type"),
        RefusedEvent(update, None, "Not now."),
    )
    client = Client(behaviour=Behaviour(refused_events=refused_events))
    refusals = [event["error"] for event in only(client.configure(instructions="new"), "error")]
    told = [(refusal["code"], refusal["message"], refusal["param"]) for refusal in refusals]
    assert told == [("unknown_parameter", "Unknown.", "session.type"), (None, "Not now.", None)]
    assert client.session.effective["instructions"] != "new"
    assert "response.created" in kinds(client.send("response.create"))


def test_a_response_may_fail_of_the_servers_own_error() -> None:
    """Created, and failed without a word or a sound; the next one is whole."""
    client, events = asked(Behaviour(responses={1: ResponseFault.SERVER_ERROR}))
    assert kinds(events)[:2] == ["response.created", "response.done"]
    done = one(events, "response.done")["response"]
    assert (done["status"], done["output"]) == ("failed", [])
    told = done["status_details"]["error"]
    assert (told["type"], told["code"]) == ("server_error", None)
    assert audio_of(client.send("response.create") + client.wait(10)) == recording("agent-you-are-next")


def test_a_response_may_come_as_text() -> None:
    """All its words, and what else it does, without a sound."""
    _, events = asked(Behaviour(responses={1: ResponseFault.WRITTEN}))
    assert audio_of(events) == b""
    words = "".join(event["delta"] for event in only(events, "response.output_text.delta"))
    assert words.split() == ["a", "long", "reply"]
    done = one(events, "response.done")["response"]
    assert (done["status"], done["output_modalities"], len(done["output"])) == ("completed", ["text"], 2)


def test_unheard_of_events_may_be_interspersed() -> None:
    """Every third event is followed by one that no client knows; the others are whole."""
    client = Unjudged(LONG, Behaviour(unknown_event_every=3))
    client.configure(audio={"output": {"format": PCMU}})
    client.send("response.create")
    client.wait(10)
    unknown = [event for event in client.events if event["type"] not in MODELS]
    assert len(unknown) == (len(client.events) - len(unknown)) // 3
    assert audio_of(client.events) == recording("agent-you-are-next")


def test_malformed_text_may_be_interspersed() -> None:
    """Every second event is followed by text that is not JSON, or JSON that is not an event."""
    client = Client(LONG, Behaviour(malformed_every=2))
    client.send("response.create")
    client.wait(10)
    texts = [each.text for each in client.outgoing if isinstance(each, SendText)]
    assert len(texts) == len(client.events) // 2
    for text in set(texts):
        with pytest.raises((orjson.JSONDecodeError, TypeError, KeyError, ValueError)):
            MODELS[orjson.loads(text)["type"]].model_validate_json(text, strict=True)
    assert len(set(texts)) > 3
