"""What observers are told while a call goes on, and the report at its end.

Rule 1: a fact is frozen, says what happened and when, and changes nothing.
``at_s`` counts on Trio's clock from the start of the media; before that (up to
`CallBegan`, of which ``ringing_s`` tells how long it took) from the first word of
the call.
Rule 2: history and record do not depend on observers; with none, a call is the same.
Rule 3: a figure that was not measured is None, never zero.

Made in turns/ and engine/; read by observe/, the command line and embedding programs.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import attrs

from voicecore.events import TokenUsage


class EndCause(enum.Enum):
    """Why a call ended: exactly one each, the first that happened."""

    CALLER_HUNG_UP = "caller_hung_up"
    LEG_LOST = "leg_lost"
    LEG_MISBEHAVED = "leg_misbehaved"
    MEDIA_NEVER_CAME = "media_never_came"
    SESSION_UNAVAILABLE = "session_unavailable"
    SESSION_REFUSED = "session_refused"
    SESSION_LOST = "session_lost"
    HUNG_UP = "hung_up"  #: by our side
    NO_ANSWER = "no_answer"
    BUSY = "busy"
    CANCELED = "canceled"  #: by the carrier's account, before an answer
    DIAL_FAILED = "dial_failed"  #: the carrier could not place it
    DIAL_REFUSED = "dial_refused"  #: the carrier refused the request
    DIAL_UNAVAILABLE = "dial_unavailable"  #: the carrier could not be asked; nothing rang
    DIAL_UNCERTAIN = "dial_uncertain"  #: no answer to the request, and no status after it
    RING_TIMEOUT = "ring_timeout"  #: our own limit; the carrier said nothing in time
    MACHINE_ANSWERED = "machine_answered"
    MESSAGE_LEFT = "message_left"  #: a machine answered, and its message was played to the end
    TIME_LIMIT = "time_limit"
    SHUT_DOWN = "shut_down"
    FAILED = "failed"


class Speaker(enum.Enum):
    """The two who speak."""

    CALLER = "caller"
    AGENT = "agent"


@attrs.frozen
class TranscriptLine:
    """One item of the conversation, in its order.

    ``text`` is None while (or when) no words are known. For the agent it holds
    only what the caller heard; ``interrupted`` says that more was generated.
    """

    speaker: Speaker
    item_id: str
    text: str | None
    interrupted: bool = False


@attrs.frozen(kw_only=True)
class TurnTimes:
    """When the steps of one reply happened, in seconds since the call began; None is "not seen"."""

    response_id: str
    caller_stopped_at_s: float | None
    """The provider said that the caller had stopped (its silence window included)."""
    first_generated_at_s: float
    first_sent_at_s: float | None
    first_heard_at_s: float | None
    """The first mark behind its audio came back."""
    interrupted: bool = False


@attrs.frozen(kw_only=True)
class AudioPath:
    """What is done to the audio on its way, decided once a call from the formats that were echoed."""

    leg: str
    session_caller: str
    session_agent: str
    passthrough: bool


@attrs.frozen(kw_only=True)
class MediaCounts:
    """Bytes and messages of one call; every byte that came in is in exactly one of the outcomes."""

    caller_received_bytes: int = 0
    caller_forwarded_bytes: int = 0
    caller_dropped_bytes: Mapping[str, int] = attrs.field(factory=dict)
    agent_received_bytes: int = 0
    agent_sent_bytes: int = 0
    agent_padding_bytes: int = 0
    """Silence that fills the last frame of an utterance; part of what was sent."""
    agent_dropped_bytes: Mapping[str, int] = attrs.field(factory=dict)
    marks_placed: int = 0
    marks_heard: int = 0
    marks_flushed: int = 0
    marks_assumed: int = 0
    marks_unmatched: int = 0
    clears: int = 0
    under_runs: int = 0
    leg_messages_ignored: int = 0
    digits: int = 0


class ParkingFate(enum.Enum):
    """What became of a session that was opened before pick-up: exactly one each."""

    ADOPTED = "adopted"
    EXPIRED = "expired"  #: its time was over, or it gave its place to a newer one
    HUNG_UP = "hung up"  #: its call ended first
    SHUT_DOWN = "shut down"
    DIED = "died"  #: it could not be opened, or its connection ended
    REFUSED = "refused"  #: it was not the one that the call wanted


@attrs.frozen(kw_only=True)
class ParkedOnce:
    """One session that was parked for a call."""

    fate: ParkingFate
    detail: str
    parked_s: float
    """From the beginning of its opening to its fate."""
    wasted: bool
    """It was paid for and not used."""
    prepared_s: float
    """Speech that it had generated before pick-up."""


@attrs.frozen(kw_only=True)
class Pickup:
    """How the session came to the call when its media began."""

    source: Literal["adopted", "cold"]
    waited_s: float
    """From the start of the media to the session being ready."""


@attrs.frozen
class TraceLine:
    """One line of what happened to the first message, and what protected it; ``who`` acted."""

    at_s: float
    who: Literal["engine", "provider", "carrier", "caller"]
    what: str


class MessageFate(enum.Enum):
    """What became of a message that was to be heard."""

    HEARD = "heard"  #: to its end
    INTERRUPTED = "interrupted"  #: by the caller, where that was allowed
    UNDELIVERED = "undelivered"
    DROPPED = "dropped"  #: the call ended, or took another course, before


@attrs.frozen(kw_only=True)
class MessageReport:
    """What became of the first message (or of one that was left on a machine)."""

    fate: MessageFate
    detail: str
    """Why, where it was not heard; empty otherwise."""
    first_heard_s: float | None
    """From pick-up to the mark behind its first audio."""
    heard_s: float | None
    """From pick-up to the mark behind its last audio."""
    heard_by: str | None
    """The name of that last mark; None: by the clock, because no mark came back."""
    requests: int
    """How often it was asked for."""
    protection: str
    """What protected it, in words."""
    verdict: str
    """One sentence, when something endangered it; empty otherwise."""
    trace: Sequence[TraceLine]


@attrs.frozen(kw_only=True)
class CallReport:
    """What a call came to; the record is made from it and nothing else."""

    call_id: str
    carrier_call_id: str | None
    direction: Literal["inbound", "outbound"]
    caller: str
    callee: str
    started_at: str
    """Time of day with zone, ISO 8601."""
    ringing_s: float
    """From the first word of the call to its media, or to its end."""
    duration_s: float
    """From the start of the media, or of a call without any from its first word, to its end."""
    outcome: EndCause
    """The one cause of its end."""
    outcome_detail: str
    """One line for people; empty when the cause says it all."""
    carrier_status: str | None
    """The carrier's terminal status word; None when it never came."""
    carrier_duration_s: int | None
    session_id: str | None
    session_open_s: float | None
    session_attempts: int
    pickup: Pickup | None
    """None: no session ever came to the call."""
    parked: Sequence[ParkedOnce]
    """Every session that was opened before pick-up."""
    answered_by: str | None
    """What the carrier's machine detection said, in its word."""
    first_message: MessageReport | None
    left_message: MessageReport | None
    """What was said to an answering machine."""
    audio_path: AudioPath | None
    transcript: Sequence[TranscriptLine]
    turns: Sequence[TurnTimes]
    barge_ins: int
    media: MediaCounts
    usage: TokenUsage
    problems: Mapping[str, int]
    """Provider errors by code, counted."""


@attrs.frozen
class Dialling:
    """The carrier is being asked to ring."""

    at_s: float
    call_id: str
    callee: str


@attrs.frozen
class Ringing:
    """The carrier says that it rings."""

    at_s: float


@attrs.frozen
class Answered:
    """The carrier says that somebody, or something, answered."""

    at_s: float


@attrs.frozen
class SessionParked:
    """A session is open, configured and waits for the pick-up."""

    at_s: float
    open_s: float


@attrs.frozen
class MachineHeard:
    """The carrier's machine detection has decided."""

    at_s: float
    answered_by: str


@attrs.frozen
class MessageDone:
    """The first message, or one for a machine, has met its fate."""

    at_s: float
    fate: MessageFate
    detail: str


@attrs.frozen
class ProtectionEnded:
    """Caller speech counts again."""

    at_s: float


@attrs.frozen
class CallBegan:
    """Picked up: the media stream is open and the call's tasks run."""

    at_s: float
    call_id: str
    caller: str
    callee: str
    ringing_s: float = 0.0
    """From the first word of the call to here."""


@attrs.frozen
class SessionReady:
    """The session is configured; the agent can hear and speak."""

    at_s: float
    session_id: str
    open_s: float
    """How long its opening took."""
    audio_path: AudioPath
    source: Literal["adopted", "cold"] = "cold"


@attrs.frozen
class CallerStarted:
    """The caller began to speak."""

    at_s: float
    item_id: str


@attrs.frozen
class CallerStopped:
    """The caller ended a turn."""

    at_s: float
    item_id: str


@attrs.frozen
class CallerSaid:
    """The words of a caller turn; None when transcription failed."""

    at_s: float
    item_id: str
    text: str | None


@attrs.frozen
class AgentAudible:
    """The first audio of an agent item was sent to the carrier."""

    at_s: float
    response_id: str
    item_id: str
    after_caller_s: float | None
    """Seconds since the caller stopped; None where nobody had spoken."""


@attrs.frozen
class AgentSaid:
    """An agent item is over; ``text`` is what was heard of it."""

    at_s: float
    item_id: str
    text: str | None
    interrupted: bool


@attrs.frozen
class MarkReturned:
    """The carrier echoed a mark; ``heard`` is False for one that a clear had flushed."""

    at_s: float
    name: str
    heard: bool


@attrs.frozen
class BargedIn:
    """The caller spoke over the agent; what had not been heard is dropped."""

    at_s: float
    response_id: str
    heard_s: float


@attrs.frozen
class ClearWritten:
    """The clear of a barge-in is on the carrier's socket, ``delay_s`` after the caller's onset was read."""

    at_s: float
    delay_s: float


@attrs.frozen
class ProblemSeen:
    """The provider or the carrier reported something wrong; the call goes on if it can."""

    at_s: float
    code: str
    message: str


@attrs.frozen
class CallEnded:
    """The call is over and nothing of it is left; always the last fact."""

    at_s: float
    report: CallReport


Fact = (
    Dialling
    | Ringing
    | Answered
    | SessionParked
    | MachineHeard
    | MessageDone
    | ProtectionEnded
    | CallBegan
    | SessionReady
    | CallerStarted
    | CallerStopped
    | CallerSaid
    | AgentAudible
    | AgentSaid
    | MarkReturned
    | BargedIn
    | ClearWritten
    | ProblemSeen
    | CallEnded
)

Observer = Callable[[str, Fact], None]
"""Called with the call's id and the fact; must not block."""
