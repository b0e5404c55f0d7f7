"""What a script may be."""

from __future__ import annotations

import pytest

from voicecore.audio.formats import PCM16_24K, PCMA_8K, PCMU_8K
from voicecore.simulation.openai_realtime.script import NumberedFrames, Recorded, Reply, Samples, Script, Tone
from voicecore.simulation.openai_realtime.tts import speech


def test_a_script_has_at_least_one_reply() -> None:
    """An agent that has nothing to say is a mistake in the test."""
    with pytest.raises(ValueError, match="at least one reply"):
        Script(replies=())


def test_words_without_a_recording_sound_as_long_as_they_would_take() -> None:
    """A reply of ten words is a tone of 3.5 s, in each format."""
    reply = Reply("one two three four five six seven eight nine ten")
    for audio_format in (PCMU_8K, PCMA_8K, PCM16_24K):
        assert audio_format.seconds_in(len(speech(reply, audio_format, 1, 1))) == pytest.approx(3.5)


def test_every_source_of_speech_is_converted_to_the_output_format() -> None:
    """A recording, samples, a tone and numbered frames, at 24 kHz: three samples for each of theirs."""
    sources = (Recorded("agent-hello"), Samples(bytes(3200)), Tone(0.2), NumberedFrames(0.2))
    for source in sources:
        reply = Reply(speech=source)
        assert len(speech(reply, PCM16_24K, 1, 1)) == 6 * len(speech(reply, PCMU_8K, 1, 1))


def test_samples_are_not_shown() -> None:
    """A repr of a script does not print audio."""
    assert "<3200 bytes>" in repr(Samples(bytes(3200)))
