"""G.711 by tables: the standard's values, and the hashes that pin them."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from voicecore.audio import g711

ALL_SAMPLES = np.arange(-32768, 32768, dtype=np.int16)
ALL_CODES = bytes(range(256))


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize(
    ("table", "digest"),
    [
        (g711.decode_ulaw(ALL_CODES).astype("<i2"), "3dab54339e520bb2c924826e3b72a917a2b612e9fd12fc867500f1d983a75827"),
        (g711.decode_alaw(ALL_CODES).astype("<i2"), "e04788d110e58ff8c70c93b8480190d973e3b67876b6119abbaec766cc75c174"),
    ],
    ids=["ulaw", "alaw"],
)
def test_the_decoding_tables_are_the_standards(table: g711.Samples, digest: str) -> None:
    """All 256 codes at once."""
    assert sha256(table.tobytes()) == digest


def test_the_encoding_tables_are_pinned() -> None:
    """All 65,536 samples at once; of the two µ-law encoders in use ours is the biased 16-bit one."""
    ulaw, alaw = g711.encode_ulaw(ALL_SAMPLES), g711.encode_alaw(ALL_SAMPLES)
    assert sha256(ulaw) == "5ee7cf5f273f842d2234121e4cb0c98d6b20a99ac29026f94e05b36955b195be"
    assert sha256(alaw) == "38488f6fd710f4686360edc4d38639f96c491595ef93f8eb8d62d5e07ca6ce7b"


@pytest.mark.parametrize(
    ("code", "sample"),
    [
        (0x00, -32124),
        (0x01, -31100),
        (0x0F, -16764),
        (0x10, -15996),
        (0x1F, -8316),
        (0x20, -7932),
        (0x2A, -5372),
        (0x40, -1884),
        (0x55, -716),
        (0x7E, -8),
        (0x7F, 0),
        (0x80, 32124),
        (0xF0, 120),
        (0xFE, 8),
        (0xFF, 0),
    ],
)
def test_ulaw_decodes_as_the_standard_says(code: int, sample: int) -> None:
    """Single values, to read."""
    assert g711.decode_ulaw(bytes([code]))[0] == sample


@pytest.mark.parametrize(
    ("sample", "code"),
    [
        (0, 0xFF),
        (100, 0xF2),
        (-100, 0x72),
        (1000, 0xCE),
        (8000, 0xA0),
        (-8000, 0x20),
        (16384, 0x8F),
        (32767, 0x80),
        (-32768, 0x00),
    ],
)
def test_ulaw_encodes_as_the_standard_says(sample: int, code: int) -> None:
    """Clipped at both ends."""
    assert g711.encode_ulaw(np.array([sample], np.int16)) == bytes([code])


@pytest.mark.parametrize(
    ("code", "sample"),
    [
        (0x00, -5504),
        (0x10, -2752),
        (0x20, -22016),
        (0x2A, -32256),
        (0x55, -8),
        (0x7F, -848),
        (0x80, 5504),
        (0xAA, 32256),
        (0xD5, 8),
        (0xFF, 848),
    ],
)
def test_alaw_decodes_as_the_standard_says(code: int, sample: int) -> None:
    """Single values, to read."""
    assert g711.decode_alaw(bytes([code]))[0] == sample


@pytest.mark.parametrize(
    ("sample", "code"),
    [
        (0, 0xD5),
        (100, 0xD3),
        (-100, 0x53),
        (1000, 0xFA),
        (8000, 0x8A),
        (-8000, 0x0A),
        (16384, 0xA5),
        (32767, 0xAA),
        (-32768, 0x2A),
    ],
)
def test_alaw_encodes_as_the_standard_says(sample: int, code: int) -> None:
    """There is no zero."""
    assert g711.encode_alaw(np.array([sample], np.int16)) == bytes([code])


def test_every_code_survives_decoding_and_encoding() -> None:
    """All but the second zero of µ-law, which becomes the first."""
    ulaw = g711.encode_ulaw(g711.decode_ulaw(ALL_CODES))
    assert [i for i in range(256) if ulaw[i] != i] == [0x7F]
    assert g711.encode_alaw(g711.decode_alaw(ALL_CODES)) == ALL_CODES


def test_the_digital_milliwatt_is_symmetric_in_both_laws() -> None:
    """The standard's own test tone: exact bytes, exact samples."""
    ulaw = g711.decode_ulaw(bytes.fromhex("1E0B0B1E9E8B8B9E"))
    alaw = g711.decode_alaw(bytes.fromhex("34212134B4A1A1B4"))
    assert ulaw.tolist() == [-8828, -20860, -20860, -8828, 8828, 20860, 20860, 8828]
    assert alaw.tolist() == [-8960, -20992, -20992, -8960, 8960, 20992, 20992, 8960]


def test_the_laws_translate_into_each_other() -> None:
    """By one table of bytes, which says the same as decoding and encoding."""
    assert ALL_CODES.translate(g711.ULAW_TO_ALAW) == g711.encode_alaw(g711.decode_ulaw(ALL_CODES))
    assert ALL_CODES.translate(g711.ALAW_TO_ULAW) == g711.encode_ulaw(g711.decode_alaw(ALL_CODES))
