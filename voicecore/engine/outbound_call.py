"""A call that the program placed, as the program sees it.

    async with engine.dial("+15551234567") as call:
        async for fact in call.facts():
            ...
    call.report.outcome

Rule 1: facts wait in a bounded buffer; a reader who is slow loses the oldest,
counted, and never slows the call.
Rule 2: reading facts ends with the call.

Made by engine/host.py; public through `voicecore.open_engine`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable

import trio

from voicecore.engine.agent import Agent
from voicecore.engine.hosted_call import HostedCall
from voicecore.errors import LocalProtocolError
from voicecore.facts import CallEnded, CallReport, EndCause, Fact

FACTS_LIMIT = 10_000  #: facts that wait for their reader


class OutboundCall:
    """One call that was dialled. Made by `Host.dial`."""

    def __init__(self, hosted: HostedCall, now: Callable[[], float]) -> None:
        self.facts_lost = 0
        """Facts that were dropped because nobody read them in time."""
        self._hosted = hosted
        self._now = now
        self._facts: deque[Fact] = deque()  # bounded by FACTS_LIMIT
        self._news = trio.Event()
        self._report: CallReport | None = None

    def __repr__(self) -> str:
        return f"<OutboundCall {self.call_id} {self._hosted.state.value}>"

    @property
    def call_id(self) -> str:
        """Our own id of the call."""
        return self._hosted.call_id

    @property
    def report(self) -> CallReport:
        """The report of the call.

        Raises:
            LocalProtocolError: It is not over, or its record is not filed yet.
        """
        if self._report is None:
            raise LocalProtocolError("the call is not over; its report is there once the block of dial() is left")
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

    def facts(self) -> AsyncIterator[Fact]:
        """Iterate over what happens, from the first fact that waits to CallEnded. One reader at a time."""
        return _Facts(self)

    async def next_fact(self) -> Fact | None:
        """Return the next fact, None when the call is over and all were read. Cancelled, it loses nothing."""
        await trio.lowlevel.checkpoint()
        while not self._facts:
            if self._report is not None:
                return None
            self._news = trio.Event()
            await self._news.wait()
        return self._facts.popleft()

    def notify(self, fact: Fact) -> None:
        """Take a fact; called by the host."""
        if len(self._facts) >= FACTS_LIMIT:
            self._facts.popleft()
            self.facts_lost += 1
        self._facts.append(fact)
        if isinstance(fact, CallEnded):
            self._report = fact.report
        self._news.set()


class _Facts:
    """An iterator that may be left at any moment, unlike a generator."""

    def __init__(self, call: OutboundCall) -> None:
        self._call = call

    def __aiter__(self) -> _Facts:
        return self

    async def __anext__(self) -> Fact:
        fact = await self._call.next_fact()
        if fact is None:
            raise StopAsyncIteration
        return fact
