"""The flow of one answered call: its TwiML verb by verb, with a line for each media stream.

Rule 1: the verb after a stream is executed when the application closed the stream
or its connection broke; when the remote party or the REST interface ended it, the
call is over.
Rule 2: text that is spoken after a stream is kept with its line.

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
    """Who is on the line, and what goes wrong with it."""

    script: Sequence[Step] = ()
    faults: LineFaults = attrs.field(factory=LineFaults)
    stream_after_s: float = 0.0
    """From the verb until the stream is opened."""
    completed_before_stop_s: float | None = None
    """How long before the stream's stop the terminal callback is sent; None: after it."""
    completed_before_close_s: float | None = None
    """The terminal callback is sent after the stop, this long before the socket closes."""
    on_line: Callable[[Line], None] = lambda _: None
    """Called with the line before its stream is opened."""


class CallFlow:
    """Executes the TwiML of one answered call."""

    def __init__(
        self, application: ApplicationClient, call_sid: str, progress: CallProgress, settings: CallFlowSettings
    ) -> None:
        self.line: Line | None = None
        """Of the newest stream."""
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
        """Start on a TwiML document."""
        self._verbs = deque(verbs)

    def stop(self) -> None:
        """Drop the rest of the document; a stream that is open stays open."""
        self._verbs.clear()

    async def go_on(self) -> None:
        """Execute the rest of the document, or as much of it as the call lasts for.

        Raises:
            ConnectionLost: A stream was refused or could not be opened; the next call continues with the verb after it.
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
            hooks = StreamEndHooks(self._report_before_stop, self._report_before_close)
            await self._application.run(line, stream, self._settings.faults, hooks)
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
        """Report the end before the stream does, where the faults ask for that."""
        if ahead_s is not None and self.line is not None and self.line.ended_by not in {"application", "fault"}:
            self._progress.reach("completed")
            await self._progress.wait_delivered()
            await trio.sleep(ahead_s)
