"""The conversation as it was heard: one line an item, in the order of the items.

Rule 1: items stand in the order in which the provider added them; their words
may arrive at any time (a user's often after the answer to it).
Rule 2: an agent line has only what the user heard.  A cut line keeps whole
words from its start, in proportion to the audio heard; where the audio was not
complete its length is estimated high (speaking_pace.py), so that too little is
kept, never too much.  Where no whole word was surely heard its text is None.
Rule 3: an item of which nothing was heard is not in the transcript; only a policy
that keeps what was cut can put it there, and its line says that it was cut.
Rule 4: words and lines are bounded.  What exceeds the bounds is counted, and costs
nothing: pieces are joined when somebody asks, not when they come.

Pure.
"""

from __future__ import annotations

import enum
import math
import unicodedata

import attrs

from voicecore.facts import HeardPosition, Speaker, TranscriptLine
from voicecore.turns.playout.speaking_pace import SpeakingPace, letters

WORDS_LIMIT_CHARS = 16_384  #: of one item: some twenty minutes of speech
LINES_LIMIT = 10_000  #: of one call


class _Outcome(enum.Enum):
    OPEN = "open"
    WHOLE = "whole"
    CUT = "cut"
    KEPT = "kept"  #: cut, and kept whole all the same
    UNHEARD = "unheard"


_CUT = frozenset({_Outcome.CUT, _Outcome.KEPT})


@attrs.define
class _Line:
    speaker: Speaker
    item_id: str
    pieces: list[str] = attrs.field(factory=list)  # bounded by WORDS_LIMIT_CHARS
    chars: int = 0  #: of all pieces
    is_complete: bool = False  #: no more words are due
    outcome: _Outcome = _Outcome.OPEN
    audio_s: float = 0.0  #: generated so far
    ahead: float = 0.0  #: letters that were there before the first audio
    known_at_cut: float = 0.0  #: letters
    heard_s: float = 0.0
    generated_s: float | None = None  #: None while more may come
    cut_off: bool = False  #: its audio ended before its words
    heard: HeardPosition | None = None

    @property
    def text(self) -> str | None:
        if len(self.pieces) > 1:
            self.pieces = ["".join(self.pieces)]
        return self.pieces[0] if self.pieces else None

    def set_words(self, text: str) -> None:
        self.pieces, self.chars, self.is_complete = [text] if text else [], len(text), True

    def heard_text(self, pace: SpeakingPace) -> str | None:
        text = self.text
        if self.outcome is not _Outcome.CUT or text is None:
            return text
        length_s = self.generated_s or 0.0
        if self.generated_s is None or self.cut_off:
            speed = pace.estimate(max(0.0, self.known_at_cut - self.ahead), self.audio_s)
            length_s = max(length_s, letters(text) / speed if speed else math.inf)
        return whole_words(text, self.heard_s / length_s if length_s else 0.0) or None


class Transcript:
    """All lines of one call."""

    def __init__(self) -> None:
        self.dropped_chars = 0
        """Words beyond WORDS_LIMIT_CHARS of their item."""
        self.dropped_lines = 0
        """Mentions of items beyond LINES_LIMIT."""
        self._lines: dict[str, _Line] = {}  # bounded by LINES_LIMIT
        self._pace = SpeakingPace()

    def add(self, speaker: Speaker, item_id: str) -> None:
        """Note that an item exists; the first mention fixes its place."""
        self._line(speaker, item_id)

    def extend(self, speaker: Speaker, item_id: str, text: str) -> bool:
        """Add a piece of an item's words; return whether any of it fitted."""
        line = self._line(speaker, item_id)
        kept = text[: WORDS_LIMIT_CHARS - line.chars] if line is not None and not line.is_complete else ""
        if line is None or not line.is_complete:  # pieces behind the whole are no loss
            self.dropped_chars += len(text) - len(kept)
        if line is None or not kept:
            return False
        line.pieces.append(kept)
        line.chars += len(kept)
        return True

    def complete(self, speaker: Speaker, item_id: str, text: str) -> None:
        """Set an item's words whole; they replace the pieces."""
        line = self._line(speaker, item_id)
        if line is not None:
            line.set_words(text[:WORDS_LIMIT_CHARS])
        self.dropped_chars += max(0, len(text) - WORDS_LIMIT_CHARS)

    def audio(self, item_id: str, seconds: float) -> None:
        """More audio of an agent item was generated."""
        line = self._line(Speaker.AGENT, item_id)
        if line is None:
            return
        if line.audio_s == 0:
            line.ahead = letters(line.text or "")
        line.audio_s += seconds

    def heard(self, item_id: str) -> None:
        """An agent item was played to its end."""
        line = self._settle(item_id, _Outcome.WHOLE)
        if line is not None and line.is_complete and not line.cut_off:
            self._pace.learn(line.text or "", line.audio_s)

    def cut(
        self,
        item_id: str,
        heard_s: float,
        generated_s: float | None,
        *,
        keep_all: bool = False,
        heard: HeardPosition | None = None,
    ) -> None:
        """An agent item was cut after ``heard_s`` of the ``generated_s`` that it lasts (None: not known yet).

        ``keep_all``: it counts as said, by the policy of the call. ``heard``: for the record.
        """
        outcome = _Outcome.KEPT if keep_all else _Outcome.CUT if heard_s > 0 else _Outcome.UNHEARD
        line = self._settle(item_id, outcome)
        if line is not None:
            line.heard_s, line.generated_s, line.heard = heard_s, generated_s, heard
            line.known_at_cut = letters(line.text or "")

    def cut_off(self, item_id: str) -> None:
        """An agent item's response did not get to its end: some of its words may have no audio."""
        if item_id in self._lines:
            self._lines[item_id].cut_off = True

    def is_open(self, item_id: str) -> bool:
        """Whether an item is known, and not yet what became of it."""
        line = self._lines.get(item_id)
        return line is not None and line.outcome is _Outcome.OPEN

    def text(self, item_id: str) -> str | None:
        """Return what was heard of an item, as far as its words are known."""
        line = self._lines.get(item_id)
        return None if line is None or line.outcome is _Outcome.UNHEARD else line.heard_text(self._pace)

    def lines(self) -> list[TranscriptLine]:
        """Return the conversation; agent items that were generated and never heard are left out."""
        return [
            TranscriptLine(
                line.speaker,
                line.item_id,
                line.heard_text(self._pace),
                line.outcome in {_Outcome.CUT, _Outcome.KEPT},
                line.heard,
            )
            for line in self._lines.values()
            if line.speaker is Speaker.USER or line.outcome in {_Outcome.WHOLE, _Outcome.CUT, _Outcome.KEPT}
        ]

    def _line(self, speaker: Speaker, item_id: str) -> _Line | None:
        """Return an item's line, a new one where it is not known; None where the limit is reached."""
        line = self._lines.get(item_id)
        if line is None and len(self._lines) < LINES_LIMIT:
            line = self._lines[item_id] = _Line(speaker, item_id)
        self.dropped_lines += line is None
        return line

    def _settle(self, item_id: str, outcome: _Outcome) -> _Line | None:
        line = self._lines.get(item_id)
        if line is None or line.outcome is not _Outcome.OPEN:
            return None  # the first outcome stands
        line.outcome = outcome
        return line


def whole_words(text: str, fraction: float) -> str:
    """Return the longest run of whole words that is at most ``fraction`` of the text, by characters.

    Scripts that are written without spaces (Chinese, Japanese) may be cut between any two characters.
    """
    if fraction >= 1.0:
        return text
    limit = int(len(text) * max(0.0, fraction))
    borders = (at for at in range(limit, 0, -1) if text[at].isspace() or _stands_alone(text[at - 1]))
    return text[: next(borders, 0)].rstrip()


def _stands_alone(character: str) -> bool:
    return unicodedata.east_asian_width(character) in {"W", "F"}
