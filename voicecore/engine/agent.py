"""The agent of a call: its instructions, its first message, and how it takes turns.

Rule: the agent that a call was taken or placed with is the agent of that call,
end to end; its lockout, its message and its policy come from here alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import attrs

from voicecore import kinds
from voicecore.audio.convert import converter
from voicecore.audio.formats import AudioFormat
from voicecore.errors import ConfigError
from voicecore.events import Lockout
from voicecore.turns.barge_in.policy import BargeInPolicy
from voicecore.turns.first_message.message import FirstMessagePolicy, Message, ProtectionRule
from voicecore.turns.first_message.requests import lockout_for
from voicecore.turns.idle import IdlePolicy
from voicecore.turns.keypad import KeypadSettings
from voicecore.turns.recovery import FallbackLines
from voicecore.turns.waiting_sound import WaitingSound

Direction = Literal["inbound", "outbound"]
INSTRUCTIONS = (
    "You are on the telephone. Be friendly and brief: one or two short sentences at a time, one question at a time, "
    "in the language of the person you are talking to. Say so if you do not know something; never invent facts."
)
"""For an agent that is given none."""

DIRECTIONS: Sequence[Direction] = ("inbound", "outbound")


@attrs.frozen
class ReadySpeech:
    """Recorded speech, played in place of a model's."""

    audio: bytes = attrs.field(repr=lambda audio: f"<{len(audio)} bytes>", validator=kinds.AUDIO)
    audio_format: AudioFormat = attrs.field(validator=kinds.instance(AudioFormat))


_SPEECH = kinds.optional(kinds.instance(ReadySpeech))
_POLICY = kinds.optional(kinds.instance(FirstMessagePolicy))


@attrs.frozen(kw_only=True)
class Agent:
    """Who speaks: the model's instructions, and what it says first."""

    instructions: str = attrs.field(default=INSTRUCTIONS, validator=kinds.TEXT)
    """What the model is to do, and how it is to speak."""
    provider: str | None = attrs.field(default=None, validator=kinds.OPTIONAL_WORD)
    """The name of the provider that opens its sessions, where the engine has several; None: the first."""
    first_message: str | None = attrs.field(default=None, validator=kinds.OPTIONAL_TEXT)
    """Said word for word when the call begins; None: the user begins."""
    first_message_audio: ReadySpeech | None = attrs.field(default=None, validator=_SPEECH)
    """Played instead of the session's voice; `first_message` holds its words, for the history."""
    policy: FirstMessagePolicy | None = attrs.field(default=None, validator=_POLICY)
    """How the first message is said, whoever called; None: by the call's direction."""
    policies: Mapping[Direction, FirstMessagePolicy] = attrs.field(
        factory=lambda: POLICIES, validator=kinds.instance(Mapping)
    )
    barge_in: BargeInPolicy = attrs.field(factory=BargeInPolicy, validator=kinds.instance(BargeInPolicy))
    """When the user stops the agent."""
    idle: IdlePolicy | None = attrs.field(default=None, validator=kinds.optional(kinds.instance(IdlePolicy)))
    """When the agent prompts a silent user; None: never."""
    keypad: KeypadSettings = attrs.field(factory=KeypadSettings, validator=kinds.instance(KeypadSettings))
    fallback: FallbackLines = attrs.field(factory=FallbackLines, validator=kinds.instance(FallbackLines))
    """What it says where no reply could be had."""
    waiting_sound: ReadySpeech | None = attrs.field(default=None, validator=_SPEECH)
    """Played once to a user who waits for the agent longer than usual; None: nothing is."""
    waiting_after_s: float = attrs.field(default=3.0, validator=kinds.seconds(above=0, high=60))
    """How long the user waits before that sound, from the end of the turn or the request for the first message."""

    def __attrs_post_init__(self) -> None:
        if self.first_message_audio is not None and self.first_message is None:
            raise ConfigError("Agent.first_message", "missing; a recorded first message needs its words too")

    def policy_for(self, direction: Direction) -> FirstMessagePolicy:
        """Return how the first message is said on such a call."""
        return self.policy or self.policies[direction]

    def message(self, leg_format: AudioFormat) -> Message | None:
        """Return the first message, its audio in the leg's format."""
        if self.first_message is None:
            return None
        ready = self.first_message_audio
        return Message(self.first_message, None if ready is None else _converted(ready, leg_format))

    def waiting(self, leg_format: AudioFormat) -> WaitingSound | None:
        """Return the sound for a user who waits, its audio in the leg's format."""
        if self.waiting_sound is None:
            return None
        return WaitingSound(_converted(self.waiting_sound, leg_format), self.waiting_after_s)

    def lockout(self, direction: Direction) -> Lockout:
        """Return the lockout that a session must be opened with."""
        message = None if self.first_message is None else Message(self.first_message)
        return lockout_for(message, self.policy_for(direction))


POLICIES: Mapping[Direction, FirstMessagePolicy] = {
    "outbound": FirstMessagePolicy(),
    "inbound": FirstMessagePolicy(protection=ProtectionRule.FIRST_AUDIO),
}
"""Whoever is called says "hello?" first; whoever calls waits for a greeting, and may cut it short."""


def _converted(ready: ReadySpeech, leg_format: AudioFormat) -> bytes:
    to_leg = converter(ready.audio_format, leg_format)
    return to_leg.convert(ready.audio) + to_leg.flush()
