"""Interruptions: the user speaks while the agent does, or is about to.

    BargeIn     whether the user's speech over the agent stops it
    LastClear   how long it takes until the user hears that

Joint rules:
1. What stops the agent is playout, not whether the provider is done: the tail of
a finished response is cut like any other.
2. A turn of speech that did not stop the agent is not answered.

Pure; time is an argument.
"""

from __future__ import annotations

from voicecore import events as ev
from voicecore import facts
from voicecore.turns.agent_speech import BARGED_IN, AgentSpeech
from voicecore.turns.barge_in.last_clear import LastClear
from voicecore.turns.barge_in.machine import BargeIn
from voicecore.turns.notifier import Notifier
from voicecore.turns.orders import Notify
from voicecore.turns.replies import Replies, TurnStep
from voicecore.turns.session_traits import SessionTraits

_BY_KEY = "a key"
_DISMISSED = "it did not stop the agent"


class Interruptions:
    """The interruptions of one call."""

    def __init__(
        self, speech: AgentSpeech, barge_in: BargeIn, replies: Replies, session: SessionTraits, notifier: Notifier
    ) -> None:
        self.count = 0
        """How often the agent was stopped."""
        self._speech = speech
        self._barge_in = barge_in
        self._replies = replies
        self._session = session
        self._notifier = notifier
        self._clear = LastClear()
        self._dismissed: str | None = None  # the turn that this speech will become, which nobody is to answer

    # --- the user ---------------------------------------------------------------------------

    def onset(self, event: ev.UserSpeechStarted, now: float, *, may_stop: bool) -> list[TurnStep]:
        """The user began to speak; ``may_stop``: nothing protects what the agent says."""
        self._dismissed = None
        if not may_stop:
            return []
        if self._speech.audible_since is None:
            return self._give_way(now)
        was_open = self._barge_in.is_open
        decided = self._barge_in.onset(
            event.item_id,
            self._speech.audible_since,
            now,
            agent_words=self._speech.audible_words(),
            alone_decides=self._session.interrupts,
        )
        steps: list[TurnStep] = []
        if decided is None and not was_open:
            steps.append(Notify(facts.BargeInPending(self._notifier.at(now), event.item_id)))
        return steps + self.decided(decided, now)

    def stopped(self, now: float) -> list[TurnStep]:
        """The user has stopped speaking."""
        return self.decided(self._barge_in.stopped(now), now)

    def words(self, item_id: str, words: str | None, now: float, *, complete: bool) -> list[TurnStep]:
        """More words of the user are known: all those so far of this item; None: they will stay unknown."""
        agents = self._speech.audible_words()
        return self.decided(self._barge_in.heard_words(item_id, words, now, complete=complete, agent_words=agents), now)

    def is_dismissed(self, item_id: str) -> bool:
        """Take a new turn; return whether its speech did not stop the agent."""
        if item_id != self._dismissed:
            return False
        self._dismissed = None
        return True

    def settle_dismissed(self, item_id: str, now: float) -> list[TurnStep]:
        """End the turn of speech that did not stop the agent."""
        return self._replies.settle(facts.TurnEnd.DROPPED, _DISMISSED, now, item_id)

    def key(self, now: float) -> list[TurnStep]:
        """A key is to stop the agent, where it can be heard."""
        return self._stop_agent(now, now, _BY_KEY) if self._speech.audible_since is not None else []

    # --- the agent, and time ----------------------------------------------------------------

    def agent_ended(self, now: float) -> list[TurnStep]:
        """Nothing of the agent can be heard: there is nothing left to stop."""
        return self.decided(self._barge_in.agent_ended(now), now)

    def expire(self, now: float) -> list[TurnStep]:
        """Act on the deadline of the open decision, where it has passed."""
        return self.decided(self._barge_in.expire(now), now)

    def clear_written(self, now: float) -> list[TurnStep]:
        """A clear was written to the carrier."""
        took_s = self._clear.written(now)
        return [] if took_s is None else [Notify(facts.ClearSent(self._notifier.at(now), took_s))]

    def flushed(self, now: float) -> list[TurnStep]:
        """A mark came back that the newest clear had flushed."""
        return [Notify(facts.ClearConfirmed(self._notifier.at(now)))] if self._clear.is_silent() else []

    # --- inside -----------------------------------------------------------------------------

    def decided(self, decision: facts.BargeInDecision | None, now: float) -> list[TurnStep]:
        """Carry out a decision about speech over the agent; None: nothing is decided yet."""
        steps = self._failures(now)
        if decision is None:
            return steps
        if decision.outcome is facts.BargeInOutcome.CONFIRMED:
            return steps + self._stop_agent(now, now - decision.took_s, decision.decided_by)
        if decision.outcome is facts.BargeInOutcome.OVERTAKEN:
            return steps + self._replies.want(now)
        steps.append(Notify(facts.BargeInDismissed(self._notifier.at(now), decision.decided_by)))
        last = decision.items[-1]
        self._dismissed = None if last in self._replies.turns.open else last
        for item_id in decision.items:
            why = f"{_DISMISSED}: {decision.decided_by}"
            steps += self._replies.settle(facts.TurnEnd.DROPPED, why, now, item_id)
        return steps + self._replies.want(now)

    def _failures(self, now: float) -> list[TurnStep]:
        """Report the strategies that raised since the last time."""
        steps: list[TurnStep] = []
        while self._barge_in.failures:
            failed = self._barge_in.failures.popleft()
            steps += self._notifier.problem(f"strategy_failed: {failed.name}", failed.error, now)
        return steps

    def _give_way(self, now: float) -> list[TurnStep]:
        """The user speaks, and nothing of a reply was sent: where the session stops it by itself, so do we."""
        if not self._session.interrupts or not self._speech.speaking:
            return []
        return self._replies.cut(now, "the user spoke first", session_cancels=True)[1]

    def _stop_agent(self, now: float, overlap_at: float, by: str) -> list[TurnStep]:
        cancels = self._session.interrupts and by != _BY_KEY
        cuts, steps = self._replies.cut(now, BARGED_IN, session_cancels=cancels)
        self.count += 1
        self._clear.decided(now)
        at = self._notifier.at
        stopped = facts.BargeInConfirmed(at(now), cuts[0].response_id, cuts[0].heard_s, at(overlap_at), by)
        return [Notify(stopped), *steps, *self._replies.want(now)]
