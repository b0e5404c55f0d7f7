"""Levels and the energy detector."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicecore.audio.convert import from_samples
from voicecore.audio.formats import PCM16_8K, PCM16_24K, PCMA_8K, PCMU_8K, AudioFormat
from voicecore.audio.level import SILENCE_DBFS, EnergyVad, EnergyVadSettings, Offset, Onset, level_dbfs, levels_dbfs


def tone(seconds: float, audio_format: AudioFormat = PCMU_8K, amplitude: float = 16384) -> bytes:
    t = np.arange(round(audio_format.rate_hz * seconds)) / audio_format.rate_hz
    return from_samples(np.rint(amplitude * np.sin(2 * np.pi * 500 * t)).astype(np.int16), audio_format)


def silence(seconds: float, audio_format: AudioFormat = PCMU_8K) -> bytes:
    return audio_format.silence(audio_format.bytes_in(seconds))


@pytest.mark.parametrize("audio_format", [PCMU_8K, PCMA_8K, PCM16_8K, PCM16_24K], ids=str)
def test_a_sine_of_half_scale_measures_minus_nine_db(audio_format: AudioFormat) -> None:
    """RMS of a sine: 3 dB below its peak, which is 6 dB below full scale."""
    assert level_dbfs(tone(0.5, audio_format), audio_format) == pytest.approx(-9.03, abs=0.1)


def test_silence_and_nothing_measure_the_floor() -> None:
    """No logarithm of zero."""
    assert level_dbfs(silence(0.1), PCMU_8K) == level_dbfs(b"", PCMU_8K) == SILENCE_DBFS


def test_levels_are_taken_step_by_step() -> None:
    """One value a step, the last one perhaps shorter."""
    levels = levels_dbfs(tone(0.04) + silence(0.03), PCMU_8K, 0.02)
    assert [level > -20 for level in levels] == [True, True, False, False]


def test_the_milliwatt_is_0_dbm0() -> None:
    """The standard's tone is 6.2 dB below a full-scale square, 3.2 below the largest sine."""
    assert level_dbfs(bytes.fromhex("1E0B0B1E9E8B8B9E") * 20, PCMU_8K) == pytest.approx(-6.2, abs=0.1)


def test_the_gate_finds_where_speech_begins_and_ends() -> None:
    """In samples of the stream, to one block."""
    gate = EnergyVad(PCMU_8K, EnergyVadSettings(on_s=0.06, off_s=0.3))
    found = gate.feed(silence(0.5) + tone(0.4) + silence(0.5))
    assert found == [Onset(4000), Offset(7200)]
    assert not gate.speaking


def test_a_click_is_not_speech_and_a_breath_is_not_its_end() -> None:
    """Both directions want their time."""
    gate = EnergyVad(PCMU_8K, EnergyVadSettings(on_s=0.06, off_s=0.3))
    assert gate.feed(silence(0.2) + tone(0.04) + silence(0.2)) == []
    assert gate.feed(tone(0.2) + silence(0.2) + tone(0.2)) == [Onset(3520)]


@given(st.lists(st.integers(1, 900), max_size=20))
def test_no_cut_of_the_input_changes_what_the_gate_finds(cuts: list[int]) -> None:
    """Blocks of 10 ms, whatever the pieces."""
    audio = silence(0.2) + tone(0.3) + silence(0.6) + tone(0.3)
    whole = EnergyVad(PCMU_8K).feed(audio)
    gate, found, rest = EnergyVad(PCMU_8K), [], audio
    for cut in cuts:
        found += gate.feed(rest[:cut])
        rest = rest[cut:]
    assert found + gate.feed(rest) == whole
