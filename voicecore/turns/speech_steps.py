"""The steps that follow from the agent's speech, passed between the machines.

Pure.
"""

from __future__ import annotations

import attrs

from voicecore import facts
from voicecore.events import SessionOrder
from voicecore.turns.playout.ledger import FirstHeard, Played
from voicecore.turns.responses import RequestLost


@attrs.frozen
class Audible:
    """The first audio of an item was sent."""

    response_id: str
    item_id: str


@attrs.frozen
class Done:
    """Nothing of a response is left to be played; ``why`` its rest was cut, empty where it was played.

    ``incomplete``: why the provider did not generate it to its end; empty where it did.
    """

    response_id: str
    why: str = ""
    incomplete: str = ""


@attrs.frozen
class Generated:
    """The first audio of a response was admitted."""

    response_id: str


@attrs.frozen
class Unheard:
    """A response ended, or its deadline passed, and none of its audio was admitted."""

    response_id: str


@attrs.frozen
class Said:
    """An item is over; ``text`` is what was heard of it."""

    item_id: str
    text: str | None
    interrupted: bool
    heard: facts.HeardPosition | None = None


SpeechStep = SessionOrder | RequestLost | FirstHeard | Played | Said | Generated | Done | Unheard
