"""G.711 (µ-law and A-law) encoding and decoding by lookup tables.

Rule 1: the tables are computed from the standard's formulas at import; tests check
their hashes.
Rule 2: of the two common µ-law encoders, ours is the "biased 16-bit" one. They differ
by one code on 381 of 65,536 inputs, so compare audio from elsewhere with a tolerance.

Source: ITU-T G.711; docs/protocols/audio.md, sections 3 to 5.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.int16]
"""Linear samples, one dimension, native int16."""

_ULAW_BIAS = 132  #: in 16-bit scale
_ULAW_CLIP = 32635  #: the largest magnitude that does not overflow with the bias
_ALAW_INVERT = 0x55  #: A-law sends every second bit inverted


def _ulaw_decode_table() -> Samples:
    code = ~np.arange(256) & 0xFF
    exponent, mantissa = code >> 4 & 7, code & 15
    magnitude = (((mantissa << 3) + _ULAW_BIAS) << exponent) - _ULAW_BIAS
    return np.where(code & 0x80, -magnitude, magnitude).astype(np.int16)


def _alaw_decode_table() -> Samples:
    code = np.arange(256) ^ _ALAW_INVERT
    exponent, mantissa = code >> 4 & 7, code & 15
    magnitude = np.where(exponent == 0, (mantissa << 4) + 8, ((mantissa << 4) + 0x108) << np.maximum(exponent - 1, 0))
    return np.where(code & 0x80, magnitude, -magnitude).astype(np.int16)


def _ulaw_encode_table() -> npt.NDArray[np.uint8]:
    sample = np.arange(65536, dtype=np.uint16).view(np.int16).astype(np.int32)
    biased = np.minimum(np.abs(sample), _ULAW_CLIP) + _ULAW_BIAS
    exponent = np.floor(np.log2(biased)).astype(np.int32) - 7
    code = np.where(sample < 0, 0x80, 0) | exponent << 4 | biased >> exponent + 3 & 15
    table: npt.NDArray[np.uint8] = (~code & 0xFF).astype(np.uint8)
    return table


def _alaw_encode_table() -> npt.NDArray[np.uint8]:
    sample = np.arange(65536, dtype=np.uint16).view(np.int16).astype(np.int32)
    # Negative samples are offset by one, as the standard defines them.
    magnitude = np.where(sample >= 0, sample, -sample - 1)
    exponent = np.maximum(np.floor(np.log2(np.maximum(magnitude, 1))).astype(np.int32) - 7, 0)
    mantissa = magnitude >> np.where(exponent == 0, 4, exponent + 3) & 15
    code = np.where(sample >= 0, 0x80, 0) | exponent << 4 | mantissa
    table: npt.NDArray[np.uint8] = (code ^ _ALAW_INVERT).astype(np.uint8)
    return table


ULAW_TO_LINEAR: Final = _ulaw_decode_table()
ALAW_TO_LINEAR: Final = _alaw_decode_table()
LINEAR_TO_ULAW: Final = _ulaw_encode_table()  #: indexed by the sample seen as uint16
LINEAR_TO_ALAW: Final = _alaw_encode_table()

ULAW_TO_ALAW: Final = LINEAR_TO_ALAW[ULAW_TO_LINEAR.view(np.uint16)].tobytes()  #: for bytes.translate
ALAW_TO_ULAW: Final = LINEAR_TO_ULAW[ALAW_TO_LINEAR.view(np.uint16)].tobytes()


def decode_ulaw(data: bytes) -> Samples:
    """Return the linear samples of µ-law bytes, one each."""
    return ULAW_TO_LINEAR.take(np.frombuffer(data, np.uint8))


def decode_alaw(data: bytes) -> Samples:
    """Return the linear samples of A-law bytes, one each."""
    return ALAW_TO_LINEAR.take(np.frombuffer(data, np.uint8))


def encode_ulaw(samples: Samples) -> bytes:
    """Return µ-law bytes, one a sample."""
    return LINEAR_TO_ULAW.take(samples.view(np.uint16)).tobytes()


def encode_alaw(samples: Samples) -> bytes:
    """Return A-law bytes, one a sample."""
    return LINEAR_TO_ALAW.take(samples.view(np.uint16)).tobytes()
