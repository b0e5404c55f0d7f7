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

from voicecore.config import Settings
from voicecore.engine.settings import HostSettings
from voicecore.facts import Fact
from voicecore.simulation import rig as simulation
from voicecore.simulation.memory_network import LinkSettings
from voicecore.simulation.openai_realtime import Behaviour, Script, TwinConnection
from voicecore.simulation.recordings import ulaw
from voicecore.simulation.rig import CALLEE
from voicecore.simulation.world import SimulatedWorld, simulated_world
from voicecore_tests.chance import seed_trio

__all__ = [
    "CALLEE",
    "LIMIT_S",
    "CancelAtStep",
    "Rig",
    "asked",
    "living_tasks",
    "nothing_is_left",
    "rig",
    "run_seeded",
    "settings",
    "ulaw",
]

T = TypeVar("T")

LIMIT_S = 900.0  #: virtual; a scenario that has not ended by then hangs


@attrs.define(eq=False)
class Rig(simulation.Rig):
    """A running engine between its twins in a simulated world, and every fact."""

    simulated: SimulatedWorld
    facts: list[Fact]

    def records(self) -> list[dict[str, Any]]:
        files = self.simulated.files.files
        return [json.loads(bytes(data)) for path, data in files.items() if path.name == "record.json"]

    def facts_of(self, kind: type) -> list[Any]:
        return [fact for fact in self.facts if isinstance(fact, kind)]


def settings(base_url: str, **overrides: object) -> Settings:
    """Settings of an engine that talks to twins; ``section__key`` overrides."""
    return simulation.twin_settings(base_url, _dotted(overrides))


def _dotted(overrides: Mapping[str, object]) -> Mapping[str, object]:
    given = {name.replace("__", "."): value for name, value in overrides.items()}
    return {"server.data_dir": "/data", "agent.instructions": "Be brief.", **given}


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
    """Run an engine and both twins in one simulated world; ``section__key`` overrides settings.

    Raises:
        trio.TooSlowError: The block hangs.
    """
    simulated = simulated_world(seed, link)
    simulated.files.files |= {Path(name): bytearray(data) for name, data in (files or {}).items()}
    facts: list[Fact] = []
    with trio.fail_after(LIMIT_S):
        async with simulation.open_rig(
            simulated.world,
            script,
            behaviour,
            overrides=_dotted(overrides),
            observers=[lambda _call_id, fact: facts.append(fact)],
            host_settings=host,
        ) as it:
            yield Rig(it.engine, it.carrier, it.provider, it.reports, simulated, facts)


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
