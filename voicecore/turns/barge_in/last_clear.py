"""The clear of the newest barge-in: when it was decided, written, and heard as silence.

    DECIDED ──on the wire──► WRITTEN ──its first flushed mark──► over

Pure; time is an argument.
"""

from __future__ import annotations

import attrs


@attrs.define
class LastClear:
    """At most one clear is waited for: a newer one takes its place."""

    _decided_at: float | None = None
    _written_at: float | None = None

    def decided(self, now: float) -> None:
        """A barge-in: a clear is on its way."""
        self._decided_at, self._written_at = now, None

    def written(self, now: float) -> float | None:
        """A clear is on the carrier's wire; return how long that took, None where nobody waits for it."""
        if self._decided_at is None or self._written_at is not None:
            return None
        self._written_at = now
        return now - self._decided_at

    def is_silent(self) -> bool:
        """Take a flushed mark; return whether it is the first behind the clear: the ear is silent."""
        if self._written_at is None:
            return False
        self._decided_at = self._written_at = None
        return True
