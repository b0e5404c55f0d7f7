"""Whether a host takes new calls, and how it comes to an end: drained, then shut down.

Rule: nothing is waited for that may never come.  An incoming call whose media do not
come is ended, and a record waits for the carrier's final status for a bounded time.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping

import trio

from voicecore.engine.call_origin import Outbound
from voicecore.engine.call_registry import CallRegistry
from voicecore.engine.hosted_call import HostedCall
from voicecore.engine.records import Records
from voicecore.engine.settings import HostSettings
from voicecore.facts import EndCause
from voicecore.world import World


class AdmissionState(enum.Enum):
    """Whether new calls are taken."""

    OPEN = "open"
    DRAINING = "draining"  #: no new calls; running ones go on
    CLOSING = "closing"  #: no new calls, and a carrier's final status is not waited for


class AdmissionMove(enum.Enum):
    """What can happen to a host."""

    DRAIN = "drain"
    SHUT_DOWN = "shut down"


_S, _M = AdmissionState, AdmissionMove
NEXT_ADMISSION: Mapping[AdmissionState, Mapping[AdmissionMove, AdmissionState]] = {
    _S.OPEN: {_M.DRAIN: _S.DRAINING, _M.SHUT_DOWN: _S.CLOSING},
    _S.DRAINING: {_M.DRAIN: _S.DRAINING, _M.SHUT_DOWN: _S.CLOSING},
    _S.CLOSING: {_M.DRAIN: _S.CLOSING, _M.SHUT_DOWN: _S.CLOSING},
}


class Admission:
    """Which calls one host takes, and how long it waits for those that it has."""

    def __init__(self, registry: CallRegistry, records: Records | None, world: World, settings: HostSettings) -> None:
        self.state = AdmissionState.OPEN
        self._registry = registry
        self._records = records
        self._world = world
        self._settings = settings
        self._changed = trio.Event()

    @property
    def is_open(self) -> bool:
        """Whether new calls are taken."""
        return self.state is AdmissionState.OPEN

    @property
    def is_closing(self) -> bool:
        """Whether a carrier's final status, or a disk, is not waited for any more."""
        return self.state is AdmissionState.CLOSING

    def admit(self, hosted: HostedCall) -> bool:
        """Enter a new call; False where no more are taken."""
        return self.is_open and self._registry.enter(hosted)

    def stop(self) -> None:
        """Take no more calls; those that run go on."""
        self._move(AdmissionMove.DRAIN)

    def notice_change(self) -> None:
        """A call was picked up, has ended or was filed: whoever waits for that looks again."""
        self._changed.set()
        self._changed = trio.Event()

    async def wait_idle(self) -> None:
        """Return once no call runs, and every record is written, or writing it fails: then it waits."""
        await self._wait_until_none(lambda _: True)
        if self._records is not None:
            await self._records.idle()

    async def drain(self) -> None:
        """Take no more calls; return once every one is over and its record filed.

        An incoming call without media is ended after ``drain_media_s``; once no call runs any
        more, records wait for a carrier's final status for ``drain_status_s`` at most.
        """
        self.stop()
        with trio.move_on_after(self._settings.drain_media_s):
            await self._wait_until_none(_is_announced)
        for hosted in filter(_is_announced, self._registry.hosted_calls()):
            hosted.end(EndCause.SHUT_DOWN, "its media had not come when the engine was stopped", self._world.now())
        await self._wait_until_none(lambda hosted: hosted.runs)
        with trio.move_on_after(self._settings.drain_status_s):
            await self.wait_idle()
        for hosted in self._registry.hosted_calls():
            hosted.at_carrier.last_word.set()
        await self.wait_idle()

    def shut_down(self) -> None:
        """End the calls without media, and stop waiting for anything that only the carrier could still say."""
        self._move(AdmissionMove.SHUT_DOWN)
        now = self._world.now()
        for hosted in self._registry.hosted_calls():
            hosted.at_carrier.last_word.set()
            if isinstance(hosted.origin, Outbound):
                hosted.origin.request.deadline = now + self._settings.closing_s
            if not hosted.was_picked_up:
                hosted.end(EndCause.SHUT_DOWN, "", now)

    def _move(self, move: AdmissionMove) -> None:
        self.state = NEXT_ADMISSION[self.state][move]

    async def _wait_until_none(self, fits: Callable[[HostedCall], bool]) -> None:
        while any(map(fits, self._registry.hosted_calls())):
            await self._changed.wait()


def _is_announced(hosted: HostedCall) -> bool:
    """Whether an incoming call runs, and no stream of it has come."""
    return hosted.direction == "inbound" and hosted.runs and not hosted.was_picked_up
