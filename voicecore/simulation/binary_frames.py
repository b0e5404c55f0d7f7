"""WebSocket text frames made binary on their way out, as gateways relay them that know of bytes alone.

Rule: what is written begins where the last write ended, and ends with a whole
frame; only the first byte of a text frame changes, so that lengths stay.

Pure.
"""

from __future__ import annotations

from struct import unpack_from

from voicecore.world import Buffer

_WHOLE_TEXT, _WHOLE_BINARY = 0x81, 0x82
_LENGTH_16, _LENGTH_64 = 126, 127


class BinaryFrames:
    """One connection's frames, from after its upgrade; those of a server, which are not masked."""

    def __init__(self) -> None:
        self._owed = 0  # bytes of the frame that was written in part

    def retyped(self, data: Buffer) -> bytearray:
        """Return what to write in place of this."""
        changed = bytearray(data)
        for begin in self._beginnings(changed):
            if changed[begin] == _WHOLE_TEXT:
                changed[begin] = _WHOLE_BINARY
        return changed

    def written(self, data: Buffer, taken: int) -> None:
        """Take note that so many of these bytes have left."""
        ends = [*self._beginnings(data), len(data)]
        self._owed = next(end for end in ends if end >= taken) - taken

    def _beginnings(self, data: Buffer) -> list[int]:
        begins, at = [], self._owed
        while at < len(data):
            begins.append(at)
            at += _frame_bytes(data, at)
        return begins


def _frame_bytes(data: Buffer, at: int) -> int:
    """Return how long the frame is that begins here, its head included."""
    length: int = data[at + 1]
    if length == _LENGTH_16:
        return 4 + int(unpack_from("!H", data, at + 2)[0])
    if length == _LENGTH_64:
        return 10 + int(unpack_from("!Q", data, at + 2)[0])
    return 2 + length
