"""One call as a program sees it: inbound or outbound, ringing, live or over.

    async with engine.dial("+15551234567") as call:
        async for fact in call.facts():
            ...
    call.report.outcome

Rule 1: each reader of facts has a bounded buffer; a reader who is slow loses the
oldest, counted, and never slows the call.
Rule 2: reading facts ends with the call.

Made by engine/host.py; public through `voicecore.open_engine`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import trio

from voicecore.engine.agent import Agent, Direction
from voicecore.engine.hosted_call import HostedCall
from voicecore.errors import LocalProtocolError
from voicecore.facts import CallEnded, CallReport, EndCause, Fact

FACTS_LIMIT = 10_000  #: facts that wait for one reader


class CallHandle:
    """One call of an engine. Made by `Engine.dial`, `Engine.calls`, and for the handler of incoming calls."""

    def __init__(self, hosted: HostedCall, now: Callable[[], float], *, keeps_facts: bool = False) -> None:
        """Take ``keeps_facts``: the first reader gets every fact from here on, whenever it begins to read."""
        self._hosted = hosted
        self._now = now
        self._readers: list[FactReader] = []
        self._report: CallReport | None = None
        self._kept: FactReader | None = None
        if keeps_facts:
            self._kept = self.facts()

    def __repr__(self) -> str:
        return f"<CallHandle {self.call_id} {self._hosted.direction} {self._hosted.state.value}>"

    @property
    def call_id(self) -> str:
        """Our own id of the call."""
        return self._hosted.call_id

    @property
    def carrier_call_id(self) -> str | None:
        """The carrier's id of the call; None before it gave one."""
        return self._hosted.carrier_call_id

    @property
    def direction(self) -> Direction:
        """ "inbound", or "outbound" for a call that was dialled."""
        return self._hosted.direction

    @property
    def caller(self) -> str:
        """The number that calls."""
        return self._hosted.caller

    @property
    def callee(self) -> str:
        """The number that is called."""
        return self._hosted.callee

    @property
    def is_over(self) -> bool:
        """Whether it has ended and its report is there."""
        return self._report is not None

    @property
    def report(self) -> CallReport:
        """The report of the call.

        Raises:
            LocalProtocolError: It is not over, or its record is not filed yet.
        """
        if self._report is None:
            raise LocalProtocolError("the call is not over; its report is there once its facts have ended")
        return self._report

    def hang_up(self) -> None:
        """End the call, ringing or live; nothing when it is over."""
        self._hosted.end(EndCause.HUNG_UP, "", self._now())

    def use_agent(self, agent: Agent) -> None:
        """Let another agent take this call.

        A session that was opened for the first one is then not adopted.

        Raises:
            LocalProtocolError: It has been picked up: the first agent speaks already.
        """
        if self._hosted.was_picked_up:
            raise LocalProtocolError("the call has been picked up; its agent cannot be changed any more")
        self._hosted.agent = agent

    def facts(self) -> FactReader:
        """Return an iterator over what happens from now on, up to `CallEnded`; each one reads for itself.

        The first one of a call that was dialled begins with the call's first fact.
        """
        kept, self._kept = self._kept, None
        if kept is not None:
            return kept
        reader = FactReader()
        if self._report is None:
            self._readers.append(reader)
        else:
            reader.end()
        return reader

    def notify(self, fact: Fact) -> None:
        """Take a fact; called by the host."""
        if isinstance(fact, CallEnded):
            self._report = fact.report
        for reader in self._readers:
            reader.notify(fact)


class FactReader:
    """An iterator over one call's facts that may be left at any moment, unlike a generator."""

    def __init__(self) -> None:
        self.lost = 0
        """Facts that were dropped because they were not read in time."""
        self._facts: deque[Fact] = deque()  # bounded by FACTS_LIMIT
        self._news = trio.Event()
        self._is_over = False

    def __aiter__(self) -> FactReader:
        return self

    async def __anext__(self) -> Fact:
        """Return the next fact. Cancelled, it loses nothing."""
        await trio.lowlevel.checkpoint()
        while not self._facts:
            if self._is_over:
                raise StopAsyncIteration
            self._news = trio.Event()
            await self._news.wait()
        return self._facts.popleft()

    def notify(self, fact: Fact) -> None:
        """Take a fact; the last one is `CallEnded`."""
        if len(self._facts) >= FACTS_LIMIT:
            self._facts.popleft()
            self.lost += 1
        self._facts.append(fact)
        if isinstance(fact, CallEnded):
            self.end()
        self._news.set()

    def end(self) -> None:
        """There will be no more."""
        self._is_over = True
