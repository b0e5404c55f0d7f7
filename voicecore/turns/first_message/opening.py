"""The opening of a call: its first message, what protects it, and when the user counts.

    FirstMessage   is it asked for, spoken, heard, lost
    Protection     lockout and gate, and how they are lifted
    UserAudioGate     what becomes of user audio meanwhile
    EnergyVad     whether the user speaks, heard on our own side

Joint rules:
1. The protection ends with the message, whatever becomes of it, and not before.
2. While it is on, a response that was not asked for is silenced: it would take
the message's place.
3. Who speaks first is asked again at the moment of the first frame.

The message left on an answering machine is an opening too: protected, and then
the call is over.

Pure; time is an argument.
"""

from __future__ import annotations

import enum

import attrs

from voicecore.audio.formats import AudioFormat
from voicecore.audio.level import BLOCK_S, EnergyVad, EnergyVadSettings, Offset, Onset, has_sound
from voicecore.events import (
    AgentAudio,
    Lockout,
    LockState,
    RequestResponse,
    ResponseEnded,
    ResponseStarted,
    SessionReconfigured,
    UserAudioDiscarded,
)
from voicecore.facts import MessageReport
from voicecore.turns.agent_speech import AgentSpeech, word_for_word
from voicecore.turns.first_message.audio_gate import UserAudioGate, UserAudioRule
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
from voicecore.turns.first_message.trace import Trace
from voicecore.turns.first_message.verdict import Dangers, verdict
from voicecore.turns.speech_steps import SpeechStep


class Purpose(enum.Enum):
    """What a message is for; the value begins its requests' ids."""

    FIRST = "first-message"
    MACHINE = "machine-message"  #: left on an answering machine; then the call is over


@attrs.frozen
class SpokeOver:
    """The user began to speak over the message; ``kept``: the session gets it, now or afterwards."""

    kept: bool


class _Reach(enum.Enum):
    """How far the beginning of the present try has come."""

    UNSENT = "unsent"
    SENT = "sent"
    HEARD = "heard"


_UNJUDGED_S = EnergyVadSettings().on_s - BLOCK_S  #: speech that is no longer than this our ear has not noticed

OpeningStep = SpeechStep | SpokeOver | CutMessage | MessageOver | Lifted | RestoreFailed


def message_request(message: Message, request_id: str) -> RequestResponse:
    """Return the request that has a session speak a message: the same while the phone rings and after pick-up."""
    return RequestResponse(request_id=request_id, instructions=word_for_word(message.text))


def lockout_for(message: Message | None, policy: FirstMessagePolicy) -> Lockout:
    """Return the lockout that a session must be opened with, so that this message is safe from the first moment."""
    if message is None:
        return Lockout.NONE
    if policy.speaks_first is not SpeaksFirst.AGENT:
        return Lockout.NO_REPLY  # the user's greeting is to be heard, and not answered by the model
    if policy.protection is ProtectionRule.OFF:
        return Lockout.NONE
    forwards = policy.user_audio is UserAudioRule.FORWARD
    return Lockout.NO_REPLY if forwards else Lockout.DETECTION_OFF


def prepared_request(message: Message) -> RequestResponse:
    """Return the request for a first message that is generated before the media begin."""
    return message_request(message, FirstMessage(message, FirstMessagePolicy(), Purpose.FIRST.value).request_id)


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
        self.trace = Trace(began_at)
        self.gate = UserAudioGate(leg_format.bytes_in(policy.yield_s), unjudged_bytes=leg_format.bytes_in(_UNJUDGED_S))
        self.protection = Protection(self.gate, self.trace, protection)
        self._lockout = lockout_for(message, policy) if purpose is Purpose.FIRST else Lockout.NONE
        self._speech = speech
        self._leg_format = leg_format
        self._ear = EnergyVad(leg_format)
        self._began_at = began_at
        self._dangers = Dangers()
        self._protected_by = "nothing"
        self._user_since: float | None = None
        self._reach = _Reach.UNSENT
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

    def session_ready(self, lockout: Lockout, lock: LockState, now: float, *, asked: bool) -> list[OpeningStep]:
        """The session can be spoken to; ``asked``: the message was asked for while the phone rang."""
        if lockout is not Lockout.NONE and lock is not LockState.IN_FORCE:
            self._dangers = attrs.evolve(self._dangers, lockout_refused=True)
        steps = self._protected(self.protection.session_ready(lockout, lock, now))
        if self.protection.is_on:
            self._protected_by = self.protection.words()
        if asked and self.message.phase is MessagePhase.WAITING:
            self.message.already_asked(now)
            self._speech.assume_requested(self._request(self.message.request_id), now)
            self.trace.note("engine", "the message was asked for while the phone rang", now)
        elif not self._awaits_user(now):
            steps += self._say(now)
        if self.message.over is not None:
            steps += self._protected(self.protection.lift(now))
        return steps

    # --- the user ------------------------------------------------------------------

    def hear(self, audio: bytes, now: float) -> tuple[bytes, list[OpeningStep]]:
        """Take user audio; return what goes to the session now, and what else is to be done."""
        passed = self.gate.admit(audio)  # before what the ear makes of it: what is held leaves whole
        steps: list[OpeningStep] = []
        for change in self._ear.feed(audio):
            if isinstance(change, Onset):
                self._user_began(now)
                if self.protection.is_on:
                    steps.append(SpokeOver(kept=self.gate.rule is not UserAudioRule.DROP))
                self.protection.user_began(now)
            elif isinstance(change, Offset):
                self._user_since = None
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
        return self.message.phase is MessagePhase.WAITING or (invited and self._reach is _Reach.UNSENT)

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

    def started(self, event: ResponseStarted, now: float) -> list[OpeningStep]:
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

    def audio(self, event: AgentAudio, now: float) -> list[OpeningStep]:
        """Audio of a response came in."""
        sounds = not self.message.has_sound and has_sound(event.audio, self._leg_format)
        self.message.audio(event.response_id, event.item_id, now, has_sound=sounds)
        return self._beginning_heard(now)

    def ended(self, event: ResponseEnded, now: float) -> list[OpeningStep]:
        """A response is over."""
        if self.message.owns(event.response_id):
            self.trace.note("provider", f"ended the message's response: {_and(event.status.value, event.reason)}", now)
        may_cancel = self.policy.protection is ProtectionRule.OFF
        return self._messaged(self.message.ended(event, now, early_speech_may_cancel=may_cancel), now)

    def lost(self, why: str, now: float) -> list[OpeningStep]:
        """The request for the message will not be answered."""
        return self._messaged(self.message.lost(why, now), now)

    def discarded(self, _event: UserAudioDiscarded, now: float) -> list[OpeningStep]:
        """The provider has forgotten unused user audio."""
        return self._protected(self.protection.discarded(now))

    def reconfigured(self, event: SessionReconfigured, now: float) -> list[OpeningStep]:
        """The provider echoed a configuration."""
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
        if self._reach is not _Reach.UNSENT or self.message.over is not None:
            return float("-inf")
        free_at = self._began_at + self.policy.lead_in_s
        if self.policy.speaks_first is SpeaksFirst.WHOEVER and self._user_since is not None:
            return max(free_at, self._user_since + self.policy.user_turn_s)
        return free_at

    def audible(self, response_id: str, now: float) -> None:
        """The first audio of something was sent."""
        if self.message.owns(response_id) and self._reach is _Reach.UNSENT:
            self._reach = _Reach.SENT
            self.trace.note("engine", "the message's first audio was sent", now)

    def first_heard(self, response_id: str, now: float) -> list[OpeningStep]:
        """The mark behind an item's first audio came back."""
        self.message.first_heard(response_id, now)
        if self.message.owns(response_id):
            self._reach = _Reach.HEARD
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
        """Nobody wants the message any more; nothing of the protection is undone, and what is held stays held."""
        dropped = self.message.dropped(why)
        if dropped:
            self.trace.note("engine", f"the message is dropped: {why}", now)
        return [step for step in dropped if isinstance(step, MessageOver)]

    @property
    def is_over(self) -> bool:
        """Whether the message has met its fate, the protection is off, and nothing of a lockout is left."""
        protection = self.protection
        open_question = protection.owes_restore or (protection.lock is None and self._lockout is not Lockout.NONE)
        return self.message.over is not None and protection.phase is ProtectionPhase.OFF and not open_question

    def report(self) -> MessageReport | None:
        """Return what became of the message; None before its fate."""
        message = self.message
        if message.over is None:
            return None
        dangers = attrs.evolve(self._dangers, losses=tuple(message.losses))
        first_heard_s, heard_s = self._since(message.first_heard_at), self._since(message.heard_at)
        return MessageReport(
            outcome=message.over.outcome,
            detail=message.over.detail,
            first_heard_s=first_heard_s,
            heard_s=heard_s,
            heard_by=message.heard_by,
            requests=message.requests,
            protection=self._protected_by,
            verdict=verdict(message.message.name, message.over.outcome, heard_s, self._protected_by, dangers),
            trace=tuple(self.trace.lines()),
        )

    # --- inside ---------------------------------------------------------------------------

    def _protect(self, now: float) -> None:
        if self.policy.protection is ProtectionRule.OFF:
            return
        self.protection.begin(self.policy.user_audio, now)
        self._protected_by = self.protection.words()

    def _beginning_heard(self, now: float) -> list[OpeningStep]:
        """End the protection where its beginning was all that had to be heard; silence is none."""
        heard = self._reach is _Reach.HEARD and self.message.has_sound
        if not heard or self.policy.protection is not ProtectionRule.FIRST_AUDIO:
            return []
        return self._protected(self.protection.first_heard(now))

    def _awaits_user(self, now: float) -> bool:
        """Whether the user speaks, or is to speak, before the message."""
        deadline = self.message.deadline()
        waits = deadline is not None and now < deadline
        if self.policy.speaks_first is SpeaksFirst.WHOEVER:
            return waits and self._user_since is not None
        return waits and self.policy.speaks_first is SpeaksFirst.USER

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
        self._user_since = now
        invited = self.policy.speaks_first is SpeaksFirst.USER and self.message.phase is MessagePhase.WAITING
        if not invited and self._dangers.user_spoke_s is None and self.message.over is None:
            self._dangers = attrs.evolve(self._dangers, user_spoke_s=now - self._began_at)
        if self.message.phase is MessagePhase.WAITING:
            self.message.await_user(now + self.policy.user_turn_s)

    def _messaged(self, found: list[MessageStep], now: float) -> list[OpeningStep]:
        steps: list[OpeningStep] = []
        for step in found:
            if isinstance(step, Ask):
                self.trace.note("engine", f"asked for the message ({step.request_id})", now)
                steps += self._speech.request(self._request(step.request_id), now)
            elif isinstance(step, PlayOwn):
                self.trace.note("engine", "plays the message's own audio", now)
                message = self.message.message
                steps += self._speech.play_own(step.item_id, message.audio or b"", message.text, now)
            elif isinstance(step, CutMessage):
                self.trace.note("engine", f"gave up a try: {step.why}", now)
                steps += [step, *self._cut(step, now)]
            else:
                self.trace.note("engine", f"the message is over: {_and(step.outcome.value, step.detail)}", now)
                steps += [step, *self._protected(self.protection.lift(now))]
        return steps

    def _request(self, request_id: str) -> RequestResponse:
        return message_request(self.message.message, request_id)

    def _cut(self, step: CutMessage, now: float) -> list[OpeningStep]:
        self._reach = _Reach.UNSENT
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
                self._dangers = attrs.evolve(self._dangers, restore_unacknowledged=True)
        return [*found]

    def _since(self, moment: float | None) -> float | None:
        return None if moment is None else moment - self._began_at


def _and(word: str, more: str | None) -> str:
    return f"{word} ({more})" if more else word
