"""Which transport the tests of WebSockets run over.

Rule: a test says nothing of it; those in net/websocket/ run once for each, see its conftest.py.
"""

from __future__ import annotations

import attrs

from voicecore.net.http.messages import ServerLimits
from voicecore.simulation.memory_network import LinkSettings, MemoryNetwork
from voicecore.simulation.world import simulated_world
from voicecore.world import WebSocketTransport

CURRENT = [WebSocketTransport.OWN]
"""The one of the running test; set by a fixture."""


def memory_network(link: LinkSettings | None = None) -> MemoryNetwork:
    """Return a network whose WebSockets are opened with the current transport."""
    network = simulated_world(1, link).network
    network.websocket = CURRENT[0]
    return network


def on_transport(limits: ServerLimits | None) -> ServerLimits:
    """Return a port's bounds with the current transport."""
    return attrs.evolve(limits or ServerLimits(), websocket=CURRENT[0])
