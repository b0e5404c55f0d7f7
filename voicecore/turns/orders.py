"""What a conversation orders: things for the session, for the observers, and the end of the call.

Used by turns/conversation.py; carried out in engine/call.py.
"""

from __future__ import annotations

import attrs

from voicecore.events import SessionOrder
from voicecore.facts import EndCause, Fact


@attrs.frozen
class EndCall:
    """The conversation cannot go on, or has done what it was for."""

    cause: EndCause
    detail: str = ""


@attrs.frozen
class Tell:
    """Something for the observers."""

    fact: Fact


Order = SessionOrder | EndCall | Tell
