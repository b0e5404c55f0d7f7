"""Barge-in: what the user's speech over the agent comes to, and from what it was decided.

Everything that user, words, agent and clock can do, together, is in test_barge_in_machine.py.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicecore import events as ev
from voicecore.audio.formats import PCMU_8K
from voicecore.facts import BargeInDecision, BargeInOutcome, SpeechEvidence
from voicecore.turns.barge_in.machine import BargeIn
from voicecore.turns.barge_in.policy import AcousticEcho, BargeInPolicy, StrategyFailed, decide_again
from voicecore.turns.barge_in.strategies import Backchannels, BargeInJudgement, BargeInStrategy, MinSpeech, MinWords
from voicecore.turns.conversation import Conversation
from voicecore.turns.settings import ConversationSettings

TICK_S = 0.001
SLACK_S = 1e-6
AUDIBLE_AT = 10.0
GATES = BargeInPolicy(guard_s=0.5, echo_guard_s=0.75)
LINES = pytest.mark.parametrize(("echo", "guard_s"), [(AcousticEcho.CANCELLED, 0.5), (AcousticEcho.PRESENT, 0.75)])


def anything(_: SpeechEvidence) -> bool:
    return True


@attrs.frozen
class Says:
    """A strategy that says one thing wherever it applies."""

    name: str
    judgement: BargeInJudgement
    applies: Callable[[SpeechEvidence], bool] = anything

    def judge(self, evidence: SpeechEvidence) -> BargeInJudgement:
        return self.judgement if self.applies(evidence) else BargeInJudgement.UNDECIDED


@attrs.frozen
class Breaks:
    """A strategy that raises."""

    name: str = "broken"

    def judge(self, evidence: SpeechEvidence) -> BargeInJudgement:
        raise ValueError(f"after {evidence.waited_s:g} s")


def asked(*strategies: BargeInStrategy, confirm_s: float = 1.5) -> BargeInPolicy:
    return BargeInPolicy(strategies=strategies, confirm_s=confirm_s)


def run_until(machine: BargeIn, end: float) -> BargeInDecision | None:
    """Call `expire` at exactly the moments that `deadline` names, up to the first decision."""
    while (moment := machine.deadline()) is not None and moment <= end + SLACK_S:
        if (decision := machine.expire(moment)) is not None:
            return decision
    return None


def outcome(decision: BargeInDecision | None) -> tuple[BargeInOutcome, str] | None:
    return None if decision is None else (decision.outcome, decision.decided_by)


# --- the onset, and the gate ------------------------------------------------------------


def test_an_onset_alone_decides_where_nothing_is_asked_for() -> None:
    """No gate, no strategies: confirmed in the instant of the onset."""
    machine = BargeIn(BargeInPolicy(), 4.0)
    decision = machine.onset("u1", AUDIBLE_AT, 11.0, agent_words="one two")
    assert decision == BargeInDecision(
        at_s=7.0,
        items=("u1",),
        outcome=BargeInOutcome.CONFIRMED,
        decided_by="onset",
        took_s=0.0,
        evidence=(
            SpeechEvidence(waited_s=0.0, speech_s=0.0, speaking=True, agent_audible_s=1.0, agent_words="one two"),
        ),
    )
    assert (machine.is_open, machine.deadline(), list(machine.decisions)) == (False, None, [decision])


def test_an_onset_decides_where_the_session_stops_the_agent_by_itself() -> None:
    """There is nothing left to decide, whatever the policy."""
    machine = BargeIn(attrs.evolve(GATES, strategies=(MinWords(9),)), 0.0)
    decision = machine.onset("u1", AUDIBLE_AT, AUDIBLE_AT, alone_decides=True)
    assert decision is not None
    assert outcome(decision) == (BargeInOutcome.CONFIRMED, "the session")
    assert decide_again(decision, machine.policy) == outcome(decision)


def test_the_engine_decides_only_where_an_onset_is_not_enough() -> None:
    """The gate of the other kind of line counts for nothing."""
    policies = [
        BargeInPolicy(),
        BargeInPolicy(guard_s=0.1),
        BargeInPolicy(acoustic_echo=AcousticEcho.PRESENT),
        asked(MinSpeech()),
    ]
    assert [policy.engine_decides for policy in policies] == [False, True, True, True]
    assert not BargeInPolicy(acoustic_echo=AcousticEcho.PRESENT, echo_guard_s=0.0, guard_s=9.0).engine_decides


@LINES
@pytest.mark.parametrize(
    ("beside_s", "decides"), [(None, False), (-TICK_S, False), (0.0, True), (TICK_S, True)], ids=str
)
def test_an_onset_before_the_end_of_the_gate_does_not_decide(
    echo: AcousticEcho, guard_s: float, beside_s: float | None, decides: bool
) -> None:
    """At the first audio, a tick before the end of the gate, at it and a tick after it; a setting each kind of line."""
    machine = BargeIn(attrs.evolve(GATES, acoustic_echo=echo), 0.0)
    onset_at = AUDIBLE_AT if beside_s is None else AUDIBLE_AT + guard_s + beside_s
    assert (machine.onset("u1", AUDIBLE_AT, onset_at) is not None) == decides
    assert machine.deadline() == (None if decides else AUDIBLE_AT + guard_s)


@LINES
def test_the_gate_counts_from_the_first_audible_audio(echo: AcousticEcho, guard_s: float) -> None:
    """Not from the onset: however early speech began, it is waited for to the same moment."""
    for onset_at in (AUDIBLE_AT, AUDIBLE_AT + 0.25, AUDIBLE_AT + 0.375):
        machine = BargeIn(attrs.evolve(GATES, acoustic_echo=echo), 0.0)
        machine.onset("u1", AUDIBLE_AT, onset_at)
        assert machine.expire(AUDIBLE_AT + guard_s - TICK_S) is None
        decision = machine.expire(AUDIBLE_AT + guard_s)
        assert outcome(decision) == (BargeInOutcome.CONFIRMED, "onset")
        assert decision is not None
        assert decision.took_s == AUDIBLE_AT + guard_s - onset_at


@LINES
@pytest.mark.parametrize(
    ("beside_s", "expected"),
    [
        (-TICK_S, (BargeInOutcome.DISMISSED, "gate")),
        (0.0, (BargeInOutcome.CONFIRMED, "onset")),
        (TICK_S, (BargeInOutcome.CONFIRMED, "onset")),
    ],
    ids=str,
)
def test_speech_has_to_last_beyond_the_gate(
    echo: AcousticEcho, guard_s: float, beside_s: float, expected: tuple[BargeInOutcome, str]
) -> None:
    """What is over before is most likely the agent's own echo."""
    machine = BargeIn(attrs.evolve(GATES, acoustic_echo=echo), 0.0)
    machine.onset("u1", AUDIBLE_AT, AUDIBLE_AT + 0.125)
    assert outcome(machine.stopped(AUDIBLE_AT + guard_s + beside_s)) == expected
    assert (machine.is_open, machine.deadline()) == (False, None)


def test_words_do_not_open_the_gate() -> None:
    """The echo of the agent's first words has words too."""
    machine = BargeIn(attrs.evolve(GATES, strategies=(MinWords(1),)), 0.0)
    machine.onset("u1", AUDIBLE_AT, AUDIBLE_AT)
    assert machine.heard_words("u1", "hello there", AUDIBLE_AT + 0.25, complete=False) is None
    assert outcome(run_until(machine, 99.0)) == (BargeInOutcome.CONFIRMED, "1 words")
    assert machine.decisions[0].took_s == 0.5


@pytest.mark.parametrize(("confirm_s", "took_s"), [(1.5, 1.75), (0.125, 0.5)], ids=["beyond the gate", "within it"])
def test_with_strategies_speech_that_was_over_within_the_gate_waits_for_its_words(
    confirm_s: float, took_s: float
) -> None:
    """They are asked when the gate opens, and for as long as after any other speech."""
    machine = BargeIn(attrs.evolve(GATES, strategies=(MinWords(1),), confirm_s=confirm_s), 0.0)
    machine.onset("u1", AUDIBLE_AT, AUDIBLE_AT)
    assert machine.stopped(AUDIBLE_AT + 0.25) is None
    assert machine.deadline() == AUDIBLE_AT + 0.5
    decision = run_until(machine, 99.0)
    assert outcome(decision) == (BargeInOutcome.DISMISSED, "time")
    assert decision is not None
    assert decision.took_s == took_s


# --- the strategies ---------------------------------------------------------------------


def test_the_first_strategy_that_says_so_decides() -> None:
    """They are asked in their order; undecided ones are passed over."""
    undecided = Says("undecided", BargeInJudgement.UNDECIDED)
    stop, go_on = Says("stop", BargeInJudgement.STOP), Says("go on", BargeInJudgement.GO_ON)
    for strategies, expected in [
        ((undecided, stop, go_on), (BargeInOutcome.CONFIRMED, "stop")),
        ((undecided, go_on, stop), (BargeInOutcome.DISMISSED, "go on")),
    ]:
        assert outcome(BargeIn(asked(*strategies), 0.0).onset("u1", 0.0, 1.0)) == expected


def test_strategies_are_asked_ten_times_a_second_while_the_user_speaks() -> None:
    """Time alone is news for them."""
    machine = BargeIn(asked(MinSpeech(0.55)), 0.0)
    machine.onset("u1", AUDIBLE_AT, 11.0)
    decision = run_until(machine, 99.0)
    assert outcome(decision) == (BargeInOutcome.CONFIRMED, "speech of 0.55 s")
    assert decision is not None
    assert [evidence.waited_s for evidence in decision.evidence] == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6])


def test_nobody_is_asked_again_in_silence() -> None:
    """Nothing is learned from it; only the words and the deadline matter."""
    machine = BargeIn(asked(MinSpeech(0.5)), 0.0)
    machine.onset("u1", AUDIBLE_AT, 11.0)
    machine.stopped(11.25)
    assert machine.deadline() == 11.25 + 1.5


@pytest.mark.parametrize(("beside_s", "is_open"), [(-TICK_S, True), (0.0, False), (TICK_S, False)], ids=str)
def test_a_decision_is_dropped_so_long_after_the_end_of_speech(beside_s: float, is_open: bool) -> None:
    """Counted from the end of speech, not from its onset: a tick before it is open, at the deadline it is not."""
    machine = BargeIn(asked(MinWords(2)), 0.0)
    machine.onset("u1", AUDIBLE_AT, 11.0)
    run_until(machine, 14.0)
    assert machine.is_open  # for as long as the user speaks
    machine.stopped(14.0)
    decision = machine.expire(15.5 + beside_s)
    assert (machine.is_open, decision is None) == (is_open, is_open)
    if decision is not None:
        assert outcome(decision) == (BargeInOutcome.DISMISSED, "time")
        assert decision.took_s == pytest.approx(4.5 + beside_s)


def test_a_repeated_end_of_speech_does_not_lengthen_the_wait() -> None:
    """The first one counts."""
    machine = BargeIn(asked(MinWords(2)), 0.0)
    machine.onset("u1", AUDIBLE_AT, 11.0)
    assert [machine.stopped(12.0), machine.stopped(13.0)] == [None, None]
    assert machine.deadline() == 13.5


def test_words_that_come_after_the_end_of_speech_confirm() -> None:
    """That is what the decision stays open for."""
    machine = BargeIn(asked(MinWords(2)), 0.0)
    machine.onset("u1", AUDIBLE_AT, 11.0)
    machine.stopped(11.5)
    assert machine.heard_words("u1", "no", 12.0, complete=False) is None
    decision = machine.heard_words("u1", "no wait", 12.5, complete=False)
    assert outcome(decision) == (BargeInOutcome.CONFIRMED, "2 words")
    assert decision is not None
    assert (decision.took_s, [each.speech_s for each in decision.evidence]) == (1.5, [0.0, 0.5, 0.5, 0.5])


def test_d3_words_that_come_while_the_user_speaks_are_evidence_at_once() -> None:
    """Nothing has to be over for a strategy that needs words."""
    machine = BargeIn(asked(MinWords(2)), 0.0)
    machine.onset("u1", AUDIBLE_AT, 11.0)
    assert outcome(machine.heard_words("u1", "wait please", 11.25, complete=False)) == (
        BargeInOutcome.CONFIRMED,
        "2 words",
    )


def test_words_of_another_turn_are_no_evidence() -> None:
    """A transcript may be late by several turns."""
    machine = BargeIn(asked(MinWords(1)), 0.0)
    assert machine.heard_words("u1", "hello", 10.5, complete=True) is None
    machine.onset("u2", AUDIBLE_AT, 11.0)
    assert machine.heard_words("u1", "hello", 11.01, complete=True) is None
    machine.agent_ended(11.05)
    assert [len(decision.evidence) for decision in machine.decisions] == [1]


def test_d3_d11_the_words_of_every_sound_of_a_decision_count() -> None:
    """The transcript of the first one comes behind a cough: it is evidence all the same."""
    machine = BargeIn(asked(MinWords(3)), 0.0)
    machine.onset("u1", AUDIBLE_AT, 11.0)
    machine.stopped(11.5)
    machine.onset("u2", AUDIBLE_AT, 12.0)
    machine.stopped(12.1)
    assert machine.heard_words("u1", "stop it", 12.25, complete=True) is None
    assert outcome(machine.heard_words("u2", "now", 12.5, complete=True)) == (BargeInOutcome.CONFIRMED, "3 words")
    evidence = machine.decisions[0].evidence
    assert [each.words for each in evidence] == [None, None, None, None, "stop it", "stop it now"]
    assert [each.words_complete for each in evidence] == [False] * 5 + [True]


def test_d16_d20_words_that_stay_unknown_decline_nothing() -> None:
    """A transcription failed: other strategies go on, and without any the time decides."""
    machine = BargeIn(asked(MinWords(1), MinSpeech(2.0)), 0.0)
    machine.onset("u1", AUDIBLE_AT, 11.0)
    assert machine.heard_words("u1", None, 11.5, complete=True) is None
    assert outcome(run_until(machine, 13.5)) == (BargeInOutcome.CONFIRMED, "speech of 2 s")


def test_speech_inside_the_gate_does_not_count_and_words_do() -> None:
    """The agent's own echo may last as long as it likes; a word that was understood is a word."""
    policy = BargeInPolicy(strategies=(MinSpeech(0.3), MinWords(1)), guard_s=1.0)
    machine = BargeIn(policy, 0.0)
    machine.onset("u1", AUDIBLE_AT, AUDIBLE_AT + 0.1)
    machine.stopped(AUDIBLE_AT + 0.9)
    assert run_until(machine, AUDIBLE_AT + 1.2) is None
    assert outcome(machine.heard_words("u1", "Stop.", AUDIBLE_AT + 1.3, complete=True)) == (
        BargeInOutcome.CONFIRMED,
        "1 words",
    )


def test_d24_a_murmur_lets_the_agent_talk_on_and_the_next_speech_is_a_new_matter() -> None:
    """Declined; nothing of it is left in the next decision."""
    machine = BargeIn(asked(Backchannels(), MinWords(1)), 0.0)
    machine.onset("u1", AUDIBLE_AT, 11.0)
    machine.stopped(11.25)
    assert outcome(machine.heard_words("u1", "Mm-hm.", 11.5, complete=True)) == (
        BargeInOutcome.DISMISSED,
        "backchannels",
    )
    assert machine.onset("u2", AUDIBLE_AT, 12.0) is None
    decision = machine.heard_words("u2", "Stop.", 12.25, complete=True)
    assert decision is not None
    assert (decision.items, decision.took_s, decision.evidence[0].words) == (("u2",), 0.25, None)


def test_a_strategy_that_raises_is_left_out_and_reported_by_its_name() -> None:
    """The others decide all the same."""
    machine = BargeIn(asked(Breaks("mine"), MinSpeech(0.1)), 0.0)
    machine.onset("u1", AUDIBLE_AT, 11.0)
    assert list(machine.failures) == [StrategyFailed("mine", "ValueError: after 0 s")]
    assert outcome(run_until(machine, 12.0)) == (BargeInOutcome.CONFIRMED, "speech of 0.1 s")
    assert [failed.name for failed in machine.failures] == ["mine", "mine"]


def test_where_every_strategy_raises_the_deadline_still_decides() -> None:
    """Nothing stays open, and what is kept of the failures is bounded."""
    machine = BargeIn(asked(Breaks(), Breaks("other")), 0.0)
    machine.onset("u1", AUDIBLE_AT, 11.0)
    assert run_until(machine, 20.0) is None
    machine.stopped(20.0)
    assert outcome(run_until(machine, 99.0)) == (BargeInOutcome.DISMISSED, "time")
    assert len(machine.failures) == 64


# --- one decision -----------------------------------------------------------------------


def test_d2_the_onset_is_stamped_once() -> None:
    """More speech while it is open is evidence of the same decision; detection counts from the first."""
    machine = BargeIn(asked(MinWords(2)), 1.0)
    assert machine.onset("u1", AUDIBLE_AT, 11.0) is None
    machine.stopped(11.5)
    assert machine.onset("u2", AUDIBLE_AT, 12.0) is None
    machine.stopped(12.25)
    assert machine.onset("u3", AUDIBLE_AT, 13.0) is None
    decision = machine.heard_words("u3", "stop it", 13.5, complete=False)
    assert decision is not None
    assert (decision.at_s, decision.took_s, decision.items) == (10.0, 2.5, ("u1", "u2", "u3"))
    assert list(machine.decisions) == [decision]
    waited = [each.waited_s for each in decision.evidence]
    assert waited == sorted(waited)
    assert {each.agent_audible_s for each in decision.evidence} == {1.0}


def test_a_user_who_goes_on_is_waited_for() -> None:
    """The time runs from the end of the last sound."""
    machine = BargeIn(asked(MinWords(2)), 0.0)
    machine.onset("u1", AUDIBLE_AT, 11.0)
    machine.stopped(11.5)
    machine.onset("u2", AUDIBLE_AT, 12.5)
    assert run_until(machine, 15.0) is None
    machine.stopped(15.0)
    assert outcome(run_until(machine, 99.0)) == (BargeInOutcome.DISMISSED, "time")
    assert machine.decisions[0].took_s == pytest.approx(5.5)


def test_the_silence_between_two_sounds_is_not_speech() -> None:
    """Two coughs are no speech of a second."""
    machine = BargeIn(asked(MinSpeech(0.6)), 0.0)
    machine.onset("u1", AUDIBLE_AT, 11.0)
    machine.stopped(11.25)
    assert machine.onset("u2", AUDIBLE_AT, 12.0) is None
    machine.stopped(12.25)
    assert outcome(run_until(machine, 99.0)) == (BargeInOutcome.DISMISSED, "time")
    assert [each.speech_s for each in machine.decisions[0].evidence][-1] == 0.5


@pytest.mark.parametrize("policy", [GATES, asked(MinWords(2)), asked(MinSpeech(0.5), confirm_s=9.0)])
@pytest.mark.parametrize("silent", [False, True], ids=["speaking", "silent"])
def test_d1_nothing_is_left_of_a_decision_after_the_agent_s_end(policy: BargeInPolicy, silent: bool) -> None:
    """It is closed as overtaken: the user's words are a turn like any other."""
    machine = BargeIn(policy, 0.0)
    machine.onset("u1", AUDIBLE_AT, AUDIBLE_AT)
    if silent and policy.strategies:
        machine.stopped(AUDIBLE_AT + 0.0625)
    assert outcome(machine.agent_ended(AUDIBLE_AT + 0.125)) == (BargeInOutcome.OVERTAKEN, "the agent's end")
    assert (machine.is_open, machine.deadline(), machine.expire(99.0)) == (False, None, None)
    assert [machine.stopped(11.0), machine.heard_words("u1", "stop it", 11.0, complete=True)] == [None, None]
    assert machine.agent_ended(12.0) is None
    assert len(machine.decisions) == 1


def test_d1_nothing_is_left_of_a_decision_after_the_end_of_the_call() -> None:
    """No deadline of a call after its end."""
    talk = Conversation(PCMU_8K, 0.0, ConversationSettings(barge_in=asked(MinWords(2))))
    replies = ev.Capabilities(detects_turns=True, replies=False, interrupts=False, speaks=True, transcribes_user=True)
    talk.session_ready(replies, 0.0)
    talk.handle_session(ev.ResponseStarted("r1"), 0.0)
    talk.handle_session(ev.AgentAudio("r1", "a1", bytes(8000)), 0.0)
    for order in talk.due(0.0):
        talk.sent(order, 0.0)
    talk.handle_session(ev.UserSpeechStarted("u1", 0), 0.1)
    assert talk.taking.barge_in.is_open
    talk.end(0.2)
    assert (talk.deadline(), talk.expire(99.0)) == (None, [])


def test_what_is_kept_of_a_decision_is_bounded() -> None:
    """Ten minutes of noise: the first evidence is kept, and the newest."""
    machine = BargeIn(asked(MinWords(2)), 0.0)
    machine.onset("u1", AUDIBLE_AT, 11.0)
    run_until(machine, 611.0)
    decision = machine.agent_ended(611.0)
    assert decision is not None
    assert len(decision.evidence) == 256
    assert decision.evidence[0].waited_s == 0.0
    assert decision.evidence[-1].waited_s == pytest.approx(600.0, abs=0.1)


def test_the_newest_decisions_are_kept() -> None:
    """As many as a report can use."""
    machine = BargeIn(BargeInPolicy(), 0.0)
    for number in range(100):
        machine.onset(f"u{number}", AUDIBLE_AT, 11.0 + number)
    assert [decision.items for decision in machine.decisions] == [(f"u{number}",) for number in range(36, 100)]


# --- decided again ----------------------------------------------------------------------


def test_the_same_evidence_may_mean_something_else_to_another_policy() -> None:
    """That is what evidence is kept for."""
    machine = BargeIn(asked(MinWords(3)), 0.0)
    machine.onset("u1", AUDIBLE_AT, 10.5)
    run_until(machine, 11.5)
    machine.stopped(11.5)
    decision = machine.heard_words("u1", "wait a", 12.0, complete=True)
    assert decision is not None
    assert outcome(decision) == (BargeInOutcome.DISMISSED, "3 words")
    for policy, expected in {
        asked(MinWords(2)): (BargeInOutcome.CONFIRMED, "2 words"),
        asked(MinSpeech(0.8), MinWords(3)): (BargeInOutcome.CONFIRMED, "speech of 0.8 s"),
        asked(MinSpeech(3.0)): (BargeInOutcome.DISMISSED, "time"),
        BargeInPolicy(): (BargeInOutcome.CONFIRMED, "onset"),
        BargeInPolicy(guard_s=1.0): (BargeInOutcome.CONFIRMED, "onset"),
        BargeInPolicy(guard_s=3.0): (BargeInOutcome.DISMISSED, "gate"),
    }.items():
        assert decide_again(decision, policy) == expected


@given(st.floats(0.0, 1e5), st.sampled_from([0.3, 0.5, 0.8]), st.floats(0.0, 0.9))
def test_a_decision_at_the_very_end_of_the_gate_is_made_again_alike(
    audible_at: float, guard_s: float, within: float
) -> None:
    """Whatever the rounding of the clock: it was the time that declined it, not the gate."""
    policy = BargeInPolicy(strategies=(MinWords(1),), guard_s=guard_s, confirm_s=0.01)
    machine = BargeIn(policy, 0.0)
    machine.onset("u1", audible_at, audible_at + within * guard_s)
    machine.stopped(audible_at + within * guard_s)
    decision = run_until(machine, audible_at + 9.0)
    assert decision is not None
    assert outcome(decision) == decide_again(decision, policy) == (BargeInOutcome.DISMISSED, "time")


def test_a_decision_of_the_gate_may_be_made_again_under_a_shorter_one() -> None:
    """The times are in the evidence."""
    machine = BargeIn(GATES, 0.0)
    machine.onset("u1", AUDIBLE_AT, AUDIBLE_AT + 0.125)
    decision = machine.stopped(AUDIBLE_AT + 0.375)
    assert decision is not None
    assert decide_again(decision, GATES) == (BargeInOutcome.DISMISSED, "gate")
    assert decide_again(decision, attrs.evolve(GATES, guard_s=0.25)) == (BargeInOutcome.CONFIRMED, "onset")
