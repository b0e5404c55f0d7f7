"""What happened to one message: its trace, what put it in danger, and the report made of both.

Pure; time is an argument.
"""

from __future__ import annotations

import attrs

from voicecore.facts import MessageReport
from voicecore.turns.first_message.message import FirstMessage
from voicecore.turns.first_message.trace import Trace
from voicecore.turns.first_message.verdict import Dangers, verdict


class MessageHistory:
    """The history of one message; times count from ``began_at``, the pick-up."""

    def __init__(self, began_at: float) -> None:
        self.trace = Trace(began_at)
        self.protected_by = "nothing"
        """What protected it last, in words for people."""
        self._began_at = began_at
        self._dangers = Dangers()

    def user_spoke(self, now: float) -> None:
        """The user spoke before it was heard, uninvited; the first time counts."""
        if self._dangers.user_spoke_s is None:
            self._dangers = attrs.evolve(self._dangers, user_spoke_s=now - self._began_at)

    def lockout_refused(self) -> None:
        """The provider's lockout is not known to be in force."""
        self._dangers = attrs.evolve(self._dangers, lockout_refused=True)

    def restore_unacknowledged(self) -> None:
        """The provider did not confirm that it detects turns again."""
        self._dangers = attrs.evolve(self._dangers, restore_unacknowledged=True)

    def report(self, message: FirstMessage) -> MessageReport | None:
        """Return what became of the message; None while it is not over."""
        if message.over is None:
            return None
        dangers = attrs.evolve(self._dangers, losses=tuple(message.losses))
        outcome, heard_s = message.over.outcome, self._since(message.heard_at)
        return MessageReport(
            outcome=outcome,
            detail=message.over.detail,
            first_heard_s=self._since(message.first_heard_at),
            heard_s=heard_s,
            heard_by=message.heard_by,
            requests=message.requests,
            protection=self.protected_by,
            verdict=verdict(message.message.name, outcome, heard_s, self.protected_by, dangers),
            trace=tuple(self.trace.lines()),
        )

    def _since(self, moment: float | None) -> float | None:
        return None if moment is None else moment - self._began_at
