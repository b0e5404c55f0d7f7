"""Events that a call receives from its carrier and its provider, and orders that it sends them.

The engine talks to a *leg* (the carrier's media stream) and a *session* (the AI
side) only in these frozen values. State machines can therefore decide without
sockets, and none of them depends on a particular carrier or provider.

Rule 1: an event says what the peer did; an order says what we want done.
Rule 2: audio bytes are in the format that the leg or session announced.
Rule 3: times on a peer's clock end in ``_ms``; our own time is never in an event.

wire/ and providers/ produce events, turns/ decides on them, engine/ carries out orders.
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
    """Whether the carrier returns marks; without them, what was heard is estimated by the clock."""


@attrs.frozen
class UserAudio:
    """A piece of the user's audio, of any length, in the leg's format."""

    audio: bytes


@attrs.frozen
class MarkReturned:
    """The carrier returned a mark: everything sent before it was played or cleared."""

    name: str


@attrs.frozen
class DigitPressed:
    """The user pressed one key of the keypad."""

    digit: str = attrs.field(repr=lambda _: "'*'")


@attrs.frozen
class LegStopped:
    """The carrier ended the media stream with a stop message."""


@attrs.frozen
class LegMessageIgnored:
    """The leg ignored a message that was unknown, or legal but out of place."""

    name: str
    why: str


LegEvent = LegStarted | UserAudio | MarkReturned | DigitPressed | LegStopped | LegMessageIgnored

# --- to the carrier -------------------------------------------------------


@attrs.frozen
class PlayAudio:
    """Append audio, in the leg's format, to what the carrier plays; ``item_id`` is the agent item."""

    audio: bytes = attrs.field(repr=lambda audio: f"<{len(audio)} bytes>")
    generation: int
    item_id: str = ""


@attrs.frozen
class PlaceMark:
    """Have the carrier return a mark once everything sent so far has been played."""

    name: str
    generation: int


@attrs.frozen
class ClearPlayout:
    """Have the carrier drop what it has buffered; ``generation`` is the new generation."""

    generation: int


LegOrder = PlayAudio | PlaceMark | ClearPlayout

# --- from the session -----------------------------------------------------


class Lockout(enum.Enum):
    """How a session is kept from replying by itself while the first message is protected."""

    NONE = "none"
    NO_REPLY = "no reply"  #: turns are detected and committed, but the session neither replies nor interrupts
    DETECTION_OFF = "detection off"  #: turn detection is off


class LockoutState(enum.Enum):
    """Whether a lockout is in force, as far as the provider has said."""

    NOT_REQUESTED = "not requested"
    IN_FORCE = "in force"  #: the effective configuration shows it
    UNCONFIRMED = "unconfirmed"  #: requested, but not acknowledged, or the effective configuration differs
    REFUSED = "refused"
    RESTORED = "restored"  #: the effective configuration shows the real turn detection again


@attrs.frozen(kw_only=True)
class Capabilities:
    """What a session does by itself, by its effective configuration: known when it opens, updated after each change."""

    detects_turns: bool
    """Whether it detects where the user's turns begin and end."""
    replies: bool
    """Whether it answers a user turn without a request."""
    interrupts: bool
    """Whether it cancels a running response when the user speaks."""
    speaks: bool
    """Whether its responses are audio; otherwise they are text."""
    transcribes_user: bool
    """Whether it transcribes the user's turns."""
    silence_s: float | None = None
    """The silence that ends a turn; None: no fixed length."""


class Severity(enum.Enum):
    """What an error event means for the session."""

    HARMLESS = "harmless"  #: there was nothing left for the request to act on
    BUSY = "busy"  #: a response was requested while another is active; request it again afterwards
    REFUSED = "refused"  #: the request was not carried out
    FATAL = "fatal"  #: the session cannot continue


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
    """The provider detected that the user began to speak; ``item_id`` is the future turn, "" if not reported."""

    item_id: str
    at_ms: int | None = None
    """Position in the audio sent to the session; None: not reported."""


@attrs.frozen
class UserSpeechStopped:
    """The provider detected that the user stopped speaking, after its silence window."""

    item_id: str
    at_ms: int | None = None


@attrs.frozen
class UserTurnCommitted:
    """The user's speech became an item of the conversation."""

    item_id: str
    previous_item_id: str | None = None


@attrs.frozen
class UserTranscriptPart:
    """More of a user turn's transcript; may arrive at any time, in pieces."""

    item_id: str
    text: str


@attrs.frozen
class UserTranscriptDone:
    """The complete transcript of a user turn; may arrive after the agent's reply to it."""

    item_id: str
    text: str


@attrs.frozen
class UserTranscriptFailed:
    """The transcription of a user turn failed."""

    item_id: str
    code: str
    message: str


@attrs.frozen
class ResponseStarted:
    """A response began; ``request_id`` is that of our request, None if the provider started it by itself."""

    response_id: str
    request_id: str | None = None


@attrs.frozen
class AgentItemAdded:
    """A spoken or written item was added to a response."""

    response_id: str
    item_id: str


@attrs.frozen
class AgentAudio:
    """Generated speech in the session's agent format, cut at whole samples."""

    response_id: str
    item_id: str
    audio: bytes = attrs.field(repr=lambda audio: f"<{len(audio)} bytes>")


@attrs.frozen
class AgentAudioEnded:
    """All audio of an item has arrived."""

    response_id: str
    item_id: str


@attrs.frozen
class AgentTextPart:
    """More of the agent's words: the transcript of its audio, or its text in a text session."""

    response_id: str
    item_id: str
    text: str


@attrs.frozen
class AgentTextDone:
    """The complete words of an agent item."""

    response_id: str
    item_id: str
    text: str


@attrs.frozen
class ToolCallRequested:
    """The model calls a tool; ``arguments`` is JSON text, unchecked."""

    response_id: str
    call_id: str
    name: str
    arguments: str


@attrs.frozen(kw_only=True)
class ResponseEnded:
    """A response ended, in whatever way; nothing of it follows."""

    response_id: str
    status: ResponseStatus
    reason: str | None = None
    error_code: str | None = None
    error_message: str = ""
    """The provider's words about the failure, raw: pass them through `printable` before logging."""
    severity: Severity | None = None
    """What the failure means for the session: FATAL if no further response is possible; None: it did not fail."""
    usage: TokenUsage | None = None


@attrs.frozen
class ItemTruncated:
    """The provider truncated an agent item at ``audio_end_ms``."""

    item_id: str
    audio_end_ms: int


@attrs.frozen
class ItemDeleted:
    """The provider deleted an item from the conversation."""

    item_id: str


@attrs.frozen
class UserAudioDiscarded:
    """Appended audio that was not committed was dropped."""


@attrs.frozen(kw_only=True)
class SessionReconfigured:
    """The session's configuration changed, or its opening was acknowledged late."""

    capabilities: Capabilities
    lock: LockoutState
    differences: tuple[str, ...] = ()
    """Dotted keys in which the effective configuration differs from the requested one."""


@attrs.frozen
class SilenceTimedOut:
    """The provider's idle timer fired and made a turn out of silence."""

    item_id: str


@attrs.frozen(kw_only=True)
class SessionProblem:
    """The provider reported an error; ``request_id`` is the request that it refused, if it named one."""

    code: str | None
    message: str
    severity: Severity
    request_id: str | None = None
    param: str | None = None


@attrs.frozen
class SessionNotice:
    """Something to log once: an unknown event, a deprecated name, an ignored field."""

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
    """Send the session more user audio, in its user format; the provider sends no answer."""

    audio: bytes = attrs.field(repr=lambda audio: f"<{len(audio)} bytes>")


@attrs.frozen
class CommitUserAudio:
    """End the user's turn; only for sessions without turn detection."""


@attrs.frozen
class DiscardUserAudio:
    """Drop appended audio that is not committed."""


@attrs.frozen
class AddUserText:
    """Add a written user message to the conversation; it may contain keypad input."""

    text: str = attrs.field(repr=lambda text: f"<{len(text)} characters>")


@attrs.frozen
class AddAgentText:
    """Add an agent message to the conversation: words that were spoken from a recording."""

    text: str


@attrs.frozen
class RestoreTurnDetection:
    """End the lockout by configuring the real turn detection; answered by SessionReconfigured or SessionProblem."""

    request_id: str


@attrs.frozen
class AddToolResult:
    """Send the result of a tool call."""

    call_id: str
    output: str


@attrs.frozen(kw_only=True)
class RequestResponse:
    """Request a response; ``request_id`` returns in ResponseStarted or SessionProblem."""

    request_id: str
    instructions: str | None = None


@attrs.frozen
class CancelResponse:
    """Cancel a response; harmless if it has already ended."""

    response_id: str


@attrs.frozen
class TruncateItem:
    """Truncate an agent item to what was heard, ``audio_end_ms`` from the start of its audio."""

    item_id: str
    audio_end_ms: int


@attrs.frozen
class DeleteItem:
    """Delete an item of which nothing was heard."""

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
