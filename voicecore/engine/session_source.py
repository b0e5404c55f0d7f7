"""Where the session of a call comes from, and what is known of it once it is open."""

from __future__ import annotations

from typing import Literal

import attrs

from voicecore.engine.parking.parked_session import ParkedSession
from voicecore.facts import AudioPath
from voicecore.ports import Brief, Provider


@attrs.frozen(kw_only=True)
class SessionSource:
    """Where a call's session comes from."""

    provider: Provider
    brief: Brief
    parked: ParkedSession | None = None
    """One that was opened before pick-up."""


@attrs.frozen
class OpenedSession:
    """What is known of a call's session once it is open."""

    session_id: str
    open_s: float
    """How long its opening took, before or after pick-up."""
    waited_s: float
    """From pick-up to here."""
    source: Literal["adopted", "cold"]
    audio_path: AudioPath
