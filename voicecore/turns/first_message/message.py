"""What becomes of a message that must be heard: asked for, spoken, heard, or lost and said so.

    WAITING ──► ASKED ──► SPEAKING ──► OVER
       ▲           │ lost     │ lost
       │           ◄──────────┘ asked for once more, or undelivered
       └── the user speaks first, where that is the policy
    RECOVERING   the provider dropped it because the user spoke, and that was allowed

Rule 1: a message ends in exactly one outcome, within a limit, whatever comes.
Rule 2: it is heard when its response is complete *and* everything of it was
played; a fragment is not a message.
Rule 3: it is asked for at most ``tries`` times; what is left of a lost try is
cut before the next one.
Rule 4: a response whose start was never announced is taken for ours while ours is due.
Rule 5: one that was announced is under way: slow is not lost, within a limit of its own.
Rule 6: silence is no message: a response without a sound is a lost try.
Rule 7: where the session can give no response any more, there is no second try.

Pure; time is an argument.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

import attrs

from voicecore import kinds
from voicecore.events import ResponseEnded, ResponseStatus, Severity
from voicecore.facts import MessageOutcome
from voicecore.turns.first_message.audio_gate import UserAudioRule

OWN = "own-"
"""Begins the response and item id of a message that we play ourselves."""

SILENT = "its audio was silent"


class SpeaksFirst(enum.Enum):
    """Who begins the talk."""

    AGENT = "agent"
    USER = "user"  #: the user's greeting is turn 0; the agent waits for it, up to a limit
    WHOEVER = "whoever"  #: the agent at once, unless the user is speaking at that moment


class ProtectionRule(enum.Enum):
    """Until when user speech cannot end the message."""

    WHOLE = "whole"
    FIRST_AUDIO = "first_audio"  #: until the user has heard its beginning
    OFF = "off"


@attrs.frozen(kw_only=True)
class FirstMessagePolicy:
    """How the first message is said. Seconds."""

    speaks_first: SpeaksFirst = attrs.field(default=SpeaksFirst.AGENT, validator=kinds.member(SpeaksFirst))
    """Who begins: the agent; the user, for whom the agent waits; or whoever does."""
    protection: ProtectionRule = attrs.field(default=ProtectionRule.WHOLE, validator=kinds.member(ProtectionRule))
    """Until when user speech cannot end the message."""
    user_audio: UserAudioRule = attrs.field(default=UserAudioRule.BUFFER, validator=kinds.member(UserAudioRule))
    """What happens to user audio while the message is protected: answered afterwards, dropped, or sent to the model
    at once."""
    yield_s: float = attrs.field(default=30.0, validator=kinds.seconds(above=0))
    """User audio that is buffered at most; beyond it the oldest is dropped."""
    tries: int = attrs.field(default=2, validator=kinds.whole(1, 10))
    """How often the first message is requested before it counts as undelivered."""
    first_audio_s: float = attrs.field(default=6.0, validator=kinds.seconds(above=0, high=60))
    """How long a request for the first message may go without an answer, and its audio without more of it, before
    it is requested again."""
    announced_s: float = attrs.field(default=20.0, validator=kinds.seconds(above=0, high=60))
    """How long a first message that the model has begun may take to its first audio: a slow model is not a lost one."""
    hello_s: float = attrs.field(default=4.0, validator=kinds.seconds(above=0, high=60))
    """How long the agent waits for a user who is to speak first."""
    user_turn_s: float = attrs.field(default=10.0, validator=kinds.seconds(above=0))
    """How long the agent waits for a user who is speaking to end."""
    recover_s: float = attrs.field(default=2.0, validator=kinds.seconds(above=0))
    """An unprotected message that early speech has cancelled is requested again unless talk goes on within this."""
    lead_in_s: float = attrs.field(default=0.0, validator=kinds.seconds(0, 60))
    """Pause between pick-up and the first frame: some lines lose their first moments."""
    prepared: bool = attrs.field(default=False, validator=kinds.SWITCH)
    """Generate the first message while the phone rings: at once at pick-up, and paid for where nobody answers."""


@attrs.frozen
class Message:
    """What is to be said."""

    text: str
    """Its words; the agent's history has them however they are spoken."""
    audio: bytes | None = attrs.field(default=None, repr=False)
    """Ready speech in the leg's format, played as it is; None: the session speaks the text."""
    name: str = "first message"


# --- what is to be done -----------------------------------------------------------


@attrs.frozen
class Ask:
    """Ask the session to speak the message."""

    request_id: str


@attrs.frozen
class PlayOwn:
    """Play the message's own audio, as this item."""

    item_id: str


@attrs.frozen
class CutMessage:
    """A try is lost: drop whatever there is of it, and let no more of it be played."""

    response_id: str | None
    request_id: str | None
    """The request to give up; None: it is still to be answered."""
    why: str


@attrs.frozen
class MessageOver:
    """The message is over, and this became of it."""

    outcome: MessageOutcome
    detail: str


MessageStep = Ask | PlayOwn | CutMessage | MessageOver


class MessagePhase(enum.Enum):
    """The states; see the head of this file."""

    WAITING = "waiting"
    ASKED = "asked"
    SPEAKING = "speaking"
    RECOVERING = "recovering"
    OVER = "over"


class MessageMove(enum.Enum):
    """What can happen to a message."""

    ASK = "ask"  #: the session is asked for it, or still is: another response was taken for it
    PLAY = "play"  #: its own audio is played
    AUDIO = "audio"  #: audio of it came in
    CANCELLED = "cancelled"  #: early speech has cancelled its response, and that was allowed
    END = "end"  #: it was heard, interrupted or dropped, or cannot be delivered


_P, _M = MessagePhase, MessageMove
NEXT_MESSAGE_PHASE: Mapping[MessagePhase, Mapping[MessageMove, MessagePhase]] = {
    _P.WAITING: {_M.ASK: _P.ASKED, _M.PLAY: _P.SPEAKING, _M.END: _P.OVER},
    _P.ASKED: {_M.ASK: _P.ASKED, _M.AUDIO: _P.SPEAKING, _M.CANCELLED: _P.RECOVERING, _M.END: _P.OVER},
    _P.SPEAKING: {_M.ASK: _P.ASKED, _M.AUDIO: _P.SPEAKING, _M.CANCELLED: _P.RECOVERING, _M.END: _P.OVER},
    _P.RECOVERING: {_M.ASK: _P.ASKED, _M.END: _P.OVER},
    _P.OVER: {},
}
"""The legal moves; whoever makes one asks first whether it is."""

_TRIED = frozenset({MessagePhase.ASKED, MessagePhase.SPEAKING})


class _Spoken(enum.Enum):
    """How much of the message the present try has brought."""

    NOTHING = "nothing"
    PART = "part"
    ALL = "all"


class FirstMessage:
    """One message on its way to the user's ear."""

    def __init__(self, message: Message, policy: FirstMessagePolicy, prefix: str) -> None:
        self.message = message
        self.policy = policy
        self.phase = MessagePhase.WAITING
        self.requests = 0
        self.response_id: str | None = None
        self.losses: list[str] = []
        self.first_heard_at: float | None = None
        self.heard_at: float | None = None
        self.heard_by: str | None = None
        self.over: MessageOver | None = None
        self._prefix = prefix
        self._unplayed: set[str] = set()  # items whose audio came in and was not played to the end
        self._spoken = _Spoken.NOTHING
        self.has_sound = False
        """Whether the present try has brought more than silence."""
        self._deadline: float | None = None

    # --- beginning ------------------------------------------------------------------

    @property
    def request_id(self) -> str:
        """The id of the last request; of the first one before any was made."""
        return f"{self._prefix}-{max(1, self.requests)}"

    def await_user(self, deadline: float) -> None:
        """Wait for the user, until ``deadline`` at the latest."""
        self._deadline = deadline

    def say(self, now: float) -> list[MessageStep]:
        """It is time: play it, or ask for it; nothing when that was done already."""
        if self.phase is not MessagePhase.WAITING:
            return []
        if self.message.audio is None:
            return self._ask(now)
        self._move(MessageMove.PLAY)
        own_id = f"{OWN}{self._prefix}"
        self.response_id, self._spoken, self.has_sound = own_id, _Spoken.ALL, True
        self._unplayed = {own_id}
        return [PlayOwn(own_id)]

    def already_asked(self, now: float) -> None:
        """It was asked for while the phone rang."""
        self._ask(now)

    # --- what the session says --------------------------------------------------------

    def owns(self, response_id: str) -> bool:
        """Whether this response is the message."""
        return response_id == self.response_id

    def request_sent(self, request_id: str, now: float) -> None:
        """The time for an answer begins when the request is sent: it may have waited for another response."""
        if request_id == self.request_id and self.phase is MessagePhase.ASKED:
            self._deadline = now + self.policy.first_audio_s

    def started(self, response_id: str, request_id: str | None, now: float) -> None:
        """A response began."""
        if request_id == self.request_id and self.phase is MessagePhase.ASKED:
            self.response_id = response_id
            self._deadline = now + self.policy.announced_s

    def mistaken(self, now: float) -> list[MessageStep]:
        """What was taken for the message is another response: the request for the message was refused."""
        if self.response_id is None or self.phase not in _TRIED:
            return []
        cut = CutMessage(self.response_id, None, "another response was taken for it")
        self._expect(now)
        return [cut]

    def audio(self, response_id: str, item_id: str, now: float, *, has_sound: bool) -> None:
        """Audio of a response came in."""
        if self.phase is MessagePhase.ASKED and self.response_id is None:
            self.response_id = response_id
        if self.owns(response_id) and self.phase in _TRIED:
            self._move(MessageMove.AUDIO)
            if self._spoken is _Spoken.NOTHING:
                self._spoken = _Spoken.PART
            self.has_sound = self.has_sound or has_sound
            self._unplayed.add(item_id)
            self._deadline = now + self.policy.first_audio_s

    def ended(self, event: ResponseEnded, now: float, *, early_speech_may_cancel: bool) -> list[MessageStep]:
        """A response is over."""
        if not self.owns(event.response_id) or self.phase not in _TRIED:
            return []
        if event.status is ResponseStatus.COMPLETED and self._spoken is not _Spoken.NOTHING:
            self._spoken = _Spoken.ALL
            return self._heard_if_all(now) if self.has_sound else self.lost(SILENT, now)
        why = event.error_code or event.reason or f"{event.status.value} without audio"
        if event.severity is Severity.FATAL:
            self.losses.append(why)
            return self._end(MessageOutcome.UNDELIVERED, why)  # what there is of it may be heard
        if early_speech_may_cancel and event.reason == "turn_detected":
            self.losses.append(why)
            self._move(MessageMove.CANCELLED)
            self._deadline = now + self.policy.recover_s
            return [CutMessage(self.response_id, self.request_id, why)]
        return self.lost(why, now)

    def lost(self, why: str, now: float) -> list[MessageStep]:
        """This try will not be heard."""
        if self.phase not in {MessagePhase.ASKED, MessagePhase.SPEAKING, MessagePhase.RECOVERING}:
            return []
        self.losses.append(why)
        cut = [CutMessage(self.response_id, self.request_id, why)] if self.phase is not MessagePhase.RECOVERING else []
        if self.requests >= self.policy.tries:
            return [*cut, *self._end(MessageOutcome.UNDELIVERED, why)]
        return [*cut, *self._ask(now)]

    # --- what the user hears and does --------------------------------------------------

    def first_heard(self, response_id: str, now: float) -> None:
        """The user has heard its beginning."""
        if self.owns(response_id) and self.first_heard_at is None:
            self.first_heard_at = now

    def played(self, response_id: str, item_id: str, mark: str | None, now: float) -> list[MessageStep]:
        """An item was played to its end; ``mark`` proves it, None: by the clock."""
        if not self.owns(response_id) or self.phase is not MessagePhase.SPEAKING:
            return []
        self._unplayed.discard(item_id)
        self.heard_by, self.heard_at = mark, now
        return self._heard_if_all(now)

    def talk_goes_on(self) -> list[MessageStep]:
        """Somebody speaks: a message that early speech has cancelled is not needed any more."""
        if self.phase is not MessagePhase.RECOVERING:
            return []
        return self._end(MessageOutcome.UNDELIVERED, "the user spoke first, and the provider dropped it")

    def interrupted(self) -> list[MessageStep]:
        """The user cut it, where that was allowed."""
        return self._end(MessageOutcome.INTERRUPTED, "the user spoke over it")

    def dropped(self, why: str) -> list[MessageStep]:
        """Nobody wants it any more."""
        return self._end(MessageOutcome.DROPPED, why)

    # --- time ---------------------------------------------------------------------------

    def deadline(self) -> float | None:
        """Return when to call `expire`."""
        return self._deadline

    def expire(self, now: float, *, under_way: bool) -> list[MessageStep]:
        """Act on a deadline that has passed; ``under_way``: some of it still plays, or its request waits its turn."""
        if self._deadline is None or now < self._deadline:
            return []
        if self.phase is MessagePhase.WAITING:
            return self.say(now)
        if under_way and self.phase in _TRIED:
            self._deadline = now + self.policy.first_audio_s
            return []
        return self.lost("no audio in time", now)

    # --- inside -----------------------------------------------------------------------

    def _move(self, move: MessageMove) -> None:
        self.phase = NEXT_MESSAGE_PHASE[self.phase][move]

    def _ask(self, now: float) -> list[MessageStep]:
        self.requests += 1
        self._expect(now)
        return [Ask(self.request_id)]

    def _expect(self, now: float) -> None:
        """Wait for the answer to the last request."""
        self._move(MessageMove.ASK)
        self.response_id, self._spoken, self.has_sound = None, _Spoken.NOTHING, False
        self._unplayed.clear()
        self._deadline = now + self.policy.first_audio_s

    def _heard_if_all(self, now: float) -> list[MessageStep]:
        if self._spoken is not _Spoken.ALL or self._unplayed:
            self._deadline = now + self.policy.first_audio_s
            return []
        return self._end(MessageOutcome.HEARD, "")

    def _end(self, outcome: MessageOutcome, detail: str) -> list[MessageStep]:
        if self.over is not None:
            return []
        self._move(MessageMove.END)
        self._deadline = None
        self.over = MessageOver(outcome, detail)
        return [self.over]
