"""The engine's settings: frozen values with their units and reasons.

Used by embedding programs, by assembly.py (from the configuration file) and in
every room of the engine.
"""

from __future__ import annotations

import attrs
from attrs.validators import ge, gt, min_len

from voicecore.turns.conversation import ConversationSettings
from voicecore.turns.floor import FloorSettings
from voicecore.turns.playout import PlayoutSettings
from voicecore.turns.responses import ResponseSettings


@attrs.frozen(kw_only=True)
class Agent:
    """Who answers: what the model is told, and what it says first."""

    instructions: str = attrs.field(validator=min_len(1))
    first_message: str | None = None
    """Said word for word when the call begins; None: the caller begins."""


@attrs.frozen(kw_only=True)
class CallSettings:
    """Bounds of one call."""

    max_call_s: float = attrs.field(default=4 * 3600.0, validator=gt(0))
    """The call ends after so long, whatever happens; the carriers' own maximum is four hours."""
    open_tries: int = attrs.field(default=2, validator=ge(1))
    """How often opening a session is tried while the caller waits."""
    retry_pause_s: float = attrs.field(default=0.25, validator=ge(0))
    hold_audio_s: float = attrs.field(default=10.0, validator=gt(0))
    """Caller audio kept while the session opens or does not read; beyond it the oldest is dropped."""
    stop_wait_s: float = attrs.field(default=2.0, validator=ge(0))
    """After the carrier's terminal status: how long the stream's own stop may still take."""
    floor: FloorSettings = attrs.field(factory=FloorSettings)
    playout: PlayoutSettings = attrs.field(factory=PlayoutSettings)
    responses: ResponseSettings = attrs.field(factory=ResponseSettings)

    def conversation(self, agent: Agent) -> ConversationSettings:
        """Return what the conversation of a call with this agent needs."""
        return ConversationSettings(
            first_message=agent.first_message,
            floor=self.floor,
            playout=self.playout,
            responses=self.responses,
        )


@attrs.frozen(kw_only=True)
class HostSettings:
    """Bounds of all calls together."""

    max_calls: int = attrs.field(default=200, validator=ge(1))
    """Calls ringing or talking at once; beyond it a caller gets a busy answer."""
    token_s: float = attrs.field(default=120.0, validator=gt(0))
    """How long a media token is good; a call whose stream has not come by then is over."""
    status_wait_s: float = attrs.field(default=10.0, validator=ge(0))
    """How long the record waits for the carrier's terminal status after the stream ended."""
    closing_s: float = attrs.field(default=5.0, validator=gt(0))
    """How long records may take to be written when the host closes."""
    call: CallSettings = attrs.field(factory=CallSettings)
