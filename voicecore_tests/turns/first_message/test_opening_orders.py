"""The first message in every order of events: one fate, bounded, every byte of the user accounted for."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from voicecore import events as ev
from voicecore import facts
from voicecore.facts import MessageOutcome
from voicecore.turns.first_message.audio_gate import UserAudioRule
from voicecore.turns.first_message.message import FirstMessagePolicy, Message, ProtectionRule, SpeaksFirst
from voicecore.turns.first_message.requests import Purpose
from voicecore.turns.orders import EndCall, Notify
from voicecore_tests.chance import examples
from voicecore_tests.turns.first_message.pickup import DOES_ALL, HELLO, RECORDED, WELCOME, Pickup, held_bytes, onset

POLICIES = st.builds(
    FirstMessagePolicy,
    speaks_first=st.sampled_from(SpeaksFirst),
    protection=st.sampled_from(ProtectionRule),
    user_audio=st.sampled_from(UserAudioRule),
    lead_in_s=st.sampled_from([0.0, 0.3]),
)
LOCKS = [ev.LockoutState.IN_FORCE, ev.LockoutState.REFUSED, ev.LockoutState.UNCONFIRMED]


def test_a_user_who_goes_on_when_the_message_ends_is_answered_by_the_session_alone() -> None:
    """What was committed during the message is answered with what they are saying: a request of ours would meet it."""
    it = Pickup(FirstMessagePolicy(user_audio=UserAudioRule.FORWARD))
    it.ready()
    it.hears(ev.ResponseStarted("r1", it.asked[0]), ev.AgentAudio("r1", "a1", b"\x33" * 8000))
    it.hears(onset(), ev.UserSpeechStopped("u1", 500), ev.UserTurnCommitted("u1"), onset("u2"))
    it.hears(ev.AgentAudioEnded("r1", "a1"))
    it.ends("r1")
    it.passes(2.0)
    assert (it.report.outcome, it.told(facts.ProtectionEnded), it.asked) == (
        MessageOutcome.HEARD,
        1,
        ["first-message-1"],
    )
    it.hears(ev.UserSpeechStopped("u2", 3000), ev.UserTurnCommitted("u2"), ev.ResponseStarted("r2"))
    it.hears(ev.AgentAudio("r2", "a2", b"\x33" * 8000), ev.AgentAudioEnded("r2", "a2"))
    it.ends("r2")
    it.passes(2.0)
    assert it.asked == ["first-message-1"]
    generated = [order.fact for order in it.ordered(Notify) if isinstance(order, Notify)]
    assert [fact.answers for fact in generated if isinstance(fact, facts.FirstAudioReceived)] == [(), ("u1", "u2")]


class OpeningMachine(RuleBasedStateMachine):
    """User, provider, carrier and clock in any order: one fate, bounded, and every byte accounted for."""

    @initialize(
        policy=POLICIES,
        lock=st.sampled_from(LOCKS),
        answers=st.booleans(),
        message=st.sampled_from([WELCOME, RECORDED]),
    )
    def begin(self, policy: FirstMessagePolicy, lock: ev.LockoutState, answers: bool, message: Message) -> None:
        self.it = Pickup(policy, message=message, lock=lock, answers=answers)
        self.is_ready = False
        self.running: str | None = None
        self.responses = 0
        self.turns = 0

    @rule()
    @precondition(lambda self: not self.is_ready)
    def session_is_ready(self) -> None:
        self.is_ready = True
        self.it.ready()

    @rule(words=st.sampled_from([800, 8000]))
    def user_speaks(self, words: int) -> None:
        self.it.speech += HELLO[:words]

    @rule(kind=st.sampled_from(["onset", "turn"]))
    @precondition(lambda self: self.is_ready)
    def provider_hears(self, kind: str) -> None:
        self.turns += 1
        item = f"u{self.turns}"
        self.it.hears(onset(item))
        if kind == "turn":
            self.it.hears(ev.UserSpeechStopped(item, 0), ev.UserTurnCommitted(item))

    @rule(ours=st.booleans())
    @precondition(lambda self: self.is_ready and self.running is None)
    def response_starts(self, ours: bool) -> None:
        self.responses += 1
        self.running = f"r{self.responses}"
        self.it.hears(ev.ResponseStarted(self.running, self.it.asked[-1] if ours and self.it.asked else None))

    @rule(seconds=st.sampled_from([0.01, 0.5, 3.0]))
    @precondition(lambda self: self.running)
    def audio_comes(self, seconds: float) -> None:
        assert self.running is not None
        self.it.hears(ev.AgentAudio(self.running, f"a-{self.running}", b"\x44" * round(8000 * seconds)))

    @rule(status=st.sampled_from(ev.ResponseStatus), reason=st.sampled_from([None, "turn_detected"]))
    @precondition(lambda self: self.running)
    def response_ends(self, status: ev.ResponseStatus, reason: str | None) -> None:
        assert self.running is not None
        self.it.ends(self.running, status, reason)
        self.running = None

    @rule(
        severity=st.sampled_from([ev.Severity.BUSY, ev.Severity.REFUSED]), which=st.sampled_from(["asked", "unlock-1"])
    )
    @precondition(lambda self: self.is_ready)
    def an_error_comes(self, severity: ev.Severity, which: str) -> None:
        request = (self.it.asked or [None])[-1] if which == "asked" else which  # type: ignore[list-item]
        self.it.hears(ev.SessionProblem(code="e", message="m", severity=severity, request_id=request))

    @rule(lock=st.sampled_from([ev.LockoutState.RESTORED, ev.LockoutState.IN_FORCE, ev.LockoutState.UNCONFIRMED]))
    @precondition(lambda self: self.is_ready)
    def an_echo_comes(self, lock: ev.LockoutState) -> None:
        self.it.hears(ev.UserAudioDiscarded(), ev.SessionReconfigured(capabilities=DOES_ALL, lock=lock))

    @rule(seconds=st.sampled_from([0.02, 0.5, 2.0, 7.0]), echoes=st.booleans())
    def time_passes(self, seconds: float, echoes: bool) -> None:
        self.it.echoes = echoes
        self.it.passes(seconds)

    @rule()
    def a_machine_answers(self) -> None:
        if len(self.it.machine.openings) == 1:
            self.it.take(self.it.machine.leave_message(Message("Call back."), self.it.now))

    @invariant()
    def asked_for_at_most_twice(self) -> None:
        for opening in self.it.machine.openings:
            assert opening.message.requests <= 2

    @invariant()
    def i6_every_byte_of_the_user_is_in_one_outcome(self) -> None:
        gates = [opening.gate for opening in self.it.machine.openings]
        buffered = sum(held_bytes(gate) + gate.dropped_bytes.total() for gate in gates)
        assert self.it.passed_bytes + buffered == self.it.user_bytes

    @invariant()
    def whole_protection_is_not_cut_by_the_user(self) -> None:
        first = self.it.machine.openings[0]
        if self.it.policy.protection is ProtectionRule.WHOLE and first.report() is not None:
            assert self.it.report.outcome is not MessageOutcome.INTERRUPTED

    def teardown(self) -> None:
        """Liveness: when everybody goes quiet, the message has its fate, and the user is let in or the call over."""
        if not self.is_ready:
            self.it.ready()
        self.it.passes(40.0)
        ended = bool(self.it.ordered(EndCall))
        assert all(opening.report() is not None for opening in self.it.machine.openings)
        assert ended or not self.it.machine.is_opening
        first = self.it.machine.openings[0]
        assert first.purpose is Purpose.FIRST
        assert self.it.told(facts.MessageDone) == len(self.it.machine.openings)


TestOpening = OpeningMachine.TestCase
TestOpening.settings = examples(80, steps=25)
