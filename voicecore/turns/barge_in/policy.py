"""When the user's speech over the agent stops it: the policy, and what it makes of evidence.

Rule 1: the first strategy that says so decides.  A strategy that raises is left
out of that one question, and reported.
Rule 2: a decision can be made anew from its evidence, under any policy.

Pure.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Iterable

import attrs

from voicecore import kinds
from voicecore.facts import BargeInDecision, BargeInOutcome, SpeechEvidence
from voicecore.turns.barge_in.strategies import BargeInJudgement, BargeInStrategy

BY_SESSION = "the session"
BY_AGENT_END = "the agent's end"
BY_TIME = "time"
BY_GATE = "gate"
SLACK_S = 1e-6  #: of sums of seconds


class AcousticEcho(enum.Enum):
    """Whether the agent's own voice comes back to us as if the user spoke."""

    CANCELLED = "cancelled"  #: by the network or the phone, as is usual
    PRESENT = "present"  #: loudspeakers, some SIP trunks


class AfterCut(enum.Enum):
    """What the history keeps of words that were cut: the session's, the transcript's, alike for every source."""

    HEARD = "heard"  #: what the user heard of them
    FULL = "full"  #: all of them: for words that count as said
    NONE = "none"  #: nothing


@attrs.frozen(kw_only=True)
class BargeInPolicy:
    """When the user stops the agent.

    With strategies, or a gate, the engine decides; the session is then opened so
    that it neither interrupts nor replies by itself.
    """

    strategies: tuple[BargeInStrategy, ...] = attrs.field(
        default=(), validator=kinds.many(kinds.instance(BargeInStrategy))
    )
    """Asked in this order; none: the onset of speech decides."""
    confirm_s: float = attrs.field(default=1.5, validator=kinds.seconds(above=0, high=60))
    """How long a decision stays open once the user is silent: the words may still come."""
    acoustic_echo: AcousticEcho = attrs.field(default=AcousticEcho.CANCELLED, validator=kinds.member(AcousticEcho))
    """Whether the agent's own voice comes back on the line."""
    guard_s: float = attrs.field(default=0.0, validator=kinds.seconds(0, 60))
    """From the first audible audio of the agent: speech within it does not count, and must last beyond it; words do.
    On a clean line."""
    echo_guard_s: float = attrs.field(default=0.8, validator=kinds.seconds(0, 60))
    """The same on a line with acoustic echo: the agent's own first words come back in it."""
    after_cut: AfterCut = attrs.field(default=AfterCut.HEARD, validator=kinds.member(AfterCut))
    """What transcript and model keep of words that were cut: what was heard, all of them, or nothing."""
    keys_stop_agent: bool = attrs.field(default=True, validator=kinds.SWITCH)
    """Whether a key of the keypad cuts the agent short."""

    @property
    def gate(self) -> float:
        """Seconds for this kind of line."""
        return self.guard_s if self.acoustic_echo is AcousticEcho.CANCELLED else self.echo_guard_s

    @property
    def engine_decides(self) -> bool:
        """Whether an onset alone is not enough."""
        return bool(self.strategies) or self.gate > 0


@attrs.frozen
class StrategyFailed:
    """A strategy raised."""

    name: str
    error: str


def judge(
    policy: BargeInPolicy, evidence: SpeechEvidence, failures: deque[StrategyFailed] | None = None
) -> tuple[BargeInOutcome, str] | None:
    """Return what a piece of evidence decides under a policy, and who says so; None while it decides nothing."""
    if not policy.strategies:
        return BargeInOutcome.CONFIRMED, "onset"
    counted = _without_gate(evidence, policy)
    for strategy in policy.strategies:
        name = type(strategy).__name__
        try:
            name = strategy.name
            judgement = strategy.judge(counted)
        except Exception as error:  # noqa: BLE001 - a program's own code must not cost the call
            if failures is not None:
                failures.append(StrategyFailed(name, f"{type(error).__name__}: {error}"))
            continue
        if judgement in _OUTCOMES:
            return _OUTCOMES[judgement], name
        if judgement is BargeInJudgement.NOT_YET:
            return None
    return None


_OUTCOMES = {BargeInJudgement.STOP: BargeInOutcome.CONFIRMED, BargeInJudgement.GO_ON: BargeInOutcome.DISMISSED}


def _without_gate(evidence: SpeechEvidence, policy: BargeInPolicy) -> SpeechEvidence:
    """Return evidence in which speech inside the gate does not count: it may be the agent's own."""
    gated_s = max(0.0, policy.gate - evidence.agent_audible_s)
    return attrs.evolve(evidence, speech_s=max(0.0, evidence.speech_s - gated_s)) if gated_s > 0 else evidence


def decide_again(decision: BargeInDecision, policy: BargeInPolicy) -> tuple[BargeInOutcome, str]:
    """Make a decision anew, from its evidence, under another policy.

    The gate is a matter of when speech began, and is judged by the same times.
    """
    return _first_verdict(_past_gate(decision.evidence, policy), policy) or _without_verdict(decision, policy)


def _past_gate(evidence: Iterable[SpeechEvidence], policy: BargeInPolicy) -> Iterable[SpeechEvidence]:
    return (each for each in evidence if each.agent_audible_s + each.waited_s + SLACK_S >= policy.gate)


def _first_verdict(evidence: Iterable[SpeechEvidence], policy: BargeInPolicy) -> tuple[BargeInOutcome, str] | None:
    verdicts = (judge(policy, each) for each in evidence)
    return next((verdict for verdict in verdicts if verdict is not None), None)


def _without_verdict(decision: BargeInDecision, policy: BargeInPolicy) -> tuple[BargeInOutcome, str]:
    if decision.decided_by == BY_SESSION:
        return BargeInOutcome.CONFIRMED, BY_SESSION
    if decision.outcome is BargeInOutcome.OVERTAKEN:
        return BargeInOutcome.OVERTAKEN, BY_AGENT_END
    within_gate = not any(_past_gate(decision.evidence[-1:], policy))
    return BargeInOutcome.DISMISSED, BY_GATE if within_gate else BY_TIME
