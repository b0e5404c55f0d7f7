"""What the user has heard: the ledger between agent speech and the carrier.

A carrier buffers whatever it gets, so *sent* is not *heard*.  The ledger keeps
generated speech waiting, lets it go in pieces so that little of it waits at the
carrier, places marks behind it and learns from their return what was played.

Rule 1: at most the lead in force is sent and not yet played, by our clock; what
that is, and why a long round trip does not matter, is explained in pacing.py.
Rule 2: a mark's name has its generation and is never used again in a call.
Rule 3: a mark that comes back confirms everything before it.  One of an older
generation was *flushed* by a clear, not heard; any other unknown name changes
nothing and is counted.
Rule 4: heard is counted low, never high: from the last returned mark on it grows with
the clock, less the line's jitter, but not past the next mark.
Rule 5: where marks do not come back the clock confirms, after a margin: always for a
carrier that returns none, and for one that has stopped returning them until the
first one that comes back again.  What was known by what is kept.
Rule 6: this file does not know which carrier it feeds.

Pure: no Trio, no sockets; time is an argument.
"""

from __future__ import annotations

import enum
from collections import deque

import attrs

from voicecore import kinds
from voicecore.audio.formats import AudioFormat
from voicecore.audio.framing import FRAME_S, Framer
from voicecore.errors import ConfigError
from voicecore.events import ClearPlayout, LegOrder, PlaceMark, PlayAudio
from voicecore.facts import ConfirmedBy, HeardPosition, PlayoutFigures
from voicecore.turns.playout.marks import Mark, Marks, is_of_generation_before
from voicecore.turns.playout.pacing import Pacing
from voicecore.turns.playout.utterance import NOT_HEARD, Source, Utterance


class MarkSupport(enum.Enum):
    """Whether a carrier tells what it has played: a capability of the leg."""

    RETURNED = "returned"  #: marks come back when they are reached
    NONE = "none"  #: there are no marks; none is ever placed


@attrs.frozen(kw_only=True)
class PlayoutSettings:
    """How far and in what sizes speech runs ahead of the user's ear."""

    lead_s: float = attrs.field(default=0.2, validator=kinds.seconds(0.02, 10))
    """Most audio that may wait at the carrier on a quiet line; what a barge-in has to clear."""
    piece_s: float = attrs.field(default=0.06, validator=kinds.seconds(0.02, 0.5))
    """Audio in one media message; larger costs less, smaller clears finer."""
    mark_every_s: float = attrs.field(default=0.2, validator=kinds.seconds(above=0))
    """Audio between two marks; the first piece and the last one always have one."""
    mark_late_s: float = attrs.field(default=2.0, validator=kinds.seconds(above=0))
    """A mark that returns later than this is given up; its audio counts as played by the clock."""
    waiting_limit_s: float = attrs.field(default=600.0, validator=kinds.seconds(above=0))
    """Most generated speech kept for one call (4.8 MB of G.711); what exceeds it is refused."""
    echoes: MarkSupport = attrs.field(default=MarkSupport.RETURNED, validator=kinds.member(MarkSupport))
    """Whether the carrier returns marks."""
    clock_margin_s: float = attrs.field(default=0.3, validator=kinds.seconds())
    """Where no marks are returned, audio counts as played so long after the clock says so."""
    lead_limit_s: float = attrs.field(default=1.0, validator=kinds.seconds(0.02, 10))
    """Most that the lead grows to on a line with jitter; equal to the lead, it never grows."""

    def __attrs_post_init__(self) -> None:
        if not self.piece_s <= self.lead_s <= self.lead_limit_s:
            raise ConfigError("PlayoutSettings.lead_s", "a piece has to fit into the lead, and the lead into its limit")


@attrs.frozen
class Played:
    """An item was played to its end: ``mark`` came back behind its last audio; None: by the clock."""

    response_id: str
    item_id: str
    mark: str | None = None


@attrs.frozen
class FirstHeard:
    """The first mark of an item came back."""

    response_id: str
    item_id: str


@attrs.frozen
class Interrupted:
    """An item was cut by a clear; ``heard`` says how much of its audio was played before.

    ``generated_s`` is the length of its audio, None when more was still to come.
    """

    response_id: str
    item_id: str
    heard: HeardPosition
    generated_s: float | None

    @property
    def heard_s(self) -> float:
        """The best guess, counted low."""
        return self.heard.best_s


class MarkKind(enum.Enum):
    """What a returned mark says."""

    HEARD = "heard"  #: everything before its mark was played
    FLUSHED = "flushed"  #: it was pending at the newest clear, and that clear is on its way or there
    STALE = "stale"  #: of a generation that is over, and no answer to the newest clear
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
    """Of any generation that is over, stale ones included."""
    marks_assumed: int = 0
    """Given up: the clock took their place."""
    marks_late: int = 0
    """Of those given up, the ones that came back after all."""
    marks_unmatched: int = 0
    positions_assumed: int = 0
    """Confirmed by the clock because the carrier returns no marks."""
    clears: int = 0
    underruns: int = 0


class PlayoutLedger:
    """Generated, sent and heard audio of one leg."""

    def __init__(self, audio_format: AudioFormat, settings: PlayoutSettings | None = None) -> None:
        self.settings = its = settings or PlayoutSettings()
        self.generation = 0
        self.counts = PlayoutCounts()
        self._format = audio_format
        self._frame_bytes = audio_format.bytes_in(FRAME_S)
        self._piece_bytes = audio_format.bytes_in(its.piece_s)
        self._mark_bytes = audio_format.bytes_in(its.mark_every_s)
        self._limit_bytes = audio_format.bytes_in(its.waiting_limit_s)
        self._utterances: deque[Utterance] = deque()  # oldest first; bounded by _limit_bytes and one entry an item
        self._pacing = Pacing(lead_s=its.lead_s, lead_limit_s=its.lead_limit_s, piece_s=its.piece_s)
        self._marks = Marks(
            returned=its.echoes is MarkSupport.RETURNED, late_s=its.mark_late_s, margin_s=its.clock_margin_s
        )
        self._clear_order: ClearPlayout | None = None

    # --- speech comes in --------------------------------------------------

    def push(self, response_id: str, item_id: str, audio: bytes) -> int:
        """Append generated audio (leg format, whole samples); return the bytes refused for lack of room."""
        utterance = self._find(item_id) or self._begin(response_id, item_id)
        room = max(0, self._limit_bytes - self.waiting_bytes)
        kept = audio[:room]  # whole samples: the limit is, and so is what waits
        refused = utterance.frames.push(kept) + len(audio) - len(kept)
        utterance.received_bytes += len(audio) - refused
        return refused

    def finish(self, item_id: str) -> list[Played]:
        """Say that no more audio of this item comes; its last frame is padded with silence and sent.

        An item of which every byte was heard already is over at once.
        """
        utterance = self._find(item_id)
        if utterance is None or utterance.source is Source.ENDED:
            return []
        utterance.source = Source.ENDED
        if utterance.all_heard:
            self._utterances.remove(utterance)
            return [Played(utterance.response_id, item_id, mark=utterance.heard_by)]
        return []

    def finish_response(self, response_id: str) -> list[Played]:
        """End every item of a response, whose own end may never have been said."""
        items = [u.item_id for u in self._utterances if u.response_id == response_id]
        return [played for item_id in items for played in self.finish(item_id)]

    # --- speech goes out --------------------------------------------------

    def due(self, now: float, *, speech_from: float = float("-inf")) -> list[LegOrder]:
        """Return what may go to the carrier at this moment, in its order; a clear comes first.

        Args:
            now: Seconds on Trio's clock; must not go backwards.
            speech_from: From when audio may leave; a clear waits for nothing.
        """
        orders: list[LegOrder] = []
        if self._clear_order is not None:
            orders.append(self._clear_order)
            self._clear_order = None
        if now < speech_from:
            return orders
        while (utterance := self._next_unsettled()) is not None:
            if utterance.all_sent:  # its end was said after its last byte had left
                orders += self._place_mark(utterance, now)
                continue
            if not self._pacing.has_room(now) or not (piece := utterance.take(self._piece_bytes)):
                break
            orders.append(self._send(utterance, piece, now))
            if self._wants_mark(utterance, piece):
                orders += self._place_mark(utterance, now)
        return orders

    def next_due(self, *, speech_from: float = float("-inf")) -> float | None:
        """Return when `due` will next have something, as far as known; None is "not before more speech"."""
        if self._clear_order is not None:
            return float("-inf")
        utterance = self._next_unsettled()
        if utterance is None:
            return None
        if utterance.all_sent:
            return speech_from
        if utterance.source is Source.OPEN and utterance.frames.size_bytes < self._frame_bytes:
            return None
        return max(speech_from, self._pacing.room_at())

    # --- the carrier answers ----------------------------------------------

    def echoed(self, name: str, now: float) -> tuple[MarkKind, list[FirstHeard | Played]]:
        """Take one returned mark."""
        if marks := self._marks.returned(name):
            self.counts.marks_heard += len(marks)
            self._pacing.echoed(marks[-1].expected_at, now)
            return MarkKind.HEARD, [event for mark in marks for event in self._confirm(mark, now, mark.name)]
        if (late := self._marks.returned_late(name)) is not None:
            self._echoed_late(late, now)
            return MarkKind.HEARD, []
        return self._echoed_out_of_turn(name), []

    def deadline(self) -> float | None:
        """Return when to call `expire`: the oldest mark is then given up."""
        return self._marks.deadline()

    def expire(self, now: float) -> list[FirstHeard | Played]:
        """Count as played what the clock says was played although its mark never came back."""
        found: list[FirstHeard | Played] = []
        while (mark := self._marks.give_up(now)) is not None:
            if mark.name is None:
                self.counts.positions_assumed += 1
            else:
                self.counts.marks_assumed += 1
            found += self._confirm(mark, now, None)
        return found

    # --- the user speaks over it ----------------------------------------

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
            self._marks.flush()
        self._utterances.clear()
        self._pacing.cleared(now)
        return cut

    def unplayed(self, now: float) -> list[Interrupted]:
        """Return every item in hand with what a clear at this moment would leave of it."""
        return [
            Interrupted(u.response_id, u.item_id, self._position(u, now), u.length_s(self._format))
            for u in self._utterances
        ]

    def position(self, item_id: str, now: float) -> HeardPosition:
        """Return how much of an item in hand was played; never more than was received, sent or due."""
        utterance = self._find(item_id)
        return NOT_HEARD if utterance is None else self._position(utterance, now)

    def heard_s(self, item_id: str, now: float) -> float:
        """Return the best guess of `position`, counted low."""
        return self.position(item_id, now).best_s

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
        return self._pacing.ahead_s(now)

    @property
    def line(self) -> PlayoutFigures:
        """What the line is like, and was so far."""
        pacing, trips = self._pacing, self._pacing.trips
        return PlayoutFigures(
            underruns=self.counts.underruns,
            lead_s=pacing.lead_s,
            max_lead_s=pacing.max_lead_s,
            round_trip_s=trips.base_s,
            max_round_trip_s=trips.most_s,
            jitter_s=None if trips.base_s is None else trips.jitter_s,
            confirmed_by=self._confirmed_by(),
        )

    # --- inside -------------------------------------------------------------

    def _find(self, item_id: str) -> Utterance | None:
        return next((u for u in self._utterances if u.item_id == item_id), None)

    def _begin(self, response_id: str, item_id: str) -> Utterance:
        utterance = Utterance(response_id, item_id, Framer(self._format, limit_bytes=self._limit_bytes))
        self._utterances.append(utterance)
        return utterance

    def _next_unsettled(self) -> Utterance | None:
        """Return the first item that still has audio to send, or a last mark to place."""
        return next((u for u in self._utterances if not u.all_sent or u.marked_bytes < u.sent_bytes), None)

    def _send(self, utterance: Utterance, piece: bytes, now: float) -> PlayAudio:
        continues = utterance.sent_bytes - len(piece) > 0
        if continues and self._pacing.ran_dry(now):
            self.counts.underruns += 1
        self._pacing.sent(self._format.seconds_in(len(piece)), now)
        self.counts.padding_bytes += utterance.padding_bytes
        return PlayAudio(piece, self.generation, utterance.item_id)

    def _wants_mark(self, utterance: Utterance, piece: bytes) -> bool:
        first = utterance.sent_bytes == len(piece)
        return first or utterance.all_sent or utterance.sent_bytes - utterance.marked_bytes >= self._mark_bytes

    def _place_mark(self, utterance: Utterance, now: float) -> list[LegOrder]:
        """Put a mark behind what was sent; it is reached at once where all of that was played already."""
        utterance.marked_bytes = utterance.sent_bytes
        mark = self._marks.place(utterance, self.generation, max(now, self._pacing.play_end))
        if mark.name is None:
            return []
        self.counts.marks_placed += 1
        return [PlaceMark(mark.name, self.generation)]

    def _position(self, utterance: Utterance, now: float) -> HeardPosition:
        if utterance.heard_at is None:
            return utterance.position(0, self._format)
        since_echo_s = now - utterance.heard_at - self._pacing.trips.jitter_s
        since_echo = utterance.heard_bytes + self._format.bytes_in(since_echo_s)
        by_pacing = utterance.sent_bytes - self._format.bytes_in(self.lead_s(now))  # after a gap the clock ran idle
        return utterance.position(min(since_echo, self._marks.next_position(utterance), by_pacing), self._format)

    def _confirm(self, mark: Mark, now: float, echo: str | None) -> list[FirstHeard | Played]:
        """Everything before a mark was played; without its mark that is assumed."""
        utterance = mark.utterance
        found: list[FirstHeard | Played] = []
        if utterance.heard_at is None and echo is not None:
            found.append(FirstHeard(utterance.response_id, utterance.item_id))
        utterance.confirm(mark.position_bytes, now, echo)
        if utterance.all_heard:
            self._utterances.remove(utterance)
            found.append(Played(utterance.response_id, utterance.item_id, echo))
        return found

    def _echoed_late(self, mark: Mark, now: float) -> None:
        """What the clock had assumed is now known; the line has shown that it does return marks."""
        self.counts.marks_late += 1
        self._pacing.echoed(mark.expected_at, now)
        if mark.utterance.heard_bytes == mark.position_bytes:
            mark.utterance.heard_by = mark.name

    def _echoed_out_of_turn(self, name: str) -> MarkKind:
        if not is_of_generation_before(name, self.generation):
            self.counts.marks_unmatched += 1
            return MarkKind.UNMATCHED
        self.counts.marks_flushed += 1
        if self._clear_order is None and self._marks.returned_flushed(name):
            return MarkKind.FLUSHED
        return MarkKind.STALE

    def _confirmed_by(self) -> ConfirmedBy:
        by_marks = self.counts.marks_heard + self.counts.marks_late > 0
        by_clock = self.counts.marks_assumed + self.counts.positions_assumed > 0
        if by_marks and by_clock:
            return ConfirmedBy.BOTH
        if by_marks:
            return ConfirmedBy.MARKS
        return ConfirmedBy.CLOCK if by_clock else ConfirmedBy.NOTHING
