"""The opening of a call: its first message, what protects it, and when the user counts.

    FirstMessage   is it asked for, spoken, heard, lost
    Protection     lockout and gate, and how they are lifted
    UserAudioGate     what becomes of user audio meanwhile
    EnergyVad     whether the user speaks, heard on our own side

Joint rules:
1. The protection ends with the message, whatever becomes of it, and not before.
2. While it is on, a response that was not asked for is silenced: it would take
the message's place.
3. Who speaks first is decided anew at the moment of the first frame (beginning.py).

The message left on an answering machine is an opening too: protected, and then
the call is over.

Pure; time is an argument.
"""

from __future__ import annotations

import attrs

from voicecore import events as ev
from voicecore.audio.formats import AudioFormat
from voicecore.audio.level import BLOCK_S, EnergyVad, EnergyVadSettings, Offset, Onset, has_sound
from voicecore.facts import MessageReport
from voicecore.turns.agent_speech import AgentSpeech
from voicecore.turns.first_message.audio_gate import SpokeOver, UserAudioGate, UserAudioRule
from voicecore.turns.first_message.beginning import Beginning, Reach
from voicecore.turns.first_message.history import MessageHistory
from voicecore.turns.first_message.message import (
    SILENT,
    Ask,
    CutMessage,
    FirstMessage,
    FirstMessagePolicy,
    Message,
    MessageOver,
    MessagePhase,
    MessageStep,
    PlayOwn,
    ProtectionRule,
    SpeaksFirst,
)
from voicecore.turns.first_message.protection import (
    Lifted,
    Protection,
    ProtectionPhase,
    ProtectionSettings,
    ProtectionStep,
    RestoreFailed,
)
from voicecore.turns.first_message.requests import Purpose, lockout_for, message_request
from voicecore.turns.speech_steps import SpeechStep

_UNJUDGED_S = EnergyVadSettings().on_s - BLOCK_S  #: speech that is no longer than this our ear has not noticed

OpeningStep = SpeechStep | SpokeOver | CutMessage | MessageOver | Lifted | RestoreFailed


class Opening:
    """The opening of one call."""

    def __init__(
        self,
        message: Message,
        policy: FirstMessagePolicy,
        speech: AgentSpeech,
        *,
        leg_format: AudioFormat,
        began_at: float,
        purpose: Purpose = Purpose.FIRST,
        protection: ProtectionSettings | None = None,
    ) -> None:
        is_silent = message.audio is not None and not has_sound(message.audio, leg_format)
        self.message = FirstMessage(attrs.evolve(message, audio=None) if is_silent else message, policy, purpose.value)
        self.policy = policy
        self.purpose = purpose
        self._history = MessageHistory(began_at)
        self.trace = self._history.trace
        self.gate = UserAudioGate(leg_format.bytes_in(policy.yield_s), unjudged_bytes=leg_format.bytes_in(_UNJUDGED_S))
        self.protection = Protection(self.gate, self.trace, protection)
        self._lockout = lockout_for(message, policy) if purpose is Purpose.FIRST else ev.Lockout.NONE
        self._speech = speech
        self._leg_format = leg_format
        self._ear = EnergyVad(leg_format)
        self._began_at = began_at
        self._beginning = Beginning(policy, began_at)
        if is_silent:
            self.message.losses.append(SILENT)
            self.trace.note("engine", "the message's own audio is silent; the session is to speak it", began_at)

    # --- beginning ------------------------------------------------------------------

    def begin(self, now: float) -> list[OpeningStep]:
        """The media began: our own audio need not wait for the session."""
        if self.policy.speaks_first is SpeaksFirst.USER:
            self.message.await_user(now + self.policy.hello_s)
            return []
        self._protect(now)
        return self._say(now) if self.message.message.audio is not None else []

    def session_ready(
        self, lockout: ev.Lockout, lock: ev.LockoutState, now: float, *, asked: bool
    ) -> list[OpeningStep]:
        """The session can be spoken to; ``asked``: the message was asked for while the phone rang."""
        if lockout is not ev.Lockout.NONE and lock is not ev.LockoutState.IN_FORCE:
            self._history.lockout_refused()
        steps = self._protected(self.protection.session_ready(lockout, lock, now))
        if self.protection.is_on:
            self._history.protected_by = self.protection.words()
        if asked and self.message.phase is MessagePhase.WAITING:
            self.message.already_asked(now)
            self._speech.assume_requested(message_request(self.message.message, self.message.request_id), now)
            self.trace.note("engine", "the message was asked for while the phone rang", now)
        elif not self._beginning.awaits_user(self.message.deadline(), now):
            steps += self._say(now)
        if self.message.over is not None:
            steps += self._protected(self.protection.lift(now))
        return steps

    # --- the user ------------------------------------------------------------------

    def hear(self, audio: bytes, now: float) -> tuple[bytes, list[OpeningStep]]:
        """Take user audio; return what goes to the session now, and what else is to be done."""
        passed = self.gate.admit(audio)  # before what the ear makes of it: what is buffered leaves whole
        steps: list[OpeningStep] = []
        for change in self._ear.feed(audio):
            if isinstance(change, Onset):
                self._user_began(now)
                if self.protection.is_on:
                    steps.append(SpokeOver(kept=self.gate.rule is not UserAudioRule.DROP))
                self.protection.user_began(now)
            elif isinstance(change, Offset):
                self._beginning.user_stopped()
                steps += self._protected(self.protection.user_stopped(now))
                steps += self._say(now)
        return passed, steps

    def user_turn(self, now: float) -> list[OpeningStep]:
        """The session heard a whole turn of the user."""
        steps = self._protected(self.protection.committed(now))
        return steps + self._messaged(self.message.talk_goes_on(), now) + self._say(now)

    @property
    def answers_turns(self) -> bool:
        """Whether the message is the answer to a user turn that ends now: the user's own greeting, turn 0."""
        invited = self.policy.speaks_first is not SpeaksFirst.AGENT
        return self.message.phase is MessagePhase.WAITING or (invited and self._beginning.reach is Reach.UNSENT)

    def says(self, response_id: str) -> bool:
        """Whether a response is the message."""
        return self.message.owns(response_id)

    def awaits(self, request_id: str) -> bool:
        """Whether a request is the newest one for the message."""
        return request_id == self.message.request_id

    @property
    def protects(self) -> bool:
        """Whether user speech must not cut what plays."""
        return self.protection.is_on

    @property
    def bars_keys(self) -> bool:
        """Whether a key must not cut what plays either."""
        return self.protection.bars_keys

    # --- the session -------------------------------------------------------------------

    def started(self, event: ev.ResponseStarted, now: float) -> list[OpeningStep]:
        """A response began."""
        self.message.started(event.response_id, event.request_id, now)
        if self.message.owns(event.response_id):
            self.trace.note("provider", "began to speak the message", now)
            return []
        due = self.protection.is_on or self.message.phase is MessagePhase.WAITING
        if due and event.request_id is None and self.message.over is None:
            self.trace.note("provider", "began a response that nobody asked for; it is silenced", now)
            return [*self._speech.silence(event.response_id, now)]
        return self._messaged(self.message.talk_goes_on(), now)

    def request_sent(self, request_id: str, now: float) -> None:
        """A request went to the session: now, or later than it was asked for."""
        self.message.request_sent(request_id, now)

    def audio(self, event: ev.AgentAudio, now: float) -> list[OpeningStep]:
        """Audio of a response came in."""
        sounds = not self.message.has_sound and has_sound(event.audio, self._leg_format)
        self.message.audio(event.response_id, event.item_id, now, has_sound=sounds)
        return self._beginning_heard(now)

    def ended(self, event: ev.ResponseEnded, now: float) -> list[OpeningStep]:
        """A response is over."""
        if self.message.owns(event.response_id):
            self.trace.note("provider", "ended the message's response: " + event.status.value, now, event.reason)
        may_cancel = self.policy.protection is ProtectionRule.OFF
        return self._messaged(self.message.ended(event, now, early_speech_may_cancel=may_cancel), now)

    def lost(self, why: str, now: float) -> list[OpeningStep]:
        """The request for the message will not be answered."""
        return self._messaged(self.message.lost(why, now), now)

    def discarded(self, _event: ev.UserAudioDiscarded, now: float) -> list[OpeningStep]:
        """The provider has forgotten unused user audio."""
        return self._protected(self.protection.discarded(now))

    def reconfigured(self, event: ev.SessionReconfigured, now: float) -> list[OpeningStep]:
        """The provider acknowledged a configuration."""
        return self._protected(self.protection.reconfigured(event, now))

    def refused(self, request_id: str | None, why: str, now: float, *, busy: bool) -> list[OpeningStep]:
        """The provider refused a request; ``busy``: because another response is active."""
        steps = self._protected(self.protection.refused(request_id, why, now))
        if busy and request_id == self.message.request_id:
            steps += self._messaged(self.message.mistaken(now), now)
        return steps

    # --- the user's ear ----------------------------------------------------------------

    def plays_at(self) -> float:
        """Return from when audio may be sent: asked before its first frame, for a user may have begun to speak."""
        return float("-inf") if self.message.over is not None else self._beginning.plays_at()

    def audible(self, response_id: str, now: float) -> None:
        """The first audio of something was sent."""
        if self.message.owns(response_id) and self._beginning.sent():
            self.trace.note("engine", "the message's first audio was sent", now)

    def first_heard(self, response_id: str, now: float) -> list[OpeningStep]:
        """The mark behind an item's first audio came back."""
        self.message.first_heard(response_id, now)
        if self.message.owns(response_id):
            self._beginning.reach = Reach.HEARD
        return self._beginning_heard(now)

    def played(self, response_id: str, item_id: str, mark: str | None, now: float) -> list[OpeningStep]:
        """An item was played to its end."""
        return self._messaged(self.message.played(response_id, item_id, mark, now), now)

    def interrupted(self, now: float) -> list[OpeningStep]:
        """The user cut what played."""
        return self._messaged(self.message.interrupted(), now)

    # --- time and the end ------------------------------------------------------------------

    def deadline(self) -> float | None:
        """Return when to call `expire`."""
        moments = (self.message.deadline(), self.protection.deadline())
        return min((moment for moment in moments if moment is not None), default=None)

    def expire(self, now: float) -> list[OpeningStep]:
        """Act on the deadlines that have passed."""
        steps = self._protected(self.protection.expire(now))
        deadline = self.message.deadline()
        if self.message.phase is MessagePhase.WAITING and deadline is not None and deadline <= now:
            return steps + self._say(now)
        asked = self.message.phase is MessagePhase.ASKED
        waits = self._speech.is_waiting(self.message.request_id)
        under_way = waits if asked else self._speech.plays(now)
        return steps + self._messaged(self.message.expire(now, under_way=under_way), now)

    def drop(self, why: str, now: float) -> list[OpeningStep]:
        """Nobody wants the message any more; nothing of the protection is undone, and what is buffered stays so."""
        dropped = self.message.dropped(why)
        if dropped:
            self.trace.note("engine", f"the message is dropped: {why}", now)
        return [step for step in dropped if isinstance(step, MessageOver)]

    @property
    def is_over(self) -> bool:
        """Whether the message is over, the protection is off, and nothing of a lockout is left."""
        protection = self.protection
        open_question = protection.owes_restore or (protection.lock is None and self._lockout is not ev.Lockout.NONE)
        return self.message.over is not None and protection.phase is ProtectionPhase.OFF and not open_question

    def report(self) -> MessageReport | None:
        """Return what became of the message; None while it is not over."""
        return self._history.report(self.message)

    # --- inside ---------------------------------------------------------------------------

    def _protect(self, now: float) -> None:
        if self.policy.protection is ProtectionRule.OFF:
            return
        self.protection.begin(self.policy.user_audio, now)
        self._history.protected_by = self.protection.words()

    def _beginning_heard(self, now: float) -> list[OpeningStep]:
        """End the protection where its beginning was all that had to be heard; silence does not count."""
        heard = self._beginning.reach is Reach.HEARD and self.message.has_sound
        if not heard or self.policy.protection is not ProtectionRule.FIRST_AUDIO:
            return []
        return self._protected(self.protection.first_heard(now))

    def _say(self, now: float) -> list[OpeningStep]:
        if self.message.phase is not MessagePhase.WAITING:
            return []
        if self.message.message.audio is None and self.protection.lock is None:
            return []
        if self.protection.phase is ProtectionPhase.OFF and self.policy.speaks_first is SpeaksFirst.USER:
            self._protect(now)
        return self._messaged(self.message.say(now), now)

    def _user_began(self, now: float) -> None:
        self.trace.note("user", "began to speak", now)
        self._beginning.user_began(now)
        invited = self.policy.speaks_first is SpeaksFirst.USER and self.message.phase is MessagePhase.WAITING
        if not invited and self.message.over is None:
            self._history.user_spoke(now)
        if self.message.phase is MessagePhase.WAITING:
            self.message.await_user(now + self.policy.user_turn_s)

    def _messaged(self, found: list[MessageStep], now: float) -> list[OpeningStep]:
        steps: list[OpeningStep] = []
        for step in found:
            if isinstance(step, Ask):
                self.trace.note("engine", f"asked for the message ({step.request_id})", now)
                steps += self._speech.request(message_request(self.message.message, step.request_id), now)
            elif isinstance(step, PlayOwn):
                self.trace.note("engine", "plays the message's own audio", now)
                message = self.message.message
                steps += self._speech.play_own(step.item_id, message.audio or b"", message.text, now)
            elif isinstance(step, CutMessage):
                self.trace.note("engine", f"gave up a try: {step.why}", now)
                steps += [step, *self._cut(step, now)]
            else:
                self.trace.note("engine", f"the message is over: {step.outcome.value}", now, step.detail)
                steps += [step, *self._protected(self.protection.lift(now))]
        return steps

    def _cut(self, step: CutMessage, now: float) -> list[OpeningStep]:
        self._beginning.reach = Reach.UNSENT
        if self.message.over is None:  # the next try is protected like this one
            self.protection.unheard_again(now)
        steps: list[OpeningStep] = []
        if step.request_id is not None:
            steps += self._speech.abandon(step.request_id, now)
        if step.response_id is not None:
            steps += self._speech.silence(step.response_id, now)
            steps += self._speech.cut(now, step.why, provider_cancels=False)[1]
        return steps

    def _protected(self, found: list[ProtectionStep]) -> list[OpeningStep]:
        for step in found:
            if isinstance(step, Lifted) and not step.acknowledged:
                self._history.restore_unacknowledged()
        return [*found]
