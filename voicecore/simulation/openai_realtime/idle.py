"""The idle timeout: when a user who says nothing is counted as a turn.

Rule 1: the timer starts when the last response has been played, and counts appended
audio from there: while no user audio is sent, it does not advance.
Rule 2: a response and a user who speaks stop it; a clear restarts it.
Rule 3: a stale timeout counts time instead, from the moment at which detection is
switched on while the buffer has audio that was not cleared; it happens when the
behaviour says so.

Facts: OpenAI Realtime, sections turn detection, first-message lockout.
Pure.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

from voicecore.simulation.openai_realtime.json_checks import JsonObject
from voicecore.simulation.openai_realtime.scheduler import Action, ActionId, Scheduler


@attrs.frozen(kw_only=True)
class IdleTimerContext:
    """What the idle timer needs from its session."""

    scheduler: Scheduler
    appended_ms: Callable[[], int]
    """Audio appended so far."""
    buffer_start_ms: Callable[[], int]
    """Where the audio that is still in the input buffer begins."""
    fire: Callable[[int, float], None]
    """Make a turn of the silence since this position, now."""
    stale_s: float | None
    """How late a stale timeout fires; None: never."""


class IdleTimer:
    """The idle timer of one session."""

    def __init__(self, context: IdleTimerContext) -> None:
        self._context = context
        self._pending: ActionId | None = None
        self._since_ms: int | None = None
        self._cleared_at_ms: int | None = None

    def stop(self) -> None:
        """Stop: somebody speaks, or is about to speak."""
        self._context.scheduler.cancel(self._pending)
        self._since_ms = None

    def start_at(self, due: float) -> None:
        """Start at ``due``, when the agent's audio has been played."""
        self._plan(due, self._start)

    def watch(self, turn_detection: JsonObject | None, now: float) -> None:
        """Fire if enough silence was appended; to be called with each append while nobody speaks."""
        timeout_ms = (turn_detection or {}).get("idle_timeout_ms")
        since_ms = self._since_ms
        if timeout_ms is None or since_ms is None or self._context.appended_ms() - since_ms < timeout_ms:
            return
        self._since_ms = None
        self._context.fire(since_ms, now)

    def clear(self) -> None:
        """Restart: the input buffer was cleared."""
        self._cleared_at_ms = self._context.appended_ms()
        if self._since_ms is not None:
            self._since_ms = self._cleared_at_ms

    def detection_comes_on(self, now: float) -> None:
        """Detection is on again: what was buffered while it was off may count as silence."""
        context = self._context
        if context.stale_s is not None and self._cleared_at_ms != context.appended_ms():
            since_ms = context.buffer_start_ms()
            self._plan(now + context.stale_s, lambda due: context.fire(since_ms, due))

    def _start(self, due: float) -> None:  # noqa: ARG002 - an action
        self._since_ms = self._context.appended_ms()

    def _plan(self, due: float, action: Action) -> None:
        self._context.scheduler.cancel(self._pending)
        self._pending = self._context.scheduler.at(due, action)
