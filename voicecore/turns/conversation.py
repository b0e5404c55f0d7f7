"""The whole conversation as one machine: floor, agent speech, opening and caller turns under joint rules.

The engine's loops hand in what the carrier, the provider and the clock say;
the conversation answers with orders.  It is the only place where the machines
meet.

Joint rules:
1. Caller speech while agent speech is in hand cuts it at once: the clear is the
   next thing on the carrier's wire, the response is silenced for good (and
   cancelled unless the provider does that itself), and the provider's history is
   cut to what was heard.  What decides is playout, not whether the provider is
   done: the tail of a finished response is cut like any other.
2. Every committed caller turn ends in a reply, a barge-in, or a named failure
   within a deadline; a lost reply is asked for once more.
3. Nothing here waits, and nothing here knows a carrier or a provider.

Pure: no Trio, no sockets; time is an argument.  Used by engine/call.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from voicecore import events as ev
from voicecore import facts
from voicecore.audio.formats import AudioFormat
from voicecore.turns.first_message import CutMessage, FirstMessagePolicy, Message, MessageOver
from voicecore.turns.floor import Floor, FloorMachine, Move
from voicecore.turns.gate import CallerAudioRule
from voicecore.turns.opening import Opening, OpeningStep, Purpose
from voicecore.turns.orders import EndCall, Order, Tell
from voicecore.turns.playout import EchoKind, FirstHeard, Played
from voicecore.turns.protection import Deaf, Lifted
from voicecore.turns.responses import Phase, RequestLost
from voicecore.turns.settings import ConversationSettings
from voicecore.turns.speech import AgentSpeech, Said, SpeechStep, TextEvent

_RETRIES = 1  #: how often a lost reply is asked for again
_NO_LOCKOUT = (ev.Lockout.NONE, ev.LockState.NOT_ASKED)
NOT_AS_ASKED = "is not as asked for"
_NO_SUCH_TOOL = '{"error": "there is no such tool"}'


Handler = Callable[[Any, Any, float], list[Order]]
"""A method of Conversation for one kind of event."""


class Conversation:
    """One call's decisions. Every method returns what is to be done, in order."""

    def __init__(self, leg_format: AudioFormat, began_at: float, settings: ConversationSettings | None = None) -> None:
        self.settings = settings or ConversationSettings()
        self.speech = AgentSpeech(leg_format, began_at, self.settings.playout, self.settings.responses)
        self.floor = FloorMachine(Floor.CALLER, self.settings.floor)
        self.openings: list[Opening] = []
        """The first message, then one for an answering machine: two at most."""
        self.usage = ev.TokenUsage()
        self.barge_ins = 0
        self.problems: Counter[str] = Counter()
        self.digits = 0
        self.leg_messages_ignored = 0
        self._leg_format = leg_format
        self._began_at = began_at
        self._opening: Opening | None = None  # the one that is not over
        self._unanswered: str | None = None  # the caller turn that a message keeps waiting
        self._capabilities: ev.Capabilities | None = None
        self._lockout = _NO_LOCKOUT
        self._reply_retries = _RETRIES
        self._onset_at: float | None = None

    # --- messages that must be heard ------------------------------------------

    def begin(self, now: float) -> list[Order]:
        """The media began: the first message is due."""
        if self.settings.first_message is None:
            return []
        return self._open(self.settings.first_message, self.settings.policy, Purpose.FIRST, now)

    def session_ready(
        self,
        capabilities: ev.Capabilities,
        now: float,
        *,
        lockout: tuple[ev.Lockout, ev.LockState] = _NO_LOCKOUT,
        asked: bool = False,
    ) -> list[Order]:
        """The session can be spoken to; ``asked``: the first message was asked for while the phone rang."""
        self._capabilities, self._lockout = capabilities, lockout
        if self._opening is None:
            return []
        return self._opened(self._opening.session_ready(*lockout, now, asked=asked), now)

    def leave_message(self, message: Message, now: float) -> list[Order]:
        """A machine answered: stop talking, say this to it whatever it says, and end the call."""
        dropped = self._opening.drop("a machine answered", now) if self._opening is not None else []
        orders = self._opened(dropped, now)
        orders += self._drop_all(now)
        policy = FirstMessagePolicy(caller_audio=CallerAudioRule.DROP, tries=self.settings.policy.tries)
        orders += self._open(message, policy, Purpose.MACHINE, now)
        if self._opening is not None and self._capabilities is not None:
            orders += self._opened(self._opening.session_ready(*self._lockout, now, asked=False), now)
        return orders

    def caller_audio(self, audio: bytes, now: float) -> list[Order]:
        """Take caller audio while `is_opening`; return what goes to the session, among other orders."""
        if self._opening is None:
            return [ev.AppendCallerAudio(audio)]
        passed, steps = self._opening.hear(audio, now)
        orders = self._opened(steps, now)
        return [ev.AppendCallerAudio(passed), *orders] if passed else orders

    @property
    def is_opening(self) -> bool:
        """Whether caller audio must pass `caller_audio`; otherwise it goes straight to the session."""
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
        self._opening = opening
        self.openings.append(self._opening)
        self.floor.handle(Move.MESSAGE_DUE, now)
        return self._opened(self._opening.begin(now), now)

    def _opened(self, steps: Sequence[OpeningStep], now: float) -> list[Order]:
        """Carry out what the opening decided."""
        orders: list[Order] = []
        for step in steps:
            if isinstance(step, CutMessage):
                orders += self._tell_problem(step.why, "a try to say the message was lost", now)
            elif isinstance(step, MessageOver):
                orders += self._message_over(step, now)
            elif isinstance(step, Lifted):
                orders += self._lifted(step, now)
            elif isinstance(step, Deaf):
                orders += self._deaf(step, now)
            else:
                orders += self._carry([step], now)
        if self._opening is not None and self._opening.is_over:
            self._opening = None
        return orders

    def _drop_all(self, now: float) -> list[Order]:
        """Cut all speech in hand; nobody interrupted it."""
        _, steps = self.speech.cut(now, provider_cancels=False)
        return self._carry(steps, now)

    def _message_over(self, step: MessageOver, now: float) -> list[Order]:
        self.floor.handle(Move.MESSAGE_OVER, now)
        orders: list[Order] = [Tell(facts.MessageDone(self._at(now), step.fate, step.detail))]
        if step.fate is facts.MessageFate.UNDELIVERED:
            orders += self._tell_problem("message_undelivered", step.detail, now)
        if self.openings[-1].purpose is Purpose.MACHINE and step.fate is not facts.MessageFate.DROPPED:
            heard = step.fate is facts.MessageFate.HEARD
            cause = facts.EndCause.MESSAGE_LEFT if heard else facts.EndCause.MACHINE_ANSWERED
            orders.append(EndCall(cause, step.detail))
        return orders

    def _lifted(self, step: Lifted, now: float) -> list[Order]:
        orders: list[Order] = [Tell(facts.ProtectionEnded(self._at(now)))]
        if not step.acknowledged:
            orders += self._tell_problem("unlock_unacknowledged", "the provider did not confirm turn detection", now)
        if self._unanswered is None or self.floor.state is Floor.OVER:
            return orders
        self._unanswered = None
        self.floor.handle(Move.CALLER_DONE, now)
        return orders + self._carry(self.speech.request_reply(now), now)

    def _deaf(self, step: Deaf, now: float) -> list[Order]:
        orders = self._tell_problem("turn_detection_refused", step.why, now)
        return [*orders, EndCall(facts.EndCause.SESSION_REFUSED, f"the session would stay deaf: {step.why}")]

    # --- the session ------------------------------------------------------

    def handle_session(self, event: ev.SessionEvent, now: float) -> list[Order]:
        """Take one event of the session; agent audio must be in the leg's format already."""
        handler = self._SESSION_HANDLERS.get(type(event))
        return handler(self, event, now) if handler else []

    def _speech_started(self, event: ev.CallerSpeechStarted, now: float) -> list[Order]:
        self.floor.handle(Move.CALLER_SPOKE, now)
        orders: list[Order] = [Tell(facts.CallerStarted(self._at(now), event.item_id))]
        if self._opening is not None and (self._opening.protects or not self.speech.playout.audible):
            return orders  # a message can be cut only once some of it was sent
        return orders + self._barge_in(now) if self.speech.playout.speaking else orders

    def _speech_stopped(self, _event: ev.CallerSpeechStopped, now: float) -> list[Order]:
        self.speech.replies.caller_stopped(now)
        return []

    def _turn_committed(self, event: ev.CallerTurnCommitted, now: float) -> list[Order]:
        self.speech.transcript.add(facts.Speaker.CALLER, event.item_id)
        self.floor.handle(Move.CALLER_DONE, now)
        self._reply_retries = _RETRIES
        orders: list[Order] = [Tell(facts.CallerStopped(self._at(now), event.item_id))]
        if self._opening is not None:
            return orders + self._turn_before_message(self._opening, event, now)
        if self._provider_replies or self.speech.responses.waiting:
            return orders  # one response answers every turn that was committed before it
        return orders + self._carry(self.speech.request_reply(now), now)

    def _turn_before_message(self, opening: Opening, event: ev.CallerTurnCommitted, now: float) -> list[Order]:
        """A turn while a message is due is answered by it, or behind it."""
        if not opening.answers_turns and not self._provider_replies:
            self._unanswered = event.item_id
        return self._opened(opening.caller_turn(now), now)

    def _caller_text_done(self, event: ev.CallerTranscriptDone, now: float) -> list[Order]:
        self.speech.transcript.complete(facts.Speaker.CALLER, event.item_id, event.text)
        return [Tell(facts.CallerSaid(self._at(now), event.item_id, event.text))]

    def _caller_text_failed(self, event: ev.CallerTranscriptFailed, now: float) -> list[Order]:
        self.speech.transcript.add(facts.Speaker.CALLER, event.item_id)
        self.problems[event.code] += 1
        return [Tell(facts.CallerSaid(self._at(now), event.item_id, None))]

    def _response_started(self, event: ev.ResponseStarted, now: float) -> list[Order]:
        orders = self._carry([*self.speech.responses.started(event, now)], now)
        return orders + self._opened(self._opening.started(event, now), now) if self._opening else orders

    def _written(self, event: TextEvent, now: float) -> list[Order]:
        self.speech.write(event, now)
        return []

    def _agent_audio(self, event: ev.AgentAudio, now: float) -> list[Order]:
        if not self.speech.admit(event, now):
            return []
        if self.floor.state is Floor.OVER:
            self.speech.drop(event)
            return []
        if self._opening is not None:
            self._opening.audio(event.response_id, event.item_id, now)
        dropped = self.speech.dropped_bytes["no_room"]
        orders = self._carry(self.speech.play(event, now), now)
        if self.speech.dropped_bytes["no_room"] != dropped:
            self.problems["playout_full"] += 1
        return orders

    def _agent_audio_ended(self, event: ev.AgentAudioEnded, now: float) -> list[Order]:
        return self._carry(self.speech.settled(self.speech.playout.finish(event.item_id)), now)

    def _tool_call(self, event: ev.ToolCallRequested, _now: float) -> list[Order]:
        self.problems["unknown_tool"] += 1
        return [ev.AddToolResult(event.call_id, _NO_SUCH_TOOL)]

    def _response_ended(self, event: ev.ResponseEnded, now: float) -> list[Order]:
        if self.speech.responses.has_ended(event.response_id):
            return []
        if event.usage is not None:
            self.usage += event.usage
        orders = self._carry(self.speech.ended(event, now), now)
        if self._opening is not None and self._opening.message.owns(event.response_id):
            return orders + self._opened(self._opening.ended(event, now), now)
        if self.speech.spoke(event.response_id) or self.speech.responses.phase is not Phase.IDLE:
            return orders
        if event.status is ev.ResponseStatus.CANCELLED and event.reason == "turn_detected":
            return orders  # the caller went on; the turn that follows gets its own reply
        return orders + self._reply_lost(event.error_code or f"response_{event.status.value}_without_audio", now)

    def _discarded(self, event: ev.CallerAudioDiscarded, now: float) -> list[Order]:
        return self._opened(self._opening.discarded(event, now), now) if self._opening else []

    def _reconfigured(self, event: ev.SessionReconfigured, now: float) -> list[Order]:
        lifted = event.lock is ev.LockState.LIFTED
        self._capabilities = event.capabilities
        self._lockout = _NO_LOCKOUT if lifted else (self._lockout[0], event.lock)
        orders = [each for key in event.differences for each in self._tell_problem(f"notice: {key}", NOT_AS_ASKED, now)]
        return orders + self._opened(self._opening.reconfigured(event, now), now) if self._opening else orders

    def _problem(self, event: ev.SessionProblem, now: float) -> list[Order]:
        code = event.code or "unnamed"
        if event.severity is ev.Severity.HARMLESS:
            self.problems[code] += 1
            return []
        orders = self._tell_problem(code, event.message, now)
        if event.severity is ev.Severity.FATAL:
            return [*orders, EndCall(facts.EndCause.SESSION_LOST, f"the provider ended the session: {code}")]
        if self._opening is not None:
            orders += self._opened(self._opening.refused(event.request_id, code, now), now)
        busy = event.severity is ev.Severity.BUSY
        if busy or event.request_id is not None:
            orders += self._carry([*self.speech.responses.refused(event.request_id, now, busy=busy)], now)
        return orders

    def _notice(self, event: ev.SessionNotice, now: float) -> list[Order]:
        return self._tell_problem(f"notice: {event.name}", event.why, now)

    # --- the leg ------------------------------------------------------------

    def handle_leg(self, event: ev.LegEvent, now: float) -> list[Order]:
        """Take one event of the leg; caller audio does not pass here, see `caller_audio`."""
        handler = self._LEG_HANDLERS.get(type(event))
        return handler(self, event, now) if handler else []

    def _echoed(self, event: ev.MarkEchoed, now: float) -> list[Order]:
        kind, steps = self.speech.echoed(event.name, now)
        if kind is EchoKind.UNMATCHED:
            return []
        told: list[Order] = [Tell(facts.MarkReturned(self._at(now), event.name, kind is EchoKind.HEARD))]
        return told + self._carry(steps, now)

    def _digit(self, _event: ev.DigitPressed, _now: float) -> list[Order]:
        self.digits += 1
        return []

    def _stopped(self, _event: ev.LegStopped, _now: float) -> list[Order]:
        return [EndCall(facts.EndCause.CALLER_HUNG_UP)]

    def _ignored(self, _event: ev.LegMessageIgnored | ev.LegStarted, _now: float) -> list[Order]:
        self.leg_messages_ignored += 1
        return []

    def due(self, now: float) -> list[ev.LegOrder]:
        """Return what may go to the carrier now."""
        if self._opening is not None and now < self._opening.plays_at():
            return []
        return self.speech.playout.due(now)

    def next_due(self) -> float | None:
        """Return when `due` will next have something, as far as known; None is "not before something happens"."""
        moment = self.speech.playout.next_due()
        if self._opening is None or moment is None:
            return moment
        return max(moment, self._opening.plays_at())

    def is_current(self, order: ev.LegOrder) -> bool:
        """Whether an order taken from `due` may still be written: no clear has come since."""
        return order.generation == self.speech.playout.generation

    def sent(self, order: ev.LegOrder, now: float) -> list[Order]:
        """An order of `due` is on the carrier's socket."""
        if isinstance(order, ev.PlayAudio):
            return self._audio_sent(order, now)
        if isinstance(order, ev.ClearPlayout) and self._onset_at is not None:
            delay_s, self._onset_at = now - self._onset_at, None
            return [Tell(facts.ClearWritten(self._at(now), delay_s))]
        return []

    def _audio_sent(self, order: ev.PlayAudio, now: float) -> list[Order]:
        audible = self.speech.sent(order, now)
        if audible is None:
            return []
        if self._opening is not None:
            self._opening.audible(audible.response_id, now)
        self.floor.handle(Move.AGENT_AUDIBLE, now)
        told = facts.AgentAudible(self._at(now), audible.response_id, audible.item_id, audible.after_caller_s)
        return [Tell(told)]

    # --- time ----------------------------------------------------------------

    def deadline(self) -> float | None:
        """Return when to call `expire`; None while nothing is awaited, and after the end."""
        if self.floor.state is Floor.OVER:
            return None
        opening = self._opening.deadline() if self._opening is not None else None
        moments = (self.floor.deadline(), self.speech.deadline(), opening)
        return min((moment for moment in moments if moment is not None), default=None)

    def expire(self, now: float) -> list[Order]:
        """Act on every deadline that has passed."""
        orders = self._carry(self.speech.expire(now), now)
        if self._opening is not None:
            orders += self._opened(self._opening.expire(now), now)
        floor_deadline = self.floor.deadline()
        if floor_deadline is not None and floor_deadline <= now:
            orders += self._agent_is_late(now)
        return orders

    def end(self, now: float) -> list[Order]:
        """The call is over; what was not heard by now never will be. Returns what observers are told."""
        dropped = self._opening.drop("the call ended before it was heard", now) if self._opening is not None else []
        orders = self._opened(dropped, now)
        self.speech.end(now)
        self.floor.handle(Move.ENDED, now)
        return [order for order in orders if isinstance(order, Tell)]

    # --- inside -----------------------------------------------------------------

    @property
    def _provider_replies(self) -> bool:
        return self._capabilities is not None and self._capabilities.replies

    def _at(self, now: float) -> float:
        return now - self._began_at

    def _carry(self, steps: Sequence[SpeechStep], now: float) -> list[Order]:
        """Carry out what follows from the agent's speech."""
        carried: list[Order] = []
        for step in steps:
            if isinstance(step, RequestLost):
                carried += self._request_lost(step, now)
            elif isinstance(step, Said):
                carried.append(Tell(facts.AgentSaid(self._at(now), step.item_id, step.text, step.interrupted)))
            elif isinstance(step, FirstHeard | Played):
                carried += self._heard(step, now)
            else:
                carried.append(step)
                if self._opening is not None and isinstance(step, ev.RequestResponse):
                    self._opening.request_sent(step.request_id, now)
        return carried

    def _heard(self, step: FirstHeard | Played, now: float) -> list[Order]:
        if isinstance(step, Played) and not self.speech.playout.speaking:
            self.floor.handle(Move.AGENT_PLAYED, now)
        if self._opening is None:
            return []
        if isinstance(step, FirstHeard):
            return self._opened(self._opening.first_heard(step.response_id, now), now)
        return self._opened(self._opening.played(step.response_id, step.item_id, step.mark, now), now)

    def _request_lost(self, lost: RequestLost, now: float) -> list[Order]:
        if self._opening is not None and lost.request_id == self._opening.message.request_id:
            return self._opened(self._opening.lost(lost.why, now), now)
        return self._reply_lost(lost.why, now)

    def _barge_in(self, now: float) -> list[Order]:
        orders: list[Order] = []
        audible = self.speech.playout.audible
        cancels = self._capabilities is not None and self._capabilities.interrupts
        cuts, steps = self.speech.cut(now, provider_cancels=cancels)
        if audible:
            self.barge_ins += 1
            self._onset_at = now
            self.floor.handle(Move.BARGED_IN, now)
            orders.append(Tell(facts.BargedIn(self._at(now), cuts[0].response_id, cuts[0].heard_s)))
        orders += self._carry(steps, now)
        if self._opening is not None and any(self._opening.message.owns(cut.response_id) for cut in cuts):
            orders += self._opened(self._opening.interrupted(now), now)
        return orders

    def _agent_is_late(self, now: float) -> list[Order]:
        if self.speech.responses.phase is not Phase.IDLE or self.speech.playout.speaking:
            self.floor.extend(now)  # it is under way, and watched by its own deadline
            return []
        return self._reply_lost("no_reply", now)

    def _reply_lost(self, why: str, now: float) -> list[Order]:
        orders = self._tell_problem(why, "the agent did not speak when it was its turn", now)
        if self.floor.state is not Floor.THINKING:
            return orders
        if self._reply_retries == 0:
            self.floor.handle(Move.NO_REPLY, now)
            return orders
        self._reply_retries -= 1
        self.floor.extend(now)
        return orders + self._carry(self.speech.request_reply(now), now)

    def _tell_problem(self, code: str, message: str, now: float) -> list[Order]:
        self.problems[code] += 1
        if self.problems[code] > 1:
            return []  # told once a call; the rest is counted
        return [Tell(facts.ProblemSeen(self._at(now), code, message))]

    _SESSION_HANDLERS: ClassVar[Mapping[type, Handler]] = {
        ev.CallerSpeechStarted: _speech_started,
        ev.CallerSpeechStopped: _speech_stopped,
        ev.CallerTurnCommitted: _turn_committed,
        ev.CallerTranscriptPart: _written,
        ev.CallerTranscriptDone: _caller_text_done,
        ev.CallerTranscriptFailed: _caller_text_failed,
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
        ev.CallerAudioDiscarded: _discarded,
        ev.SessionReconfigured: _reconfigured,
    }

    _LEG_HANDLERS: ClassVar[Mapping[type, Handler]] = {
        ev.MarkEchoed: _echoed,
        ev.DigitPressed: _digit,
        ev.LegStopped: _stopped,
        ev.LegMessageIgnored: _ignored,
        ev.LegStarted: _ignored,
    }
