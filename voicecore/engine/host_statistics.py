"""How many calls and sessions a host has."""

from __future__ import annotations

import attrs

from voicecore.engine.parking.pool import ParkingStatistics


@attrs.frozen(kw_only=True)
class HostStatistics:
    """How many calls and sessions there are, by how far they are."""

    ringing: int
    live: int
    unfiled: int
    """Over, and the carrier's final status may still come."""
    filed: int
    """Over, with the record written; without a store: with the report passed to observers."""
    parked: ParkingStatistics
    unwritten: int = 0
    """Records that wait in memory to be written."""
