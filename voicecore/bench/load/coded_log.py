"""The log of a call whose audio is converted on its way: frames are identified by their codes, not by their bytes.

    carrier, µ-law 8 kHz ──► engine, which converts ──► provider, PCM16 24 kHz
    CodedTrack               the user's frames                ─────►
    CodedAnswerLog           the agent's                        ◄─────

Rule 1: they replace `Track` and `AnswerLog`, with the same figures.
Rule 2: a frame that does not arrive, or cannot be read, is lost; one that was never
sent, or belongs to another call, is altered.
Rule 3: after its last frame a line sends silence, so that the rest of a filter comes
out; what an engine keeps of an answer's end for good is lost.
"""

from __future__ import annotations

import bisect
import random

import attrs

from voicecore.bench.load.answer_log import HOLE_S, SILENCE, Answer, AnswerLog
from voicecore.bench.load.coded_audio import LARGEST_NUMBER, MULAW, PCM24, CodeReader, Name
from voicecore.bench.load.frames import FRAME_BYTES, FRAME_S, Direction, Track
from voicecore.bench.load.playout_clock import BYTES_PER_S


class CodedTrack(Track):
    """A user's audio: µ-law at the carrier, PCM16 at 24 kHz at the provider."""

    def __init__(self, call: int, rng: random.Random) -> None:
        super().__init__(call, rng)
        self._reader = CodeReader(PCM24)

    def frame(self, number: int) -> bytes:
        """Return one frame as the carrier sends it."""
        return MULAW.frame(self.call, number & LARGEST_NUMBER)

    def take(self, audio: bytes, direction: Direction, now: float) -> None:
        """Enter audio that the provider read."""
        for name in self._reader.feed(audio):
            if name.call == self.call:
                direction.received(name.number, now)
            else:
                direction.altered()


@attrs.define
class CodedAnswerLog(AnswerLog):
    """All answers of one call: PCM16 at 24 kHz at the provider, µ-law at the carrier."""

    _reader: CodeReader = attrs.field(init=False, factory=lambda: CodeReader(MULAW), repr=False)
    _starts: list[int] = attrs.field(init=False, factory=list)
    """The number of each answer's first frame."""
    _silent_s: float = attrs.field(init=False, default=0.0)
    """How long the line was silent before the audio that was not read yet."""

    def begin(self, seconds: float) -> Answer:
        """Make the audio of the next answer."""
        first, self._frames = self._frames, self._frames + round(seconds / FRAME_S)
        audio = b"".join([PCM24.frame(self.call, number) for number in range(first, self._frames)])
        self._starts.append(first)
        self.answers.append(Answer(audio))
        return self.answers[-1]

    def received(self, audio: bytes, silent_s: float, now: float) -> None:
        """Enter audio that the carrier read, when its line had been silent for ``silent_s``."""
        self._silent_s += silent_s
        if SILENCE.issuperset(audio):
            self.filled_bytes += len(audio)
            self._silent_s += len(audio) / BYTES_PER_S
        for name in self._reader.feed(audio):
            self._enter_frame(name, now)
            self._silent_s = 0.0

    def finish(self, now: float) -> None:
        """End the run: what should have arrived by now is lost."""
        for answer in self.answers:
            if answer.cut_at is None and answer.over_at < now:
                self.lost_bytes += (len(answer.audio) - answer.received_bytes) // PCM24.frame_bytes * FRAME_BYTES

    def _enter_frame(self, name: Name, now: float) -> None:
        index = bisect.bisect_right(self._starts, name.number) - 1
        answer = self.answers[index] if index >= 0 else None
        if answer is None or name.call != self.call:
            self.altered_bytes += FRAME_BYTES
            return
        at = (name.number - self._starts[index]) * PCM24.frame_bytes
        if at >= answer.written_bytes:
            self.altered_bytes += FRAME_BYTES
        elif answer.is_cleared:
            self.stale_bytes += FRAME_BYTES
        elif at < answer.received_bytes:
            self.doubled_bytes += FRAME_BYTES
        else:
            self._enter_next(index, at, now)

    def _enter_next(self, index: int, at: int, now: float) -> None:
        """Enter an expected frame; those skipped before it are lost."""
        answer = self.answers[index]
        self.lost_bytes += (at - answer.received_bytes) // PCM24.frame_bytes * FRAME_BYTES
        if self._silent_s > HOLE_S and answer.received_bytes:
            self.holes.append((now, self._silent_s))
        elif self._silent_s and not answer.received_bytes:
            self.first_audio.append((answer.began_at, now - answer.began_at))
        self.heard.append((now, FRAME_S))
        answer.received_bytes = at + PCM24.frame_bytes
        self._cursor = index + (answer.received_bytes == len(answer.audio))
