"""The whole conversation as one machine: messages, agent speech and turns under joint rules.

The engine's loops hand in what the carrier, the provider and the clock say;
the conversation answers with orders.  It joins the machines:

    Opening      a message that must be heard, and what protects it
    TurnTaking   who answers whom, and what stops the agent
    AgentSpeech  from a response to the user's ear
    TurnLog      what became of each turn, from the facts alone

Joint rules:
1. While a message is protected, nothing stops it and no turn is answered.
2. Whatever an event leads to is carried out in its order: facts come before the
orders that follow from them.  What handles it is in the tables of
session_handlers.py, leg_handlers.py and step_handlers.py.
3. An event that has no handler is reported, once for each kind.
4. After the end nothing is decided: what still comes is counted, and the user's
last words are written down.
5. Nothing here waits, and nothing here knows a carrier or a provider.

Pure: no Trio, no sockets; time is an argument.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import get_args

from voicecore import events as ev
from voicecore import facts
from voicecore.audio.formats import AudioFormat
from voicecore.turns.first_message.audio_gate import UserAudioRule
from voicecore.turns.first_message.message import FirstMessagePolicy, Message
from voicecore.turns.first_message.opening import Opening
from voicecore.turns.first_message.requests import Purpose
from voicecore.turns.leg_handlers import LEG_HANDLERS
from voicecore.turns.machines import Handler, Machines, Step
from voicecore.turns.metrics.turn_times import TurnLog
from voicecore.turns.orders import EndCall, Notify, Order
from voicecore.turns.session_handlers import SESSION_HANDLERS
from voicecore.turns.session_traits import NO_LOCKOUT
from voicecore.turns.settings import ConversationSettings
from voicecore.turns.step_handlers import STEP_HANDLERS

HANDLERS: Mapping[type, Handler] = {**SESSION_HANDLERS, **LEG_HANDLERS, **STEP_HANDLERS}
ORDERS: frozenset[type] = frozenset(get_args(Order))
"""Steps that leave the conversation; some have a handler as well."""


class Conversation:
    """One call's decisions. Every method returns what is to be done, in order."""

    def __init__(self, leg_format: AudioFormat, began_at: float, settings: ConversationSettings | None = None) -> None:
        self.settings = settings or ConversationSettings()
        self._machines = its = Machines(leg_format, began_at, self.settings)
        self.speech, self.transcript, self.taking = its.speech, its.transcript, its.taking
        self.last_words = its.last_words
        self.problems, self.problem = its.notifier.problems, its.notifier.problem
        self.log = TurnLog()
        self.is_over = False
        """Whether the call has ended: nothing is decided any more."""

    # --- messages that must be heard ------------------------------------------

    def begin(self, now: float) -> list[Order]:
        """The media began: the first message is due."""
        message = self.settings.first_message
        if message is None:
            return []
        return self._decide(self._machines.add_message(message, self.settings.policy, Purpose.FIRST, now), now)

    def session_ready(
        self,
        capabilities: ev.Capabilities,
        now: float,
        *,
        lockout: tuple[ev.Lockout, ev.LockoutState] = NO_LOCKOUT,
        asked: bool = False,
    ) -> list[Order]:
        """The session can be spoken to; ``asked``: the message was asked for while the phone rang."""
        its = self._machines
        its.session.capabilities, its.session.lockout = capabilities, lockout
        return self._decide(self._opening_ready(now, asked=asked), now)

    def leave_message(self, message: Message, now: float) -> list[Order]:
        """A machine answered: stop talking, say this to it whatever it says, and end the call."""
        return self._decide(self._leave(message, now), now)

    def user_audio(self, audio: bytes, now: float) -> list[Order]:
        """Take user audio while `is_opening`; return what goes to the session, among other orders."""
        its = self._machines
        if its.opening is None or self.is_over:
            return [] if self.is_over else [ev.AppendUserAudio(audio)]
        passed, steps = its.opening.hear(audio, now)
        orders: list[Order] = [ev.AppendUserAudio(passed)] if passed else []
        return self._settle([*orders, *self._run(its.close_behind(steps, now), now)], now)

    @property
    def openings(self) -> list[Opening]:
        """The first message, then one for an answering machine: two at most."""
        return self._machines.openings.all

    @property
    def is_opening(self) -> bool:
        """Whether user audio must pass `user_audio`; otherwise it goes straight to the session."""
        return self._machines.openings.current is not None

    def _opening_ready(self, now: float, *, asked: bool) -> Iterator[Step]:
        its = self._machines
        if its.opening is not None:
            steps = its.opening.session_ready(*its.session.lockout, now, asked=asked)
            yield from its.close_behind(steps, now)

    def _leave(self, message: Message, now: float) -> Iterator[Step]:
        its, why = self._machines, "a machine answered"
        yield from self._drop_message(why, now)
        cut = its.speech.cut(now, why, provider_cancels=False)[1]
        yield from [*cut, *its.speech.want_nothing(now)]
        policy = FirstMessagePolicy(user_audio=UserAudioRule.DROP, tries=self.settings.policy.tries)
        yield from its.add_message(message, policy, Purpose.MACHINE, now)
        if its.session.is_ready:
            yield from self._opening_ready(now, asked=False)

    # --- the session and the leg ------------------------------------------------

    def handle_session(self, event: ev.SessionEvent, now: float) -> list[Order]:
        """Take one event of the session; agent audio must be in the leg's format already."""
        return self._too_late(event, now) if self.is_over else self._decide((event,), now)

    def handle_leg(self, event: ev.LegEvent, now: float) -> list[Order]:
        """Take one event of the leg; user audio does not pass here, see `user_audio`."""
        return self._decide((event,), now)

    def due(self, now: float) -> list[ev.LegOrder]:
        """Return what may go to the carrier now."""
        return self.speech.due(now, speech_from=self._plays_at())

    def next_due(self) -> float | None:
        """Return when `due` will next have something, as far as known; None is "not before something happens"."""
        return self.speech.next_due(speech_from=self._plays_at())

    def _plays_at(self) -> float:
        opening = self._machines.openings.current
        return opening.plays_at() if opening is not None else self.taking.plays_at()

    @property
    def generation(self) -> int:
        """The newest generation; one that rose has a clear as the next order of `due`."""
        return self.speech.generation

    def is_current(self, order: ev.LegOrder) -> bool:
        """Whether an order taken from `due` may still be written: no clear has come since."""
        return order.generation == self.generation

    def sent(self, order: ev.LegOrder, now: float) -> list[Order]:
        """An order of `due` was written to the carrier."""
        audible = self.speech.sent(order, now) if isinstance(order, ev.PlayAudio) else None
        if isinstance(order, ev.ClearPlayout):
            return [] if self.is_over else self._decide(self.taking.interruptions.clear_written(now), now)
        if audible is None or self.is_over:
            return []
        if (opening := self._machines.opening) is not None:
            opening.audible(audible.response_id, now)
        return self._decide(self.taking.audible(audible, now), now)

    # --- what was seen -------------------------------------------------------------

    @property
    def usage(self) -> ev.TokenUsage:
        """The tokens of all responses so far."""
        return self._machines.usage

    @property
    def leg_messages_ignored(self) -> int:
        """Messages of the carrier that were legal and of no use."""
        return self._machines.leg_messages_ignored

    @property
    def capabilities(self) -> ev.Capabilities | None:
        """What the session does by itself; None before it is ready."""
        return self._machines.session.capabilities

    @property
    def awaits_words(self) -> bool:
        """Whether the session has words of the user still to give."""
        return self._machines.session.transcribes_user and self.last_words.are_missing

    @property
    def decided_end(self) -> EndCall | None:
        """The end that was decided and may not be due yet: what plays is played first."""
        return self.taking.recovery.end

    # --- time ----------------------------------------------------------------

    def deadline(self) -> float | None:
        """Return when to call `expire`; None while nothing is awaited, and after the end."""
        if self.is_over:
            return None
        opening = self._machines.openings.current
        moments = (self.taking.deadline(), self.speech.deadline(), opening.deadline() if opening is not None else None)
        return min((moment for moment in moments if moment is not None), default=None)

    def expire(self, now: float) -> list[Order]:
        """Act on every deadline that has passed."""
        if self.is_over:
            return []
        its, orders = self._machines, self._run(self.speech.expire(now), now)
        if (opening := its.openings.current) is not None:
            orders += self._run(its.close_behind(opening.expire(now), now), now)
        orders += self._run(self.taking.expire(now, later=its.openings.current is not None), now)
        return self._settle(orders, now)

    def end(self, now: float) -> list[Order]:
        """The call is over; what was not heard by now never will be. Returns the last facts for observers."""
        its = self._machines
        orders = self._decide(self._drop_message("the call ended before it was heard", now), now)
        self.speech.end(now)
        self.taking.end(now)
        self.is_over = True
        if self.transcript.dropped_chars or self.transcript.dropped_lines:
            self.problems["transcript_too_long"] += 1
        at = its.notifier.at(now)
        orders += [*(Notify(facts.TurnEnded(at, turn)) for turn in self.log.end(at)), *its.notifier.untold(now)]
        return [order for order in orders if isinstance(order, Notify)]

    def _drop_message(self, why: str, now: float) -> Iterator[Step]:
        its = self._machines
        if its.opening is not None:
            yield from its.close_behind(its.opening.drop(why, now), now)

    def _too_late(self, event: ev.SessionEvent, now: float) -> list[Order]:
        """Count what comes after the end, audio that nobody hears and what it cost; write down the user's words."""
        its = self._machines
        its.usage += self.speech.take_late(event, now)
        return self._logged(self.last_words.take_late(event, now), now)

    # --- inside -----------------------------------------------------------------

    def _decide(self, steps: Iterable[Step | ev.SessionEvent | ev.LegEvent], now: float) -> list[Order]:
        """Carry out events or steps, and what follows from the state that they lead to; nothing after the end."""
        return [] if self.is_over else self._settle(self._run(steps, now), now)

    def _run(self, steps: Iterable[Step | ev.SessionEvent | ev.LegEvent], now: float) -> list[Order]:
        """Hand each step to its handler until there are none left; return those that leave, in order.

        What a step leads to comes before the next step: the newest iterator is at the right.
        """
        orders: list[Order] = []
        if not steps:  # as at most deadlines
            return orders
        pending = deque((iter(steps),))
        while pending:
            for step in pending[-1]:
                kind = type(step)
                handler = HANDLERS.get(kind)
                if kind in ORDERS:
                    orders.append(step)  # type: ignore[arg-type]  # the set has what the union has
                elif handler is None:
                    orders += self._unhandled(kind, now)
                if handler is not None:
                    pending.append(iter(handler(self._machines, step, now)))
                    break
            else:
                pending.pop()
        return orders

    def _unhandled(self, kind: type, now: float) -> list[Notify]:
        return self._machines.notifier.problem(f"unhandled: {kind.__name__}", "nothing handles this kind of event", now)

    def _settle(self, orders: list[Order], now: float) -> list[Order]:
        """Take note of what an event has led to: turns that ended by it, and whether anything goes on."""
        if steps := self.taking.afterwards(now):
            orders += self._run(steps, now)
        if orders:
            orders = self._logged(orders, now)
        self.taking.notice(now)
        return orders

    def _logged(self, orders: list[Order], now: float) -> list[Order]:
        """Return orders with the turns that end by their facts; a call that is ending asks for nothing."""
        logged: list[Order] = []
        for order in orders:
            if isinstance(order, ev.RequestResponse) and self.taking.is_ending:
                continue
            logged.append(order)
            if isinstance(order, Notify):
                ended = self.log.take(order.fact)
                logged += [Notify(facts.TurnEnded(self._machines.notifier.at(now), turn)) for turn in ended]
        return logged
