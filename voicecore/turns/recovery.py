"""What happens when no reply comes: a spoken line in its place, and if that fails too, the end of the call.

    COMING   replies come, or may; one that is lost is asked for again
    EXCUSED  a line was asked for in place of a reply, and nothing of the agent was audible since
    ENDING   the call ends, once what plays was played

Rule 1: a user who waits hears something: a reply, a line in its place, or the
carrier's words behind the end of the call.
Rule 2: once the call is to end, nothing is asked for any more.
Rule 3: audio that is playing is played first, for ``_PLAYED_WITHIN_S`` at most.

Pure; time is an argument.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

import attrs

from voicecore import kinds
from voicecore.facts import EndCause
from voicecore.turns.orders import EndCall

SORRY = "I am sorry, I could not answer that. Could you say it again?"
DID_NOT_CATCH = "I am sorry, I did not catch that."
_PLAYED_WITHIN_S = 5.0


@attrs.frozen(kw_only=True)
class FallbackLines:
    """What the agent says, word for word, where no reply could be had; in the language of the calls."""

    sorry_text: str | None = attrs.field(default=SORRY, validator=kinds.OPTIONAL_TEXT)
    """Said word for word when a turn gets no reply, however often it is requested; None: the call ends instead."""
    did_not_catch_text: str | None = attrs.field(default=DID_NOT_CATCH, validator=kinds.OPTIONAL_TEXT)
    """The same when no word of the user could be made out; None: ``sorry_text``."""

    def line(self, *, wordless: bool) -> str | None:
        """Return the line for a turn; ``wordless``: nothing that the user said could be made out."""
        return self.did_not_catch_text if wordless and self.did_not_catch_text is not None else self.sorry_text


class RecoveryStage(enum.Enum):
    """The states; see the head of this file."""

    COMING = "coming"
    EXCUSED = "excused"
    ENDING = "ending"


class RecoveryMove(enum.Enum):
    """What can happen to replies."""

    AUDIBLE = "audible"  #: audio of the session was sent
    EXCUSE = "excuse"  #: a turn got no reply, however often it was asked for
    GIVE_UP = "give up"  #: the call is to end


NEXT_RECOVERY: Mapping[RecoveryStage, Mapping[RecoveryMove, RecoveryStage]] = {
    RecoveryStage.COMING: {
        RecoveryMove.AUDIBLE: RecoveryStage.COMING,
        RecoveryMove.EXCUSE: RecoveryStage.EXCUSED,
        RecoveryMove.GIVE_UP: RecoveryStage.ENDING,
    },
    RecoveryStage.EXCUSED: {
        RecoveryMove.AUDIBLE: RecoveryStage.COMING,
        RecoveryMove.EXCUSE: RecoveryStage.ENDING,
        RecoveryMove.GIVE_UP: RecoveryStage.ENDING,
    },
    RecoveryStage.ENDING: dict.fromkeys(RecoveryMove, RecoveryStage.ENDING),
}


class Recovery:
    """Whether replies still come in one call."""

    def __init__(self, lines: FallbackLines) -> None:
        self.stage = RecoveryStage.COMING
        self._lines = lines
        self.end: EndCall | None = None
        """The end of the call, once it is decided; it is due where nothing plays any more."""
        self._end_by = 0.0

    @property
    def is_ending(self) -> bool:
        """Whether the call ends as soon as nothing plays."""
        return self.stage is RecoveryStage.ENDING

    def audible(self) -> None:
        """Audio of the session was sent to the carrier."""
        self.stage = NEXT_RECOVERY[self.stage][RecoveryMove.AUDIBLE]

    def unanswered(self, why: str, now: float, *, wordless: bool) -> str | None:
        """A turn got no reply; return the line to ask for in its place, None where the call is to end."""
        line = self._lines.line(wordless=wordless)
        self.stage = NEXT_RECOVERY[self.stage][RecoveryMove.EXCUSE if line is not None else RecoveryMove.GIVE_UP]
        if self.stage is RecoveryStage.EXCUSED:
            return line
        self.give_up(EndCall(EndCause.SESSION_LOST, f"no reply could be had: {why}"), now)
        return None

    def give_up(self, end: EndCall, now: float) -> None:
        """End the call, for this reason; the first one stands."""
        self.stage = NEXT_RECOVERY[self.stage][RecoveryMove.GIVE_UP]
        if self.end is None:
            self.end, self._end_by = end, now + _PLAYED_WITHIN_S

    def fail_for_good(self, code: str, words: str, now: float) -> None:
        """End the call: the provider says that no further reply can be had, and in these words why."""
        detail = f"the provider ended the session: {code}" + (f": {words}" if words else "")
        self.give_up(EndCall(EndCause.SESSION_LOST, detail), now)

    def deadline(self) -> float | None:
        """Return when to call `due` at the latest."""
        return self._end_by if self.is_ending else None

    def due(self, now: float, *, plays: bool) -> EndCall | None:
        """Return the end of the call where it is due; ``plays``: something of the agent is still being played."""
        return None if self.end is None or (plays and now < self._end_by) else self.end
