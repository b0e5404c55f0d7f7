"""What tests of turn taking share: a conversation with a clock and a carrier, and a provider that is a trip away."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from voicecore import events as ev
from voicecore import facts
from voicecore.audio.formats import PCMU_8K
from voicecore.turns.conversation import Conversation
from voicecore.turns.orders import EndCall, Notify, Order
from voicecore.turns.replies import LINE
from voicecore.turns.responses import ResponseSettings
from voicecore.turns.settings import ConversationSettings

START_S = ResponseSettings().start_s
PERHAPS_REFUSED_S = ResponseSettings().perhaps_refused_s
_AT_ONCE = 200  #: orders and deadlines of one instant; more are a loop without end
_REPLY = "request-"  #: begins the ids of requests that are not given up while they are under way
_FOR_ALL = ("machine-message-", LINE)  #: begin the ids of requests for which every other response is given up


class Talk:
    """A conversation with a clock, and a carrier that plays what it gets; what both sides saw is kept."""

    def __init__(
        self, settings: ConversationSettings, capabilities: ev.Capabilities, mark_after_s: float | None = 0.05
    ) -> None:
        self.now = 0.0
        self.over: float | None = None
        self.causes: list[facts.EndCause] = []
        self.orders: list[Order] = []
        self.facts: list[facts.Fact] = []
        self.wire: list[ev.LegOrder] = []
        self.requests: dict[str, float] = {}  # at the provider: neither begun nor refused
        self.ids_given = False  # whether a response has named its request
        self.collisions: list[str] = []
        self.mark_after_s = mark_after_s  # from the end of the audio before it; None: never
        self._echoes: list[tuple[float, str]] = []
        self._plays_until = 0.0
        self.machine = Conversation(PCMU_8K, 0.0, settings)
        self.take(self.machine.begin(0.0))
        self.take(self.machine.session_ready(capabilities, 0.0))

    # --- what comes in ----------------------------------------------------------------

    def hears(self, *events: ev.SessionEvent) -> None:
        for event in events:
            if isinstance(event, ev.ResponseStarted) and event.request_id is not None:
                self.requests.pop(event.request_id, None)
                self.ids_given = True
            self.take(self.machine.handle_session(event, self.now))

    def leg(self, event: ev.LegEvent) -> None:
        self.take(self.machine.handle_leg(event, self.now))

    def take(self, orders: Sequence[Order]) -> None:
        for order in orders:
            self.orders.append(order)
            if isinstance(order, Notify):
                self.facts.append(order.fact)
            elif isinstance(order, ev.RequestResponse):
                if order.request_id.startswith(_FOR_ALL):
                    self._doubt(START_S)  # nobody wants any other response any more
                under_way = [name for name, at in self.requests.items() if self.now - at < START_S - 1e-6]
                self.collisions += [name for name in under_way if name.startswith(_REPLY)]
                self.requests[order.request_id] = self.now
            elif isinstance(order, EndCall):
                self.causes.append(order.cause)
                if self.over is None:
                    self.ends()

    def doubts_what_is_out(self) -> None:
        """An error that names no request has come: what is out is waited for less long from here on."""
        self._doubt(START_S - PERHAPS_REFUSED_S)

    def _doubt(self, waited_s: float) -> None:
        """Have every request that is out count as one that was waited for so long already."""
        for name, at in self.requests.items():
            self.requests[name] = min(at, self.now - waited_s)

    def ends(self) -> None:
        """The engine ends a call once, whatever asks for it."""
        self.over = self.now
        self.take(self.machine.end(self.now))

    # --- time ---------------------------------------------------------------------------

    def passes(self, seconds: float) -> None:
        """Let time pass from one deadline to the next, as the engine does."""
        until, here = self.now + seconds, 0
        while self.over is None:
            self._write()
            moments = (self.machine.deadline(), self.machine.next_due(), *(at for at, _ in self._echoes))
            nearest = min((moment for moment in moments if moment is not None), default=None)
            if nearest is None or nearest > until:
                break
            here = here + 1 if nearest <= self.now else 0
            assert here < _AT_ONCE, "a deadline that nothing moves"
            self.now = max(self.now, nearest)
            self._return_marks()
            self.take(self.machine.expire(self.now))
        self.now = until

    def _write(self) -> None:
        for order in self.machine.due(self.now):
            self.wire.append(order)
            if isinstance(order, ev.PlayAudio):
                self._plays_until = max(self._plays_until, self.now) + len(order.audio) / 8000
            elif isinstance(order, ev.ClearPlayout):
                self._plays_until = self.now
            elif self.mark_after_s is not None:
                self._echoes.append((max(self._plays_until, self.now) + self.mark_after_s, order.name))
            self.take(self.machine.sent(order, self.now))

    def _return_marks(self) -> None:
        for at, name in list(self._echoes):
            if at <= self.now:
                self._echoes.remove((at, name))
                self.leg(ev.MarkReturned(name))

    # --- questions ----------------------------------------------------------------------

    def told(self, kind: type) -> list[facts.Fact]:
        return [fact for fact in self.facts if isinstance(fact, kind)]

    def ends_of_turns(self) -> Counter[str]:
        """How often each user turn met an end, by the facts: heard an answer, or was settled without one."""
        ends: Counter[str] = Counter()
        answering: dict[str, list[str]] = {}
        for fact in self.facts:
            if isinstance(fact, facts.FirstAudioReceived):
                answering[fact.response_id] = list(fact.answers)
            elif isinstance(fact, facts.FirstAudioSent):
                ends.update(answering.pop(fact.response_id, []))
            elif isinstance(fact, facts.ResponsePlayed):
                answering.pop(fact.response_id, None)
            elif isinstance(fact, facts.TurnsUnanswered):
                ends.update(fact.items)
                for items in answering.values():
                    items[:] = [item for item in items if item not in fact.items]
        return ends

    def committed(self) -> list[str]:
        return [fact.item_id for fact in self.facts if isinstance(fact, facts.UserTurn)]


class Provider:
    """A session that replies by itself, runs one response at a time, and is a trip away in both directions."""

    def __init__(self, talk: Talk, trip_s: float, *, names_refused: bool) -> None:
        self.refusals = 0
        self._talk = talk
        self._trip_s = trip_s
        self._names_refused = names_refused
        self._seen = 0
        self._running: str | None = None
        self._responses = 0
        self._agenda: list[tuple[float, int, ev.SessionEvent | ev.SessionOrder]] = []

    def commits(self, item: str) -> None:
        """The user's turn is over: told, and answered at once where nothing runs."""
        self._notify(ev.UserSpeechStopped(item, 500), ev.UserTurnCommitted(item))
        self._respond(None)

    def passes(self, seconds: float) -> None:
        until = self._talk.now + seconds
        while True:
            self._read_orders()
            at, _, what = min(self._agenda, key=lambda entry: entry[:2], default=(until, 0, None))
            self._talk.passes(max(0.0, min(at, until) - self._talk.now))
            self._read_orders()
            if what is None or at > until:
                return
            self._agenda.remove(min(self._agenda, key=lambda entry: entry[:2]))
            self._take(what)

    def _read_orders(self) -> None:
        new, self._seen = self._talk.orders[self._seen :], len(self._talk.orders)
        for order in new:
            if isinstance(order, ev.RequestResponse | ev.CancelResponse):
                self._after(self._trip_s, order)

    def _take(self, what: ev.SessionEvent | ev.SessionOrder) -> None:
        if isinstance(what, ev.RequestResponse):
            self._respond(what.request_id)
        elif isinstance(what, ev.CancelResponse):
            self._end(what.response_id, ev.ResponseStatus.CANCELLED)
        elif isinstance(what, ev.ResponseEnded) and what.reason == "it is time":
            self._end(what.response_id, ev.ResponseStatus.COMPLETED)
        elif isinstance(what, ev.SessionEvent):
            self._talk.hears(what)

    def _respond(self, request_id: str | None) -> None:
        if self._running is not None:
            self.refusals += 1
            named = request_id if self._names_refused else None
            self._notify(ev.SessionProblem(code="busy", message="", severity=ev.Severity.BUSY, request_id=named))
            return
        self._responses += 1
        self._running = response = f"r{self._responses}"
        self._notify(ev.ResponseStarted(response, request_id))
        self._notify(ev.AgentAudio(response, f"a-{response}", b"\x22" * 8000), after_s=0.25)
        due = ev.ResponseEnded(response_id=response, status=ev.ResponseStatus.COMPLETED, reason="it is time")
        self._after(0.3, due)

    def _end(self, response_id: str, status: ev.ResponseStatus) -> None:
        if self._running == response_id:
            self._running = None
            self._notify(ev.ResponseEnded(response_id=response_id, status=status))

    def _notify(self, *events: ev.SessionEvent, after_s: float = 0.0) -> None:
        for event in events:
            self._after(after_s + self._trip_s, event)

    def _after(self, seconds: float, what: ev.SessionEvent | ev.SessionOrder) -> None:
        self._agenda.append((self._talk.now + seconds, len(self._talk.orders) + len(self._agenda), what))
