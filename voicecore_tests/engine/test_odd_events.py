"""Whole calls with a provider that spells its events otherwise: the conversation is the same.

The rewrites are the provider twin's, each seen of some server, gateway or proxy; what
each field costs by itself is in voicecore_tests/wire/openai_realtime/test_field_matrix.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from trio.testing import MockClock

from voicecore.audio.convert import converter, to_samples
from voicecore.audio.formats import PCM16_8K, PCM16_24K, PCMU_8K, AudioFormat
from voicecore.audio.g711 import Samples
from voicecore.facts import BargeInConfirmed, CallReport, EndCause, MessageOutcome, ProblemSeen
from voicecore.simulation import recordings
from voicecore.simulation.openai_realtime import (
    READY_MADE,
    Behaviour,
    Handshake,
    Recorded,
    Reply,
    Script,
    ScriptedVad,
    Tone,
    Updates,
    acknowledged_formats,
    dropped,
    left_out,
    replaced,
    with_deep_field,
)
from voicecore.simulation.twilio import AfterAgent, At, DialPlan, HangUp, Say
from voicecore.simulation.twilio.line import Line
from voicecore_tests.kit import Rig, rig, ulaw

HELLO = Script(
    replies=(Reply("Hello.", speech=Recorded("agent-hello")), Reply("Next.", speech=Recorded("agent-one-moment"))),
    hears=("hello?",),
)
STEPS = (Say(AfterAgent(0.4), ulaw("caller-hello-it")), HangUp(AfterAgent(0.6)))
WHOLE = ["Hello.", "hello?", "Next."]
RESTORES: dict[str, Any] = {"agent__first_message": "Hello."}


def assert_as_usual(it: Rig) -> CallReport:
    """Fail where the talk was not the usual one; return its report."""
    report = it.report
    assert [entry.text for entry in report.transcript] == WHOLE
    assert (report.outcome, report.outcome_detail) == (EndCause.REMOTE_HUNG_UP, "")
    assert report.first_message is not None
    assert report.first_message.outcome is MessageOutcome.HEARD
    return report


@pytest.mark.parametrize("name", READY_MADE)
async def test_events_that_are_spelt_otherwise_change_nothing(autojump_clock: MockClock, name: str) -> None:
    """A user who rings up: greeted, heard, answered."""
    async with rig(HELLO, Behaviour(rewrites=(READY_MADE[name],)), **RESTORES) as it:
        line = await it.carrier.call(it.engine.url, STEPS)
        await it.engine.drain()
    assert line is not None
    assert line.playout.violations == []
    assert_as_usual(it)


@pytest.mark.parametrize("name", READY_MADE)
async def test_events_that_are_spelt_otherwise_change_nothing_where_the_session_waited(
    autojump_clock: MockClock, name: str
) -> None:
    """A call that we place, whose session is parked while the phone rings."""
    async with rig(HELLO, Behaviour(rewrites=(READY_MADE[name],)), **RESTORES) as it:
        report = await it.dial(DialPlan(ring_s=2.0, script=STEPS))
    assert report.pickup is not None
    assert report.pickup.source == "adopted"
    assert_as_usual(it)


APART = {"depth beside speech", "no item ids", "no id in its beginning", "turns without their item"}
"""One is text already, and of the ids some must be left to go by."""


async def test_all_of_it_at_once(autojump_clock: MockClock) -> None:
    """One odd field more is no more odd."""
    spared = [each for name, each in READY_MADE.items() if name not in APART]
    async with rig(HELLO, Behaviour(rewrites=(*spared, with_deep_field("output_audio.delta", 900))), **RESTORES) as it:
        await it.carrier.call(it.engine.url, STEPS)
        await it.engine.drain()
    assert_as_usual(it)


async def test_what_is_ignored_is_told_once_and_counted(autojump_clock: MockClock) -> None:
    """One line a field; the count is in the record."""
    odd = replaced("response.done", "response.usage.input_tokens", "many")
    async with rig(HELLO, Behaviour(rewrites=(odd,)), **RESTORES) as it:
        await it.carrier.call(it.engine.url, STEPS)
        await it.engine.drain()
    code = "notice: response.done.response.usage.input_tokens"
    assert assert_as_usual(it).problems[code] == 2
    assert [fact.message for fact in it.facts_of(ProblemSeen) if fact.code == code] == [
        "must be a whole number; ignored"
    ]


async def test_an_event_that_cannot_be_used_is_lost_alone_and_told(autojump_clock: MockClock) -> None:
    """The words of the user without their item: there is no turn to put them to."""
    lost = left_out("transcription.completed", "item_id")
    async with rig(HELLO, Behaviour(rewrites=(lost, dropped("transcription.delta"))), **RESTORES) as it:
        await it.carrier.call(it.engine.url, STEPS)
        await it.engine.drain()
    report = it.report
    assert [entry.text for entry in report.transcript if entry.text] == ["Hello.", "Next."]
    assert report.problems["notice: conversation.item.input_audio_transcription.completed.item_id"] == 1


@pytest.mark.parametrize("name", ["no milliseconds", "speech without its item"])
@pytest.mark.parametrize("how", [{}, {"barge_in__stops_at": "words"}])
async def test_a_barge_in_needs_no_more_than_that_the_user_spoke(
    autojump_clock: MockClock, name: str, how: dict[str, Any]
) -> None:
    """Neither where in the audio nor which item."""
    replies = (Reply("one two three four five six", speech=Tone(8.0)), Reply("Yes.", speech=Tone(1.0)))
    talk = Script(replies=replies, hears=("hello?", "wait a moment please I have a question"))
    vad = ScriptedVad(((0.2, 1.0), (3.0, 4.5)))
    async with rig(talk, Behaviour(vad=vad, rewrites=(READY_MADE[name],)), agent__speaks_first="user", **how) as it:
        await it.carrier.call(it.engine.url, (HangUp(At(12.0)),))
        await it.engine.drain()
    assert len(it.facts_of(BargeInConfirmed)) == 1
    assert it.report.outcome is EndCause.REMOTE_HUNG_UP


@pytest.mark.parametrize(
    "error",
    [
        READY_MADE["flat errors"],
        READY_MADE["errors as texts"],
        READY_MADE["errors without a type"],
        replaced("error", "error", lambda error: {"type": error["code"]}),
        replaced("error", "error", {"message": "You exceeded your current quota, please check your plan."}),
    ],
    ids=["flat", "a text", "without a type", "a code as the type", "words alone"],
)
async def test_a_fatal_error_is_heard_in_whatever_shape_it_comes(autojump_clock: MockClock, error: Any) -> None:
    """Out of quota: the call does not wait for a session that will not come."""
    behaviour = Behaviour(handshake=Handshake(first_error="insufficient_quota"), rewrites=(error,))
    async with rig(HELLO, behaviour, **RESTORES) as it:
        await it.carrier.call(it.engine.url, (HangUp(At(30.0)),))
        await it.engine.drain()
    assert it.report.outcome in {EndCause.SESSION_REFUSED, EndCause.SESSION_LOST}
    assert "refused the session" in it.report.outcome_detail
    assert it.provider.attempts < 4


@pytest.mark.parametrize("parked", [False, True])
async def test_a_server_that_speaks_pcm_both_ways_holds_a_whole_call(autojump_clock: MockClock, parked: bool) -> None:
    """Used at the opening and converted; the same format after the greeting is not reported again."""
    behaviour = Behaviour(updates=Updates(formats_from={1: "audio/pcm"}))
    async with rig(HELLO, behaviour, **RESTORES) as it:
        line = await held(it, parked=parked)
    report = assert_as_usual(it)
    assert report.audio_path is not None
    assert (report.audio_path.session_user, report.audio_path.session_agent) == ("pcm16@24000", "pcm16@24000")
    assert_sound_is_whole(line, PCM16_24K, it)


@pytest.mark.parametrize("parked", [False, True])
async def test_a_format_that_changes_in_the_call_is_followed_and_told(autojump_clock: MockClock, parked: bool) -> None:
    """From µ-law to PCM when turn detection is restored."""
    behaviour = Behaviour(updates=Updates(formats_from={2: "audio/pcm"}))
    async with rig(HELLO, behaviour, **RESTORES) as it:
        line = await held(it, parked=parked)
    report = assert_as_usual(it)
    assert report.problems["notice: audio.output.format"] == report.problems["notice: audio.input.format"] == 1
    assert_sound_is_whole(line, PCM16_24K, it)


@pytest.mark.parametrize("parked", [False, True])
async def test_a_format_that_cannot_be_converted_is_refused_at_the_opening(
    autojump_clock: MockClock, parked: bool
) -> None:
    """By its name, before anything is heard."""
    behaviour = Behaviour(rewrites=(acknowledged_formats({"type": "audio/opus"}),))
    async with rig(HELLO, behaviour, **RESTORES) as it:
        line = await held(it, parked=parked)
    assert it.report.outcome is EndCause.SESSION_REFUSED
    assert "audio/opus" in it.report.outcome_detail
    assert not line.received_audio


async def held(it: Rig, *, parked: bool) -> Line:
    """Run one call to its end, over a parked or a cold session; return its line."""
    if parked:
        await it.dial(DialPlan(ring_s=4.0, script=STEPS))
        line = it.dialled.line
    else:
        line = await it.carrier.call(it.engine.url, STEPS)
        await it.engine.drain()
    assert line is not None
    return line


def assert_sound_is_whole(line: Line, session_format: AudioFormat, it: Rig) -> None:
    """Fail unless both recordings of the agent reached the user, and the user's reached the provider, unchanged."""
    heard = to_samples(bytes(line.received_audio), PCMU_8K)
    for name in ("agent-hello", "agent-one-moment"):
        assert likeness(heard, to_samples(recordings.load(name), PCM16_8K)) > 0.9, name
    from_user = converter(session_format, PCM16_8K).convert(bytes(it.session.session.user_audio))
    user = to_samples(recordings.load("caller-hello-it"), PCM16_8K)
    assert likeness(to_samples(from_user, PCM16_8K), user) > 0.9


def likeness(track: Samples, sound: Samples) -> float:
    """How much a track has of a sound, wherever it is in it: 1 is all of it."""
    size = len(track) + len(sound)
    spectrum = np.fft.rfft(track.astype(float), size) * np.conj(np.fft.rfft(sound.astype(float), size))
    return float(np.fft.irfft(spectrum, size).max() / np.square(sound.astype(float)).sum())
