"""What is bounded in playout, on whole calls: what waits, for how long, and who may write (C13 to C15, C19 to C21)."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from voicecore.engine.settings import DialOptions, OnVoicemail
from voicecore.facts import EndCause, ResponsePlayed
from voicecore.ports import MachineDetection
from voicecore.simulation.memory_network import LinkSettings
from voicecore.simulation.openai_realtime import Pace, Reply, ResponseFault, Samples, Script
from voicecore.simulation.twilio import AmdCallback, At, DialPlan, HangUp, LineFaults, Say, StreamEnd
from voicecore_tests.engine.truth import (
    BYTES_PER_S,
    FIRST_DELTA_S,
    SPEAKS_S,
    TICK_S,
    at_ear,
    cuts,
    hold,
    lines,
    no_old_speech,
    numbered,
    on_wire,
    played_bytes,
    refused,
    scripted,
)
from voicecore_tests.kit import nothing_is_left, rig, ulaw

HELLO = ulaw("caller-hello-it")
PIECE_BYTES = 480
MESSAGE_BYTES = 1024
SOCKET_BYTES = 16 * 1024  #: what a socket keeps for a peer that does not read, at most


@pytest.mark.parametrize("buffer_bytes", [1024, 256 * 1024])
async def test_c13_a_carrier_that_reads_slowly_gets_what_was_on_the_wire_then_the_clear(
    autojump_clock: MockClock, buffer_bytes: int
) -> None:
    """It reads nothing for four seconds, with a barge-in in them.

    On the wire are at most what the kernels hold, what a socket keeps for writing, and one message; and never more
    than what is said in that time. The clear comes right behind it, so that none of it is played.
    """
    stall_s, onset_s = (2.0, 6.0), 5.0
    faults = LineFaults(does_not_read_between_s=stall_s)
    link = LinkSettings(buffer_bytes=buffer_bytes)
    async with rig(numbered(12.0, 2.0), scripted(0.2, onset_s), link=link) as it:
        line = await hold(it, 12.0, faults)
    wire = on_wire(line)
    ear = at_ear(line, wire)
    no_old_speech(wire)
    begins_s = 0.2 + SPEAKS_S + FIRST_DELTA_S
    heard_s = stall_s[0] + 0.2 - begins_s  # what was there, and the lead
    assert played_bytes(ear, 1) <= heard_s * BYTES_PER_S + PIECE_BYTES  # one read was under way
    kept = sum(each.size_bytes for each in wire if each.response == 1 and each.at >= stall_s[1])
    assert 0 < kept <= (onset_s - stall_s[0] + 0.2) * BYTES_PER_S
    looks = stall_s[1] - stall_s[0]  # the carrier's own socket takes one a second, for pings
    assert kept * 4 / 3 <= (1 + looks) * buffer_bytes + SOCKET_BYTES + MESSAGE_BYTES  # in base64
    assert played_bytes(ear, 2) == 2 * BYTES_PER_S
    told = {round(each.t - onset_s, 3) for each in cuts(it)}
    assert told == {0.25 if buffer_bytes == 1024 else 0.0}  # the history waits for the clear, but no longer than that
    assert refused(it) == 0


@pytest.mark.parametrize("verdict_s", [1.0, 1.06, 2.0])
async def test_c14_words_that_may_not_be_interrupted_are_flushed_all_the_same(
    autojump_clock: MockClock, verdict_s: float
) -> None:
    """The user's speech does not stop a protected message; the call taking another course does, at once."""
    options = DialOptions(
        detection=MachineDetection.ASYNC, on_voicemail=OnVoicemail.LEAVE_MESSAGE, voicemail_message="Please call back."
    )
    plan = DialPlan(
        ring_s=1.0,
        script=(Say(At(0.3), HELLO), HangUp(At(20.0))),
        machine=AmdCallback(word="machine_end_beep", after_s=verdict_s),
    )
    async with rig(numbered(8.0, 2.0), agent__first_message="Hello.") as it:
        report = await it.dial(plan, options=options)
        await it.engine.drain()
        nothing_is_left(it)
    line = it.dialled.line
    assert line is not None
    wire = on_wire(line)
    no_old_speech(wire)
    (clear,) = [each.at for each in wire if each.kind == "clear"]
    assert clear - line.began_at == pytest.approx(verdict_s, abs=0.1)
    assert report.barge_ins == 0
    assert played_bytes(at_ear(line, wire), 2) == 2 * BYTES_PER_S
    assert report.outcome is EndCause.MESSAGE_LEFT


@pytest.mark.parametrize("stream_end", [StreamEnd.STOP, StreamEnd.CUT])
async def test_c14_nothing_is_sent_of_a_protected_message_once_the_call_is_over(
    autojump_clock: MockClock, stream_end: StreamEnd
) -> None:
    """Seconds of it wait in the engine when the line ends; they end with the call."""
    plan = DialPlan(script=(Say(At(0.3), HELLO), HangUp(At(2.0))), line=LineFaults(stream_end=stream_end))
    async with rig(numbered(8.0), agent__first_message="Hello.") as it:
        report = await it.dial(plan)
        await it.engine.drain()
        nothing_is_left(it)
    line = it.dialled.line
    assert line is not None
    assert report.duration_s == pytest.approx(2.0, abs=0.05)
    assert not [each for each in on_wire(line) if each.kind == "clear"]
    media = it.report.media
    assert media.agent_received_bytes == media.agent_sent_bytes + sum(media.agent_dropped_bytes.values())
    assert media.agent_dropped_bytes["cleared"] > 5 * BYTES_PER_S


@pytest.mark.parametrize("engine_decides", [False, True], ids=["provider stops it", "engine stops it"])
async def test_c15_twenty_quick_barge_ins_leave_one_response_and_no_old_speech(
    autojump_clock: MockClock, engine_decides: bool
) -> None:
    """Each in mid-generation: at most one response is active, and every frame is of the newest."""
    given: dict[str, Any] = {"barge_in__guard_ms": 20} if engine_decides else {}
    onsets = [0.2 + 0.7 * number for number in range(21)]
    async with rig(numbered(5.0), scripted(*onsets, late_deltas=10), **given) as it:
        line = await hold(it, onsets[-1] + 8.0)
    active = 0
    for each in lines(it, "out", "response.created", "response.done"):
        active += 1 if each.kind == "response.created" else -1
        assert 0 <= active <= 1
    no_old_speech(on_wire(line))
    assert it.report.barge_ins == 20
    assert len(it.session.session.responses) == 21
    assert played_bytes(at_ear(line, on_wire(line)), 21) == 5 * BYTES_PER_S
    assert "conversation_already_has_active_response" not in it.report.problems


# --- who may write ----------------------------------------------------------------------------


@pytest.mark.parametrize("engine_decides", [False, True], ids=["provider stops it", "engine stops it"])
async def test_c19_a_superseded_answer_that_does_not_end_is_heard_no_more_and_nothing_twice(
    autojump_clock: MockClock, engine_decides: bool
) -> None:
    """Its deltas go on beyond the cancel time-out, into the answer behind it; closing does not hang on it."""
    given: dict[str, Any] = {"barge_in__guard_ms": 20} if engine_decides else {}
    pace = Pace(first_delta_s=FIRST_DELTA_S, largest_delta_s=0.05)
    async with rig(numbered(30.0, 3.0, 2.0), scripted(0.2, 2.0, 5.0, pace=pace, late_deltas=250), **given) as it:
        line = await hold(it, 5.0 + 0.5 + 3.0)
        ended_at = trio.current_time()
        assert ended_at - line.began_at < 5.0 + 0.5 + 3.0 + TICK_S
    old = it.session.session.responses[0].response_id
    late = [each.t for each in lines(it, "out", "response.output_audio.delta") if each.id == old]
    assert late[-1] > 2.0 + 3.0  # the cancel time-out
    no_old_speech(on_wire(line))
    ear = at_ear(line, on_wire(line))
    assert [played_bytes(ear, response) for response in (2, 3)] == [2.7 * BYTES_PER_S, 2 * BYTES_PER_S]
    cancels = [each for each in it.session.requests if each["type"] == "response.cancel"]
    assert len(cancels) == (1 if engine_decides else 0)


@pytest.mark.parametrize(
    ("fault", "within_s", "cause"),
    [
        (ResponseFault.SILENT, 20.0 + FIRST_DELTA_S + 1.0, "response_cancelled_without_audio"),  # and asked for again
        (ResponseFault.LOST, 15.0 + 3.0 + 0.5, "server_error"),  # cancelled, then taken for over
    ],
)
async def test_c20_an_answer_without_progress_is_left_in_bounded_time_and_named(
    autojump_clock: MockClock, fault: ResponseFault, within_s: float, cause: str
) -> None:
    """Created and then silent, or half of it and no end: the watchdog ends the wait, and the talk goes on."""
    behaviour = scripted(0.2, 30.0, responses={1: fault})
    async with rig(numbered(4.0, 1.0, 1.0), behaviour) as it:
        await hold(it, 40.0)
    assert it.report.problems[cause] == 1
    done = [fact.at_s for fact in it.facts_of(ResponsePlayed)]
    assert done[0] <= 0.2 + SPEAKS_S + within_s + TICK_S
    assert done[-1] == pytest.approx(30.0 + SPEAKS_S + FIRST_DELTA_S + 1.0, abs=0.05)  # answered as ever
    assert it.report.outcome is EndCause.REMOTE_HUNG_UP


@pytest.mark.parametrize("marks_until_s", [4.0, 4.45])
async def test_c20_audio_whose_last_mark_is_lost_counts_as_played_in_bounded_time(
    autojump_clock: MockClock, marks_until_s: float
) -> None:
    """Speaking without progress: two seconds after the clock's own end it is over, and the report says how often."""
    async with rig(numbered(4.0), scripted(0.2)) as it:
        await hold(it, 10.0, LineFaults(marks_until_s=marks_until_s))
    (done,) = it.facts_of(ResponsePlayed)
    assert done.at_s <= 0.2 + SPEAKS_S + FIRST_DELTA_S + 4.0 + 2.0 + TICK_S
    assert it.report.media.marks_assumed >= 1


async def test_c21_twelve_minutes_of_audio_in_half_a_minute_wait_in_the_engine(autojump_clock: MockClock) -> None:
    """Ten minutes are kept, the rest is refused; at the carrier there is never more than the lead."""
    speech = Samples(bytes(range(1, 129, 2)) * (12 * 60 * 16000 // 64))
    behaviour = scripted(0.2, pace=Pace(first_delta_s=FIRST_DELTA_S, speed=24.0))
    async with rig(Script(replies=(Reply("A flood.", speech=speech),)), behaviour) as it:
        line = await hold(it, 40.0)
    began_s = 0.2 + SPEAKS_S + FIRST_DELTA_S
    sent = 0
    for entry in line.ledger:
        if (entry.direction, entry.kind) == ("in", "media"):
            sent += entry.size_bytes
            assert sent <= (entry.at - began_s + 0.2) * BYTES_PER_S + 1
    media = it.report.media
    assert media.agent_received_bytes == media.agent_sent_bytes + sum(media.agent_dropped_bytes.values())
    assert media.agent_dropped_bytes["cleared"] <= 600 * BYTES_PER_S
    assert media.agent_dropped_bytes["no_room"] > 0
    assert it.report.problems["playout_full"] == 1
    assert line.playout.gaps == 0
