"""Events that a provider twin sends on its own, whatever the client does: any event, at any moment.

For events that nobody asked for, unknown types, and text that a server should not send.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs


@attrs.frozen
class UnsolicitedEvent:
    """One event, sent as is."""

    at_s: float
    """Seconds after `session.created`."""
    kind: str
    """The event's type."""
    fields: Mapping[str, object] = attrs.field(factory=dict)


def errors(message: str, *codes: str, at_s: float) -> Sequence[UnsolicitedEvent]:
    """Return an `error` event for each code, all with the same message."""
    bodies = ({"type": "server_error", "code": code, "message": message} for code in codes)
    return [UnsolicitedEvent(at_s, "error", {"error": body}) for body in bodies]
