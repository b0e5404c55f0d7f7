"""Audio whose frames can still be identified after a conversion: 40 bits in the signs of each 20 ms.

    MULAW.frame(call, number)       as the carrier sends it; PCM24 the same for a provider
    reader = CodeReader(MULAW)
    reader.feed(audio)              the names of the frames that are complete by now

    15 ms: 40 bits of 0.375 ms, marker, call, number, checksum       5 ms without meaning
    ▀▀▄▄▀▄▄▀ ▀▄▀▀▄▄▄▀▀▄ …                                            ▀▄▀▄▀▄

Rule 1: a bit is the sign in its middle; loudness, filters and µ-law do not change it,
and a delay of any number of samples is found once and kept.
Rule 2: the part of a frame that a filter of up to 5 ms delays has no meaning: a frame
is read from the message that brings it, if the conversion yields whole frames.
Rule 3: what cannot be read is not named; a missing frame shows in the numbers.

frames.py and answer_log.py compare every byte, where nothing is converted.
Pure.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence

import attrs

LARGEST_CALL, LARGEST_NUMBER = (1 << 9) - 1, (1 << 15) - 1

_MARK = 0b11100101
_NUMBER_BITS = 15  # of the 40 bits: mark 8, call 9, number 15, check sum 8
_BITS = 40
_BIT_SAMPLES, _FRAME_SAMPLES = 3, 160  # at 8 kHz
_SILENCE = bytes((0xFF, 0x7F))


@attrs.frozen(order=True)
class Name:
    """A frame's."""

    call: int
    number: int


@attrs.frozen(kw_only=True)
class Form:
    """How the signs are written on one side of a conversion."""

    sample_bytes: int
    per_sample: int
    """Samples for each one at 8 kHz."""
    high: bytes
    low: bytes
    """One sample of either sign, about as loud as speech."""
    sign_byte: int
    """Which byte of a sample has the sign."""
    signs: bytes = attrs.field(repr=False)
    """For `bytes.translate`: b"1" for what is above zero, b"0" for the rest."""
    _bytes_of: Sequence[bytes] = attrs.field(init=False, repr=False, eq=False)
    _rest: bytes = attrs.field(init=False, repr=False, eq=False)

    @_bytes_of.default
    def _audio_of_bytes(self) -> Sequence[bytes]:
        return [self._audio_of(f"{byte:08b}") for byte in range(256)]

    @_rest.default
    def _audio_without_meaning(self) -> bytes:
        return self._audio_of("10" * _BITS)[: self.frame_bytes - _BITS * self.bit_bytes]

    def _audio_of(self, bits: str) -> bytes:
        return b"".join((self.high if bit == "1" else self.low) * _BIT_SAMPLES * self.per_sample for bit in bits)

    @property
    def bit_bytes(self) -> int:
        """Size of a bit."""
        return _BIT_SAMPLES * self.per_sample * self.sample_bytes

    @property
    def frame_bytes(self) -> int:
        """Size of 20 ms."""
        return _FRAME_SAMPLES * self.per_sample * self.sample_bytes

    @property
    def bytes_per_s(self) -> int:
        """Size of a second."""
        return self.frame_bytes * 50

    def frame(self, call: int, number: int) -> bytes:
        """Return 20 ms of audio."""
        audio = b"".join([self._bytes_of[byte] for byte in _packed(call, number).to_bytes(_BITS // 8, "big")])
        return audio + self._rest


MULAW = Form(
    sample_bytes=1,
    per_sample=1,
    high=b"\xa8",
    low=b"\x28",
    sign_byte=0,
    signs=b"0" * 128 + b"1" * 128,
)
"""8 kHz, as the carrier has it."""

PCM24 = Form(
    sample_bytes=2,
    per_sample=3,
    high=(5372).to_bytes(2, "little"),
    low=(-5372).to_bytes(2, "little", signed=True),
    sign_byte=1,
    signs=b"1" * 128 + b"0" * 128,
)
"""PCM16 at 24 kHz, as a provider has it."""


class CodeReader:
    """Finds frames in a stream that may begin anywhere, and may be cut anywhere."""

    def __init__(self, form: Form) -> None:
        self._form = form
        self._buffer = b""
        self._at = 0  # where the next frame begins, or where to look for it
        self._is_found = False  # whether the last frame was followed so far
        self._middle = (_BIT_SAMPLES * form.per_sample // 2) * form.sample_bytes + form.sign_byte
        self._span = form.bit_bytes * (_BITS - 1) + self._middle + 1  # to the last bit's sign

    def feed(self, audio: bytes) -> Iterator[Name]:
        """Yield the names of the frames that are whole with this, in order."""
        buffer = self._buffer = self._buffer + audio
        while len(buffer) - self._at >= self._span:
            name = self._name_at(self._at)
            if name is None:
                self._look()
            else:
                yield name
                if not self._is_found:
                    self._at += self._to_middle()
                self._is_found = True
                self._at += self._form.frame_bytes
        self._drop()

    def _look(self) -> None:
        """Go on by a sample; first back by a bit, where a frame was expected here."""
        if self._is_found:
            self._is_found = False
            self._at = max(0, self._at - self._form.bit_bytes)
        else:
            self._at += self._form.sample_bytes

    def _to_middle(self) -> int:
        """Return how far it is from the first place where a frame can be read to the middle of such places."""
        return (self._form.per_sample * _BIT_SAMPLES // 3) * self._form.sample_bytes

    def _name_at(self, at: int) -> Name | None:
        first = at + self._middle
        signs = self._buffer[first : at + self._span : self._form.bit_bytes].translate(self._form.signs)
        return _unpacked(int(signs, 2))

    def _drop(self) -> None:
        """Forget what has been read, but for a bit; silence is passed over at once."""
        done = max(0, min(self._at - self._form.bit_bytes, len(self._buffer)))
        self._buffer, self._at = self._buffer[done:], self._at - done
        if not self._is_found and self._form is MULAW and not self._buffer.strip(_SILENCE):
            self._buffer, self._at = b"", 0


def _packed(call: int, number: int) -> int:
    rest = call << _NUMBER_BITS | number
    return (_MARK << 24 | rest) << 8 | _check_sum(rest)


def _unpacked(bits: int) -> Name | None:
    rest = bits >> 8 & 0xFFFFFF
    if bits >> 32 != _MARK or bits & 0xFF != _check_sum(rest):
        return None
    return Name(rest >> _NUMBER_BITS, rest & LARGEST_NUMBER)


def _check_sum(rest: int) -> int:
    return zlib.crc32(rest.to_bytes(3, "big")) & 0xFF
