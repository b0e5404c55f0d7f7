"""A call's conversation as a recorded series of steps: what a machine was given, and when, to be replayed.

    series = record()               the machine with the twin's playout and a scripted session, in virtual time
    replay(series)                  the same steps on a fresh machine; returns how many orders came back

The user asks and the agent answers, six times; the user speaks over every other
answer, and a strategy decides by the words that this is a barge-in.

Pure.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence

from voicecore import events as ev
from voicecore.audio.formats import PCMU_8K
from voicecore.simulation.twilio import LinePlayout
from voicecore.turns.barge_in.policy import BargeInPolicy
from voicecore.turns.barge_in.strategies import Backchannels, MinWords
from voicecore.turns.conversation import Conversation
from voicecore.turns.settings import ConversationSettings

TURNS = 6
_DELTA_S, _DELTAS = 0.2, 15  #: an answer of 3 s
_SPEED = 5.0  #: seconds of audio generated in one second
_CAPABILITIES = ev.Capabilities(
    detects_turns=True, replies=False, interrupts=False, speaks=True, transcribes_user=True, silence_s=0.5
)
SETTINGS = ConversationSettings(barge_in=BargeInPolicy(strategies=(Backchannels(), MinWords(2))))

Handed = ev.SessionEvent | ev.LegEvent | ev.LegOrder | None
"""An event of a side, an order that is on the wire; None: only the clock."""
Series = Sequence[tuple[float, Handed]]


def record() -> Series:
    """Return the steps of a call of a few turns, as a conversation received them."""
    return _Recorder().run()


def replay(series: Series) -> int:
    """Replay a series on a fresh conversation; return how many orders and facts it returned."""
    conversation, count = new_conversation(), 0
    for now, handed in series:
        count += hand_over(conversation, handed, now)
    return count


def new_conversation() -> Conversation:
    """Return a conversation whose session is ready."""
    conversation = Conversation(PCMU_8K, 0.0, SETTINGS)
    conversation.begin(0.0)
    conversation.session_ready(_CAPABILITIES, 0.0)
    return conversation


def hand_over(conversation: Conversation, handed: Handed, now: float) -> int:
    """Do one step; return how many orders and facts it returned."""
    if handed is None:
        return len(conversation.expire(now)) + len(conversation.due(now))
    if isinstance(handed, ev.LegOrder):
        return len(conversation.sent(handed, now))
    if isinstance(handed, ev.LegEvent):
        return len(conversation.handle_leg(handed, now))
    return len(conversation.handle_session(handed, now))


class _Recorder:
    """A conversation, the twin's playout, and a session that follows a script."""

    def __init__(self) -> None:
        self._conversation = new_conversation()
        self._series: list[tuple[float, Handed]] = []
        self._script = deque(_script())  # of one call, which is bounded
        self._playout = LinePlayout(began_at=0.0)
        self._returned: deque[str] = deque()  # marks that a clear has returned; bounded by the speech of the script

    def run(self) -> Series:
        now = 0.0
        while now < math.inf:
            self._take_in(now)
            self._clock(now)
            now = max(now, self._next())
        return self._series

    def _take_in(self, now: float) -> None:
        self._returned.extend(mark.name for mark in self._playout.advance(now))
        while self._returned:
            self._hand(ev.MarkReturned(self._returned.popleft()), now)
        while self._script and self._script[0][0] <= now:
            self._hand(self._script.popleft()[1], now)

    def _clock(self, now: float) -> None:
        """Let the conversation act on the time, and send what it orders."""
        self._series.append((now, None))
        self._conversation.expire(now)
        for order in self._conversation.due(now):
            self._hand(order, now)
            self._carry(order, now)

    def _carry(self, order: ev.LegOrder, now: float) -> None:
        if isinstance(order, ev.PlayAudio):
            self._playout.media(order.audio, now)
        elif isinstance(order, ev.PlaceMark):
            self._playout.mark(order.name, now)
        else:
            self._returned.extend(mark.name for mark in self._playout.clear(now))

    def _hand(self, handed: Handed, now: float) -> None:
        self._series.append((now, handed))
        hand_over(self._conversation, handed, now)

    def _next(self) -> float:
        """Return when something happens next; never, once the script has ended and all is played."""
        heads = (
            self._script[0][0] if self._script else None,
            0.0 if self._returned else self._playout.next_mark_at(),
        )
        mine = (self._conversation.next_due(), self._conversation.deadline())
        moments = [moment for moment in heads if moment is not None]
        if moments:
            moments += [moment for moment in mine if moment is not None]
        return min(moments, default=math.inf)


def _script() -> Iterator[tuple[float, ev.SessionEvent]]:
    """Yield the session's events, in order."""
    now = 0.5
    for number in range(TURNS):
        yield from _user(number, now)
        yield from _agent(number, now + 2.3)
        now += 2.3 + (1.2 if number % 2 else 4.5)  # over the answer, or after it
    yield from _user(TURNS, now)


def _user(number: int, now: float) -> Iterator[tuple[float, ev.SessionEvent]]:
    item = f"user-{number}"
    yield now, ev.UserSpeechStarted(item, round(now * 1000))
    for index, words in enumerate(("could ", "you ", "say ", "that ", "again")):
        yield now + 0.3 * (index + 1), ev.UserTranscriptPart(item, words)
    yield now + 2.0, ev.UserSpeechStopped(item, round(now * 1000) + 2000)
    yield now + 2.0, ev.UserTurnCommitted(item)
    yield now + 2.05, ev.UserTranscriptDone(item, "could you say that again")


def _agent(number: int, now: float) -> Iterator[tuple[float, ev.SessionEvent]]:
    response, item = f"response-{number}", f"agent-{number}"
    yield now, ev.ResponseStarted(response, None)
    yield now, ev.AgentItemAdded(response, item)
    for index in range(_DELTAS):
        at = now + 0.2 + index * _DELTA_S / _SPEED
        yield at, ev.AgentTextPart(response, item, "certainly ")
        yield at, ev.AgentAudio(response, item, bytes(PCMU_8K.bytes_in(_DELTA_S)))
    end = now + 0.2 + _DELTAS * _DELTA_S / _SPEED
    yield end, ev.AgentAudioEnded(response, item)
    yield end, ev.AgentTextDone(response, item, "certainly " * _DELTAS)
    usage = ev.TokenUsage(text_in=100, audio_in=200, audio_out=80)
    yield end, ev.ResponseEnded(response_id=response, status=ev.ResponseStatus.COMPLETED, usage=usage)
