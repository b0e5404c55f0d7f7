"""One agent item on its way to the ear: what of it came in, was sent, was marked and was heard.

Rule 1: all positions count from the item's first byte, and only grow:
heard <= marked <= sent, and sent <= received but for the silence behind the last byte.
Rule 2: what was heard is a span, not a number: at least what was confirmed, at most
what was sent.  The best guess between the two is counted low.

Pure.
"""

from __future__ import annotations

import enum

import attrs

from voicecore.audio.formats import AudioFormat
from voicecore.audio.framing import Framer
from voicecore.facts import HeardBy, HeardPosition

NOT_HEARD = HeardPosition(0.0, 0.0, 0.0, HeardBy.ESTIMATE)
"""Of an item that nobody knows, or of which nothing was sent."""


class Source(enum.Enum):
    """Whether more audio of an item may come."""

    OPEN = "open"
    ENDED = "ended"


@attrs.define(eq=False)
class Utterance:
    """One item; sizes and positions in bytes from its start."""

    response_id: str
    item_id: str
    frames: Framer
    source: Source = Source.OPEN
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

    @property
    def all_sent(self) -> bool:
        """Whether nothing waits and nothing more will come."""
        return self.source is Source.ENDED and self.frames.size_bytes == 0

    @property
    def all_heard(self) -> bool:
        """Whether it was played to its end."""
        return self.all_sent and self.heard_bytes >= self.sent_bytes

    def take(self, size_bytes: int) -> bytes:
        """Return the next piece, whole frames; empty when none is whole yet."""
        piece = self.frames.take(size_bytes)
        if not piece and self.source is Source.ENDED:
            piece = self.frames.take_last()
        self.sent_bytes += len(piece)
        return piece

    def confirm(self, position_bytes: int, now: float, mark: str | None) -> None:
        """Everything up to a position was played, by a mark or (None) by the clock."""
        self.heard_bytes, self.heard_at, self.heard_by = position_bytes, now, mark

    def length_s(self, audio_format: AudioFormat) -> float | None:
        """Return how long its audio is; None while more may come."""
        return audio_format.seconds_in(self.received_bytes) if self.source is Source.ENDED else None

    def position(self, guess_bytes: int, audio_format: AudioFormat) -> HeardPosition:
        """Return the span of what was heard around a guess."""
        sent = min(self.sent_bytes, self.received_bytes)
        lower = min(self.heard_bytes, sent)
        best = min(max(lower, guess_bytes), sent)
        seconds = audio_format.seconds_in
        return HeardPosition(seconds(lower), seconds(best), seconds(sent), self._known_by(lower, best))

    def _known_by(self, lower: int, best: int) -> HeardBy:
        if self.heard_by is None:
            return HeardBy.ESTIMATE
        return HeardBy.PACING if best > lower else HeardBy.MARKS
