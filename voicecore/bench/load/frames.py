"""Audio whose every 20 ms frame says whose it is, and the books on when each left and came.

    track.frame(seq)            a frame of µ-law: magic, call, number, then noise of its call
    direction.left(...)         it was written to a socket
    direction.came(...)         it was read from one, in messages of any whole number of frames

Rule 1: a frame is compared whole: one wrong byte is an altered frame.
Rule 2: every frame that left is on time, or counted: lost, doubled, reordered, altered.

`voicecore.simulation.numbered_audio` names every 5 ms and survives conversions;
this costs a twentieth of it, and needs the bytes unchanged.
Pure.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator, Sequence

import attrs

FRAME_BYTES = 160  #: 20 ms of G.711
FRAME_S = 0.020

_STAMP = struct.Struct(">HHI")
_MAGIC = 0x7EA1


@attrs.define
class Faults:
    """Frames of one direction that did not come as they left."""

    lost: int = 0
    doubled: int = 0
    reordered: int = 0
    altered: int = 0

    def __add__(self, other: Faults) -> Faults:
        pairs = zip(attrs.astuple(self), attrs.astuple(other), strict=True)
        return Faults(*(mine + theirs for mine, theirs in pairs))


class Direction:
    """One way of one call: when each frame left, and when it came. Times are seconds of one clock."""

    def __init__(self) -> None:
        self._left_at: list[float] = []  # by number; bounded by the run's length, as the next
        self._came_at: list[float | None] = []
        self._faults = Faults()

    @property
    def frames(self) -> int:
        """Frames that left so far."""
        return len(self._left_at)

    @property
    def waiting(self) -> int:
        """Frames that are on their way."""
        return len(self._left_at) - len(self._came_at)

    def left(self, count: int, now: float) -> None:
        """The next ``count`` frames are written."""
        self._left_at += [now] * count

    def came(self, number: int, now: float) -> None:
        """A frame was read."""
        if number >= len(self._left_at):
            self._faults.altered += 1
        elif number >= len(self._came_at):
            self._came_at += [None] * (number - len(self._came_at))
            self._came_at.append(now)
        elif self._came_at[number] is None:
            self._faults.reordered += 1
            self._came_at[number] = now
        else:
            self._faults.doubled += 1

    def altered(self) -> None:
        """Something was read that never left."""
        self._faults.altered += 1

    def faults(self) -> Faults:
        """Return what went wrong so far; what is still on its way counts as lost."""
        return attrs.evolve(self._faults, lost=self._came_at.count(None) + self.waiting)

    def delays(self, begin: float, end: float) -> Sequence[float]:
        """Return the seconds that frames which left from ``begin`` to ``end`` took."""
        pairs = zip(self._left_at, self._came_at, strict=False)
        return [came - left for left, came in pairs if came is not None and begin <= left < end]


class Track:
    """The audio of one call, and its two ways."""

    def __init__(self, call: int, rng: random.Random) -> None:
        self.call = call
        self.to_provider = Direction()
        self.to_carrier = Direction()
        self._noise = rng.randbytes(FRAME_BYTES - _STAMP.size)

    def frame(self, number: int) -> bytes:
        """Return one frame."""
        return _STAMP.pack(_MAGIC, self.call, number) + self._noise

    def take(self, audio: bytes, direction: Direction, now: float) -> None:
        """Enter audio that was read into the books of a direction."""
        for begin in range(0, len(audio), FRAME_BYTES):
            frame = audio[begin : begin + FRAME_BYTES]
            number = _STAMP.unpack_from(frame)[2] if len(frame) == FRAME_BYTES else 0
            if frame == self.frame(number):
                direction.came(number, now)
            else:
                direction.altered()


def call_of(audio: bytes) -> int | None:
    """Return the call that audio belongs to; None where its first frame does not say."""
    if len(audio) < FRAME_BYTES:
        return None
    magic, call, _ = _STAMP.unpack_from(audio)
    return int(call) if magic == _MAGIC else None


def directions(tracks: Sequence[Track]) -> Iterator[Direction]:
    """Yield both ways of each call."""
    for track in tracks:
        yield track.to_provider
        yield track.to_carrier
