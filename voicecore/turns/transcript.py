"""The conversation as it was heard: one line an item, in the order of the items.

Rule 1: items stand in the order in which the provider added them; their words
may arrive at any time (a caller's often after the answer to it).
Rule 2: an agent line holds only what the caller heard.  A cut line keeps whole
words from its start, in proportion to the audio heard; where the audio was not
complete its length is estimated high, so that too little is kept, never too much.
A text is cut to "" where no whole word was surely heard.
Rule 3: an item of which nothing was heard is not in the transcript; only a policy
that keeps what was cut can put it there, and its line says that it was cut.

Pure.  Used by turns/conversation.py.
"""

from __future__ import annotations

import enum
import unicodedata

import attrs

from voicecore.facts import HeardPosition, Speaker, TranscriptLine

_SLOWEST_CHARS_PER_S = 10.0  #: slow speech; a text that has not got all its audio yet is taken to last so long


class _Fate(enum.Enum):
    OPEN = "open"
    WHOLE = "whole"
    CUT = "cut"
    KEPT = "kept"  #: cut, and kept whole all the same
    UNHEARD = "unheard"


@attrs.define
class _Line:
    speaker: Speaker
    item_id: str
    parts: list[str] = attrs.field(factory=list)
    whole: str | None = None
    fate: _Fate = _Fate.OPEN
    heard_s: float = 0.0
    generated_s: float | None = None  #: None while more may come
    cut_off: bool = False  #: its audio ended before its words
    heard: HeardPosition | None = None

    @property
    def text(self) -> str | None:
        return self.whole if self.whole is not None else "".join(self.parts) or None

    def heard_text(self) -> str | None:
        if self.fate is not _Fate.CUT or self.text is None:
            return self.text
        length_s = self.generated_s or 0.0
        if self.generated_s is None or self.cut_off:
            length_s = max(length_s, len(self.text) / _SLOWEST_CHARS_PER_S)
        return whole_words(self.text, self.heard_s / length_s if length_s else 0.0)


class Transcript:
    """All lines of one call."""

    def __init__(self) -> None:
        self._lines: dict[str, _Line] = {}

    def add(self, speaker: Speaker, item_id: str) -> None:
        """Note that an item exists; the first mention fixes its place."""
        self._lines.setdefault(item_id, _Line(speaker, item_id))

    def extend(self, speaker: Speaker, item_id: str, text: str) -> None:
        """Add a piece of an item's words."""
        self.add(speaker, item_id)
        self._lines[item_id].parts.append(text)

    def complete(self, speaker: Speaker, item_id: str, text: str) -> None:
        """Set an item's words whole; they replace the pieces."""
        self.add(speaker, item_id)
        self._lines[item_id].whole = text

    def heard(self, item_id: str) -> None:
        """An agent item was played to its end."""
        self._settle(item_id, _Fate.WHOLE)

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
        fate = _Fate.KEPT if keep_all else _Fate.CUT if heard_s > 0 else _Fate.UNHEARD
        line = self._settle(item_id, fate)
        if line is not None:
            line.heard_s, line.generated_s, line.heard = heard_s, generated_s, heard

    def cut_off(self, item_id: str) -> None:
        """An agent item's response did not get to its end: some of its words may have no audio."""
        if item_id in self._lines:
            self._lines[item_id].cut_off = True

    def is_open(self, item_id: str) -> bool:
        """Whether an item is known, and not yet what became of it."""
        line = self._lines.get(item_id)
        return line is not None and line.fate is _Fate.OPEN

    def text(self, item_id: str) -> str | None:
        """Return what was heard of an item, as far as its words are known."""
        line = self._lines.get(item_id)
        return None if line is None or line.fate is _Fate.UNHEARD else line.heard_text()

    def lines(self) -> list[TranscriptLine]:
        """Return the conversation; agent items that were generated and never heard are left out."""
        return [
            TranscriptLine(
                line.speaker, line.item_id, line.heard_text(), line.fate in {_Fate.CUT, _Fate.KEPT}, line.heard
            )
            for line in self._lines.values()
            if line.speaker is Speaker.CALLER or line.fate in {_Fate.WHOLE, _Fate.CUT, _Fate.KEPT}
        ]

    def _settle(self, item_id: str, fate: _Fate) -> _Line | None:
        line = self._lines.get(item_id)
        if line is None or line.fate is not _Fate.OPEN:
            return None  # the first fate stands
        line.fate = fate
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
