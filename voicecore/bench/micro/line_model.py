"""A playout ledger and a line, in virtual time: one call's speech, piece by piece, to the carrier twin's playout.

The line delays messages by its delay and by up to its jitter, drawn uniformly for each
50 ms (what is sent together travels together), in order, as a socket does; the same
on the way back.  Marks get lost at random.  What the carrier has queued, and where it
runs dry, is the truth that no figure of the ledger can show.

Pure except for the random numbers, which have a seed.
"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Iterator

import attrs

from voicecore.audio.formats import PCMU_8K
from voicecore.events import LegOrder, PlaceMark, PlayAudio
from voicecore.facts import PlayoutFigures
from voicecore.simulation.twilio import LinePlayout
from voicecore.turns.playout.ledger import PlayoutLedger, PlayoutSettings

_DELTA_S = 0.2  #: what a provider sends at once
_STRETCH_S = 0.05  #: for which the jitter of a line stays the same


@attrs.frozen(kw_only=True)
class Line:
    """What a line does to messages; the same both ways."""

    delay_s: float
    jitter_s: float = 0.0
    loss: float = 0.0
    """The share of marks that are never returned, from 0 to 1."""


@attrs.frozen(kw_only=True)
class Talk:
    """What the agent says in a call."""

    utterances: int = 6
    utterance_s: float = 8.0
    pause_s: float = 2.0
    """Between two utterances: long enough for the carrier to have played everything."""
    generated: float = 4.0
    """How much faster than real time it is generated; infinite: an utterance is there at once."""

    @property
    def begins(self) -> list[float]:
        """When each utterance begins."""
        return [number * (self.utterance_s + self.pause_s) for number in range(self.utterances)]


@attrs.frozen
class Arrival:
    """A piece arrived at the carrier; what was queued there just before and just after, in seconds of audio."""

    at: float
    before_s: float
    after_s: float
    ran_dry: bool
    """It arrived too late: the user heard a gap."""


@attrs.frozen
class Course:
    """How one call went."""

    arrivals: list[Arrival]
    leads: list[tuple[float, float]]
    """(when, the lead in force) for every piece that was sent."""
    underruns: list[int]
    """Gaps that the user heard, by utterance."""
    line: PlayoutFigures


class _Direction:
    """One direction of a line; time must not go backwards."""

    def __init__(self, line: Line, chance: random.Random) -> None:
        self._line = line
        self._chance = chance
        self._stretch = self._delay_s = self._last = -math.inf

    def arrives_at(self, now: float) -> float:
        stretch = now // _STRETCH_S
        if stretch != self._stretch:
            self._stretch = stretch
            self._delay_s = self._line.delay_s + self._chance.uniform(0.0, self._line.jitter_s)
        self._last = max(self._last, now + self._delay_s)
        return self._last


class _Carrier:
    """The carrier twin's playout at the end of a line; the line's two directions are kept here too."""

    def __init__(self, line: Line, utterances: int, chance: random.Random) -> None:
        self.arrivals: list[Arrival] = []
        self.underruns = [0] * utterances
        self.returned_marks: deque[tuple[float, str]] = deque()  # (here at, name); bounded by the speech of one call
        self._loss = line.loss
        self._chance = chance
        self._there, self._back = _Direction(line, chance), _Direction(line, chance)
        self._there_at = -math.inf
        self._playout = LinePlayout(began_at=0.0)
        self._item = ""

    def take(self, order: LegOrder, now: float) -> None:
        """Send an order to the carrier."""
        self._there_at = self._there.arrives_at(now)
        if isinstance(order, PlayAudio):
            self._play(order)
        elif isinstance(order, PlaceMark) and self._chance.random() >= self._loss:
            self.returned_marks.append(
                (self._back.arrives_at(max(self._there_at, self._playout.plays_until)), order.name)
            )

    def _play(self, order: PlayAudio) -> None:
        at, waits_until = self._there_at, self._playout.plays_until
        ran_dry = order.item_id == self._item and waits_until < at - 1e-9
        if ran_dry:
            self.underruns[int(order.item_id)] += 1
        before_s = max(0.0, waits_until - at)
        self._playout.media(order.audio, at)
        self._item = order.item_id
        self.arrivals.append(Arrival(at, before_s, before_s + PCMU_8K.seconds_in(len(order.audio)), ran_dry))


def course(line: Line, talk: Talk, settings: PlayoutSettings, seed: int) -> Course:
    """Send one call's speech over a line."""
    ledger, carrier = PlayoutLedger(PCMU_8K, settings), _Carrier(line, talk.utterances, random.Random(seed))
    leads: list[tuple[float, float]] = []
    deltas, now = deque(_deltas(talk)), 0.0
    while now < math.inf:
        _take_in(ledger, deltas, carrier.returned_marks, now)
        for order in ledger.due(now):
            carrier.take(order, now)
            if isinstance(order, PlayAudio):
                leads.append((now, ledger.line.lead_s))
        heads = (deltas[0][0] if deltas else None, carrier.returned_marks[0][0] if carrier.returned_marks else None)
        moments = (*heads, ledger.next_due(), ledger.deadline())
        now = max(now, min((moment for moment in moments if moment is not None), default=math.inf))
    return Course(carrier.arrivals, leads, carrier.underruns, ledger.line)


def _deltas(talk: Talk) -> Iterator[tuple[float, str]]:
    """Yield when each delta of an utterance arrives; the item's id is the utterance's number."""
    for number, begin in enumerate(talk.begins):
        for delta in range(round(talk.utterance_s / _DELTA_S)):
            yield begin + delta * _DELTA_S / talk.generated, str(number)


def _take_in(
    ledger: PlayoutLedger, deltas: deque[tuple[float, str]], returned_marks: deque[tuple[float, str]], now: float
) -> None:
    while returned_marks and returned_marks[0][0] <= now:
        ledger.echoed(returned_marks.popleft()[1], now)
    while deltas and deltas[0][0] <= now:
        _, item = deltas.popleft()
        ledger.push("response", item, bytes(PCMU_8K.bytes_in(_DELTA_S)))
        if not deltas or deltas[0][1] != item:
            ledger.finish(item)
    ledger.expire(now)
