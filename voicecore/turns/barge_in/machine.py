"""Barge-in: whether the user's speech over the agent stops it.

    NONE ──onset──► GATED ──► PENDING ──► confirmed │ declined │ overtaken ──► NONE
           └── no gate, no strategies: confirmed at once

Rule 1: only an agent that the user can hear is barged in on; the gate counts
from the first audio that was sent.
Rule 2: one decision at a time; its onset is stamped once.  More speech while it
is open is evidence of the same decision.
Rule 3: a decision stays open while the user speaks, and ``confirm_s`` after
that; then it is declined.  It never outlives the agent's words or the call.
Rule 4: a decision keeps its evidence.

Pure: no Trio; time is an argument.
"""

from __future__ import annotations

from collections import deque

import attrs

from voicecore.facts import BargeInDecision, BargeInOutcome, SpeechEvidence
from voicecore.turns.barge_in.policy import (
    BY_AGENT_END,
    BY_GATE,
    BY_SESSION,
    BY_TIME,
    SLACK_S,
    BargeInPolicy,
    StrategyFailed,
    judge,
)

_TICK_S = 0.1  #: how often speech that goes on is judged again
_KEPT = 64  #: decisions that are kept for the report
_MOST_ITEMS = 64  #: sounds of one decision
_MOST_EVIDENCE = 256  #: of one decision; beyond it, the newest replaces the last


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
        return self._close(case, BargeInOutcome.CONFIRMED, BY_SESSION, now) if alone_decides else self._judge(case, now)

    def stopped(self, now: float) -> BargeInDecision | None:
        """The user has stopped speaking."""
        case = self._open
        if case is None or case.stopped_at is not None:
            return None
        case.stopped_at = now
        case.take_note(now)
        if now + SLACK_S < case.gated_until and not self.policy.strategies:
            return self._close(case, BargeInOutcome.DISMISSED, BY_GATE, now)  # most likely the agent's own echo
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
        return None if case is None else self._close(case, BargeInOutcome.OVERTAKEN, BY_AGENT_END, now)

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
        if asked_at + SLACK_S < case.gated_until:
            return case.gated_until
        return asked_at + _TICK_S if case.stopped_at is None else max(asked_at, case.stopped_at + self.policy.confirm_s)

    def expire(self, now: float) -> BargeInDecision | None:
        """Act on the deadline, where it has passed."""
        case, deadline = self._open, self.deadline()
        if case is None or deadline is None or deadline > now + SLACK_S:
            return None
        case.take_note(now)
        if (decided := self._judge(case, now)) is not None:
            return decided
        if case.stopped_at is not None and now + SLACK_S >= case.stopped_at + self.policy.confirm_s:
            return self._close(case, BargeInOutcome.DISMISSED, BY_TIME, now)
        return None

    # --- inside -------------------------------------------------------------------

    def _judge(self, case: _Open, now: float) -> BargeInDecision | None:
        if now + SLACK_S < case.gated_until:
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
