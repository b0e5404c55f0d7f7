"""A queue that turns bursts of audio into whole 20 ms frames, for pacing.

Providers send audio in pieces of any size. The queue returns it cut at frame
boundaries, so that no sample is split and marks are placed at frame boundaries.

Rule 1: only audio that is taken is copied; pushing a minute of audio adds a reference.
Rule 2: the last frame is filled with the codec's silence, not with zero bytes.

Pure.
"""

from __future__ import annotations

from collections import deque

from voicecore.audio.formats import AudioFormat

FRAME_S = 0.020  #: the usual frame of telephony


class Framer:
    """A bounded queue of audio that returns whole frames."""

    def __init__(self, audio_format: AudioFormat, frame_s: float = FRAME_S, *, limit_bytes: int) -> None:
        self.size_bytes = 0
        """Size of the queued audio."""
        self._format = audio_format
        self._frame_bytes = audio_format.bytes_in(frame_s)
        self._limit_bytes = limit_bytes
        self._chunks: deque[bytes] = deque()  # bounded by limit_bytes
        self._offset = 0  # bytes of the first chunk that were taken

    def push(self, audio: bytes) -> int:
        """Append whole samples; return how many bytes were refused because of the limit."""
        space = max(0, self._limit_bytes - self.size_bytes)
        kept = audio if len(audio) <= space else audio[: space - space % self._format.sample_bytes]
        if kept:
            self._chunks.append(kept)
            self.size_bytes += len(kept)
        return len(audio) - len(kept)

    def take(self, max_bytes: int) -> bytes:
        """Return whole frames, at most ``max_bytes`` of them; empty if no frame is complete yet."""
        available = min(max_bytes, self.size_bytes)
        return self._take(available - available % self._frame_bytes)

    def take_last(self) -> bytes:
        """Return all queued audio, filled with silence to a whole frame; empty if there is none."""
        rest = self._take(self.size_bytes)
        return rest + self._format.silence(-len(rest) % self._frame_bytes)

    def clear(self) -> None:
        """Drop all queued audio."""
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
