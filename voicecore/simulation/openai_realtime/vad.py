"""The input audio buffer and its voice activity detection: what was appended, and where speech begins and ends.

Rule 1: all times count the audio appended in the session, whether it was used or not:
while no user audio is sent, this clock does not advance.
Rule 2: audio that arrived while turn detection was off stays in the buffer and is
analysed when detection comes on: old speech counts as speech.
Rule 3: speech begins `prefix_ms` before it was detected, never before the start of the
buffer, and ends with the silence that proved its end.

Facts: OpenAI Realtime, sections turn detection, client and server events.
Pure.
"""

from __future__ import annotations

import attrs

from voicecore.audio.formats import AudioFormat
from voicecore.audio.level import level_dbfs
from voicecore.simulation.openai_realtime.json_checks import JsonObject, Refused

SMALLEST_COMMIT_MS = 100
BUFFERED_DETECTION_ON_S = 30.0  #: silence kept while detection is on: the longest idle timeout
BUFFERED_DETECTION_OFF_S = 600.0  #: audio kept while detection is off; older audio is dropped

_FRAME_S = 0.02
_ONSET_FRAMES = 3  #: loud frames in a row that make speech: 60 ms
_QUIETEST_THRESHOLD_DBFS = -60.0  #: threshold 0: a comfort noise line
_THRESHOLD_SPAN_DB = 40.0  #: so that the default 0.5 lies at -40 dBFS, a usual speech threshold
_SEMANTIC_THRESHOLD = 0.5
_SEMANTIC_PREFIX_MS = 300
_SEMANTIC_SILENCE_MS = {"low": 1600, "medium": 800, "auto": 800, "high": 400}  #: a model of it; real waits vary


@attrs.frozen
class VadSettings:
    """How speech is detected."""

    threshold_dbfs: float
    prefix_ms: int
    silence_ms: int

    @classmethod
    def of(cls, turn_detection: JsonObject) -> VadSettings:
        """Read a complete `turn_detection` object of either kind."""
        if turn_detection["type"] == "semantic_vad":
            silence_ms = _SEMANTIC_SILENCE_MS[turn_detection["eagerness"]]
            return cls(_threshold_dbfs(_SEMANTIC_THRESHOLD), _SEMANTIC_PREFIX_MS, silence_ms)
        return cls(
            _threshold_dbfs(turn_detection["threshold"]),
            turn_detection["prefix_padding_ms"],
            turn_detection["silence_duration_ms"],
        )


@attrs.frozen
class SpeechStarted:
    """Speech was detected; ``start_ms`` is where it begins, padding included."""

    start_ms: int


@attrs.frozen
class SpeechStopped:
    """Speech ended at ``end_ms``; ``audio`` is the whole turn, which was removed from the buffer."""

    end_ms: int
    audio: bytes = attrs.field(repr=False)


VadEvent = SpeechStarted | SpeechStopped


class InputAudioBuffer:
    """One session's input buffer; positions are bytes since the session began, in the current format."""

    def __init__(self, audio_format: AudioFormat) -> None:
        self._format = audio_format
        self._audio = bytearray()
        self._buffer_start = 0
        self._analysed_until = 0
        self._speech_from: int | None = None
        self._loud_frames = 0
        self._quiet_frames = 0

    @property
    def appended_ms(self) -> int:
        """Audio appended so far, over the whole session."""
        return self._ms(self._appended)

    @property
    def buffer_start_ms(self) -> int:
        """Where the audio that is still in the buffer begins."""
        return self._ms(self._buffer_start)

    @property
    def in_speech(self) -> bool:
        """Whether a turn is open."""
        return self._speech_from is not None

    def append(self, audio: bytes, settings: VadSettings | None) -> list[VadEvent]:
        """Append audio and look for speech in it; None: detection is off, it is only buffered."""
        self._audio += audio
        events = [] if settings is None else self._analyse(settings)
        self._trim(BUFFERED_DETECTION_OFF_S if settings is None or self.in_speech else BUFFERED_DETECTION_ON_S)
        return events

    def commit(self) -> bytes:
        """Remove everything from the buffer as one turn; raises Refused below 100 ms."""
        buffered_ms = len(self._audio) / self._bytes_per_ms
        if buffered_ms < SMALLEST_COMMIT_MS:
            raise Refused(
                "input_audio_buffer_commit_empty",
                "Error committing input audio buffer: buffer too small. Expected at least "
                f"{SMALLEST_COMMIT_MS}ms of audio, but buffer only has {buffered_ms:.2f}ms of audio.",
            )
        return self._take(self._buffer_start)

    def clear(self) -> None:
        """Discard what is not committed, an open turn too."""
        self._take(self._buffer_start)

    def discard_open_turn(self) -> None:
        """Discard an open turn and keep the audio: detection was switched off."""
        self._speech_from = None
        self._loud_frames = self._quiet_frames = 0

    def change_format(self, audio_format: AudioFormat) -> None:
        """Switch to another format: the buffer is emptied, the count of milliseconds continues."""
        appended_ms = self.appended_ms
        self.clear()
        self._format = audio_format
        self._buffer_start = self._analysed_until = appended_ms * self._bytes_per_ms

    def start_speech(self, prefix_ms: int) -> SpeechStarted:
        """Open a turn now, whatever the audio is."""
        return self._open_speech(self._appended, prefix_ms)

    def stop_speech(self) -> SpeechStopped:
        """End the open turn now."""
        return self._close_speech(self._appended)

    def take_since(self, since_ms: int) -> bytes:
        """Remove and return the audio since ``since_ms``, as far as it is still buffered, speech or not."""
        return self._take(max(self._buffer_start, since_ms * self._bytes_per_ms))

    @property
    def _appended(self) -> int:
        return self._buffer_start + len(self._audio)

    @property
    def _bytes_per_ms(self) -> int:
        return self._format.bytes_per_second // 1000

    def _ms(self, position: int) -> int:
        return position // self._bytes_per_ms

    def _analyse(self, settings: VadSettings) -> list[VadEvent]:
        frame_bytes = self._format.bytes_in(_FRAME_S)
        events: list[VadEvent] = []
        while self._analysed_until + frame_bytes <= self._appended:
            begin = self._analysed_until - self._buffer_start
            loudness = level_dbfs(bytes(self._audio[begin : begin + frame_bytes]), self._format)
            self._analysed_until += frame_bytes
            if (event := self._classify(loudness >= settings.threshold_dbfs, frame_bytes, settings)) is not None:
                events.append(event)
        return events

    def _classify(self, loud: bool, frame_bytes: int, settings: VadSettings) -> VadEvent | None:
        if self._speech_from is None:
            self._loud_frames = self._loud_frames + 1 if loud else 0
            if self._loud_frames == _ONSET_FRAMES:
                return self._open_speech(self._analysed_until - _ONSET_FRAMES * frame_bytes, settings.prefix_ms)
            return None
        self._quiet_frames = 0 if loud else self._quiet_frames + 1
        if self._quiet_frames * _FRAME_S * 1000 >= max(settings.silence_ms, 1):
            return self._close_speech(self._analysed_until)
        return None

    def _open_speech(self, onset: int, prefix_ms: int) -> SpeechStarted:
        self._speech_from = max(self._buffer_start, onset - prefix_ms * self._bytes_per_ms)
        self._quiet_frames = 0
        return SpeechStarted(self._ms(self._speech_from))

    def _close_speech(self, end: int) -> SpeechStopped:
        begin = self._buffer_start if self._speech_from is None else self._speech_from
        audio = bytes(self._audio[begin - self._buffer_start : end - self._buffer_start])
        self._drop_until(end)
        self.discard_open_turn()
        return SpeechStopped(self._ms(end), audio)

    def _take(self, begin: int) -> bytes:
        audio = bytes(self._audio[begin - self._buffer_start :])
        self._drop_until(self._appended)
        self.discard_open_turn()
        return audio

    def _drop_until(self, position: int) -> None:
        del self._audio[: position - self._buffer_start]
        self._buffer_start = position
        self._analysed_until = max(self._analysed_until, position)

    def _trim(self, limit_s: float) -> None:
        surplus = len(self._audio) - self._format.bytes_in(limit_s)
        if surplus > 0:
            self._drop_until(self._buffer_start + surplus)
            if self._speech_from is not None:
                self._speech_from = max(self._speech_from, self._buffer_start)


def _threshold_dbfs(threshold: float) -> float:
    return _QUIETEST_THRESHOLD_DBFS + _THRESHOLD_SPAN_DB * threshold
