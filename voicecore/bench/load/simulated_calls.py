"""The engine between its twins in virtual time: whole calls that cost processor time and nothing else.

    run_virtual(scenario)           no sockets, no waiting: the clock jumps
    async with open_rig() as it:
        await it.hold(...)          one call that comes in, with everything in it
        it.engine.dial(...)         calls that go out

Rule: everything is drawn from one seed; only Trio's own choice among tasks that
are ready at the same instant is not.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

import attrs
import trio
from trio.testing import MockClock

from voicecore.assembly import Engine, open_engine
from voicecore.audio.convert import from_samples, to_samples
from voicecore.audio.formats import PCM16_8K, PCMU_8K
from voicecore.bench.processes.census import registered
from voicecore.bench.report.result import BenchmarkFailed
from voicecore.config import Settings
from voicecore.facts import CallEnded, CallReport, Fact
from voicecore.simulation import recordings
from voicecore.simulation.openai_realtime import Behaviour, Handshake, RealtimeTwin, Recorded, Reply, Script, Updates
from voicecore.simulation.twilio import (
    Account,
    AfterAgent,
    HangUp,
    LineFaults,
    Say,
    Step,
    TwilioTwin,
    WhileAgentSpeaks,
    open_twilio,
)
from voicecore.simulation.world import SimulatedWorld, simulated_world

T = TypeVar("T")

CALLEE = "+15550100077"
HANDSHAKE_S = 0.2  #: of the provider, in all
_LOOK_S = 0.1
_BRIEF_BYTES = 2400  #: 0.3 s
LONGEST_S = 100_000.0  #: virtual; what has not ended by then hangs

TALK = Script(
    replies=(
        Reply("Hello.", speech=Recorded("agent-hello")),
        Reply("Your call is now first in line.", speech=Recorded("agent-you-are-next")),
        Reply("One moment, please.", speech=Recorded("agent-one-moment")),
    ),
    hears=("hello?", "one moment"),
)
"""A greeting, an answer that the user cuts, and an answer to that."""

PROVIDER = Behaviour(
    handshake=Handshake(accept_s=HANDSHAKE_S / 3, created_s=HANDSHAKE_S / 3),
    updates=Updates(answer_s=HANDSHAKE_S / 3, effect_s=HANDSHAKE_S / 3),
)


def talks(*, briefly: bool = False) -> Sequence[Step]:
    """Return what the user does: listens to the greeting, speaks, cuts the answer, hears the next one."""
    hello, moment = _spoken("caller-hello-it"), _spoken("caller-one-moment-it")
    if briefly:
        hello, moment = hello[:_BRIEF_BYTES], moment[:_BRIEF_BYTES]
    return (Say(AfterAgent(0.2), hello), Say(WhileAgentSpeaks(0.5), moment), HangUp(AfterAgent(0.5)))


@attrs.define(eq=False)
class Rig:
    """A running engine between its twins. Made by `open_rig`."""

    simulated: SimulatedWorld
    engine: Engine
    carrier: TwilioTwin
    provider: RealtimeTwin
    reports: list[CallReport]

    async def run(self, script: Sequence[Step], faults: LineFaults | None = None) -> None:
        """Hold one call that comes in, to its end."""
        await self.carrier.call(self.engine.url, script, faults=faults)

    async def over(self) -> None:
        """Return once no call rings or talks and every report is filed."""
        while registered(self.engine.statistics()):  # noqa: ASYNC110 - virtual time
            await trio.sleep(_LOOK_S)


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
async def open_rig(seed: int, max_calls: int = 100) -> AsyncIterator[Rig]:
    """Run an engine and both twins in one simulated world; leaving the block ends all of it."""
    simulated = simulated_world(seed)
    provider = RealtimeTwin(simulated.world, TALK, PROVIDER)
    reports: list[CallReport] = []

    def observe(_call_id: str, fact: Fact) -> None:
        if isinstance(fact, CallEnded):
            reports.append(fact.report)

    async with (
        provider.serve() as base_url,
        open_twilio(simulated.world) as carrier,
        carrier.serve_rest() as api_base_url,
        open_engine(
            settings(base_url, api_base_url, {"server.max_calls": max_calls}),
            world=simulated.world,
            observers=[observe],
        ) as engine,
    ):
        yield Rig(simulated, engine, carrier, provider, reports)


def settings(base_url: str, api_base_url: str, overrides: Mapping[str, object]) -> Settings:
    """Return settings of an engine that talks to twins."""
    account = Account()
    given = {
        "server.port": 0,
        "agent.instructions": "You answer the telephone.",
        "agent.first_message": "Hello.",
        "carriers.twilio.account_sid": account.account_sid,
        "carriers.twilio.auth_token": account.auth_token.reveal(),
        "carriers.twilio.phone_number": account.callee,
        "carriers.twilio.api_base_url": api_base_url,
        "providers.openai_realtime.api_key": "bench-key",
        "providers.openai_realtime.base_url": base_url,
        **overrides,
    }
    return Settings.load(None, {}, given)


def _spoken(name: str) -> bytes:
    """Return a recording as the telephone carries it."""
    return from_samples(to_samples(recordings.load(name), PCM16_8K), PCMU_8K)
