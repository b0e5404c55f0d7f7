"""The recording: user left, agent right, on one clock; only what was heard."""

from __future__ import annotations

import numpy as np

from voicecore.audio.convert import to_samples
from voicecore.audio.formats import PCMU_8K
from voicecore.audio.recording import Recording

LOUD, SILENT = b"\x80", b"\xff"


def tracks(stereo: bytes) -> tuple[list[bool], list[bool]]:
    """Whether each 20 ms of left and right have sound."""
    samples = np.frombuffer(stereo, "<i2").reshape(-1, 2)
    left, right = (
        [bool(block.any()) for block in np.split(samples[:, c], range(160, len(samples), 160))] for c in (0, 1)
    )
    return left, right


def recording() -> Recording:
    return Recording(PCMU_8K, began_at=100.0)


def test_both_sides_stand_where_they_were_said_and_heard() -> None:
    """User frames end now, agent audio begins now."""
    it = recording()
    it.user(LOUD * 160, 100.02)
    it.agent(LOUD * 320, 100.04)
    assert tracks(it.take(100.10)) == ([True, False, False, False, False], [False, False, True, True, False])


def test_agent_audio_plays_behind_what_was_sent_before() -> None:
    """Sent at once, played one after the other."""
    it = recording()
    it.agent(LOUD * 160, 100.0)
    it.agent(SILENT * 160, 100.0)
    it.agent(LOUD * 160, 100.0)
    assert tracks(it.take(100.06))[1] == [True, False, True]


def test_h11_unheard_speech_is_not_in_the_file() -> None:
    """A clear cuts off what had not been played."""
    it = recording()
    it.agent(LOUD * 1600, 100.0)
    it.clear(100.06)
    it.agent(LOUD * 160, 100.1)
    assert tracks(it.take(100.14))[1] == [True, True, True, False, False, True, False]


def test_h11_both_tracks_are_equally_long_and_follow_the_clock() -> None:
    """Silence, gaps and pauses in between: a second is a second on both channels."""
    it, taken = recording(), b""
    for step in range(1, 501):
        now = 100.0 + step * 0.02
        if step % 50 < 30:
            it.user(LOUD * 160, now)
        if step % 100 == 0:
            it.agent(LOUD * 4000, now)
        if step % 20 == 0:
            taken += it.take(now)
    assert len(taken) == 10 * 8000 * 4


def test_a_gap_of_the_user_is_filled_and_a_burst_is_kept_whole() -> None:
    """A stalled line comes back with everything at once: nothing of it is lost."""
    it = recording()
    it.user(LOUD * 160, 100.02)
    it.user(LOUD * 160, 100.52)
    left, _ = tracks(it.take(100.52))
    assert (left[0], any(left[1:25]), left[25]) == (True, False, True)
    it.user(LOUD * 1600, 100.54)
    assert sum(tracks(it.take(101.0))[0]) == 10


def test_taking_gives_each_moment_once() -> None:
    """And nothing of the future."""
    it = recording()
    it.agent(LOUD * 8000, 100.0)
    first, nothing, rest = it.take(100.5), it.take(100.5), it.take(101.0)
    assert (len(first), nothing, len(rest)) == (16_000, b"", 16_000)
    assert to_samples(LOUD, PCMU_8K)[0] == np.frombuffer(rest, "<i2")[-1]
