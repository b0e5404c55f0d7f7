"""The settings of one conversation: those of its machines, joined."""

from __future__ import annotations

import attrs

from voicecore.turns.barge_in.policy import BargeInPolicy
from voicecore.turns.first_message.message import FirstMessagePolicy, Message
from voicecore.turns.first_message.protection import ProtectionSettings
from voicecore.turns.idle import IdlePolicy
from voicecore.turns.keypad import KeypadSettings
from voicecore.turns.playout.ledger import PlayoutSettings
from voicecore.turns.recovery import FallbackLines
from voicecore.turns.responses import ResponseSettings
from voicecore.turns.user_turns import UserTurnSettings
from voicecore.turns.waiting_sound import WaitingSound


@attrs.frozen(kw_only=True)
class ConversationSettings:
    """What the agent does first, and the bounds of the machines."""

    first_message: Message | None = None
    """What the agent says first; None: the user begins, and the agent answers."""
    policy: FirstMessagePolicy = attrs.field(factory=FirstMessagePolicy)
    protection: ProtectionSettings = attrs.field(factory=ProtectionSettings)
    barge_in: BargeInPolicy = attrs.field(factory=BargeInPolicy)
    idle: IdlePolicy | None = None
    """None: the agent never prompts a silent user."""
    keypad: KeypadSettings = attrs.field(factory=KeypadSettings)
    fallback: FallbackLines = attrs.field(factory=FallbackLines)
    waiting: WaitingSound | None = None
    """None: a user who waits for the agent hears nothing meanwhile."""
    turns: UserTurnSettings = attrs.field(factory=UserTurnSettings)
    playout: PlayoutSettings = attrs.field(factory=PlayoutSettings)
    responses: ResponseSettings = attrs.field(factory=ResponseSettings)

    @property
    def response_limits(self) -> ResponseSettings:
        """The deadlines of responses: none that would end the first message within its own limit."""
        least_s = 0.0 if self.first_message is None else self.policy.announced_s
        return attrs.evolve(self.responses, announced_s=max(self.responses.announced_s, least_s))
