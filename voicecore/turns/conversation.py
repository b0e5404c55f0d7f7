"""The whole conversation as one machine: messages, agent speech and turns under joint rules.

The engine's loops hand in what the carrier, the provider and the clock say;
the conversation answers with orders.  It is the only place where the machines
meet:

    Opening      a message that must be heard, and what protects it
    TurnTaking   who answers whom, and what stops the agent
    AgentSpeech  from a response to the user's ear
    TurnLog      what became of each turn, from the facts alone

Joint rules:
1. While a message is protected, nothing stops it and no turn is answered.
2. Whatever an event leads to is carried out in its order: the facts are told
before the orders that follow from them.
3. Nothing here waits, and nothing here knows a carrier or a provider.

Pure: no Trio, no sockets; time is an argument.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from voicecore import events as ev
from voicecore import facts
from voicecore.audio.formats import AudioFormat
from voicecore.turns.agent_speech import BARGED_IN, AgentSpeech, TextEvent
from voicecore.turns.first_message.audio_gate import UserAudioRule
from voicecore.turns.first_message.message import CutMessage, FirstMessagePolicy, Message, MessageOver
from voicecore.turns.first_message.opening import Opening, OpeningStep, Purpose, SpokeOver
from voicecore.turns.first_message.openings import Openings
from voicecore.turns.first_message.protection import Lifted, RestoreFailed
from voicecore.turns.last_words import LastWords
from voicecore.turns.metrics.turn_times import TurnLog
from voicecore.turns.notifier import Notifier
from voicecore.turns.orders import EndCall, Notify, Order
from voicecore.turns.playout.ledger import FirstHeard, MarkKind, Played
from voicecore.turns.recovery import Replies
from voicecore.turns.responses import RequestLost
from voicecore.turns.settings import ConversationSettings
from voicecore.turns.speech_steps import Done, Generated, Said, Unheard
from voicecore.turns.turn_taking import PROMPT, Step, TurnTaking

_NO_LOCKOUT = (ev.Lockout.NONE, ev.LockState.NOT_ASKED)
NOT_AS_ASKED = "is not as asked for"
Handler = Callable[[Any, Any, float], list[Order]]
"""A method of Conversation for one kind of event."""


class Conversation:
    """One call's decisions. Every method returns what is to be done, in order."""

    def __init__(self, leg_format: AudioFormat, began_at: float, settings: ConversationSettings | None = None) -> None:
        self.settings = given = settings or ConversationSettings()
        self.speech = AgentSpeech(leg_format, given.playout, given.response_limits, given.barge_in.after_cut)
        self.log = TurnLog()
        self.usage = ev.TokenUsage()
        self.leg_messages_ignored = 0
        self._notifier = Notifier(began_at)
        self.transcript = self.speech.transcript
        self.last_words = LastWords(self.transcript, self._notifier)
        self._openings = Openings()
        self.taking = TurnTaking(self.speech, self._openings, self._notifier, given, began_at)
        self.problems, self.problem = self._notifier.problems, self._notifier.problem
        self._leg_format = leg_format
        self._began_at = began_at
        self.is_over = False
        """Whether the call has ended: nothing is decided any more."""
        self._lockout = _NO_LOCKOUT

    # --- messages that must be heard ------------------------------------------

    def begin(self, now: float) -> list[Order]:
        """The media began: the first message is due."""
        if self.settings.first_message is None:
            return []
        return self._after(self._open(self.settings.first_message, self.settings.policy, Purpose.FIRST, now), now)

    def session_ready(
        self,
        capabilities: ev.Capabilities,
        now: float,
        *,
        lockout: tuple[ev.Lockout, ev.LockState] = _NO_LOCKOUT,
        asked: bool = False,
    ) -> list[Order]:
        """The session can be spoken to; ``asked``: the message was asked for while the phone rang."""
        self.taking.capabilities, self._lockout = capabilities, lockout
        if self.is_over:
            return []
        if self._opening is None:
            return self._after([], now)
        return self._after(self._opened(self._opening.session_ready(*lockout, now, asked=asked), now), now)

    def leave_message(self, message: Message, now: float) -> list[Order]:
        """A machine answered: stop talking, say this to it whatever it says, and end the call."""
        if self.is_over:
            return []
        why = "a machine answered"
        orders = self._opened(self._opening.drop(why, now), now) if self._opening is not None else []
        cut = self.speech.cut(now, why, provider_cancels=False)[1]
        orders += self._carry([*cut, *self.speech.want_nothing(now)], now)
        policy = FirstMessagePolicy(user_audio=UserAudioRule.DROP, tries=self.settings.policy.tries)
        orders += self._open(message, policy, Purpose.MACHINE, now)
        if self._opening is not None and self.taking.capabilities is not None:
            orders += self._opened(self._opening.session_ready(*self._lockout, now, asked=False), now)
        return self._after(orders, now)

    def user_audio(self, audio: bytes, now: float) -> list[Order]:
        """Take user audio while `is_opening`; return what goes to the session, among other orders."""
        if self.is_over:
            return []
        if self._opening is None:
            return [ev.AppendUserAudio(audio)]
        passed, steps = self._opening.hear(audio, now)
        orders = self._opened(steps, now)
        return self._after([ev.AppendUserAudio(passed), *orders] if passed else orders, now)

    @property
    def openings(self) -> list[Opening]:
        """The first message, then one for an answering machine: two at most."""
        return self._openings.all

    @property
    def is_opening(self) -> bool:
        """Whether user audio must pass `user_audio`; otherwise it goes straight to the session."""
        return self._opening is not None

    def _open(self, message: Message, policy: FirstMessagePolicy, purpose: Purpose, now: float) -> list[Order]:
        opening = Opening(
            message,
            policy,
            self.speech,
            leg_format=self._leg_format,
            began_at=self._began_at,
            purpose=purpose,
            protection=self.settings.protection,
        )
        self._openings.add(opening)
        return self._opened(opening.begin(now), now)

    def _opened(self, steps: Sequence[OpeningStep], now: float) -> list[Order]:
        """Carry out what the opening decided."""
        orders: list[Order] = []
        for step in steps:
            if isinstance(step, CutMessage):
                orders += self._notifier.problem(step.why, "a try to say the message was lost", now)
            elif isinstance(step, MessageOver):
                orders += self._message_over(step, now)
            elif isinstance(step, SpokeOver):
                orders.append(Notify(facts.SpokeOverMessage(self._notifier.at(now), step.kept)))
            elif isinstance(step, Lifted):
                orders += self._lifted(step, now)
            elif isinstance(step, RestoreFailed):
                orders += self._restore_failed(step, now)
            else:
                orders += self._carry([step], now)
        if self._openings.close():
            orders += self._carry(self.taking.release(now), now)
        return orders

    def _message_over(self, step: MessageOver, now: float) -> list[Order]:
        orders: list[Order] = [Notify(facts.MessageDone(self._notifier.at(now), step.outcome, step.detail))]
        if step.outcome is facts.MessageOutcome.UNDELIVERED:
            orders += self._notifier.problem("message_undelivered", step.detail, now)
        if self.openings[-1].purpose is Purpose.MACHINE and step.outcome is not facts.MessageOutcome.DROPPED:
            heard = step.outcome is facts.MessageOutcome.HEARD
            cause = facts.EndCause.MESSAGE_LEFT if heard else facts.EndCause.MACHINE_ANSWERED
            orders.append(EndCall(cause, step.detail))
        return orders

    def _lifted(self, step: Lifted, now: float) -> list[Order]:
        orders: list[Order] = [Notify(facts.ProtectionEnded(self._notifier.at(now)))]
        if not step.acknowledged:
            told = "the provider did not confirm turn detection"
            orders += self._notifier.problem("restore_unacknowledged", told, now)
        return orders

    def _restore_failed(self, step: RestoreFailed, now: float) -> list[Order]:
        orders: list[Order] = [*self._notifier.problem("turn_detection_refused", step.why, now)]
        return [*orders, EndCall(facts.EndCause.SESSION_REFUSED, f"the session would stay deaf: {step.why}")]

    # --- the session ------------------------------------------------------

    def handle_session(self, event: ev.SessionEvent, now: float) -> list[Order]:
        """Take one event of the session; agent audio must be in the leg's format already."""
        if self.is_over:
            return self._too_late(event, now)
        handler = self._SESSION_HANDLERS.get(type(event))
        return self._after(handler(self, event, now), now) if handler else []

    def _speech_started(self, event: ev.UserSpeechStarted, now: float) -> list[Order]:
        due = self._opening is not None and (self._opening.protects or self.speech.audible_since is None)
        may_stop = not due and self.taking.recovery.state is not Replies.ENDING  # what plays then is all there is
        return self._carry(self.taking.user_started(event, now, may_stop=may_stop), now)

    def _speech_stopped(self, event: ev.UserSpeechStopped, now: float) -> list[Order]:
        return self._carry(self.taking.user_stopped(event, now), now)

    def _turn_committed(self, event: ev.UserTurnCommitted, now: float) -> list[Order]:
        self.last_words.committed(event.item_id)
        opening = self._opening
        if opening is None:
            return self._carry(self.taking.committed(event.item_id, now), now)
        later = self._comes_later(opening)
        orders = self._carry(self.taking.committed(event.item_id, now, later=later, awaits_message=True), now)
        return orders + self._opened(opening.user_turn(now), now)

    def _comes_later(self, opening: Opening) -> bool:
        """Whether a turn that ends now is answered behind the message that is due, not by it."""
        capabilities = self.taking.capabilities
        return not opening.answers_turns and (capabilities is None or not capabilities.replies)

    def _user_text(self, event: ev.UserTranscriptPart, now: float) -> list[Order]:
        if not self.transcript.extend(facts.Speaker.USER, event.item_id, event.text):
            return []
        return self._carry(self.taking.user_words(event.item_id, now, complete=False), now)

    def _user_text_done(self, event: ev.UserTranscriptDone, now: float) -> list[Order]:
        self.transcript.complete(facts.Speaker.USER, event.item_id, event.text)
        self.last_words.known(event.item_id)
        told = Notify(facts.UserSaid(self._notifier.at(now), event.item_id, event.text))
        return [told, *self._carry(self.taking.user_words(event.item_id, now, complete=True), now)]

    def _user_text_failed(self, event: ev.UserTranscriptFailed, now: float) -> list[Order]:
        self.transcript.add(facts.Speaker.USER, event.item_id)
        self.last_words.known(event.item_id)
        told = [Notify(facts.UserSaid(self._notifier.at(now), event.item_id, None))]
        told += self._notifier.problem(event.code, event.message or "a turn could not be transcribed", now)
        return [*told, *self._carry(self.taking.user_words(event.item_id, now, complete=True), now)]

    def _response_started(self, event: ev.ResponseStarted, now: float) -> list[Order]:
        event = self.speech.named(event, may_be_own=self.taking.turns.session_owes_reply)
        orders = self._carry(self.speech.started(event, now), now)
        if self.speech.may_be_heard(event.response_id):
            orders += self._carry(self.taking.response_began(event, now), now)
        return orders + self._opened(self._opening.started(event, now), now) if self._opening else orders

    def _written(self, event: TextEvent, now: float) -> list[Order]:
        return self._carry(self.speech.write(event, now), now)

    def _agent_audio(self, event: ev.AgentAudio, now: float) -> list[Order]:
        if not self.speech.admit(event, now):
            return []
        dropped = self.speech.dropped_bytes["no_room"]
        orders = self._carry(self.speech.play(event, now), now)
        if self.speech.dropped_bytes["no_room"] != dropped:
            self.problems["playout_full"] += 1
        return orders + self._opened(self._opening.audio(event, now), now) if self._opening is not None else orders

    def _agent_audio_ended(self, event: ev.AgentAudioEnded, now: float) -> list[Order]:
        return self._carry(self.speech.item_ended(event.item_id), now)

    def _tool_call(self, event: ev.ToolCallRequested, now: float) -> list[Order]:
        return self._carry(self.taking.tool_called(event), now)

    def _response_ended(self, event: ev.ResponseEnded, now: float) -> list[Order]:
        if self.speech.has_ended(event.response_id):
            return []
        if event.usage is not None:
            self.usage += event.usage
        orders = self._carry(self.speech.ended(event, now), now)
        if is_fatal := event.severity is ev.Severity.FATAL:
            orders += self._carry(self.taking.session_failed(event, now), now)
        if self._opening is not None and self._opening.message.owns(event.response_id):
            return orders + self._opened(self._opening.ended(event, now), now)
        return orders if is_fatal else orders + self._carry(self.taking.response_ended(event, now), now)

    def _discarded(self, event: ev.UserAudioDiscarded, now: float) -> list[Order]:
        return self._opened(self._opening.discarded(event, now), now) if self._opening else []

    def _reconfigured(self, event: ev.SessionReconfigured, now: float) -> list[Order]:
        lifted = event.lock is ev.LockState.LIFTED
        self.taking.capabilities = event.capabilities
        self._lockout = _NO_LOCKOUT if lifted else (self._lockout[0], event.lock)
        orders: list[Order] = []
        for key in event.differences:
            orders += self._notifier.problem(f"notice: {key}", NOT_AS_ASKED, now)
        return orders + self._opened(self._opening.reconfigured(event, now), now) if self._opening else orders

    def _problem(self, event: ev.SessionProblem, now: float) -> list[Order]:
        code = event.code or "unnamed"
        if event.severity is ev.Severity.HARMLESS:
            self.problems[code] += 1
            return []
        orders: list[Order] = [*self._notifier.problem(code, event.message, now)]
        if event.severity is ev.Severity.FATAL:
            said = f"{code}: {event.message}" if event.message else code
            return [*orders, EndCall(facts.EndCause.SESSION_LOST, f"the provider ended the session: {said}")]
        busy = event.severity is ev.Severity.BUSY
        if self._opening is not None:
            orders += self._opened(self._opening.refused(event.request_id, code, now, busy=busy), now)
        orders += self._carry(self.speech.refused(event.request_id, now, busy=busy), now)
        if busy or event.request_id is not None:
            orders += self._carry(self.taking.reply_refused(now), now)
        if busy and event.request_id is None and self._opening is None:
            orders += self._carry(self.taking.session_refused(now), now)
        return orders

    def _notice(self, event: ev.SessionNotice, now: float) -> list[Order]:
        return [*self._notifier.problem(f"notice: {event.name}", event.why, now)]

    # --- the leg ------------------------------------------------------------

    def handle_leg(self, event: ev.LegEvent, now: float) -> list[Order]:
        """Take one event of the leg; user audio does not pass here, see `user_audio`."""
        handler = self._LEG_HANDLERS.get(type(event))
        return self._after(handler(self, event, now), now) if handler and not self.is_over else []

    def _echoed(self, event: ev.MarkReturned, now: float) -> list[Order]:
        kind, steps = self.speech.mark_returned(event.name, now)
        if kind is MarkKind.UNMATCHED:
            return []
        told: list[Order] = [Notify(facts.MarkReturned(self._notifier.at(now), event.name, kind is MarkKind.HEARD))]
        if kind is MarkKind.FLUSHED:
            told += self._carry(self.taking.flushed(now), now)
        return told + self._carry(steps, now)

    def _digit(self, event: ev.DigitPressed, now: float) -> list[Order]:
        due = self._opening is not None and self._opening.bars_keys
        later = self._opening is not None
        return self._carry(self.taking.pressed(event.digit, now, may_stop=not due, later=later), now)

    def _stopped(self, _event: ev.LegStopped, _now: float) -> list[Order]:
        return [EndCall(facts.EndCause.REMOTE_HUNG_UP)]

    def _ignored(self, _event: ev.LegMessageIgnored | ev.LegStarted, _now: float) -> list[Order]:
        self.leg_messages_ignored += 1
        return []

    def due(self, now: float) -> list[ev.LegOrder]:
        """Return what may go to the carrier now."""
        return self.speech.due(now, speech_from=self._plays_at())

    def next_due(self) -> float | None:
        """Return when `due` will next have something, as far as known; None is "not before something happens"."""
        return self.speech.next_due(speech_from=self._plays_at())

    def _plays_at(self) -> float:
        return self._opening.plays_at() if self._opening is not None else self.taking.plays_at()

    @property
    def generation(self) -> int:
        """The newest generation; one that rose has a clear as the next order of `due`."""
        return self.speech.generation

    def is_current(self, order: ev.LegOrder) -> bool:
        """Whether an order taken from `due` may still be written: no clear has come since."""
        return order.generation == self.generation

    def sent(self, order: ev.LegOrder, now: float) -> list[Order]:
        """An order of `due` is on the carrier's socket."""
        audible = self.speech.sent(order, now) if isinstance(order, ev.PlayAudio) else None
        if self.is_over:
            return []
        if isinstance(order, ev.ClearPlayout):
            return self._after(self._carry(self.taking.clear_written(now), now), now)
        if audible is None:
            return []
        if self._opening is not None:
            self._opening.audible(audible.response_id, now)
        return self._after(self._carry(self.taking.audible(audible, now), now), now)

    # --- time ----------------------------------------------------------------

    def deadline(self) -> float | None:
        """Return when to call `expire`; None while nothing is awaited, and after the end."""
        if self.is_over:
            return None
        opening = self._opening.deadline() if self._opening is not None else None
        moments = (self.taking.deadline(), self.speech.deadline(), opening)
        return min((moment for moment in moments if moment is not None), default=None)

    def expire(self, now: float) -> list[Order]:
        """Act on every deadline that has passed."""
        if self.is_over:
            return []
        orders = self._carry(self.speech.expire(now), now)
        if self._opening is not None:
            orders += self._opened(self._opening.expire(now), now)
        later = self._opening is not None
        return self._after(orders + self._carry(self.taking.expire(now, later=later), now), now)

    def end(self, now: float) -> list[Order]:
        """The call is over; what was not heard by now never will be. Returns what observers are told."""
        dropped = self._opening.drop("the call ended before it was heard", now) if self._opening is not None else []
        orders = self._after(self._opened(dropped, now), now)
        self.speech.end(now)
        self.taking.end(now)
        self.is_over = True
        if self.transcript.dropped_chars or self.transcript.dropped_lines:
            self.problems["transcript_too_long"] += 1
        at = self._notifier.at(now)
        orders += [*(Notify(facts.TurnEnded(at, turn)) for turn in self.log.end(at)), *self._notifier.untold(now)]
        return [order for order in orders if isinstance(order, Notify)]

    # --- inside -----------------------------------------------------------------

    @property
    def _opening(self) -> Opening | None:
        return self._openings.current

    def _too_late(self, event: ev.SessionEvent, now: float) -> list[Order]:
        """Count what comes after the end, audio that nobody hears and what it cost; write down the user's words."""
        self.usage += self.speech.take_late(event, now)
        return self._logged(self.last_words.take_late(event, now), now)

    def _after(self, orders: list[Order], now: float) -> list[Order]:
        """Take note of what an event has led to: turns that ended by it, and whether anything goes on."""
        told = self._logged([*orders, *self._carry(self.taking.afterwards(now), now)], now)
        self.taking.notice(now)
        return told

    def _logged(self, orders: list[Order], now: float) -> list[Order]:
        told: list[Order] = []
        for order in orders:
            if isinstance(order, ev.RequestResponse) and self.taking.recovery.state is Replies.ENDING:
                continue  # nothing is asked for any more
            told.append(order)
            if isinstance(order, Notify):
                ended = self.log.take(order.fact)
                told += [Notify(facts.TurnEnded(self._notifier.at(now), turn)) for turn in ended]
        return told

    def _carry(self, steps: Sequence[Step], now: float) -> list[Order]:
        """Carry out what follows from the agent's speech and the turns."""
        carried: list[Order] = []
        for step in steps:
            if isinstance(step, RequestLost):
                carried += self._request_lost(step, now)
            elif isinstance(step, Said):
                at_s = self._notifier.at(now)
                carried.append(Notify(facts.AgentSaid(at_s, step.item_id, step.text, step.interrupted, step.heard)))
            elif isinstance(step, Done):
                carried += self._done(step, now)
            elif isinstance(step, Generated):
                carried += self._carry(self.taking.generated(step.response_id, now), now)
            elif isinstance(step, Unheard):
                carried += self._carry(self.taking.ended_unheard(step.response_id, now), now)
            elif isinstance(step, FirstHeard | Played):
                carried += self._heard(step, now)
            else:
                carried.append(step)
                if self._opening is not None and isinstance(step, ev.RequestResponse):
                    self._opening.request_sent(step.request_id, now)
        return carried

    def _done(self, step: Done, now: float) -> list[Order]:
        told: list[Order] = [
            Notify(facts.AgentDone(self._notifier.at(now), step.response_id, step.why, step.incomplete))
        ]
        if step.why:
            told += self._carry(self.taking.ended_unheard(step.response_id, now), now)
        if step.why == BARGED_IN and self._opening is not None and self._opening.message.owns(step.response_id):
            told += self._opened(self._opening.interrupted(now), now)
        return told

    def _heard(self, step: FirstHeard | Played, now: float) -> list[Order]:
        orders: list[Order] = []
        if isinstance(step, FirstHeard):
            orders.append(Notify(facts.AgentHeard(self._notifier.at(now), step.response_id)))
        if self._opening is None:
            return orders
        if isinstance(step, FirstHeard):
            return orders + self._opened(self._opening.first_heard(step.response_id, now), now)
        return orders + self._opened(self._opening.played(step.response_id, step.item_id, step.mark, now), now)

    def _request_lost(self, lost: RequestLost, now: float) -> list[Order]:
        if self._opening is not None and lost.request_id == self._opening.message.request_id:
            return self._opened(self._opening.lost(lost.why, now), now)
        if lost.request_id.startswith(PROMPT):
            return [*self._notifier.problem("prompt_lost", lost.why, now)]
        return self._carry(self.taking.reply_lost(lost.why, now), now)

    _SESSION_HANDLERS: ClassVar[Mapping[type, Handler]] = {
        ev.UserSpeechStarted: _speech_started,
        ev.UserSpeechStopped: _speech_stopped,
        ev.UserTurnCommitted: _turn_committed,
        ev.UserTranscriptPart: _user_text,
        ev.UserTranscriptDone: _user_text_done,
        ev.UserTranscriptFailed: _user_text_failed,
        ev.ResponseStarted: _response_started,
        ev.AgentItemAdded: _written,
        ev.AgentAudio: _agent_audio,
        ev.AgentAudioEnded: _agent_audio_ended,
        ev.AgentTextPart: _written,
        ev.AgentTextDone: _written,
        ev.ToolCallRequested: _tool_call,
        ev.ResponseEnded: _response_ended,
        ev.SessionProblem: _problem,
        ev.SessionNotice: _notice,
        ev.UserAudioDiscarded: _discarded,
        ev.SessionReconfigured: _reconfigured,
    }

    _LEG_HANDLERS: ClassVar[Mapping[type, Handler]] = {
        ev.MarkReturned: _echoed,
        ev.DigitPressed: _digit,
        ev.LegStopped: _stopped,
        ev.LegMessageIgnored: _ignored,
        ev.LegStarted: _ignored,
    }
