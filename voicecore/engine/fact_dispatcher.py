"""Passes the facts of calls on: to the log, the transcript on disk, the program's handle, and the observers.

Rule: an observer that raises is logged, and changes nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from voicecore.engine.call_handle import CallHandle
from voicecore.engine.hosted_call import HostedCall
from voicecore.errors import printable
from voicecore.facts import Fact, Observer, ProblemSeen, SessionReady

log = logging.getLogger("voicecore.engine")


class FactDispatcher:
    """Passes on the facts of one host's calls."""

    def __init__(self, observers: Sequence[Observer], now: Callable[[], float]) -> None:
        self._observers = observers
        self._now = now
        self._handles: dict[str, CallHandle] = {}  # by our id; of dialled calls, and where a program has asked

    def handle(self, hosted: HostedCall, *, keeps_facts: bool = False) -> CallHandle:
        """Return the program's handle of a call; see `CallHandle` for ``keeps_facts``."""
        if (known := self._handles.get(hosted.call_id)) is not None:
            return known
        handle = self._handles[hosted.call_id] = CallHandle(hosted, self._now, keeps_facts=keeps_facts)
        return handle

    def forget(self, hosted: HostedCall) -> None:
        """There will be no more facts of this call."""
        self._handles.pop(hosted.call_id, None)

    def notify(self, hosted: HostedCall, fact: Fact) -> None:
        """Pass on one fact of a call."""
        _log(hosted, fact)
        if hosted.transcript is not None:
            hosted.transcript.take(fact)
        if (handle := self._handles.get(hosted.call_id)) is not None:
            handle.notify(fact)
        for observer in self._observers:
            try:
                observer(hosted.call_id, fact)
            except Exception:
                log.exception("an observer failed on %s of call %s", type(fact).__name__, hosted.call_id)


def _log(hosted: HostedCall, fact: Fact) -> None:
    if isinstance(fact, SessionReady):
        log.info("call %s: session ready %.1f ms after pick-up (%s)", hosted.call_id, fact.at_s * 1000, fact.source)
    elif isinstance(fact, ProblemSeen):
        log.warning("call %s: %s: %s", hosted.call_id, printable(fact.code), printable(fact.message))
