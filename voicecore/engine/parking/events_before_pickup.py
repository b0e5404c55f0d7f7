"""The events of a session before pick-up: kept where we asked for them, otherwise stopped and deleted.

Nobody is on the line yet.  A response that the session starts by itself (to a noise,
or to nothing) belongs to no conversation: it is cancelled, deleted at the provider, and
neither played nor counted as said.  The same goes for turns of a user who is
not there.

Rule 1: of the responses, only the one that answers our request is kept.  While our
request is pending, a response that names no request counts as its answer, unless the
session has a turn to answer by itself.
Rule 2: events that are about neither a response nor a user (a configuration, a problem) are kept.

Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

from voicecore.events import (
    AgentAudio,
    AgentAudioEnded,
    AgentItemAdded,
    AgentTextDone,
    AgentTextPart,
    CancelResponse,
    DeleteItem,
    ResponseEnded,
    ResponseStarted,
    SessionEvent,
    SessionOrder,
    SilenceTimedOut,
    ToolCallRequested,
    UserSpeechStarted,
    UserSpeechStopped,
    UserTranscriptDone,
    UserTranscriptFailed,
    UserTranscriptPart,
    UserTurnCommitted,
)

_OF_A_RESPONSE = (
    ResponseStarted,
    AgentItemAdded,
    AgentAudio,
    AgentAudioEnded,
    AgentTextPart,
    AgentTextDone,
    ToolCallRequested,
    ResponseEnded,
)
_OF_A_USER = (
    UserSpeechStarted,
    UserSpeechStopped,
    UserTranscriptPart,
    UserTranscriptDone,
    UserTranscriptFailed,
    SilenceTimedOut,
)


class EventsBeforePickup:
    """The events of one session before pick-up."""

    def __init__(self, request_id: str | None) -> None:
        """``request_id``: of the response that was asked for; None: no response was."""
        self.taken = 0
        """Events that came in, kept or not."""
        self._request_id = request_id
        self._asked: str | None = None  # the response that answers it
        self._kept: list[SessionEvent] = []  # bounded by _EVENTS_LIMIT in parked_session.py
        self._unasked: dict[str, None] = {}  # response ids, in order; bounded by what comes in
        self._running: set[str] = set()  # those of them that have not ended
        self._turn_is_open = False

    @property
    def unasked(self) -> Sequence[str]:
        """The responses that nobody asked for."""
        return tuple(self._unasked)

    def events(self) -> list[SessionEvent]:
        """Return the events for the call, in order, with the start of each stopped response that has not ended yet."""
        return [*self._kept, *(ResponseStarted(each) for each in self._unasked if each in self._running)]

    def take(self, event: SessionEvent) -> tuple[bool, list[SessionOrder]]:
        """Take one event; return whether it is kept, and the orders for the session."""
        self.taken += 1
        if isinstance(event, UserTurnCommitted):
            self._turn_is_open = True
            return False, [DeleteItem(event.item_id)]
        if isinstance(event, _OF_A_USER):
            return False, []
        if not isinstance(event, _OF_A_RESPONSE) or self._is_asked_for(event):
            self._kept.append(event)
            return True, []
        return False, self._stopped(event)

    def _is_asked_for(self, event: SessionEvent) -> bool:
        response_id: str = event.response_id  # type: ignore[union-attr]
        if self._asked is None and self._request_id is not None and response_id not in self._unasked:
            named = event.request_id if isinstance(event, ResponseStarted) else None
            if named == self._request_id or (named is None and not self._turn_is_open):
                self._asked = response_id
        return response_id == self._asked

    def _stopped(self, event: SessionEvent) -> list[SessionOrder]:
        """Take note of a response that nobody asked for; return the orders that stop it."""
        response_id: str = event.response_id  # type: ignore[union-attr]
        orders: list[SessionOrder] = []
        if response_id not in self._unasked:
            self._turn_is_open = False  # this is its answer
            self._unasked[response_id] = None
            self._running.add(response_id)
            orders.append(CancelResponse(response_id))
        if isinstance(event, ResponseEnded):
            self._running.discard(response_id)
        if isinstance(event, AgentItemAdded):
            orders.append(DeleteItem(event.item_id))
        return orders
