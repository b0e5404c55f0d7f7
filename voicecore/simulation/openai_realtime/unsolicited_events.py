"""What a provider twin says of its own accord, whatever the client does: any event, at any moment.

For events that nobody asked for, unheard-of types, and words that a server should
have kept to itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs


@attrs.frozen
class UnsolicitedEvent:
    """One event, sent as it is."""

    at_s: float
    """Seconds after `session.created`."""
    kind: str
    """Its type."""
    fields: Mapping[str, object] = attrs.field(factory=dict)


def errors(message: str, *codes: str, at_s: float) -> Sequence[UnsolicitedEvent]:
    """Return an `error` event for each code, all with one message."""
    bodies = ({"type": "server_error", "code": code, "message": message} for code in codes)
    return [UnsolicitedEvent(at_s, "error", {"error": body}) for body in bodies]
