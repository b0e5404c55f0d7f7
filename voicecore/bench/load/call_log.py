"""What is noted of one call: the user's audio, the agent's, and how many messages passed."""

from __future__ import annotations

import enum

import attrs

from voicecore.bench.load.answer_log import AnswerLog
from voicecore.bench.load.frames import Track


class ProviderAudio(enum.Enum):
    """What an engine speaks with its provider."""

    PCMU = "audio/pcmu"  #: G.711, as with the carrier: nothing has to be converted
    PCM = "audio/pcm"  #: PCM16 at 24 kHz: everything is converted, both ways

    @property
    def bytes_per_s(self) -> int:
        """Size of a second."""
        return 8_000 if self is ProviderAudio.PCMU else 48_000


@attrs.define
class MessageCounts:
    """WebSocket messages by their way through the measured process; of all calls together."""

    from_carrier: int = 0
    to_provider: int = 0
    from_provider: int = 0
    to_carrier: int = 0


@attrs.frozen
class CallLog:
    """What is noted of one call."""

    call: int
    audio: ProviderAudio
    user: Track
    answers: AnswerLog
    counts: MessageCounts


def stream_sid(call: int) -> str:
    """Return the SID of a call's media stream."""
    return f"MZ{call:032x}"


def call_sid(call: int) -> str:
    """Return the SID of a call."""
    return f"CA{call:032x}"
