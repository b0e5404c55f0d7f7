"""Facts: what observers are notified of while a call runs, one class for each kind.

Rule 1: a fact is frozen, says what happened and when, and changes nothing.
``at_s`` is in seconds on Trio's clock since the media began; for facts before
`CallBegan` it counts from the first webhook of the call, or from the dial.
Rule 2: history and record do not depend on observers.
Rule 3: the times of a turn are computed from these facts alone; see
turns/metrics/turn_times.py.

Level 0. Made in turns/ and engine/; used by observe/, the command line and embedding programs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import attrs

from voicecore.facts.report import AudioPath, CallReport, HeardPosition, MessageOutcome, TurnEnd, TurnTimes


@attrs.frozen
class Dialling:
    """The carrier is asked to place the call."""

    at_s: float
    call_id: str
    callee: str


@attrs.frozen
class Ringing:
    """The callee's phone rings, as the carrier reports."""

    at_s: float


@attrs.frozen
class Answered:
    """A call that we placed was answered, by a person or a machine; known from a status or from its media."""

    at_s: float


@attrs.frozen
class SessionParked:
    """A session is parked: open, configured and waiting for pickup."""

    at_s: float
    open_s: float


@attrs.frozen
class AmdDecided:
    """The carrier's answering-machine detection has a result."""

    at_s: float
    answered_by: str


@attrs.frozen
class MessageDone:
    """The first message, or a voicemail message, has its outcome."""

    at_s: float
    outcome: MessageOutcome
    detail: str


@attrs.frozen
class SpokeOverMessage:
    """The user began to speak over a protected message, as detected by the engine."""

    at_s: float
    kept: bool
    """Whether the speech is sent to the session, now or later; False: it is dropped."""


@attrs.frozen
class ProtectionEnded:
    """The first message is no longer protected; buffered user audio is sent to the session now."""

    at_s: float


@attrs.frozen
class CallBegan:
    """The call was picked up: its media stream is open and its tasks run."""

    at_s: float
    call_id: str
    caller: str
    callee: str
    ringing_s: float = 0.0
    """From the first webhook of the call, or from the dial, until now."""


@attrs.frozen
class SessionReady:
    """The session is configured: the agent can listen and speak."""

    at_s: float
    session_id: str
    open_s: float
    """How long it took to open."""
    audio_path: AudioPath
    source: Literal["adopted", "cold"] = "cold"


@attrs.frozen
class UserStarted:
    """The user began to speak."""

    at_s: float
    item_id: str
    audio_at_s: float | None = None
    """Position in the audio sent to the session; None: not reported."""


@attrs.frozen
class UserStopped:
    """The session detected that the user stopped speaking, after its silence window."""

    at_s: float
    item_id: str
    audio_at_s: float | None = None
    """Position in the audio sent to the session, silence window included."""
    silence_s: float | None = None
    """The length of the silence window; None: not fixed."""


@attrs.frozen
class UserTurn:
    """The user's speech became a turn, which will be answered, dropped for a reason, or failed."""

    at_s: float
    item_id: str


@attrs.frozen
class TurnsUnanswered:
    """User turns that will not be answered."""

    at_s: float
    items: tuple[str, ...]
    end: TurnEnd
    """DROPPED or FAILED."""
    why: str


@attrs.frozen
class UserSaid:
    """The words of a user turn; None if transcription failed."""

    at_s: float
    item_id: str
    text: str | None


@attrs.frozen
class FirstAudioReceived:
    """The provider sent the first audio of a response; ``answers`` are the user turns it answers, oldest first."""

    at_s: float
    response_id: str
    answers: tuple[str, ...] = ()


@attrs.frozen
class FirstAudioSent:
    """The first audio of an agent item was sent to the carrier."""

    at_s: float
    response_id: str
    item_id: str
    after_user_s: float | None
    """Seconds since the user stopped speaking; None if the user had not spoken."""


@attrs.frozen
class FirstAudioHeard:
    """The first audio of a response was played to the user: the mark behind it was returned."""

    at_s: float
    response_id: str


@attrs.frozen
class ResponsePlayed:
    """The playout of a response ended: all of it was heard, or the rest was cut, and ``why``."""

    at_s: float
    response_id: str
    why: str = ""
    incomplete: str = ""
    """Why the provider generated only a part of it; empty if it is complete."""


@attrs.frozen
class AgentSaid:
    """The playout of an agent item ended; ``text`` is what was heard of it."""

    at_s: float
    item_id: str
    text: str | None
    interrupted: bool
    heard: HeardPosition | None = None
    """Where it was cut; None: it was played to the end."""


@attrs.frozen
class MarkReceived:
    """The carrier returned a mark; ``heard`` is False if a clear had flushed the audio before it."""

    at_s: float
    name: str
    heard: bool


@attrs.frozen
class BargeInConfirmed:
    """The user interrupted the agent; what was not yet heard is dropped."""

    at_s: float
    response_id: str
    heard_s: float
    overlap_at_s: float
    """When its onset was received."""
    decided_by: str
    """The strategy that confirmed it; "onset" if the onset alone decides."""


@attrs.frozen
class BargeInPending:
    """The user speaks over the agent; it is not yet decided whether that stops the agent."""

    at_s: float
    item_id: str


@attrs.frozen
class BargeInDismissed:
    """Speech of the user over the agent did not stop it."""

    at_s: float
    why: str


@attrs.frozen
class ClearSent:
    """The clear of a barge-in was written to the carrier's socket, ``delay_s`` after the decision."""

    at_s: float
    delay_s: float


@attrs.frozen
class ClearConfirmed:
    """The carrier carried out the clear: the first flushed mark was returned."""

    at_s: float


@attrs.frozen
class KeysPressed:
    """The user pressed keys; only the agent receives which ones."""

    at_s: float
    item_id: str
    count: int


@attrs.frozen
class IdlePrompted:
    """After a long silence, the agent is asked to say something."""

    at_s: float
    times: int
    """The number of prompts since the user last spoke, this one included."""


@attrs.frozen
class TurnEnded:
    """A turn ended."""

    at_s: float
    turn: TurnTimes


@attrs.frozen
class ProblemSeen:
    """Something went wrong without ending the call, such as an error that the provider reported."""

    at_s: float
    code: str
    message: str


@attrs.frozen
class CallEnded:
    """The call is over and all its tasks have ended; always the last fact."""

    at_s: float
    report: CallReport


Fact = (
    Dialling
    | Ringing
    | Answered
    | SessionParked
    | AmdDecided
    | MessageDone
    | SpokeOverMessage
    | ProtectionEnded
    | CallBegan
    | SessionReady
    | UserStarted
    | UserStopped
    | UserTurn
    | UserSaid
    | TurnsUnanswered
    | FirstAudioReceived
    | FirstAudioSent
    | FirstAudioHeard
    | ResponsePlayed
    | AgentSaid
    | MarkReceived
    | BargeInPending
    | BargeInDismissed
    | BargeInConfirmed
    | ClearSent
    | ClearConfirmed
    | KeysPressed
    | IdlePrompted
    | TurnEnded
    | ProblemSeen
    | CallEnded
)

Observer = Callable[[str, Fact], None]
"""Called with the call's id and the fact; it must not block."""
