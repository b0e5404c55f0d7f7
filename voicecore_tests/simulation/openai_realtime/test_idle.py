"""The idle timeout: what it counts, what stops it, and when it fires although nobody was idle."""

from __future__ import annotations

from voicecore.simulation.openai_realtime.behaviour import Behaviour, Updates
from voicecore.simulation.openai_realtime.script import Reply, Script
from voicecore_tests.simulation.openai_realtime.kit import SERVER_VAD, Client, Event, kinds, one, recording, silence

HELLO = recording("caller-one-moment-it")
TRIGGERED = "input_audio_buffer.timeout_triggered"
IDLE: Event = {**SERVER_VAD, "idle_timeout_ms": 5000}


def after_first_reply(turn_detection: Event) -> tuple[Client, float]:
    """Return a client whose agent has just spoken, and the seconds that its audio plays."""
    client = Client(Script(replies=(Reply("Are you still there?"),)))
    client.configure_telephone(turn_detection)
    client.send("response.create")
    while "response.done" not in kinds(client.wait(0.01)):
        pass
    return client, client.session.responses[0].playback_s


def test_idle_timeout_counts_from_the_end_of_playback() -> None:
    """response.done plus playback plus the timeout: then the silence becomes a turn, and a response follows."""
    client, playback_s = after_first_reply(IDLE)
    assert client.speak(silence(playback_s + 4.9)) == []
    events = client.speak(silence(0.2))
    assert kinds(events)[:5] == [
        "input_audio_buffer.timeout_triggered",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        "response.created",
    ]
    triggered, committed = events[:2]
    assert triggered["item_id"] == committed["item_id"]
    assert triggered["audio_end_ms"] - triggered["audio_start_ms"] in range(5000, 5040)


def test_idle_timeout_does_not_run_while_audio_is_withheld() -> None:
    """The idle timer counts audio: while none is sent, it does not advance."""
    client, playback_s = after_first_reply(IDLE)
    assert client.wait(playback_s + 60) == []
    assert client.speak(silence(4.9)) == []
    assert "input_audio_buffer.timeout_triggered" in kinds(client.speak(silence(0.2)))


def test_idle_timeout_fires_stale_after_off_and_on_unless_cleared() -> None:
    """Audio written while detection was off counts; a clear starts the clock anew."""
    for clears in (True, False):
        client, playback_s = after_first_reply(IDLE)
        client.wait(playback_s + 0.1)
        client.configure_telephone(None)
        client.speak(silence(6.0))
        if clears:
            client.send("input_audio_buffer.clear")
        client.configure_telephone(IDLE)
        fired = "input_audio_buffer.timeout_triggered" in kinds(client.speak(silence(0.1)))
        assert fired is not clears


def test_speech_stops_the_idle_clock() -> None:
    """A client who speaks is not idle, and the clock starts again only after the answer."""
    client, playback_s = after_first_reply({**IDLE, "create_response": False})
    client.speak(silence(playback_s + 4.0) + HELLO + silence(0.6))
    assert client.speak(silence(10.0)) == []


STALE = Behaviour(updates=Updates(stale_idle_after_restore_s=0.3))


def after_lockout(behaviour: Behaviour = STALE) -> Client:
    """Return a client whose detection went off, and 2 s of silence were appended since."""
    client = Client(Script(replies=(Reply("Are you still there?"),)), behaviour)
    client.configure_telephone(None)
    client.speak(silence(2.0))
    return client


def test_restored_detection_may_take_what_piled_up_for_silence() -> None:
    """Time after the restore, without `idle_timeout_ms`: the stretch becomes a turn, and a response follows."""
    client = after_lockout()
    client.configure_telephone()
    assert client.wait(0.25) == []
    events = client.wait(0.1)
    assert kinds(events)[:5] == [
        TRIGGERED,
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        "response.created",
    ]
    triggered, committed = events[:2]
    assert triggered["item_id"] == committed["item_id"]
    assert (triggered["audio_start_ms"], triggered["audio_end_ms"]) == (0, 2000)
    assert len(client.session.conversation.items[0].audio) == len(silence(2.0))


def test_clear_before_the_restore_prevents_it() -> None:
    """A buffer that was cleared, with nothing after the clear, has no silence."""
    client = after_lockout()
    client.send("input_audio_buffer.clear")
    client.configure_telephone()
    assert TRIGGERED not in kinds(client.wait(5.0) + client.speak(silence(1.0)) + client.wait(5.0))


def test_audio_behind_the_clear_counts() -> None:
    """Audio that is forwarded between the clear and the restore is stale again."""
    client = after_lockout()
    client.send("input_audio_buffer.clear")
    client.speak(silence(0.1))
    client.configure_telephone()
    triggered = one(client.wait(1.0), TRIGGERED)
    assert (triggered["audio_start_ms"], triggered["audio_end_ms"]) == (2000, 2100)


def test_it_needs_no_audio_where_nothing_was_cleared() -> None:
    """Off and on without a clear is enough, and a clear after the restore is too late."""
    client = Client(behaviour=STALE)
    client.configure_telephone(None)
    client.configure_telephone()
    client.send("input_audio_buffer.clear")
    triggered = one(client.wait(1.0), TRIGGERED)
    assert triggered["audio_start_ms"] == triggered["audio_end_ms"]


def test_speech_a_response_and_another_lockout_stop_it() -> None:
    """It is an idle timer: whoever speaks, or switches detection off, is not taken for idle."""
    speaking, asking, locking = (after_lockout() for _ in range(3))
    for client in (speaking, asking, locking):
        client.configure_telephone()
    assert TRIGGERED not in kinds(speaking.speak(HELLO))
    assert TRIGGERED not in kinds(asking.send("response.create") + asking.wait(10.0))
    locking.configure_telephone(None)
    assert TRIGGERED not in kinds(locking.wait(10.0))


def test_it_happens_on_request_only() -> None:
    """The healthy server counts nothing as silence that it did not wait for."""
    client = after_lockout(Behaviour())
    client.configure_telephone()
    assert client.wait(10.0) == []
