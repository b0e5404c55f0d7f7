"""Whole calls between the twins in virtual time: they cost processor time and nothing else.

    run_virtual(scenario)                   no sockets, no waiting: the clock jumps
    async with open_simulated_rig() as it:
        await it.run(user_steps())          one inbound call, with everything in it
        it.engine.dial(...)                 outbound calls

Rule: everything random is drawn from one seed, except Trio's own choice among tasks
that are ready at the same instant.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

import attrs
import trio
from trio.testing import MockClock

from voicecore.bench.processes.resource_counts import registered
from voicecore.bench.report.result import BenchmarkFailed
from voicecore.simulation.openai_realtime import Behaviour, Handshake, Recorded, Reply, Script, Updates
from voicecore.simulation.recordings import ulaw
from voicecore.simulation.rig import Rig, open_rig
from voicecore.simulation.twilio import AfterAgent, HangUp, Say, Step, WhileAgentSpeaks
from voicecore.simulation.world import SimulatedWorld, simulated_world

T = TypeVar("T")

HANDSHAKE_S = 0.2  #: of the provider, in all
LONGEST_S = 100_000.0  #: virtual; a scenario that takes longer hangs

_POLL_S = 0.1
_BRIEF_BYTES = 2400  #: 0.3 s

SCRIPT = Script(
    replies=(
        Reply("Hello.", speech=Recorded("agent-hello")),
        Reply("Your call is now first in line.", speech=Recorded("agent-you-are-next")),
        Reply("One moment, please.", speech=Recorded("agent-one-moment")),
    ),
    hears=("hello?", "one moment"),
)
"""A greeting, an answer that the user barges in on, and an answer to that."""

PROVIDER = Behaviour(
    handshake=Handshake(accept_s=HANDSHAKE_S / 3, created_s=HANDSHAKE_S / 3),
    updates=Updates(answer_s=HANDSHAKE_S / 3, effect_s=HANDSHAKE_S / 3),
)


def user_steps(*, brief: bool = False) -> Sequence[Step]:
    """Return what the user does: listens to the greeting, speaks, barges in on the answer, hears the next one."""
    hello, moment = ulaw("caller-hello-it"), ulaw("caller-one-moment-it")
    if brief:
        hello, moment = hello[:_BRIEF_BYTES], moment[:_BRIEF_BYTES]
    return (Say(AfterAgent(0.2), hello), Say(WhileAgentSpeaks(0.5), moment), HangUp(AfterAgent(0.5)))


@attrs.define(eq=False)
class SimulatedRig(Rig):
    """An engine between its twins in a simulated world. Made by `open_simulated_rig`."""

    simulated: SimulatedWorld

    async def run(self, steps: Sequence[Step]) -> None:
        """Run one inbound call to its end."""
        await self.carrier.call(self.engine.url, steps)

    async def wait_until_idle(self) -> None:
        """Return once no call rings or has media and every report is filed."""
        while registered(self.engine.statistics()):  # noqa: ASYNC110 - virtual time
            await trio.sleep(_POLL_S)


def run_virtual(scenario: Callable[[], Awaitable[T]]) -> T:
    """Run a scenario to its end, however long it takes on its own clock.

    Raises:
        BenchmarkFailed: It hangs.
    """

    async def bounded() -> T:
        with trio.move_on_after(LONGEST_S):
            return await scenario()
        raise BenchmarkFailed("a simulated call did not come to its end")

    return trio.run(bounded, clock=MockClock(autojump_threshold=0))


@asynccontextmanager
async def open_simulated_rig(seed: int, max_calls: int = 100) -> AsyncIterator[SimulatedRig]:
    """Run an engine and both twins in one simulated world; leaving the block ends all of it."""
    simulated = simulated_world(seed)
    overrides = {"server.max_calls": max_calls, "agent.first_message": "Hello."}
    async with open_rig(simulated.world, SCRIPT, PROVIDER, overrides=overrides) as it:
        yield SimulatedRig(it.engine, it.carrier, it.provider, it.reports, simulated)
