"""The engine's two partners and its neighbours, as capabilities.

A `Carrier` opens into an `OpenCarrier`: its webhooks, a `Leg` for each call, a
`CallControl` that ends calls, a `Dialler` that places them.  A `Provider` opens a
`Session`.  The host is a `CallHost` for carriers; a `CallStore` keeps what is left of
a call.  Every one of them can be given to `voicecore.open_engine` from outside.

Rule 1: an object exists complete or not at all; there is no connect() on it.
Rule 2: one task receives, one task sends; a cancelled receive loses nothing.
Rule 3: what an object can do is asked of its type or its `Capabilities`, never of its name.

Level 2.  Implemented in carriers/, providers/, engine/host.py, observe/.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Literal, Protocol

import attrs

from voicecore.audio.formats import AudioFormat
from voicecore.events import (
    Capabilities,
    LegEvent,
    LegOrder,
    LegStarted,
    Lockout,
    LockoutState,
    SessionEvent,
    SessionOrder,
)
from voicecore.facts import CallReport, TranscriptLine
from voicecore.net.http.messages import Request
from voicecore.net.http.routes import Routes
from voicecore.statuses import AnsweredBy, CarrierFailure, CarrierStatus
from voicecore.world import World


class Leg(Protocol):
    """The carrier's media stream of one call, from its start message on."""

    @property
    def started(self) -> LegStarted:
        """What the carrier announced."""
        ...

    async def receive(self) -> Sequence[LegEvent]:
        """Return every event that already waits, oldest first; wait for one when there is none.

        Cancelled, it loses nothing.

        Raises:
            LegLost: The stream ended without a stop message.
            RemoteProtocolError: The peer broke the protocol too often to go on.
        """
        ...

    async def send(self, order: LegOrder) -> None:
        """Write one order. Cancelled half-way it ends the leg.

        Raises:
            LegLost: The stream has ended, or the carrier does not read.
        """
        ...

    def send_nowait(self, order: LegOrder) -> bool:
        """Write one order without waiting; False where that cannot be: nothing was taken. Raises as `send` does."""
        ...


class Session(Protocol):
    """The AI side of a call: opened, configured, acknowledged."""

    @property
    def session_id(self) -> str: ...

    @property
    def user_format(self) -> AudioFormat:
        """What `AppendUserAudio` must carry: the format that the provider echoed."""
        ...

    @property
    def agent_format(self) -> AudioFormat:
        """What `AgentAudio` carries: the format that the provider echoed."""
        ...

    @property
    def capabilities(self) -> Capabilities: ...

    @property
    def lock(self) -> LockoutState:
        """What became of the lockout that the session was opened with."""
        ...

    async def prove_alive(self, fresh_s: float) -> None:
        """Return once the peer is known to have lived within the last ``fresh_s`` seconds; ask it where that is not.

        Has no bound of its own. Cancelled, it changes nothing.

        Raises:
            SessionLost: The session has ended.
        """
        ...

    async def receive(self) -> Sequence[SessionEvent]:
        """Return every event that already waits, oldest first; wait for one when there is none.

        Cancelled, it loses nothing.

        Raises:
            SessionLost: The session ended.
        """
        ...

    async def send(self, order: SessionOrder) -> None:
        """Write one order. Cancelled half-way it ends the session.

        Raises:
            SessionLost: The session has ended, or the provider does not read.
        """
        ...

    def send_nowait(self, order: SessionOrder) -> bool:
        """Write one order without waiting; False where that cannot be: nothing was taken. Raises as `send` does."""
        ...


@attrs.frozen(kw_only=True)
class Brief:
    """What a session is opened with, beside the provider's own settings."""

    instructions: str
    audio_format: AudioFormat
    """The leg's format: asked for in both directions, so that audio can pass through."""
    lockout: Lockout = Lockout.NONE
    """In force from the first moment, so that a first message cannot be swallowed."""
    engine_takes_turns: bool = False
    """The session hears where turns end, and neither replies nor interrupts by itself: the engine decides that."""


class Provider(Protocol):
    """Opens sessions; holds settings, no connection."""

    @property
    def name(self) -> str: ...

    def filled_from(self, environ: Mapping[str, str]) -> Provider:
        """Return the provider with what its settings leave out taken from environment variables."""
        ...

    def fingerprint(self, brief: Brief) -> str:
        """Return what is the same for two sessions exactly when they are opened alike; holds no secret."""
        ...

    def open_session(self, world: World, brief: Brief) -> AbstractAsyncContextManager[Session]:
        """Open, configure and await the acknowledgement; leaving the block closes.

        A lockout that the provider refuses is left out, and a configuration that it
        does not acknowledge in time is told as a notice: `Session.lock` says so.

        Bounded in time. Cancelled or failed at any step, it leaves nothing behind.

        Raises (on entering):
            ProviderUnavailable: Not reached, or no answer in time: another try may help.
            ProviderRefused: Refused; ``retryable`` says if another try may help.
        """
        ...


@attrs.frozen(kw_only=True)
class RingingCall:
    """What a carrier's webhook tells of a call that rings."""

    carrier_call_id: str
    caller: str
    callee: str
    direction: Literal["inbound", "outbound"] = "inbound"


@attrs.frozen(kw_only=True)
class StatusReport:
    """What a carrier's status callback tells."""

    carrier_call_id: str
    call_id: str | None = None
    """Our own id of the call, where the callback's URL brings it back; it comes before the carrier's."""
    status: CarrierStatus
    word: str
    """The status as the carrier spelled it."""
    duration_s: int | None = None
    failure: CarrierFailure | None = None


@attrs.frozen(kw_only=True)
class AmdResult:
    """What a carrier's answering-machine detection tells of a call that we placed."""

    call_id: str
    carrier_call_id: str
    answered_by: AnsweredBy
    word: str
    """The verdict as the carrier spelled it."""


class MachineDetection(enum.Enum):
    """Whether the carrier listens for answering machines, and when it tells."""

    OFF = "off"
    ASYNC = "async"  #: the call goes on meanwhile; the verdict comes by callback
    SYNC = "sync"  #: the media stream waits for the verdict: dead air for a human


@attrs.frozen(kw_only=True)
class DialOrder:
    """One call that the carrier is asked to place."""

    call_id: str
    """Ours; the carrier's callbacks bring it back."""
    callee: str
    """E.164."""
    token: str = attrs.field(repr=False)
    """The media token of the stream that the call is to open."""
    ring_timeout_s: int
    detection: MachineDetection = MachineDetection.OFF
    waits_for_beep: bool = False
    """Detection tells of a machine when its greeting has ended, so that a message can be left."""


class CallControl(Protocol):
    """Changes calls at the carrier, whichever side began them."""

    async def hang_up(self, carrier_call_id: str) -> None:
        """End a call, ringing or live; one that has ended already is no error. Bounded in time and tries.

        Raises:
            CarrierError: It could not be done.
        """
        ...


class Dialler(Protocol):
    """Places calls with a carrier."""

    @property
    def number(self) -> str:
        """The number that calls are placed from."""
        ...

    async def dial(self, order: DialOrder) -> str:
        """Ask the carrier to ring; return its id of the call. Bounded in time and tries; never rings twice.

        Raises:
            CarrierRefused: The carrier said no; nothing rings.
            CarrierUnavailable: It could not be asked; nothing rings.
            CarrierUncertain: It gave no clear answer; the phone may ring.
        """
        ...


class OpenCarrier(Protocol):
    """A carrier that can be used; made by `Carrier.open_carrier`."""

    @property
    def name(self) -> str:
        """What records and messages call it."""
        ...

    @property
    def media_format(self) -> AudioFormat:
        """What its media streams carry as a rule: parked sessions are opened for it."""
        ...

    @property
    def outlives_stream(self) -> bool:
        """Whether the carrier goes on with a call whose stream was lost: it speaks an apology, and says later that the
        call is over.

        False: it ends the call with the stream, so its word comes as soon as after a hang-up, and a stream that ended
        without a stop message counts as lost.
        """
        ...

    @property
    def control(self) -> CallControl | None:
        """Ends its calls; None: they end when their media close, and no other way."""
        ...

    @property
    def dialler(self) -> Dialler | None:
        """Places calls; None: it only answers them."""
        ...

    def routes(self, host: CallHost) -> Routes:
        """Return what it answers on the server's port: webhooks, and requests for media streams."""
        ...

    def unrouted(self, request: Request, status: int) -> None:
        """Notice a request that no route answers, in case it was meant for one of these."""
        ...


class Carrier(Protocol):
    """A carrier as settings, without a connection."""

    @property
    def name(self) -> str:
        """What records and messages call it."""
        ...

    def open_carrier(self, world: World, public_url: str) -> AbstractAsyncContextManager[OpenCarrier]:
        """Make the carrier ready; leaving the block ends its connections.

        ``public_url``: how the carrier reaches the server, without a slash at its end.

        Raises (on entering):
            ConfigError: Its settings do not fit.
        """
        ...


class MediaPass(Protocol):
    """The right to bring one call's media stream, claimed once."""

    def accepts(self, carrier_call_id: str) -> bool:
        """Whether a stream that names this call in its start message is the one that the pass is for."""
        ...

    async def run_call(self, leg: Leg) -> bool:
        """Run the call on this leg until it is over; return whether the carrier kept to the stream's rules."""
        ...

    def media_never_came(self, detail: str) -> None:
        """Give the pass back unused: the stream ended before its start message."""
        ...


class NotTaken(enum.Enum):
    """Why an announced call gets no media."""

    BUSY = "busy"  #: no more calls are taken
    OVER = "over"  #: it has ended; a webhook of it came late, or again


class CallHost(Protocol):
    """What a carrier needs of the engine; synchronous where the carrier's webhook waits."""

    def incoming(self, ringing: RingingCall) -> str | NotTaken:
        """Make the call's object; return its single-use media token, or why it gets none.

        The same carrier call announced again gets the same token, and none once it has ended.
        """
        ...

    def token_valid(self, token: str) -> bool:
        """Whether `claim` would succeed now; asked before a stream's upgrade is accepted."""
        ...

    def take_token(self, token: str) -> MediaPass | None:
        """Use up a token; None when it is unknown, used, expired or its call is over."""
        ...

    def status(self, report: StatusReport) -> None:
        """Take a status callback: any order, any repetition, unknown calls."""
        ...

    def amd_result(self, report: AmdResult) -> None:
        """Take a verdict of machine detection: at any time, any repetition, unknown calls."""
        ...

    def answered(self, report: AmdResult) -> str | None:
        """Return the media token of a placed call whose carrier asks what to do now that it was answered.

        None: hang up. The verdict in ``report`` is taken as by `machine`. Repeated, it gives the same token.
        """
        ...


class CallStore(Protocol):
    """Keeps what is left of a call."""

    async def save(self, report: CallReport) -> None:
        """Keep the record and transcript, whole or not at all; a newer report replaces an older one. Raises OSError."""
        ...

    def one_line(self, report: CallReport) -> str:
        """Return the record as one line of text, for where it cannot be kept."""
        ...

    def recorder(self, call_id: str) -> AbstractAsyncContextManager[Recorder]:
        """Hold a recording open while the call runs. Raises OSError on entering."""
        ...

    def growing_transcript(self, call_id: str) -> AbstractAsyncContextManager[LineWriter]:
        """Hold a transcript open while the call runs; `save` replaces it. Raises OSError on entering."""
        ...

    async def tidy(self) -> None:
        """Remove what a killed process has left half-written. Raises OSError."""
        ...


class Recorder(Protocol):
    """Writes one call's recording beside the call; never blocks it."""

    async def write(self, interleaved_pcm16: bytes) -> None:
        """Append stereo samples. Raises OSError."""
        ...


class LineWriter(Protocol):
    """Writes one call's transcript beside the call, a few lines at a time; never blocks it."""

    async def append(self, lines: Sequence[TranscriptLine]) -> None:
        """Append lines; when this returns they outlast a crash and a power cut. Raises OSError."""
        ...
