"""Turn taking as a whole: whatever comes in whatever order, each turn of the user has one end, in time."""

from __future__ import annotations

from collections import Counter

import attrs
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from voicecore import events as ev
from voicecore import facts
from voicecore.turns.barge_in.policy import BargeInPolicy
from voicecore.turns.barge_in.strategies import Backchannels, BargeInJudgement, MinSpeech, MinWords
from voicecore.turns.first_message.message import FirstMessagePolicy, Message, ProtectionRule
from voicecore.turns.idle import IdlePolicy, ThenIdle
from voicecore.turns.keypad import KeypadSettings
from voicecore.turns.metrics.turn_times import turn_times
from voicecore.turns.orders import Notify
from voicecore.turns.responses import ResponsePhase
from voicecore.turns.settings import ConversationSettings
from voicecore.turns.user_turns import UserTurnSettings
from voicecore.turns.waiting_sound import WaitingSound
from voicecore_tests.chance import examples
from voicecore_tests.turns.talking import START_S, Provider, Talk

TURNS = UserTurnSettings()


@attrs.frozen
class Raises:
    """A program's own strategy that has a fault."""

    name: str = "faulty"

    def judge(self, evidence: facts.SpeechEvidence) -> BargeInJudgement:
        """See `BargeInStrategy`."""
        raise LookupError(evidence.words)


POLICIES = (
    BargeInPolicy(),
    BargeInPolicy(guard_s=0.5),
    BargeInPolicy(keys_stop_agent=False),
    BargeInPolicy(strategies=(MinWords(2),)),
    BargeInPolicy(strategies=(MinSpeech(0.3),), guard_s=0.5),
    BargeInPolicy(strategies=(Backchannels(), MinSpeech(2.0))),
    BargeInPolicy(strategies=(Raises(), MinWords(1)), confirm_s=0.3),
    BargeInPolicy(strategies=(Raises(),)),
)
IDLES = (None, IdlePolicy(after_s=3.0, prompts=1), IdlePolicy(after_s=5.0, prompts=2, then=ThenIdle.STAY))
UNPROTECTED = FirstMessagePolicy(protection=ProtectionRule.OFF)


ANSWERS = ev.Capabilities(detects_turns=True, replies=True, interrupts=True, speaks=True, transcribes_user=True)


@pytest.mark.parametrize("trip_s", [0.0, 0.02, 0.1, 0.3])
@pytest.mark.parametrize("key_after_s", [-0.3, -0.1, -0.02, 0.0, 0.02, 0.1, 0.25, 0.27, 0.3, 0.32, 0.6, 1.3])
@pytest.mark.parametrize("names_refused", [True, False])
@pytest.mark.parametrize("keys_stop_agent", [True, False])
def test_d21_responses_of_two_owners_never_lose_a_turn(
    trip_s: float, key_after_s: float, names_refused: bool, keys_stop_agent: bool
) -> None:
    """The session replies to what was said while we ask for the answer to keys: in whatever order, both are answered.

    And soon: nobody waits for the deadline of a turn.
    """
    talk = Talk(ConversationSettings(barge_in=BargeInPolicy(keys_stop_agent=keys_stop_agent)), ANSWERS)
    provider = Provider(talk, trip_s, names_refused=names_refused)
    talk.hears(ev.UserSpeechStarted("u1", 0))
    provider.passes(1.0 + min(0.0, key_after_s))
    for step in ("keys", "words") if key_after_s < 0 else ("words", "keys"):
        if step == "words":
            provider.commits("u1")
        else:
            talk.leg(ev.DigitPressed("1"))
            talk.leg(ev.DigitPressed("#"))
        provider.passes(abs(key_after_s))
    provider.passes(6.0)
    assert talk.ends_of_turns() == Counter(["keys-1", "u1"])
    assert talk.told(facts.TurnsUnanswered) == []
    assert talk.machine.taking.is_quiet
    assert provider.refusals <= 2


class TurnTakingMachine(RuleBasedStateMachine):
    """User, provider, carrier and clock do what they can, in any order, under any policy."""

    @initialize(
        policy=st.sampled_from(POLICIES),
        idle=st.sampled_from(IDLES),
        replies=st.booleans(),
        interrupts=st.booleans(),
        first=st.sampled_from((None, None, UNPROTECTED, FirstMessagePolicy())),
        mark_after_s=st.sampled_from([0.05, 0.0, 1.0, 3.0, None]),
        machine=st.sampled_from([False, False, False, True]),
        waiting=st.sampled_from([None, WaitingSound(b"\x55" * 8000, 0.5)]),
    )
    def begin(
        self,
        policy: BargeInPolicy,
        idle: IdlePolicy | None,
        replies: bool,
        interrupts: bool,
        first: FirstMessagePolicy | None,
        mark_after_s: float | None,
        machine: bool,
        waiting: WaitingSound | None,
    ) -> None:
        settings = ConversationSettings(
            first_message=None if first is None else Message("Welcome."),
            policy=first or UNPROTECTED,
            barge_in=policy,
            idle=idle,
            keypad=KeypadSettings(pause_s=1.0, most_keys=3),
            waiting=waiting,
        )
        capabilities = ev.Capabilities(
            detects_turns=True, replies=replies, interrupts=interrupts, speaks=True, transcribes_user=True
        )
        self.talk = Talk(settings, capabilities, mark_after_s)
        self.user_items: list[str] = []
        self.speaking = False
        self.responses = 0
        self.running: str | None = None
        self.audio_bytes = 0
        self.may_be_machine = machine

    # --- the user ---------------------------------------------------------------------

    @rule()
    @precondition(lambda self: not self.speaking)
    def user_starts(self) -> None:
        self.speaking = True
        self.user_items.append(f"u{len(self.user_items) + 1}")
        self.talk.hears(ev.UserSpeechStarted(self.user_items[-1], 0))

    @rule(commits=st.booleans())
    @precondition(lambda self: self.speaking)
    def user_stops(self, commits: bool) -> None:
        self.speaking = False
        item = self.user_items[-1]
        self.talk.hears(ev.UserSpeechStopped(item, 500), *([ev.UserTurnCommitted(item)] if commits else []))

    @rule(back=st.integers(0, 2))
    @precondition(lambda self: self.user_items)
    def turn_is_committed(self, back: int) -> None:
        """A commit that comes late, again, or without any end of speech."""
        self.talk.hears(ev.UserTurnCommitted(self.user_items[-1 - back % len(self.user_items)]))
        self.speaking = False

    @rule(how=st.sampled_from(["wait", " a moment", "whole", "mm-hm", "none", "failed"]))
    @precondition(lambda self: self.user_items)
    def words_come(self, how: str) -> None:
        item = self.user_items[-1]
        if how in {"wait", " a moment"}:
            self.talk.hears(ev.UserTranscriptPart(item, how))
        elif how == "failed":
            self.talk.hears(ev.UserTranscriptFailed(item, "audio_unintelligible", ""))
        else:
            text = {"whole": "wait a moment", "mm-hm": "Mm-hm.", "none": ""}[how]
            self.talk.hears(ev.UserTranscriptDone(item, text))

    @rule(key=st.sampled_from("1#x"))
    def key_is_pressed(self, key: str) -> None:
        self.talk.leg(ev.DigitPressed(key))

    # --- the provider ---------------------------------------------------------------------

    @rule(by=st.sampled_from(["request", "itself", "unannounced"]))
    @precondition(lambda self: self.running is None)
    def response_starts(self, by: str) -> None:
        """By itself a session has to have a reason: otherwise it is a server that gives no ids back."""
        self.responses += 1
        self.running = f"r{self.responses}"
        request = next(iter(self.talk.requests), "")
        is_answer = not self.talk.ids_given and not self.talk.machine.taking.turns.session_owes_reply
        if by == "unannounced":
            self.audio_comes(3)
        else:
            self.talk.hears(ev.ResponseStarted(self.running, (request or None) if by == "request" else None))
            if by == "itself" and is_answer:
                self.talk.requests.pop(next(reversed(self.talk.requests), ""), None)

    @rule(by=st.sampled_from(["request", "itself", "unannounced"]), frames=st.sampled_from([10, 50, 150]))
    @precondition(lambda self: self.running is None)
    def agent_speaks(self, by: str, frames: int) -> None:
        """A response, some of its audio, and a moment in which it is heard."""
        self.response_starts(by)
        self.audio_comes(frames)
        self.talk.passes(0.3)

    @rule(frames=st.sampled_from([1, 5, 50, 150]))
    @precondition(lambda self: self.responses)
    def audio_comes(self, frames: int) -> None:
        """Also of a response that is over."""
        response = self.running or f"r{self.responses}"
        self.audio_bytes += 160 * frames
        self.talk.hears(
            ev.AgentItemAdded(response, f"a-{response}"),
            ev.AgentTextPart(response, f"a-{response}", "some words "),
            ev.AgentAudio(response, f"a-{response}", b"\x22" * 160 * frames),
        )

    @rule()
    @precondition(lambda self: self.running)
    def tool_is_called(self) -> None:
        assert self.running is not None
        self.talk.hears(ev.ToolCallRequested(self.running, "call", "look_up", "{}"))

    @rule(
        status=st.sampled_from(ev.ResponseStatus),
        reason=st.sampled_from([None, "turn_detected"]),
        severity=st.sampled_from([None, None, None, ev.Severity.FATAL]),
    )
    @precondition(lambda self: self.running)
    def response_ends(self, status: ev.ResponseStatus, reason: str | None, severity: ev.Severity | None = None) -> None:
        assert self.running is not None
        response, self.running = self.running, None
        self.talk.hears(ev.ResponseEnded(response_id=response, status=status, reason=reason, severity=severity))

    @rule(severity=st.sampled_from([ev.Severity.BUSY, ev.Severity.REFUSED]), named=st.booleans())
    @precondition(lambda self: self.talk.requests)
    def request_is_refused(self, severity: ev.Severity, named: bool) -> None:
        request = next(iter(self.talk.requests))
        del self.talk.requests[request]
        if not named and severity is ev.Severity.REFUSED:
            self.talk.doubts_what_is_out()
        named_or_not = request if named else None
        self.talk.hears(ev.SessionProblem(code="e", message="m", severity=severity, request_id=named_or_not))

    # --- carrier and clock ------------------------------------------------------------------

    @rule(seconds=st.sampled_from([0.0, 0.02, 0.1, 0.3, 0.5, 1.0, 1.5, 3.0, 6.0, 11.0, 31.0]))
    def time_passes(self, seconds: float) -> None:
        self.talk.passes(seconds)

    @rule()
    @precondition(lambda self: self.may_be_machine and self.talk.over is None and len(self.talk.facts) > 10)
    def a_machine_answered(self) -> None:
        self.may_be_machine = False
        self.talk.take(self.talk.machine.leave_message(Message("Please call back."), self.talk.now))

    # --- what holds after each step -----------------------------------------------------------

    @invariant()
    def every_turn_is_in_exactly_one_place(self) -> None:
        ends, committed = self.talk.ends_of_turns(), self.talk.committed()
        assert set(ends.values()) <= {1}
        assert len(committed) == len(set(committed))
        turns = self.talk.machine.taking.turns
        assert not set(turns.open) & set(ends)
        if self.talk.over is None:
            assert turns.unsettled == len(committed) - len(ends)

    @invariant()
    def one_request_is_under_way_at_most(self) -> None:
        assert self.talk.collisions == []

    @invariant()
    def nothing_of_an_older_generation_is_written(self) -> None:
        generations = [order.generation for order in self.talk.wire]
        assert generations == sorted(generations)

    @invariant()
    def a_decision_is_open_only_while_the_agent_can_be_heard(self) -> None:
        machine = self.talk.machine
        assert not machine.taking.barge_in.is_open or machine.speech.audible_since is not None

    @invariant()
    def what_waits_has_a_deadline(self) -> None:
        machine = self.talk.machine
        waits = machine.taking.turns.unsettled or machine.taking.barge_in.is_open
        assert machine.deadline() is not None or not waits or self.talk.over is not None

    # --- the end --------------------------------------------------------------------------------

    def teardown(self) -> None:
        """Everybody goes quiet: what is open meets its end in time; then the call ends with nothing in hand."""
        if not hasattr(self, "talk"):
            return
        if self.talk.over is None:
            if self.responses % 2:
                self._provider_catches_up()
            self.talk.passes(_quiet_within_s(self.audio_bytes))
            self.what_is_left_when_all_are_quiet()
        if self.talk.over is None:
            self.talk.ends()
        self.what_is_left_of_a_call_that_is_over()

    def _provider_catches_up(self) -> None:
        """It ends what runs, and answers what is asked of it, for as long as something is asked."""
        if self.running is not None:
            self.response_ends(ev.ResponseStatus.COMPLETED, None)
        for _ in range(400):
            self.talk.passes(0.25)
            if self.talk.requests and self.talk.over is None:
                request = next(iter(self.talk.requests))
                self.responses += 1
                response = f"r{self.responses}"
                self.audio_bytes += 4000
                self.talk.hears(
                    ev.ResponseStarted(response, request),
                    ev.AgentAudio(response, f"a-{response}", b"\x33" * 4000),
                    ev.ResponseEnded(response_id=response, status=ev.ResponseStatus.COMPLETED),
                )

    def what_is_left_when_all_are_quiet(self) -> None:
        machine, committed = self.talk.machine, self.talk.committed()
        assert self.talk.ends_of_turns() == Counter(committed) or self.talk.over is not None
        if self.talk.over is None:
            assert machine.taking.is_quiet
            assert (machine.speech.playout.speaking, machine.speech.responses.waiting) == (False, 0)
            assert machine.speech.responses.phase is ResponsePhase.IDLE

    def what_is_left_of_a_call_that_is_over(self) -> None:
        talk, machine = self.talk, self.talk.machine
        told = len(talk.orders)
        assert (machine.deadline(), machine.taking.barge_in.is_open) == (None, False)
        assert (machine.speech.playout.speaking, machine.is_over) == (False, True)
        assert talk.over is not None
        talk.hears(
            ev.UserSpeechStarted("late", 0),
            ev.UserTurnCommitted("late"),
            ev.ResponseStarted("late"),
            ev.AgentAudio("late", "a-late", b"\x44" * 800),
        )
        talk.leg(ev.DigitPressed("1"))
        talk.take(machine.expire(talk.now + 60.0))
        late = [order.fact if isinstance(order, Notify) else order for order in talk.orders[told:]]
        assert {type(each) for each in late} <= {facts.UserTurn, facts.TurnEnded}  # told; nothing is ordered
        assert turn_times(talk.facts, talk.over) == machine.log.turns()
        items = [item for turn in machine.log.turns() for item in turn.items]
        assert Counter(items) == Counter(talk.committed())


def _quiet_within_s(audio_bytes: int) -> float:
    """The limits that may stand behind one another: a noise, two tries of a reply, what is left to be played."""
    return TURNS.patience_s + 4 * (TURNS.reply_s + START_S) + audio_bytes / 8000


TurnTakingMachine.TestCase.settings = examples(150, steps=40)
TestTurnTakingMachine = TurnTakingMachine.TestCase
