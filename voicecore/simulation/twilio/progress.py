"""The status of one call, and the status callbacks that report it.

Rule 1: a status is reached at once and reported by a task of its own: a call never
waits for a slow application.
Rule 2: callbacks are sent one after the other, numbered in the order of events, and in
that order unless the faults say otherwise.
Rule 3: nothing changes after a final status.

Facts: docs/protocols/twilio-media-streams.md, section 8.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from email.utils import format_datetime

import trio

from voicecore.simulation.twilio.application_client import ApplicationClient
from voicecore.simulation.twilio.dial_request import EVENTS
from voicecore.simulation.twilio.faults import StatusFaults

FINAL = frozenset({"completed", "busy", "failed", "no-answer", "canceled"})
_EVENT_OF = {"initiated": "initiated", "ringing": "ringing", "in-progress": "answered"}


class CallProgress:
    """The status of one call."""

    def __init__(
        self,
        application: ApplicationClient,
        identity: Mapping[str, str],
        callback_url: str | None,
        faults: StatusFaults,
        events: frozenset[str] = EVENTS,
    ) -> None:
        """Begin as queued.

        Args:
            application: Delivers the callbacks.
            identity: The fields that all webhooks of the call have in common.
            callback_url: Where they are sent; None: nowhere.
            faults: What goes wrong with the callbacks.
            events: Which of them are sent.
        """
        self.status = "queued"
        self.sent: list[str] = []
        """The statuses whose callbacks were sent, in order."""
        self.answered_at: float | None = None
        self.duration_s: int | None = None
        """Of an answered call that is completed."""
        self.identity = identity
        self._application = application
        self._url = callback_url
        self._faults = faults
        self._events = events
        self._sequence = 0
        self._waiting: deque[tuple[float, dict[str, str]]] = deque()  # (due, fields); a call has five statuses
        self._withheld: list[tuple[float, dict[str, str]]] = []
        self._changed = trio.Event()
        self._idle = trio.Event()
        self._idle.set()

    @property
    def is_final(self) -> bool:
        """Whether the call is over."""
        return self.status in FINAL

    @property
    def delivers_at_once(self) -> bool:
        """Whether callbacks are sent without delay."""
        return not self._faults.late_s

    def fields(self, status: str | None = None) -> dict[str, str]:
        """Return the fields of a webhook about the call as it is now."""
        return {**self.identity, "CallStatus": status or self.status, "ApiVersion": "2010-04-01"}

    def reach(self, status: str) -> None:
        """Change the status, and report it where that was asked for."""
        if self.is_final:
            return
        # "initiated" is reported by callback only; a fetch still shows the call as queued
        self.status = self.status if status == "initiated" else status
        now = trio.current_time()
        if status == "in-progress":
            self.answered_at = now
        if status == "completed":
            self.duration_s = round(now - (now if self.answered_at is None else self.answered_at))
        if self._url is not None and _EVENT_OF.get(status, "completed") in self._events and self._faults.sends:
            self._enqueue(status, now)
        if status in FINAL:
            self._release()

    async def deliver(self) -> None:
        """Send callbacks as they become due, until cancelled."""
        while True:
            while self._waiting:
                await self._send(*self._waiting.popleft())
            self._idle.set()
            self._changed = trio.Event()
            await self._changed.wait()

    async def wait_delivered(self) -> None:
        """Return once every callback on its way was answered; those withheld for reversal are not waited for."""
        await self._idle.wait()

    # --- inside ------------------------------------------------------------------------

    async def _send(self, due: float, fields: Mapping[str, str]) -> None:
        await trio.sleep_until(due)
        for _ in range(self._faults.repeats):
            self.sent.append(fields["CallStatus"])
            await self._application.notify(self._url or "", fields, self._faults.signature)

    def _enqueue(self, status: str, now: float) -> None:
        fields = self.fields(status) | {
            "Timestamp": format_datetime(self._application.world.wall_clock()),
            "CallbackSource": "call-progress-events",
            "SequenceNumber": str(self._sequence),
        }
        if self.duration_s is not None:
            fields |= {"CallDuration": str(self.duration_s), "Duration": str(max(1, math.ceil(self.duration_s / 60)))}
        if status in FINAL:
            fields = changed(fields, self._faults.final_fields)
        self._sequence += 1
        self._withheld.append((now + self._faults.late_s, fields))
        if not self._faults.reversed:
            self._release()

    def _release(self) -> None:
        """Release what is withheld: one callback, or all of them, last one first."""
        if not self._withheld:
            return
        self._waiting.extend(reversed(self._withheld))
        self._withheld.clear()
        if self._idle.is_set():
            self._idle = trio.Event()
        self._changed.set()


def changed(fields: Mapping[str, str], changes: Mapping[str, str | None]) -> dict[str, str]:
    """Return fields with other values for some, and without those that are None."""
    return {name: value for name, value in {**fields, **changes}.items() if value is not None}
