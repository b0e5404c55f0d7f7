"""The line's clock: when what was sent will have been played, and how far speech may run ahead of that.

The *lead* is audio that was sent and, by our clock, not yet played.  It has to
cover what the line does to a piece on its way: not how long that takes, but by
how much it varies.  Returned marks show it.  The *trip* of a mark is the time from
the moment when the audio before its mark should have been played, by our clock,
to the moment when the mark is back.

Rule 1: nothing waits for a mark.  Audio leaves by the clock, so a round trip that
is long and steady needs no larger lead and changes nothing; only jitter does.
Rule 2: the lead in force is what jitter and one piece need (a piece leaves only when
there is room for it, so just before that the lead is shorter by one), never less than
the settings' lead and never more than their limit.
Rule 3: it grows at once, in the middle of an utterance too, and shrinks slowly.
Rule 4: all moments are absolute: a late wake-up is caught up, and nothing drifts.
Rule 5: memory is counted in marks, not in seconds: a minute in which only the
user speaks teaches nothing, and nothing is forgotten in it.

Pure; time is an argument.
"""

from __future__ import annotations

TICK_S = 1e-6  #: slack of float arithmetic; far below one sample

_WINDOW_ECHOES = 50  #: the base trip is the least of the last 50 to 100 marks: 10 to 20 s of speech
_FADING = 0.997  #: of the jitter, with each mark: half of it is forgotten after 46 s of speech

_SPARE = 1.25  #: the worst that was seen is not the worst: a few dozen marks miss the peak by up to a fifth


class Trips:
    """Base and jitter of the trips of marks."""

    def __init__(self) -> None:
        self.base_s: float | None = None
        """The least of late; a lasting change is followed within 100 marks, a fall at once."""
        self.most_s: float | None = None
        self.jitter_s = 0.0
        """The greatest excess over the base, fading."""
        self._least_before = self._least = float("inf")  # of the last whole window, and of the present one
        self._echoes = 0  # in the present window

    def add(self, trip_s: float) -> None:
        """Take the trip of one mark."""
        before = trip_s if self.base_s is None else self.base_s
        self.base_s = base = self._least_with(trip_s)
        self.most_s = trip_s if self.most_s is None or trip_s > self.most_s else self.most_s
        # A new least says that what came before was later than it seemed: the peak stays where it was.
        kept = self.jitter_s * _FADING + (before - base if base < before else 0.0)
        self.jitter_s = max(trip_s - base, kept)

    def _least_with(self, trip_s: float) -> float:
        if self._echoes == _WINDOW_ECHOES:
            self._least_before, self._least, self._echoes = self._least, float("inf"), 0
        self._echoes += 1
        self._least = min(self._least, trip_s)
        return min(self._least, self._least_before)


class Pacing:
    """When the next piece may leave."""

    def __init__(self, *, lead_s: float, lead_limit_s: float, piece_s: float) -> None:
        self.lead_s = self.max_lead_s = lead_s
        """The lead in force, and the greatest of the call."""
        self.play_end = float("-inf")
        """When the carrier will have played all that was sent."""
        self.trips = Trips()
        self._least_lead_s = lead_s
        self._lead_limit_s = lead_limit_s
        self._piece_s = piece_s

    def has_room(self, now: float) -> bool:
        """Whether one more piece may leave."""
        return max(0.0, self.play_end - now) + self._piece_s <= self.lead_s + TICK_S

    def room_at(self) -> float:
        """Return when one more piece may leave; in the past when it may already."""
        return self.play_end + self._piece_s - self.lead_s

    def ahead_s(self, now: float) -> float:
        """Return the audio that the carrier should still have to play."""
        return max(0.0, self.play_end - now)

    def ran_dry(self, now: float) -> bool:
        """Whether everything that was sent has been played."""
        return self.play_end + TICK_S < now

    def sent(self, seconds: float, now: float) -> None:
        """Audio leaves; it is played behind what waits, at once where nothing does."""
        self.play_end = max(now, self.play_end) + seconds

    def cleared(self, now: float) -> None:
        """Nothing that was sent waits any longer."""
        self.play_end = now

    def echoed(self, expected_at: float, now: float) -> None:
        """A mark is back whose audio should have been played at ``expected_at``."""
        self.trips.add(now - expected_at)
        needed_s = self.trips.jitter_s * _SPARE + self._piece_s
        self.lead_s = min(max(self._least_lead_s, needed_s), self._lead_limit_s)
        self.max_lead_s = max(self.max_lead_s, self.lead_s)
