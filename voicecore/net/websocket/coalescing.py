"""How many bytes a read waits for, so that several messages of a steady stream come in one wake-up.

A carrier sends audio in messages of one size, 50 a second.  Once the stream is seen to
be steady, the system may count bytes and wake the reader for several of them at a time.

Rule 1: a stream counts as steady after `_STEADY_MESSAGES` messages of about one size in
succession, so that what comes before the audio is never delayed.
Rule 2: the threshold is half a message less than the whole, so that small differences in
size do not cost another message's time.

Pure.
"""

from __future__ import annotations

_STEADY_MESSAGES = 8  #: 160 ms of a carrier's audio
_ALIKE = 0.25  #: how much the average size may differ from read to read: a mark comes in between


class CoalescingRule:
    """Decides for one connection; ``messages`` is how many should come at a time."""

    def __init__(self, messages: int) -> None:
        self._messages = messages
        self._size_bytes = 0.0  # of a message, with its frame's head
        self._alike = 0  # messages in succession

    def min_bytes(self, read_bytes: int, messages: int) -> int:
        """Return how many bytes the next read should wait for, after one that brought so many; 1: any."""
        if messages == 0 or self._messages <= 1:
            self._alike = 0
            return 1
        size_bytes = read_bytes / messages
        is_alike = abs(size_bytes - self._size_bytes) <= _ALIKE * self._size_bytes
        self._alike = self._alike + messages if is_alike else messages
        self._size_bytes = size_bytes
        return int((self._messages - 0.5) * size_bytes) if self._alike >= _STEADY_MESSAGES else 1
