"""One call's media stream, from the carrier's side: two short loops around the playout and the user.

Rule 1: frames leave at absolute times, one every 20 ms, silence included.
Rule 2: what the application sends is played, marked or dropped by playout.py;
what it should not have sent is a violation.
Rule 3: every message is an entry of the ledger, with its time.
Rule 4: faults that happen by chance are drawn from their seed; a healthy line draws
nothing.  Order is kept both ways, as a socket keeps it.
"""

from __future__ import annotations

import hashlib
import random
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Literal

import attrs
import trio

from voicecore.errors import ConnectionLost
from voicecore.net.websocket.protocol import WebSocket
from voicecore.simulation.twilio.faults import LineFaults, MarkOrder, StreamEnd
from voicecore.simulation.twilio.messages import FromApplication, StreamWriter, read_application
from voicecore.simulation.twilio.playout import LinePlayout, MarkReturn
from voicecore.simulation.twilio.user import FRAME_S, SimulatedUser, Step
from voicecore.simulation.twilio.user_audio import UserAudioEncoder

LineEnd = Literal["user", "application", "rest", "fault"]
"""Who ended a line: "user" is the person on the phone, "rest" the application by REST, "fault" a broken connection."""


@attrs.frozen
class LedgerLine:
    """One message that was sent or received on a line."""

    at: float
    direction: Literal["in", "out"]
    """Seen from the carrier: "in" is what the application sent."""
    kind: str
    detail: str = ""
    size_bytes: int = 0
    digest: str = ""


class Line:
    """One media stream. Made by `ApplicationClient.new_line`."""

    def __init__(
        self,
        *,
        call_sid: str,
        stream_sid: str,
        writer: StreamWriter,
        script: Sequence[Step],
        faults: LineFaults,
        now: float,
    ) -> None:
        self.call_sid = call_sid
        self.stream_sid = stream_sid
        self.ledger: list[LedgerLine] = []
        self.began_at = now
        self.playout = LinePlayout(now, faults.media_format.audio_format)
        self.sent_audio = bytearray()
        """Every byte of user audio that was sent, in order."""
        self.sent_at: list[tuple[float, int]] = []
        """When, and how many bytes had been sent by then."""
        self.received_audio = bytearray()
        """Every byte of agent audio that was received, in order, played or not."""
        self.said_after = ""
        """What the carrier itself spoke after the application had closed the stream."""
        self.stream_url = ""
        """Where the stream was opened, or an attempt was made."""
        self.forgeries: list[int] = []
        """The HTTP status that each forged upgrade was answered with, in order."""
        self.ended_by: LineEnd | None = None
        self.closed_with: int | None = None
        """The code with which the application closed the stream."""
        self.over = trio.Event()
        """Set once the stream is over."""
        self._script = script
        self._faults = faults
        self._writer = writer
        self._user = SimulatedUser(script, now)
        self._encoder = UserAudioEncoder(faults.media_format.audio_format)
        self._hang_up = trio.Event()
        self._outgoing_marks: list[tuple[float, str]] = []  # (leaves at, name), in this order
        self._changed = trio.Event()
        self._arrivals: deque[tuple[float, str]] = deque()  # (arrives at, text); bounded by what jitter delays
        self._arrived = trio.Event()
        self._read_at = self._arrives_at = float("-inf")
        self._chance = random.Random(faults.seed)

    # --- what tests do to it -------------------------------------------------------

    def hang_up(self) -> None:
        """Let the user hang up now."""
        self._hang_up.set()

    # --- what the carrier does to it -----------------------------------------------

    def end(self, by: LineEnd) -> None:
        """End the stream; the first one to do so is noted."""
        if self.ended_by is None:
            self.ended_by = by
        self._hang_up.set()

    # --- the stream ------------------------------------------------------------------

    async def run(
        self, socket: WebSocket, parameters: Mapping[str, str], before_stop: Callable[[], Awaitable[None]]
    ) -> None:
        """Run the stream until the user, the application or a fault ends it."""
        async with trio.open_nursery() as nursery:
            await self._open(socket, parameters)
            nursery.start_soon(self._read, socket)
            nursery.start_soon(self._take_arrivals)
            nursery.start_soon(self._return_marks, socket)
            nursery.start_soon(self._speak, socket)
            await self._hang_up.wait()
            nursery.cancel_scope.cancel()
        await before_stop()
        if self._faults.stream_end is StreamEnd.HANG:
            await trio.sleep_forever()
        if self._faults.stream_end is StreamEnd.STOP and self.ended_by not in {"application", "fault"}:
            await self._send(socket, self._writer.stop(), "stop")

    async def _open(self, socket: WebSocket, parameters: Mapping[str, str]) -> None:
        faults = self._faults
        await self._send(socket, self._writer.connected(), "connected")
        if faults.media_before_start:
            await self._send(socket, self._writer.media(b"\xff" * 160, 0), "media")
        if not faults.sends_start:
            await self._read(socket)  # until the application gives up
            return
        named = "CAffffffffffffffffffffffffffffffff" if faults.other_call_id else None
        await self._send(socket, self._writer.start(parameters, named, faults.start_fields), "start")
        if faults.second_start:
            await self._send(socket, self._writer.start(parameters), "start")

    async def _speak(self, socket: WebSocket) -> None:
        began_at, frames = trio.current_time(), 0
        unsent: list[str] = []
        while True:
            now = trio.current_time()
            self._take_returns(self.playout.advance(now), now)
            frame, digits = self._user.frame(self.playout.is_playing(now), now)
            for digit in digits:
                await self._send(socket, self._writer.dtmf(digit), "dtmf")
            if self._user.hung_up or self._is_time_up(now - began_at):
                self.end("user")
                return
            if self._faults.breaks_at_s is not None and now - began_at >= self._faults.breaks_at_s:
                self.end("fault")
                return
            frame = self._encoder.frame(frame)
            for _ in range(self._frame_copies(now - began_at)):
                unsent.append(self._writer.media(frame, round(frames * FRAME_S * 1000)))
                self.sent_audio += frame
            self.sent_at.append((now, len(self.sent_audio)))
            frames += 1
            if len(unsent) >= self._faults.frames_in_burst and not self._is_stalled(now - began_at):
                await self._send_frames(socket, unsent, frames)
                unsent.clear()
            await trio.sleep_until(began_at + frames * FRAME_S)

    async def _send_frames(self, socket: WebSocket, texts: list[str], frames: int) -> None:
        for text in texts:
            await self._send(socket, text, "media")
        if self._faults.malformed_every and frames % self._faults.malformed_every == 0:
            await self._send(socket, '{"event":"media","media":', "malformed")
        if self._faults.unknown_every and frames % self._faults.unknown_every == 0:
            await self._send(socket, self._writer.unknown(), "unknown")

    async def _read(self, socket: WebSocket) -> None:
        while True:
            await self._wait_until_readable()
            try:
                texts = await socket.receive()
            except ConnectionLost as lost:
                self.closed_with = lost.code
                self.end("application")
                return
            for text in texts:
                self._arrive(text)

    async def _wait_until_readable(self) -> None:
        seconds = trio.current_time() - self.began_at
        stops_at, pause = self._faults.does_not_read_from_s, self._faults.does_not_read_between_s
        if stops_at is not None and seconds >= stops_at:
            await trio.sleep_forever()
        if pause is not None and pause[0] <= seconds < pause[1]:
            await trio.sleep_until(self.began_at + pause[1])

    def _arrive(self, text: str) -> None:
        if not self._faults.media_jitter_s:
            self._take(text)
            return
        now = trio.current_time()
        if now != self._read_at:  # what arrived together stays together
            self._read_at = now
            arrives_at = now + self._chance.uniform(0.0, self._faults.media_jitter_s)
            self._arrives_at = max(arrives_at, self._arrives_at)
        self._arrivals.append((self._arrives_at, text))
        self._arrived.set()

    async def _take_arrivals(self) -> None:
        """Take what jitter has delayed, each message when it is due."""
        while True:
            while not self._arrivals:
                self._arrived = trio.Event()
                await self._arrived.wait()
            await trio.sleep_until(self._arrivals[0][0])
            self._take(self._arrivals.popleft()[1])

    def _take(self, text: str) -> None:
        now = trio.current_time()
        message = read_application(text, self.stream_sid)
        if isinstance(message, str):
            self.playout.violations.append(message)
            return
        digest = hashlib.sha256(message.audio).hexdigest()[:16] if message.audio else ""
        self.ledger.append(LedgerLine(now, "in", message.kind, message.name, len(message.audio), digest))
        self._play(message, now)

    def _play(self, message: FromApplication, now: float) -> None:
        if message.kind == "media":
            self.received_audio += message.audio
            self.playout.media(message.audio, now)
        elif message.kind == "mark":
            self.playout.mark(message.name, now)
        else:
            self._take_returns(self.playout.clear(now), now)
        self._take_returns(self.playout.advance(now), now)
        self._changed.set()

    # --- marks -------------------------------------------------------------------------

    def _take_returns(self, returns: list[MarkReturn], now: float) -> None:
        if not self._returns_marks_at(now):
            return
        order = self._faults.mark_returns
        names = [back.name for back in (reversed(returns) if order is MarkOrder.REVERSED else returns)]
        times = 2 if order is MarkOrder.DOUBLED else 1
        for name in names:
            if not self._loses_mark():
                self._outgoing_marks += [(self._mark_leaves_at(now), name)] * times
        self._changed.set()

    def _returns_marks_at(self, now: float) -> bool:
        until = self._faults.marks_until_s
        return self._faults.mark_returns is not MarkOrder.NEVER and (until is None or now - self.began_at < until)

    def _loses_mark(self) -> bool:
        return self._faults.mark_loss > 0 and self._chance.random() < self._faults.mark_loss

    def _mark_leaves_at(self, now: float) -> float:
        leaves_at = now + self._faults.mark_delay_s
        if self._faults.mark_jitter_s:
            leaves_at += self._chance.uniform(0.0, self._faults.mark_jitter_s)
        return max(leaves_at, self._outgoing_marks[-1][0]) if self._outgoing_marks else leaves_at

    async def _return_marks(self, socket: WebSocket) -> None:
        while True:
            now = trio.current_time()
            self._take_returns(self.playout.advance(now), now)
            while self._outgoing_marks and self._outgoing_marks[0][0] <= trio.current_time():
                _, name = self._outgoing_marks.pop(0)
                await self._send(socket, self._writer.mark(name), "mark", name)
            self._changed = trio.Event()
            moments = [
                moment
                for moment in (self.playout.next_mark_at(), *(at for at, _ in self._outgoing_marks[:1]))
                if moment
            ]
            with trio.move_on_at(min(moments, default=float("inf"))):
                await self._changed.wait()

    # --- inside ------------------------------------------------------------------------

    def _frame_copies(self, seconds: float) -> int:
        """Return how often the frame of this moment is sent."""
        begin, end = self._faults.flood_between_s
        return round(self._faults.flood) if begin <= seconds < end else 1

    def _is_stalled(self, seconds: float) -> bool:
        stall = self._faults.stalls_between_s
        return stall is not None and stall[0] <= seconds < stall[1]

    def _is_time_up(self, seconds: float) -> bool:
        return self._faults.ends_at_s is not None and seconds >= self._faults.ends_at_s

    async def _send(self, socket: WebSocket, text: str, kind: str, detail: str = "") -> None:
        try:
            await socket.send(text)
        except ConnectionLost:
            self.end("application")
            return
        self.ledger.append(LedgerLine(trio.current_time(), "out", kind, detail))
