"""The lockout of a first message: which one a session is opened with, and that it is lifted."""

from __future__ import annotations

import pytest

from voicecore import events as ev
from voicecore.facts import MessageOutcome
from voicecore.turns.first_message.audio_gate import UserAudioRule
from voicecore.turns.first_message.message import FirstMessagePolicy, Message, ProtectionRule, SpeaksFirst
from voicecore.turns.first_message.requests import lockout_for
from voicecore_tests.turns.first_message.pickup import (
    DOES_ALL,
    HELLO,
    RECORDED,
    WELCOME,
    Pickup,
    held_bytes,
)


@pytest.mark.parametrize("message", [WELCOME, RECORDED])
def test_a_lockout_is_lifted_also_where_nothing_is_protected(message: Message) -> None:
    """The user's greeting was only to be heard; after the message the provider replies and interrupts again."""
    policy = FirstMessagePolicy(speaks_first=SpeaksFirst.USER, protection=ProtectionRule.OFF, hello_s=0.5)
    it = Pickup(policy, message=message)
    it.passes(1.0 if message is RECORDED else 0.1)
    it.ready()
    it.passes(1.0)
    if message is WELCOME:
        it.says()
    it.passes(4.0)
    assert it.report.outcome is MessageOutcome.HEARD
    assert it.ordered(ev.RestoreTurnDetection) == [ev.RestoreTurnDetection("unlock-1")]
    assert not it.machine.is_opening


@pytest.mark.parametrize(
    ("policy", "lockout"),
    [
        (FirstMessagePolicy(), ev.Lockout.DETECTION_OFF),
        (FirstMessagePolicy(user_audio=UserAudioRule.DROP), ev.Lockout.DETECTION_OFF),
        (FirstMessagePolicy(user_audio=UserAudioRule.FORWARD), ev.Lockout.NO_REPLY),
        (FirstMessagePolicy(speaks_first=SpeaksFirst.USER), ev.Lockout.NO_REPLY),
        (FirstMessagePolicy(protection=ProtectionRule.OFF), ev.Lockout.NONE),
    ],
)
def test_the_lockout_follows_from_the_policy(policy: FirstMessagePolicy, lockout: ev.Lockout) -> None:
    """One function; parked and cold sessions ask the same."""
    assert lockout_for(WELCOME, policy) is lockout
    assert lockout_for(None, policy) is ev.Lockout.NONE


def test_what_is_held_when_a_machine_answers_is_not_lost_without_a_count() -> None:
    """The gate of the first message keeps it; found by trying every order."""
    it = Pickup()
    it.speech = HELLO
    it.passes(0.5)
    it.ready()
    it.hears(ev.SessionReconfigured(capabilities=DOES_ALL, lock=ev.LockoutState.RESTORED))
    it.take(it.machine.leave_message(Message("Call back."), it.now))
    assert held_bytes(it.machine.openings[0].gate) == it.user_bytes
