"""Every response and item of the agent, with the stage that each has reached.

    NAMED ──audio──► QUEUED ──its first audio is sent──► SENT ──► PLAYED
      │                 └──────────────┬──────────────────┘
      └── DELETED                     CUT

Rule 1: an item has one stage, and belongs to the response that named it first.
Rule 2: every pair of stage and move is listed.  A peer may do anything in any
order, and a write that was under way may end after a cut: what a stage does not
expect leaves it as it is.
Rule 3: audio that comes after an item was over queues it again: it will be heard.

The other owners: the response that runs belongs to responses.py, audio to
playout/ledger.py, words to transcript.py, the user's turns to user_turns.py.

Pure.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping

import attrs


class ItemStage(enum.Enum):
    """How far an item has come on its way to the user's ear."""

    NAMED = "named"  #: it exists, or has words; no audio of it was admitted
    QUEUED = "queued"  #: audio of it waits to be sent
    SENT = "sent"  #: some of its audio was sent to the carrier
    PLAYED = "played"  #: all of it was played
    CUT = "cut"  #: what was left of it was dropped
    DELETED = "deleted"  #: it will never have audio, and the session was asked to forget it


class ItemMove(enum.Enum):
    """What can happen to an item."""

    AUDIO = "audio"  #: audio of it was admitted
    SENT = "sent"  #: audio of it was written to the carrier
    PLAYED = "played"  #: all of its audio was played
    CUT = "cut"  #: all speech was dropped
    DELETED = "deleted"  #: its response was silenced


_S, _M = ItemStage, ItemMove
NEXT_ITEM_STAGE: Mapping[ItemStage, Mapping[ItemMove, ItemStage]] = {
    _S.NAMED: {**dict.fromkeys(_M, _S.NAMED), _M.AUDIO: _S.QUEUED, _M.DELETED: _S.DELETED},
    _S.QUEUED: {
        _M.AUDIO: _S.QUEUED,
        _M.SENT: _S.SENT,
        _M.PLAYED: _S.PLAYED,
        _M.CUT: _S.CUT,
        _M.DELETED: _S.QUEUED,
    },
    _S.SENT: {
        _M.AUDIO: _S.SENT,
        _M.SENT: _S.SENT,
        _M.PLAYED: _S.PLAYED,
        _M.CUT: _S.CUT,
        _M.DELETED: _S.SENT,
    },
    _S.PLAYED: {**dict.fromkeys(_M, _S.PLAYED), _M.AUDIO: _S.QUEUED},
    _S.CUT: {**dict.fromkeys(_M, _S.CUT), _M.AUDIO: _S.QUEUED},
    _S.DELETED: {**dict.fromkeys(_M, _S.DELETED), _M.AUDIO: _S.QUEUED},
}

_IN_HAND = frozenset({ItemStage.QUEUED, ItemStage.SENT})


class SpeechStage(enum.Enum):
    """How far the speech of a response has come."""

    SILENT = "silent"  #: no audio of it was admitted
    BEGUN = "begun"  #: audio was admitted, and some may still be played, or come
    DONE = "done"  #: nothing of it is left to be played, and this was said


@attrs.define(eq=False)
class AgentResponse:
    """One response: its items, oldest first, and what is known of its speech."""

    response_id: str
    is_own: bool = False
    """Speech of ours, of which the session knows nothing before it was played."""
    stage: SpeechStage = SpeechStage.SILENT
    incomplete: str = ""
    """Why the provider ended it early, until it is done; empty where it did not."""
    items: dict[str, AgentItem] = attrs.field(factory=dict, repr=False)

    @property
    def is_in_hand(self) -> bool:
        """Whether any of its audio waits, or was sent and is not known to have been played."""
        return any(item.is_in_hand for item in self.items.values())

    def audio(self) -> bool:
        """Take note of audio; return whether it is the first."""
        is_first = self.stage is SpeechStage.SILENT
        self.stage = SpeechStage.BEGUN
        return is_first

    def fell_short(self, why: str) -> None:
        """Keep why it was not generated to its end, where audio of it came in; the first reason stays."""
        if self.stage is SpeechStage.BEGUN:
            self.incomplete = self.incomplete or why

    def done(self) -> str:
        """Nothing of it is left to be played; return why it was incomplete, empty where it was not."""
        why, self.incomplete, self.stage = self.incomplete, "", SpeechStage.DONE
        return why


@attrs.define(eq=False)
class AgentItem:
    """One item of a response."""

    item_id: str
    response: AgentResponse
    stage: ItemStage = ItemStage.NAMED

    @property
    def is_in_hand(self) -> bool:
        """Whether its audio waits, or was sent and is not known to have been played."""
        return self.stage in _IN_HAND


class AgentItems:
    """The responses and items of one call."""

    def __init__(self) -> None:
        self._responses: dict[str, AgentResponse] = {}
        self._items: dict[str, AgentItem] = {}
        self._in_hand: dict[str, AgentItem] = {}  # QUEUED and SENT, oldest audio first

    def response(self, response_id: str, *, is_own: bool = False) -> AgentResponse:
        """Return a response, a new one where it is not known."""
        found = self._responses.get(response_id)
        if found is None:
            found = self._responses[response_id] = AgentResponse(response_id, is_own)
        return found

    def named(self, response_id: str, item_id: str) -> AgentItem:
        """Return an item, a new one of this response where it is not known."""
        found = self._items.get(item_id)
        if found is None:
            response = self.response(response_id)
            found = self._items[item_id] = response.items[item_id] = AgentItem(item_id, response)
        return found

    def find(self, item_id: str) -> AgentItem | None:
        """Return an item; None for one that is not speech of the agent."""
        return self._items.get(item_id)

    def move(self, item: AgentItem, move: ItemMove) -> bool:
        """Make a move; return whether it changed the item's stage."""
        before, item.stage = item.stage, NEXT_ITEM_STAGE[item.stage][move]
        if item.stage is before:
            return False
        if item.is_in_hand:
            self._in_hand[item.item_id] = item
        else:
            self._in_hand.pop(item.item_id, None)
        return True

    def audible(self) -> Iterator[AgentItem]:
        """Return the items that can be heard, or were sent so that they will be, oldest first."""
        return (item for item in self._in_hand.values() if item.stage is ItemStage.SENT)

    def cut(self) -> list[AgentResponse]:
        """All speech was dropped; return the responses that were not done, in the order of their ids."""
        for item in list(self._in_hand.values()):
            self.move(item, ItemMove.CUT)
        begun = [response for response in self._responses.values() if response.stage is SpeechStage.BEGUN]
        return sorted(begun, key=lambda response: response.response_id)
