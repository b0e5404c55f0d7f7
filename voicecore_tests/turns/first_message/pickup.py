"""A call from pick-up on, without wires: a carrier that plays and echoes, a provider that a test speaks for."""

from __future__ import annotations

import attrs

from voicecore import events as ev
from voicecore.audio.formats import PCMU_8K
from voicecore.facts import MessageReport
from voicecore.turns.conversation import Conversation
from voicecore.turns.first_message.audio_gate import UserAudioGate
from voicecore.turns.first_message.message import FirstMessagePolicy, Message
from voicecore.turns.first_message.requests import lockout_for
from voicecore.turns.orders import Notify, Order
from voicecore.turns.settings import ConversationSettings
from voicecore_tests.kit import ulaw

DOES_ALL = ev.Capabilities(detects_turns=True, replies=True, interrupts=True, speaks=True, transcribes_user=True)
LOCKED = attrs.evolve(DOES_ALL, detects_turns=False, replies=False, interrupts=False)
LISTENS = attrs.evolve(DOES_ALL, replies=False, interrupts=False)
WELCOME = Message("Welcome to the clinic.")
FRAME = 160
SILENCE = b"\xff" * FRAME
HELLO = ulaw("caller-hello-it")[:8000]
RECORDED = Message("Welcome to the clinic.", b"\x11" * 8000)


class Pickup:
    """A call from pick-up on: the carrier plays and echoes, the provider answers what it is asked."""

    def __init__(
        self,
        policy: FirstMessagePolicy | None = None,
        *,
        message: Message = WELCOME,
        lock: ev.LockoutState = ev.LockoutState.IN_FORCE,
        answers: bool = True,
    ) -> None:
        self.policy = policy or FirstMessagePolicy()
        self.now = 0.0
        self.lockout = lockout_for(message, self.policy)
        self.machine = Conversation(PCMU_8K, 0.0, ConversationSettings(first_message=message, policy=self.policy))
        self.orders: list[tuple[float, Order]] = []
        self.sent: list[tuple[float, ev.LegOrder]] = []
        self.answers = answers
        self.echoes = True
        self.user_bytes = 0
        self.speech = b""
        self._lock = lock if self.lockout is not ev.Lockout.NONE else ev.LockoutState.NOT_REQUESTED
        self._echoes: list[tuple[float, str]] = []
        self._play_end = 0.0
        self.take(self.machine.begin(0.0))

    def ready(self, *, asked: bool = False) -> None:
        """The session is there."""
        locked = LOCKED if self.lockout is ev.Lockout.DETECTION_OFF else LISTENS
        capabilities = locked if self._lock is ev.LockoutState.IN_FORCE else DOES_ALL
        ready = self.machine.session_ready(capabilities, self.now, lockout=(self.lockout, self._lock), asked=asked)
        self.take(ready)

    def take(self, orders: list[Order]) -> None:
        for order in orders:
            self.orders.append((self.now, order))
            if self.answers and isinstance(order, ev.DiscardUserAudio):
                self.hears(ev.UserAudioDiscarded())
            elif self.answers and isinstance(order, ev.CommitUserAudio):
                self.hears(ev.UserTurnCommitted(f"held-{len(self.orders)}"))
            elif self.answers and isinstance(order, ev.RestoreTurnDetection):
                self.hears(ev.SessionReconfigured(capabilities=DOES_ALL, lock=ev.LockoutState.RESTORED))

    def hears(self, *events: ev.SessionEvent) -> None:
        for event in events:
            self.take(self.machine.handle_session(event, self.now))

    def says(self, response: str = "r1", item: str = "a1", seconds: float = 2.0, request: str | None = None) -> None:
        """The provider speaks one item, faster than real time, and is done."""
        request = request or self.asked[-1]
        self.hears(ev.ResponseStarted(response, request), ev.AgentItemAdded(response, item))
        self.hears(ev.AgentTextPart(response, item, "Welcome to the clinic."))
        self.hears(ev.AgentAudio(response, item, b"\x33" * round(8000 * seconds)), ev.AgentAudioEnded(response, item))
        self.ends(response)

    def ends(
        self, response: str, status: ev.ResponseStatus = ev.ResponseStatus.COMPLETED, reason: str | None = None
    ) -> None:
        self.hears(ev.ResponseEnded(response_id=response, status=status, reason=reason))

    def passes(self, seconds: float) -> None:
        """Let time pass, frame by frame: the user's audio comes, what is due goes, marks return."""
        for _ in range(round(seconds / 0.02)):
            frame, self.speech = self.speech[:FRAME] or SILENCE, self.speech[FRAME:]
            self.user_bytes += len(frame)
            self.take(self.machine.user_audio(frame, self.now))
            self._carry()
            self.now += 0.02
            deadline = self.machine.deadline()
            if deadline is not None and deadline <= self.now:
                self.take(self.machine.expire(self.now))

    def _carry(self) -> None:
        for order in self.machine.due(self.now):
            self.sent.append((self.now, order))
            self.take(self.machine.sent(order, self.now))
            if isinstance(order, ev.PlayAudio):
                self._play_end = max(self._play_end, self.now) + len(order.audio) / 8000
            elif isinstance(order, ev.PlaceMark) and self.echoes:
                self._echoes.append((self._play_end + 0.05, order.name))
            elif isinstance(order, ev.ClearPlayout):
                self._play_end = self.now
        for due, name in [each for each in self._echoes if each[0] <= self.now]:
            self._echoes.remove((due, name))
            self.take(self.machine.handle_leg(ev.MarkReturned(name), self.now))

    # --- what came of it -----------------------------------------------------------

    def ordered(self, kind: type | tuple[type, ...]) -> list[Order]:
        return [order for _, order in self.orders if isinstance(order, kind)]

    @property
    def asked(self) -> list[str]:
        return [order.request_id for order in self.ordered(ev.RequestResponse) if isinstance(order, ev.RequestResponse)]

    @property
    def passed_bytes(self) -> int:
        return sum(len(order.audio) for _, order in self.orders if isinstance(order, ev.AppendUserAudio))

    @property
    def report(self) -> MessageReport:
        report = self.machine.openings[0].report()
        assert report is not None
        return report

    def told(self, kind: type) -> int:
        return sum(isinstance(order, Notify) and isinstance(order.fact, kind) for _, order in self.orders)

    def first_sent_s(self) -> float:
        return next(at for at, order in self.sent if isinstance(order, ev.PlayAudio))


def onset(item: str = "u1") -> ev.SessionEvent:
    return ev.UserSpeechStarted(item, 0)


def held_bytes(gate: UserAudioGate) -> int:
    """How much a gate holds: it is taken out, and put back."""
    buffered = gate.take()
    assert gate.admit(buffered) == b""
    return len(buffered)
