"""User audio against the clock: a stall's burst is kept whole, a flood is cut to real time and given up."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicecore.audio.formats import PCM16_16K, PCMU_8K, AudioFormat
from voicecore.turns.flood import FloodMeter, FloodSettings

FRAME_S, FRAME_BYTES = 0.020, 160
ITS = FloodSettings(burst_s=5.0, limit_s=5.0, calm_s=1.0, drift=0.05)


def meter(audio_format: AudioFormat = PCMU_8K) -> FloodMeter:
    return FloodMeter(audio_format, 0.0, ITS)


@pytest.mark.parametrize("drift", [-0.0002, 0.0, 0.0002, 0.01])
def test_four_hours_of_speech_lose_nothing(drift: float) -> None:
    """Whatever the jitter, and although no two clocks are alike."""
    it, chance = meter(), random.Random(1)
    for number in range(0, 4 * 3600 * 50, 25):  # half a second at a time
        now = number * FRAME_S / (1 + drift) + chance.uniform(0.0, 0.3)
        assert it.admit(25 * FRAME_BYTES, now) == 25 * FRAME_BYTES
    assert (it.dropped_bytes, it.floods, it.is_too_long) == (0, 0, False)


@pytest.mark.parametrize("stall_s", [0.1, 0.5, 1.0, 2.0, 5.0])
@pytest.mark.parametrize("at_once", [True, False])
def test_what_a_stall_held_back_is_kept_whole(stall_s: float, at_once: bool) -> None:
    """Again and again, each time behind some speech in its time."""
    it, now = meter(), 0.0
    for _ in range(20):
        for _ in range(300):
            now += FRAME_S
            assert it.admit(FRAME_BYTES, now) == FRAME_BYTES
        now += stall_s
        frames = round(stall_s / FRAME_S)
        for size in [frames * FRAME_BYTES] if at_once else [FRAME_BYTES] * frames:
            assert it.admit(size, now) == size
    assert it.dropped_bytes == 0


@pytest.mark.parametrize("audio_format", [PCMU_8K, PCM16_16K], ids=str)
@pytest.mark.parametrize("times", [2, 10, 100])
def test_a_flood_goes_on_at_the_pace_of_the_clock_and_is_given_up(audio_format: AudioFormat, times: int) -> None:
    """What may go on is bounded; five seconds of dropping are enough."""
    it, frame, passed, now = meter(audio_format), audio_format.bytes_in(FRAME_S), 0, 0.0
    while not it.is_too_long:
        now += FRAME_S
        for _ in range(times):
            admitted = it.admit(frame, now)
            assert admitted % audio_format.sample_bytes == 0
            passed += admitted
    begins_at = 5.0 / (times - 1.05)
    assert now == pytest.approx(begins_at + 5.0, abs=0.2)
    assert passed <= audio_format.bytes_in(5.0 + 1.05 * now)
    assert it.floods == 1


def test_the_oldest_of_what_came_together_is_dropped() -> None:
    """What is admitted is counted from the end."""
    it = meter()
    assert it.admit(8000 * 7, 0.0) == 8000 * 5
    assert (it.dropped_bytes, it.floods) == (8000 * 2, 1)


def test_a_flood_that_stops_is_over() -> None:
    """The next one begins its five seconds anew."""
    it, now = meter(), 0.0
    for number in range(1, 4):
        until = now + 4.5
        while now < until:
            now += FRAME_S
            it.admit(10 * FRAME_BYTES, now)
        assert (it.floods, it.is_too_long) == (number, False)
        now += 6.0


@given(
    st.lists(st.tuples(st.floats(0.0, 8.0), st.integers(0, 100_000).map(lambda n: 2 * n)), max_size=40),
    st.sampled_from([PCMU_8K, PCM16_16K]),
)
def test_what_passes_is_bounded_and_every_byte_is_counted(
    arrivals: list[tuple[float, int]], audio_format: AudioFormat
) -> None:
    """By the burst and the clock, in every window that begins at the start."""
    it, now, received, passed = meter(audio_format), 0.0, 0, 0
    for pause_s, size in arrivals:
        now += pause_s
        received += size
        admitted = it.admit(size, now)
        assert 0 <= admitted <= size
        assert admitted % audio_format.sample_bytes == 0
        passed += admitted
        assert passed + it.dropped_bytes == received
        assert passed <= audio_format.bytes_per_second * (5.0 + 1.05 * now) + 1


def test_bursts_with_calm_between_are_floods_of_their_own() -> None:
    """Each is cut and counted; only one that goes on gives a line up."""
    it, pause_s = meter(), ITS.calm_s + 0.5
    for number in range(10):
        it.admit(PCMU_8K.bytes_in(ITS.burst_s + 1.0), number * pause_s)
        assert (it.floods, it.is_too_long) == (number + 1, False)
    for number in range(10):  # and from here on without any calm
        it.admit(PCMU_8K.bytes_in(ITS.burst_s + 1.0), 10 * pause_s + number * ITS.calm_s / 2)
        assert it.floods == 11
        assert it.is_too_long == (number * ITS.calm_s / 2 >= ITS.limit_s)
    assert not it.is_too_long
    it.admit(PCMU_8K.bytes_in(ITS.burst_s + 1.0), 10 * pause_s + ITS.limit_s)
    assert it.is_too_long
