"""Audio formats of the Realtime API: how they are written, and how a reported format is read.

PCM is 24 kHz, 16 bit, mono, little-endian, with no other rate; G.711 is 8 kHz,
mono, without a header. Source: OpenAI Realtime, session object.

Rule: reported formats are read leniently: G.711 is 8 kHz whatever rate is given,
PCM without a rate is 24 kHz, and names of the beta API are accepted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import attrs

from voicecore.audio.formats import PCM16_8K, PCM16_16K, PCM16_24K, PCMA_8K, PCMU_8K, AudioFormat
from voicecore.errors import printable

_PCM_RATE_HZ: Final = PCM16_24K.rate_hz
_WIRE_TYPES: Final[Mapping[AudioFormat, str]] = {
    PCM16_24K: "audio/pcm",
    PCMU_8K: "audio/pcmu",
    PCMA_8K: "audio/pcma",
}
_FORMATS: Final[Mapping[str, AudioFormat]] = {
    **{name: audio_format for audio_format, name in _WIRE_TYPES.items()},
    "pcm16": PCM16_24K,
    "g711_ulaw": PCMU_8K,
    "g711_alaw": PCMA_8K,
}
_PCM_RATES: Final[Mapping[int, AudioFormat]] = {each.rate_hz: each for each in (PCM16_8K, PCM16_16K, PCM16_24K)}

SPOKEN_FORMATS: Final = frozenset(_WIRE_TYPES)
"""The formats that can be requested."""


def format_to_wire(audio_format: AudioFormat) -> dict[str, object]:
    """Return the JSON object of one of `SPOKEN_FORMATS`; PCM has a rate, G.711 has none."""
    wire: dict[str, object] = {"type": _WIRE_TYPES[audio_format]}
    if audio_format == PCM16_24K:
        wire["rate"] = _PCM_RATE_HZ
    return wire


@attrs.frozen
class ForeignFormat:
    """A reported format that we cannot convert."""

    name: str = attrs.field(converter=printable)


EffectiveFormat = AudioFormat | ForeignFormat | None
"""None: not reported."""


def format_from_wire(name: str | None, rate_hz: int | None = None) -> EffectiveFormat:
    """Return the format for a reported name and, for PCM, rate."""
    if name is None:
        return None
    found = _FORMATS.get(name)
    if found != PCM16_24K or rate_hz is None:
        return found or ForeignFormat(name)
    return _PCM_RATES.get(rate_hz) or ForeignFormat(f"{name} at {rate_hz} Hz")
