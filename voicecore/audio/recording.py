"""A call as the user heard it: user left, agent right, on one clock.

Rule 1: the left side follows the carrier's frames; a gap longer than the
tolerance is filled with silence, a burst is kept whole and in order.
Rule 2: the right side holds agent audio at the moment it plays: behind what was
sent before it, never earlier than now; what a clear cuts off is not in it.
Rule 3: both sides are kept at 8 kHz, whatever the line's format: what a file of
this kind is read as.
Rule 4: `take` gives only the past, so nothing that it gave can still be cleared.

Pure; times are seconds on the user's clock of choice.
"""

from __future__ import annotations

from voicecore.audio.convert import Converter, converter
from voicecore.audio.formats import PCM16_8K, AudioFormat

GAP_TOLERANCE_S = 0.060  #: jitter of frames that is not a gap


class Recording:
    """The stereo timeline of one call; PCM16 at 8 kHz."""

    def __init__(self, leg_format: AudioFormat, began_at: float) -> None:
        self._user_to_linear: Converter = converter(leg_format, PCM16_8K)
        self._agent_to_linear: Converter = converter(leg_format, PCM16_8K)
        self._began_at = began_at
        self._taken = 0  # samples given out
        self._user = bytearray()  # PCM16 from _taken on
        self._agent = bytearray()  # PCM16 from _taken on; grows ahead of now by the lead at the carrier

    def user(self, audio: bytes, now: float) -> None:
        """Add what the user said up to now, in the leg's format."""
        linear = self._user_to_linear.convert(audio)
        begin = self._position(now) - len(linear) // 2
        missing = begin - (self._taken + len(self._user) // 2)
        if missing > GAP_TOLERANCE_S * PCM16_8K.rate_hz:
            self._user += bytes(2 * missing)
        self._user += linear

    def agent(self, audio: bytes, now: float) -> None:
        """Add what was sent to the carrier now; it plays behind what was sent before."""
        missing = self._position(now) - (self._taken + len(self._agent) // 2)
        if missing > 0:
            self._agent += bytes(2 * missing)
        self._agent += self._agent_to_linear.convert(audio)

    def clear(self, now: float) -> None:
        """Cut off agent audio that has not been played."""
        self._agent_to_linear.reset()
        del self._agent[2 * max(0, self._position(now) - self._taken) :]

    def take(self, now: float) -> bytes:
        """Return the interleaved PCM16 (left, right) of the time up to now that was not taken yet."""
        count = self._position(now) - self._taken
        if count <= 0:
            return b""
        interleaved = bytearray(4 * count)
        for channel, track in enumerate((self._user, self._agent)):
            part = bytes(track[: 2 * count]).ljust(2 * count, b"\0")
            interleaved[2 * channel :: 4], interleaved[2 * channel + 1 :: 4] = part[::2], part[1::2]
            del track[: 2 * count]
        self._taken += count
        return bytes(interleaved)

    def _position(self, now: float) -> int:
        return round((now - self._began_at) * PCM16_8K.rate_hz)
