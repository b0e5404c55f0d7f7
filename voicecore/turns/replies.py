"""When each step of a reply happened, stamped once each.

Rule 1: the first stamp of a step wins; nothing is derived from another clock.
Rule 2: a step that was not seen is None.

Pure; time is an argument.  Used by turns/conversation.py; shown in the report.
"""

from __future__ import annotations

import attrs

from voicecore.facts import TurnTimes


@attrs.define
class _Reply:
    caller_stopped_at: float | None
    generated_at: float
    sent_at: float | None = None
    heard_at: float | None = None
    interrupted: bool = False


class ReplyTimes:
    """The replies of one call, by response id."""

    def __init__(self, began_at: float) -> None:
        self._began_at = began_at
        self._replies: dict[str, _Reply] = {}
        self._caller_stopped_at: float | None = None

    def caller_stopped(self, now: float) -> None:
        """The caller ended a turn; the next reply answers it."""
        self._caller_stopped_at = now

    def generated(self, response_id: str, now: float) -> None:
        """Some audio of a response came in."""
        if response_id not in self._replies:
            self._replies[response_id] = _Reply(self._caller_stopped_at, now)
            self._caller_stopped_at = None

    def sent(self, response_id: str, now: float) -> float | None:
        """Some audio of a response left; return seconds since the caller stopped, None without such a moment."""
        reply = self._replies[response_id]
        if reply.sent_at is None:
            reply.sent_at = now
        return None if reply.caller_stopped_at is None else reply.sent_at - reply.caller_stopped_at

    def heard(self, response_id: str, now: float) -> None:
        """The first mark of a response came back."""
        reply = self._replies[response_id]
        if reply.heard_at is None:
            reply.heard_at = now

    def interrupted(self, response_id: str) -> None:
        """The caller cut this response."""
        self._replies[response_id].interrupted = True

    def times(self) -> list[TurnTimes]:
        """Return what was seen of every reply, oldest first."""
        return [
            TurnTimes(
                response_id=response_id,
                caller_stopped_at_s=self._since(reply.caller_stopped_at),
                first_generated_at_s=reply.generated_at - self._began_at,
                first_sent_at_s=self._since(reply.sent_at),
                first_heard_at_s=self._since(reply.heard_at),
                interrupted=reply.interrupted,
            )
            for response_id, reply in self._replies.items()
        ]

    def _since(self, moment: float | None) -> float | None:
        return None if moment is None else moment - self._began_at
