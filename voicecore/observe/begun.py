"""When each thing that was said began, from the facts: for words that were held back, when they were spoken.

What the user says over a protected message may be held back, and reaches the
session when the message is over, faster than it was spoken.  The session tells of
it then; the engine's own ear has told of it before.

Rule 1: an item whose audio took the session less than half as long as it lasts was
held back.  The first of them began when the ear first heard the user over the
message, the next ones so much later as they lie behind it in the audio.
Rule 2: a turn whose beginning the session did not tell was made of all that was held back by then.

Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from voicecore import facts


def begun_at(told: Sequence[facts.Fact]) -> Mapping[str, float]:
    """Return when each item of the conversation began, in seconds of the call, by its id."""
    ear = _Ear({fact.item_id: fact for fact in told if isinstance(fact, facts.UserStopped)})
    began: dict[str, float] = {}
    for fact in told:
        if isinstance(fact, facts.SpokeOverMessage):
            ear.heard(fact)
        elif isinstance(fact, facts.FirstAudioSent | facts.KeysPressed):
            began.setdefault(fact.item_id, fact.at_s)
        elif isinstance(fact, facts.UserStarted) and fact.item_id not in began:
            began[fact.item_id] = ear.started(fact)
        elif isinstance(fact, facts.UserTurn) and fact.item_id not in began:
            began[fact.item_id] = ear.took(fact.at_s)
    return began


@attrs.define
class _Ear:
    """What the engine's own ear has heard over a message, of which the session has not told yet."""

    stopped: Mapping[str, facts.UserStopped]
    since_s: float | None = None
    """When the user first spoke of what is held back."""
    ahead_s: float | None = None
    """From a place in the held audio to the moment when it was spoken."""

    def heard(self, fact: facts.SpokeOverMessage) -> None:
        if fact.kept and self.since_s is None:
            self.since_s, self.ahead_s = fact.at_s, None

    def took(self, at_s: float) -> float:
        """Return when a turn began that the session tells of at ``at_s``; nothing is held back any more."""
        since_s, self.since_s = self.since_s, None
        return at_s if since_s is None else since_s

    def started(self, fact: facts.UserStarted) -> float:
        if fact.audio_at_s is None or not self._was_held_back(fact, fact.audio_at_s):
            self.since_s = self.ahead_s = None
            return fact.at_s
        if self.ahead_s is None:
            self.ahead_s = self.took(fact.at_s) - fact.audio_at_s
        return min(fact.at_s, fact.audio_at_s + self.ahead_s)

    def _was_held_back(self, fact: facts.UserStarted, audio_at_s: float) -> bool:
        stopped = self.stopped.get(fact.item_id)
        if stopped is None or stopped.audio_at_s is None:
            return False
        return stopped.at_s - fact.at_s < (stopped.audio_at_s - audio_at_s) / 2
