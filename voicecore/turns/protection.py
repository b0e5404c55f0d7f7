"""The protection of a message against the caller's own "hello?", and its end.

    ON ──lift──► DISCARDING ──► RESTORING ──► OFF
     └── the lockout was refused, or none was asked for ────► OFF

Two things protect: the provider's lockout (already in the configuration that the
session was opened with) and the gate for caller audio on our side.  The gate
depends on nobody; where the lockout is not proved, the gate alone protects.

Rule 1: `lift` ends it, once; every later lift changes nothing.
Rule 2: the order is discard, acknowledged; the real turn detection, acknowledged;
then what was held of the caller, then the live caller.  Stale audio in the
provider's buffer would trigger the detection that was just switched on.
Rule 3: every wait has a limit; then the caller is let in all the same: a deaf
agent is worse than an interrupted one.
Rule 4: a restore that is refused is asked for once more; so is one whose echo
says otherwise until the limit, because it may take effect late.  After that the
session is `Deaf` and cannot be used.

Pure; time is an argument.  Used by turns/opening.py.
Facts: OpenAI Realtime, sections first-message lockout and session.update rules.
"""

from __future__ import annotations

import enum

import attrs

from voicecore.events import (
    AppendCallerAudio,
    DiscardCallerAudio,
    Lockout,
    LockState,
    SessionOrder,
    SessionReconfigured,
    Unlock,
)
from voicecore.turns.gate import CallerAudioRule, CallerGate
from voicecore.turns.trace import Trace

_TRIES = 2  #: how often the real turn detection is asked for


@attrs.frozen(kw_only=True)
class ProtectionSettings:
    """Limits of lifting a protection."""

    discard_s: float = 1.0
    """For the provider to say that it has forgotten unused caller audio."""
    restore_s: float = 2.0
    """For the provider to acknowledge the real turn detection."""


class ProtectionPhase(enum.Enum):
    """The states; see the head of this file."""

    OFF = "off"
    ON = "on"
    LIFT_DUE = "lift due"  #: over, and the session that is to be told is not open yet
    DISCARDING = "discarding"
    RESTORING = "restoring"


@attrs.frozen
class Lifted:
    """The protection is over; the caller is heard again."""

    acknowledged: bool
    """Whether the provider has confirmed it, where it had to."""


@attrs.frozen
class Deaf:
    """The session refuses to detect turns again."""

    why: str


ProtectionStep = SessionOrder | Lifted | Deaf


class Protection:
    """The protection of one message."""

    def __init__(self, gate: CallerGate, trace: Trace, settings: ProtectionSettings | None = None) -> None:
        self.phase = ProtectionPhase.OFF
        self.lock: LockState | None = None
        """What is known of the provider's lockout; None before the session is open."""
        self._settings = settings or ProtectionSettings()
        self._gate = gate
        self._trace = trace
        self._lockout = Lockout.NONE
        self._rule = CallerAudioRule.HOLD
        self._deadline: float | None = None
        self._unlocks = 0
        self._otherwise: str | None = None  # what was wrong with the last echo of a restore

    # --- its life -----------------------------------------------------------------

    def begin(self, rule: CallerAudioRule, now: float) -> None:
        """Protect from here on; ``rule`` says what becomes of caller audio."""
        self.phase = ProtectionPhase.ON
        self._rule = rule
        # Forwarding relies on the lockout alone: not before it is known to be in force.
        self._gate.set(CallerAudioRule.HOLD if rule is CallerAudioRule.FORWARD else rule)
        self._trace.note("engine", f"the message is protected; caller audio: {rule.value}", now)

    def session_ready(self, lockout: Lockout, lock: LockState, now: float) -> list[ProtectionStep]:
        """The session is open; ``lock`` is what became of the lockout that it was opened with."""
        self._lockout, self.lock = lockout, lock
        self._trace.note("provider", f"lockout {lockout.value}: {lock.value}", now)
        if self.phase is ProtectionPhase.LIFT_DUE:
            self.phase = ProtectionPhase.ON
            return self.lift(now)
        if self.phase is not ProtectionPhase.ON or self._rule is not CallerAudioRule.FORWARD:
            return []
        if lock is LockState.IN_FORCE:
            return self._released(self._gate.set(CallerAudioRule.FORWARD))
        self._trace.note("engine", "caller audio is held instead: the lockout is not in force", now)
        return []

    def lift(self, now: float) -> list[ProtectionStep]:
        """End the protection, on whatever path, and the lockout, also where nothing was protected; once."""
        if self.phase is not ProtectionPhase.ON and not (self.phase is ProtectionPhase.OFF and self.owes_restore):
            return []
        if self.lock is None:
            self.phase = ProtectionPhase.LIFT_DUE
            return []
        self._trace.note("engine", "the protection is lifted", now)
        if not self.owes_restore:
            return self._off(now, acknowledged=True)
        if self._lockout is Lockout.LISTENING:
            return self._restore(now)  # what the caller said meanwhile is to count
        self.phase = ProtectionPhase.DISCARDING
        self._deadline = now + self._settings.discard_s
        return [DiscardCallerAudio()]

    # --- the provider answers ------------------------------------------------------

    def discarded(self, now: float) -> list[ProtectionStep]:
        """The provider has forgotten what it had heard and not used."""
        return self._restore(now) if self.phase is ProtectionPhase.DISCARDING else []

    def reconfigured(self, event: SessionReconfigured, now: float) -> list[ProtectionStep]:
        """The provider echoed a configuration."""
        self.lock = event.lock
        self._trace.note("provider", f"acknowledged a configuration; lockout: {event.lock.value}", now)
        if self.phase is not ProtectionPhase.RESTORING or event.lock is LockState.IN_FORCE:
            return []  # the late echo of the opening is not the answer to the restore
        if event.lock is LockState.LIFTED:
            return self._off(now, acknowledged=True)
        self._otherwise = f"its echo says otherwise: {', '.join(event.differences)}"
        return []

    def refused(self, request_id: str | None, why: str, now: float) -> list[ProtectionStep]:
        """The provider refused a request; ours or not."""
        if self.phase is not ProtectionPhase.RESTORING or request_id != self._request_id:
            return []
        self._trace.note("provider", f"refused the real turn detection: {why}", now)
        return self._again(why, now)

    # --- time ----------------------------------------------------------------------

    def deadline(self) -> float | None:
        """Return when to call `expire`."""
        return self._deadline

    def expire(self, now: float) -> list[ProtectionStep]:
        """Go on without an acknowledgement that did not come in time."""
        if self._deadline is None or now < self._deadline:
            return []
        self._trace.note("provider", f"did not answer in time ({self.phase.value})", now)
        if self.phase is ProtectionPhase.DISCARDING:
            return self._restore(now)
        return self._off(now, acknowledged=False) if self._otherwise is None else self._again(self._otherwise, now)

    @property
    def is_on(self) -> bool:
        """Whether caller speech must not end the message."""
        return self.phase in {ProtectionPhase.ON, ProtectionPhase.LIFT_DUE}

    @property
    def owes_restore(self) -> bool:
        """Whether the provider's turn detection may still be locked out."""
        return self._lockout is not Lockout.NONE and self.lock in {LockState.IN_FORCE, LockState.UNPROVEN}

    def words(self) -> str:
        """Return what protects now, in words for people."""
        if self.lock is not LockState.IN_FORCE:
            return "the local gate alone"
        forwards = self._gate.rule is CallerAudioRule.FORWARD
        return "the provider's lockout alone" if forwards else "the provider's lockout and the local gate"

    # --- inside --------------------------------------------------------------------

    @property
    def _request_id(self) -> str:
        return f"unlock-{self._unlocks}"

    def _restore(self, now: float) -> list[ProtectionStep]:
        self._unlocks += 1
        self._otherwise = None
        self.phase = ProtectionPhase.RESTORING
        self._deadline = now + self._settings.restore_s
        self._trace.note("engine", "the real turn detection is asked for", now)
        return [Unlock(self._request_id)]

    def _again(self, why: str, now: float) -> list[ProtectionStep]:
        if self._unlocks < _TRIES:
            return self._restore(now)
        return [*self._off(now, acknowledged=False), Deaf(why)]

    def _off(self, now: float, *, acknowledged: bool) -> list[ProtectionStep]:
        self._lockout = Lockout.NONE  # nothing more is owed, whatever is still echoed
        self.phase = ProtectionPhase.OFF
        self._deadline = None
        held = self._gate.set(CallerAudioRule.FORWARD)
        self._trace.note("engine", f"the caller is heard again; {len(held)} bytes had been held", now)
        return [*self._released(held), Lifted(acknowledged)]

    @staticmethod
    def _released(held: bytes) -> list[ProtectionStep]:
        return [AppendCallerAudio(held)] if held else []
