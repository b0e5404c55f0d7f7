"""What whole-call tests share: one simulated world with both twins and the real engine in it.

Mechanics live here, rules in the tests.  Everything runs in virtual time on
memory streams, from one seed.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import attrs
import trio
from trio.lowlevel import Task
from trio.testing import MockClock

from voicecore.assembly import Engine, open_engine
from voicecore.audio.convert import from_samples, to_samples
from voicecore.audio.formats import PCM16_8K, PCMU_8K
from voicecore.config import Settings
from voicecore.engine.settings import HostSettings
from voicecore.facts import CallEnded, CallReport, Fact
from voicecore.simulation import recordings
from voicecore.simulation.memory_network import LinkSettings
from voicecore.simulation.openai_realtime import Behaviour, RealtimeTwin, Script, TwinConnection
from voicecore.simulation.twilio import DialledCall, DialPlan, TwilioTwin, open_twilio
from voicecore.simulation.world import SimulatedWorld, simulated_world
from voicecore_tests.chance import seed_trio

T = TypeVar("T")

CALLEE = "+15550100077"
LIMIT_S = 900.0  #: virtual; a scenario that has not ended by then hangs


def ulaw(name: str) -> bytes:
    """A recording as the telephone carries it."""
    return from_samples(to_samples(recordings.load(name), PCM16_8K), PCMU_8K)


@attrs.define(eq=False)
class Rig:
    """A running engine between its twins."""

    simulated: SimulatedWorld
    engine: Engine
    carrier: TwilioTwin
    provider: RealtimeTwin
    facts: list[Fact]

    @property
    def reports(self) -> list[CallReport]:
        return [fact.report for fact in self.facts if isinstance(fact, CallEnded)]

    @property
    def report(self) -> CallReport:
        (report,) = self.reports
        return report

    @property
    def session(self) -> TwinConnection:
        return self.provider.connections[-1]

    def records(self) -> list[dict[str, Any]]:
        files = self.simulated.files.files
        return [json.loads(bytes(data)) for path, data in files.items() if path.name == "record.json"]

    @property
    def dialled(self) -> DialledCall:
        """The last call that the engine placed, at the carrier."""
        return self.carrier.dials[-1]

    async def dial(self, plan: DialPlan | None = None, **how: Any) -> CallReport:
        """Place one call, stay until it is over, and return its report."""
        if plan is not None:
            self.carrier.expect(plan)
        async with self.engine.dial(CALLEE, **how) as call:
            async for _ in call.facts():
                pass
        return call.report

    def told(self, kind: type) -> list[Any]:
        return [fact for fact in self.facts if isinstance(fact, kind)]


def settings(base_url: str, **overrides: object) -> Settings:
    """Settings of an engine that talks to twins; ``section__key`` overrides."""
    given = {
        "server.port": 0,
        "server.data_dir": "/data",
        "agent.instructions": "Be brief.",
        "carriers.twilio.account_sid": "AC00000000000000000000000000000001",
        "carriers.twilio.auth_token": "voicecore-test-token",
        "carriers.twilio.phone_number": "+15550100002",
        "providers.openai_realtime.api_key": "sk-planted-secret",
        "providers.openai_realtime.base_url": base_url,
    }
    given |= {name.replace("__", "."): value for name, value in overrides.items()}
    return Settings.load(None, {}, given)


@asynccontextmanager
async def rig(
    script: Script | Sequence[Script] | None = None,
    behaviour: Behaviour | Sequence[Behaviour] | None = None,
    *,
    seed: int = 0,
    link: LinkSettings | None = None,
    host: HostSettings | None = None,
    files: Mapping[str, bytes] | None = None,
    **overrides: object,
) -> AsyncIterator[Rig]:
    """Run an engine and both twins in one simulated world; leaving the block ends all of it."""
    simulated = simulated_world(seed, link)
    simulated.files.files |= {Path(name): bytearray(data) for name, data in (files or {}).items()}
    provider = RealtimeTwin(simulated.world, script, behaviour)
    facts: list[Fact] = []
    with trio.fail_after(LIMIT_S):
        async with (
            provider.serve() as base_url,
            open_twilio(simulated.world) as carrier,
            carrier.serve_rest() as api_base_url,
            open_engine(
                settings(base_url, **{"carriers__twilio__api_base_url": api_base_url, **overrides}),
                world=simulated.world,
                observers=[lambda _call_id, fact: facts.append(fact)],
                host_settings=host,
            ) as engine,
        ):
            yield Rig(simulated, engine, carrier, provider, facts)


def nothing_is_left(it: Rig) -> None:
    """No call, no parked session, no open socket at the provider."""
    statistics = it.engine.statistics()
    assert (statistics.ringing, statistics.live, statistics.unfiled, statistics.parked.waiting) == (0, 0, 0, 0)
    assert all(connection.ended.is_set() for connection in it.provider.connections)


def asked(connection: TwinConnection) -> list[str]:
    """The instructions of every response that was requested on a connection."""
    creates = [request for request in connection.requests if request["type"] == "response.create"]
    return [create.get("response", {}).get("instructions", "") for create in creates]


def run_seeded(scenario: Callable[[], Awaitable[T]], seed: int = 0) -> T:
    """Run a scenario in virtual time with Trio's own choices seeded too: the same seed, the same run."""
    seed_trio(seed)
    return trio.run(scenario, clock=MockClock(autojump_threshold=0))


def living_tasks(root: Task | None = None) -> Iterator[Task]:
    """Every task below the one that runs the test."""
    task = root or trio.lowlevel.current_task()
    for nursery in task.child_nurseries:
        for child in nursery.child_tasks:
            yield child
            yield from living_tasks(child)


class CancelAtStep(trio.abc.Instrument):
    """Cancels a scope after the k-th step that any task takes."""

    def __init__(self, scope: trio.CancelScope, step: int) -> None:
        self.steps = 0
        self._scope = scope
        self._step = step

    def after_task_step(self, task: Task) -> None:  # noqa: ARG002
        self.steps += 1
        if self.steps == self._step:
            self._scope.cancel()
