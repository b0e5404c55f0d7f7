"""The three audio formats that the Realtime API speaks, and how it writes them.

PCM is 24 kHz, 16 bit, mono, little-endian, and that is its only rate; G.711 is
8 kHz, mono, without a header.  Source: OpenAI Realtime, session object.

Used by config.py and effective.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from voicecore.audio.formats import PCM16_24K, PCMA_8K, PCMU_8K, AudioFormat

_PCM_RATE_HZ: Final = PCM16_24K.rate_hz
_WIRE_TYPES: Final[Mapping[AudioFormat, str]] = {
    PCM16_24K: "audio/pcm",
    PCMU_8K: "audio/pcmu",
    PCMA_8K: "audio/pcma",
}
_FORMATS: Final[Mapping[str, AudioFormat]] = {name: audio_format for audio_format, name in _WIRE_TYPES.items()}

SPOKEN_FORMATS: Final = frozenset(_WIRE_TYPES)
"""Every format that a session may be asked for."""


def format_to_wire(audio_format: AudioFormat) -> dict[str, object]:
    """Return the wire's object for one of `SPOKEN_FORMATS`; PCM names its rate, G.711 has none to name."""
    wire: dict[str, object] = {"type": _WIRE_TYPES[audio_format]}
    if audio_format == PCM16_24K:
        wire["rate"] = _PCM_RATE_HZ
    return wire


def format_from_wire(wire_type: str | None, rate_hz: int | None) -> AudioFormat | None:
    """Return the format that the server names; None when it is none of `SPOKEN_FORMATS`."""
    found = _FORMATS.get(wire_type or "")
    return found if found is None or rate_hz in {None, found.rate_hz} else None
