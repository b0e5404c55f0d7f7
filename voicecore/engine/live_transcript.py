"""Writes a call's transcript lines to disk as they become final, so that a crash loses one turn at most.

Rule 1: a line is final when the agent's words were heard or truncated, or when the
user's are complete.  They are written in the order in which that happens; the
record's transcript has them in the order of the conversation.
Rule 2: at most one write a second, and one at the end of each turn.
Rule 3: a disk that fails is logged once; the record, which is made at the end, has every line.
"""

from __future__ import annotations

import logging

import trio

from voicecore.engine.live_call import LiveCall
from voicecore.engine.records import trouble_of
from voicecore.errors import printable
from voicecore.facts import AgentSaid, Fact, Speaker, TranscriptLine, TurnEnded, UserSaid
from voicecore.ports import CallStore, LineWriter

log = logging.getLogger("voicecore.engine")

_PAUSE_S = 1.0  #: between two writes in the middle of a turn


class LiveTranscript:
    """The lines of one call that are final and not on the disk yet."""

    def __init__(self) -> None:
        self._waiting: list[TranscriptLine] = []  # bounded by what is said; the call keeps all of it anyway
        self._line_waits = trio.Event()
        self._turn_over = trio.Event()

    def take(self, fact: Fact) -> None:
        """Take a fact: what was said, or the end of a turn."""
        if isinstance(fact, AgentSaid) and fact.text:
            self._add(TranscriptLine(Speaker.AGENT, fact.item_id, fact.text, fact.interrupted, fact.heard))
        elif isinstance(fact, UserSaid) and fact.text:
            self._add(TranscriptLine(Speaker.USER, fact.item_id, fact.text))
        elif isinstance(fact, TurnEnded) and self._waiting:
            self._turn_over.set()

    async def write(self, store: CallStore, call_id: str, call: LiveCall) -> None:
        """Write lines until the call is over; the record has those that still wait then."""
        try:
            async with store.growing_transcript(call_id) as writer, trio.open_nursery() as nursery:
                nursery.start_soon(self._append, writer)
                await call.until_ended()
                nursery.cancel_scope.cancel()
        except* OSError as trouble:
            if call.ending is None:
                why = printable(trouble_of(trouble), 500)
                log.error("call %s: its transcript cannot be written before the call ends: %s", call_id, why)  # noqa: TRY400

    def _add(self, line: TranscriptLine) -> None:
        self._waiting.append(line)
        self._line_waits.set()

    async def _append(self, writer: LineWriter) -> None:
        while True:
            await self._line_waits.wait()
            lines, self._waiting = self._waiting, []
            self._line_waits, self._turn_over = trio.Event(), trio.Event()
            await writer.append(lines)
            with trio.move_on_after(_PAUSE_S):
                await self._turn_over.wait()
