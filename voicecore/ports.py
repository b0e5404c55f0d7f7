"""The engine's two partners and its neighbours, as capabilities.

A carrier gives a `Leg` for each call; a `Provider` opens a `Session`; the host
is a `Reception` for carriers; a `CallStore` keeps what is left of a call.
Twins provide all of them.

Rule 1: an object exists complete or not at all; there is no connect() on it.
Rule 2: one task receives, one task sends; a cancelled receive loses nothing.
Rule 3: what an object can do is asked of its type or its `Capabilities`, never of its name.

Level 2.  Implemented in carriers/, providers/, engine/host.py, observe/.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Literal, Protocol

import attrs

from voicecore.audio.formats import AudioFormat
from voicecore.events import Capabilities, LegEvent, LegOrder, LegStarted, SessionEvent, SessionOrder
from voicecore.facts import CallReport
from voicecore.statuses import CarrierStatus
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


class Session(Protocol):
    """The AI side of a call: opened, configured, acknowledged."""

    @property
    def session_id(self) -> str: ...

    @property
    def caller_format(self) -> AudioFormat:
        """What `AppendCallerAudio` must carry: the format that the provider echoed."""
        ...

    @property
    def agent_format(self) -> AudioFormat:
        """What `AgentAudio` carries: the format that the provider echoed."""
        ...

    @property
    def capabilities(self) -> Capabilities: ...

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


@attrs.frozen(kw_only=True)
class Brief:
    """What a session is opened with, beside the provider's own settings."""

    instructions: str
    audio_format: AudioFormat
    """The leg's format: asked for in both directions, so that audio can pass through."""


class Provider(Protocol):
    """Opens sessions; holds settings, no connection."""

    @property
    def name(self) -> str: ...

    def filled_from(self, environ: Mapping[str, str]) -> Provider:
        """Return the provider with what its settings leave out taken from environment variables."""
        ...

    def open_session(self, world: World, brief: Brief) -> AbstractAsyncContextManager[Session]:
        """Open, configure and await the acknowledgement; leaving the block closes.

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
    status: CarrierStatus
    word: str
    """The status as the carrier spelled it."""
    duration_s: int | None = None


class MediaPass(Protocol):
    """The right to bring one call's media stream, claimed once."""

    @property
    def carrier_call_id(self) -> str:
        """The call that the stream must name in its start message."""
        ...

    async def hold_call(self, leg: Leg) -> None:
        """Run the call on this leg until it is over."""
        ...

    def media_never_came(self, detail: str) -> None:
        """Give the pass back unused: the stream ended before its start message."""
        ...


class Reception(Protocol):
    """What a carrier needs of the engine; synchronous where the carrier's webhook waits."""

    def announce(self, ringing: RingingCall) -> str | None:
        """Make the call's object; return its single-use media token, or None when no more calls are taken.

        The same carrier call announced again gets the same token.
        """
        ...

    def admits(self, token: str) -> bool:
        """Whether `claim` would succeed now; asked before a stream's upgrade is accepted."""
        ...

    def claim(self, token: str) -> MediaPass | None:
        """Use up a token; None when it is unknown, used, expired or its call is over."""
        ...

    def status(self, report: StatusReport) -> None:
        """Take a status callback: any order, any repetition, unknown calls."""
        ...


class CallStore(Protocol):
    """Keeps what is left of a call."""

    async def save(self, report: CallReport) -> None:
        """Keep the record and transcript, whole or not at all. Raises OSError."""
        ...

    def recorder(self, call_id: str) -> AbstractAsyncContextManager[Recorder]:
        """Hold a recording open while the call runs."""
        ...


class Recorder(Protocol):
    """Writes one call's recording beside the call; never blocks it."""

    async def write(self, interleaved_pcm16: bytes) -> None:
        """Append stereo samples. Raises OSError."""
        ...
