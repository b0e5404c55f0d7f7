"""The idle timeout: when a user who says nothing is taken for a turn.

Rule 1: the clock starts when the last response has been played, and counts
appended audio from there: a user who is held back holds it back.
Rule 2: a response and a user who speaks stop it; a clear starts it anew.
Rule 3: a stale timeout counts time instead, from the moment at which detection
comes on over a buffer that was not cleared, or not behind its last audio; it
happens when the behaviour says so.

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
    """What the idle clock needs of its session."""

    scheduler: Scheduler
    appended_ms: Callable[[], int]
    """Audio appended so far."""
    buffer_start_ms: Callable[[], int]
    """Where the audio begins that is still in the input buffer."""
    fire: Callable[[int, float], None]
    """Make a turn of the silence since so many milliseconds of audio, now."""
    stale_s: float | None
    """How late a stale timeout fires; None: never."""


class IdleTimer:
    """One session's."""

    def __init__(self, context: IdleTimerContext) -> None:
        self._context = context
        self._pending: ActionId | None = None
        self._since_ms: int | None = None
        self._cleared_at_ms: int | None = None

    def stop(self) -> None:
        """Stop: somebody speaks, or is about to."""
        self._context.scheduler.cancel(self._pending)
        self._since_ms = None

    def start_at(self, due: float) -> None:
        """Start at ``due``, when the agent has been heard to the end."""
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
        """The input buffer was cleared."""
        self._cleared_at_ms = self._context.appended_ms()
        if self._since_ms is not None:
            self._since_ms = self._cleared_at_ms

    def detection_comes_on(self, now: float) -> None:
        """What piled up while it was off may be taken for silence."""
        context = self._context
        if context.stale_s is not None and self._cleared_at_ms != context.appended_ms():
            since_ms = context.buffer_start_ms()
            self._plan(now + context.stale_s, lambda due: context.fire(since_ms, due))

    def _start(self, due: float) -> None:  # noqa: ARG002 - an action
        self._since_ms = self._context.appended_ms()

    def _plan(self, due: float, action: Action) -> None:
        self._context.scheduler.cancel(self._pending)
        self._pending = self._context.scheduler.at(due, action)
