"""Stopping `voicecore call`: it hangs up and ends soon, without waiting for a status that may never come."""

from __future__ import annotations

import trio
from trio.testing import MockClock

from voicecore.cli import call
from voicecore.facts import EndCause
from voicecore.simulation.openai_realtime import Recorded, Reply, Script
from voicecore.simulation.twilio import At, DialPlan, HangUp, StatusFaults
from voicecore_tests.cli.test_serve import Signals
from voicecore_tests.kit import CALLEE, nothing_is_left, rig

HELLO = Script(replies=(Reply("Hello.", speech=Recorded("agent-hello")),))


async def test_a_signal_hangs_up_and_ends_the_command_within_a_second(autojump_clock: MockClock) -> None:
    """Although the carrier never says that the call is over; a second signal changes nothing."""
    plan = DialPlan(ring_s=1.0, script=(HangUp(At(300.0)),), statuses=StatusFaults(sends=False))
    async with rig(HELLO, agent__first_message="Hello.") as it:
        it.carrier.expect(plan)
        began_at = trio.current_time()
        report = await call._run_call(it.engine, CALLEE, Signals(began_at + 5.0, began_at + 5.2), trio.Event())
        took_s = trio.current_time() - began_at
        nothing_is_left(it)
    assert report.outcome is EndCause.HUNG_UP
    assert 5.0 <= took_s < 6.0


async def test_output_that_nobody_reads_any_more_hangs_up_too(autojump_clock: MockClock) -> None:
    """`voicecore call | head`: as a signal does."""
    plan = DialPlan(ring_s=1.0, script=(HangUp(At(300.0)),), statuses=StatusFaults(sends=False))
    gone = trio.Event()
    gone.set()
    async with rig(HELLO, agent__first_message="Hello.") as it:
        it.carrier.expect(plan)
        began_at = trio.current_time()
        report = await call._run_call(it.engine, CALLEE, Signals(), gone)
        assert trio.current_time() - began_at < 2.0
        nothing_is_left(it)
    assert report.outcome is EndCause.HUNG_UP
