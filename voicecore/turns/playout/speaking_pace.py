"""How fast the agent speaks: letters a second, estimated so that too little text counts as heard, never too much.

A reply that is cut while it is still generated has words whose audio has not come:
providers send words ahead of their sound.  How much of the text belongs to the
audio that was heard follows from the pace of the speech, and that has to be
estimated low:

Rule 1: a reply that was played to its end shows the true pace of the voice; the
slowest of the recent ones counts.
Rule 2: a reply measures itself as the words that came after its first audio, over
its audio.  Where words run further and further ahead that is too fast, so it never
counts for more than the voice is known for, or, while nothing is known, than
ordinary speech.
Rule 3: what says nothing yet is taken for slow speech.

Pure.
"""

from __future__ import annotations

import unicodedata
from collections import deque

SLOWEST = 10.0  #: letters a second of slow speech
_ORDINARY = 14.0  #: of ordinary speech; what a measurement alone may claim
_WIDE = 3.0  #: a Chinese or Japanese character takes as long as so many letters
_LEAST_S = 0.5  #: audio below which nothing is measured
_REMEMBERED = 8  #: replies
_MARGIN = 0.9  #: speech is not even: a stretch of it may be slower than the whole


def letters(text: str) -> float:
    """Return the length of a text in letters."""
    if text.isascii():
        return float(len(text))
    return sum(_WIDE if unicodedata.east_asian_width(character) in {"W", "F"} else 1.0 for character in text)


class SpeakingPace:
    """The pace of one call's voice."""

    def __init__(self) -> None:
        self._whole: deque[float] = deque(maxlen=_REMEMBERED)

    def learn(self, text: str, audio_s: float) -> None:
        """Take in a reply that was played to its end: all of its words, and how long they took."""
        if audio_s >= _LEAST_S and text:
            self._whole.append(letters(text) / audio_s)

    def estimate(self, after_first_audio: float, audio_s: float) -> float:
        """Return letters a second of a reply that is not whole.

        ``after_first_audio`` is how many letters came since its audio began, ``audio_s`` how much of that there is.
        """
        known = min(self._whole) * _MARGIN if self._whole else None
        if audio_s < _LEAST_S:
            return SLOWEST if known is None else known
        measured = after_first_audio / audio_s * _MARGIN
        return min(max(SLOWEST, measured), _ORDINARY) if known is None else min(measured, known)
