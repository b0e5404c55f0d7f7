"""What crosses the two borders of a call: events that come in, orders that go out.

A *leg* (the carrier's media stream) and a *session* (the AI side) are spoken to
only in these frozen values, so that machines can decide without sockets and no
machine can tell one carrier or provider from another.

Rule 1: an event says what the peer did; an order says what we want done.
Rule 2: audio bytes are in the format that the leg or session announced.
Rule 3: times of a peer's own clock carry ``_ms``; our time is never in an event.

Produced by wire/ and providers/, decided on in turns/, carried out in engine/.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

import attrs

from voicecore.audio.formats import AudioFormat

# --- from the carrier -----------------------------------------------------


@attrs.frozen
class LegStarted:
    """The media stream is open; from here on audio may be sent."""

    stream_id: str
    carrier_call_id: str
    audio_format: AudioFormat
    parameters: Mapping[str, str] = attrs.field(factory=dict)
    returns_marks: bool = True
    """Whether the carrier echoes marks; without them, what was heard goes by the clock."""


@attrs.frozen
class UserAudio:
    """Some audio of the user, in the leg's format; any length."""

    audio: bytes


@attrs.frozen
class MarkReturned:
    """The carrier sent a mark back: everything before it was played, or was cleared."""

    name: str


@attrs.frozen
class DigitPressed:
    """One key of the user's keypad."""

    digit: str = attrs.field(repr=lambda _: "'*'")


@attrs.frozen
class LegStopped:
    """The carrier ended the media stream in good order."""


@attrs.frozen
class LegMessageIgnored:
    """A message that was legal but out of place, or unknown; nothing was done with it."""

    name: str
    why: str


LegEvent = LegStarted | UserAudio | MarkReturned | DigitPressed | LegStopped | LegMessageIgnored

# --- to the carrier -------------------------------------------------------


@attrs.frozen
class PlayAudio:
    """Append audio (in the leg's format) to what the carrier plays; ``item_id`` says whose it is."""

    audio: bytes = attrs.field(repr=lambda audio: f"<{len(audio)} bytes>")
    generation: int
    item_id: str = ""


@attrs.frozen
class PlaceMark:
    """Ask for an echo once everything sent so far has been played."""

    name: str
    generation: int


@attrs.frozen
class ClearPlayout:
    """Drop what the carrier has buffered; ``generation`` is the new one that begins."""

    generation: int


LegOrder = PlayAudio | PlaceMark | ClearPlayout

# --- from the session -----------------------------------------------------


class Lockout(enum.Enum):
    """How a session is kept from acting by itself while a message must not be swallowed."""

    NONE = "none"
    NO_REPLY = "no reply"  #: it hears and commits user turns, but neither replies nor interrupts
    DETECTION_OFF = "detection off"  #: it detects no turns at all


class LockoutState(enum.Enum):
    """What has become of a lockout that was asked for."""

    NOT_REQUESTED = "not requested"
    IN_FORCE = "in force"  #: the provider's echo says so
    UNCONFIRMED = "unconfirmed"  #: asked for and not acknowledged, or the echo says something else
    REFUSED = "refused"
    RESTORED = "restored"  #: the provider's echo shows the real turn detection again


@attrs.frozen(kw_only=True)
class Capabilities:
    """What a session does by itself; as echoed when it was opened, and again after each change."""

    detects_turns: bool
    """It hears where the user's turns begin and end."""
    replies: bool
    """It answers a user turn without being asked."""
    interrupts: bool
    """It cancels a running response when the user speaks."""
    speaks: bool
    """Its responses are audio; otherwise text."""
    transcribes_user: bool
    """It gives the words of the user's turns."""
    silence_s: float | None = None
    """The silence that it waits for before a turn is over; None: not a fixed one."""


class Severity(enum.Enum):
    """What an error event means for the session."""

    HARMLESS = "harmless"  #: the request had nothing to act on any more
    BUSY = "busy"  #: a response was asked for while another one is active: ask again when it is over
    REFUSED = "refused"  #: the request was not carried out
    FATAL = "fatal"  #: the session cannot go on


class ResponseStatus(enum.Enum):
    """How a response ended."""

    COMPLETED = "completed"
    CANCELLED = "cancelled"
    INCOMPLETE = "incomplete"
    FAILED = "failed"


@attrs.frozen(kw_only=True)
class TokenUsage:
    """Tokens of one response; ``cached_*`` are part of ``*_in``."""

    text_in: int = 0
    audio_in: int = 0
    cached_text: int = 0
    cached_audio: int = 0
    text_out: int = 0
    audio_out: int = 0

    def __add__(self, other: TokenUsage) -> TokenUsage:
        mine, theirs = attrs.asdict(self), attrs.asdict(other)
        return TokenUsage(**{name: mine[name] + theirs[name] for name in mine})


@attrs.frozen
class UserSpeechStarted:
    """The provider heard the user begin; ``item_id`` is the turn this will become, "" where it does not say."""

    item_id: str
    at_ms: int | None = None
    """In the audio that it was given; None: it does not say."""


@attrs.frozen
class UserSpeechStopped:
    """The provider heard the user end (its silence window included)."""

    item_id: str
    at_ms: int | None = None


@attrs.frozen
class UserTurnCommitted:
    """The user's words became an item of the conversation."""

    item_id: str
    previous_item_id: str | None = None


@attrs.frozen
class UserTranscriptPart:
    """More text of a user turn; may come at any time, in pieces."""

    item_id: str
    text: str


@attrs.frozen
class UserTranscriptDone:
    """The whole text of a user turn; may come after the agent's answer to it."""

    item_id: str
    text: str


@attrs.frozen
class UserTranscriptFailed:
    """A user turn stays without text."""

    item_id: str
    code: str
    message: str


@attrs.frozen
class ResponseStarted:
    """The provider began a response; ``request_id`` is ours, None when it began by itself."""

    response_id: str
    request_id: str | None = None


@attrs.frozen
class AgentItemAdded:
    """A response gained a spoken (or written) item."""

    response_id: str
    item_id: str


@attrs.frozen
class AgentAudio:
    """Generated speech, in the session's agent format; whole samples only."""

    response_id: str
    item_id: str
    audio: bytes = attrs.field(repr=lambda audio: f"<{len(audio)} bytes>")


@attrs.frozen
class AgentAudioEnded:
    """No more audio of this item will come."""

    response_id: str
    item_id: str


@attrs.frozen
class AgentTextPart:
    """More words of the agent: the transcript of its audio, or its text where it writes."""

    response_id: str
    item_id: str
    text: str


@attrs.frozen
class AgentTextDone:
    """All words of one agent item."""

    response_id: str
    item_id: str
    text: str


@attrs.frozen
class ToolCallRequested:
    """The model asks for a tool; ``arguments`` is the JSON text as it came."""

    response_id: str
    call_id: str
    name: str
    arguments: str


@attrs.frozen(kw_only=True)
class ResponseEnded:
    """A response is over, whatever its end; nothing of it may follow."""

    response_id: str
    status: ResponseStatus
    reason: str | None = None
    error_code: str | None = None
    error_message: str = ""
    """The provider's words about the failure, as they came; not fit for a log before they are made printable."""
    severity: Severity | None = None
    """What the failure means for the session: FATAL where no further response can be had; None: there was none."""
    usage: TokenUsage | None = None


@attrs.frozen
class ItemTruncated:
    """The provider cut an agent item after ``audio_end_ms``."""

    item_id: str
    audio_end_ms: int


@attrs.frozen
class ItemDeleted:
    """The provider removed an item from the conversation."""

    item_id: str


@attrs.frozen
class UserAudioDiscarded:
    """Appended audio that was not committed is forgotten."""


@attrs.frozen(kw_only=True)
class SessionReconfigured:
    """The session's configuration changed, or its opening was acknowledged late."""

    capabilities: Capabilities
    lock: LockoutState
    differences: tuple[str, ...] = ()
    """Dotted keys in which the echo is not what was asked for."""


@attrs.frozen
class SilenceTimedOut:
    """The provider's idle timer fired and made a turn out of silence."""

    item_id: str


@attrs.frozen(kw_only=True)
class SessionProblem:
    """The provider reported an error; ``request_id`` is the request it refused, where it says so."""

    code: str | None
    message: str
    severity: Severity
    request_id: str | None = None
    param: str | None = None


@attrs.frozen
class SessionNotice:
    """Something worth one log line and nothing else: an unknown event, an old name, a field that was ignored."""

    name: str
    why: str


SessionEvent = (
    UserSpeechStarted
    | UserSpeechStopped
    | UserTurnCommitted
    | UserTranscriptPart
    | UserTranscriptDone
    | UserTranscriptFailed
    | ResponseStarted
    | AgentItemAdded
    | AgentAudio
    | AgentAudioEnded
    | AgentTextPart
    | AgentTextDone
    | ToolCallRequested
    | ResponseEnded
    | ItemTruncated
    | ItemDeleted
    | UserAudioDiscarded
    | SessionReconfigured
    | SilenceTimedOut
    | SessionProblem
    | SessionNotice
)

# --- to the session -------------------------------------------------------


@attrs.frozen
class AppendUserAudio:
    """Give the session more of the user, in its user format; no answer follows."""

    audio: bytes = attrs.field(repr=lambda audio: f"<{len(audio)} bytes>")


@attrs.frozen
class CommitUserAudio:
    """End the user's turn by hand (only where the session does not detect turns)."""


@attrs.frozen
class DiscardUserAudio:
    """Forget appended audio that is not committed."""


@attrs.frozen
class AddUserText:
    """Put a written user message into the conversation; it may hold what the user keyed in."""

    text: str = attrs.field(repr=lambda text: f"<{len(text)} characters>")


@attrs.frozen
class AddAgentText:
    """Put words that the agent has spoken without the session into the conversation, as the agent's."""

    text: str


@attrs.frozen
class RestoreTurnDetection:
    """End the lockout: the real turn detection, whole; answered by SessionReconfigured, or by a problem."""

    request_id: str


@attrs.frozen
class AddToolResult:
    """Answer one tool call."""

    call_id: str
    output: str


@attrs.frozen(kw_only=True)
class RequestResponse:
    """Ask for a response; ``request_id`` comes back in ResponseStarted or SessionProblem."""

    request_id: str
    instructions: str | None = None


@attrs.frozen
class CancelResponse:
    """Stop a response; harmless when it has ended meanwhile."""

    response_id: str


@attrs.frozen
class TruncateItem:
    """Cut an agent item to what was heard: ``audio_end_ms`` from the start of its audio."""

    item_id: str
    audio_end_ms: int


@attrs.frozen
class DeleteItem:
    """Remove an item that was not heard at all."""

    item_id: str


SessionOrder = (
    AppendUserAudio
    | CommitUserAudio
    | DiscardUserAudio
    | AddUserText
    | AddAgentText
    | RestoreTurnDetection
    | AddToolResult
    | RequestResponse
    | CancelResponse
    | TruncateItem
    | DeleteItem
)
