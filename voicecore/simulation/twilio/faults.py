"""Everything that a line may be told to do wrong; each was seen in the field or is a row of the fault matrix.

Frozen settings; the default is a healthy line.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from voicecore.audio.formats import AudioFormat, Encoding


class MarkOrder(enum.Enum):
    """What becomes of mark echoes."""

    FAITHFUL = "faithful"
    NEVER = "never"
    DOUBLED = "doubled"
    REVERSED = "reversed"  #: those that are due together come back last one first


class StreamEnd(enum.Enum):
    """How the stream ends when the call is over."""

    STOP = "stop"  #: a stop message, then the socket closes
    CLOSE = "close"  #: the socket closes without a stop
    CUT = "cut"  #: the connection ends without a close frame
    HANG = "hang"  #: nothing more is said or read, and the socket stays open


@attrs.frozen(kw_only=True)
class MediaFormat:
    """What a start message announces, and how the stream's audio is written both ways; one channel."""

    encoding: str = "audio/x-mulaw"
    sample_rate: int = 8000

    @property
    def audio_format(self) -> AudioFormat:
        """The format as our own audio room knows it; two bytes of a sample come little end first."""
        wide = self.encoding.lower().endswith("l16")
        return AudioFormat(Encoding.PCM16 if wide else Encoding.PCMU, self.sample_rate)


@attrs.frozen(kw_only=True)
class LineFaults:
    """What is wrong with a media stream; seconds, and counts of messages."""

    sends_start: bool = True
    second_start: bool = False
    media_before_start: bool = False
    other_call_id: bool = False
    """The start message names another call."""
    other_token: bool = False
    """The stream is opened under a token that nobody gave out."""
    signature: str | None = None
    """A signature to send in place of the right one."""
    malformed_every: int | None = None
    """Put text that is not a message behind every n-th frame."""
    unknown_every: int | None = None
    """Put an event of an unheard-of kind behind every n-th frame."""
    mark_returns: MarkOrder = MarkOrder.FAITHFUL
    mark_delay_s: float = 0.0
    mark_jitter_s: float = 0.0
    """Each echo leaves up to so much later, never before the one ahead of it."""
    mark_loss: float = 0.0
    """The share of echoes that never leave, from 0 to 1."""
    marks_until_s: float | None = None
    """From this moment of the stream on, no echo leaves any more."""
    media_jitter_s: float = 0.0
    """What the application sends together arrives up to so much later, never before what is ahead of it."""
    frames_in_burst: int = 1
    """Frames are held back and sent so many at once."""
    does_not_read_from_s: float | None = None
    does_not_read_between_s: tuple[float, float] | None = None
    """Nothing is read between these two moments of the stream; then reading goes on."""
    stream_end: StreamEnd = StreamEnd.STOP
    ends_at_s: float | None = None
    """The call ends at this moment, whatever the user does."""
    breaks_at_s: float | None = None
    """The connection is cut at this moment, and the call goes on: TwiML behind the stream is followed."""
    seed: int = 1
    """Of what is drawn: jitter and losses."""
    media_format: MediaFormat = MediaFormat()
    start_fields: Mapping[str, Any] = attrs.field(factory=dict)
    """Of the start message's inner object: more fields, other values, None for left out."""
    flood: float = 1.0
    """User audio comes so many times as fast as it is spoken."""
    flood_between_s: tuple[float, float] = (0.0, float("inf"))
    """From when to when of the stream."""
    stalls_between_s: tuple[float, float] | None = None
    """Between these two moments nothing leaves; then all of it does at once."""
    forged_for: Sequence[str] = ()
    """Somebody else tries the stream's address first, once for each of these origins, signed for that origin."""


@attrs.frozen(kw_only=True)
class StatusFaults:
    """What is wrong with status callbacks."""

    sends: bool = True
    repeats: int = 1
    reversed: bool = False
    late_s: float = 0.0
    """Every callback leaves so long after what it tells of."""
    completed_before_stop_s: float | None = None
    """The terminal callback comes so long before the stream's stop."""
    signature: str | None = None
    completed_before_close_s: float | None = None
    """The terminal callback comes behind the stream's stop, so long before its socket closes."""
    final_fields: Mapping[str, str | None] = attrs.field(factory=dict)
    """Fields of the terminal callback: more of them, other values, None for left out."""


@attrs.frozen(kw_only=True)
class WebhookFaults:
    """What is unusual about the webhooks of one inbound call."""

    voice_times: int = 1
    """The voice webhook is delivered so often, all at the same moment."""
    fields: Mapping[str, str | None] = attrs.field(factory=dict)
    """Fields of every webhook: more of them, other values, None for left out."""
    abandoned_after_s: float | None = None
    """The user hangs up so long after the voice webhook was answered, before any media; None: stays."""
