"""Whole calls in which the agent is slow: a sound is played meanwhile, and nothing else changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest
from trio.testing import MockClock

from voicecore.errors import ConfigError
from voicecore.facts import BargeInConfirmed, EndCause, MessageOutcome
from voicecore.simulation import recordings
from voicecore.simulation.openai_realtime import Behaviour, Reply, ResponseFault, Script, Tone
from voicecore.simulation.twilio import At, DialPlan, HangUp
from voicecore_tests.engine.talks import HELLO, LONG, MODES, SHORT, Seen, script, talk
from voicecore_tests.kit import Rig, nothing_is_left, rig, ulaw

WAV = (Path(recordings.__file__).parent / "recordings" / "agent-hello.wav").read_bytes()
SOUND = ulaw("agent-hello")
SOUND_S = len(SOUND) / 8000
WITH: dict[str, Any] = {"agent__waiting_file": "/wait.wav", "files": {"/wait.wav": WAV}, "agent__waiting_after_ms": 800}


def slow(after_s: float) -> Reply:
    return Reply("Certainly.", speech=Tone(1.0), after_s=after_s)


def times_heard(seen: Seen) -> int:
    """How often the sound's first tenth was heard."""
    return seen.line.playout.heard_bytes().count(SOUND[800:1600])


def of_a_call(seen: Seen) -> list[Any]:
    """What the agent's words and the user's turns were, without ids, to the millisecond."""
    report = seen.report
    lines = [(line.speaker, line.text, line.interrupted) for line in report.transcript]
    turns = [
        {name: round(value, 3) if isinstance(value, float) else value for name, value in attrs.asdict(turn).items()}
        | {"items": len(turn.items), "response_id": bool(turn.response_id)}
        for turn in report.turns
    ]
    return [lines, turns, report.barge_ins, report.problems, seen.history()]


@pytest.mark.parametrize("mode", MODES)
async def test_a_slow_reply_is_bridged_by_the_sound_and_nothing_else_changes(
    autojump_clock: MockClock, mode: dict[str, Any]
) -> None:
    """Once, before the reply; no line, no turn, no figure, no item of the history is different."""
    replies = script(replies=(slow(0.8 + SOUND_S + 1.0),))
    plain = await talk(replies, HELLO, **mode)
    seen = await talk(replies, HELLO, **mode, **WITH)
    assert (times_heard(plain), times_heard(seen)) == (0, 1)
    heard = seen.line.playout.heard_bytes()
    assert heard.startswith(SOUND[:1600])
    assert heard.endswith(seen.responses[0].audio)
    assert of_a_call(seen) == of_a_call(plain)


async def test_a_reply_that_comes_in_time_is_bridged_by_nothing(autojump_clock: MockClock) -> None:
    """The sound is for waits that are longer."""
    seen = await talk(script("and then?"), HELLO, (9.0, 9.5), hangs_up_at=12.0, **WITH)
    assert times_heard(seen) == 0


async def test_the_sound_gives_way_to_the_reply(autojump_clock: MockClock) -> None:
    """In its middle: the rest is cleared, and the reply is heard whole and at once."""
    seen = await talk(script(replies=(slow(0.8 + SOUND_S / 2 - 0.25),)), HELLO, **WITH)  # 0.25 s: the twin's own
    heard = seen.line.playout.heard_bytes()
    assert heard.endswith(seen.responses[0].audio)
    assert len(heard) - len(seen.responses[0].audio) < SOUND_S * 0.8 * 8000
    assert len(seen.carried("clear")) == 1
    (turn,) = seen.report.turns
    assert turn.first_sent_at_s == pytest.approx(turn.first_generated_at_s, abs=0.02)


@pytest.mark.parametrize("mode", MODES)
async def test_speech_over_the_sound_is_no_barge_in(autojump_clock: MockClock, mode: dict[str, Any]) -> None:
    """It is a turn like any other; both are answered together."""
    again = (HELLO[1] + 1.0, HELLO[1] + 1.4)
    replies = script("are you there?", replies=(slow(4.0), SHORT))
    seen = await talk(replies, HELLO, again, **mode, **WITH)
    assert (seen.report.barge_ins, seen.it.facts_of(BargeInConfirmed), seen.report.decisions) == (0, [], ())
    assert [len(turn.items) for turn in seen.report.turns] == [2]


async def test_replies_that_never_come_end_as_without_the_sound(autojump_clock: MockClock) -> None:
    """Played once although the reply is requested twice; and it does not delay the end."""
    never = Behaviour(responses=dict.fromkeys(range(1, 9), ResponseFault.EMPTY))
    plain = await talk(script(replies=(slow(1.0),)), HELLO, behaviour=never)
    seen = await talk(script(replies=(slow(1.0),)), HELLO, behaviour=never, **WITH)
    assert seen.report.outcome is EndCause.SESSION_LOST
    assert seen.report.duration_s == pytest.approx(plain.report.duration_s, abs=0.05)
    assert times_heard(seen) == 1


async def dialled(reply: Reply) -> Rig:
    async with rig(Script(replies=(reply,)), agent__first_message="Certainly.", **WITH) as it:
        await it.dial(DialPlan(ring_s=1.0, script=(HangUp(At(8.0)),)))
        nothing_is_left(it)
    return it


async def test_a_slow_first_message_is_bridged_too(autojump_clock: MockClock) -> None:
    """It does not count as the message: that is heard behind it, and its figures are its own."""
    it = await dialled(slow(3.0))
    line, message = it.dialled.line, it.reports[0].first_message
    assert line is not None
    assert line.playout.heard_bytes().count(SOUND[800:1600]) == 1
    assert message is not None
    assert (message.outcome, message.requests) == (MessageOutcome.HEARD, 1)
    assert message.first_heard_s is not None
    assert message.first_heard_s > 3.0
    assert [entry.text for entry in it.reports[0].transcript] == ["Certainly."]


async def test_a_waiting_file_that_cannot_be_played_is_named_before_any_call(autojump_clock: MockClock) -> None:
    """The engine does not start."""
    with pytest.raises(ConfigError) as wrong:
        async with rig(Script(replies=(LONG,)), agent__waiting_file="/wait.wav", files={"/wait.wav": b"MP3"}):
            pass
    assert wrong.value.key == "agent.waiting_file"
