"""How the calls of a conversation load talk: who speaks when, and for how long.

    caller 3 s ─ silence 0.5 s ─ turn ends ─ answer begins 0.45 s later ─ 4 s ─ pause 1 s ─ caller …
                                                     └── in a third of the turns the caller cuts it

Rule 1: each call goes through the same cycle of turns, from a place of its own, so
that at any moment about as many calls speak as at any other.
Rule 2: one cut in two comes while the answer is still being generated, the other
when all of it is out and waits somewhere to be played.

Pure.  Used by provider_side.py.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import attrs

SILENCE_S = 0.5  #: after the caller's last word, until the turn is over
THINKING_S = 0.2  #: from there to `response.created`
FIRST_DELTA_S = 0.25  #: and on to the first audio
PAUSE_S = 1.0  #: after the agent's last word
SPEED = 5.0  #: seconds of audio generated in one second
SHORTEST_DELTA_S, LONGEST_DELTA_S = 0.1, 0.3  #: audio in one delta; of any number of bytes between the two
LATE_DELTAS = 2  #: that still come after the caller has cut an answer which is being generated
LATE_S = 0.01  #: between them
TRANSCRIBED_S = 0.4  #: from the end of the turn to the caller's words

_GOLDEN = 0.6180339887498949  #: its multiples spread evenly, however many there are


@attrs.frozen
class Turn:
    """The caller speaks, the agent answers."""

    caller_s: float = 3.0
    answer_s: float = 4.0
    cut_s: float | None = None
    """From the answer's first audio to the caller's next word; None: it is heard to its end."""

    @property
    def length_s(self) -> float:
        """From the caller's first word to the first word of the next turn."""
        answer_s = self.answer_s + PAUSE_S if self.cut_s is None else self.cut_s
        return self.caller_s + SILENCE_S + THINKING_S + FIRST_DELTA_S + answer_s


CYCLE = (Turn(), Turn(cut_s=0.4), Turn(), Turn(), Turn(cut_s=2.0), Turn())
"""Of six answers two are cut: one while it is generated, one long after."""

GREETING = Turn(caller_s=0.0, answer_s=1.0)
"""What the agent says where the engine asks for an answer out of turn."""


def turns_of(call: int) -> Iterator[Turn]:
    """Yield a call's turns without end; in the first one the caller has spoken for some time already."""
    cycle_s = sum(turn.length_s for turn in CYCLE)
    into_s = call * _GOLDEN % 1.0 * cycle_s
    turns = itertools.cycle(CYCLE)
    for turn in turns:
        if into_s < turn.length_s:
            yield attrs.evolve(turn, caller_s=max(0.1, turn.caller_s - into_s))
            break
        into_s -= turn.length_s
    yield from turns
