"""What the caller has heard: the ledger between agent speech and the carrier.

A carrier buffers whatever it gets, so *sent* is not *heard*.  The ledger holds
generated speech back, lets it go in pieces so that little of it waits at the
carrier, places marks behind it and learns from their echoes what was played.

Rule 1: at most ``lead_s`` of audio is sent and not yet played, by our clock;
audio leaves on absolute times, so a late wake-up is caught up and nothing drifts.
Rule 2: a mark's name holds its generation and is never used again in a call.
Rule 3: an echo confirms everything before its mark.  An echo of an older
generation was *flushed* by the clear, not heard; any other unknown name changes
nothing and is counted.
Rule 4: heard is counted low, never high: from the last echo on it grows with
the clock, but not past the next mark.
Rule 5: this file does not know which carrier it feeds.

Pure: no Trio, no sockets; time is an argument.  Used by turns/conversation.py.
Why it is like this: docs/design/0003-playout-and-barge-in.md
"""

from __future__ import annotations

import enum
from collections import deque

import attrs

from voicecore.audio.formats import AudioFormat
from voicecore.audio.framing import FRAME_S, Framer
from voicecore.events import ClearPlayout, LegOrder, PlaceMark, PlayAudio

_TICK_S = 1e-6  #: slack of float arithmetic; far below one sample


@attrs.frozen(kw_only=True)
class PlayoutSettings:
    """How far and in what sizes speech runs ahead of the caller's ear."""

    lead_s: float = 0.2
    """Most audio that may wait at the carrier; what a barge-in has to clear."""
    piece_s: float = 0.06
    """Audio in one media message; larger costs less, smaller clears finer."""
    mark_every_s: float = 0.2
    """Audio between two marks; the first piece and the last one always have one."""
    echo_late_s: float = 2.0
    """An echo later than this is given up; its audio counts as played by the clock."""
    waiting_limit_s: float = 600.0
    """Most generated speech kept for one call (4.8 MB of G.711); what exceeds it is refused."""


@attrs.frozen
class Played:
    """An item was played to its end: ``mark`` came back behind its last audio, or ``assumed`` by the clock."""

    response_id: str
    item_id: str
    assumed: bool
    mark: str | None = None


@attrs.frozen
class FirstHeard:
    """The first mark of an item came back."""

    response_id: str
    item_id: str


@attrs.frozen
class Interrupted:
    """An item was cut by a clear; ``heard_s`` of its audio was played before.

    ``generated_s`` is the length of its audio, None when more was still to come.
    """

    response_id: str
    item_id: str
    heard_s: float
    generated_s: float | None


class EchoKind(enum.Enum):
    """What an echo told us."""

    HEARD = "heard"
    FLUSHED = "flushed"
    UNMATCHED = "unmatched"


@attrs.define
class PlayoutCounts:
    """Totals of one call."""

    padding_bytes: int = 0
    dropped_bytes: int = 0
    """Generated, not sent, and cut by a clear."""
    marks_placed: int = 0
    marks_heard: int = 0
    marks_flushed: int = 0
    marks_assumed: int = 0
    marks_unmatched: int = 0
    clears: int = 0
    under_runs: int = 0


class _Source(enum.Enum):
    """Whether more audio of an item may come."""

    OPEN = "open"
    ENDED = "ended"


@attrs.define(eq=False)
class _Utterance:
    """One agent item on its way to the ear; byte positions count from its start."""

    response_id: str
    item_id: str
    frames: Framer
    source: _Source = _Source.OPEN
    received_bytes: int = 0
    sent_bytes: int = 0
    marked_bytes: int = 0
    heard_bytes: int = 0
    heard_at: float | None = None  #: when heard_bytes was last confirmed
    heard_by: str | None = None  #: the mark that confirmed it; None: the clock

    @property
    def padding_bytes(self) -> int:
        """Silence that was sent behind the last byte."""
        return max(0, self.sent_bytes - self.received_bytes)

    def take(self, size_bytes: int) -> bytes:
        piece = self.frames.take(size_bytes)
        if not piece and self.source is _Source.ENDED:
            piece = self.frames.take_last()
        self.sent_bytes += len(piece)
        return piece

    @property
    def all_sent(self) -> bool:
        return self.source is _Source.ENDED and self.frames.size_bytes == 0


@attrs.frozen(eq=False)
class _Mark:
    name: str
    utterance: _Utterance
    position_bytes: int
    expected_at: float


class PlayoutLedger:
    """Generated, sent and heard audio of one leg."""

    def __init__(self, audio_format: AudioFormat, settings: PlayoutSettings | None = None) -> None:
        self.settings = settings or PlayoutSettings()
        self.generation = 0
        self.counts = PlayoutCounts()
        self._format = audio_format
        self._frame_bytes = audio_format.bytes_in(FRAME_S)
        self._piece_bytes = audio_format.bytes_in(self.settings.piece_s)
        self._mark_bytes = audio_format.bytes_in(self.settings.mark_every_s)
        self._limit_bytes = audio_format.bytes_in(self.settings.waiting_limit_s)
        self._utterances: deque[_Utterance] = deque()  # oldest first; bounded by _limit_bytes and one entry an item
        self._marks: deque[_Mark] = deque()  # sent, not echoed; oldest first; bounded by lead_s and echo_late_s
        self._play_end = float("-inf")  # when the carrier will have played all that was sent
        self._clear_order: ClearPlayout | None = None
        self._next_mark = 1

    # --- speech comes in --------------------------------------------------

    def push(self, response_id: str, item_id: str, audio: bytes) -> int:
        """Append generated audio (leg format, whole samples); return the bytes refused for lack of room."""
        utterance = self._find(item_id) or self._begin(response_id, item_id)
        room = max(0, self._limit_bytes - self.waiting_bytes)
        kept = audio if len(audio) <= room else audio[: room - room % self._format.sample_bytes]
        refused = utterance.frames.push(kept) + len(audio) - len(kept)
        utterance.received_bytes += len(audio) - refused
        return refused

    def finish(self, item_id: str) -> list[Played]:
        """Say that no more audio of this item comes; its last frame is padded with silence and sent.

        An item of which every byte was heard already is over at once.
        """
        utterance = self._find(item_id)
        if utterance is None or utterance.source is _Source.ENDED:
            return []
        utterance.source = _Source.ENDED
        if utterance.all_sent and utterance.heard_bytes >= utterance.sent_bytes:
            self._utterances.remove(utterance)
            return [Played(utterance.response_id, item_id, assumed=False, mark=utterance.heard_by)]
        return []

    def finish_response(self, response_id: str) -> list[Played]:
        """End every item of a response, whose own end may never have been said."""
        items = [u.item_id for u in self._utterances if u.response_id == response_id]
        return [played for item_id in items for played in self.finish(item_id)]

    # --- speech goes out --------------------------------------------------

    def due(self, now: float) -> list[LegOrder]:
        """Return what may go to the carrier at this moment, in its order; a clear comes first.

        Args:
            now: Seconds on Trio's clock; must not go backwards.
        """
        orders: list[LegOrder] = []
        if self._clear_order is not None:
            orders.append(self._clear_order)
            self._clear_order = None
        while (utterance := self._next_unsettled()) is not None:
            if utterance.all_sent:  # its end was said after its last byte had left
                orders.append(self._place_mark(utterance))
                continue
            if not self._has_room(now) or not (piece := utterance.take(self._piece_bytes)):
                break
            orders.append(self._send(utterance, piece, now))
            if self._wants_mark(utterance, piece):
                orders.append(self._place_mark(utterance))
        return orders

    def next_due(self) -> float | None:
        """Return when `due` will next have something, as far as known; None is "not before more speech"."""
        if self._clear_order is not None:
            return float("-inf")
        utterance = self._next_unsettled()
        if utterance is None:
            return None
        if utterance.all_sent:
            return float("-inf")
        if utterance.source is _Source.OPEN and utterance.frames.size_bytes < self._frame_bytes:
            return None
        return self._play_end + self.settings.piece_s - self.settings.lead_s

    # --- the carrier answers ----------------------------------------------

    def echoed(self, name: str, now: float) -> tuple[EchoKind, list[FirstHeard | Played]]:
        """Take one mark echo."""
        if any(mark.name == name for mark in self._marks):
            return EchoKind.HEARD, self._confirm_up_to(name, now)
        generation, _, number = name.removeprefix("g").partition("-")
        if generation.isdecimal() and number.isdecimal() and int(generation) < self.generation:
            self.counts.marks_flushed += 1
            return EchoKind.FLUSHED, []
        self.counts.marks_unmatched += 1
        return EchoKind.UNMATCHED, []

    def deadline(self) -> float | None:
        """Return when to call `expire`: the oldest echo is then given up."""
        return self._marks[0].expected_at + self.settings.echo_late_s if self._marks else None

    def expire(self, now: float) -> list[FirstHeard | Played]:
        """Count as played what the clock says was played although its echo never came."""
        found: list[FirstHeard | Played] = []
        while self._marks and self._marks[0].expected_at + self.settings.echo_late_s <= now + _TICK_S:
            self.counts.marks_assumed += 1
            found += self._confirm(self._marks.popleft(), now, assumed=True)
        return found

    # --- the caller speaks over it ----------------------------------------

    def clear(self, now: float) -> list[Interrupted]:
        """Drop all speech, sent and waiting; a new generation begins and the clear is the next order.

        Returns every item that was not played to its end, oldest first, with what was heard of it.
        Nothing is ordered when there was nothing to cut.
        """
        if not self._utterances:
            return []
        cut = self.unplayed(now)
        self.counts.dropped_bytes += self.waiting_bytes
        if self.audible:
            self.generation += 1
            self.counts.clears += 1
            self._clear_order = ClearPlayout(self.generation)
        self._utterances.clear()
        self._marks.clear()
        self._play_end = now
        return cut

    def unplayed(self, now: float) -> list[Interrupted]:
        """Return every item in hand with what a clear at this moment would leave of it."""
        return [
            Interrupted(u.response_id, u.item_id, self.heard_s(u.item_id, now), self._length_s(u))
            for u in self._utterances
        ]

    def heard_s(self, item_id: str, now: float) -> float:
        """Return how much of an item was surely played: never more than was received, sent or due."""
        utterance = self._find(item_id)
        if utterance is None or utterance.heard_at is None:
            return 0.0
        next_mark = next((m.position_bytes for m in self._marks if m.utterance is utterance), utterance.sent_bytes)
        since_echo = utterance.heard_bytes + self._format.bytes_in(now - utterance.heard_at)
        by_pacing = utterance.sent_bytes - self._format.bytes_in(self.lead_s(now))  # after a gap the clock ran idle
        position = max(utterance.heard_bytes, min(since_echo, next_mark, by_pacing))
        return self._format.seconds_in(min(position, utterance.received_bytes))

    # --- questions ---------------------------------------------------------

    @property
    def speaking(self) -> bool:
        """Whether any speech waits, or was sent and is not known to have been played."""
        return bool(self._utterances)

    @property
    def audible(self) -> bool:
        """Whether some of the speech in hand was sent: only then is there something to barge in on."""
        return any(u.sent_bytes for u in self._utterances)

    @property
    def waiting_bytes(self) -> int:
        """Audio that was generated and not sent."""
        return sum(u.frames.size_bytes for u in self._utterances)

    def lead_s(self, now: float) -> float:
        """Audio that the carrier should still have to play."""
        return max(0.0, self._play_end - now)

    # --- inside -------------------------------------------------------------

    def _length_s(self, utterance: _Utterance) -> float | None:
        return self._format.seconds_in(utterance.received_bytes) if utterance.source is _Source.ENDED else None

    def _find(self, item_id: str) -> _Utterance | None:
        return next((u for u in self._utterances if u.item_id == item_id), None)

    def _begin(self, response_id: str, item_id: str) -> _Utterance:
        utterance = _Utterance(response_id, item_id, Framer(self._format, limit_bytes=self._limit_bytes))
        self._utterances.append(utterance)
        return utterance

    def _next_unsettled(self) -> _Utterance | None:
        """Return the first item that still has audio to send, or a last mark to place."""
        return next((u for u in self._utterances if not u.all_sent or u.marked_bytes < u.sent_bytes), None)

    def _has_room(self, now: float) -> bool:
        return self.lead_s(now) + self.settings.piece_s <= self.settings.lead_s + _TICK_S

    def _send(self, utterance: _Utterance, piece: bytes, now: float) -> PlayAudio:
        continues = utterance.sent_bytes - len(piece) > 0
        if continues and self._play_end + _TICK_S < now:
            self.counts.under_runs += 1
        self._play_end = max(now, self._play_end) + self._format.seconds_in(len(piece))
        self.counts.padding_bytes += utterance.padding_bytes
        return PlayAudio(piece, self.generation, utterance.item_id)

    def _wants_mark(self, utterance: _Utterance, piece: bytes) -> bool:
        first = utterance.sent_bytes == len(piece)
        return first or utterance.all_sent or utterance.sent_bytes - utterance.marked_bytes >= self._mark_bytes

    def _place_mark(self, utterance: _Utterance) -> PlaceMark:
        name = f"g{self.generation}-{self._next_mark}"
        self._next_mark += 1
        utterance.marked_bytes = utterance.sent_bytes
        self._marks.append(_Mark(name, utterance, utterance.sent_bytes, self._play_end))
        self.counts.marks_placed += 1
        return PlaceMark(name, self.generation)

    def _confirm_up_to(self, name: str, now: float) -> list[FirstHeard | Played]:
        found: list[FirstHeard | Played] = []
        while True:
            mark = self._marks.popleft()
            self.counts.marks_heard += 1
            found += self._confirm(mark, now, assumed=False)
            if mark.name == name:
                return found

    def _confirm(self, mark: _Mark, now: float, *, assumed: bool) -> list[FirstHeard | Played]:
        utterance = mark.utterance
        found: list[FirstHeard | Played] = []
        if utterance.heard_at is None and not assumed:
            found.append(FirstHeard(utterance.response_id, utterance.item_id))
        utterance.heard_bytes, utterance.heard_at = mark.position_bytes, now
        utterance.heard_by = None if assumed else mark.name
        if utterance.all_sent and utterance.heard_bytes >= utterance.sent_bytes:
            self._utterances.remove(utterance)
            found.append(Played(utterance.response_id, utterance.item_id, assumed, utterance.heard_by))
        return found
