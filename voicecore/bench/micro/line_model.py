"""A playout ledger and a line, in virtual time: one call's speech, piece by piece, to a carrier that plays it.

The line delays messages by its delay and by up to its jitter, drawn evenly for each
stretch of 50 ms (what leaves together travels together), in order, as a socket
does; the same back.  Echoes get lost with a chance.  What the carrier has waiting,
and where it runs dry, is the truth that no figure of the ledger can show.

Pure but for the chance, which has a seed.
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
_STRETCH_S = 0.05  #: in which the jitter of a line is the same


@attrs.frozen(kw_only=True)
class Line:
    """What a line does to messages; the same both ways."""

    delay_s: float
    jitter_s: float = 0.0
    loss: float = 0.0
    """The share of echoes that never come back, from 0 to 1."""


@attrs.frozen(kw_only=True)
class Talk:
    """What the agent says in a call."""

    utterances: int = 6
    utterance_s: float = 8.0
    pause_s: float = 2.0
    """Between two utterances: the carrier has played everything, and the next one finds it empty."""
    generated: float = 4.0
    """So many times as fast as it is spoken; infinite: an utterance is there at once."""

    @property
    def begins(self) -> list[float]:
        """When each utterance begins."""
        return [number * (self.utterance_s + self.pause_s) for number in range(self.utterances)]


@attrs.frozen
class Arrival:
    """A piece came to the carrier; what waited there just before and just after, in seconds of audio."""

    at: float
    before_s: float
    after_s: float
    ran_dry: bool
    """It should have been there: the user heard a hole."""


@attrs.frozen
class Course:
    """What became of a call."""

    arrivals: list[Arrival]
    leads: list[tuple[float, float]]
    """(when, the lead in force) at every piece that left."""
    under_runs: list[int]
    """Holes that the user heard, by utterance."""
    line: PlayoutFigures


class _Direction:
    """One way of a line; moments must not go backwards."""

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
        self.under_runs = [0] * utterances
        self.echoes: deque[tuple[float, str]] = deque()  # (here at, name); bounded by the speech of one call
        self._loss = line.loss
        self._chance = chance
        self._there, self._back = _Direction(line, chance), _Direction(line, chance)
        self._there_at = -math.inf
        self._playout = LinePlayout(began_at=0.0)
        self._item = ""

    def take(self, order: LegOrder, now: float) -> None:
        """An order leaves."""
        self._there_at = self._there.arrives_at(now)
        if isinstance(order, PlayAudio):
            self._play(order)
        elif isinstance(order, PlaceMark) and self._chance.random() >= self._loss:
            self.echoes.append((self._back.arrives_at(max(self._there_at, self._playout.plays_until)), order.name))

    def _play(self, order: PlayAudio) -> None:
        at, waits_until = self._there_at, self._playout.plays_until
        ran_dry = order.item_id == self._item and waits_until < at - 1e-9
        if ran_dry:
            self.under_runs[int(order.item_id)] += 1
        before_s = max(0.0, waits_until - at)
        self._playout.media(order.audio, at)
        self._item = order.item_id
        self.arrivals.append(Arrival(at, before_s, before_s + PCMU_8K.seconds_in(len(order.audio)), ran_dry))


def course(line: Line, talk: Talk, settings: PlayoutSettings, seed: int) -> Course:
    """Let one call's speech pass over a line."""
    ledger, carrier = PlayoutLedger(PCMU_8K, settings), _Carrier(line, talk.utterances, random.Random(seed))
    leads: list[tuple[float, float]] = []
    deltas, now = deque(_deltas(talk)), 0.0
    while now < math.inf:
        _take_in(ledger, deltas, carrier.echoes, now)
        for order in ledger.due(now):
            carrier.take(order, now)
            if isinstance(order, PlayAudio):
                leads.append((now, ledger.line.lead_s))
        heads = (deltas[0][0] if deltas else None, carrier.echoes[0][0] if carrier.echoes else None)
        moments = (*heads, ledger.next_due(), ledger.deadline())
        now = max(now, min((moment for moment in moments if moment is not None), default=math.inf))
    return Course(carrier.arrivals, leads, carrier.under_runs, ledger.line)


def _deltas(talk: Talk) -> Iterator[tuple[float, str]]:
    """Yield when a delta of an utterance comes; the item's name is the utterance's number."""
    for number, begin in enumerate(talk.begins):
        for delta in range(round(talk.utterance_s / _DELTA_S)):
            yield begin + delta * _DELTA_S / talk.generated, str(number)


def _take_in(
    ledger: PlayoutLedger, deltas: deque[tuple[float, str]], echoes: deque[tuple[float, str]], now: float
) -> None:
    while echoes and echoes[0][0] <= now:
        ledger.echoed(echoes.popleft()[1], now)
    while deltas and deltas[0][0] <= now:
        _, item = deltas.popleft()
        ledger.push("response", item, bytes(PCMU_8K.bytes_in(_DELTA_S)))
        if not deltas or deltas[0][1] != item:
            ledger.finish(item)
    ledger.expire(now)
