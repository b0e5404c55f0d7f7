"""Agent audio that says where it came from: every 5 ms of µ-law carries call, response and position.

A test that finds a piece of it at the carrier knows which response produced it,
what is missing before it and what came after a clear, without comparing whole
streams.

Rule 1: a piece is 40 bytes of µ-law and encodes 20 bytes: magic, numbers, checksum.
Deltas, media messages and clears may cut anywhere; every whole piece in what is left
of a stream can still be read.
Rule 2: only codes that survive µ-law → A-law → µ-law and µ-law → PCM16 → µ-law are
used, so that frames can be read after a G.711 conversion too.
Rule 3: the sound is steady and about as loud as speech; it never looks like silence.

Pure.  Made by the provider twin, read by invariant checks and benchmarks.
"""

from __future__ import annotations

import itertools
import struct
import zlib

import attrs

PIECE_BYTES = 40
PIECES_PER_FRAME = 4
FRAME_BYTES = PIECE_BYTES * PIECES_PER_FRAME  #: 20 ms
FRAMES_PER_SECOND = 50

_MAGIC = 0x5AC3
_NUMBERS = struct.Struct(">HIIIH")
_CHECK_SUM = struct.Struct(">I")
# Each byte becomes two codes of opposite sign, 0xB0-0xBF and 0x30-0x3F: amplitudes 1980 to 3900.
_HIGH, _LOW = 0xB0, 0x30
_IS_HIGH = frozenset(range(_HIGH, _HIGH + 16))


@attrs.frozen(order=True)
class Piece:
    """The name of 5 ms: ``frame`` counts from 0 within the response, ``quarter`` from 0 to 3."""

    call: int
    response: int
    frame: int
    quarter: int

    @property
    def offset_bytes(self) -> int:
        """Where the piece begins in its response's µ-law audio."""
        return (self.frame * PIECES_PER_FRAME + self.quarter) * PIECE_BYTES


@attrs.frozen
class Run:
    """Consecutive pieces of one response, found in a stream of µ-law."""

    at_bytes: int
    """Where in the stream."""
    first: Piece
    size_bytes: int

    @property
    def end_bytes(self) -> int:
        """Where in its response the run ends."""
        return self.first.offset_bytes + self.size_bytes


def numbered_audio(call: int, response: int, seconds: float) -> bytes:
    """Return whole frames of µ-law at 8 kHz, at least ``seconds`` long."""
    frames = range(-(-round(seconds * FRAMES_PER_SECOND * FRAME_BYTES) // FRAME_BYTES))
    return b"".join(
        _encode(Piece(call, response, frame, quarter)) for frame in frames for quarter in range(PIECES_PER_FRAME)
    )


def runs_in(mulaw: bytes) -> list[Run]:
    """Return what can be read of a stream, in its order; bytes that belong to no whole piece are left out."""
    runs: list[Run] = []
    at = 0
    while at + PIECE_BYTES <= len(mulaw):
        piece = _decode(mulaw[at : at + PIECE_BYTES]) if mulaw[at] in _IS_HIGH else None
        if piece is None:
            at += 1
            continue
        last = runs[-1] if runs else None
        if last is not None and at == last.at_bytes + last.size_bytes and _follows(last, piece):
            runs[-1] = attrs.evolve(last, size_bytes=last.size_bytes + PIECE_BYTES)
        else:
            runs.append(Run(at, piece, PIECE_BYTES))
        at += PIECE_BYTES
    return runs


def _follows(run: Run, piece: Piece) -> bool:
    same = (run.first.call, run.first.response) == (piece.call, piece.response)
    return same and run.end_bytes == piece.offset_bytes


def _encode(piece: Piece) -> bytes:
    numbers = _NUMBERS.pack(_MAGIC, piece.call, piece.response, piece.frame, piece.quarter)
    plain = numbers + _CHECK_SUM.pack(zlib.crc32(numbers))
    return bytes(itertools.chain.from_iterable((_HIGH | byte >> 4, _LOW | byte & 15) for byte in plain))


def _decode(codes: bytes) -> Piece | None:
    pairs = zip(codes[::2], codes[1::2], strict=True)
    if any(high & 0xF0 != _HIGH or low & 0xF0 != _LOW for high, low in pairs):
        return None
    plain = bytes((high & 15) << 4 | low & 15 for high, low in zip(codes[::2], codes[1::2], strict=True))
    numbers, check_sum = plain[: _NUMBERS.size], plain[_NUMBERS.size :]
    if _CHECK_SUM.pack(zlib.crc32(numbers)) != check_sum:
        return None
    magic, call, response, frame, quarter = _NUMBERS.unpack(numbers)
    return Piece(call, response, frame, quarter) if magic == _MAGIC else None
