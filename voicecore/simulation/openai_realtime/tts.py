"""The server's speech synthesis: a reply as audio in the session's output format.

Rule: speech is made at 8 kHz and converted once for each format that is needed.
"""

from __future__ import annotations

import functools
import math
import struct

from voicecore.audio.convert import converter
from voicecore.audio.formats import PCM16_8K, PCMU_8K, AudioFormat
from voicecore.simulation import recordings
from voicecore.simulation.numbered_audio import numbered_audio
from voicecore.simulation.openai_realtime.script import (
    FixedSpeech,
    NumberedFrames,
    Recorded,
    Reply,
    Samples,
    Silence,
    Tone,
)

_SECONDS_PER_WORD = 0.35
_TONE_AMPLITUDE = 6000  #: about -18 dBFS, the level of telephone speech
_CACHED_UTTERANCES = 64


def speech(reply: Reply, audio_format: AudioFormat, call: int, response: int) -> bytes:
    """Return the audio of a reply.

    Args:
        reply: What is said, and how it sounds.
        audio_format: The session's output format.
        call: The number that numbered frames carry for the session.
        response: The number that they carry for the response.
    """
    source = reply.speech or Tone(_SECONDS_PER_WORD * len(reply.text.split()))
    if isinstance(source, NumberedFrames):
        return _converted(numbered_audio(call, response, source.seconds), PCMU_8K, audio_format)
    return _spoken(source, audio_format)


@functools.lru_cache(_CACHED_UTTERANCES)
def _spoken(source: FixedSpeech, audio_format: AudioFormat) -> bytes:
    match source:
        case Recorded(name):
            return _converted(recordings.load(name), PCM16_8K, audio_format)
        case Samples(pcm16_8k):
            return _converted(pcm16_8k, PCM16_8K, audio_format)
        case Silence(seconds):
            return _converted(bytes(PCM16_8K.bytes_in(seconds)), PCM16_8K, audio_format)
        case Tone(seconds, hz):
            return _converted(_sine(seconds, hz), PCM16_8K, audio_format)


def _sine(seconds: float, hz: float) -> bytes:
    step = 2 * math.pi * hz / PCM16_8K.rate_hz
    samples = [round(_TONE_AMPLITUDE * math.sin(step * n)) for n in range(round(seconds * PCM16_8K.rate_hz))]
    return struct.pack(f"<{len(samples)}h", *samples)


def _converted(audio: bytes, source: AudioFormat, target: AudioFormat) -> bytes:
    stream = converter(source, target)
    return stream.convert(audio) + stream.flush()
