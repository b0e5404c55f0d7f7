"""The settings of one conversation: those of its machines, joined.

Made by engine/settings.py; used by turns/conversation.py.
"""

from __future__ import annotations

import attrs

from voicecore.turns.first_message import FirstMessagePolicy, Message
from voicecore.turns.floor import FloorSettings
from voicecore.turns.playout import PlayoutSettings
from voicecore.turns.protection import ProtectionSettings
from voicecore.turns.responses import ResponseSettings


@attrs.frozen(kw_only=True)
class ConversationSettings:
    """What the agent does first, and the bounds of the machines."""

    first_message: Message | None = None
    """What the agent says first; None: the caller begins, and the agent answers."""
    policy: FirstMessagePolicy = attrs.field(factory=FirstMessagePolicy)
    protection: ProtectionSettings = attrs.field(factory=ProtectionSettings)
    floor: FloorSettings = attrs.field(factory=FloorSettings)
    playout: PlayoutSettings = attrs.field(factory=PlayoutSettings)
    responses: ResponseSettings = attrs.field(factory=ResponseSettings)
