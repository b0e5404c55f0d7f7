"""Marks that are out: which is awaited, until when, and what one that nobody awaits means.

Rule 1: a name has its generation, and a number that is never used again in a call.
Rule 2: a mark that does not come back is given up at its deadline, so that every wait has
an end.  After three in a row the carrier is *in doubt*: marks are still placed, but
given up after a short margin, until one comes back again, be it late.
Rule 3: a clear flushes all marks that are out; they come back in bulk, and
say nothing about what was heard.
Rule 4: a carrier that returns no marks has positions without names, which the clock
confirms; nothing else is different.

Pure; time is an argument.
"""

from __future__ import annotations

from collections import deque

import attrs

from voicecore.turns.playout.pacing import TICK_S
from voicecore.turns.playout.utterance import Utterance

_MARKS_OF_DOUBT = 3
_KEPT = 64  #: given up, and still known should they come after all: 13 s of speech


@attrs.frozen(eq=False)
class Mark:
    """A position in an utterance that waits to be confirmed."""

    name: str | None
    """None where the carrier returns no marks."""
    utterance: Utterance
    position_bytes: int
    expected_at: float
    """When it is reached, by our clock."""


class Marks:
    """All marks of one leg."""

    def __init__(self, *, returned: bool, late_s: float, margin_s: float) -> None:
        self._returned = returned
        self._late_s = late_s
        self._margin_s = margin_s
        self._out: deque[Mark] = deque()  # oldest first; bounded by the lead and late_s
        self._given_up: deque[Mark] = deque(maxlen=_KEPT)
        self._given_up_in_a_row = 0
        self._to_flush: set[str] = set()  # out at the newest clear, and not back yet
        self._placed = 0

    # --- on their way -------------------------------------------------------

    def place(self, utterance: Utterance, generation: int, expected_at: float) -> Mark:
        """Put a mark behind all that was sent of an utterance."""
        self._placed += 1
        name = f"g{generation}-{self._placed}" if self._returned else None
        mark = Mark(name, utterance, utterance.sent_bytes, expected_at)
        self._out.append(mark)
        return mark

    def next_position(self, utterance: Utterance) -> int:
        """Return the position of the next mark of an utterance; behind all that was sent when none is out."""
        return next((mark.position_bytes for mark in self._out if mark.utterance is utterance), utterance.sent_bytes)

    # --- back -----------------------------------------------------------------

    def returned(self, name: str) -> list[Mark]:
        """Return every mark that this one confirms, its own last; nothing when it is not awaited."""
        if not any(mark.name == name for mark in self._out):
            return []
        self._given_up_in_a_row = 0
        confirmed = [self._out.popleft()]
        while confirmed[-1].name != name:
            confirmed.append(self._out.popleft())
        return confirmed

    def returned_late(self, name: str) -> Mark | None:
        """Return the mark that has come back if it was given up before; once."""
        mark = next((mark for mark in self._given_up if mark.name == name), None)
        if mark is not None:
            self._given_up.remove(mark)
            self._given_up_in_a_row = 0
        return mark

    # --- not back ---------------------------------------------------------------

    @property
    def in_doubt(self) -> bool:
        """Whether the carrier has stopped returning marks."""
        return self._given_up_in_a_row >= _MARKS_OF_DOUBT

    def deadline(self) -> float | None:
        """Return when the oldest mark is given up."""
        return self._out[0].expected_at + self._patience_s if self._out else None

    def give_up(self, now: float) -> Mark | None:
        """Return the oldest mark if it is overdue; the clock takes its place."""
        if not self._out or self._out[0].expected_at + self._patience_s > now + TICK_S:
            return None
        mark = self._out.popleft()
        if mark.name is not None:
            self._given_up.append(mark)
            self._given_up_in_a_row += 1
        return mark

    @property
    def _patience_s(self) -> float:
        return self._late_s if self._returned and not self.in_doubt else self._margin_s

    # --- flushed -------------------------------------------------------------------

    def flush(self) -> None:
        """A clear begins a new generation; all that is out comes back for it, if the carrier still has it."""
        names = [mark.name for mark in (*self._out, *self._given_up)]
        self._to_flush = {name for name in names if name is not None}
        self._given_up.clear()
        self._out.clear()

    def returned_flushed(self, name: str) -> bool:
        """Whether this mark was due for the newest clear; once."""
        found = name in self._to_flush
        self._to_flush.discard(name)
        return found


def is_of_generation_before(name: str, generation: int) -> bool:
    """Whether a name is one of ours, of a generation that is over."""
    began, _, number = name.removeprefix("g").partition("-")
    return began.isdecimal() and number.isdecimal() and int(began) < generation
