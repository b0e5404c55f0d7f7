"""The protection of a message: lifted once, in the right order, whatever the provider answers."""

from __future__ import annotations

import itertools

import pytest

from voicecore.events import (
    AppendUserAudio,
    Capabilities,
    CommitUserAudio,
    DiscardUserAudio,
    Lockout,
    LockoutState,
    RestoreTurnDetection,
    SessionReconfigured,
)
from voicecore.turns.first_message.audio_gate import UserAudioGate, UserAudioRule
from voicecore.turns.first_message.protection import Lifted, Protection, ProtectionPhase, ProtectionStep, RestoreFailed
from voicecore.turns.first_message.trace import LIMIT, Trace

ALL = Capabilities(detects_turns=True, replies=True, interrupts=True, speaks=True, transcribes_user=True)
HELLO = b"\x22" * 800
SILENCE = b"\xff" * 800


def echo(lock: LockoutState, *differences: str) -> SessionReconfigured:
    return SessionReconfigured(capabilities=ALL, lock=lock, differences=differences)


class Guarded:
    """A protection that has begun, with its gate."""

    def __init__(
        self,
        lockout: Lockout = Lockout.DETECTION_OFF,
        lock: LockoutState | None = LockoutState.IN_FORCE,
        rule: UserAudioRule = UserAudioRule.BUFFER,
    ) -> None:
        self.trace = Trace(0.0)
        self.gate = UserAudioGate(8000)
        self.protection = Protection(self.gate, self.trace)
        self.protection.begin(rule, 0.0)
        self.steps: list[ProtectionStep] = []
        if lock is not None:
            self.steps += self.protection.session_ready(lockout, lock, 0.0)

    def says(self, audio: bytes) -> None:
        """The user says something, and is done."""
        self.protection.user_began(0.5)
        self.gate.admit(audio)
        self.protection.user_stopped(0.9)


def test_the_order_is_discard_then_the_real_turn_detection_then_the_user() -> None:
    """Stale audio in the provider's buffer must not meet the detection that is switched on (quirk 10)."""
    it = Guarded()
    assert it.gate.admit(HELLO) == b""
    assert it.protection.lift(1.0) == [DiscardUserAudio()]
    assert it.protection.discarded(1.1) == [RestoreTurnDetection("unlock-1")]
    assert it.protection.reconfigured(echo(LockoutState.RESTORED), 1.2) == [AppendUserAudio(HELLO), Lifted(True)]
    assert it.gate.admit(b"live") == b"live"


def test_b5_it_is_lifted_once() -> None:
    """Whoever else says that the message is over."""
    it = Guarded()
    assert it.protection.lift(1.0)
    assert it.protection.lift(1.0) == []


def test_b2_a_lockout_that_was_refused_leaves_the_gate_alone_and_needs_no_restoring() -> None:
    """Nothing was changed at the provider, so nothing is changed back."""
    it = Guarded(lock=LockoutState.REFUSED)
    assert it.protection.words() == "the local gate alone"
    assert it.protection.lift(1.0) == [Lifted(True)]


def test_b3_a_lockout_without_proof_is_restored_all_the_same() -> None:
    """It may be in force, or come into force yet."""
    it = Guarded(lock=LockoutState.UNCONFIRMED)
    assert it.protection.words() == "the local gate alone"
    assert it.protection.lift(1.0) == [DiscardUserAudio()]


def test_forwarding_waits_until_the_lockout_is_proved() -> None:
    """Before that user audio is held; then it goes on, the oldest first."""
    it = Guarded(Lockout.NO_REPLY, None, UserAudioRule.FORWARD)
    assert it.gate.admit(HELLO) == b""
    steps = it.protection.session_ready(Lockout.NO_REPLY, LockoutState.IN_FORCE, 0.5)
    assert steps == [AppendUserAudio(HELLO)]
    assert it.gate.admit(b"live") == b"live"
    assert it.protection.words() == "the provider's lockout alone"


def test_without_a_lockout_in_force_nothing_is_forwarded() -> None:
    """The gate protects where the provider does not."""
    it = Guarded(Lockout.NO_REPLY, LockoutState.UNCONFIRMED, UserAudioRule.FORWARD)
    assert (it.gate.admit(HELLO), it.gate.take()) == (b"", HELLO)


def test_a_listening_lockout_is_lifted_without_discarding() -> None:
    """What the user said meanwhile is to count."""
    it = Guarded(Lockout.NO_REPLY, LockoutState.IN_FORCE, UserAudioRule.FORWARD)
    assert it.protection.lift(1.0) == [RestoreTurnDetection("unlock-1")]


def test_lifting_before_the_session_is_open_waits_for_it() -> None:
    """Our own recording was heard while the session still opened."""
    it = Guarded(lock=None)
    assert it.protection.lift(1.0) == []
    assert it.protection.is_on
    assert it.protection.session_ready(Lockout.DETECTION_OFF, LockoutState.IN_FORCE, 2.0) == [DiscardUserAudio()]


def test_no_answer_lets_the_user_in_all_the_same() -> None:
    """A deaf agent is worse than an interrupted one; the report says that it was not confirmed."""
    it = Guarded()
    it.gate.admit(HELLO)
    it.protection.lift(1.0)
    assert it.protection.expire(1.99) == []
    assert it.protection.expire(2.0) == [RestoreTurnDetection("unlock-1")]
    assert it.protection.expire(3.99) == []
    assert it.protection.expire(4.0) == [AppendUserAudio(HELLO), Lifted(False)]
    assert it.protection.deadline() is None


def test_a_refused_restore_is_asked_for_once_more_and_then_given_up() -> None:
    """The session would stay deaf: that is said, not hidden."""
    it = Guarded()
    it.protection.lift(1.0)
    it.protection.discarded(1.0)
    assert it.protection.refused("request-9", "not ours", 1.1) == []
    assert it.protection.refused("unlock-1", "invalid_value", 1.1) == [RestoreTurnDetection("unlock-2")]
    assert it.protection.refused("unlock-2", "invalid_value", 1.2) == [Lifted(False), RestoreFailed("invalid_value")]


def test_an_echo_that_says_otherwise_is_given_time_and_then_asked_again() -> None:
    """Acknowledged and applied late, or null kept silently: the echo is the truth."""
    it = Guarded()
    it.protection.lift(1.0)
    it.protection.discarded(1.0)
    wrong = echo(LockoutState.UNCONFIRMED, "audio.input.turn_detection")
    assert it.protection.reconfigured(wrong, 1.1) == []
    assert it.protection.expire(3.0) == [RestoreTurnDetection("unlock-2")]
    assert it.protection.reconfigured(echo(LockoutState.RESTORED), 3.1) == [Lifted(True)]


def test_an_echo_that_says_otherwise_twice_is_a_deaf_session() -> None:
    """It is not hidden that nobody would be heard."""
    it = Guarded()
    it.protection.lift(1.0)
    it.protection.discarded(1.0)
    wrong = echo(LockoutState.UNCONFIRMED, "audio.input.turn_detection")
    it.protection.reconfigured(wrong, 1.1)
    it.protection.expire(3.0)
    it.protection.reconfigured(wrong, 3.1)
    lifted, detection_off = it.protection.expire(5.0)
    assert (lifted, isinstance(detection_off, RestoreFailed)) == (Lifted(False), True)


def test_the_late_echo_of_the_lockout_is_not_taken_for_the_restore() -> None:
    """Two updates are out; only the second one's echo ends the wait."""
    it = Guarded(lock=LockoutState.UNCONFIRMED)
    it.protection.lift(1.0)
    it.protection.discarded(1.0)
    assert it.protection.reconfigured(echo(LockoutState.IN_FORCE), 1.1) == []
    assert it.protection.reconfigured(echo(LockoutState.RESTORED), 1.2) == [Lifted(True)]


@pytest.mark.parametrize("rule", list(UserAudioRule))
def test_every_order_of_answers_ends_with_the_user_let_in(rule: UserAudioRule) -> None:
    """Exhaustive: every order of everything that can come, then time; lifted once, every byte in one outcome."""
    answers = ["lift", "discarded", "in force", "lifted", "otherwise", "refused 1", "refused 2"]
    heard = ["heard", "stopped", "discarded", "committed", "lifted", "began"]
    for order in [*itertools.permutations(answers), *itertools.permutations(heard)]:
        it = Guarded(Lockout.DETECTION_OFF, LockoutState.UNCONFIRMED, rule)
        it.protection.user_began(0.0)
        passed, now = len(it.gate.admit(HELLO)), 0.0
        for name in [*order, "lift"]:
            now += 0.1
            it.steps += answer(it, name, now)
        while (deadline := it.protection.deadline()) is not None:
            it.steps += it.protection.expire(deadline)
        assert it.protection.phase is ProtectionPhase.OFF
        assert sum(isinstance(step, Lifted) for step in it.steps) == 1
        released = sum(len(step.audio) for step in it.steps if isinstance(step, AppendUserAudio))
        assert passed + released + it.gate.dropped_bytes.total() == len(HELLO)


def answer(it: Guarded, name: str, now: float) -> list[ProtectionStep]:
    protection = it.protection
    if name == "lift":
        return protection.lift(now)
    if name == "began":
        protection.user_began(now)
        return []
    timed = {
        "heard": protection.first_heard,
        "stopped": protection.user_stopped,
        "discarded": protection.discarded,
        "committed": protection.committed,
    }
    if name in timed:
        return timed[name](now)
    if name.startswith("refused"):
        return protection.refused(f"unlock-{name[-1]}", "no", now)
    lock = {"in force": LockoutState.IN_FORCE, "lifted": LockoutState.RESTORED, "otherwise": LockoutState.UNCONFIRMED}[
        name
    ]
    return protection.reconfigured(echo(lock), now)


# --- the message plays on ------------------------------------------------------------------


def test_what_was_said_is_committed_while_nobody_detects_turns_and_then_detection_comes_back() -> None:
    """A turn of its own, which no detection has heard: it cannot be taken for a barge-in."""
    it = Guarded()
    it.says(HELLO)
    assert it.protection.first_heard(1.0) == [DiscardUserAudio()]
    assert it.protection.discarded(1.1) == [AppendUserAudio(HELLO), CommitUserAudio()]
    assert it.protection.is_on
    assert it.protection.committed(1.2) == [RestoreTurnDetection("unlock-1")]
    it.gate.admit(SILENCE)
    assert it.protection.reconfigured(echo(LockoutState.RESTORED), 1.3) == [Lifted(True)]
    assert it.gate.dropped_bytes == {"buffered_silence": len(SILENCE)}


def test_who_is_still_speaking_is_waited_for() -> None:
    """Until the offset; then it is speech that is over, like any other."""
    it = Guarded()
    it.protection.user_began(0.9)
    it.gate.admit(HELLO)
    assert it.protection.first_heard(1.0) == []
    assert it.protection.is_on
    assert it.protection.user_stopped(1.8) == [DiscardUserAudio()]
    assert it.protection.discarded(1.9) == [AppendUserAudio(HELLO), CommitUserAudio()]


def test_who_goes_on_speaking_over_the_message_is_let_in_and_may_stop_it() -> None:
    """It is live speech by then, over a message that can be heard."""
    it = Guarded()
    it.protection.user_began(0.9)
    it.gate.admit(HELLO)
    it.protection.first_heard(1.0)
    assert it.protection.expire(2.99) == []
    assert it.protection.expire(3.0) == [DiscardUserAudio()]
    assert it.protection.discarded(3.1) == [RestoreTurnDetection("unlock-1")]
    assert it.protection.reconfigured(echo(LockoutState.RESTORED), 3.2) == [AppendUserAudio(HELLO), Lifted(True)]
    assert not it.protection.is_on


@pytest.mark.parametrize(
    ("lockout", "lock"),
    [
        (Lockout.NO_REPLY, LockoutState.IN_FORCE),
        (Lockout.DETECTION_OFF, LockoutState.UNCONFIRMED),
        (Lockout.DETECTION_OFF, LockoutState.REFUSED),
        (Lockout.NONE, LockoutState.NOT_REQUESTED),
    ],
)
def test_where_the_session_may_hear_it_what_was_said_waits_for_the_end_of_the_message(
    lockout: Lockout, lock: LockoutState
) -> None:
    """Nothing of it goes to a session that might act on it."""
    it = Guarded(lockout, lock)
    it.says(HELLO)
    assert (it.protection.first_heard(1.0), it.protection.phase) == ([], ProtectionPhase.CLOSED)
    assert (it.protection.is_on, it.protection.bars_keys) == (True, False)
    steps = it.protection.lift(5.0)
    if lockout is Lockout.DETECTION_OFF and lock is LockoutState.UNCONFIRMED:
        steps += it.protection.discarded(5.0)
    steps += it.protection.reconfigured(echo(LockoutState.RESTORED), 5.1)
    assert AppendUserAudio(HELLO) in steps
    assert steps[-1] == Lifted(True)


def test_and_so_does_what_was_said_while_detection_came_back() -> None:
    """A short word in the round trip of the restore is over when it is acknowledged."""
    it = Guarded()
    it.protection.first_heard(1.0)
    it.protection.discarded(1.1)
    it.says(HELLO)
    assert it.protection.reconfigured(echo(LockoutState.RESTORED), 1.9) == []
    assert it.protection.phase is ProtectionPhase.CLOSED
    assert it.protection.lift(5.0) == [AppendUserAudio(HELLO), Lifted(True)]


def test_who_speaks_at_the_acknowledgement_is_live() -> None:
    """It began after the first audio was heard; a barge-in is right."""
    it = Guarded()
    it.protection.first_heard(1.0)
    it.protection.discarded(1.1)
    it.protection.user_began(1.2)
    it.gate.admit(HELLO)
    assert it.protection.reconfigured(echo(LockoutState.RESTORED), 1.3) == [AppendUserAudio(HELLO), Lifted(True)]


def test_a_closed_gate_opens_for_who_goes_on_speaking() -> None:
    """And not for a second short word."""
    it = Guarded(Lockout.NONE, LockoutState.NOT_REQUESTED)
    it.says(HELLO)
    it.protection.first_heard(1.0)
    it.protection.user_began(2.0)
    it.protection.user_stopped(2.9)
    assert it.protection.deadline() is None
    it.protection.user_began(3.0)
    assert it.protection.expire(5.0) == [AppendUserAudio(HELLO), Lifted(True)]


def test_held_silence_is_dropped_but_for_its_end() -> None:
    """Nobody is to make speech of it; in its last moments somebody may have begun."""
    gate = UserAudioGate(8000, unjudged_bytes=400)
    gate.set(UserAudioRule.BUFFER)
    gate.admit(SILENCE)
    gate.drop_silence()
    assert (len(gate.take()), gate.dropped_bytes) == (400, {"buffered_silence": len(SILENCE) - 400})


def test_a_commit_that_is_not_confirmed_leaves_the_words_to_the_end_of_the_message() -> None:
    """They lie in the provider's buffer: that is not discarded any more, detection will find them."""
    it = Guarded()
    it.says(HELLO)
    it.protection.first_heard(1.0)
    it.protection.discarded(1.1)
    assert it.protection.expire(2.1) == []
    assert it.protection.phase is ProtectionPhase.CLOSED
    assert it.protection.lift(5.0) == [RestoreTurnDetection("unlock-1")]


def test_the_end_of_the_message_meanwhile_ends_every_wait_for_it() -> None:
    """From then on everything is as after a message that was protected whole."""
    for at in ("offset due", "discarding", "committing", "restoring", "closed"):
        it = Guarded(
            *(
                (Lockout.NONE, LockoutState.NOT_REQUESTED)
                if at == "closed"
                else (Lockout.DETECTION_OFF, LockoutState.IN_FORCE)
            )
        )
        it.says(HELLO)
        if at == "offset due":
            it.protection.user_began(0.9)
        it.steps += it.protection.first_heard(1.0)
        if at in {"committing", "restoring"}:
            it.steps += it.protection.discarded(1.1)
        if at == "restoring":
            it.steps += it.protection.committed(1.2)
        assert it.protection.phase.value == at
        it.steps += it.protection.lift(1.3)
        it.steps += it.protection.discarded(1.4)
        it.steps += it.protection.committed(1.5)
        it.steps += it.protection.reconfigured(echo(LockoutState.RESTORED), 1.6)
        assert it.protection.phase is ProtectionPhase.OFF
        assert sum(step == AppendUserAudio(HELLO) for step in it.steps) == 1
        assert it.steps[-1] == Lifted(True)


@pytest.mark.parametrize("rule", list(UserAudioRule))
def test_a_try_that_is_lost_behind_its_beginning_is_protected_again(rule: UserAudioRule) -> None:
    """By the gate alone: the provider detects turns by then, or will."""
    it = Guarded(rule=rule)
    it.protection.first_heard(1.0)
    it.protection.unheard_again(1.05)
    it.protection.discarded(1.1)
    it.steps += it.protection.reconfigured(echo(LockoutState.RESTORED), 1.2)
    assert (it.protection.phase, it.protection.is_on) == (ProtectionPhase.ON, True)
    assert it.gate.admit(HELLO) == b""
    it.steps += it.protection.first_heard(2.0)
    it.protection.unheard_again(2.5)
    assert it.gate.admit(HELLO) == b""
    assert it.protection.is_on


# --- the gate and the trace --------------------------------------------------------------


def test_what_is_held_is_bounded_and_the_oldest_gives_way() -> None:
    """Counted under its reason."""
    gate = UserAudioGate(1000)
    gate.set(UserAudioRule.BUFFER)
    gate.admit(b"a" * 600)
    gate.admit(b"b" * 600)
    assert gate.set(UserAudioRule.FORWARD) == b"a" * 400 + b"b" * 600
    assert gate.dropped_bytes == {"buffer_full": 200}


def test_what_was_held_is_dropped_when_the_rule_says_so() -> None:
    """A machine answered: nobody's words."""
    gate = UserAudioGate(1000)
    gate.set(UserAudioRule.BUFFER)
    gate.admit(b"a" * 600)
    assert gate.set(UserAudioRule.DROP) == b""
    assert gate.dropped_bytes == {"first_message": 600}


def test_a_trace_is_bounded_and_says_so() -> None:
    """A stubborn provider does not fill the record."""
    trace = Trace(1.0)
    for number in range(LIMIT + 5):
        trace.note("engine", str(number), 1.0 + number)
    lines = trace.lines()
    assert (len(lines), lines[0].at_s, lines[-1].what) == (LIMIT + 1, 0.0, "and 5 more lines")


def test_words_that_were_forwarded_are_not_held_words() -> None:
    """The session has them already: nothing waits for the end of the message, and the restore goes out at once."""
    it = Guarded(Lockout.NO_REPLY, rule=UserAudioRule.FORWARD)
    it.says(HELLO)
    assert it.protection.first_heard(1.0) == [RestoreTurnDetection("unlock-1")]


def test_the_late_echo_of_the_opening_is_no_answer_to_the_restore() -> None:
    """It says nothing of the restore: with no other answer the user is let in, and nothing is asked for twice."""
    it = Guarded(lock=LockoutState.UNCONFIRMED)
    assert it.protection.lift(1.0) == [DiscardUserAudio()]
    assert it.protection.discarded(1.1) == [RestoreTurnDetection("unlock-1")]
    assert it.protection.reconfigured(echo(LockoutState.IN_FORCE, "audio.input.turn_detection"), 1.2) == []
    due = it.protection.deadline()
    assert due is not None
    assert it.protection.expire(due) == [Lifted(acknowledged=False)]
