"""The protection of a message against the user's own "hello?", and its end.

    ON ──────────────► DISCARDING ──► [COMMITTING] ──► RESTORING ──► OFF
     │                     ▲                               │
     ├──► OFFSET_DUE ──────┤                               │
     └──► CLOSED ──────────┴──────────────► OFF            └──► CLOSED

Two things protect: the provider's lockout (already in the configuration that the
session was opened with) and the gate for user audio on our side.  The gate
depends on nobody; where the lockout is not proved, the gate alone protects.

Rule 1: `lift` ends it, once; every later lift changes nothing.
Rule 2: the order is discard, acknowledged; the real turn detection, acknowledged;
then what was buffered of the user, then the live user.  Stale audio in the
provider's buffer would trigger the detection that was just switched on.
Rule 3: what was buffered is later than the moment it was spoken at.  It may be
answered after what plays now; it never stops it.  So where the protection ends
while the message plays (`first_heard`), our own energy detector judges what is buffered, see
WHILE_IT_PLAYS: who speaks is waited for; what was said is committed as a turn
while nobody detects turns, or else waits for the end of the message; silence is
dropped.  Speech that goes on for ``talk_over_s`` is live, and may stop the message.
Rule 4: every wait has a limit; then the user is let in all the same: a deaf
agent is worse than an interrupted one.
Rule 5: a restore that is refused is asked for once more; so is one whose
effective configuration says otherwise until the limit, because it may take effect late.  After that the
session is `RestoreFailed` and cannot be used.

Pure; time is an argument.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import attrs

from voicecore import kinds
from voicecore.events import (
    AppendUserAudio,
    CommitUserAudio,
    DiscardUserAudio,
    Lockout,
    LockoutState,
    RestoreTurnDetection,
    SessionOrder,
    SessionReconfigured,
)
from voicecore.turns.first_message.audio_gate import UserAudioGate, UserAudioRule
from voicecore.turns.first_message.trace import Trace

_TRIES = 2  #: how often the real turn detection is asked for


@attrs.frozen(kw_only=True)
class ProtectionSettings:
    """Limits of lifting a protection."""

    discard_s: float = attrs.field(default=1.0, validator=kinds.seconds(above=0))
    """For the provider to say that it has forgotten unused user audio."""
    commit_s: float = attrs.field(default=1.0, validator=kinds.seconds(above=0))
    """For the provider to say that held words are a turn; beyond, they wait for the end of the message."""
    restore_s: float = attrs.field(default=2.0, validator=kinds.seconds(above=0))
    """For the provider to acknowledge the real turn detection."""
    talk_over_s: float = attrs.field(default=2.0, validator=kinds.seconds(above=0))
    """How long a user must go on speaking over a message that can be heard before held speech may stop it."""


class ProtectionPhase(enum.Enum):
    """The states; see the head of this file."""

    OFF = "off"
    ON = "on"
    LIFT_DUE = "lift due"  #: over, and the session that has to restore is not open yet
    OFFSET_DUE = "offset due"  #: the message is heard; the user, who began before that, is still speaking
    DISCARDING = "discarding"
    COMMITTING = "committing"
    RESTORING = "restoring"
    CLOSED = "closed"  #: what is buffered waits for the end of the message


class _Message(enum.Enum):
    """How far the message is."""

    UNHEARD = "unheard"
    PLAYS = "plays"
    OVER = "over"


class _Buffered(enum.Enum):
    """What our own ear makes of the user, and of the user audio that is buffered."""

    NOTHING = "nothing"
    SAID = "said"  #: speech that is over
    SPEAKING = "speaking"


class _Moment(enum.Enum):
    """When it is judged."""

    LIFTED = "lifted"  #: the message is heard, or the user has stopped since
    DISCARDED = "discarded"
    RESTORED = "restored"


@attrs.frozen
class Lifted:
    """The protection is over; the user is heard again."""

    acknowledged: bool
    """Whether the provider has confirmed it, where it had to."""


@attrs.frozen
class RestoreFailed:
    """The session refuses to detect turns again."""

    why: str


ProtectionStep = SessionOrder | Lifted | RestoreFailed


class Protection:
    """The protection of one message."""

    def __init__(self, gate: UserAudioGate, trace: Trace, settings: ProtectionSettings | None = None) -> None:
        self.phase = ProtectionPhase.OFF
        self.lock: LockoutState | None = None
        """What is known of the provider's lockout; None before the session is open."""
        self._settings = settings or ProtectionSettings()
        self._gate = gate
        self._trace = trace
        self._message = _Message.UNHEARD
        self._lockout = Lockout.NONE
        self._rule = UserAudioRule.BUFFER
        self._buffered = _Buffered.NOTHING
        self._appended = False  # what was buffered lies in the provider's buffer, where it may not be a turn yet
        self._deadline: float | None = None
        self._restores = 0
        self._otherwise: str | None = None  # what was wrong with the last answer to a restore

    # --- its life -----------------------------------------------------------------

    def begin(self, rule: UserAudioRule, now: float) -> None:
        """Protect from here on; ``rule`` says what becomes of user audio."""
        self.phase = ProtectionPhase.ON
        self._rule = rule
        # Forwarding relies on the lockout alone: not before it is known to be in force.
        self._gate.set(UserAudioRule.BUFFER if rule is UserAudioRule.FORWARD else rule)
        self._trace.note("engine", f"the message is protected; user audio: {rule.value}", now)

    def session_ready(self, lockout: Lockout, lock: LockoutState, now: float) -> list[ProtectionStep]:
        """The session is open; ``lock`` is what became of the lockout that it was opened with."""
        self._lockout, self.lock = lockout, lock
        self._trace.note("provider", f"lockout {lockout.value}: {lock.value}", now)
        if self.phase is ProtectionPhase.LIFT_DUE:
            self.phase = ProtectionPhase.ON
            return self._lift(now)
        if self.phase is not ProtectionPhase.ON or self._rule is not UserAudioRule.FORWARD:
            return []
        if lock is LockoutState.IN_FORCE:
            return self._released(self._gate.set(UserAudioRule.FORWARD))
        self._trace.note("engine", "user audio is buffered instead: the lockout is not in force", now)
        return []

    def first_heard(self, now: float) -> list[ProtectionStep]:
        """The user has heard the beginning of the message, and that is all that was to be protected."""
        if self.phase is not ProtectionPhase.ON or self._message is not _Message.UNHEARD:
            return []
        self._message = _Message.PLAYS
        return self._lift(now)

    def unheard_again(self, now: float) -> None:
        """What was heard of the message was the beginning of a lost try: protect the next one too."""
        if self._message is not _Message.PLAYS:
            return
        self._message = _Message.UNHEARD
        if self.phase is ProtectionPhase.OFF:
            self.begin(self._rule, now)
        elif self.phase in {ProtectionPhase.OFFSET_DUE, ProtectionPhase.CLOSED}:
            self.phase, self._deadline = ProtectionPhase.ON, None

    def lift(self, now: float) -> list[ProtectionStep]:
        """End the protection: the message is over. Also the lockout, where nothing was protected; once."""
        self._message = _Message.OVER
        waits = self.phase in {ProtectionPhase.ON, ProtectionPhase.OFFSET_DUE, ProtectionPhase.CLOSED}
        if not waits and not (self.phase is ProtectionPhase.OFF and self.owes_restore):
            return []
        return self._lift(now)

    # --- the user, as our own ear has it --------------------------------------------

    def user_began(self, now: float) -> None:
        """The user began to speak."""
        self._buffered = _Buffered.SPEAKING
        if self.phase is ProtectionPhase.CLOSED:
            self._deadline = now + self._settings.talk_over_s

    def user_stopped(self, now: float) -> list[ProtectionStep]:
        """The user has stopped speaking."""
        self._buffered = _Buffered.SAID if self._gate.rule is UserAudioRule.BUFFER else _Buffered.NOTHING
        if self.phase is ProtectionPhase.CLOSED:
            self._deadline = None
        return self._judge(_Moment.LIFTED, now) if self.phase is ProtectionPhase.OFFSET_DUE else []

    # --- the provider answers ------------------------------------------------------

    def discarded(self, now: float) -> list[ProtectionStep]:
        """The provider has forgotten what it had heard and not used."""
        if self.phase is not ProtectionPhase.DISCARDING:
            return []
        return self._restore(now) if self._message is _Message.OVER else self._judge(_Moment.DISCARDED, now)

    def committed(self, now: float) -> list[ProtectionStep]:
        """The provider has made a turn of what it had heard."""
        self._appended = False
        return self._restore(now) if self.phase is ProtectionPhase.COMMITTING else []

    def reconfigured(self, event: SessionReconfigured, now: float) -> list[ProtectionStep]:
        """The provider acknowledged a configuration."""
        self.lock = event.lock
        self._trace.note("provider", f"acknowledged a configuration; lockout: {event.lock.value}", now)
        if self.phase is not ProtectionPhase.RESTORING or event.lock is LockoutState.IN_FORCE:
            return []  # the late acknowledgement of the opening is not the answer to the restore
        if event.lock is LockoutState.RESTORED:
            return self._restored(now)
        self._otherwise = f"the effective configuration differs: {', '.join(event.differences)}"
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
        """Go on without what did not come in time: an acknowledgement, or a pause of the user."""
        if self._deadline is None or now < self._deadline:
            return []
        if self.phase in {ProtectionPhase.OFFSET_DUE, ProtectionPhase.CLOSED}:
            self._trace.note("user", "goes on speaking over the message", now)
            return self._request_restore(now)
        self._trace.note("provider", f"did not answer in time ({self.phase.value})", now)
        if self.phase is ProtectionPhase.DISCARDING:
            return self.discarded(now)
        if self.phase is ProtectionPhase.COMMITTING:
            return self._restore(now) if self._message is _Message.OVER else self._close(now)
        if self._otherwise is None:
            return self._restored(now)
        return self._again(self._otherwise, now)

    @property
    def is_on(self) -> bool:
        """Whether user speech must not end the message."""
        if self.phase in {ProtectionPhase.ON, ProtectionPhase.LIFT_DUE, ProtectionPhase.OFFSET_DUE}:
            return True
        shut = self.phase is not ProtectionPhase.OFF and self._gate.rule is not UserAudioRule.FORWARD
        return shut and self._message is not _Message.OVER

    @property
    def bars_keys(self) -> bool:
        """Whether a key must not end the message either: unlike buffered speech it is always of this moment."""
        return self.is_on and self._message is not _Message.PLAYS

    @property
    def owes_restore(self) -> bool:
        """Whether the provider's turn detection may still be locked out."""
        return self._lockout is not Lockout.NONE and self.lock in {LockoutState.IN_FORCE, LockoutState.UNCONFIRMED}

    def words(self) -> str:
        """Return what protects now, in words for people."""
        if self.lock is not LockoutState.IN_FORCE:
            return "the local gate alone"
        forwards = self._gate.rule is UserAudioRule.FORWARD
        return "the provider's lockout alone" if forwards else "the provider's lockout and the local gate"

    # --- inside: what follows from what --------------------------------------------------

    @property
    def _request_id(self) -> str:
        return f"unlock-{self._restores}"

    @property
    def _is_deaf(self) -> bool:
        """Whether the session surely detects no turns: what it is given now, it cannot act on by itself."""
        return self._lockout is Lockout.DETECTION_OFF and self.lock is LockoutState.IN_FORCE

    def _lift(self, now: float) -> list[ProtectionStep]:
        if self.lock is None:
            self.phase = ProtectionPhase.LIFT_DUE
            return []
        self._trace.note("engine", "the protection is lifted", now)
        return self._request_restore(now) if self._message is _Message.OVER else self._judge(_Moment.LIFTED, now)

    def _judge(self, moment: _Moment, now: float) -> list[ProtectionStep]:
        return self.WHILE_IT_PLAYS[moment, self._buffered](self, now)

    def _await_offset(self, now: float) -> list[ProtectionStep]:
        self.phase = ProtectionPhase.OFFSET_DUE
        self._deadline = now + self._settings.talk_over_s
        self._trace.note("engine", "the user, who began earlier, is waited for", now)
        return []

    def _restore_in_silence(self, now: float) -> list[ProtectionStep]:
        self._gate.drop_silence()
        return self._request_restore(now)

    def _keep_words(self, now: float) -> list[ProtectionStep]:
        return self._discard(now) if self._is_deaf else self._close(now)

    def _commit(self, now: float) -> list[ProtectionStep]:
        """Make a turn of what was said while nobody detects turns: it cannot be taken for a barge-in."""
        if not self._is_deaf:
            return self._restore(now)
        self.phase = ProtectionPhase.COMMITTING
        self._deadline = now + self._settings.commit_s
        self._appended = True
        buffered = self._take()
        self._trace.note("engine", f"the user's buffered words are committed: {len(buffered)} bytes", now)
        return [AppendUserAudio(buffered), CommitUserAudio()]

    def _close(self, now: float) -> list[ProtectionStep]:
        self.phase = ProtectionPhase.CLOSED
        self._deadline = now + self._settings.talk_over_s if self._buffered is _Buffered.SPEAKING else None
        self._trace.note("engine", "what the user has said waits for the end of the message", now)
        return []

    def _open_in_silence(self, now: float) -> list[ProtectionStep]:
        self._gate.drop_silence()
        return self._off(now)

    # --- inside: the steps ------------------------------------------------------------------

    def _request_restore(self, now: float) -> list[ProtectionStep]:
        if not self.owes_restore:
            return self._off(now)
        if self._lockout is Lockout.NO_REPLY or self._appended:
            return self._restore(now)  # what the user said meanwhile is to count
        return self._discard(now)

    def _discard(self, now: float) -> list[ProtectionStep]:
        self.phase = ProtectionPhase.DISCARDING
        self._deadline = now + self._settings.discard_s
        return [DiscardUserAudio()]

    def _restore(self, now: float) -> list[ProtectionStep]:
        self._restores += 1
        self._otherwise = None
        self.phase = ProtectionPhase.RESTORING
        self._deadline = now + self._settings.restore_s
        self._trace.note("engine", "the real turn detection is asked for", now)
        return [RestoreTurnDetection(self._request_id)]

    def _restored(self, now: float) -> list[ProtectionStep]:
        self._lockout = Lockout.NONE  # nothing more is owed, whatever is still acknowledged
        self._deadline = None
        if self._message is _Message.UNHEARD:
            self.begin(self._rule, now)
            return []
        return self._off(now) if self._message is _Message.OVER else self._judge(_Moment.RESTORED, now)

    def _again(self, why: str, now: float) -> list[ProtectionStep]:
        if self._restores < _TRIES:
            return self._restore(now)
        return [*self._off(now), RestoreFailed(why)]

    def _off(self, now: float) -> list[ProtectionStep]:
        self._lockout = Lockout.NONE
        self.phase = ProtectionPhase.OFF
        self._deadline = None
        buffered = self._take()
        self._gate.set(UserAudioRule.FORWARD)
        self._trace.note("engine", f"the user is heard again; {len(buffered)} bytes had been buffered", now)
        acknowledged = self._restores == 0 or self.lock is LockoutState.RESTORED
        return [*self._released(buffered), Lifted(acknowledged)]

    def _take(self) -> bytes:
        if self._buffered is _Buffered.SAID:
            self._buffered = _Buffered.NOTHING
        return self._gate.take()

    @staticmethod
    def _released(buffered: bytes) -> list[ProtectionStep]:
        return [AppendUserAudio(buffered)] if buffered else []

    WHILE_IT_PLAYS: ClassVar[Mapping[tuple[_Moment, _Buffered], Callable[[Any, float], list[ProtectionStep]]]] = {
        (_Moment.LIFTED, _Buffered.NOTHING): _restore_in_silence,
        (_Moment.LIFTED, _Buffered.SPEAKING): _await_offset,
        (_Moment.LIFTED, _Buffered.SAID): _keep_words,
        (_Moment.DISCARDED, _Buffered.NOTHING): _restore,
        (_Moment.DISCARDED, _Buffered.SPEAKING): _restore,  # began after the lift, or goes on for long: it is live
        (_Moment.DISCARDED, _Buffered.SAID): _commit,
        (_Moment.RESTORED, _Buffered.NOTHING): _open_in_silence,
        (_Moment.RESTORED, _Buffered.SPEAKING): _off,
        (_Moment.RESTORED, _Buffered.SAID): _close,
    }
    """What becomes of buffered user audio when its protection ends before the message does."""
