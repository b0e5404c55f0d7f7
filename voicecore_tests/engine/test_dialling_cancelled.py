"""A call that we place, cancelled at every step of it: nothing is left, and no phone rings on."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from voicecore.simulation.openai_realtime import Behaviour, Handshake, Pace, Recorded, Reply, Script, Updates
from voicecore.simulation.twilio import AmdCallback, At, DialPlan, HangUp, Say
from voicecore_tests.kit import CancelAtStep, Rig, living_tasks, rig, ulaw

TALK = Script(
    replies=(Reply("Hello.", speech=Recorded("agent-hello")), Reply("Next.", speech=Recorded("agent-one-moment"))),
    hears=("hello?",),
)
DISTANT = Behaviour(
    handshake=Handshake(accept_s=0.02, created_s=0.02),
    updates=Updates(answer_s=0.02, effect_s=0.02),
    pace=Pace(first_delta_s=0.02),
)
BRIEF_CALL = DialPlan(
    ring_s=0.2,
    script=(Say(At(0.05), ulaw("caller-hello-it")[:1600]), HangUp(At(1.2))),
    machine=AmdCallback(word="human", after_s=0.3),
)


async def dialled_until(step: int, *, whole_engine: bool) -> tuple[int, int, int]:
    """Place a call whose block (or whole engine) is cancelled after ``step`` task steps; return what is left of it."""
    async with trio.open_nursery() as nursery:
        with trio.CancelScope() as outer:
            async with rig(TALK, DISTANT, agent__first_message="Hello.", outbound__machine_detection="async") as it:
                it.carrier.expect(BRIEF_CALL)
                with trio.CancelScope() as inner:
                    instrument = CancelAtStep(outer if whole_engine else inner, step)
                    trio.lowlevel.add_instrument(instrument)
                    try:
                        await it.dial()
                    finally:
                        trio.lowlevel.remove_instrument(instrument)
                await it.engine.drain()
                assert it.engine.statistics().parked.waiting == 0
                await settle(it)
        left = len(list(living_tasks()))
        nursery.cancel_scope.cancel()
    assert len(it.records()) == len(it.reports) <= 1
    assert all(dialled.rang <= 1 for dialled in it.carrier.dials)
    return instrument.steps, left, it.simulated.network.open_streams


async def settle(it: Rig) -> None:
    """A call that the carrier has was ended there too."""
    for dialled in it.carrier.dials:
        with trio.fail_after(30):
            await dialled.over.wait()


@pytest.mark.parametrize("whole_engine", [True, False])
@pytest.mark.parametrize("offset", range(2))
async def test_i31_a_placed_call_may_be_cancelled_at_every_step(
    autojump_clock: MockClock, offset: int, whole_engine: bool
) -> None:
    """Requested, ringing, parked, adopted, greeting, talking, over: nothing is left, and no phone keeps ringing."""
    steps, _, _ = await dialled_until(10**9, whole_engine=whole_engine)
    for step in range(1 + offset * 3, steps, 6):
        _, left, open_streams = await dialled_until(step, whole_engine=whole_engine)
        assert (left, open_streams) == (0, 0), f"cancelled at step {step}"
