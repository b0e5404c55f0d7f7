"""Builds the stereo recording of a call as the user heard it: user left, agent right.

Rule 1: the left channel follows the carrier's frames; a gap longer than the tolerance
is filled with silence, a burst is kept complete and in order.
Rule 2: the right channel has agent audio at the time at which it plays: after what was
sent before it, never earlier than now; audio that a clear drops is not in it.
Rule 3: both channels are 8 kHz, whatever the leg's format.
Rule 4: `take` returns only the past, which no clear can change any more.

Pure; times are seconds on one clock of the caller's choice.
"""

from __future__ import annotations

from voicecore.audio.convert import Converter, converter
from voicecore.audio.formats import PCM16_8K, AudioFormat

GAP_TOLERANCE_S = 0.060  #: jitter of frames that is not a gap


class Recording:
    """The stereo recording of one call; PCM16 at 8 kHz."""

    def __init__(self, leg_format: AudioFormat, began_at: float) -> None:
        self._user_to_linear: Converter = converter(leg_format, PCM16_8K)
        self._agent_to_linear: Converter = converter(leg_format, PCM16_8K)
        self._began_at = began_at
        self._taken = 0  # samples returned so far
        self._user = bytearray()  # PCM16 from _taken on
        self._agent = bytearray()  # PCM16 from _taken on; grows ahead of now by the lead at the carrier

    def user(self, audio: bytes, now: float) -> None:
        """Add user audio that ends now, in the leg's format."""
        linear = self._user_to_linear.convert(audio)
        begin = self._position(now) - len(linear) // 2
        missing = begin - (self._taken + len(self._user) // 2)
        if missing > GAP_TOLERANCE_S * PCM16_8K.rate_hz:
            self._user += bytes(2 * missing)
        self._user += linear

    def agent(self, audio: bytes, now: float) -> None:
        """Add agent audio that is sent now; it plays after what was sent before."""
        missing = self._position(now) - (self._taken + len(self._agent) // 2)
        if missing > 0:
            self._agent += bytes(2 * missing)
        self._agent += self._agent_to_linear.convert(audio)

    def clear(self, now: float) -> None:
        """Drop agent audio that has not been played."""
        self._agent_to_linear.reset()
        del self._agent[2 * max(0, self._position(now) - self._taken) :]

    def take(self, now: float) -> bytes:
        """Return the interleaved PCM16 (left, right) from the last call of `take` up to now."""
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
