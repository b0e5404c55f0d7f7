"""WebSocket text frames turned into binary ones on their way out, as by a gateway that relays bytes.

Rule: a write begins where the last one ended and ends with a whole frame; only the
first byte of a text frame changes, so that lengths stay the same.

Pure.
"""

from __future__ import annotations

from struct import unpack_from

from voicecore.world import Buffer

_WHOLE_TEXT, _WHOLE_BINARY = 0x81, 0x82
_LENGTH_16, _LENGTH_64 = 126, 127


class BinaryFrames:
    """One connection's frames after its upgrade; a server's, which are not masked."""

    def __init__(self) -> None:
        self._unfinished = 0  # bytes still to come of a frame that was written in part

    def retyped(self, data: Buffer) -> bytearray:
        """Return what to write instead."""
        changed = bytearray(data)
        for begin in self._beginnings(changed):
            if changed[begin] == _WHOLE_TEXT:
                changed[begin] = _WHOLE_BINARY
        return changed

    def written(self, data: Buffer, taken: int) -> None:
        """Note that the first ``taken`` of these bytes were written."""
        ends = [*self._beginnings(data), len(data)]
        self._unfinished = next(end for end in ends if end >= taken) - taken

    def _beginnings(self, data: Buffer) -> list[int]:
        begins, at = [], self._unfinished
        while at < len(data):
            begins.append(at)
            at += _frame_bytes(data, at)
        return begins


def _frame_bytes(data: Buffer, at: int) -> int:
    """Return the length of the frame that begins here, header included."""
    length: int = data[at + 1]
    if length == _LENGTH_16:
        return 4 + int(unpack_from("!H", data, at + 2)[0])
    if length == _LENGTH_64:
        return 10 + int(unpack_from("!Q", data, at + 2)[0])
    return 2 + length
