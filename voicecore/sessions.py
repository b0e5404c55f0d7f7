"""Sessions without a call, for programs that test an agent or simulate a user.

    async with open_session(OpenAIRealtime(...), instructions="…") as session:
        await session.send_audio(pcm)
        await session.commit_audio()
        await session.request_response()
        while not isinstance(event := await session.receive(timeout_s=10), ResponseEnded):
            ...

Rule 1: it is the same `Session` that calls use, opened by the same function.
Rule 2: audio in both directions has the requested format; half a sample waits for
its other half.
Rule 3: the last transcript of each speaker is remembered.

Level 4. Public; works with any `Provider`.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import trio

from voicecore import events as ev
from voicecore.assembly import real_world
from voicecore.audio.convert import Converter, converter
from voicecore.audio.formats import PCM16_24K, AudioFormat
from voicecore.errors import SessionLost
from voicecore.facts import Speaker
from voicecore.ports import Brief, Provider, Session
from voicecore.world import World


class StandaloneSession:
    """An open session without a call, from `open_session`; one task receives, and one at a time sends."""

    def __init__(self, session: Session, audio_format: AudioFormat) -> None:
        self._session = session
        self._format = audio_format
        self._to_session: Converter = converter(audio_format, session.user_format)
        self._from_session: Converter = converter(session.agent_format, audio_format)
        self._waiting: deque[ev.SessionEvent] = deque()  # at most one batch of the session's events
        self._last: dict[Speaker, str | None] = dict.fromkeys(Speaker)
        self._active: str | None = None
        self._requests = 0

    def __repr__(self) -> str:
        return f"<StandaloneSession {self.session_id} {self._format}>"

    @property
    def session_id(self) -> str:
        return self._session.session_id

    @property
    def capabilities(self) -> ev.Capabilities:
        """What the session does by itself."""
        return self._session.capabilities

    @property
    def audio_format(self) -> AudioFormat:
        """The format of the audio sent, and of every AgentAudio."""
        return self._format

    @property
    def active_response(self) -> str | None:
        """The active response, by the events received so far."""
        return self._active

    def last_transcript(self, speaker: Speaker) -> str | None:
        """Return the words of a speaker's last finished item among the events received so far."""
        return self._last[speaker]

    # --- sending -----------------------------------------------------------

    async def send_audio(self, audio: bytes) -> None:
        """Append user audio, of any length, split anywhere. Raises SessionLost."""
        if fitting := self._to_session.convert(audio):
            await self._session.send(ev.AppendUserAudio(fitting))

    async def commit_audio(self) -> None:
        """Commit the audio as a user turn. Raises SessionLost."""
        if tail := self._to_session.flush():
            await self._session.send(ev.AppendUserAudio(tail))
        await self._session.send(ev.CommitUserAudio())

    async def discard_audio(self) -> None:
        """Drop appended audio that was not committed. Raises SessionLost."""
        self._to_session.reset()
        await self._session.send(ev.DiscardUserAudio())

    async def send_text(self, text: str) -> None:
        """Add a written user message, without requesting a response. Raises SessionLost."""
        await self._session.send(ev.AddUserText(text))

    async def request_response(self, instructions: str | None = None) -> str:
        """Request a response; return the request id, which its ResponseStarted will have. Raises SessionLost."""
        self._requests += 1
        request_id = f"request-{self._requests}"
        await self._session.send(ev.RequestResponse(request_id=request_id, instructions=instructions))
        return request_id

    async def interrupt(self) -> None:
        """Cancel the active response, if there is one. Raises SessionLost."""
        if self._active is not None:
            await self._session.send(ev.CancelResponse(self._active))

    async def truncate(self, item_id: str, audio_end_ms: int) -> None:
        """Truncate an agent item to what was heard of it. Raises SessionLost."""
        await self._session.send(ev.TruncateItem(item_id, audio_end_ms))

    async def answer_tool(self, call_id: str, output: str) -> None:
        """Send the result of a tool call. Raises SessionLost."""
        await self._session.send(ev.AddToolResult(call_id, output))

    # --- receiving -----------------------------------------------------------

    async def receive(self, timeout_s: float | None = None) -> ev.SessionEvent:
        """Return the next event. Cancellation and timeout lose no event.

        Raises:
            TimeoutError: Nothing came within ``timeout_s`` seconds.
            SessionLost: The session ended.
        """
        await trio.lowlevel.checkpoint()
        if not self._waiting:
            with trio.move_on_after(float("inf") if timeout_s is None else timeout_s):
                await self._fill()
        if not self._waiting:
            raise TimeoutError(f"no event within {timeout_s} s")
        return self._waiting.popleft()

    async def receive_until(self, kind: type[ev.SessionEvent], timeout_s: float) -> list[ev.SessionEvent]:
        """Return events up to and including the first of ``kind``.

        Raises:
            TimeoutError: None came within ``timeout_s`` seconds; other events are kept for `receive`.
            SessionLost: The session ended.
        """
        seen: list[ev.SessionEvent] = []
        with trio.move_on_after(timeout_s):
            while True:
                seen.append(await self.receive())
                if isinstance(seen[-1], kind):
                    return seen
        self._waiting.extendleft(reversed(seen))
        raise TimeoutError(f"no {kind.__name__} within {timeout_s} s")

    async def __aiter__(self) -> AsyncIterator[ev.SessionEvent]:
        """Iterate over events until the session ends."""
        try:
            while True:
                yield await self.receive()
        except SessionLost:
            return

    async def _fill(self) -> None:
        while not self._waiting:
            for event in await self._session.receive():
                self._note(event)
                self._waiting.extend(self._converted(event))

    def _converted(self, event: ev.SessionEvent) -> list[ev.SessionEvent]:
        if isinstance(event, ev.AgentAudio):
            audio = self._from_session.convert(event.audio)
            return [ev.AgentAudio(event.response_id, event.item_id, audio)] if audio else []
        if isinstance(event, ev.AgentAudioEnded) and (tail := self._from_session.flush()):
            return [ev.AgentAudio(event.response_id, event.item_id, tail), event]
        return [event]

    def _note(self, event: ev.SessionEvent) -> None:
        if isinstance(event, ev.ResponseStarted):
            self._active = event.response_id
        elif isinstance(event, ev.ResponseEnded) and event.response_id == self._active:
            self._active = None
        elif isinstance(event, ev.UserTranscriptDone):
            self._last[Speaker.USER] = event.text
        elif isinstance(event, ev.AgentTextDone):
            self._last[Speaker.AGENT] = event.text


@asynccontextmanager
async def open_session(
    provider: Provider,
    *,
    instructions: str = "",
    audio_format: AudioFormat = PCM16_24K,
    world: World | None = None,
    environ: Mapping[str, str] | None = None,
) -> AsyncIterator[StandaloneSession]:
    """Open a session with a provider; leaving the block closes it within a time limit.

    ``audio_format`` is the format that you send and receive; it is also requested from
    the provider. Missing settings (the API key) are taken from ``environ``; None: os.environ.

    Raises (on entering):
        ConfigError: There is no API key, in the settings or the environment.
        ProviderUnavailable, ProviderRefused: As `voicecore.ports.Provider.open_session`.
    """
    brief = Brief(instructions=instructions, audio_format=audio_format)
    filled = provider.filled_from(os.environ if environ is None else environ)
    async with filled.open_session(world or real_world(), brief) as session:
        yield StandaloneSession(session, audio_format)
