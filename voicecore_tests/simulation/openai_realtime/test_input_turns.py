"""The client's turns on the wire: order of events, words, turns that an update comes too late for."""

from __future__ import annotations

import pytest

from voicecore.simulation.openai_realtime.behaviour import Behaviour, Handshake, ScriptedVad, Transcribing
from voicecore.simulation.openai_realtime.script import Reply, Script
from voicecore_tests.simulation.openai_realtime.kit import (
    SERVER_VAD,
    Client,
    Event,
    kinds,
    one,
    only,
    recording,
    silence,
)

HELLO = recording("caller-one-moment-it")
TURN = ["input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped", "input_audio_buffer.committed"]
WITH_WORDS: Event = {"transcription": {"model": "gpt-realtime-whisper"}}
DELTA, COMPLETED, FAILED = (
    f"conversation.item.input_audio_transcription.{end}" for end in ("delta", "completed", "failed")
)


def test_a_turn_is_announced_committed_and_answered_in_order() -> None:
    """speech_started, speech_stopped, committed, the item under the announced id, then the response."""
    client = Client()
    client.configure_telephone()
    events = client.speak(silence(0.5) + HELLO + silence(0.6))
    assert kinds(events)[:6] == [*TURN, "conversation.item.added", "conversation.item.done", "response.created"]
    started, stopped, committed, added, done = events[:5]
    assert {each["item_id"] for each in (started, stopped, committed)} == {added["item"]["id"]} == {done["item"]["id"]}
    assert added["item"]["content"] == [{"type": "input_audio", "transcript": None}]
    assert 0 <= started["audio_start_ms"] <= 500
    assert started["audio_start_ms"] + 1380 < stopped["audio_end_ms"]


def test_offsets_count_appended_audio_not_time() -> None:
    """Only appended audio counts: a minute without any changes no offset."""
    late = Client()
    late.configure_telephone()
    late.wait(60)
    prompt = Client()
    prompt.configure_telephone()
    for client in (late, prompt):
        client.speak(silence(0.5) + HELLO)
    [of_late, of_prompt] = [one(client.events, TURN[0])["audio_start_ms"] for client in (late, prompt)]
    assert of_late == of_prompt


@pytest.mark.parametrize(("create", "interrupt"), [(True, True), (True, False), (False, True), (False, False)])
def test_create_response_and_interrupt_response_are_independent(create: bool, interrupt: bool) -> None:
    """One decides if a turn is answered, the other if speech cancels; turns are committed in each case."""
    client = Client(Script(replies=(Reply("A long sentence that goes on and on and on and on and on."),)))
    client.configure_telephone({**SERVER_VAD, "create_response": create, "interrupt_response": interrupt})
    client.send("response.create", response={"metadata": {"role": "first"}})
    client.wait(0.26)
    events = client.speak(HELLO + silence(0.6))
    first_end = one(only(events, "response.done")[:1], "response.done")["response"]
    assert first_end["status"] == ("cancelled" if interrupt else "completed")
    assert len(only(events, "response.created")) == (1 if create else 0)
    assert len(only(events, TURN[2])) == 1


def test_automatic_answer_fails_while_another_response_runs() -> None:
    """With interrupt_response off, a turn that ends inside a response gets no answer but an anonymous error."""
    client = Client(Script(replies=(Reply("word " * 200),)))
    client.configure_telephone({**SERVER_VAD, "interrupt_response": False})
    client.send("response.create")
    client.wait(0.1)
    events = client.speak(HELLO + silence(0.6))
    refusal = one(events, "error")["error"]
    assert (refusal["code"], refusal["event_id"]) == ("conversation_already_has_active_response", None)


def test_without_turn_detection_nothing_happens_by_itself() -> None:
    """Detection off: no events, no commit; the client commits, and no response follows."""
    client = Client()
    client.configure_telephone(None)
    assert client.speak(HELLO + silence(1.0)) == []
    events = client.send("input_audio_buffer.commit")
    assert kinds(events) == [TURN[2], "conversation.item.added", "conversation.item.done"]
    assert client.wait(5.0) == []


def test_clear_is_acknowledged_and_drops_stale_speech() -> None:
    """Clear before switching detection on: the old speech is not heard. Without it, it is."""
    for clears in (True, False):
        client = Client()
        client.configure_telephone(None)
        client.speak(HELLO + silence(0.6))
        if clears:
            assert kinds(client.send("input_audio_buffer.clear")) == ["input_audio_buffer.cleared"]
        client.configure_telephone()
        assert (TURN[0] in kinds(client.speak(silence(0.1)))) is not clears


def test_turn_opened_before_the_lockout_is_forgotten_by_it() -> None:
    """Switching detection off inside speech leaves no half turn behind."""
    client = Client()
    client.configure_telephone()
    assert kinds(client.speak(HELLO)) == [TURN[0]]
    client.configure_telephone(None)
    assert client.speak(silence(1.0)) == []
    client.configure_telephone()
    assert client.speak(silence(1.0)) == []


def test_words_of_a_turn_come_later_in_pieces() -> None:
    """Deltas, then completed with usage; the item holds the words from then on."""
    client = Client(Script(hears=("one moment please",)))
    client.configure_telephone(**WITH_WORDS)
    events = client.speak(HELLO + silence(0.6))
    item_id = one(events, TURN[2])["item_id"]
    assert COMPLETED not in kinds(events)
    events = client.wait(1.0)
    assert [each["delta"] for each in only(events, DELTA)] == ["one", " moment", " please"]
    completed = one(events, COMPLETED)
    assert (completed["item_id"], completed["transcript"]) == (item_id, "one moment please")
    assert completed["usage"]["type"] == "tokens"
    [retrieved] = client.send("conversation.item.retrieve", item_id=item_id)
    assert retrieved["item"]["content"][0]["transcript"] == "one moment please"


def test_no_words_without_transcription() -> None:
    """Transcription is off by default: the client's words never come."""
    client = Client(Script(hears=("one moment please",)))
    client.configure_telephone()
    client.speak(HELLO + silence(0.6))
    assert COMPLETED not in kinds(client.wait(5.0))


def test_words_may_come_after_the_next_turn() -> None:
    """The transcript of turn 1 comes after turn 2 was committed."""
    client = Client(Script(hears=("first", "second")), Behaviour(transcribing=Transcribing(after_next_turn=True)))
    client.configure_telephone(**WITH_WORDS)
    first = client.speak(HELLO + silence(0.6)) + client.wait(10.0)
    assert COMPLETED not in kinds(first)
    second = client.speak(HELLO + silence(0.6)) + client.wait(1.0)
    assert one(second, COMPLETED)["transcript"] == "first"
    assert kinds(second).index(TURN[2]) < kinds(second).index(COMPLETED)


def test_transcription_can_fail() -> None:
    """A failed transcription is its own event, no `error`."""
    client = Client(behaviour=Behaviour(transcribing=Transcribing(failed=frozenset({1}))))
    client.configure_telephone(**WITH_WORDS)
    client.speak(HELLO + silence(0.6))
    events = client.wait(1.0)
    assert one(events, FAILED)["error"]["code"] == "audio_unintelligible"
    assert "error" not in kinds(events)


def test_scripted_speech_ignores_the_audio() -> None:
    """A test may say when speech starts and stops; the audio is then not listened to."""
    client = Client(behaviour=Behaviour(vad=ScriptedVad(speech=((1.0, 1.5),))))
    client.configure_telephone({**SERVER_VAD, "create_response": False})
    events = client.speak(HELLO[: 8 * 900] + silence(1.1))
    assert kinds(events)[:3] == TURN
    assert events[0]["audio_start_ms"] == 700
    assert events[1]["audio_end_ms"] == 1500


def test_speech_can_be_said_by_hand() -> None:
    """`speech_starts` and `speech_stops` make a turn at that moment; with detection off they do nothing."""
    client = Client(behaviour=Behaviour(vad=ScriptedVad()))
    client.configure_telephone(None)
    client.session.speech_starts(client.now)
    client.session.speech_stops(client.now)
    client.configure_telephone()
    client.append(silence(0.5))
    client.session.speech_starts(client.now)
    client.session.speech_starts(client.now)
    client.append(silence(0.5))
    client.session.speech_stops(client.now)
    client.wait(0)
    assert [kind for kind in kinds(client.events) if kind.startswith("input_audio")] == TURN


EARLY = Behaviour(handshake=Handshake(speech_before_update_s=(0.1, 1.0)))


def test_speech_may_be_heard_before_any_update() -> None:
    """Without audio, under the defaults: the turn is announced, interrupts, is committed and answered."""
    client = Client(Script(replies=(Reply("A long sentence that goes on and on and on and on."),)), EARLY)
    client.send("response.create")
    events = client.wait(0.5)
    assert one(events, TURN[0])["audio_start_ms"] == 0
    assert one(events, "response.done")["response"]["status_details"]["reason"] == "turn_detected"
    events = client.wait(0.6)
    assert kinds(events)[:5] == [*TURN[1:], "conversation.item.added", "conversation.item.done", "response.created"]
    assert {each["item_id"] for each in events[:2]} == {one(client.events, TURN[0])["item_id"]}


@pytest.mark.parametrize(
    ("turn_detection", "answered"),
    [(None, False), ({**SERVER_VAD, "create_response": False}, False), (SERVER_VAD, True)],
)
def test_update_comes_too_late_for_early_speech(turn_detection: Event | None, answered: bool) -> None:
    """Another format or null inside the turn does not end it; if it is answered, the rules at its end decide."""
    client = Client(behaviour=EARLY)
    client.wait(0.5)
    client.configure_telephone(turn_detection)
    events = client.speak(silence(0.6))
    assert kinds(events)[:4] == [*TURN[1:], "conversation.item.added", "conversation.item.done"]
    assert ("response.created" in kinds(events)) is answered


def test_user_audio_belongs_to_the_early_turn() -> None:
    """Until its time it is the open turn, whatever is said or not said meanwhile; then the audio is heard again."""
    client = Client(behaviour=EARLY)
    client.wait(0.2)
    client.configure_telephone({**SERVER_VAD, "create_response": False})
    events = client.speak(HELLO[: 8 * 700] + silence(0.2))
    assert kinds(events) == [*TURN[1:], "conversation.item.added", "conversation.item.done"]
    assert TURN[0] in kinds(client.speak(HELLO))


def test_clear_ends_early_speech() -> None:
    """A clear resets the open cycle: nothing is committed at its end."""
    client = Client(behaviour=EARLY)
    client.wait(0.5)
    client.configure_telephone(None)
    assert kinds(client.send("input_audio_buffer.clear")) == ["input_audio_buffer.cleared"]
    assert client.wait(5.0) == []


def test_early_speech_is_not_heard_by_a_deaf_server() -> None:
    """Detection that went off before it: no turn at all."""
    client = Client(behaviour=EARLY)
    client.configure_telephone(None)
    assert client.wait(5.0) == []
