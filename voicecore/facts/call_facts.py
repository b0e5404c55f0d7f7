"""What observers are told while a call goes on.

Rule 1: a fact is frozen, says what happened and when, and changes nothing.
``at_s`` counts on Trio's clock from the start of the media; before that (up to
`CallBegan`, of which ``ringing_s`` tells how long it took) from the first word of
the call.
Rule 2: history and record do not depend on observers; with none, a call is the same.
Rule 3: what is measured of a turn follows from these facts alone; see turns/metrics/turn_times.py.

Level 0.  Made in turns/ and engine/; read by observe/, the command line and embedding programs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import attrs

from voicecore.facts.report import AudioPath, CallReport, HeardPosition, MessageOutcome, TurnEnd, TurnTimes


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
    """Somebody, or something, answered the call that we placed: the carrier says so, or sends its media."""

    at_s: float


@attrs.frozen
class SessionParked:
    """A session is open, configured and waits for the pick-up."""

    at_s: float
    open_s: float


@attrs.frozen
class AmdDecided:
    """The carrier's machine detection has decided."""

    at_s: float
    answered_by: str


@attrs.frozen
class MessageDone:
    """The first message, or one for a machine, has met its fate."""

    at_s: float
    outcome: MessageOutcome
    detail: str


@attrs.frozen
class SpokeOverMessage:
    """The user began to speak while a message is protected, as the engine's own ear hears it."""

    at_s: float
    kept: bool
    """Whether the session gets it, now or afterwards; False: it is dropped."""


@attrs.frozen
class ProtectionEnded:
    """User speech counts again; what was kept of it goes to the session now."""

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
class UserStarted:
    """The user began to speak."""

    at_s: float
    item_id: str
    audio_at_s: float | None = None
    """Where in the audio that the session was given; None: the session does not say."""


@attrs.frozen
class UserStopped:
    """The user has stopped speaking, as the session hears it: a silence later."""

    at_s: float
    item_id: str
    audio_at_s: float | None = None
    """Where in the audio that the session was given, its silence included."""
    silence_s: float | None = None
    """The silence that it waited for; None: not a fixed one."""


@attrs.frozen
class UserTurn:
    """The user's words became a turn of the conversation: it will be answered, dropped for a reason, or failed."""

    at_s: float
    item_id: str


@attrs.frozen
class TurnsUnanswered:
    """User turns that no reply will answer any more."""

    at_s: float
    items: tuple[str, ...]
    end: TurnEnd
    """DROPPED or FAILED."""
    why: str


@attrs.frozen
class UserSaid:
    """The words of a user turn; None when transcription failed."""

    at_s: float
    item_id: str
    text: str | None


@attrs.frozen
class FirstAudioReceived:
    """The first audio of a response came in; ``answers`` are the user turns that it answers, oldest first."""

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
    """Seconds since the user stopped; None where nobody had spoken."""


@attrs.frozen
class FirstAudioHeard:
    """The first mark behind a response's audio came back."""

    at_s: float
    response_id: str


@attrs.frozen
class ResponsePlayed:
    """Nothing of a response is left to be played: all of it was heard, or ``why`` the rest was cut."""

    at_s: float
    response_id: str
    why: str = ""
    incomplete: str = ""
    """Why the provider did not generate it to its end; empty where it did."""


@attrs.frozen
class AgentSaid:
    """An agent item is over; ``text`` is what was heard of it."""

    at_s: float
    item_id: str
    text: str | None
    interrupted: bool
    heard: HeardPosition | None = None
    """Where it was cut; None: it was played to its end."""


@attrs.frozen
class MarkReceived:
    """The carrier echoed a mark; ``heard`` is False for one that a clear had flushed."""

    at_s: float
    name: str
    heard: bool


@attrs.frozen
class BargeInConfirmed:
    """The user spoke over the agent; what had not been heard is dropped."""

    at_s: float
    response_id: str
    heard_s: float
    overlap_at_s: float
    """When the onset was read that began it."""
    decided_by: str
    """The strategy that confirmed it; "onset" where the onset alone decides."""


@attrs.frozen
class BargeInPending:
    """The user makes a sound over the agent; whether it is to stop the agent is being decided."""

    at_s: float
    item_id: str


@attrs.frozen
class BargeInDismissed:
    """What the user said over the agent did not stop it."""

    at_s: float
    why: str


@attrs.frozen
class ClearSent:
    """The clear of a barge-in is on the carrier's socket, ``delay_s`` after it was decided."""

    at_s: float
    delay_s: float


@attrs.frozen
class ClearConfirmed:
    """The carrier has carried out the clear: its first flushed mark came back."""

    at_s: float


@attrs.frozen
class KeysPressed:
    """The user has keyed something in; what it was is told to the agent alone."""

    at_s: float
    item_id: str
    count: int


@attrs.frozen
class IdlePrompted:
    """Nobody spoke for long; the agent is asked to say something."""

    at_s: float
    times: int
    """How often, counting this one, since the user last spoke."""


@attrs.frozen
class TurnEnded:
    """A turn is over."""

    at_s: float
    turn: TurnTimes


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
"""Called with the call's id and the fact; must not block."""
