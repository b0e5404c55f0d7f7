"""Everything that can go wrong on a line; each was seen in the field or is a row of the fault matrix.

Frozen settings; the default is a healthy line.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from voicecore.audio.formats import AudioFormat, Encoding


class MarkOrder(enum.Enum):
    """How marks are returned."""

    FAITHFUL = "faithful"
    NEVER = "never"
    DOUBLED = "doubled"
    REVERSED = "reversed"  #: marks that are due together are returned last one first


class StreamEnd(enum.Enum):
    """How the stream ends when the call is over."""

    STOP = "stop"  #: a stop message, then the socket closes
    CLOSE = "close"  #: the socket closes without a stop
    CUT = "cut"  #: the connection ends without a close frame
    HANG = "hang"  #: nothing more is sent or read, and the socket stays open


@attrs.frozen(kw_only=True)
class MediaFormat:
    """What a start message announces, and how the stream's audio is written both ways; one channel."""

    encoding: str = "audio/x-mulaw"
    sample_rate: int = 8000

    @property
    def audio_format(self) -> AudioFormat:
        """The format in the terms of voicecore.audio; PCM16 is little-endian."""
        wide = self.encoding.lower().endswith("l16")
        return AudioFormat(Encoding.PCM16 if wide else Encoding.PCMU, self.sample_rate)


@attrs.frozen(kw_only=True)
class LineFaults:
    """What goes wrong with a media stream; seconds, and counts of messages."""

    sends_start: bool = True
    second_start: bool = False
    media_before_start: bool = False
    other_call_id: bool = False
    """The start message names another call."""
    other_token: bool = False
    """The stream is opened with a token that was never issued."""
    signature: str | None = None
    """A signature to send instead of the right one."""
    malformed_every: int | None = None
    """Send text that is not a message after every n-th frame."""
    unknown_every: int | None = None
    """Send an event of an unknown kind after every n-th frame."""
    mark_returns: MarkOrder = MarkOrder.FAITHFUL
    mark_delay_s: float = 0.0
    mark_jitter_s: float = 0.0
    """Each mark is returned up to this much later, never before the one ahead of it."""
    mark_loss: float = 0.0
    """The share of marks that are never returned, from 0 to 1."""
    marks_until_s: float | None = None
    """From this moment of the stream on, no mark is returned."""
    media_jitter_s: float = 0.0
    """What the application sends together arrives up to this much later, never before what is ahead of it."""
    frames_in_burst: int = 1
    """Frames are buffered and sent this many at once."""
    does_not_read_from_s: float | None = None
    does_not_read_between_s: tuple[float, float] | None = None
    """Nothing is read between these two moments of the stream; then reading resumes."""
    stream_end: StreamEnd = StreamEnd.STOP
    ends_at_s: float | None = None
    """The call ends at this moment, whatever the user does."""
    breaks_at_s: float | None = None
    """The connection is cut at this moment, and the call goes on with the TwiML after the stream."""
    seed: int = 1
    """Of the random numbers: jitter and losses."""
    media_format: MediaFormat = MediaFormat()
    start_fields: Mapping[str, Any] = attrs.field(factory=dict)
    """Of the start message's inner object: additional fields, other values, None to omit."""
    flood: float = 1.0
    """How many times faster than real time the user audio is sent."""
    flood_between_s: tuple[float, float] = (0.0, float("inf"))
    """From when to when of the stream."""
    stalls_between_s: tuple[float, float] | None = None
    """Between these two moments nothing is sent; then all of it is, at once."""
    forged_for: Sequence[str] = ()
    """Somebody else tries the stream's URL first, once for each of these origins, signed for that origin."""


@attrs.frozen(kw_only=True)
class StatusFaults:
    """What goes wrong with status callbacks."""

    sends: bool = True
    repeats: int = 1
    reversed: bool = False
    late_s: float = 0.0
    """How long after the event each callback is sent."""
    completed_before_stop_s: float | None = None
    """How long before the stream's stop the terminal callback is sent; None: after it."""
    signature: str | None = None
    completed_before_close_s: float | None = None
    """The terminal callback is sent after the stream's stop, this long before its socket closes."""
    final_fields: Mapping[str, str | None] = attrs.field(factory=dict)
    """Fields of the terminal callback: additional ones, other values, None to omit."""


@attrs.frozen(kw_only=True)
class WebhookFaults:
    """What is unusual about the webhooks of one inbound call."""

    voice_times: int = 1
    """How often the voice webhook is sent, all at the same moment."""
    fields: Mapping[str, str | None] = attrs.field(factory=dict)
    """Fields of every webhook: additional ones, other values, None to omit."""
    abandoned_after_s: float | None = None
    """The user hangs up this long after the voice webhook was answered, before any media; None: never."""
