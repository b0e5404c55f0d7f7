"""The resampler: flat where speech is, silent where aliases would be, and blind to how its input was cut."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicecore.audio.g711 import Samples
from voicecore.audio.resample import Resampler

RATES = (8000, 16000, 24000)
PAIRS = list(itertools.permutations(RATES, 2))
AMPLITUDE = 10_000


def sine(hz: float, rate_hz: int, seconds: float = 1.0) -> Samples:
    t = np.arange(round(rate_hz * seconds)) / rate_hz
    samples: Samples = np.rint(AMPLITUDE * np.sin(2 * np.pi * hz * t)).astype(np.int16)
    return samples


def whole(samples: Samples, pair: tuple[int, int]) -> Samples:
    resampler = Resampler(*pair)
    return np.concatenate([resampler.process(samples), resampler.flush()])


def spectrum_db(samples: Samples) -> npt.NDArray[np.float64]:
    """Levels relative to AMPLITUDE, one for each Hz-wide bin of one second."""
    window = np.hanning(len(samples))
    levels = np.abs(np.fft.rfft(samples * window)) / (AMPLITUDE * window.sum() / 2)
    decibels: npt.NDArray[np.float64] = 20 * np.log10(np.maximum(levels, 1e-9))
    return decibels


@pytest.mark.parametrize("pair", PAIRS, ids=str)
@pytest.mark.parametrize("hz", [100, 300, 1000, 2000, 3000, 3400])
def test_the_pass_band_is_flat_to_3400_hz(pair: tuple[int, int], hz: int) -> None:
    """Within 0.1 dB."""
    assert abs(spectrum_db(whole(sine(hz, pair[0]), pair))[hz]) < 0.1


@pytest.mark.parametrize("rate_hz", [16000, 24000])
@pytest.mark.parametrize("hz", [4600, 5000, 6000, 7400])
def test_what_a_telephone_cannot_carry_does_not_fold_back(rate_hz: int, hz: int) -> None:
    """Aliases of wide-band speech: 70 dB down at least, anywhere in the band."""
    assert spectrum_db(whole(sine(hz, rate_hz), (rate_hz, 8000))).max() < -70


@pytest.mark.parametrize("rate_hz", [16000, 24000])
@pytest.mark.parametrize("hz", [300, 1000, 3400])
def test_no_images_appear_above_the_band(rate_hz: int, hz: int) -> None:
    """Going up adds nothing of its own above 4600 Hz."""
    assert spectrum_db(whole(sine(hz, 8000), (8000, rate_hz)))[4600:].max() < -70


@pytest.mark.parametrize("pair", PAIRS, ids=str)
def test_an_impulse_stays_where_it_was(pair: tuple[int, int]) -> None:
    """The delay is not inserted as silence: positions are unchanged."""
    impulse = np.zeros(2400, np.int16)
    impulse[1200] = 20_000
    out = whole(impulse, pair)
    assert abs(int(np.argmax(np.abs(out))) - 1200 * pair[1] / pair[0]) <= 1


@pytest.mark.parametrize("pair", PAIRS, ids=str)
def test_the_stated_delay_is_what_is_held_back(pair: tuple[int, int]) -> None:
    """After a second of input exactly the delay is missing; flushing brings it."""
    resampler = Resampler(*pair)
    out = resampler.process(sine(440, pair[0]))
    missing_s = 1.0 - len(out) / pair[1]
    assert missing_s == pytest.approx(resampler.delay_s, abs=1 / pair[1])
    assert resampler.delay_s <= 0.0025
    assert len(out) + len(resampler.flush()) == pair[1]


@pytest.mark.parametrize("pair", PAIRS, ids=str)
def test_every_frame_after_the_first_gives_a_whole_frame(pair: tuple[int, int]) -> None:
    """Steady: 20 ms in, 20 ms out, no bursts."""
    resampler = Resampler(*pair)
    frames = sine(440, pair[0]).reshape(-1, pair[0] // 50)
    lengths = [len(resampler.process(frame)) for frame in frames]
    assert set(lengths[1:]) == {pair[1] // 50}
    assert lengths[0] == pair[1] // 50 - round(resampler.delay_s * pair[1])


@given(st.sampled_from(PAIRS), st.lists(st.integers(0, 700), max_size=12), st.integers(0, 2**32 - 1))
def test_h6_no_cut_of_the_input_shows_in_the_output(pair: tuple[int, int], sizes: list[int], seed: int) -> None:
    """Byte for byte the same, for every split; and the length is exact."""
    samples = np.random.default_rng(seed).integers(-32768, 32768, sum(sizes)).astype(np.int16)
    resampler = Resampler(*pair)
    pieces = [resampler.process(piece) for piece in np.split(samples, np.cumsum(sizes)[:-1])] if sizes else []
    split = np.concatenate([*pieces, resampler.flush()])
    assert split.tobytes() == whole(samples, pair).tobytes()
    assert len(split) == -(-len(samples) * pair[1] // pair[0])


def test_h6_after_a_reset_nothing_of_the_last_sentence_is_left() -> None:
    """Silence in, silence out."""
    resampler = Resampler(24000, 8000)
    resampler.process(sine(1000, 24000))
    resampler.reset()
    assert not resampler.process(np.zeros(2400, np.int16)).any()


def test_full_scale_does_not_wrap() -> None:
    """Overshoot of the filter is cut at the ends of the range."""
    square = np.where(np.arange(8000) // 40 % 2, 32767, -32768).astype(np.int16)
    out = whole(square, (8000, 24000)).astype(np.int32)
    assert np.abs(np.diff(out)).max() < 60_000
