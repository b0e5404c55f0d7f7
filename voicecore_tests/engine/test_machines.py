"""Answering machines: detected beside the call or before it, hung up on, or left a message that they record."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from voicecore.engine.settings import DialOptions, OnVoicemail
from voicecore.facts import EndCause, MessageOutcome
from voicecore.ports import MachineDetection
from voicecore.simulation.openai_realtime import Recorded, Reply, Script
from voicecore.simulation.twilio import AfterAgent, AmdCallback, At, DialPlan, HangUp, Say
from voicecore_tests.kit import CALLEE, Rig, asked, nothing_is_left, rig, ulaw

TALK = Script(
    replies=(
        Reply("Hello, this is the clinic.", speech=Recorded("agent-hello")),
        Reply("One moment.", speech=Recorded("agent-one-moment")),
    ),
    hears=("hello?", "goodbye"),
)
GREETING = "Hello, this is the clinic."
SHORT = (HangUp(AfterAgent(0.5)),)
HUMAN = (Say(At(0.1), ulaw("caller-hello-it")), HangUp(AfterAgent(0.5)))
ASYNC: dict[str, Any] = {"outbound__machine_detection": "async"}
LEAVES: dict[str, Any] = {
    "outbound__on_voicemail": "leave_message",
    "outbound__voicemail_message": "Please call the clinic back.",
}


async def test_f7_detection_runs_beside_the_greeting_and_a_human_notices_nothing(autojump_clock: MockClock) -> None:
    """Asynchronous: the call begins at once; the verdict comes and changes nothing."""
    plan = DialPlan(ring_s=1.0, machine=AmdCallback(word="human", after_s=0.5), script=HUMAN)
    async with rig(TALK, agent__first_message=GREETING, **ASYNC) as it:
        report = await it.dial(plan)
    assert (report.outcome, report.answered_by) == (EndCause.REMOTE_HUNG_UP, "human")
    assert report.first_message is not None
    assert report.first_message.outcome is MessageOutcome.HEARD


@pytest.mark.parametrize("word", ["machine_start", "fax"])
async def test_f7_a_machine_is_hung_up_on(autojump_clock: MockClock, word: str) -> None:
    """By policy, as soon as the verdict comes."""
    plan = DialPlan(ring_s=1.0, machine=AmdCallback(word=word, after_s=2.0), script=(HangUp(At(60.0)),))
    async with rig(TALK, agent__first_message=GREETING, **ASYNC) as it:
        report = await it.dial(plan)
        nothing_is_left(it)
    assert (report.outcome, report.answered_by, it.dialled.ended_by) == (EndCause.MACHINE_ANSWERED, word, "rest")
    assert report.duration_s < 3.0


@pytest.mark.parametrize("repeats", [1, 3])
async def test_f6_a_message_is_left_once_when_the_machines_greeting_has_ended(
    autojump_clock: MockClock, repeats: int
) -> None:
    """Detection waits for the beep; repeats of the verdict have no effect; then the call is over."""
    plan = DialPlan(
        ring_s=1.0,
        machine=AmdCallback(word="machine_end_beep", after_s=4.0, times=repeats),
        script=(Say(At(0.0), ulaw("caller-one-moment-it") * 4), HangUp(At(60.0))),
    )
    async with rig(TALK, agent__first_message=GREETING, **ASYNC, **LEAVES) as it:
        report = await it.dial(plan)
        nothing_is_left(it)
    assert (report.outcome, it.dialled.ended_by) == (EndCause.MESSAGE_LEFT, "rest")
    assert report.left_message is not None
    assert (report.left_message.outcome, report.left_message.requests) == (MessageOutcome.HEARD, 1)
    assert [text.endswith("Please call the clinic back.") for text in asked(it.session)] == [False, True]


async def test_f5_two_calls_at_once_leave_each_its_own_message(autojump_clock: MockClock) -> None:
    """The text belongs to the call and goes with it."""
    plan = DialPlan(ring_s=1.0, machine=AmdCallback(word="machine_end_other", after_s=1.0), script=(HangUp(At(60.0)),))

    async def leave(it: Rig, message: str) -> None:
        options = leaving(message)
        async with it.engine.dial(CALLEE, options=options) as call:
            async for _ in call.facts():
                pass
        assert call.report.outcome is EndCause.MESSAGE_LEFT

    async with rig(TALK, agent__first_message=GREETING) as it:
        it.carrier.expect(plan)
        async with trio.open_nursery() as nursery:
            for text in ("Message one.", "Message two."):
                nursery.start_soon(leave, it, text)
        said = sorted(asked(connection)[-1][-12:] for connection in it.provider.connections)
    assert said == ["Message one.", "Message two."]


def leaving(message: str) -> DialOptions:
    return DialOptions(
        detection=MachineDetection.ASYNC, on_voicemail=OnVoicemail.LEAVE_MESSAGE, voicemail_message=message
    )


async def test_f7_a_second_verdict_does_not_change_course_again(autojump_clock: MockClock) -> None:
    """The first one counts."""
    plan = DialPlan(ring_s=1.0, machine=AmdCallback(word="machine_end_beep", after_s=1.0, times=2), script=SHORT)
    async with rig(TALK, agent__first_message=GREETING, **ASYNC, **LEAVES) as it:
        report = await it.dial(plan)
    assert report.left_message is not None
    assert len(asked(it.session)) == 2


@pytest.mark.parametrize(
    ("word", "outcome"), [("human", EndCause.REMOTE_HUNG_UP), ("machine_start", EndCause.MACHINE_ANSWERED)]
)
async def test_detection_before_the_media_decides_what_is_connected(
    autojump_clock: MockClock, word: str, outcome: EndCause
) -> None:
    """Synchronous: the carrier asks what to do once it knows; a machine is never connected."""
    plan = DialPlan(ring_s=1.0, machine=AmdCallback(word=word, after_s=3.0), script=SHORT)
    async with rig(TALK, agent__first_message=GREETING, outbound__machine_detection="sync") as it:
        report = await it.dial(plan)
        nothing_is_left(it)
    assert (report.outcome, report.answered_by) == (outcome, word)
    assert (it.dialled.line is not None) is (word == "human")
    assert it.carrier.violations == []


async def test_detection_before_the_media_leaves_its_message_at_once(autojump_clock: MockClock) -> None:
    """The beep is over when the stream arrives: no greeting is played first."""
    plan = DialPlan(ring_s=1.0, machine=AmdCallback(word="machine_end_beep", after_s=5.0), script=(HangUp(At(60.0)),))
    async with rig(TALK, agent__first_message=GREETING, outbound__machine_detection="sync", **LEAVES) as it:
        report = await it.dial(plan)
    assert (report.outcome, report.first_message) == (EndCause.MESSAGE_LEFT, None)
