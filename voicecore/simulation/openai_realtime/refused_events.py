"""Client events that a provider twin refuses whatever they say, in the words of the server that was seen to do so.

Behaviour(refused_events=(RefusedEvent("session.update", "unknown_parameter", "Unknown parameter: 'session.type'."),))
"""

from __future__ import annotations

import attrs

from voicecore.simulation.openai_realtime.json_checks import Refused


@attrs.frozen
class RefusedEvent:
    """Every client event of one type is refused, and changes nothing."""

    kind: str
    """The type of the client event."""
    code: str | None
    message: str
    param: str | None = None
    after_s: float = 0.0
    """Seconds from the event to its refusal."""

    def refusal(self) -> Refused:
        """Return the refusal of such an event."""
        return Refused(self.code, self.message, self.param)
