"""What a host is made of, and what it tells about itself.

Made in assembly.py; used by engine/host.py and engine/metrics.py.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence

import attrs

from voicecore.engine.agent import Agent
from voicecore.engine.parking.pool import ParkingStatistics
from voicecore.facts import Observer
from voicecore.ports import CallControl, CallStore, Dialler, Provider


class Admission(enum.Enum):
    """Whether new calls are taken."""

    OPEN = "open"
    CLOSED = "closed"  #: running calls go on
    CLOSING = "closing"  #: and nobody waits for a carrier's last word any more


@attrs.frozen(kw_only=True)
class HostParts:
    """What a host puts together for each call."""

    provider: Provider
    agent: Agent
    control: CallControl | None = None
    """Ends calls at the carrier; None: they end when their media close, and no other way."""
    dialler: Dialler | None = None
    """None: no calls are placed."""
    store: CallStore | None = None
    """None: reports are told, and kept nowhere."""
    records_audio: bool = False
    observers: Sequence[Observer] = ()


@attrs.frozen(kw_only=True)
class HostStatistics:
    """How many calls and sessions stand where."""

    ringing: int
    live: int
    unfiled: int
    """Over, and the carrier may still have a last word to say."""
    filed: int
    """Over, with the record written; where no records are kept, told."""
    parked: ParkingStatistics
    unwritten: int = 0
    """Records that wait in memory to be written."""
