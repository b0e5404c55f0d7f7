"""The report of a call: outcome, transcript, turns, latencies, audio counts, token usage.

Rule 1: a figure that was not measured is None, never zero.
Rule 2: the record on disk is the report and nothing else.

Level 0. Made in turns/ and engine/; part of the last fact, `CallEnded`; used by observe/,
the command line and embedding programs.
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
    """Why a call ended: exactly one cause for each call, the first that happened."""

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
    DIAL_UNAVAILABLE = "dial_unavailable"  #: the carrier could not be reached; nothing rang
    DIAL_UNCERTAIN = "dial_uncertain"  #: no answer to the request, and no status after it
    RING_TIMEOUT = "ring_timeout"  #: our own limit: the carrier sent no status in time
    MACHINE_ANSWERED = "machine_answered"
    MESSAGE_LEFT = "message_left"  #: a machine answered, and the voicemail message was played to the end
    USER_SILENT = "user_silent"  #: the user did not answer the idle prompts
    TIME_LIMIT = "time_limit"
    SHUT_DOWN = "shut_down"
    FAILED = "failed"


class Speaker(enum.Enum):
    """The two speakers of a call."""

    USER = "user"
    AGENT = "agent"


class HeardBy(enum.Enum):
    """How a heard position was determined."""

    MARKS = "marks"  #: exactly at the last returned mark
    PACING = "pacing"  #: the last returned mark, and the clock since then
    ESTIMATE = "estimate"  #: the clock alone: marks were given up, or none was returned


@attrs.frozen
class HeardPosition:
    """How much of an item was played, in seconds from its start; never more than was received."""

    lower_s: float
    """Confirmed by a returned mark; for an estimate, by the clock less a margin."""
    best_s: float
    """What truncation and transcript use; counted low."""
    upper_s: float
    """All that was sent."""
    source: HeardBy


@attrs.frozen
class TranscriptLine:
    """One item of the conversation, in order.

    ``text`` is None while no words are known. For the agent it has only what the
    user heard; ``interrupted`` says that more was generated.
    """

    speaker: Speaker
    item_id: str
    text: str | None
    interrupted: bool = False
    heard: HeardPosition | None = None
    """How much of an agent item was heard, if it was cut; None: it was not cut."""


class TurnEnd(enum.Enum):
    """How a turn ended: exactly one end for each turn."""

    COMPLETED = "completed"  #: the reply was played to its end
    INCOMPLETE = "incomplete"  #: the reply was played, but the provider had ended it early
    INTERRUPTED = "interrupted"  #: by the user, or because the call needed to say something else
    DROPPED = "dropped"  #: it was not to be answered, for a reason
    FAILED = "failed"  #: a reply was requested, and none came
    CALL_OVER = "call over"  #: the call ended first


@attrs.frozen(kw_only=True)
class Overlap:
    """The times of a barge-in, in seconds; None: not observed."""

    began_at_s: float
    """When the first onset was received, since the call began."""
    detection_s: float
    """From the onset to the decision that it is a barge-in."""
    clear_s: float | None
    """From the decision until the clear was written to the carrier's socket."""
    silence_s: float | None
    """From the clear to the first flushed mark that was returned: by then the user heard silence."""


@attrs.frozen(kw_only=True)
class TurnTimes:
    """One turn: what the user said, if anything, and the agent's reply.

    Moments (``*_at_s``) are seconds since the call began; None: not observed.
    A turn of the agent's own (a greeting, a prompt) has no user items.
    """

    items: tuple[str, ...]
    """The user items that are answered together, oldest first."""
    response_id: str | None
    end: TurnEnd
    why: str = ""
    """The reason, unless the end is COMPLETED."""
    user_started_at_s: float | None = None
    user_stopped_at_s: float | None = None
    """When the provider reported that the user had stopped, after its silence window."""
    committed_at_s: float | None = None
    """When the user's speech became a turn."""
    transcribed_at_s: float | None = None
    """When the transcript of the turn was complete; often later than the reply."""
    first_generated_at_s: float | None = None
    """When the reply's first audio arrived from the provider."""
    first_sent_at_s: float | None = None
    """When its first audio was written to the carrier's socket."""
    first_heard_at_s: float | None = None
    """When the first mark behind its audio was returned."""
    ended_at_s: float | None = None
    speech_s: float | None = None
    """How long the user spoke, by position in the audio, silence window excluded."""
    end_of_utterance_s: float | None = None
    """From the end of the user's speech to the turn: the silence window and the provider's own delay."""
    transcription_s: float | None = None
    """From the end of the user's speech to its transcript."""
    reply_s: float | None = None
    """From the end of the user's speech until the reply was written to the carrier's socket: the pause that
    the user hears, apart from the line's delay."""
    overlap: Overlap | None = None

    @property
    def interrupted(self) -> bool:
        """Whether the reply was cut."""
        return self.end is TurnEnd.INTERRUPTED


@attrs.frozen(kw_only=True)
class Percentiles:
    """Percentiles of a latency in seconds, with the number of samples; high ones mean little with few samples."""

    count: int
    p50_s: float
    p90_s: float
    p99_s: float
    max_s: float


@attrs.frozen(kw_only=True)
class AudioPath:
    """How audio is converted in a call, decided once from the effective formats."""

    leg: str
    session_user: str
    session_agent: str
    passthrough: bool


@attrs.frozen(kw_only=True)
class MediaCounts:
    """Bytes and messages of one call; every received byte is counted in exactly one outcome."""

    user_received_bytes: int = 0
    user_forwarded_bytes: int = 0
    user_dropped_bytes: Mapping[str, int] = attrs.field(factory=dict)
    agent_received_bytes: int = 0
    agent_sent_bytes: int = 0
    agent_padding_bytes: int = 0
    """Silence that fills the last frame of an utterance; included in the bytes sent."""
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
    """What confirmed, in one call, that audio was played."""

    MARKS = "marks"
    CLOCK = "clock"  #: the carrier returned no marks
    BOTH = "both"  #: some marks were returned, some were given up
    NOTHING = "nothing"  #: no audio was played


@attrs.frozen(kw_only=True)
class PlayoutFigures:
    """Playout figures of a call, in seconds; None if no mark was returned."""

    underruns: int
    """How often the carrier ran out of audio in mid-speech, by our clock."""
    lead_s: float
    """The current lead; in a report, the lead at the end of the call."""
    max_lead_s: float
    round_trip_s: float | None
    """To the carrier and back, without jitter: the shortest recent round trip."""
    max_round_trip_s: float | None
    jitter_s: float | None
    """How much recent round trips exceeded the shortest."""
    confirmed_by: ConfirmedBy


class ParkingOutcome(enum.Enum):
    """The outcome of a session that was opened before pickup: exactly one for each."""

    ADOPTED = "adopted"
    EXPIRED = "expired"  #: its time limit passed, or it made way for a newer session
    HUNG_UP = "hung up"  #: its call ended first
    SHUT_DOWN = "shut down"
    DIED = "died"  #: it could not be opened, or its connection broke
    REFUSED = "refused"  #: its configuration was not the one that the call needed


@attrs.frozen(kw_only=True)
class ParkedReport:
    """A session that was parked for a call."""

    outcome: ParkingOutcome
    detail: str
    parked_s: float
    """From the start of its opening to its outcome."""
    wasted: bool
    """Whether it was billed without being used."""
    prepared_s: float
    """Length of the speech that it generated before pickup."""


@attrs.frozen(kw_only=True)
class Pickup:
    """How the call got its session at pickup."""

    source: Literal["adopted", "cold"]
    waited_s: float
    """From the start of the media until the session was ready."""


@attrs.frozen
class TraceLine:
    """One event in the trace of the first message and its protection; ``who`` acted."""

    at_s: float
    who: Literal["engine", "provider", "carrier", "user"]
    what: str


class MessageOutcome(enum.Enum):
    """The outcome of a message that the user was to hear."""

    HEARD = "heard"  #: to the end
    INTERRUPTED = "interrupted"  #: by the user, where the policy allowed it
    UNDELIVERED = "undelivered"
    DROPPED = "dropped"  #: the call ended, or said something else, before it was heard


@attrs.frozen(kw_only=True)
class MessageReport:
    """The outcome of the first message, or of a voicemail message."""

    outcome: MessageOutcome
    detail: str
    """Why it was not heard; empty if it was."""
    first_heard_s: float | None
    """From pickup to the mark behind its first audio."""
    heard_s: float | None
    """From pickup to the mark behind its last audio."""
    heard_by: str | None
    """The name of that last mark; None: known by the clock, because no mark was returned."""
    requests: int
    """How often it was requested."""
    protection: str
    """How it was protected, in words."""
    verdict: str
    """One sentence about what endangered it; empty if nothing did."""
    trace: Sequence[TraceLine]


@attrs.frozen(kw_only=True)
class CallReport:
    """The report of one call; the record is written from it and nothing else."""

    call_id: str
    carrier_call_id: str | None
    direction: Literal["inbound", "outbound"]
    caller: str
    callee: str
    started_at: str
    """Time of day with zone, ISO 8601."""
    ringing_s: float
    """From the first webhook, or the dial, to the start of the media, or to the end of the call."""
    duration_s: float
    """From the start of the media to the end; without media, from the first webhook or the dial."""
    outcome: EndCause
    """Why it ended."""
    outcome_detail: str
    """One line for people; empty if the cause is clear enough."""
    carrier_status: str | None
    """The carrier's final status; None if it never came."""
    carrier_duration_s: int | None
    carrier_failure: CarrierFailure | None = None
    """Why it failed, if the carrier gave a reason."""
    session_id: str | None
    session_open_s: float | None
    session_attempts: int
    pickup: Pickup | None
    """None: the call never got a session."""
    parked: Sequence[ParkedReport]
    """Every session that was opened before pickup."""
    answered_by: str | None
    """The result of the carrier's answering-machine detection, in its own word."""
    first_message: MessageReport | None
    left_message: MessageReport | None
    """The message that was left on an answering machine."""
    audio_path: AudioPath | None
    transcript: Sequence[TranscriptLine]
    turns: Sequence[TurnTimes]
    latencies: Mapping[str, Percentiles]
    """Percentiles over the turns, by step; steps that were never measured are left out."""
    barge_ins: int
    playout: PlayoutFigures | None
    """None: the call had no media."""
    decisions: Sequence[BargeInDecision]
    """The newest 64 barge-in decisions, oldest first."""
    media: MediaCounts
    usage: TokenUsage
    problems: Mapping[str, int]
    """Problems by code, counted."""
