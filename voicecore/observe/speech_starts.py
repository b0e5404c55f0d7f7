"""Computes from the facts when each item of a conversation began, also for buffered speech.

What the user says over a protected message may be buffered, and is sent to the
session when the message is over, faster than it was spoken. The session reports its
start only then; the engine's energy VAD reported it when it was spoken.

Rule 1: an item that the session received in less than half its duration was
buffered. The first such item began when the VAD first detected the user over the
message; later ones are placed by their distance from it in the audio.
Rule 2: a turn whose start the session did not report contains all speech that was
buffered so far.

Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from voicecore import facts


def speech_starts(call_facts: Sequence[facts.Fact]) -> Mapping[str, float]:
    """Return when each item of the conversation began, in seconds since the call began, by item id."""
    buffered = _Buffered({fact.item_id: fact for fact in call_facts if isinstance(fact, facts.UserStopped)})
    began: dict[str, float] = {}
    for fact in call_facts:
        if isinstance(fact, facts.SpokeOverMessage):
            buffered.heard(fact)
        elif isinstance(fact, facts.FirstAudioSent | facts.KeysPressed):
            began.setdefault(fact.item_id, fact.at_s)
        elif isinstance(fact, facts.UserStarted) and fact.item_id not in began:
            began[fact.item_id] = buffered.started(fact)
        elif isinstance(fact, facts.UserTurn) and fact.item_id not in began:
            began[fact.item_id] = buffered.took(fact.at_s)
    return began


@attrs.define
class _Buffered:
    """Speech over a message that the engine detected and the session has not reported yet."""

    stopped: Mapping[str, facts.UserStopped]
    since_s: float | None = None
    """When the first buffered speech was spoken."""
    ahead_s: float | None = None
    """From a position in the audio to the time at which it was spoken."""

    def heard(self, fact: facts.SpokeOverMessage) -> None:
        if fact.kept and self.since_s is None:
            self.since_s, self.ahead_s = fact.at_s, None

    def took(self, at_s: float) -> float:
        """Return when a turn began that the session reports at ``at_s``; nothing is buffered any more."""
        since_s, self.since_s = self.since_s, None
        return at_s if since_s is None else since_s

    def started(self, fact: facts.UserStarted) -> float:
        if fact.audio_at_s is None or not self._was_buffered(fact, fact.audio_at_s):
            self.since_s = self.ahead_s = None
            return fact.at_s
        if self.ahead_s is None:
            self.ahead_s = self.took(fact.at_s) - fact.audio_at_s
        return min(fact.at_s, fact.audio_at_s + self.ahead_s)

    def _was_buffered(self, fact: facts.UserStarted, audio_at_s: float) -> bool:
        stopped = self.stopped.get(fact.item_id)
        if stopped is None or stopped.audio_at_s is None:
            return False
        return stopped.at_s - fact.at_s < (stopped.audio_at_s - audio_at_s) / 2
