"""User audio against the clock: nobody speaks faster than time passes.

A stalled network delivers all that it delayed at once, and that is kept.  More
than that is no speech: the oldest of it is dropped, and a line that goes on like
this is given up.

Pure; time is an argument.
"""

from __future__ import annotations

import attrs

from voicecore import kinds
from voicecore.audio.formats import AudioFormat


@attrs.frozen(kw_only=True)
class FloodSettings:
    """How much user audio may come; seconds."""

    burst_s: float = attrs.field(default=5.0, validator=kinds.seconds(above=0))
    """Audio that may be ahead of the clock: what a stall of the network held back."""
    limit_s: float = attrs.field(default=5.0, validator=kinds.seconds(above=0))
    """How long audio may have to be dropped before the line is given up."""
    calm_s: float = attrs.field(default=1.0, validator=kinds.seconds(above=0))
    """So long without a drop, and a flood is over."""
    drift: float = attrs.field(default=0.05, validator=kinds.number(0, 1))
    """How much faster than ours the carrier's clock may run, as a share."""


class FloodMeter:
    """The user audio of one line."""

    def __init__(self, audio_format: AudioFormat, now: float, settings: FloodSettings | None = None) -> None:
        its = settings or FloodSettings()
        self.settings = its
        self.dropped_bytes = 0
        self.floods = 0
        """How often a flood began."""
        self._sample_bytes = audio_format.sample_bytes
        self._burst_bytes = audio_format.bytes_in(its.burst_s)
        self._bytes_per_s = audio_format.bytes_per_second * (1 + its.drift)
        self._ahead_bytes = 0.0  # of the clock
        self._at = now
        self._began_at = self._dropped_at = float("-inf")  # the last flood's

    def admit(self, size_bytes: int, now: float) -> int:
        """Take audio that came now; return how much of it may go on, counted from its end."""
        self._ahead_bytes = max(0.0, self._ahead_bytes - (now - self._at) * self._bytes_per_s) + size_bytes
        self._at = now
        if self._ahead_bytes <= self._burst_bytes:
            return size_bytes
        return size_bytes - self._drop(size_bytes, now)

    @property
    def is_too_long(self) -> bool:
        """Whether the line is to be given up."""
        return self._dropped_at - self._began_at >= self.settings.limit_s

    def _drop(self, size_bytes: int, now: float) -> int:
        excess_samples = -(-(self._ahead_bytes - self._burst_bytes) // self._sample_bytes)
        dropped = min(size_bytes, int(excess_samples) * self._sample_bytes)
        if now - self._dropped_at > self.settings.calm_s:
            self._began_at = now
            self.floods += 1
        self._dropped_at = now
        self._ahead_bytes -= dropped
        self.dropped_bytes += dropped
        return dropped
