"""How a provider twin behaves: its speed, and everything it may be told to do wrong.

The default is a healthy server without delays of its own.  Each fault is one
value here, and each is something that was seen of the real server or is a row
of the fault matrix.

Rule 1: frozen settings; what has happened so far is the session's business.
Rule 2: numbers of updates, turns and responses count from 1 within a connection;
updates that are not valid in themselves are refused and not counted.
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
    """Send an `error` with this code in place of `session.created`, and close (a bad key or model, seen late)."""
    announces_conversation: bool = True
    """Send `conversation.created` behind `session.created`; in practice it may be missing."""
    speech_before_update_s: tuple[float, float] | None = None
    """(start, stop) in seconds after `session.created` of speech that is heard without any audio and before any
    update: a turn that an update comes too late for.  Switching detection off, or another format, does not end it,
    only `input_audio_buffer.clear` does; if it is answered follows from the rules in force when it stops."""
    refusal_words: str | None = None
    """What the server says where it refuses, at the upgrade or by `first_error`; None: something general."""
    hangs_up: bool = False
    """Close the connection instead of answering the upgrade."""


@attrs.frozen(kw_only=True)
class Updates:
    """What becomes of `session.update`."""

    answer_s: float | None = 0.0
    """Seconds from a valid update to its acknowledgement; None: `session.updated` never comes."""
    answers: Mapping[int, float | None] = attrs.field(factory=dict)
    """The same for single updates."""
    effect_s: float | None = 0.0
    """Seconds from a valid update until it takes effect; None: it is acknowledged and ignored.
    Updates take effect in their order: one that is slow holds up those behind it."""
    effects: Mapping[int, float | None] = attrs.field(factory=dict)
    """The same for single updates."""
    refused: frozenset[int] = frozenset()
    """Valid updates that are refused whole."""
    refuses_null_turn_detection: bool = False
    """Refuse any update with ``turn_detection: null`` whole."""
    refuses_restore: int = 0
    """How many updates that switch the detection on again are refused whole, from the first."""
    ignores_null_turn_detection: bool = False
    """Acknowledge ``turn_detection: null`` and keep the detection on; the acknowledgement shows it on."""
    acknowledges_null_but_keeps: bool = False
    """Acknowledge ``turn_detection: null`` and keep the detection on; the acknowledgement shows null: a lie."""
    accepts_flat_fields: bool = False
    """Read the retired flat shape, with `session.type` or without, as what it once meant; the answer is the GA one."""
    ignores_flat_turn_detection: bool = False
    """Acknowledge an update with a flat `session.turn_detection`, and do nothing about that field."""
    formats_from: Mapping[int, str] = attrs.field(factory=dict)
    """From that update on, both formats are of this type, whatever is asked for; acknowledgements show it."""
    stale_idle_after_restore_s: float | None = None
    """Once the detection is on again: seconds until an idle timeout fires on what lies in the input buffer, whatever
    ``idle_timeout_ms`` says.  Not when the buffer was cleared before, and nothing was appended since."""
    refuses_voice_after_audio: bool = False
    """Once the agent has spoken, refuse any update that names a voice, the same one too, whole."""


class PartialTurnDetection(enum.Enum):
    """What an update does to the turn-detection fields that it leaves out; the real server's reading is unknown."""

    REPLACED = "replaced"  #: they return to their defaults
    MERGED = "merged"  #: they keep their values


@attrs.frozen(kw_only=True)
class Pace:
    """How fast an answer is generated."""

    created_s: float = 0.0
    """Seconds from the request, or the end of the turn, to `response.created`."""
    first_delta_s: float = 0.25
    """Seconds from there to the first piece of audio or text."""
    speed: float = 5.0
    """Seconds of audio generated in one second."""
    burst_s: float = 0.6
    """Audio that leaves at one instant; the next burst follows ``burst_s / speed`` later."""
    largest_delta_s: float = 0.3
    """Deltas are of uneven size, from one sample up to this much audio, and not aligned to frames."""
    splits_samples: bool = False
    """Cut deltas anywhere, so that a PCM16 sample may be split between two of them."""


@attrs.frozen
class MeasuredVad:
    """The server hears speech in the audio itself."""


@attrs.frozen
class ScriptedVad:
    """The server hears speech at set times, whatever the audio is; for tests that state an order of events."""

    speech: tuple[tuple[float, float], ...] = ()
    """(start, stop) in seconds after `session.created`."""


@attrs.frozen(kw_only=True)
class Transcribing:
    """When the words of user turns come."""

    delay_s: float = 0.4
    """Seconds from the commit to the words."""
    after_next_turn: bool = False
    """Hold the words of each turn until ``delay_s`` after the next one was committed."""
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
    QUOTA_RAN_OUT = "quota_ran_out"  #: half of it, then the same
    SERVER_ERROR = "server_error"  #: nothing of it, then done with status failed, server_error without a code
    WRITTEN = "written"  #: whole, but as text, whatever was asked for


class End(enum.Enum):
    """How a connection ends, or goes dead, by the server's doing."""

    EXPIRED = "expired"  #: `session_expired`, then close 1001
    GOING_AWAY = "going_away"  #: close 1001 without a word
    IDLE = "idle"  #: close 1000 with a reason
    BETA_DISABLED = "beta_disabled"  #: `beta_api_shape_disabled`, then close 4000
    CUT = "cut"  #: the stream ends without a close frame
    STALL = "stall"  #: the socket stays open; nothing is sent or read any more, pings neither


@attrs.frozen(kw_only=True)
class Ending:
    """One `End` and its moment: a time or a step, whichever comes first."""

    how: End
    at_s: float | None = None
    """Seconds after the upgrade."""
    after_events: int | None = None
    """Once the server has sent this many events."""


@attrs.frozen(kw_only=True)
class Behaviour:
    """All of it; the default is a healthy server."""

    handshake: Handshake = Handshake()
    updates: Updates = Updates()
    partial_turn_detection: PartialTurnDetection = PartialTurnDetection.REPLACED
    pace: Pace = Pace()
    vad: MeasuredVad | ScriptedVad = MeasuredVad()
    transcribing: Transcribing = Transcribing()
    responses: Mapping[int, ResponseFault] = attrs.field(factory=dict)
    late_deltas: int = 0
    """Audio deltas of a cancelled response that still come, after its `response.done`."""
    endings: tuple[Ending, ...] = ()
    idle_close_s: float | None = None
    """End with `End.IDLE` once nothing at all, pings included, came from the client for so long.
    The server then sends no pings of its own: their pongs would keep the client alive."""
    half_open_after_s: float | None = None
    """Go dead as by `End.STALL` so many seconds after the upgrade."""
    session_limit_s: float = SESSION_LIMIT_S
    beta_names: bool = False
    """Spell events by their beta names, as some deployments do."""
    anonymous_errors: bool = False
    """Leave `error.event_id` null, also where a client event is to blame."""
    unknown_event_every: int | None = None
    """Put an event of an unheard-of type behind every n-th event."""
    malformed_every: int | None = None
    """Put text that is not JSON, or not an event, behind every n-th event."""
    gives_metadata_back: bool = True
    """Show the `metadata` of a request in its response; some servers and gateways leave it out."""
    speaks_unasked_s: tuple[float, ...] = ()
    """Begin a response of its own accord so many seconds after `session.created`, where none runs."""
    rewrites: tuple[Rewrite, ...] = ()
    """What becomes of each event on its way out, one after the other; see rewrites.py."""
    unsolicited_events: tuple[UnsolicitedEvent, ...] = ()
    """What the server says of its own accord."""
    close_reason: str = "idle timeout"
    """The reason in the close frame of `End.IDLE`."""
    refused_requests: frozenset[int] = frozenset()
    """Valid `response.create`, counted from 1, that are refused for no fault of their own: `server_error`."""
    refused_events: tuple[RefusedEvent, ...] = ()
    """Client events that are refused whatever they say; each objection to one is an `error` of its own."""
    binary_messages: bool = False
    """Send every event in a binary WebSocket message, as a gateway does that relays bytes."""
