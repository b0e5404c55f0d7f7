"""What the user hears: Twilio's playout buffer; the time is an argument.

Rule 1: media is played in the order in which it arrived; a mark is returned once all
media before it was played, at once when nothing is queued; a clear drops what was not
played and returns every pending mark at once, in order.
Rule 2: audio beyond ten minutes of queued audio is discarded, and reported once (31931).
Rule 3: what was played is kept with its time: every claim about what was heard is
checked against it.

Facts: docs/protocols/twilio-media-streams.md, sections 5, 12 and 13.  Pure.
"""

from __future__ import annotations

from collections import deque

import attrs

from voicecore.audio.formats import PCMU_8K, AudioFormat

BUFFER_LIMIT_S = 600.0


@attrs.frozen
class PlayedAudio:
    """A piece of audio as it was played; ``began_at`` is on the clock."""

    began_at: float
    audio: bytes = attrs.field(repr=lambda audio: f"<{len(audio)} bytes>")


@attrs.frozen
class MarkReturn:
    """A mark that is returned now; ``played`` is not sent on the wire."""

    name: str
    played: bool


class LinePlayout:
    """The buffer of one stream."""

    def __init__(self, began_at: float, audio_format: AudioFormat = PCMU_8K) -> None:
        self.heard: list[PlayedAudio] = []
        """Everything that was played so far, in order."""
        self.violations: list[str] = []
        """What Twilio would have complained about."""
        self.gaps = 0
        """How often audio arrived after the buffer had run dry."""
        self._format = audio_format
        self._began_at = began_at
        self._waiting: deque[tuple[float, bytes, str | None]] = deque()  # (begins at, audio, mark); bounded in seconds
        self._end = began_at  # when everything that is queued will have been played

    # --- from the application ------------------------------------------------------

    def media(self, audio: bytes, now: float) -> None:
        """Append audio."""
        if self._end - now > BUFFER_LIMIT_S:
            if "31931" not in self.violations:
                self.violations.append("31931")
            return
        if self._end < now and self.heard:
            self.gaps += 1
        begin = max(self._end, now)
        self._waiting.append((begin, audio, None))
        self._end = begin + self._format.seconds_in(len(audio))

    def mark(self, name: str, now: float) -> None:
        """Place a mark after what is queued."""
        self._waiting.append((max(self._end, now), b"", name))

    def clear(self, now: float) -> list[MarkReturn]:
        """Drop what was not played; return the marks that are returned for it."""
        returns = self.advance(now)
        for begin, audio, mark in self._waiting:
            if mark is not None:
                returns.append(MarkReturn(mark, played=False))
            elif begin < now:
                played = self._format.bytes_in(now - begin)
                self.heard.append(PlayedAudio(begin, audio[:played]))
        self._waiting.clear()
        self._end = min(self._end, now)
        return returns

    # --- time --------------------------------------------------------------------------

    def advance(self, now: float) -> list[MarkReturn]:
        """Play up to now; return the marks that were reached."""
        returns = []
        while self._waiting:
            begin, audio, mark = self._waiting[0]
            if begin + self._format.seconds_in(len(audio)) > now + 1e-9:
                break
            self._waiting.popleft()
            if mark is None:
                self.heard.append(PlayedAudio(begin, audio))
            else:
                returns.append(MarkReturn(mark, played=True))
        return returns

    def next_mark_at(self) -> float | None:
        """Return when the next mark will be reached."""
        return next((begin for begin, _, mark in self._waiting if mark is not None), None)

    # --- what is known -----------------------------------------------------------------

    @property
    def plays_until(self) -> float:
        """When what is queued will have been played; in the past when the line is silent."""
        return self._end

    def is_playing(self, now: float) -> bool:
        """Whether something is playing at this moment."""
        return self._end > now + 1e-9

    def heard_bytes(self) -> bytes:
        """Return everything that was played, without the silence in between."""
        return b"".join(piece.audio for piece in self.heard)

    def heard_track(self, until: float) -> bytes:
        """Return what the user heard from the start of the stream until a moment, silence included."""
        track = bytearray()
        for piece in self.heard:
            missing = self._format.bytes_in(piece.began_at - self._began_at) - len(track)
            track += self._format.silence(max(0, missing)) + piece.audio
        whole = self._format.bytes_in(until - self._began_at)
        return bytes(track[:whole]) + self._format.silence(max(0, whole - len(track)))
