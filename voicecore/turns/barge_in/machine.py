"""Barge-in: whether the user's speech over the agent stops it.

    NONE ──onset──► GATED ──► PENDING ──► confirmed │ declined │ overtaken ──► NONE
           └── no gate, no strategies: confirmed at once

Rule 1: only an agent that the user can hear is barged in on; the gate counts
from the first audio that was sent.
Rule 2: one decision at a time; its onset is stamped once.  More speech while it
is open is evidence of the same decision.
Rule 3: the first strategy that says so decides.  A strategy that raises is left
out of that one question, and reported.
Rule 4: a decision stays open while the user speaks, and ``confirm_s`` after
that; then it is declined.  It never outlives the agent's words or the call.
Rule 5: a decision keeps its evidence; `decide_again` makes it anew.

Pure: no Trio; time is an argument.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Iterable

import attrs

from voicecore import kinds
from voicecore.facts import BargeInDecision, BargeInOutcome, SpeechEvidence
from voicecore.turns.barge_in.strategies import BargeInJudgement, BargeInStrategy

_TICK_S = 0.1  #: how often speech that goes on is judged again
_KEPT = 64  #: decisions that are kept for the report
_MOST_ITEMS = 64  #: sounds of one decision
_BY_SESSION = "the session"
_MOST_EVIDENCE = 256  #: of one decision; beyond it, the newest replaces the last
_SLACK_S = 1e-6


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
    echo: AcousticEcho = attrs.field(default=AcousticEcho.CANCELLED, validator=kinds.member(AcousticEcho))
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
        return self.guard_s if self.echo is AcousticEcho.CANCELLED else self.echo_guard_s

    @property
    def engine_decides(self) -> bool:
        """Whether an onset alone is not enough."""
        return bool(self.strategies) or self.gate > 0


@attrs.frozen
class StrategyFailed:
    """A strategy raised."""

    name: str
    error: str


@attrs.define
class _Open:
    """The decision that is open."""

    onset_at: float
    gated_until: float
    agent_audible_s: float
    agent_words: str
    items: list[str] = attrs.field(factory=list)
    stopped_at: float | None = None
    silent_s: float = 0.0  # between the sounds
    words: dict[str, str | None] = attrs.field(factory=dict)  # by item; None: they will stay unknown
    incomplete: set[str] = attrs.field(factory=set)
    evidence: list[SpeechEvidence] = attrs.field(factory=list)

    def take_note(self, now: float) -> None:
        """Add what is known now to the evidence."""
        known = [words for words in self.words.values() if words is not None]
        evidence = SpeechEvidence(
            waited_s=now - self.onset_at,
            speech_s=(now if self.stopped_at is None else self.stopped_at) - self.onset_at - self.silent_s,
            speaking=self.stopped_at is None,
            words=" ".join(known) or (known[0] if known else None),
            words_complete=bool(known) and not self.incomplete,
            agent_audible_s=self.agent_audible_s,
            agent_words=self.agent_words,
        )
        if len(self.evidence) >= _MOST_EVIDENCE:
            self.evidence.pop()
        self.evidence.append(evidence)


class BargeIn:
    """The barge-ins of one call."""

    def __init__(self, policy: BargeInPolicy, began_at: float) -> None:
        self.policy = policy
        self.decisions: deque[BargeInDecision] = deque(maxlen=_KEPT)
        self.failures: deque[StrategyFailed] = deque(maxlen=_KEPT)
        """What strategies raised and nobody has taken note of yet."""
        self._began_at = began_at
        self._open: _Open | None = None

    # --- evidence -----------------------------------------------------------------

    def onset(
        self, item_id: str, audible_at: float, now: float, *, agent_words: str = "", alone_decides: bool = False
    ) -> BargeInDecision | None:
        """The user began to speak over the agent, whose words were audible since ``audible_at``.

        ``alone_decides``: the session stops the agent by itself, so there is nothing left to decide.
        """
        case = self._open
        if case is None:
            case = self._open = _Open(now, audible_at + self.policy.gate, now - audible_at, agent_words)
        if case.stopped_at is not None:
            case.silent_s += now - case.stopped_at
            case.stopped_at = None
        if item_id not in case.items and len(case.items) < _MOST_ITEMS:
            case.items.append(item_id)
            case.incomplete.add(item_id)
        case.take_note(now)
        return (
            self._close(case, BargeInOutcome.CONFIRMED, _BY_SESSION, now) if alone_decides else self._judge(case, now)
        )

    def stopped(self, now: float) -> BargeInDecision | None:
        """The user has stopped speaking."""
        case = self._open
        if case is None or case.stopped_at is not None:
            return None
        case.stopped_at = now
        case.take_note(now)
        if now + _SLACK_S < case.gated_until and not self.policy.strategies:
            return self._close(case, BargeInOutcome.DISMISSED, "gate", now)  # most likely the agent's own echo
        return self._judge(case, now)

    def heard_words(
        self, item_id: str, words: str | None, now: float, *, complete: bool, agent_words: str = ""
    ) -> BargeInDecision | None:
        """Some words of the user are known: all those so far of this item; None: they will stay unknown."""
        case = self._open
        if case is None or not {item_id, ""} & set(case.items):  # "": a sound of which the session did not say
            return None
        case.words[item_id] = words
        if complete:
            case.incomplete.discard(item_id)
        case.agent_words = agent_words or case.agent_words
        case.take_note(now)
        return self._judge(case, now)

    def agent_ended(self, now: float) -> BargeInDecision | None:
        """The agent's words are over, by themselves or otherwise: there is nothing left to stop."""
        case = self._open
        return None if case is None else self._close(case, BargeInOutcome.OVERTAKEN, "the agent's end", now)

    @property
    def is_open(self) -> bool:
        """Whether a decision is being made."""
        return self._open is not None

    # --- time ---------------------------------------------------------------------

    def deadline(self) -> float | None:
        """Return when to call `expire`."""
        case = self._open
        if case is None:
            return None
        asked_at = case.onset_at + case.evidence[-1].waited_s
        if asked_at + _SLACK_S < case.gated_until:
            return case.gated_until
        return asked_at + _TICK_S if case.stopped_at is None else max(asked_at, case.stopped_at + self.policy.confirm_s)

    def expire(self, now: float) -> BargeInDecision | None:
        """Act on the deadline, where it has passed."""
        case, deadline = self._open, self.deadline()
        if case is None or deadline is None or deadline > now + _SLACK_S:
            return None
        case.take_note(now)
        if (decided := self._judge(case, now)) is not None:
            return decided
        if case.stopped_at is not None and now + _SLACK_S >= case.stopped_at + self.policy.confirm_s:
            return self._close(case, BargeInOutcome.DISMISSED, "time", now)
        return None

    # --- inside -------------------------------------------------------------------

    def _judge(self, case: _Open, now: float) -> BargeInDecision | None:
        if now + _SLACK_S < case.gated_until:
            return None
        verdict = judge(self.policy, case.evidence[-1], self.failures)
        return None if verdict is None else self._close(case, *verdict, now)

    def _close(self, case: _Open, outcome: BargeInOutcome, by: str, now: float) -> BargeInDecision:
        self._open = None
        decision = BargeInDecision(
            at_s=case.onset_at - self._began_at,
            items=tuple(case.items),
            outcome=outcome,
            decided_by=by,
            took_s=now - case.onset_at,
            evidence=tuple(case.evidence),
        )
        self.decisions.append(decision)
        return decision


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
    return (each for each in evidence if each.agent_audible_s + each.waited_s + _SLACK_S >= policy.gate)


def _first_verdict(evidence: Iterable[SpeechEvidence], policy: BargeInPolicy) -> tuple[BargeInOutcome, str] | None:
    verdicts = (judge(policy, each) for each in evidence)
    return next((verdict for verdict in verdicts if verdict is not None), None)


def _without_verdict(decision: BargeInDecision, policy: BargeInPolicy) -> tuple[BargeInOutcome, str]:
    if decision.decided_by == _BY_SESSION:
        return BargeInOutcome.CONFIRMED, _BY_SESSION
    if decision.outcome is BargeInOutcome.OVERTAKEN:
        return BargeInOutcome.OVERTAKEN, "the agent's end"
    within_gate = not any(_past_gate(decision.evidence[-1:], policy))
    return BargeInOutcome.DISMISSED, "gate" if within_gate else "time"
