"""Masking keys for the frames of a client: unpredictable, and cheap. RFC 6455, section 5.3.

Rule: keys come from the operating system, in blocks: a web page that could
guess them could choose the bytes that a proxy sees.
"""

from __future__ import annotations

import os

_BLOCK_BYTES = 1024  #: a system call for 256 keys
_KEY_BYTES = 4


class MaskKeys:
    """Draws keys for one connection."""

    def __init__(self) -> None:
        self._block = b""
        self._at = 0

    def draw(self) -> bytes:
        """Return the next key, of four bytes."""
        if self._at >= len(self._block):
            self._block, self._at = os.urandom(_BLOCK_BYTES), 0
        self._at += _KEY_BYTES
        return self._block[self._at - _KEY_BYTES : self._at]
