"""The whole conversation as one machine: floor, playout, responses and transcript under one joint rule.

The engine's loops hand in what the carrier, the provider and the clock say;
the conversation answers with orders.  It is the only place where the four
machines meet.

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
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import attrs

from voicecore import events as ev
from voicecore import facts
from voicecore.audio.formats import AudioFormat
from voicecore.turns.floor import Floor, FloorMachine, FloorSettings, Move
from voicecore.turns.playout import EchoKind, FirstHeard, Interrupted, Played, PlayoutLedger, PlayoutSettings
from voicecore.turns.replies import ReplyTimes
from voicecore.turns.responses import Phase, RequestLost, ResponseOrder, ResponseOwner, ResponseSettings
from voicecore.turns.transcript import Transcript

_SAY = "Say exactly the following to the caller, word for word, and nothing else:\n"
_RETRIES = 1  #: how often a lost greeting or reply is asked for again
_NO_SUCH_TOOL = '{"error": "there is no such tool"}'


@attrs.frozen(kw_only=True)
class ConversationSettings:
    """What the agent does first, and the bounds of the machines."""

    first_message: str | None = None
    """What the agent says when the session is ready; None: the caller begins."""
    floor: FloorSettings = attrs.field(factory=FloorSettings)
    playout: PlayoutSettings = attrs.field(factory=PlayoutSettings)
    responses: ResponseSettings = attrs.field(factory=ResponseSettings)


@attrs.frozen
class EndCall:
    """The conversation cannot go on."""

    cause: facts.EndCause
    detail: str = ""


@attrs.frozen
class Tell:
    """Something for the observers."""

    fact: facts.Fact


Order = ev.SessionOrder | EndCall | Tell
Handler = Callable[[Any, Any, float], list[Order]]
"""A method of Conversation for one kind of event."""


class Conversation:
    """One call's decisions. Every method returns what is to be done, in order."""

    def __init__(self, leg_format: AudioFormat, began_at: float, settings: ConversationSettings | None = None) -> None:
        self.settings = settings or ConversationSettings()
        self.playout = PlayoutLedger(leg_format, self.settings.playout)
        self.responses = ResponseOwner(self.settings.responses)
        self.transcript = Transcript()
        self.replies = ReplyTimes(began_at)
        greets = self.settings.first_message is not None
        self.floor = FloorMachine(Floor.GREETING if greets else Floor.CALLER, self.settings.floor)
        self.usage = ev.TokenUsage()
        self.barge_ins = 0
        self.agent_received_bytes = 0
        self.agent_sent_bytes = 0
        self.dropped_bytes: Counter[str] = Counter()
        self.problems: Counter[str] = Counter()
        self.digits = 0
        self.leg_messages_ignored = 0
        self._began_at = began_at
        self._capabilities: ev.Capabilities | None = None
        self._requests = 0
        self._reply_retries = _RETRIES
        self._onset_at: float | None = None
        self._speaker_of: dict[str, str] = {}  # item id -> response id, of items whose audio came in
        self._audible: set[str] = set()  # items of which audio was sent

    # --- the session ------------------------------------------------------

    def session_ready(self, capabilities: ev.Capabilities, now: float) -> list[Order]:
        """The session can be spoken to; the greeting is asked for now."""
        self._capabilities = capabilities
        if self.settings.first_message is None:
            return []
        self.floor.extend(now)
        return self._greet(now)

    def handle_session(self, event: ev.SessionEvent, now: float) -> list[Order]:
        """Take one event of the session; agent audio must be in the leg's format already."""
        handler = self._SESSION_HANDLERS.get(type(event))
        return handler(self, event, now) if handler else []

    def _speech_started(self, event: ev.CallerSpeechStarted, now: float) -> list[Order]:
        self.floor.handle(Move.CALLER_SPOKE, now)
        orders: list[Order] = [Tell(facts.CallerStarted(self._at(now), event.item_id))]
        return orders + self._cut(now) if self.playout.speaking else orders

    def _speech_stopped(self, _event: ev.CallerSpeechStopped, now: float) -> list[Order]:
        self.replies.caller_stopped(now)
        return []

    def _turn_committed(self, event: ev.CallerTurnCommitted, now: float) -> list[Order]:
        self.transcript.add(facts.Speaker.CALLER, event.item_id)
        self.floor.handle(Move.CALLER_DONE, now)
        self._reply_retries = _RETRIES
        orders: list[Order] = [Tell(facts.CallerStopped(self._at(now), event.item_id))]
        if self._provider_replies or self.responses.waiting:
            return orders  # one response answers every turn that was committed before it
        return orders + self._request(now)

    def _caller_text(self, event: ev.CallerTranscriptPart, _now: float) -> list[Order]:
        self.transcript.extend(facts.Speaker.CALLER, event.item_id, event.text)
        return []

    def _caller_text_done(self, event: ev.CallerTranscriptDone, now: float) -> list[Order]:
        self.transcript.complete(facts.Speaker.CALLER, event.item_id, event.text)
        return [Tell(facts.CallerSaid(self._at(now), event.item_id, event.text))]

    def _caller_text_failed(self, event: ev.CallerTranscriptFailed, now: float) -> list[Order]:
        self.transcript.add(facts.Speaker.CALLER, event.item_id)
        self.problems[event.code] += 1
        return [Tell(facts.CallerSaid(self._at(now), event.item_id, None))]

    def _response_started(self, event: ev.ResponseStarted, now: float) -> list[Order]:
        return self._carry(self.responses.started(event, now), now)

    def _agent_item(self, event: ev.AgentItemAdded, now: float) -> list[Order]:
        self.responses.progressed(event.response_id, now)
        self.transcript.add(facts.Speaker.AGENT, event.item_id)
        return []

    def _agent_audio(self, event: ev.AgentAudio, now: float) -> list[Order]:
        self.agent_received_bytes += len(event.audio)
        self.responses.progressed(event.response_id, now)
        stale = not self.responses.admits(event.response_id) or self.responses.has_ended(event.response_id)
        if stale or self.floor.state is Floor.OVER:
            self.dropped_bytes["late"] += len(event.audio)
            return []
        self.replies.generated(event.response_id, now)
        self._speaker_of.setdefault(event.item_id, event.response_id)
        self.transcript.add(facts.Speaker.AGENT, event.item_id)
        refused = self.playout.push(event.response_id, event.item_id, event.audio)
        if not refused:
            return []
        self.dropped_bytes["no_room"] += refused
        self.problems["playout_full"] += 1
        return self._carry(self.responses.interrupt(event.response_id, now, provider_cancels=False), now)

    def _agent_audio_ended(self, event: ev.AgentAudioEnded, now: float) -> list[Order]:
        return self._played(self.playout.finish(event.item_id), now)

    def _agent_text(self, event: ev.AgentTextPart, now: float) -> list[Order]:
        self.responses.progressed(event.response_id, now)
        self.transcript.extend(facts.Speaker.AGENT, event.item_id, event.text)
        return []

    def _agent_text_done(self, event: ev.AgentTextDone, _now: float) -> list[Order]:
        self.transcript.complete(facts.Speaker.AGENT, event.item_id, event.text)
        return []

    def _tool_call(self, event: ev.ToolCallRequested, _now: float) -> list[Order]:
        self.problems["unknown_tool"] += 1
        return [ev.AddToolResult(event.call_id, _NO_SUCH_TOOL)]

    def _response_ended(self, event: ev.ResponseEnded, now: float) -> list[Order]:
        if self.responses.has_ended(event.response_id):
            return []
        if event.usage is not None:
            self.usage += event.usage
        orders = self._played(self.playout.finish_response(event.response_id), now)
        orders += self._carry(self.responses.ended(event, now), now)
        spoke = event.response_id in self._speaker_of.values()
        silenced = not self.responses.admits(event.response_id)
        if spoke or silenced or self.responses.phase is not Phase.IDLE:
            return orders
        if event.status is ev.ResponseStatus.CANCELLED and event.reason == "turn_detected":
            return orders  # the caller went on; the turn that follows gets its own reply
        return orders + self._reply_lost(event.error_code or f"response_{event.status.value}_without_audio", now)

    def _problem(self, event: ev.SessionProblem, now: float) -> list[Order]:
        code = event.code or "unnamed"
        if event.severity is ev.Severity.HARMLESS:
            self.problems[code] += 1
            return []
        orders = self._tell_problem(code, event.message, now)
        if event.severity is ev.Severity.FATAL:
            return [*orders, EndCall(facts.EndCause.SESSION_LOST, f"the provider ended the session: {code}")]
        busy = event.severity is ev.Severity.BUSY
        if busy or event.request_id is not None:
            orders += self._carry(self.responses.refused(event.request_id, now, busy=busy), now)
        return orders

    def _notice(self, event: ev.SessionNotice, now: float) -> list[Order]:
        return self._tell_problem(f"notice: {event.name}", event.why, now)

    # --- the leg ------------------------------------------------------------

    def handle_leg(self, event: ev.LegEvent, now: float) -> list[Order]:
        """Take one event of the leg; caller audio does not pass here, it goes straight to the session."""
        handler = self._LEG_HANDLERS.get(type(event))
        return handler(self, event, now) if handler else []

    def _echoed(self, event: ev.MarkEchoed, now: float) -> list[Order]:
        kind, found = self.playout.echoed(event.name, now)
        if kind is EchoKind.UNMATCHED:
            return []
        told: list[Order] = [Tell(facts.MarkReturned(self._at(now), event.name, kind is EchoKind.HEARD))]
        return told + self._played(found, now)

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
        return self.playout.due(now)

    def is_current(self, order: ev.LegOrder) -> bool:
        """Whether an order taken from `due` may still be written: no clear has come since."""
        return order.generation == self.playout.generation

    def sent(self, order: ev.LegOrder, now: float) -> list[Order]:
        """An order of `due` is on the carrier's socket."""
        if isinstance(order, ev.PlayAudio):
            return self._audio_sent(order, now)
        if isinstance(order, ev.ClearPlayout) and self._onset_at is not None:
            delay_s, self._onset_at = now - self._onset_at, None
            return [Tell(facts.ClearWritten(self._at(now), delay_s))]
        return []

    def skipped(self, order: ev.LegOrder) -> None:
        """An order of `due` was not written, because a clear overtook it."""
        if isinstance(order, ev.PlayAudio):
            self.dropped_bytes["cleared"] += len(order.audio)

    def _audio_sent(self, order: ev.PlayAudio, now: float) -> list[Order]:
        self.agent_sent_bytes += len(order.audio)
        response_id = self._speaker_of[order.item_id]
        after_caller_s = self.replies.sent(response_id, now)
        if order.item_id in self._audible:
            return []
        self._audible.add(order.item_id)
        self.floor.handle(Move.AGENT_AUDIBLE, now)
        return [Tell(facts.AgentAudible(self._at(now), response_id, order.item_id, after_caller_s))]

    # --- time ----------------------------------------------------------------

    def deadline(self) -> float | None:
        """Return when to call `expire`; None while nothing is awaited, and after the end."""
        if self.floor.state is Floor.OVER:
            return None
        moments = (self.floor.deadline(), self.responses.deadline(), self.playout.deadline())
        return min((moment for moment in moments if moment is not None), default=None)

    def expire(self, now: float) -> list[Order]:
        """Act on every deadline that has passed."""
        orders = self._played(self.playout.expire(now), now)
        active = self.responses.active_id
        orders += self._carry(self.responses.expire(now), now)
        if active is not None and self.responses.phase is not Phase.ACTIVE:
            orders += self._played(self.playout.finish_response(active), now)
        floor_deadline = self.floor.deadline()
        if floor_deadline is not None and floor_deadline <= now:
            orders += self._agent_is_late(now)
        return orders

    def end(self, now: float) -> None:
        """The call is over; what was not heard by now never will be."""
        for cut in self.playout.unplayed(now):
            self.transcript.cut(cut.item_id, cut.heard_s, cut.generated_s)
        self.playout.clear(now)
        self.floor.handle(Move.ENDED, now)

    # --- inside -----------------------------------------------------------------

    @property
    def _provider_replies(self) -> bool:
        return self._capabilities is not None and self._capabilities.replies

    def _at(self, now: float) -> float:
        return now - self._began_at

    def _greet(self, now: float) -> list[Order]:
        return self._request(now, instructions=_SAY + (self.settings.first_message or ""))

    def _request(self, now: float, *, instructions: str | None = None) -> list[Order]:
        self._requests += 1
        request = ev.RequestResponse(request_id=f"request-{self._requests}", instructions=instructions)
        return self._carry(self.responses.request(request, now), now)

    def _carry(self, orders: list[ResponseOrder], now: float) -> list[Order]:
        carried: list[Order] = []
        for order in orders:
            if isinstance(order, RequestLost):
                carried += self._reply_lost(order.why, now)
            else:
                carried.append(order)
        return carried

    def _cut(self, now: float) -> list[Order]:
        orders: list[Order] = []
        audible = self.playout.audible
        cuts = self.playout.clear(now)
        if audible:
            self.barge_ins += 1
            self._onset_at = now
            self.floor.handle(Move.BARGED_IN, now)
            orders.append(Tell(facts.BargedIn(self._at(now), cuts[0].response_id, cuts[0].heard_s)))
        for cut in cuts:
            orders += self._cut_item(cut, now)
        return orders

    def _cut_item(self, cut: Interrupted, now: float) -> list[Order]:
        self.replies.interrupted(cut.response_id)
        self.transcript.cut(cut.item_id, cut.heard_s, cut.generated_s)
        cancels = self._capabilities is not None and self._capabilities.interrupts
        orders = self._carry(self.responses.interrupt(cut.response_id, now, provider_cancels=cancels), now)
        heard_ms = int(cut.heard_s * 1000)
        orders.append(ev.TruncateItem(cut.item_id, heard_ms) if heard_ms else ev.DeleteItem(cut.item_id))
        orders.append(Tell(facts.AgentSaid(self._at(now), cut.item_id, self.transcript.text(cut.item_id), True)))
        return orders

    def _played(self, found: list[FirstHeard | Played] | list[Played], now: float) -> list[Order]:
        orders: list[Order] = []
        for event in found:
            if isinstance(event, FirstHeard):
                self.replies.heard(event.response_id, now)
                continue
            self.transcript.heard(event.item_id)
            text = self.transcript.text(event.item_id)
            orders.append(Tell(facts.AgentSaid(self._at(now), event.item_id, text, False)))
            if not self.playout.speaking:
                self.floor.handle(Move.AGENT_PLAYED, now)
        return orders

    def _agent_is_late(self, now: float) -> list[Order]:
        if self.responses.phase is not Phase.IDLE or self.playout.speaking:
            self.floor.extend(now)  # it is under way, and watched by its own deadline
            return []
        return self._reply_lost("no_reply", now)

    def _reply_lost(self, why: str, now: float) -> list[Order]:
        orders = self._tell_problem(why, "the agent did not speak when it was its turn", now)
        if self.floor.state not in {Floor.THINKING, Floor.GREETING}:
            return orders
        if self._reply_retries == 0:
            self.floor.handle(Move.NO_REPLY, now)
            return orders
        self._reply_retries -= 1
        self.floor.extend(now)
        return orders + (self._greet(now) if self.floor.state is Floor.GREETING else self._request(now))

    def _tell_problem(self, code: str, message: str, now: float) -> list[Order]:
        self.problems[code] += 1
        if self.problems[code] > 1:
            return []  # told once a call; the rest is counted
        return [Tell(facts.ProblemSeen(self._at(now), code, message))]

    _SESSION_HANDLERS: ClassVar[Mapping[type, Handler]] = {
        ev.CallerSpeechStarted: _speech_started,
        ev.CallerSpeechStopped: _speech_stopped,
        ev.CallerTurnCommitted: _turn_committed,
        ev.CallerTranscriptPart: _caller_text,
        ev.CallerTranscriptDone: _caller_text_done,
        ev.CallerTranscriptFailed: _caller_text_failed,
        ev.ResponseStarted: _response_started,
        ev.AgentItemAdded: _agent_item,
        ev.AgentAudio: _agent_audio,
        ev.AgentAudioEnded: _agent_audio_ended,
        ev.AgentTextPart: _agent_text,
        ev.AgentTextDone: _agent_text_done,
        ev.ToolCallRequested: _tool_call,
        ev.ResponseEnded: _response_ended,
        ev.SessionProblem: _problem,
        ev.SessionNotice: _notice,
    }

    _LEG_HANDLERS: ClassVar[Mapping[type, Handler]] = {
        ev.MarkEchoed: _echoed,
        ev.DigitPressed: _digit,
        ev.LegStopped: _stopped,
        ev.LegMessageIgnored: _ignored,
        ev.LegStarted: _ignored,
    }
