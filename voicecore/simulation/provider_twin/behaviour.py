"""How a provider twin behaves: its speed, and everything it may be told to do wrong.

The default is a healthy server without delays of its own.  Each fault is one
value here, and each is something that was seen of the real server or is a row
of the fault matrix.

Rule 1: frozen settings; what has happened so far is the session's business.
Rule 2: numbers of updates, turns and responses count from 1 within a connection.

Used by tests, the simulator, the demo and the benchmarks.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

import attrs

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


@attrs.frozen(kw_only=True)
class Updates:
    """What becomes of `session.update`."""

    answer_s: float | None = 0.0
    """Seconds from a valid update to its acknowledgement; None: `session.updated` never comes."""
    effect_s: float | None = 0.0
    """Seconds from a valid update until it takes effect; None: it is acknowledged and ignored."""
    refused: frozenset[int] = frozenset()
    """Valid updates that are refused whole."""
    ignores_null_turn_detection: bool = False
    """Acknowledge ``turn_detection: null`` and keep the detection on; the echo shows that it is on."""
    hides_ignored_null: bool = False
    """The same, and the echo shows null all the same."""
    refuses_null_turn_detection: bool = False
    """Refuse every update that switches turn detection off."""
    refused_restores: int = 0
    """So many updates that switch turn detection on again are refused."""
    ignores_flat_turn_detection: bool = False
    """Acknowledge the beta's flat ``session.turn_detection``, which means nothing any more, and ignore it."""
    stale_idle_s: float | None = None
    """Switched on again without a clear of the buffer before, the idle timer fires so many seconds later."""


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
    """Deltas are of uneven size, from one byte up to this much audio, and not aligned to samples or frames."""


@attrs.frozen
class EnergyVad:
    """The server hears speech in the audio itself."""


@attrs.frozen
class ScriptedVad:
    """The server hears speech at set times, whatever the audio is; for tests that state an order of events."""

    speech: tuple[tuple[float, float], ...] = ()
    """(start, stop) in seconds after `session.created`."""


@attrs.frozen(kw_only=True)
class Transcribing:
    """When the words of caller turns come."""

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


class End(enum.Enum):
    """How a connection ends, or goes dead, by the server's doing."""

    EXPIRED = "expired"  #: `session_expired`, then close 1001
    GOING_AWAY = "going_away"  #: close 1001 without a word
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
    vad: EnergyVad | ScriptedVad = EnergyVad()
    transcribing: Transcribing = Transcribing()
    responses: Mapping[int, ResponseFault] = attrs.field(factory=dict)
    late_deltas: int = 0
    """Audio deltas of a cancelled response that still come, after its `response.done`."""
    endings: tuple[Ending, ...] = ()
    session_limit_s: float = SESSION_LIMIT_S
    beta_names: bool = False
    """Spell events by their beta names, as some deployments do."""
    anonymous_errors: bool = False
    """Leave `error.event_id` null, also where a client event is to blame."""
    unknown_event_every: int | None = None
    """Put an event of an unheard-of type behind every n-th event."""
    malformed_every: int | None = None
    """Put text that is not JSON, or not an event, behind every n-th event."""
