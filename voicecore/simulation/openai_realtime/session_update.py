"""How `session.update` is handled: whether it is accepted, when it takes effect, and what is acknowledged.

Rule 1: an update is checked as a whole, first for what it contains, then by the
behaviour; one that is refused changes nothing.
Rule 2: updates take effect in the order in which they came; acknowledgements may
overtake one another.
Rule 3: an acknowledgement shows the configuration in force at its moment, unless the
behaviour says that it shows another one.

Facts: OpenAI Realtime, sections session.update rules, first-message lockout.
Pure.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import attrs

from voicecore.simulation.openai_realtime import beta_shape, configuration
from voicecore.simulation.openai_realtime.behaviour import PartialTurnDetection, Updates
from voicecore.simulation.openai_realtime.json_checks import JsonObject, invalid_value
from voicecore.simulation.openai_realtime.scheduler import Scheduler

_TURN_DETECTION = "session.audio.input.turn_detection"
_LEFT_OUT = "left out"


@attrs.frozen(kw_only=True)
class SessionUpdateContext:
    """What the configuration needs from its session."""

    settings: Updates
    partial: PartialTurnDetection
    scheduler: Scheduler
    changed: Callable[[float], None]
    """Called when an update has taken effect."""
    acknowledge: Callable[[JsonObject], None]
    """Sends `session.updated` with this session."""


class SessionConfiguration:
    """One session's configuration, and how it changes."""

    def __init__(self, context: SessionUpdateContext, initial: JsonObject) -> None:
        self._context = context
        self._taken = 0
        self._restores_refused = 0
        self._latest_effect = -math.inf
        self.effective = initial
        """The configuration in force."""
        self._acknowledged = initial  # what acknowledgements show

    def update(self, session: Any, *, voice_in_use: Any | None, now: float) -> None:
        """Handle the `session` of a `session.update`.

        Args:
            session: As it was received.
            voice_in_use: The voice that has already spoken; None before the first audio.
            now: The time in seconds.

        Raises:
            Refused: Nothing of it applies.
        """
        acknowledged = configuration.check_update(self._read(session), self.effective, voice_in_use=voice_in_use)
        self._taken += 1
        self._refuse_by_behaviour(acknowledged, voice_in_use)
        settings = self._context.settings
        applied = acknowledged = _with_format(acknowledged, self._forced_format())
        if _turn_detection(acknowledged) is None:
            if settings.acknowledges_null_but_keeps:
                applied = _without_turn_detection(acknowledged)
            elif settings.ignores_null_turn_detection:
                applied = acknowledged = _without_turn_detection(acknowledged)
        self._plan(applied, acknowledged, now)

    def _forced_format(self) -> str | None:
        """Return the type of both formats that the behaviour now forces; None: what is requested."""
        forced = self._context.settings.formats_from
        return forced[max(begun)] if (begun := [number for number in forced if number <= self._taken]) else None

    def _read(self, session: Any) -> Any:
        settings = self._context.settings
        if not isinstance(session, dict):
            return session
        if settings.ignores_flat_turn_detection and "turn_detection" in session:
            session = beta_shape.without_turn_detection(session)
        return beta_shape.nested(session) if settings.accepts_flat_fields else session

    def _refuse_by_behaviour(self, checked: JsonObject, voice_in_use: Any | None) -> None:
        settings, turn_detection = self._context.settings, _turn_detection(checked)
        if self._taken in settings.refused:
            raise invalid_value("session", "this update is refused by the scenario")
        names_voice = "voice" in checked.get("audio", {}).get("output", {})
        if settings.refuses_voice_after_audio and names_voice and voice_in_use is not None:
            raise configuration.voice_refused()
        if turn_detection is None and settings.refuses_null_turn_detection:
            raise invalid_value(_TURN_DETECTION, "turn detection cannot be switched off")
        restores = isinstance(turn_detection, dict) and self.effective["audio"]["input"]["turn_detection"] is None
        if restores and self._restores_refused < settings.refuses_restore:
            self._restores_refused += 1
            raise invalid_value(_TURN_DETECTION, "turn detection cannot be switched on now")

    def _plan(self, applied: JsonObject, acknowledged: JsonObject, now: float) -> None:
        settings, scheduler = self._context.settings, self._context.scheduler
        effect_s = settings.effects.get(self._taken, settings.effect_s)
        if effect_s is not None:
            self._latest_effect = max(self._latest_effect, now + effect_s)
            scheduler.at(self._latest_effect, lambda due: self._apply(applied, acknowledged, due))
        answer_s = settings.answers.get(self._taken, settings.answer_s)
        if answer_s is not None:
            scheduler.at(now + answer_s, lambda _: self._context.acknowledge(copy.deepcopy(self._acknowledged)))

    def _apply(self, applied: JsonObject, acknowledged: JsonObject, due: float) -> None:
        self.effective = configuration.merge_update(self.effective, applied, self._context.partial)
        self._acknowledged = configuration.merge_update(self._acknowledged, acknowledged, self._context.partial)
        self._context.changed(due)


def _turn_detection(checked: JsonObject) -> Any:
    """Return the turn detection of a checked update: an object, null, or that it is omitted."""
    return checked.get("audio", {}).get("input", {}).get("turn_detection", _LEFT_OUT)


def _without_turn_detection(checked: JsonObject) -> JsonObject:
    left = copy.deepcopy(checked)
    del left["audio"]["input"]["turn_detection"]
    return left


def _with_format(checked: JsonObject, wire_type: str | None) -> JsonObject:
    if wire_type is None:
        return checked
    changed = copy.deepcopy(checked)
    for side in ("input", "output"):
        changed.setdefault("audio", {}).setdefault(side, {})["format"] = {"type": wire_type}
    return changed
