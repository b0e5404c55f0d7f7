"""The user's turns, and what becomes of each.

    committed ──► OPEN ──the audio of a reply is sent──► answered
                   ├── dropped, for a reason
                   └── failed: no reply came

Rule 1: each committed turn has exactly one end; a repeated commit changes nothing.
Rule 2: a response answers the turns that were open when it began, together.
They are answered once its audio is on the wire; a reply that is cut before that
leaves them open, for the next one.
Rule 3: open turns have a deadline, which does not count while the user speaks
(for ``patience_s`` at most) or while a message is due that they have to wait for.
Rule 4: a user who speaks up again begins that deadline anew, but has waited all
the same: ``waited_s`` goes on until something of a reply is heard.

Pure; time is an argument.
"""

from __future__ import annotations

import enum
from collections import deque

import attrs

from voicecore import kinds

_REMEMBERED = 64  #: ids of turns that have met their end
_TURN_FOLLOWS_S = 0.3  #: from the end of speech to the news of its turn, at most
_TRIES = 1  #: how often a lost reply is asked for again
_WAIT_S = 1.0  #: silence behind a turn in which the user waits; a shorter one is a pause for breath


@attrs.frozen(kw_only=True)
class UserTurnSettings:
    """How long a user may wait for an answer; seconds."""

    reply_s: float = attrs.field(default=10.0, validator=kinds.seconds(above=0))
    """From a turn, or the user's last sound after it, to the first audio of the reply."""
    patience_s: float = attrs.field(default=30.0, validator=kinds.seconds(above=0))
    """How long a user who goes on speaking, or a noise that is taken for one, is waited for."""
    yield_s: float = attrs.field(default=5.0, validator=kinds.seconds(above=0))
    """How long a reply that is ready waits for a user who has begun to speak again."""
    answer_s: float = attrs.field(default=30.0, validator=kinds.seconds(above=0))
    """How long a user who speaks up again and again has waited in between, in all, before no reply is expected."""


class _State(enum.Enum):
    LATER = "later"  #: behind a message that is due
    OPEN = "open"
    ANSWERING = "answering"  #: by a response of which nothing was sent yet


@attrs.define
class _Turn:
    item_id: str
    state: _State
    stopped_at: float | None
    response_id: str | None = None


class UserTurns:
    """The user's turns of one call that have not met their end, oldest first."""

    def __init__(self, settings: UserTurnSettings | None = None) -> None:
        self.settings = settings or UserTurnSettings()
        self.speaking_since: float | None = None
        """When the user's present speech began; None in silence."""
        self.yields_until: float | None = None
        """Until when a reply that is ready waits for the user; None: for nothing."""
        self.tries_left = _TRIES
        self.waited_s = 0.0
        """How long the user has waited behind turns, before speaking up again, since a reply was heard."""
        self._waits_since: float | None = None
        self._owed: set[str] = set()  # turns that the session is to answer by itself; no response has begun since
        self._turns: dict[str, _Turn] = {}  # by item id; settled by the deadline at the latest
        self._settled: deque[str] = deque(maxlen=_REMEMBERED)
        self._speaking: str | None = None
        self._begun: deque[str] = deque(maxlen=_REMEMBERED)
        self._due_at: float | None = None
        self._stopped: tuple[str | None, float] | None = None  # what ended last, and when

    # --- the user ---------------------------------------------------------------

    def speech_started(self, now: float, item_id: str | None = None) -> None:
        """The user began to speak; what will become this item, where that is known."""
        self._speaking = item_id
        if self._waits_since is not None and (waited_s := now - self._waits_since) >= _WAIT_S:
            self.waited_s += waited_s
        self._waits_since = None
        if self.speaking_since is None:
            self.speaking_since = now
            self.yields_until = now + self.settings.yield_s
            self._due_at = now + self.settings.patience_s

    def speech_stopped(self, now: float) -> None:
        """The user has stopped; the turn that this made is about to be announced."""
        self._stopped = (self._speaking, now)
        if self.speaking_since is not None:
            self.yields_until = min(self.speaking_since + self.settings.yield_s, now + _TURN_FOLLOWS_S)
        self.speaking_since = None
        self.extend(now)

    def committed(self, item_id: str, now: float, *, later: bool = False, session_replies: bool = False) -> bool:
        """Take a new turn; False for one that was taken before.

        ``later``: it waits for a message; ``session_replies``: the session is to answer it by itself.
        """
        if item_id in self._turns or item_id in self._settled:
            return False
        stopped, self._stopped = self._stopped, None
        its_own = stopped is not None and stopped[0] in {None, item_id}
        state = _State.LATER if later else _State.OPEN
        self._turns[item_id] = _Turn(item_id, state, stopped[1] if stopped is not None and its_own else None)
        self.tries_left = _TRIES
        if session_replies:
            self._owed.add(item_id)
        if self._speaking in {None, item_id}:  # not where the next sound has begun meanwhile
            self.speaking_since = self.yields_until = None
            self._waits_since = None if later else now
        self.extend(now)
        return True

    def release(self, now: float) -> bool:
        """What waited for a message may be answered; return whether anything did."""
        waited = [turn for turn in self._turns.values() if turn.state is _State.LATER]
        for turn in waited:
            turn.state = _State.OPEN
        if waited:
            self.extend(now)
        return bool(waited)

    # --- replies ------------------------------------------------------------------

    def began(self, response_id: str) -> tuple[str, ...]:
        """A response runs, as its start or its first audio says; return what it answers."""
        if response_id not in self._begun:
            self._begun.append(response_id)
            self._owed.clear()
            for turn in self._turns.values():
                if turn.state is _State.OPEN:
                    turn.state, turn.response_id = _State.ANSWERING, response_id
        return tuple(turn.item_id for turn in self._turns.values() if turn.response_id == response_id)

    def answered(self, response_id: str, now: float) -> float | None:
        """Audio of a response is on the carrier's wire; return seconds since the user stopped, None for no such turn.

        The end of speech belongs to its own turn: noise that became none is charged to nobody.
        """
        answered = [turn for turn in self._turns.values() if turn.response_id == response_id]
        for turn in answered:
            self._settle(turn)
            self.waited_s = 0.0
        stopped_at = answered[-1].stopped_at if answered else None
        return None if stopped_at is None else now - stopped_at

    def not_answered(self, response_id: str, now: float) -> None:
        """A response is over and nothing of it was sent: its turns are open again."""
        unanswered = [turn for turn in self._turns.values() if turn.response_id == response_id]
        for turn in unanswered:
            turn.state, turn.response_id = _State.OPEN, None
        if unanswered:
            self.extend(now)

    def settle(self, item_id: str | None = None) -> tuple[str, ...]:
        """End a turn without a reply, or (None) every one that is open; return them."""
        turns = self._turns.values()
        found = [t for t in turns if (t.state is _State.OPEN if item_id is None else t.item_id == item_id)]
        for turn in found:
            self._settle(turn)
        return tuple(turn.item_id for turn in found)

    # --- questions ------------------------------------------------------------------

    @property
    def open(self) -> tuple[str, ...]:
        """The turns that no response is answering, and that do not wait for a message."""
        if not self._turns:
            return ()
        return tuple(turn.item_id for turn in self._turns.values() if turn.state is _State.OPEN)

    @property
    def await_reply(self) -> bool:
        """Whether the user is silent and waits for a reply to a turn."""
        if not self._turns or self.speaking_since is not None:
            return False
        return any(turn.state is not _State.LATER for turn in self._turns.values())

    @property
    def session_owes_reply(self) -> bool:
        """Whether the session has a reason to begin a response by itself: a turn that it is to answer.

        Not one that was made while it was configured to answer nothing.
        """
        return not self._owed.isdisjoint(self.open)

    def waited_in_vain(self, *, excused: bool) -> bool:
        """Whether the user has spoken up again and again, and waited too long in between; ``excused``: once more."""
        return self.waited_s >= (self.settings.reply_s if excused else self.settings.answer_s)

    @property
    def unsettled(self) -> int:
        """Turns that have not met their end, whatever they wait for."""
        return len(self._turns)

    # --- time -------------------------------------------------------------------------

    def deadline(self) -> float | None:
        """Return when an open turn has waited, or the user has spoken, too long; then its owner acts on it."""
        waits = any(turn.state is not _State.LATER for turn in self._turns.values())
        return self._due_at if waits or self.speaking_since is not None else None

    def extend(self, now: float) -> None:
        """Begin the present deadline anew."""
        if self.speaking_since is None:
            self._due_at = now + self.settings.reply_s

    def hush(self) -> None:
        """Take the user for silent: the speech has lasted longer than anybody speaks."""
        self.speaking_since = self.yields_until = None

    # --- inside -----------------------------------------------------------------------

    def _settle(self, turn: _Turn) -> None:
        del self._turns[turn.item_id]
        self._settled.append(turn.item_id)
        if not self._turns:
            self.waited_s, self._waits_since = 0.0, None
