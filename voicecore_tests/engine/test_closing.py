"""An engine that closes waits for its carrier so long, and no longer."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from voicecore.engine.settings import HostSettings
from voicecore.facts import EndCause
from voicecore.simulation.twilio import DialPlan
from voicecore_tests.kit import CALLEE, Rig, rig


async def give_up_dialling(it: Rig, plan: DialPlan) -> None:
    """Place a call and leave it while the carrier has not answered the request."""
    it.carrier.expect(plan)
    with trio.move_on_after(1.0):
        async with it.engine.dial(CALLEE):
            await trio.sleep_forever()


@pytest.mark.parametrize("closing_s", [2.0, 5.0])
async def test_a_carrier_that_does_not_answer_keeps_no_engine_from_closing(
    autojump_clock: MockClock, closing_s: float
) -> None:
    """The request is not broken off at once, since it may make a phone ring; but it has no longer than records have."""
    async with rig(host=HostSettings(closing_s=closing_s)) as it:
        await give_up_dialling(it, DialPlan(answer_s=600.0))
        closing_at = trio.current_time()
    assert trio.current_time() - closing_at == pytest.approx(closing_s, abs=0.1)
    assert [report.outcome for report in it.reports] == [EndCause.HUNG_UP]


async def test_an_answer_that_comes_while_the_engine_closes_stops_the_phone(autojump_clock: MockClock) -> None:
    """It names the call, which is then ended at the carrier."""
    async with rig() as it:
        await give_up_dialling(it, DialPlan(answer_s=3.0, ring_s=30.0))
        closing_at = trio.current_time()
    assert trio.current_time() - closing_at == pytest.approx(2.0, abs=0.1)
    assert (it.dialled.status, it.dialled.ended_by) == ("canceled", "rest")
