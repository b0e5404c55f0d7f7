"""The user's last words: those of a turn that ended with the call, or just before, and were not known by then.

Rule 1: they are awaited only where a turn was committed and has no words.
Rule 2: what comes after the end is written down and reported; nothing else follows from it.

Pure; time is an argument.
"""

from __future__ import annotations

from voicecore import events as ev
from voicecore import facts
from voicecore.turns.notifier import Notifier
from voicecore.turns.orders import Notify, Order
from voicecore.turns.transcript import Transcript


class LastWords:
    """The turns of one call that have no words yet."""

    def __init__(self, transcript: Transcript, notifier: Notifier) -> None:
        self._transcript = transcript
        self._notifier = notifier
        self._wordless: dict[str, None] = {}  # bounded by the turns of the call
        self._committed: set[str] = set()
        self._known: set[str] = set()

    @property
    def are_missing(self) -> bool:
        """Whether a turn has no words, and was not said to get none."""
        return bool(self._wordless)

    def committed(self, item_id: str) -> None:
        """The user's words became a turn."""
        self._committed.add(item_id)
        if item_id not in self._known:
            self._wordless[item_id] = None

    def known(self, item_id: str) -> None:
        """All words of a turn are known, or it is known that there will be none."""
        self._known.add(item_id)
        self._wordless.pop(item_id, None)

    def take_late(self, event: ev.SessionEvent, now: float) -> list[Order]:
        """Take an event that came after the end of the call."""
        if isinstance(event, ev.UserTurnCommitted) and event.item_id not in self._committed:
            self._transcript.add(facts.Speaker.USER, event.item_id)
            self.committed(event.item_id)
            return [Notify(facts.UserTurn(self._notifier.at(now), event.item_id))]
        if isinstance(event, ev.UserTranscriptPart):
            self._transcript.extend(facts.Speaker.USER, event.item_id, event.text)
        elif isinstance(event, ev.UserTranscriptDone):
            self._transcript.complete(facts.Speaker.USER, event.item_id, event.text)
            self.known(event.item_id)
            return [Notify(facts.UserSaid(self._notifier.at(now), event.item_id, event.text))]
        elif isinstance(event, ev.UserTranscriptFailed):
            self._notifier.problems[event.code] += 1
            self.known(event.item_id)
        return []
