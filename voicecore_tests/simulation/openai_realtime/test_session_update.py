"""What becomes of session.update: refused, late, ignored, lied about, one update at a time."""

from __future__ import annotations

import pytest

from voicecore.simulation.openai_realtime.behaviour import Behaviour, Updates
from voicecore_tests.simulation.openai_realtime.kit import (
    PCMU,
    SERVER_VAD,
    Client,
    Event,
    error,
    kinds,
    one,
    recording,
    silence,
)

HELLO = recording("caller-hello-it")
SPEECH_STARTED = "input_audio_buffer.speech_started"
NULL: Event = {"input": {"turn_detection": None}}
RESTORE: Event = {"input": {"turn_detection": SERVER_VAD}}
FLAT_NULL: Event = {"turn_detection": None}


def client_of(updates: Updates) -> Client:
    """Connect to a server whose updates go wrong."""
    return Client(behaviour=Behaviour(updates=updates))


def in_force(client: Client) -> Event | None:
    """The turn detection that the server follows."""
    detection: Event | None = client.session.effective["audio"]["input"]["turn_detection"]
    return detection


def shown(event: Event) -> Event | None:
    """The turn detection that an acknowledgement shows."""
    assert event["type"] == "session.updated", event
    detection: Event | None = event["session"]["audio"]["input"]["turn_detection"]
    return detection


def hears(client: Client) -> bool:
    """Whether the server notices a client who says hello."""
    client.configure(audio={"input": {"format": PCMU}})
    return SPEECH_STARTED in kinds(client.speak(HELLO + silence(0.6)))


def test_null_may_be_refused_whole() -> None:
    """invalid_value with the full path; what else the update held is lost with it, and others are accepted."""
    client = client_of(Updates(refuses_null_turn_detection=True))
    refusal = error(client.configure(audio=NULL, instructions="lost with it"))
    assert (refusal["code"], refusal["param"]) == ("invalid_value", "session.audio.input.turn_detection")
    assert client.session.effective["instructions"] != "lost with it"
    assert in_force(client) is not None
    assert kinds(client.configure(instructions="new")) == ["session.updated"]
    assert hears(client)


def test_single_update_may_be_acknowledged_early_and_applied_late() -> None:
    """The second one only: its acknowledgement shows the old settings, which hold until its time."""
    client = client_of(Updates(effects={2: 1.0}))
    assert one(client.configure(instructions="one"), "session.updated")["session"]["instructions"] == "one"
    [updated] = client.configure(audio=NULL)
    assert shown(updated) is not None
    client.wait(0.9)
    assert in_force(client) is not None
    client.wait(0.2)
    assert in_force(client) is None


def test_single_update_may_be_applied_and_acknowledged_late() -> None:
    """It holds at once, and the acknowledgement comes in its own time."""
    client = client_of(Updates(answers={1: 1.0}))
    assert client.configure(audio=NULL) == []
    assert in_force(client) is None
    assert client.wait(0.9) == []
    assert shown(one(client.wait(0.2), "session.updated")) is None
    assert kinds(client.configure(instructions="the next one")) == ["session.updated"]


def test_single_update_may_be_applied_and_never_acknowledged() -> None:
    """It holds at once; the next one is acknowledged and shows both."""
    client = client_of(Updates(answers={1: None}))
    assert client.configure(audio=NULL) + client.wait(60) == []
    assert in_force(client) is None
    [updated] = client.configure(instructions="the next one")
    assert shown(updated) is None


def test_single_update_may_be_acknowledged_and_never_applied() -> None:
    """The acknowledgement shows that nothing has changed."""
    client = client_of(Updates(effects={1: None}))
    [updated] = client.configure(audio=NULL)
    assert shown(updated) is not None
    client.wait(60)
    assert in_force(client) is not None


def test_single_updates_override_the_rule_for_all() -> None:
    """Where all are slow, one may be quick."""
    client = client_of(Updates(answer_s=None, answers={2: 0.0}))
    assert client.configure(instructions="one") == []
    assert kinds(client.configure(instructions="two")) == ["session.updated"]
    assert client.configure(instructions="three") == []


def test_updates_take_effect_in_their_order() -> None:
    """A slow update holds up the one behind it: the last word is the last one sent."""
    client = client_of(Updates(effects={1: 1.0}))
    client.configure(audio=NULL)
    client.configure(audio=RESTORE)
    client.wait(2.0)
    assert in_force(client) == {**SERVER_VAD, "idle_timeout_ms": None}


def test_ignored_null_may_be_shown_as_obeyed() -> None:
    """The silent lie: every acknowledgement shows null until detection is asked for again, and it was on all along."""
    client = client_of(Updates(acknowledges_null_but_keeps=True))
    [updated] = client.configure(audio={"input": {"turn_detection": None, "format": PCMU}})
    assert shown(updated) is None
    [updated] = client.configure(instructions="the next one")
    assert shown(updated) is None
    assert in_force(client) is not None
    assert hears(client)
    [updated] = client.configure(audio=RESTORE)
    assert shown(updated) == in_force(client)


def test_restores_may_be_refused_so_many_times() -> None:
    """Off to on is refused twice, then accepted; off, and changes of what is on, always are."""
    client = client_of(Updates(refuses_restore=2))
    assert kinds(client.configure(audio=RESTORE)) == ["session.updated"]
    assert kinds(client.configure(audio=NULL)) == ["session.updated"]
    for _ in range(2):
        refusal = error(client.configure(audio=RESTORE))
        assert (refusal["code"], refusal["param"]) == ("invalid_value", "session.audio.input.turn_detection")
        assert in_force(client) is None
    assert kinds(client.configure(audio=RESTORE)) == ["session.updated"]
    assert kinds(client.configure(audio=NULL)) == ["session.updated"]
    assert kinds(client.configure(audio=RESTORE)) == ["session.updated"]


def test_flat_turn_detection_may_be_ignored() -> None:
    """With `session.type` or without: acknowledged, without effect; the rest of the update applies."""
    client = client_of(Updates(ignores_flat_turn_detection=True))
    for session in (FLAT_NULL, {"type": "realtime", "instructions": "applies", **FLAT_NULL}):
        [updated] = client.send("session.update", session=session)
        assert shown(updated) is not None
    assert client.session.effective["instructions"] == "applies"
    assert error(client.send("session.update", session={**FLAT_NULL, "voice": "cedar"}))["code"] == "unknown_parameter"
    assert hears(client)


def test_flat_fields_may_still_be_read() -> None:
    """As on a beta connection that still lived: the flat shape means what it meant, typed or not."""
    client = client_of(Updates(accepts_flat_fields=True))
    for session in (FLAT_NULL, {"type": "realtime", **FLAT_NULL}):
        client.configure(audio=RESTORE)
        [updated] = client.send("session.update", session=session)
        assert shown(updated) is None
        assert not hears(client)


@pytest.mark.parametrize("session", [FLAT_NULL, {"type": "realtime", **FLAT_NULL}])
def test_flat_fields_are_refused_by_default(session: Event) -> None:
    """The healthy server knows the GA shape only."""
    client = Client()
    assert error(client.send("session.update", session=session))["code"] in {
        "missing_required_parameter",
        "unknown_parameter",
    }
    assert hears(client)


def test_a_voice_may_be_refused_once_the_agent_spoke() -> None:
    """Also the one that speaks; before the first audio, and without a voice, updates are taken."""
    client = client_of(Updates(refuses_voice_after_audio=True))
    names_it: Event = {"output": {"voice": client.session.effective["audio"]["output"]["voice"]}}
    assert kinds(client.configure(audio=names_it)) == ["session.updated"]
    client.send("response.create")
    client.wait(1.0)
    assert error(client.configure(audio=names_it))["code"] == "cannot_update_voice"
    assert kinds(client.configure(instructions="new")) == ["session.updated"]


def test_invalid_updates_are_not_counted() -> None:
    """Numbers are those of valid updates: one that is wrong in itself does not use one up."""
    client = client_of(Updates(refused=frozenset({1})))
    assert error(client.send("session.update", session=FLAT_NULL))["code"] == "missing_required_parameter"
    assert error(client.configure(instructions="one"))["code"] == "invalid_value"
    assert kinds(client.configure(instructions="two")) == ["session.updated"]
