"""What a host works with: the ports that it was given, and the agent that takes calls."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

import attrs
from attrs.validators import min_len

from voicecore.engine.agent import Agent
from voicecore.engine.call_handle import CallHandle
from voicecore.errors import ConfigError, printable
from voicecore.facts import Observer
from voicecore.ports import CallStore, OpenCarrier, Provider

ChooseAgent = Callable[[CallHandle], Awaitable[Agent | None]]
"""Given an incoming call that rings, returns who takes it; None: the engine's own agent. May hang the call up."""


@attrs.frozen(kw_only=True)
class HostPorts:
    """What a host works with."""

    providers: Mapping[str, Provider] = attrs.field(validator=min_len(1))
    """By name; an agent that names none gets the first."""
    agent: Agent
    carriers: Sequence[OpenCarrier] = ()
    choose_agent: ChooseAgent | None = None
    """Asked about each incoming call; None: the engine's own agent takes all of them."""
    store: CallStore | None = None
    """None: observers get the reports, and nothing is kept."""
    records_audio: bool = False
    observers: Sequence[Observer] = ()

    def provider_of(self, agent: Agent) -> Provider:
        """Return who opens the sessions of an agent. Raises ConfigError where it names a provider that is not there."""
        name = agent.provider or next(iter(self.providers))
        if (provider := self.providers.get(name)) is None:
            known = ", ".join(self.providers)
            raise ConfigError("Agent.provider", f"no such provider: {printable(name)} (there is: {known})")
        return provider
