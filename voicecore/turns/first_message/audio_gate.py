"""The gate for user audio: what goes to the session while a message must not be swallowed.

What the provider never hears can cancel nothing, whatever it makes of its
configuration: the gate is the protection that depends on nobody.

Rule 1: every byte passes, is buffered, or is dropped under a reason.
Rule 2: at most ``buffer_bytes`` are buffered; beyond, the oldest are dropped and counted.
Rule 3: what was buffered leaves before what comes later.
Rule 4: buffered silence may be dropped, but for its end: there speech may have begun that nobody has noticed yet.

Pure.
"""

from __future__ import annotations

import enum
from collections import Counter

import attrs


class UserAudioRule(enum.Enum):
    """What becomes of user audio while a message is protected."""

    BUFFER = "buffer"  #: kept, and given to the session afterwards, so that a "hello?" is answered
    DROP = "drop"
    FORWARD = "forward"  #: given to the session at once: the provider's lockout alone protects


@attrs.frozen
class SpokeOver:
    """The user began to speak over the message; ``kept``: the session gets it, now or afterwards."""

    kept: bool


class UserAudioGate:
    """One call's gate."""

    def __init__(self, buffer_bytes: int, *, unjudged_bytes: int = 0) -> None:
        """Make an open gate; ``unjudged_bytes``: the end of the buffer, where speech would not be noticed yet."""
        self.dropped_bytes: Counter[str] = Counter()
        self.rule = UserAudioRule.FORWARD
        self._buffer_bytes = buffer_bytes
        self._unjudged_bytes = unjudged_bytes
        self._buffered = bytearray()  # bounded by _buffer_bytes

    def admit(self, audio: bytes) -> bytes:
        """Take user audio; return what goes to the session now."""
        if self.rule is UserAudioRule.FORWARD:
            return audio
        if self.rule is UserAudioRule.DROP:
            self.dropped_bytes["first_message"] += len(audio)
            return b""
        self._buffered += audio
        if (excess := len(self._buffered) - self._buffer_bytes) > 0:
            del self._buffered[:excess]
            self.dropped_bytes["buffer_full"] += excess
        return b""

    def set(self, rule: UserAudioRule) -> bytes:
        """Change the rule; return what was buffered, where it is to go on now."""
        self.rule = rule
        if rule is UserAudioRule.BUFFER:
            return b""
        buffered = self.take()
        if rule is UserAudioRule.DROP:
            self.dropped_bytes["first_message"] += len(buffered)
            return b""
        return buffered

    def take(self) -> bytes:
        """Return what is buffered, and empty the buffer; the rule stays."""
        buffered, self._buffered = bytes(self._buffered), bytearray()
        return buffered

    def drop_silence(self) -> None:
        """Drop what is buffered, in which nobody spoke."""
        if (silence := len(self._buffered) - self._unjudged_bytes) > 0:
            del self._buffered[:silence]
            self.dropped_bytes["buffered_silence"] += silence
