"""Barge-in against everything that user, words, agent and clock can do, together.

Under any policy: decisions are made again from their evidence, calls do not mix, nothing stays open.
"""

from __future__ import annotations

import attrs
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from voicecore.facts import BargeInDecision
from voicecore.turns.barge_in.machine import BargeIn
from voicecore.turns.barge_in.policy import AcousticEcho, BargeInPolicy, decide_again
from voicecore.turns.barge_in.strategies import AgentEcho, Backchannels, BargeInJudgement, MinSpeech, MinWords
from voicecore_tests.chance import examples
from voicecore_tests.turns.barge_in.test_barge_in import AUDIBLE_AT, SLACK_S, Breaks, Says, outcome

STRATEGIES = st.one_of(
    st.builds(MinSpeech, st.sampled_from([0.1, 0.3, 1.0, 5.0])),
    st.builds(MinWords, st.integers(1, 4)),
    st.sampled_from([Backchannels(), AgentEcho(), Breaks()]),
    st.just(Says("late", BargeInJudgement.GO_ON, lambda evidence: evidence.waited_s > 2.0)),
)
POLICIES = st.builds(
    BargeInPolicy,
    strategies=st.lists(STRATEGIES, max_size=3).map(tuple),
    confirm_s=st.sampled_from([0.05, 0.7, 1.5]),
    acoustic_echo=st.sampled_from(AcousticEcho),
    guard_s=st.sampled_from([0.0, 0.3]),
    echo_guard_s=st.sampled_from([0.0, 0.8]),
)
SAID = st.sampled_from(["", "yes", "stop", "wait please", "one two three four", "no I want the other one"])
TIMES_S = st.one_of(st.sampled_from([0.0, 0.1, 0.3, 0.8, 1.5]), st.floats(0.0, 3.0))
EVENTS = st.sampled_from(["onset", "stopped", "words", "all words", "agent ended", "time"])
SCRIPTS = st.lists(st.tuples(EVENTS, TIMES_S, SAID), min_size=1, max_size=30)
Script = list[tuple[str, float, str]]


@attrs.define
class Played:
    """One call that is played from a script, event by event."""

    machine: BargeIn
    now: float = AUDIBLE_AT
    audible_at: float = AUDIBLE_AT
    items: int = 0

    def step(self, event: str, after_s: float, words: str) -> BargeInDecision | None:
        """Let time pass, with or without anybody looking at the clock, and then something happen."""
        self.now += after_s
        machine, now = self.machine, self.now
        if event == "onset":
            self.items += 1
            return machine.onset(f"u{self.items}", self.audible_at, now, agent_words="and one two three four five")
        if event == "stopped":
            return machine.stopped(now)
        if event == "time":
            return machine.expire(now)
        if event == "agent ended":
            self.audible_at = now
            return machine.agent_ended(now)
        return machine.heard_words(f"u{self.items}", words, now, complete=event == "all words")


@given(POLICIES, SCRIPTS)
def test_every_decision_is_made_again_alike_under_its_own_policy(policy: BargeInPolicy, script: Script) -> None:
    """The evidence is all that a decision was made from."""
    call = Played(BargeIn(policy, 3.0))
    decisions = [decision for step in script if (decision := call.step(*step)) is not None]
    for decision in decisions:
        assert decide_again(decision, policy) == outcome(decision)


@given(POLICIES, SCRIPTS, SCRIPTS, st.lists(st.booleans(), max_size=60))
def test_f15_calls_that_share_their_strategies_do_not_mix(
    policy: BargeInPolicy, first: Script, second: Script, turns: list[bool]
) -> None:
    """Each call decides what it would decide alone, whatever goes on in the other."""
    alone = [Played(BargeIn(policy, 0.0)) for _ in range(2)]
    for call, script in zip(alone, (first, second), strict=True):
        for step in script:
            call.step(*step)
    together = [Played(BargeIn(policy, 0.0)) for _ in range(2)]
    left = [list(first), list(second)]
    for turn in [*turns, *[False] * len(first), *[True] * len(second)]:
        if left[turn]:
            together[turn].step(*left[turn].pop(0))
    assert [call.machine.decisions for call in together] == [call.machine.decisions for call in alone]
    assert [call.machine.failures for call in together] == [call.machine.failures for call in alone]


# --- everything together ----------------------------------------------------------------


class BargeInMachine(RuleBasedStateMachine):
    """User, words, agent and clock in any order, under any policy."""

    @initialize(policy=POLICIES)
    def begin(self, policy: BargeInPolicy) -> None:
        self.policy = policy
        self.machine = BargeIn(policy, 0.0)
        self.now = 0.0
        self.audible_at: float | None = None
        self.speaking = False
        self.onsets: list[str] = []  # made while the agent could be heard
        self.items: list[str] = []  # of the decision that is open
        self.opened_at = 0.0
        self.decided: list[BargeInDecision] = []

    def note(self, decision: BargeInDecision | None) -> None:
        """Hold a decision against what led to it."""
        if decision is None:
            return
        assert self.audible_at is not None
        assert decision.items == tuple(self.items)
        assert decision.at_s == self.opened_at
        assert decision.took_s == self.now - self.opened_at
        assert decide_again(decision, self.policy) == outcome(decision)
        self.decided.append(decision)
        self.items = []

    # --- the agent ----------------------------------------------------------------------

    @rule()
    @precondition(lambda self: self.audible_at is None)
    def agent_begins(self) -> None:
        self.audible_at = self.now

    @rule()
    @precondition(lambda self: self.audible_at is not None)
    def agent_ends(self) -> None:
        self.note(self.machine.agent_ended(self.now))
        self.audible_at = None

    # --- the user ---------------------------------------------------------------------

    @rule()
    @precondition(lambda self: self.audible_at is not None)
    def user_begins(self) -> None:
        assert self.audible_at is not None
        self.speaking = True
        item_id = f"u{len(self.onsets) + 1}"
        if not self.items:
            self.opened_at = self.now
        self.onsets.append(item_id)
        self.items.append(item_id)
        self.note(self.machine.onset(item_id, self.audible_at, self.now, agent_words="and one two three four five"))

    @rule()
    def user_stops(self) -> None:
        self.speaking = False
        self.note(self.machine.stopped(self.now))

    @rule(back=st.integers(0, 2), words=SAID, complete=st.booleans())
    @precondition(lambda self: self.onsets)
    def words_come(self, back: int, words: str, complete: bool) -> None:
        item_id = self.onsets[max(0, len(self.onsets) - 1 - back)]
        self.note(self.machine.heard_words(item_id, words, self.now, complete=complete))

    # --- time ---------------------------------------------------------------------------

    @rule(step_s=TIMES_S)
    def time_passes(self, step_s: float) -> None:
        self.now += step_s
        self.note(self.machine.expire(self.now))
        deadline = self.machine.deadline()
        assert deadline is None or deadline > self.now

    @rule()
    def clock_is_punctual(self) -> None:
        """`expire` exactly at the next deadline."""
        deadline = self.machine.deadline()
        if deadline is not None:
            self.now = max(self.now, deadline)
            self.note(self.machine.expire(self.now))
            again = self.machine.deadline()
            assert again is None or again > self.now

    @rule()
    def all_is_quiet(self) -> None:
        """Once the user is silent every decision closes, within its bound."""
        self.user_stops()
        ends_by = self.now + self.policy.gate + self.policy.confirm_s + SLACK_S
        while (deadline := self.machine.deadline()) is not None:
            self.now = max(self.now, deadline)
            assert self.now <= ends_by
            self.note(self.machine.expire(self.now))
        assert not self.machine.is_open

    # --- what always holds --------------------------------------------------------------

    @invariant()
    def at_most_one_decision_is_open_and_only_over_the_agent(self) -> None:
        assert self.machine.is_open == bool(self.items)
        assert self.audible_at is not None or not self.machine.is_open
        assert (self.machine.deadline() is not None) == self.machine.is_open

    @invariant()
    def each_onset_is_in_exactly_one_decision(self) -> None:
        assert [item for decision in self.decided for item in decision.items] + self.items == self.onsets

    @invariant()
    def what_is_kept_is_the_newest_and_in_order(self) -> None:
        assert list(self.machine.decisions) == self.decided[-64:]
        for decision in self.decided[-1:]:
            waited = [evidence.waited_s for evidence in decision.evidence]
            assert waited == sorted(waited)
            assert all(-SLACK_S <= each.speech_s <= each.waited_s + SLACK_S for each in decision.evidence)


BargeInMachine.TestCase.settings = examples(150, steps=40)
TestBargeInMachine = BargeInMachine.TestCase
