"""The input audio buffer: offsets, commits, and where speech begins and ends."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicecore.audio.formats import PCM16_24K, PCMU_8K, AudioFormat
from voicecore.simulation.openai_realtime.json_checks import Refused
from voicecore.simulation.openai_realtime.vad import (
    InputAudioBuffer,
    SpeechStarted,
    SpeechStopped,
    VadEvent,
    VadSettings,
)
from voicecore_tests.simulation.openai_realtime.kit import SERVER_VAD, recording, silence

NO_REPLY = VadSettings.of({**SERVER_VAD, "idle_timeout_ms": None})
HELLO = recording("agent-one-moment")


def heard_in(audio: bytes, audio_format: AudioFormat = PCMU_8K, chunk_bytes: int = 160) -> list[VadEvent]:
    """Return what a fresh buffer hears in audio that comes in chunks."""
    buffer = InputAudioBuffer(audio_format)
    chunks = [audio[begin : begin + chunk_bytes] for begin in range(0, len(audio), chunk_bytes)]
    return [heard for chunk in chunks for heard in buffer.append(chunk, NO_REPLY)]


def test_speech_starts_early_by_its_padding_and_ends_with_its_silence() -> None:
    """The start lies 300 ms before the first loud frame, the end behind 500 ms of silence; the turn is all between."""
    audio = silence(1.0) + HELLO + silence(1.0)
    started, stopped = heard_in(audio)
    assert isinstance(started, SpeechStarted)
    assert isinstance(stopped, SpeechStopped)
    assert 650 <= started.start_ms <= 900
    assert 1000 + 1000 <= stopped.end_ms <= 1000 + 1580 + 520
    assert stopped.audio == audio[started.start_ms * 8 : stopped.end_ms * 8]


def test_padding_never_reaches_before_the_buffer() -> None:
    """Speech in the first instant begins at 0, and a second turn never before the end of the first."""
    [started, *_] = heard_in(HELLO + silence(1.0))
    assert started == SpeechStarted(0)
    loud = b"\x10\x90" * 1600
    first, stopped, second, _ = heard_in((loud + silence(0.5)) * 2)
    assert (first, second) == (SpeechStarted(0), SpeechStarted(900))
    assert stopped == SpeechStopped(900, loud + silence(0.5))


def test_line_noise_is_not_speech() -> None:
    """An idle line, and clicks shorter than 60 ms, are not heard."""
    click = b"\x80" * 160
    assert heard_in(b"\xff\x7f\xfe\x7e" * 4000) == []
    assert heard_in((silence(0.2) + click) * 5) == []


def test_a_higher_threshold_needs_louder_speech() -> None:
    """The threshold from 0 to 1 stands for louder and louder speech."""
    quiet = bytes.fromhex("d8") * 1600  # a constant of 620: -34 dBFS
    for threshold, hears in ((0.0, True), (0.5, True), (0.9, False)):
        buffer = InputAudioBuffer(PCMU_8K)
        detection = VadSettings.of({**SERVER_VAD, "threshold": threshold})
        assert bool(buffer.append(quiet, detection)) is hears


@given(chunk_bytes=st.integers(1, 4000))
def test_chunking_changes_nothing(chunk_bytes: int) -> None:
    """The same audio gives the same turns, however it was cut into events."""
    audio = silence(0.3) + HELLO + silence(0.7)
    assert heard_in(audio, chunk_bytes=chunk_bytes) == heard_in(audio)


def test_pcm_is_counted_in_its_own_bytes() -> None:
    """Milliseconds are the same at 24 kHz PCM, split samples included."""
    pcm = silence(1.0, PCM16_24K) + recording("agent-one-moment", PCM16_24K) + silence(1.0, PCM16_24K)
    mulaw = silence(1.0) + HELLO + silence(1.0)
    for of_pcm, of_mulaw in zip(heard_in(pcm, PCM16_24K, 961), heard_in(mulaw), strict=True):
        at_pcm = of_pcm.start_ms if isinstance(of_pcm, SpeechStarted) else of_pcm.end_ms
        at_mulaw = of_mulaw.start_ms if isinstance(of_mulaw, SpeechStarted) else of_mulaw.end_ms
        assert abs(at_pcm - at_mulaw) <= 40


def test_semantic_detection_waits_longer_the_less_eager_it_is() -> None:
    """Low eagerness waits longest, high least; auto is medium."""
    waits = [
        VadSettings.of({"type": "semantic_vad", "eagerness": eagerness}).silence_ms
        for eagerness in ("low", "medium", "auto", "high")
    ]
    assert waits[0] > waits[1] == waits[2] > waits[3]


def test_stale_audio_is_heard_when_detection_comes_on() -> None:
    """Audio that piled up with detection off is still there when it comes on, and makes the turn that it is."""
    buffer = InputAudioBuffer(PCMU_8K)
    assert buffer.append(HELLO + silence(0.6), None) == []
    assert [type(each) for each in buffer.append(silence(0.02), NO_REPLY)] == [SpeechStarted, SpeechStopped]


def test_clear_forgets_stale_audio_and_an_open_turn() -> None:
    """After a clear neither old audio nor half a turn is heard, and the milliseconds go on."""
    buffer = InputAudioBuffer(PCMU_8K)
    buffer.append(HELLO, None)
    buffer.clear()
    assert buffer.append(silence(1.0), NO_REPLY) == []
    assert [type(each) for each in buffer.append(HELLO, NO_REPLY)] == [SpeechStarted]
    buffer.clear()
    assert not buffer.in_speech
    assert buffer.append(silence(1.0), NO_REPLY) == []
    assert buffer.appended_ms == 2 * len(HELLO) // 8 + 2000


def test_commit_takes_all_and_refuses_less_than_100_ms() -> None:
    """99 ms are refused, 100 ms are a turn, and then the buffer is empty."""
    buffer = InputAudioBuffer(PCMU_8K)
    buffer.append(silence(0.099), None)
    with pytest.raises(Refused, match=r"only has 99\.00ms") as refusal:
        buffer.commit()
    assert refusal.value.code == "input_audio_buffer_commit_empty"
    buffer.append(silence(0.001), None)
    assert len(buffer.commit()) == 800
    with pytest.raises(Refused, match=r"only has 0\.00ms"):
        buffer.commit()


def test_format_change_keeps_the_count_of_milliseconds() -> None:
    """Offsets count over the session: a new format empties the buffer and goes on counting."""
    buffer = InputAudioBuffer(PCMU_8K)
    buffer.append(silence(1.0), None)
    buffer.change_format(PCM16_24K)
    buffer.append(silence(0.5, PCM16_24K), None)
    assert buffer.appended_ms == 1500
    assert len(buffer.commit()) == PCM16_24K.bytes_in(0.5)


def test_held_audio_is_bounded() -> None:
    """A line that stays silent for minutes leaves no more than the longest idle timeout in the buffer."""
    buffer = InputAudioBuffer(PCMU_8K)
    for _ in range(120):
        buffer.append(silence(1.0), NO_REPLY)
    assert len(buffer.commit()) == PCMU_8K.bytes_in(30.0)
    assert buffer.appended_ms == 120_000
