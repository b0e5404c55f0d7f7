"""The first message: heard whole or said to be lost, whatever user, provider and carrier do meanwhile."""

from __future__ import annotations

import pytest

from voicecore import events as ev
from voicecore import facts
from voicecore.facts import MessageOutcome
from voicecore.turns.first_message.audio_gate import UserAudioRule
from voicecore.turns.first_message.message import OWN, FirstMessagePolicy, Message, ProtectionRule, SpeaksFirst
from voicecore.turns.first_message.requests import prepared_request
from voicecore.turns.orders import EndCall
from voicecore_tests.turns.first_message.pickup import (
    HELLO,
    RECORDED,
    SILENCE,
    WELCOME,
    Pickup,
    onset,
)


def test_b1_a_hello_before_and_over_the_message_does_not_end_it() -> None:
    """Held back, and given to the session afterwards: heard whole, then the user is answered."""
    it = Pickup()
    it.speech = HELLO
    it.ready()
    it.says()
    it.passes(4.0)
    report = it.report
    assert (report.outcome, report.requests, report.heard_by is not None) == (MessageOutcome.HEARD, 1, True)
    assert report.heard_s == pytest.approx(2.06, abs=0.05)
    assert "the user spoke 0.1" in report.verdict
    assert it.passed_bytes == it.user_bytes
    assert [type(order) for order in it.ordered(ev.DiscardUserAudio | ev.RestoreTurnDetection)] == [  # type: ignore[arg-type]
        ev.DiscardUserAudio,
        ev.RestoreTurnDetection,
    ]


def test_b1_the_same_with_a_cold_session_that_opens_late() -> None:
    """The user's words wait behind the gate from the first moment."""
    it = Pickup()
    it.speech = HELLO
    it.passes(0.5)
    it.ready()
    it.says()
    it.passes(4.0)
    assert it.report.outcome is MessageOutcome.HEARD
    assert it.passed_bytes == it.user_bytes


def test_b4_the_protection_lasts_until_the_message_was_played() -> None:
    """Its response is done within a moment; its audio lasts; onsets meanwhile change nothing."""
    it = Pickup()
    it.ready()
    it.says(seconds=8.0)
    for _ in range(7):
        it.passes(1.0)
        it.hears(onset())
        assert it.ordered(ev.RestoreTurnDetection) == []
    it.passes(1.5)
    assert (it.machine.taking.barge_ins, it.report.outcome, len(it.ordered(ev.RestoreTurnDetection))) == (
        0,
        MessageOutcome.HEARD,
        1,
    )
    it.says("r2", "a2", request="request-1")
    it.passes(0.5)
    it.hears(onset())
    assert it.machine.taking.barge_ins == 1


def test_first_audio_protects_until_the_user_hears_the_beginning() -> None:
    """Then it may be cut like anything else."""
    it = Pickup(FirstMessagePolicy(protection=ProtectionRule.FIRST_AUDIO))
    it.ready()
    it.says()
    it.hears(onset())
    assert it.machine.taking.barge_ins == 0
    it.passes(0.5)
    assert it.told(facts.ProtectionEnded) == 1
    it.hears(onset())
    assert (it.machine.taking.barge_ins, it.report.outcome) == (1, MessageOutcome.INTERRUPTED)
    assert it.report.heard_s is None


FIRST_AUDIO = FirstMessagePolicy(protection=ProtectionRule.FIRST_AUDIO)


def test_a_hello_that_was_held_is_a_turn_of_its_own_and_answered_behind_the_message() -> None:
    """Committed before the session detects turns again, and asked for by us once the message is over."""
    it = Pickup(FIRST_AUDIO)
    it.ready()
    it.speech = HELLO
    it.passes(1.8)
    it.says(seconds=3.0)
    it.passes(0.5)
    kinds = [type(order) for order in it.ordered((ev.DiscardUserAudio, ev.CommitUserAudio, ev.RestoreTurnDetection))]
    assert kinds == [ev.DiscardUserAudio, ev.CommitUserAudio, ev.RestoreTurnDetection]
    it.passes(1.0)
    assert it.asked == ["first-message-1"]
    it.passes(3.0)
    assert (it.report.outcome, it.asked) == (MessageOutcome.HEARD, ["first-message-1", "request-1"])
    assert it.passed_bytes + it.machine.openings[0].gate.dropped_bytes.total() == it.user_bytes


def test_a_key_ends_a_message_that_is_heard_though_held_speech_must_not() -> None:
    """A key is always of this moment."""
    it = Pickup(FIRST_AUDIO, lock=ev.LockoutState.REFUSED)
    it.ready()
    it.speech = HELLO
    it.passes(1.8)
    it.says(seconds=3.0)
    it.passes(0.5)
    it.hears(onset())
    assert it.machine.taking.barge_ins == 0
    it.take(it.machine.handle_leg(ev.DigitPressed("1"), it.now))
    assert (it.machine.taking.barge_ins, it.report.outcome) == (1, MessageOutcome.INTERRUPTED)


def test_leading_silence_is_not_the_beginning_of_a_message() -> None:
    """The mark behind it comes back; protected until there is something to hear."""
    it = Pickup(FIRST_AUDIO)
    it.ready()
    it.hears(ev.ResponseStarted("r1", it.asked[0]), ev.AgentAudio("r1", "a1", SILENCE * 20))
    it.passes(0.6)
    assert it.told(facts.ProtectionEnded) == 0
    it.hears(ev.AgentAudio("r1", "a1", b"\x33" * 8000))
    it.passes(0.1)
    assert it.told(facts.ProtectionEnded) == 1


def test_a_silent_message_is_not_heard_but_asked_for_again() -> None:
    """Twice: then it is undelivered, and its reason says so."""
    it = Pickup()
    it.ready()
    for number in (1, 2):
        it.hears(ev.ResponseStarted(f"r{number}", it.asked[-1]))
        it.hears(
            ev.AgentAudio(f"r{number}", f"a{number}", SILENCE * 50), ev.AgentAudioEnded(f"r{number}", f"a{number}")
        )
        it.ends(f"r{number}")
    it.passes(2.0)
    assert (it.report.outcome, it.report.detail) == (MessageOutcome.UNDELIVERED, "its audio was silent")
    assert it.asked == ["first-message-1", "first-message-2"]


def test_a_silent_recording_is_spoken_by_the_session() -> None:
    """Its words are known."""
    it = Pickup(message=Message("Welcome to the clinic.", SILENCE * 50))
    it.ready()
    assert it.asked == ["first-message-1"]
    it.says()
    it.passes(3.0)
    assert it.report.outcome is MessageOutcome.HEARD
    assert "a try was lost (its audio was silent)" in it.report.verdict


def test_a_slow_provider_is_not_a_lost_one() -> None:
    """A response that was announced is under way, up to a limit of its own."""
    it = Pickup(FirstMessagePolicy(announced_s=18.0))
    it.ready()
    it.passes(1.0)
    it.hears(ev.ResponseStarted("r1", it.asked[0]))
    it.passes(17.0)
    assert (it.asked, it.ordered(ev.CancelResponse)) == (["first-message-1"], [])
    it.says("r1", request=it.asked[0])
    it.passes(3.1)
    assert it.report.outcome is MessageOutcome.HEARD


def test_an_announced_response_without_audio_is_lost_at_its_limit() -> None:
    """Also where the limit is longer than other responses have."""
    it = Pickup(FirstMessagePolicy(announced_s=40.0, tries=1))
    it.ready()
    it.hears(ev.ResponseStarted("r1", it.asked[0]))
    it.passes(39.0)
    assert it.ordered(ev.CancelResponse) == []
    it.passes(1.5)
    assert it.ordered(ev.CancelResponse) == [ev.CancelResponse("r1")]
    assert (it.report.outcome, it.report.detail) == (MessageOutcome.UNDELIVERED, "no audio in time")


def test_a_session_that_can_give_no_response_is_not_asked_again() -> None:
    """Out of quota: undelivered, by its code."""
    it = Pickup()
    it.ready()
    failed = ev.ResponseEnded(
        response_id="r1",
        status=ev.ResponseStatus.FAILED,
        error_code="insufficient_quota",
        severity=ev.Severity.FATAL,
    )
    it.hears(ev.ResponseStarted("r1", it.asked[0]), failed)
    assert (it.report.outcome, it.report.detail) == (MessageOutcome.UNDELIVERED, "insufficient_quota")
    assert it.asked == ["first-message-1"]


@pytest.mark.parametrize(
    "policy", [FirstMessagePolicy(), FIRST_AUDIO, FirstMessagePolicy(protection=ProtectionRule.OFF)]
)
def test_a_server_that_gives_no_ids_back_speaks_the_message_all_the_same(policy: FirstMessagePolicy) -> None:
    """Ours is out, and the session has nothing to answer: the next response is ours."""
    it = Pickup(policy)
    it.ready()
    it.hears(ev.ResponseStarted("r1"), ev.AgentAudio("r1", "a1", b"\x33" * 8000), ev.AgentAudioEnded("r1", "a1"))
    it.ends("r1")
    it.passes(2.0)
    assert (it.report.outcome, it.asked, it.ordered(ev.CancelResponse)) == (
        MessageOutcome.HEARD,
        ["first-message-1"],
        [],
    )


def test_a_try_that_is_lost_behind_its_beginning_is_protected_like_the_first() -> None:
    """The user says "hello?" into the silence; it does not stop the second try."""
    it = Pickup(FIRST_AUDIO)
    it.ready()
    it.hears(ev.ResponseStarted("r1", it.asked[0]), ev.AgentAudio("r1", "a1", b"\x33" * 4000))
    it.passes(0.6)
    it.ends("r1", ev.ResponseStatus.FAILED)
    it.speech = HELLO
    it.passes(1.8)
    it.says("r2", "a2", seconds=2.0)
    it.passes(0.5)
    it.hears(onset())
    it.passes(3.0)
    assert (it.machine.taking.barge_ins, it.report.outcome) == (0, MessageOutcome.HEARD)


def test_b10_noise_before_any_audio_was_sent_cuts_nothing() -> None:
    """Unprotected: only an agent of whom a frame was sent can be barged in on."""
    it = Pickup(FirstMessagePolicy(protection=ProtectionRule.OFF))
    it.ready()
    it.hears(ev.ResponseStarted("r1", it.asked[0]), ev.AgentAudio("r1", "a1", bytes(8000)))
    it.hears(onset())
    assert (it.machine.taking.barge_ins, it.machine.speech.playout.speaking) == (0, True)


@pytest.mark.parametrize(
    "status", [ev.ResponseStatus.FAILED, ev.ResponseStatus.CANCELLED, ev.ResponseStatus.INCOMPLETE]
)
def test_b6_a_fragment_is_not_a_message(status: ev.ResponseStatus) -> None:
    """Cut, and asked for once more; the second time it is heard whole."""
    it = Pickup()
    it.ready()
    it.hears(ev.ResponseStarted("r1", it.asked[0]), ev.AgentAudio("r1", "a1", b"\x33" * 2400))
    it.passes(0.1)
    it.ends("r1", status, "turn_detected")
    assert it.asked == ["first-message-1", "first-message-2"]
    it.says("r2", "a2")
    it.passes(3.0)
    assert (it.report.outcome, it.report.requests) == (MessageOutcome.HEARD, 2)
    assert "a try was lost (turn_detected)" in it.report.verdict


def test_b6_lost_twice_it_is_reported_as_undelivered_and_the_call_goes_on() -> None:
    """At most two requests; never silence about it; the user is let in."""
    it = Pickup()
    it.speech = HELLO
    it.ready()
    for number in (1, 2):
        it.hears(ev.ResponseStarted(f"r{number}", it.asked[-1]))
        it.ends(f"r{number}", ev.ResponseStatus.FAILED)
    it.passes(1.0)
    assert (it.report.outcome, len(it.asked), it.machine.taking.is_quiet) == (
        MessageOutcome.UNDELIVERED,
        2,
        True,
    )
    assert it.machine.problems["message_undelivered"] == 1
    assert it.passed_bytes == it.user_bytes


def test_no_audio_in_time_is_a_loss() -> None:
    """The request is given up; should it start yet, it is cancelled."""
    it = Pickup(FirstMessagePolicy(first_audio_s=3.0))
    it.ready()
    it.passes(3.1)
    assert it.asked == ["first-message-1", "first-message-2"]
    it.hears(ev.ResponseStarted("late", "first-message-1"))
    assert it.ordered(ev.CancelResponse) == [ev.CancelResponse("late")]
    it.passes(3.1)
    assert it.report.outcome is MessageOutcome.UNDELIVERED


def test_a_response_that_stops_half_way_is_a_loss() -> None:
    """An error without a response.done: what came was played, and nothing follows."""
    it = Pickup(FirstMessagePolicy(first_audio_s=3.0))
    it.ready()
    it.hears(ev.ResponseStarted("r1", it.asked[0]), ev.AgentAudio("r1", "a1", b"\x33" * 4000))
    it.passes(3.5)
    assert (it.ordered(ev.CancelResponse), it.asked) == ([ev.CancelResponse("r1")], ["first-message-1"])
    it.passes(3.0)
    assert it.asked == ["first-message-1", "first-message-2"]
    it.says("r2", "a2")
    it.passes(3.0)
    assert it.report.outcome is MessageOutcome.HEARD


def test_b15_a_response_that_nobody_asked_for_does_not_take_its_place() -> None:
    """Silenced; the message that was refused as "already active" is asked for when it is over."""
    it = Pickup(lock=ev.LockoutState.REFUSED)
    it.ready()
    it.hears(ev.ResponseStarted("other"), ev.AgentAudio("other", "x", bytes(800)))
    it.hears(
        ev.SessionProblem(code="busy", message="", severity=ev.Severity.BUSY, request_id=it.asked[0]),
    )
    it.passes(0.2)
    assert (it.ordered(ev.CancelResponse), it.sent) == ([ev.CancelResponse("other")], [])
    it.ends("other", ev.ResponseStatus.CANCELLED, "client_cancelled")
    assert it.asked == ["first-message-1", "first-message-1"]
    it.says()
    it.passes(3.0)
    assert (it.report.outcome, it.report.protection) == (MessageOutcome.HEARD, "the local gate alone")


def test_b15_a_turn_that_was_committed_meanwhile_is_answered_behind_the_message() -> None:
    """Forwarded words: the provider committed them and must not answer by itself."""
    it = Pickup(FirstMessagePolicy(user_audio=UserAudioRule.FORWARD))
    it.ready()
    it.hears(ev.ResponseStarted("r1", it.asked[0]), ev.AgentAudio("r1", "a1", b"\x33" * 8000))
    it.hears(onset(), ev.UserSpeechStopped("u1", 500), ev.UserTurnCommitted("u1"))
    it.hears(ev.AgentAudioEnded("r1", "a1"))
    it.ends("r1")
    assert it.asked == ["first-message-1"]
    it.passes(2.0)
    assert (it.report.outcome, it.asked) == (MessageOutcome.HEARD, ["first-message-1", "request-1"])
    assert it.ordered(ev.DiscardUserAudio) == []


def test_b20_without_marks_the_message_ends_at_its_computed_end() -> None:
    """And the report says that no mark proves it."""
    it = Pickup()
    it.echoes = False
    it.ready()
    it.says(seconds=1.0)
    it.passes(4.0)
    assert (it.report.outcome, it.report.heard_by) == (MessageOutcome.HEARD, None)
    assert it.told(facts.ProtectionEnded) == 1


def test_b17_b18_whoever_speaks_first_keeps_the_floor() -> None:
    """The user begins between "ready" and the first frame: it waits until the user has finished."""
    it = Pickup(FirstMessagePolicy(speaks_first=SpeaksFirst.WHOEVER))
    it.ready()
    it.speech = HELLO  # 1 s, begins before the audio is there
    it.passes(0.3)
    it.says()
    it.passes(0.4)
    assert it.sent == []
    it.passes(3.5)
    assert it.report.outcome is MessageOutcome.HEARD
    assert 0.7 < it.first_sent_s() < 2.0


def test_b18_the_users_greeting_is_turn_0_and_the_message_answers_it() -> None:
    """Nothing is said before it; the words go to the session while they are spoken."""
    it = Pickup(FirstMessagePolicy(speaks_first=SpeaksFirst.USER))
    it.ready()
    it.passes(1.0)
    assert it.asked == []
    it.speech = HELLO
    it.passes(1.0)
    it.hears(onset(), ev.UserSpeechStopped("u1", 500), ev.UserTurnCommitted("u1"))
    assert it.asked == ["first-message-1"]
    assert it.passed_bytes > 14000  # the silence before it, and its words
    it.says()
    it.passes(3.0)
    assert it.report.outcome is MessageOutcome.HEARD
    assert [line.speaker.value for line in it.machine.speech.transcript.lines()] == ["user", "agent"]
    assert it.asked == ["first-message-1"]


def test_b18_a_user_who_says_nothing_is_greeted_after_the_limit() -> None:
    """Two silences facing each other are nobody's wish."""
    it = Pickup(FirstMessagePolicy(speaks_first=SpeaksFirst.USER, hello_s=2.0))
    it.ready()
    it.passes(1.9)
    assert it.asked == []
    it.passes(0.3)
    assert it.asked == ["first-message-1"]


def test_b16_a_lead_in_delays_the_first_frame_only() -> None:
    """Nothing before it, everything after it."""
    it = Pickup(FirstMessagePolicy(lead_in_s=0.3))
    it.ready()
    it.says()
    it.passes(4.0)
    assert it.first_sent_s() == pytest.approx(0.3, abs=0.021)
    assert it.report.outcome is MessageOutcome.HEARD


def test_a_prepared_message_is_taken_over_and_not_asked_for_again() -> None:
    """It leaves at pick-up; its request was sent while the phone rang."""
    it = Pickup(FirstMessagePolicy(prepared=True))
    it.ready(asked=True)
    assert it.asked == []
    it.says(request=prepared_request(WELCOME).request_id)
    it.passes(3.0)
    assert (it.first_sent_s(), it.report.outcome, it.report.requests) == (0.0, MessageOutcome.HEARD, 1)


def test_a_recorded_message_plays_at_once_and_enters_the_history_as_the_agents() -> None:
    """B7: no session is needed for it; the session is told what was heard, as the agent's words."""
    it = Pickup(message=RECORDED)
    it.passes(0.5)
    assert it.first_sent_s() == 0.0
    it.ready()
    it.passes(1.0)
    assert (it.report.outcome, it.asked) == (MessageOutcome.HEARD, [])
    assert it.ordered(ev.AddAgentText) == [ev.AddAgentText(RECORDED.text)]
    assert it.ordered(ev.TruncateItem | ev.DeleteItem) == []  # type: ignore[arg-type]


def test_b9_a_recorded_message_is_cut_like_any_other() -> None:
    """Paced, cleared, and the history has what was heard of it."""
    it = Pickup(FirstMessagePolicy(protection=ProtectionRule.OFF), message=RECORDED)
    it.ready()
    it.passes(0.5)
    it.hears(onset())
    assert any(isinstance(order, ev.ClearPlayout) for order in it.machine.due(it.now))
    assert it.ordered(ev.AddAgentText) == [ev.AddAgentText("Welcome")]
    assert it.ordered(ev.TruncateItem | ev.DeleteItem) == []  # type: ignore[arg-type]
    whole = [line.item_id for line in it.machine.speech.transcript.lines() if not line.interrupted]
    assert not any(item_id.startswith(OWN) for item_id in whole)


def test_b19_a_message_for_a_machine_is_said_whatever_the_machine_says_and_ends_the_call() -> None:
    """Course changes once: what was being said is cut; the time of its last mark is in the report."""
    it = Pickup()
    it.ready()
    it.says(seconds=10.0)
    it.passes(1.0)
    it.take(it.machine.leave_message(Message("Please call us back."), it.now))
    assert it.asked == ["first-message-1", "machine-message-1"]
    it.says("r2", "a2", seconds=3.0)
    for _ in range(4):
        it.passes(1.0)
        it.hears(onset())
    left = it.machine.openings[1].report()
    assert left is not None
    assert (left.outcome, left.heard_by is not None, it.report.outcome) == (
        MessageOutcome.HEARD,
        True,
        MessageOutcome.DROPPED,
    )
    (end,) = it.ordered(EndCall)
    assert isinstance(end, EndCall)
    assert end.cause is facts.EndCause.MESSAGE_LEFT


def test_a_message_that_the_machine_did_not_get_ends_the_call_with_its_cause() -> None:
    """Never reported as left."""
    it = Pickup()
    it.take(it.machine.leave_message(Message("Please call us back."), 0.0))
    it.ready()
    it.passes(13.0)
    (end,) = it.ordered(EndCall)
    assert isinstance(end, EndCall)
    assert end.cause is facts.EndCause.MACHINE_ANSWERED


def test_b13_the_report_does_not_need_observers() -> None:
    """What is told and what is kept are the same decisions; only Tell orders are for observers."""
    it = Pickup()
    it.ready()
    it.says()
    it.passes(3.0)
    assert it.report.trace[0].what.startswith("the message is protected")
    assert [line.text for line in it.machine.speech.transcript.lines()] == ["Welcome to the clinic."]
