"""The agent's audio of one call: what the provider wrote, what the carrier received, what happened to the rest.

    answer = log.begin(...)         the provider begins an answer; its audio carries call and frame number
    log.received(...)                   the carrier read bytes, cut anywhere
    log.cut(...) / cleared(...)     the user barged in; the carrier read the clear

Rule 1: every byte is compared.  What is not the next byte of the current answer is
looked up: audio before it was lost, it is there twice, it belongs to an answer that
is over (*stale*), it is silence that the engine filled in, or it is *altered*.
Rule 2: audio of an answer that does not arrive is lost, unless the user barged in.
Rule 3: delays are those of answers that begin while the line is silent: their first
audio has nothing to wait for.

Where an engine converts audio, coded_log.py is used instead.
Pure.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Sequence

import attrs

from voicecore.bench.load.frames import FRAME_BYTES, FRAME_S

SILENCE = frozenset((0xFF, 0x7F))  #: µ-law for zero
CLEAR_S = 1.0  #: a cut without a clear by then was missed
HOLE_S = 0.001  #: shorter ones are the clock's

_STAMP = struct.Struct(">HHI")
_MAGIC = 0x5AC3
_PROBE_BYTES = 48  #: of unexpected audio are searched for: more than a stamp, so that nothing is found by chance
_SEARCHED_ANSWERS = 4  #: the newest ones


@attrs.define(eq=False)
class Answer:
    """One answer's audio, and how much of it was written and received."""

    audio: bytes = attrs.field(repr=False)
    written_bytes: int = 0
    received_bytes: int = 0
    began_at: float = 0.0
    """When its first bytes were about to be written."""
    over_at: float = float("inf")
    """When it should have been heard completely."""
    cut_at: float | None = None
    is_cleared: bool = False


@attrs.define
class AnswerLog:
    """All answers of one call. Lists are of (moment, seconds), and bounded by the run's length."""

    call: int
    rng: random.Random = attrs.field(repr=False)
    answers: list[Answer] = attrs.field(factory=list)
    first_audio: list[tuple[float, float]] = attrs.field(factory=list)
    """From the provider's write of an answer's first audio to the carrier's read."""
    clears: list[tuple[float, float]] = attrs.field(factory=list)
    """From the provider's speech_started to the carrier's read of the clear."""
    holes: list[tuple[float, float]] = attrs.field(factory=list)
    """Silence within answers."""
    heard: list[tuple[float, float]] = attrs.field(factory=list)
    """Audio of answers that was received."""
    lost_bytes: int = 0
    doubled_bytes: int = 0
    altered_bytes: int = 0
    stale_bytes: int = 0
    filled_bytes: int = 0
    """Silence that the engine filled in."""
    wrong_clears: int = 0
    """Clears while an answer was playing that the user had not cut."""
    _cursor: int = 0
    _frames: int = 0

    def begin(self, seconds: float) -> Answer:
        """Make the audio of the next answer: whole frames, each stamped, the rest noise that is never repeated."""
        frames = round(seconds / FRAME_S)
        audio = bytearray(self.rng.randbytes(frames * FRAME_BYTES))
        for frame in range(frames):
            _STAMP.pack_into(audio, frame * FRAME_BYTES, _MAGIC, self.call, self._frames + frame)
        self._frames += frames
        self.answers.append(Answer(bytes(audio)))
        return self.answers[-1]

    def received(self, audio: bytes, silent_s: float, now: float) -> None:
        """Enter audio that the carrier read, when its line had been silent for ``silent_s``."""
        answer = self.answers[self._cursor] if self._cursor < len(self.answers) else None
        if answer is None or not self._is_next(answer, audio):
            self._enter_unexpected(audio, silent_s, now)
            return
        self._enter(answer, len(audio), silent_s, now)
        if answer.received_bytes == len(answer.audio):
            self._cursor += 1

    def cut(self, now: float) -> None:
        """Note that the user barges in on the newest answer; speech_started is about to be written."""
        self.answers[-1].cut_at = now

    def cleared(self, waiting_s: float, now: float) -> None:
        """Enter a clear that the carrier read, with ``waiting_s`` of audio queued."""
        cut = False
        for answer in self.answers[self._cursor - 1 if self._cursor else 0 :]:
            if answer.cut_at is not None and not answer.is_cleared:
                answer.is_cleared = cut = True
                self.clears.append((answer.cut_at, now - answer.cut_at))
        if waiting_s > FRAME_S and not cut:
            self.wrong_clears += 1

    def finish(self, now: float) -> None:
        """End the run: what should have arrived by now is lost."""
        for answer in self.answers:
            if answer.cut_at is None and answer.over_at < now:
                self.lost_bytes += len(answer.audio) - answer.received_bytes

    def missed(self, until: float) -> int:
        """Return how many cuts were not followed by a clear, although there was time for one."""
        cuts = [each for each in self.answers if each.cut_at is not None and not each.is_cleared]
        return sum(each.cut_at is not None and each.cut_at < until - CLEAR_S for each in cuts)

    def _is_next(self, answer: Answer, audio: bytes) -> bool:
        end = answer.received_bytes + len(audio)
        return (
            not answer.is_cleared and end <= answer.written_bytes and answer.audio[answer.received_bytes : end] == audio
        )

    def _enter(self, answer: Answer, size_bytes: int, silent_s: float, now: float) -> None:
        if silent_s > HOLE_S and answer.received_bytes:
            self.holes.append((now, silent_s))
        elif silent_s and not answer.received_bytes:
            self.first_audio.append((answer.began_at, now - answer.began_at))
        self.heard.append((now, size_bytes / FRAME_BYTES * FRAME_S))
        answer.received_bytes += size_bytes

    def _enter_unexpected(self, audio: bytes, silent_s: float, now: float) -> None:
        """Enter audio that is not what comes next, piece by piece."""
        while audio:
            size = self._enter_unexpected_piece(audio, silent_s, now)
            audio, silent_s = audio[size:], 0.0

    def _enter_unexpected_piece(self, audio: bytes, silent_s: float, now: float) -> int:
        """Enter the beginning of the audio; return its size in bytes."""
        if self._cursor < len(self.answers):  # an answer's last bytes, followed by more
            answer = self.answers[self._cursor]
            rest = answer.audio[answer.received_bytes : answer.written_bytes]
            if rest and not answer.is_cleared and audio.startswith(rest):
                self._found(self._cursor, answer.received_bytes, len(rest), silent_s, now)
                return len(rest)
        for index in range(len(self.answers) - 1, max(-1, len(self.answers) - 1 - _SEARCHED_ANSWERS), -1):
            answer = self.answers[index]
            at = answer.audio.find(audio[:_PROBE_BYTES], 0, answer.written_bytes)
            if at >= 0 and (size := _alike(answer.audio[at : answer.written_bytes], audio)):
                self._found(index, at, size, silent_s, now)
                return size
        if SILENCE.issuperset(audio[:_PROBE_BYTES]):
            size = len(audio) - len(audio.lstrip(bytes(SILENCE)))
            self.filled_bytes += size
            return size
        self.altered_bytes += len(audio)
        return len(audio)

    def _found(self, index: int, at: int, size: int, silent_s: float, now: float) -> None:
        answer = self.answers[index]
        if answer.is_cleared:
            self.stale_bytes += size
            return
        if at < answer.received_bytes:
            self.doubled_bytes += size
            return
        self.lost_bytes += at - answer.received_bytes
        self._cursor = index
        self._enter(answer, size, silent_s, now)
        answer.received_bytes = at + size
        if answer.received_bytes == len(answer.audio):
            self._cursor += 1


def _alike(expected: bytes, audio: bytes) -> int:
    """Return the length of the common prefix."""
    size = min(len(expected), len(audio))
    if expected[:size] == audio[:size]:
        return size
    return next(index for index in range(size) if expected[index] != audio[index])


def within(entries: Sequence[tuple[float, float]], begin: float, end: float) -> list[float]:
    """Return the seconds of the entries from ``begin`` to ``end``."""
    return [seconds for moment, seconds in entries if begin <= moment < end]
