"""What the carrier says behind a stream that we had to close: the last words of a call that cannot go on."""

from __future__ import annotations

from typing import Any

import pytest
from trio.testing import MockClock

from voicecore.config.sections import APOLOGY
from voicecore.facts import EndCause
from voicecore.simulation.openai_realtime import Behaviour, End, Ending, Recorded, Reply, Script
from voicecore.simulation.twilio import AfterAgent, At, DialPlan, HangUp
from voicecore_tests.kit import Rig, rig

TALK = Script(replies=(Reply("Hello.", speech=Recorded("agent-hello")),))
DIES = Behaviour(endings=(Ending(how=End.CUT, at_s=3.0),))
STAYS = (HangUp(At(60.0)),)
OWN_WORDS = "Nous sommes désolés <&>."


async def called(it: Rig, direction: str) -> str:
    """Run an incoming or outbound call whose user stays on the line; return what the carrier said after the stream."""
    if direction == "inbound":
        line = await it.carrier.call(it.engine.url, STAYS)
    else:
        await it.dial(DialPlan(ring_s=1.0, script=STAYS))
        line = it.dialled.line
    await it.engine.drain()
    assert line is not None
    return line.said_after


@pytest.mark.parametrize("direction", ["inbound", "outbound"])
@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, APOLOGY),
        ({"carriers__twilio__apology": OWN_WORDS}, OWN_WORDS),
        ({"carriers__twilio__apology": ""}, ""),
    ],
    ids=["default", "agent echo", "nothing"],
)
async def test_a_call_that_cannot_go_on_ends_with_the_apology(
    autojump_clock: MockClock, direction: str, settings: dict[str, Any], said: str
) -> None:
    """The session was lost: the user hears the apology, in both directions."""
    async with rig(TALK, DIES, agent__first_message="Hello.", **settings) as it:
        assert await called(it, direction) == said
    assert it.report.outcome is EndCause.SESSION_LOST


async def test_a_user_who_hangs_up_hears_nothing_more(autojump_clock: MockClock) -> None:
    """No user is left to hear it."""
    async with rig(TALK, agent__first_message="Hello.") as it:
        line = await it.carrier.call(it.engine.url, [HangUp(AfterAgent(0.3))])
        await it.engine.drain()
    assert line is not None
    assert line.said_after == ""
