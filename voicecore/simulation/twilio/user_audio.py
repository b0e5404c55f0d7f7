"""The user's audio in the format of the stream: frames of 20 ms, whatever delay a conversion adds.

Pure.
"""

from __future__ import annotations

from voicecore.audio.convert import converter
from voicecore.audio.formats import PCMU_8K, AudioFormat
from voicecore.simulation.twilio.user import FRAME_S


class UserAudioEncoder:
    """Frames of µ-law in, frames of the stream's format out, one for one."""

    def __init__(self, audio_format: AudioFormat) -> None:
        self._frame_bytes = audio_format.bytes_in(FRAME_S)
        self._converter = converter(PCMU_8K, audio_format)
        delay_bytes = audio_format.bytes_in(self._converter.delay_s)
        self._waiting = audio_format.silence(delay_bytes)  # so that a frame is whole from the first one on

    def frame(self, ulaw: bytes) -> bytes:
        """Return the frame to send for one that was spoken."""
        self._waiting += self._converter.convert(ulaw)
        frame, self._waiting = self._waiting[: self._frame_bytes], self._waiting[self._frame_bytes :]
        return frame
