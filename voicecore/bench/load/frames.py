"""Audio whose every 20 ms frame identifies itself, and when each frame was sent and received.

    track.frame(seq)            a frame of µ-law: magic, call, number, then noise of its call
    direction.sent(...)         it was written to a socket
    direction.received(...)         it was read from one, in messages of any whole number of frames

Rule 1: a frame is compared as a whole: one wrong byte makes it an altered frame.
Rule 2: every frame that was sent arrived in order, or is counted: lost, doubled, reordered, altered.

`voicecore.simulation.numbered_audio` numbers every 5 ms and survives conversions; this
costs a twentieth of it, and needs the bytes unchanged.
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
    """Frames of one direction that did not arrive as they were sent."""

    lost: int = 0
    doubled: int = 0
    reordered: int = 0
    altered: int = 0

    def __add__(self, other: Faults) -> Faults:
        pairs = zip(attrs.astuple(self), attrs.astuple(other), strict=True)
        return Faults(*(mine + theirs for mine, theirs in pairs))


class Direction:
    """One direction of one call: when each frame was sent, and when it arrived. Times are seconds of one clock."""

    def __init__(self) -> None:
        self._sent_at: list[float] = []  # by number; bounded by the run's length, as the next
        self._received_at: list[float | None] = []
        self._faults = Faults()

    @property
    def frames(self) -> int:
        """Frames that were sent so far."""
        return len(self._sent_at)

    @property
    def waiting(self) -> int:
        """Frames that are on their way or lost at the end."""
        return len(self._sent_at) - len(self._received_at)

    def sent(self, count: int, now: float) -> None:
        """Note that the next ``count`` frames are written."""
        self._sent_at += [now] * count

    def received(self, number: int, now: float) -> None:
        """Note that a frame was read."""
        if number >= len(self._sent_at):
            self._faults.altered += 1
        elif number >= len(self._received_at):
            self._received_at += [None] * (number - len(self._received_at))
            self._received_at.append(now)
        elif self._received_at[number] is None:
            self._faults.reordered += 1
            self._received_at[number] = now
        else:
            self._faults.doubled += 1

    def altered(self) -> None:
        """Note that something was read that was never sent."""
        self._faults.altered += 1

    def faults(self) -> Faults:
        """Return what went wrong so far; what is still on its way counts as lost."""
        return attrs.evolve(self._faults, lost=self._received_at.count(None) + self.waiting)

    def delays(self, begin: float, end: float) -> Sequence[float]:
        """Return the delays of the frames that were sent from ``begin`` to ``end``, in seconds."""
        pairs = zip(self._sent_at, self._received_at, strict=False)
        return [came - left for left, came in pairs if came is not None and begin <= left < end]


class Track:
    """The user's audio of one call, in both directions."""

    def __init__(self, call: int, rng: random.Random) -> None:
        self.call = call
        self.to_provider = Direction()
        self.to_carrier = Direction()
        self._noise = rng.randbytes(FRAME_BYTES - _STAMP.size)

    def frame(self, number: int) -> bytes:
        """Return one frame."""
        return _STAMP.pack(_MAGIC, self.call, number) + self._noise

    def take(self, audio: bytes, direction: Direction, now: float) -> None:
        """Enter audio that was read in one direction."""
        for begin in range(0, len(audio), FRAME_BYTES):
            frame = audio[begin : begin + FRAME_BYTES]
            number = _STAMP.unpack_from(frame)[2] if len(frame) == FRAME_BYTES else 0
            if frame == self.frame(number):
                direction.received(number, now)
            else:
                direction.altered()


def call_of(audio: bytes) -> int | None:
    """Return the call that audio belongs to; None where its first frame has no stamp."""
    if len(audio) < FRAME_BYTES:
        return None
    magic, call, _ = _STAMP.unpack_from(audio)
    return int(call) if magic == _MAGIC else None


def directions(tracks: Sequence[Track]) -> Iterator[Direction]:
    """Yield both directions of each call."""
    for track in tracks:
        yield track.to_provider
        yield track.to_carrier
