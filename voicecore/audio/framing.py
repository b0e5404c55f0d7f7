"""Whole frames out of a stream of bytes: the queue between bursts and pacing.

Providers send audio in pieces of any size; what leaves is cut at frame borders
only, so that no sample is ever torn and a mark always stands on a border.

Rule 1: nothing is copied but what is taken; a minute pushed at once costs a list entry.
Rule 2: the last frame is filled with the codec's silence, never with zero bytes.

Pure.
"""

from __future__ import annotations

from collections import deque

from voicecore.audio.formats import AudioFormat

FRAME_S = 0.020  #: what telephony calls a frame


class Framer:
    """A bounded queue of audio that gives whole frames."""

    def __init__(self, audio_format: AudioFormat, frame_s: float = FRAME_S, *, limit_bytes: int) -> None:
        self.size_bytes = 0
        """What waits."""
        self._format = audio_format
        self._frame_bytes = audio_format.bytes_in(frame_s)
        self._limit_bytes = limit_bytes
        self._chunks: deque[bytes] = deque()  # bounded by limit_bytes
        self._offset = 0  # what of the first chunk was taken

    def push(self, audio: bytes) -> int:
        """Append whole samples; return how many bytes were refused because of the limit."""
        room = max(0, self._limit_bytes - self.size_bytes)
        kept = audio if len(audio) <= room else audio[: room - room % self._format.sample_bytes]
        if kept:
            self._chunks.append(kept)
            self.size_bytes += len(kept)
        return len(audio) - len(kept)

    def take(self, most_bytes: int) -> bytes:
        """Return whole frames, at most ``most_bytes`` of them; empty when no frame is whole yet."""
        available = min(most_bytes, self.size_bytes)
        return self._take(available - available % self._frame_bytes)

    def take_last(self) -> bytes:
        """Return everything that waits, filled with silence to a whole frame; empty when nothing waits."""
        rest = self._take(self.size_bytes)
        return rest + self._format.silence(-len(rest) % self._frame_bytes)

    def clear(self) -> None:
        """Forget what waits."""
        self._chunks.clear()
        self._offset = self.size_bytes = 0

    def _take(self, size_bytes: int) -> bytes:
        parts: list[bytes] = []
        missing = size_bytes
        while missing:
            chunk = self._chunks[0]
            part = chunk[self._offset : self._offset + missing]
            parts.append(part)
            missing -= len(part)
            self._offset += len(part)
            if self._offset == len(chunk):
                self._chunks.popleft()
                self._offset = 0
        self.size_bytes -= size_bytes
        return parts[0] if len(parts) == 1 else b"".join(parts)
