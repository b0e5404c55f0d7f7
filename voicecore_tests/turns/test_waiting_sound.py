"""A user who waits longer than usual hears a sound, once a wait."""

from __future__ import annotations

import pytest

from voicecore.errors import ConfigError
from voicecore.turns.waiting_sound import Waiting, WaitingSound, WaitPhase

SOUND = WaitingSound(b"\x55" * 800, 3.0)


def test_the_sound_is_due_once_a_wait() -> None:
    """Behind its time, counted from the beginning of the wait; a new wait begins anew."""
    waiting = Waiting(SOUND)
    for begin in (10.0, 20.0):
        waiting.notice(True, begin)
        waiting.notice(True, begin + 2.0)  # it goes on
        assert waiting.deadline() == begin + 3.0
        assert waiting.expire(begin + 2.9) is None
        assert waiting.expire(begin + 3.0) == SOUND.audio
        waiting.notice(True, begin + 4.0)
        assert (waiting.deadline(), waiting.expire(begin + 9.0)) == (None, None)
        waiting.notice(False, begin + 9.0)


def test_a_wait_that_is_short_stays_silent() -> None:
    """Nothing is due once it is over, and nothing before it has begun."""
    waiting = Waiting(SOUND)
    assert (waiting.deadline(), waiting.expire(99.0)) == (None, None)
    waiting.notice(True, 1.0)
    waiting.notice(False, 2.0)
    assert (waiting.phase, waiting.expire(9.0)) == (WaitPhase.TALKING, None)


def test_without_a_sound_there_is_no_deadline() -> None:
    """The default."""
    waiting = Waiting(None)
    waiting.notice(True, 1.0)
    assert (waiting.deadline(), waiting.expire(9.0)) == (None, None)


def test_a_sound_has_audio_and_a_time() -> None:
    """Both are checked when it is made."""
    for audio, after_s in ((b"", 1.0), (b"\x55", 0.0)):
        with pytest.raises(ConfigError, match=r"audio|after_s"):
            WaitingSound(audio, after_s)
