"""How the calls of a conversation load talk: who speaks when, and for how long.

    user 3 s ─ silence 0.5 s ─ turn ends ─ answer begins 0.45 s later ─ 4 s ─ pause 1 s ─ user …
                                                     └── in a third of the turns the user barges in

Rule 1: each call goes through the same cycle of turns, from a starting point of its
own, so that at any moment about equally many calls speak.
Rule 2: every other barge-in comes while the answer is still being generated, the
others when all of it was sent and is waiting to be played.

Pure.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import attrs

SPEED = 5.0  #: seconds of audio generated in one second
SHORTEST_DELTA_S, LONGEST_DELTA_S = 0.1, 0.3  #: audio in one delta; of any number of bytes between the two
LATE_DELTAS = 2  #: that still follow when the user cuts an answer that is being generated
LATE_S = 0.01  #: between them

_GOLDEN = 0.6180339887498949  # its multiples are evenly spread, however many there are
_LEAST_S = 0.2
_APART, _SPREAD = 0.1, 10.0  # calls that begin with an answer do so within a second, not at one moment


@attrs.frozen
class Turn:
    """The user speaks, the agent answers; seconds."""

    user_s: float
    answer_s: float
    cut_s: float | None = None
    """From the answer's first audio to the user's next word; None: it is heard completely."""


GREETING = Turn(user_s=0.0, answer_s=1.0)
"""What the agent says where the engine requests a response outside of any turn."""

_WHOLE = Turn(3.0, 4.0)
_CUT_EARLY, _CUT_LATE = Turn(3.0, 4.0, cut_s=0.4), Turn(3.0, 4.0, cut_s=2.0)


@attrs.frozen(kw_only=True)
class TurnCycle:
    """The cycle of turns, and their pauses; seconds."""

    cycle: tuple[Turn, ...] = (_WHOLE, _CUT_EARLY, _WHOLE, _WHOLE, _CUT_LATE, _WHOLE)
    silence_s: float = 0.5
    """After the user's last word, until the turn ends."""
    thinking_s: float = 0.2
    """From there to `response.created`."""
    first_delta_s: float = 0.25
    """And on to the first audio."""
    pause_s: float = 1.0
    """After the agent's last word."""
    transcribed_s: float = 0.4
    """From the end of the turn to its transcript."""

    def after_answer_s(self, turn: Turn) -> float:
        """Return the seconds from an answer's first audio to the user's next word."""
        return turn.answer_s + self.pause_s if turn.cut_s is None else turn.cut_s

    def length_s(self, turn: Turn) -> float:
        """Return the seconds from the user's first word to the first word of the next turn."""
        pauses_s = self.silence_s + self.thinking_s + self.first_delta_s
        return turn.user_s + pauses_s + self.after_answer_s(turn)

    def begin(self, call: int) -> tuple[float, Iterator[Turn]]:
        """Return the seconds until a call's first word, and its endless turns.

        Each call is somewhere in the cycle: its first turn is what is left of one.
        """
        place = call * _GOLDEN % 1.0
        into_s = place * sum(map(self.length_s, self.cycle))
        turns = itertools.cycle(self.cycle)
        for turn in turns:
            if into_s < self.length_s(turn):
                least_s = _LEAST_S + place % _APART * _SPREAD
                rest = self._rest(turn, into_s, least_s)
                return (self.length_s(turn) - into_s, turns) if rest is None else (0.0, itertools.chain([rest], turns))
            into_s -= self.length_s(turn)
        raise AssertionError("a cycle never ends")

    def _rest(self, turn: Turn, into_s: float, least_s: float) -> Turn | None:
        """Return what is left of a turn; None where no answer is."""
        if into_s < turn.user_s:
            return attrs.evolve(turn, user_s=turn.user_s - into_s)
        gone_s = into_s + least_s - turn.user_s  # of the answer, once it begins after a short word of the user
        heard_s = turn.answer_s if turn.cut_s is None else turn.cut_s
        if gone_s > heard_s - _LEAST_S:
            return None
        gone_s = max(0.0, gone_s)
        return Turn(least_s, turn.answer_s - gone_s, None if turn.cut_s is None else turn.cut_s - gone_s)


QUICK_CYCLE = TurnCycle(
    cycle=(Turn(0.05, 0.2), Turn(0.05, 0.5, cut_s=0.05), Turn(0.05, 0.5, cut_s=0.2)),
    silence_s=0.02,
    thinking_s=0.01,
    first_delta_s=0.02,
    pause_s=0.1,
    transcribed_s=0.01,
)
"""For tests: a turn in a third of a second."""
