"""The engine between its twins: one block that opens both twins and an engine in a world, and closes all of it.

    async with open_rig(world, script, behaviour) as rig:
        await rig.carrier.call(rig.engine.url, steps)    # an inbound call, to its end
        report = await rig.dial(DialPlan(ring_s=2.0))    # an outbound call, to its end

The world is `simulated_world().world` in virtual time, or `real_world()` on loopback sockets.

Rule: tests, benchmarks and the demo all open an engine between twins with this and nothing else.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import attrs

from voicecore.assembly import Engine, open_engine
from voicecore.config import Settings
from voicecore.engine.settings import HostSettings
from voicecore.facts import CallEnded, CallReport, Fact, Observer
from voicecore.simulation.openai_realtime import Behaviour, RealtimeTwin, Script, TwinConnection
from voicecore.simulation.twilio import Account, DialledCall, DialPlan, TwilioTwin, open_twilio
from voicecore.world import World

CALLEE = "+15550100077"
"""The number that outbound calls go to where no other is given."""


@attrs.define(eq=False)
class Twins:
    """Both twins, listening. Made by `open_twins`."""

    carrier: TwilioTwin
    provider: RealtimeTwin
    api_base_url: str
    """Of the carrier's REST interface."""
    base_url: str
    """Of the provider."""


@attrs.define(eq=False)
class Rig:
    """A running engine between its twins. Made by `open_rig`."""

    engine: Engine
    carrier: TwilioTwin
    provider: RealtimeTwin
    reports: list[CallReport]
    """Of every call that has ended, in that order."""

    @property
    def report(self) -> CallReport:
        """The report of the only call."""
        (report,) = self.reports
        return report

    @property
    def session(self) -> TwinConnection:
        """The newest session at the provider."""
        return self.provider.connections[-1]

    @property
    def dialled(self) -> DialledCall:
        """The newest call that the engine placed, at the carrier."""
        return self.carrier.dials[-1]

    async def dial(self, plan: DialPlan | None = None, **options: Any) -> CallReport:
        """Place one call, stay until it is over, and return its report; ``options`` are those of `Engine.dial`."""
        if plan is not None:
            self.carrier.expect(plan)
        async with self.engine.dial(CALLEE, **options) as call:
            async for _ in call.facts():
                pass
        return call.report


def twin_settings(base_url: str, overrides: Mapping[str, object] | None = None) -> Settings:
    """Return the settings of an engine whose carrier and provider are twins.

    Args:
        base_url: The provider's.
        overrides: Further settings by their dotted keys; they win.
    """
    account = Account()
    given = {
        "server.port": 0,
        "agent.instructions": "You answer the telephone.",
        "carriers.twilio.account_sid": account.account_sid,
        "carriers.twilio.auth_token": account.auth_token.reveal(),
        "carriers.twilio.phone_number": account.callee,
        "providers.openai_realtime.api_key": "sk-planted-secret",
        "providers.openai_realtime.base_url": base_url,
        **(overrides or {}),
    }
    return Settings.load(None, {}, given)


@asynccontextmanager
async def open_twins(
    world: World,
    script: Script | Sequence[Script] | None = None,
    behaviour: Behaviour | Sequence[Behaviour] | None = None,
) -> AsyncIterator[Twins]:
    """Run both twins in one world; leaving the block ends their calls and closes their ports. Raises OSError."""
    provider = RealtimeTwin(world, script, behaviour)
    async with (
        provider.serve() as base_url,
        open_twilio(world) as carrier,
        carrier.serve_rest() as api_base_url,
    ):
        yield Twins(carrier, provider, api_base_url, base_url)


@asynccontextmanager
async def open_rig(
    world: World,
    script: Script | Sequence[Script] | None = None,
    behaviour: Behaviour | Sequence[Behaviour] | None = None,
    *,
    overrides: Mapping[str, object] | None = None,
    observers: Sequence[Observer] = (),
    host_settings: HostSettings | None = None,
) -> AsyncIterator[Rig]:
    """Run an engine and both twins in one world; leaving the block ends all of it.

    Args:
        world: Where all three live.
        script: What the agent says; see `RealtimeTwin`.
        behaviour: How the provider behaves; see `RealtimeTwin`.
        overrides: Settings by their dotted keys, over those of `twin_settings`.
        observers: Notified of every fact, after the one that collects the reports.
        host_settings: What the settings cannot say.

    Raises:
        ConfigError: An override is not a setting.
        OSError: A port cannot be bound.
    """
    reports: list[CallReport] = []

    def collect(_call_id: str, fact: Fact) -> None:
        if isinstance(fact, CallEnded):
            reports.append(fact.report)

    async with open_twins(world, script, behaviour) as twins:
        settings = twin_settings(
            twins.base_url, {"carriers.twilio.api_base_url": twins.api_base_url, **(overrides or {})}
        )
        async with open_engine(
            settings, world=world, observers=[collect, *observers], host_settings=host_settings
        ) as engine:
            yield Rig(engine, twins.carrier, twins.provider, reports)
