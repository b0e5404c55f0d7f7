"""The report of a call, and the values that it is made of.

Rule 1: a figure that was not measured is None, never zero.
Rule 2: the record on disk is a report and nothing else.

Level 0.  Made in turns/ and engine/, told with the last fact, `CallEnded`; read by
observe/, the command line and embedding programs.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from typing import Literal

import attrs

from voicecore.events import TokenUsage
from voicecore.facts.decisions import BargeInDecision
from voicecore.statuses import CarrierFailure


class EndCause(enum.Enum):
    """Why a call ended: exactly one each, the first that happened."""

    REMOTE_HUNG_UP = "remote_hung_up"
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
    USER_SILENT = "user_silent"  #: no word in answer to the prompts
    TIME_LIMIT = "time_limit"
    SHUT_DOWN = "shut_down"
    FAILED = "failed"


class Speaker(enum.Enum):
    """The two who speak."""

    USER = "user"
    AGENT = "agent"


class HeardBy(enum.Enum):
    """What a position is known by."""

    MARKS = "marks"  #: the last echo says exactly this
    PACING = "pacing"  #: from the last echo on by the clock
    ESTIMATE = "estimate"  #: by the clock alone: marks were given up, or none came


@attrs.frozen
class HeardPosition:
    """How much of an item was played, in seconds from its start; never more than was received."""

    lower_s: float
    """Confirmed by an echo; where ``source`` is an estimate, by the clock after its margin."""
    best_s: float
    """What truncation and transcript go by: counted low."""
    upper_s: float
    """All that was sent."""
    source: HeardBy


@attrs.frozen
class TranscriptLine:
    """One item of the conversation, in its order.

    ``text`` is None while (or when) no words are known. For the agent it holds
    only what the user heard; ``interrupted`` says that more was generated.
    """

    speaker: Speaker
    item_id: str
    text: str | None
    interrupted: bool = False
    heard: HeardPosition | None = None
    """How much of an agent item was heard, and how sure that is, where it was cut; None: it was not."""


class TurnEnd(enum.Enum):
    """How a turn ended: exactly one each."""

    COMPLETED = "completed"  #: the agent's words were played to their end
    INCOMPLETE = "incomplete"  #: all there was of them was played; the provider ended them early
    INTERRUPTED = "interrupted"  #: by the user, or because the call took another course
    DROPPED = "dropped"  #: nobody is to answer it, for a reason
    FAILED = "failed"  #: no reply came, though it was asked for
    CALL_OVER = "call over"  #: the call ended first


@attrs.frozen(kw_only=True)
class Overlap:
    """The user spoke over the agent; seconds, None is "not seen"."""

    began_at_s: float
    """The onset was read; since the call began. Stamped once, by the first onset."""
    detection_s: float
    """From there to the decision that it is a barge-in."""
    clear_s: float | None
    """From the decision to the clear on the carrier's wire."""
    silence_s: float | None
    """From the clear on the wire to its first flushed mark: by then the ear was silent."""


@attrs.frozen(kw_only=True)
class TurnTimes:
    """One turn: what the user said, if anything, and the agent's words behind it.

    Moments (``*_at_s``) are seconds since the call began; None is "not seen", never zero.
    A turn of the agent's own (a greeting, a prompt) has no user items.
    """

    items: tuple[str, ...]
    """The user turns that are answered together, oldest first."""
    response_id: str | None
    end: TurnEnd
    why: str = ""
    """Of an end that is not COMPLETED."""
    user_started_at_s: float | None = None
    user_stopped_at_s: float | None = None
    """The provider said that the user had stopped (its silence window included)."""
    committed_at_s: float | None = None
    """The user's words became a turn."""
    transcribed_at_s: float | None = None
    """All words of the turn were known; often later than the reply."""
    first_generated_at_s: float | None = None
    """The reply's first audio came in."""
    first_sent_at_s: float | None = None
    """Its first audio was on the carrier's wire."""
    first_heard_at_s: float | None = None
    """The first mark behind its audio came back."""
    ended_at_s: float | None = None
    speech_s: float | None = None
    """How long the user spoke, by the provider's clock of the audio, silence window left out."""
    end_of_utterance_s: float | None = None
    """From the end of the user's speech to the turn: the silence window, and what the provider adds."""
    transcription_s: float | None = None
    """From the end of the user's speech to its words."""
    reply_s: float | None = None
    """From the end of the user's speech to the reply on the carrier's wire: the pause that a user feels,
    but for the line."""
    overlap: Overlap | None = None

    @property
    def interrupted(self) -> bool:
        """Whether the agent's words were cut."""
        return self.end is TurnEnd.INTERRUPTED


@attrs.frozen(kw_only=True)
class Percentiles:
    """Seconds, and how many there were; with few of them the high ones say little."""

    count: int
    p50_s: float
    p90_s: float
    p99_s: float
    max_s: float


@attrs.frozen(kw_only=True)
class AudioPath:
    """What is done to the audio on its way, decided once a call from the formats that were echoed."""

    leg: str
    session_user: str
    session_agent: str
    passthrough: bool


@attrs.frozen(kw_only=True)
class MediaCounts:
    """Bytes and messages of one call; every byte that came in is in exactly one of the outcomes."""

    user_received_bytes: int = 0
    user_forwarded_bytes: int = 0
    user_dropped_bytes: Mapping[str, int] = attrs.field(factory=dict)
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
    underruns: int = 0
    leg_messages_ignored: int = 0
    digits: int = 0


class ConfirmedBy(enum.Enum):
    """What told, in one call, that audio had been played."""

    MARKS = "marks"
    CLOCK = "clock"  #: the carrier returns no marks, or none came back
    BOTH = "both"  #: some marks came back, some were given up
    NOTHING = "nothing"  #: nothing was played to a mark


@attrs.frozen(kw_only=True)
class PlayoutFigures:
    """What a call's line was like; seconds, None where no echo ever came."""

    underruns: int
    """How often speech was sent after the line had run dry, by our clock."""
    lead_s: float
    """The lead in force now; after the call, at its end."""
    max_lead_s: float
    round_trip_s: float | None
    """To the carrier and back, without jitter: the least trip of late."""
    max_round_trip_s: float | None
    jitter_s: float | None
    """How far trips lately were above the least."""
    confirmed_by: ConfirmedBy


class ParkingOutcome(enum.Enum):
    """What became of a session that was opened before pick-up: exactly one each."""

    ADOPTED = "adopted"
    EXPIRED = "expired"  #: its time was over, or it gave its place to a newer one
    HUNG_UP = "hung up"  #: its call ended first
    SHUT_DOWN = "shut down"
    DIED = "died"  #: it could not be opened, or its connection ended
    REFUSED = "refused"  #: it was not the one that the call wanted


@attrs.frozen(kw_only=True)
class ParkedReport:
    """One session that was parked for a call."""

    outcome: ParkingOutcome
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
    who: Literal["engine", "provider", "carrier", "user"]
    what: str


class MessageOutcome(enum.Enum):
    """What became of a message that was to be heard."""

    HEARD = "heard"  #: to its end
    INTERRUPTED = "interrupted"  #: by the user, where that was allowed
    UNDELIVERED = "undelivered"
    DROPPED = "dropped"  #: the call ended, or took another course, before


@attrs.frozen(kw_only=True)
class MessageReport:
    """What became of the first message (or of one that was left on a machine)."""

    outcome: MessageOutcome
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
    carrier_failure: CarrierFailure | None = None
    """Why it failed, where the carrier gave a reason."""
    session_id: str | None
    session_open_s: float | None
    session_attempts: int
    pickup: Pickup | None
    """None: no session ever came to the call."""
    parked: Sequence[ParkedReport]
    """Every session that was opened before pick-up."""
    answered_by: str | None
    """What the carrier's machine detection said, in its word."""
    first_message: MessageReport | None
    left_message: MessageReport | None
    """What was said to an answering machine."""
    audio_path: AudioPath | None
    transcript: Sequence[TranscriptLine]
    turns: Sequence[TurnTimes]
    latencies: Mapping[str, Percentiles]
    """Of the turns, by the name of the step; a step that was never measured is left out."""
    barge_ins: int
    playout: PlayoutFigures | None
    """None: there were never any media."""
    decisions: Sequence[BargeInDecision]
    """About user speech over the agent, oldest first: the newest 64."""
    media: MediaCounts
    usage: TokenUsage
    problems: Mapping[str, int]
    """Provider errors by code, counted."""
