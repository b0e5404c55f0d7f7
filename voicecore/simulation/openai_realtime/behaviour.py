"""How a provider twin behaves: its speed, and everything that can go wrong.

The default is a healthy server without delays of its own.  Each fault is one
value here, and each was seen on the real server or is a row of the fault matrix.

Rule 1: settings are frozen; what has happened so far is kept by the session.
Rule 2: updates, turns and responses are counted from 1 within a connection; updates
that are invalid in themselves are refused and not counted.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

import attrs

from voicecore.simulation.openai_realtime.refused_events import RefusedEvent
from voicecore.simulation.openai_realtime.rewrites import Rewrite
from voicecore.simulation.openai_realtime.unsolicited_events import UnsolicitedEvent

SESSION_LIMIT_S = 3600.0  #: the real server's 60 minutes from the opening of the socket


@attrs.frozen(kw_only=True)
class Handshake:
    """What happens between the TCP connection and `session.created`."""

    accept_s: float | None = 0.0
    """Seconds before the upgrade is answered; None: never."""
    refuse_status: int | None = None
    """Answer the upgrade with this HTTP status (429 no quota, 503 trouble, …)."""
    created_s: float | None = 0.0
    """Seconds from the upgrade to `session.created`; None: it never comes."""
    first_error: str | None = None
    """Send an `error` with this code instead of `session.created`, and close (a bad key or model, noticed late)."""
    announces_conversation: bool = True
    """Send `conversation.created` after `session.created`; in practice it may be missing."""
    speech_before_update_s: tuple[float, float] | None = None
    """(start, stop) in seconds after `session.created` of speech that is detected without any audio and before
    any update: a turn that begins before an update can prevent it.  Switching detection off, or changing the format,
    does not end it, only `input_audio_buffer.clear` does; the rules in force when it stops decide if it is answered."""
    refusal_words: str | None = None
    """The message of a refusal, at the upgrade or by `first_error`; None: a general one."""
    hangs_up: bool = False
    """Close the connection instead of answering the upgrade."""


@attrs.frozen(kw_only=True)
class Updates:
    """How `session.update` is handled."""

    answer_s: float | None = 0.0
    """Seconds from a valid update to its acknowledgement; None: `session.updated` never comes."""
    answers: Mapping[int, float | None] = attrs.field(factory=dict)
    """The same for single updates."""
    effect_s: float | None = 0.0
    """Seconds from a valid update until it takes effect; None: it is acknowledged and ignored.
    Updates take effect in their order: a slow one delays those after it."""
    effects: Mapping[int, float | None] = attrs.field(factory=dict)
    """The same for single updates."""
    refused: frozenset[int] = frozenset()
    """Valid updates that are refused as a whole."""
    refuses_null_turn_detection: bool = False
    """Refuse any update with ``turn_detection: null`` as a whole."""
    refuses_restore: int = 0
    """How many updates that switch detection on again are refused, from the first."""
    ignores_null_turn_detection: bool = False
    """Acknowledge ``turn_detection: null`` and keep the detection on; the acknowledgement shows it on."""
    acknowledges_null_but_keeps: bool = False
    """Acknowledge ``turn_detection: null`` and keep the detection on; the acknowledgement shows null."""
    accepts_flat_fields: bool = False
    """Read the retired flat shape, with `session.type` or without, as what it used to mean; answer in the GA shape."""
    ignores_flat_turn_detection: bool = False
    """Acknowledge an update with a flat `session.turn_detection`, and ignore that field."""
    formats_from: Mapping[int, str] = attrs.field(factory=dict)
    """From that update on, both formats are of this type, whatever is requested; acknowledgements show it."""
    stale_idle_after_restore_s: float | None = None
    """Once the detection is on again: seconds until an idle timeout fires on what is in the input buffer, whatever
    ``idle_timeout_ms`` says.  Not when the buffer was cleared before, and nothing was appended since."""
    refuses_voice_after_audio: bool = False
    """Once the agent has spoken, refuse any update that names a voice, even the same one."""


class PartialTurnDetection(enum.Enum):
    """What an update does to the turn-detection fields that it leaves out; the real server's behaviour is unknown."""

    REPLACED = "replaced"  #: they return to their defaults
    MERGED = "merged"  #: they keep their values


@attrs.frozen(kw_only=True)
class Pace:
    """How fast a response is generated."""

    created_s: float = 0.0
    """Seconds from the request, or the end of the turn, to `response.created`."""
    first_delta_s: float = 0.25
    """Seconds from there to the first piece of audio or text."""
    speed: float = 5.0
    """Seconds of audio generated in one second."""
    burst_s: float = 0.6
    """Audio that is sent at one instant; the next burst follows ``burst_s / speed`` later."""
    largest_delta_s: float = 0.3
    """Deltas are of uneven size, from one sample up to this much audio, and not aligned to frames."""
    splits_samples: bool = False
    """Cut deltas anywhere, so that a PCM16 sample may be split between two of them."""


@attrs.frozen
class MeasuredVad:
    """The server detects speech by the level of the audio."""


@attrs.frozen
class ScriptedVad:
    """The server detects speech at given times, whatever the audio is; for tests that fix an order of events."""

    speech: tuple[tuple[float, float], ...] = ()
    """(start, stop) in seconds after `session.created`."""


@attrs.frozen(kw_only=True)
class Transcribing:
    """When the transcripts of user turns are sent."""

    delay_s: float = 0.4
    """Seconds from the commit to the transcript."""
    after_next_turn: bool = False
    """Withhold the transcript of each turn until ``delay_s`` after the next one was committed."""
    failed: frozenset[int] = frozenset()
    """Turns whose transcription fails."""


class ResponseFault(enum.Enum):
    """What goes wrong with one response."""

    SILENT = "silent"  #: created, then nothing more until it is cancelled
    LOST = "lost"  #: half of it, an `error` event, and no `response.done`
    UNANNOUNCED = "unannounced"  #: no `response.created`
    FAILED = "failed"  #: half of it, then done with status failed, rate_limit_exceeded
    INCOMPLETE = "incomplete"  #: half of it, then done with status incomplete, max_output_tokens
    FILTERED = "filtered"  #: half of it, then done with status incomplete, content_filter
    EMPTY = "empty"  #: done with status completed, and nothing in it
    NO_QUOTA = "no_quota"  #: nothing of it, then done with status failed, insufficient_quota; no `error` event
    QUOTA_RAN_OUT = "quota_ran_out"  #: half of it, then as above
    SERVER_ERROR = "server_error"  #: nothing of it, then done with status failed, server_error without a code
    WRITTEN = "written"  #: complete, but as text, whatever was requested


class End(enum.Enum):
    """How the server ends a connection, or lets it go dead."""

    EXPIRED = "expired"  #: `session_expired`, then close 1001
    GOING_AWAY = "going_away"  #: close 1001 without an event
    IDLE = "idle"  #: close 1000 with a reason
    BETA_DISABLED = "beta_disabled"  #: `beta_api_shape_disabled`, then close 4000
    CUT = "cut"  #: the stream ends without a close frame
    STALL = "stall"  #: the socket stays open; nothing is sent or read any more, not even pings


@attrs.frozen(kw_only=True)
class Ending:
    """One `End` and its moment: a time or a number of events, whichever comes first."""

    how: End
    at_s: float | None = None
    """Seconds after the upgrade."""
    after_events: int | None = None
    """Once the server has sent this many events."""


@attrs.frozen(kw_only=True)
class Behaviour:
    """How a server behaves; the default is a healthy one."""

    handshake: Handshake = Handshake()
    updates: Updates = Updates()
    partial_turn_detection: PartialTurnDetection = PartialTurnDetection.REPLACED
    pace: Pace = Pace()
    vad: MeasuredVad | ScriptedVad = MeasuredVad()
    transcribing: Transcribing = Transcribing()
    responses: Mapping[int, ResponseFault] = attrs.field(factory=dict)
    late_deltas: int = 0
    """How many audio deltas of a cancelled response still follow its `response.done`."""
    endings: tuple[Ending, ...] = ()
    idle_close_s: float | None = None
    """End with `End.IDLE` once nothing at all, pings included, came from the client for this long.
    The server then sends no pings of its own: their pongs would keep the client alive."""
    half_open_after_s: float | None = None
    """Go dead as by `End.STALL` this many seconds after the upgrade."""
    session_limit_s: float = SESSION_LIMIT_S
    beta_names: bool = False
    """Use the beta names of events, as some deployments do."""
    anonymous_errors: bool = False
    """Leave `error.event_id` null, also where a client event is to blame."""
    unknown_event_every: int | None = None
    """Send an event of an unknown type after every n-th event."""
    malformed_every: int | None = None
    """Send text that is not JSON, or not an event, after every n-th event."""
    gives_metadata_back: bool = True
    """Return the `metadata` of a request in its response; some servers and gateways omit it."""
    speaks_unasked_s: tuple[float, ...] = ()
    """Begin an unrequested response this many seconds after `session.created`, unless one is running."""
    rewrites: tuple[Rewrite, ...] = ()
    """Changes to each event on its way out, one after the other; see rewrites.py."""
    unsolicited_events: tuple[UnsolicitedEvent, ...] = ()
    """Events that the server sends on its own."""
    close_reason: str = "idle timeout"
    """The reason in the close frame of `End.IDLE`."""
    refused_requests: frozenset[int] = frozenset()
    """Valid `response.create`, counted from 1, that are refused with `server_error`, though valid."""
    refused_events: tuple[RefusedEvent, ...] = ()
    """Client events that are refused whatever they say, each with an `error` of its own."""
    binary_messages: bool = False
    """Send every event in a binary WebSocket message, as by a gateway that relays bytes."""
