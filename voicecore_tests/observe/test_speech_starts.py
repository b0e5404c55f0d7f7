"""When items began, from the facts: live speech, buffered speech, keys."""

from __future__ import annotations

from typing import Any

import pytest
from trio.testing import MockClock

from voicecore.facts import (
    Fact,
    FirstAudioSent,
    KeysPressed,
    ProtectionEnded,
    Speaker,
    SpokeOverMessage,
    UserStarted,
    UserStopped,
    UserTurn,
)
from voicecore.observe.speech_starts import speech_starts
from voicecore.observe.timeline import Levels, timeline_svg
from voicecore.simulation.twilio import DialPlan
from voicecore_tests.engine.test_first_message import GREETING, HELLOS, TALK
from voicecore_tests.kit import rig

HEARD: list[Fact] = [SpokeOverMessage(0.2, True), SpokeOverMessage(2.0, True), ProtectionEnded(5.7)]


def speech(item: str, at_s: float, audio_at_s: float, *, lasts_s: float, told_within_s: float) -> list[Fact]:
    """An utterance as the session reports it."""
    stopped_at_s = at_s + told_within_s
    started = UserStarted(at_s, item, audio_at_s)
    return [started, UserStopped(stopped_at_s, item, audio_at_s + lasts_s), UserTurn(stopped_at_s, item)]


def test_what_is_said_live_began_when_the_session_told_of_it() -> None:
    """Also behind words over a message of which the session has made nothing: they are not its beginning."""
    live = speech("u1", 9.0, 8.5, lasts_s=1.0, told_within_s=0.8)
    assert speech_starts([FirstAudioSent(0.5, "r1", "i1", None), *HEARD, *live]) == {"i1": 0.5, "u1": 9.0}


def test_what_was_held_back_began_when_the_user_spoke() -> None:
    """Two of them, reported at the same moment; then a live one."""
    held = [
        *speech("u1", 5.7, 0.0, lasts_s=0.9, told_within_s=0.0),
        *speech("u2", 5.7, 1.8, lasts_s=0.9, told_within_s=0.1),
    ]
    live = speech("u3", 9.0, 8.9, lasts_s=1.0, told_within_s=0.9)
    assert speech_starts([*HEARD, *held, *live]) == {"u1": 0.2, "u2": 2.0, "u3": 9.0}


def test_a_turn_that_was_committed_as_it_was_held_began_with_the_first_of_its_words() -> None:
    """Without turn detection there is only the turn. Speech buffered after it has its own start."""
    told: list[Fact] = [
        SpokeOverMessage(0.2, True),
        SpokeOverMessage(1.0, True),
        UserTurn(3.0, "u1"),
        SpokeOverMessage(4.0, True),
        UserTurn(6.0, "u2"),
    ]
    assert speech_starts(told) == {"u1": 0.2, "u2": 4.0}


def test_keys_and_turns_without_any_beginning_stand_where_they_were_told() -> None:
    """Dropped speech does not start an item."""
    told: list[Fact] = [
        SpokeOverMessage(0.2, False),
        KeysPressed(1.0, "keys-1", 3),
        UserTurn(1.0, "keys-1"),
        UserTurn(2.0, "u1"),
    ]
    assert speech_starts(told) == {"keys-1": 1.0, "u1": 2.0}


def test_a_session_that_does_not_say_where_speech_lies_is_taken_at_its_word() -> None:
    """Nothing is guessed."""
    assert speech_starts([*HEARD, UserStarted(5.7, "u1"), UserStopped(5.7, "u1")]) == {"u1": 5.7}


@pytest.mark.parametrize("overrides", [{}, {"agent__protect_first_message": "first_audio"}])
async def test_captions_of_a_call_stand_where_the_user_spoke(
    autojump_clock: MockClock, overrides: dict[str, Any]
) -> None:
    """The user says hello at 0.04 s and at 1.5 s, over a message of five seconds."""
    async with rig(TALK, agent__first_message=GREETING, **overrides) as it:
        report = await it.dial(DialPlan(ring_s=1.0, script=HELLOS))
    began = speech_starts(it.facts)
    hellos = [began[line.item_id] for line in report.transcript if line.speaker is Speaker.USER]
    assert hellos == pytest.approx([0.18, 1.64], abs=0.2)
    svg = timeline_svg(report, it.facts, Levels(0.02, [], []))
    assert all(f">{at_s:.1f} s</text>" in svg for at_s in hellos)
