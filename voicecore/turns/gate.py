"""The gate for caller audio: what goes to the session while a message must not be swallowed.

What the provider never hears can cancel nothing, whatever it makes of its
configuration: the gate is the protection that depends on nobody.

Rule 1: every byte passes, is held, or is dropped under a reason.
Rule 2: at most ``hold_bytes`` are held; beyond, the oldest are dropped and counted.
Rule 3: what was held leaves before what comes later.
Rule 4: held silence may be dropped, but for its end: there speech may have begun that nobody has noticed yet.

Pure.  Used by turns/opening.py.
"""

from __future__ import annotations

import enum
from collections import Counter


class CallerAudioRule(enum.Enum):
    """What becomes of caller audio while a message is protected."""

    HOLD = "hold"  #: kept, and given to the session afterwards, so that a "hello?" is answered
    DROP = "drop"
    FORWARD = "forward"  #: given to the session at once: the provider's lockout alone protects


class CallerGate:
    """One call's gate."""

    def __init__(self, hold_bytes: int, *, unjudged_bytes: int = 0) -> None:
        """Make an open gate; ``unjudged_bytes``: the end of what is held in which speech would not be noticed yet."""
        self.dropped_bytes: Counter[str] = Counter()
        self.rule = CallerAudioRule.FORWARD
        self._hold_bytes = hold_bytes
        self._unjudged_bytes = unjudged_bytes
        self._held = bytearray()  # bounded by _hold_bytes

    def admit(self, audio: bytes) -> bytes:
        """Take caller audio; return what goes to the session now."""
        if self.rule is CallerAudioRule.FORWARD:
            return audio
        if self.rule is CallerAudioRule.DROP:
            self.dropped_bytes["first_message"] += len(audio)
            return b""
        self._held += audio
        if (excess := len(self._held) - self._hold_bytes) > 0:
            del self._held[:excess]
            self.dropped_bytes["hold_full"] += excess
        return b""

    def set(self, rule: CallerAudioRule) -> bytes:
        """Change the rule; return what was held, where it is to go on now."""
        self.rule = rule
        if rule is CallerAudioRule.HOLD:
            return b""
        held = self.take()
        if rule is CallerAudioRule.DROP:
            self.dropped_bytes["first_message"] += len(held)
            return b""
        return held

    def take(self) -> bytes:
        """Return what is held, and hold it no more; the rule stays."""
        held, self._held = bytes(self._held), bytearray()
        return held

    def drop_silence(self) -> None:
        """Drop what is held, in which nobody spoke."""
        if (silence := len(self._held) - self._unjudged_bytes) > 0:
            del self._held[:silence]
            self.dropped_bytes["held_silence"] += silence
