"""The course of one answered call: its TwiML verb by verb, with a line for each media stream.

Rule 1: TwiML goes on behind a stream when the application closed it, or when its
connection broke; when the far end or the REST interface ended it, the call is over.
Rule 2: a text that is spoken behind a stream is kept with its line.

Facts: docs/protocols/twilio-media-streams.md, sections 1 and 6.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

import attrs
import trio

from voicecore.simulation.twilio.application_client import ApplicationClient, StreamEndHooks
from voicecore.simulation.twilio.faults import LineFaults
from voicecore.simulation.twilio.line import Line
from voicecore.simulation.twilio.progress import CallProgress
from voicecore.simulation.twilio.twiml import ConnectStream, SpeakText, Verb
from voicecore.simulation.twilio.user import Step

_CHARACTER_S = 0.06  #: of a text that the carrier speaks


@attrs.frozen(kw_only=True)
class CallFlowSettings:
    """Who is on the line, and what is wrong with it."""

    script: Sequence[Step] = ()
    faults: LineFaults = attrs.field(factory=LineFaults)
    stream_after_s: float = 0.0
    """From the verb until the stream is opened."""
    completed_before_stop_s: float | None = None
    """The terminal callback comes so long before the stream's stop."""
    completed_before_close_s: float | None = None
    """It comes behind the stop, so long before the socket closes."""
    on_line: Callable[[Line], None] = lambda _: None
    """Told of the line before its stream is opened."""


class CallFlow:
    """What an answered call does."""

    def __init__(
        self, application: ApplicationClient, call_sid: str, progress: CallProgress, settings: CallFlowSettings
    ) -> None:
        self.line: Line | None = None
        """The last stream's."""
        self._application = application
        self._call_sid = call_sid
        self._progress = progress
        self._settings = settings
        self._verbs: deque[Verb] = deque()  # of one TwiML document, which is bounded

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to do."""
        return not self._verbs

    def begin(self, verbs: Sequence[Verb]) -> None:
        """Take up a TwiML document."""
        self._verbs = deque(verbs)

    def stop(self) -> None:
        """Forget what is left of the document; a stream that runs is not touched."""
        self._verbs.clear()

    async def go_on(self) -> None:
        """Follow what is left of the document to its end, or to the end of the call.

        Raises:
            ConnectionLost: A stream was refused or could not be opened; called again it goes on behind it.
        """
        while self._verbs:
            verb = self._verbs.popleft()
            if isinstance(verb, ConnectStream):
                await self._connect(verb)
            elif isinstance(verb, SpeakText):
                await self._speak(verb.text)
            else:
                self.stop()

    async def _connect(self, stream: ConnectStream) -> None:
        await trio.sleep(self._settings.stream_after_s)
        line = self.line = self._application.new_line(self._call_sid, self._settings.script, self._settings.faults)
        self._settings.on_line(line)
        try:
            stream_end = StreamEndHooks(self._report_before_stop, self._report_before_close)
            await self._application.run(line, stream, self._settings.faults, stream_end)
        finally:
            line.over.set()
        if line.ended_by not in {"application", "fault"}:
            self.stop()

    async def _speak(self, text: str) -> None:
        if self.line is not None:
            self.line.said_after += text
        await trio.sleep(len(text) * _CHARACTER_S)

    async def _report_before_stop(self) -> None:
        await self._report_early(self._settings.completed_before_stop_s)

    async def _report_before_close(self) -> None:
        await self._report_early(self._settings.completed_before_close_s)

    async def _report_early(self, ahead_s: float | None) -> None:
        """Report the end before the stream says so, where the faults want that."""
        if ahead_s is not None and self.line is not None and self.line.ended_by not in {"application", "fault"}:
            self._progress.reach("completed")
            await self._progress.wait_delivered()
            await trio.sleep(ahead_s)
