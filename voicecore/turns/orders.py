"""What a conversation orders: things for the session, for the observers, and the end of the call."""

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
class Notify:
    """Something for the observers."""

    fact: Fact


Order = SessionOrder | EndCall | Notify
