"""A WebSocket on a wire, passive: whoever calls `receive` reads, and nothing stands between it and the kernel.

    receive     wait until the wire is readable, one read, parse: no task, no channel
    send        net/websocket/write_queue.py: one write, and the rest in one buffer, in order
    hold        two tasks that sleep while all is well: one writes what waits in the
                buffer, one watches how long the peer is silent

Rule 1: between reading bytes and keeping their messages there is no checkpoint
that could lose one; what they ask for (a pong, a close) goes the way of sends.
So reading never waits for writing.
Rule 2: a peer that does not read within ``send_s``, that breaks the protocol, or
that says nothing for ``gone_after_s`` is lost; where it can be told, with the code
that says so, after what it sent before was received.
Rule 3: only time in which somebody listens is the peer's silence.
Rule 4: where reads are to gather, what is less is let go within a second, and an
end of ours waits for nothing.

Built upon by server.py (server) and client.py (client).
"""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from contextlib import suppress

import attrs
import trio

from voicecore.errors import ConnectionLost
from voicecore.net.websocket.frame_codec import CloseReceived, Faulted, FrameParser, Opcode, PingReceived, PongReceived
from voicecore.net.websocket.protocol import NORMAL_CLOSURE
from voicecore.net.websocket.write_queue import WriteQueue, WriteState
from voicecore.world import ByteStream

READ_BYTES = 32 * 1024
_GATHERED_S = 1.0  #: how long less may wait than was to be gathered
_NO_CODE = 1005  #: stands for "closed without a code"; may not be sent
_EARLY_S = 1e-6  #: by so much a sleep may end before its time, as floating point has it
_GONE = (trio.BrokenResourceError, trio.ClosedResourceError)


@attrs.frozen(kw_only=True)
class FrameLimits:
    """Bounds of one connection, whoever opened it; seconds and bytes."""

    max_message_bytes: int = 64 * 1024
    ping_every_s: float = 10.0
    """Silence after which the peer is pinged."""
    gone_after_s: float = attrs.field(default=20.0)
    """Silence, without even a pong, after which it is given up; more than ``ping_every_s``."""
    send_s: float = 10.0
    """A peer that does not read for so long is lost."""
    close_s: float = attrs.field(default=1.0, validator=attrs.validators.le(1.0))
    """How long a close waits for the peer's; a hang-up never waits longer."""
    buffer_bytes: int = 16 * 1024
    """What `send_nowait` may leave behind: a second of speech."""
    unsent_bytes: int = 8 * 1024
    """What the system may keep and not send, as it does where the peer does not read: half a second of speech."""

    @gone_after_s.validator
    def _leaves_time_for_a_pong(self, _: object, value: float) -> None:
        if value <= self.ping_every_s:
            raise ValueError("gone_after_s must be more than ping_every_s")


class ReadState(enum.Enum):
    """The direction that the peer writes."""

    OPEN = "open"
    ANSWERED = "answered"  #: our close, with its own
    CLOSED = "closed"  #: its close came first
    ENDED = "ended"  #: there is nothing more to be read


class WebSocketConnection(ABC):
    """One open connection, from after the upgrade's answer; implements `voicecore.net.websocket.protocol.WebSocket`.

    ``unread`` is what came behind the upgrade.  `hold` runs beside whoever uses
    it, until `close`.
    """

    def __init__(
        self, wire: ByteStream, peer: str, limits: FrameLimits, parser: FrameParser, unread: bytes = b""
    ) -> None:
        self._clock = trio.lowlevel.current_clock()  # asked twice for each message
        self._wire = wire
        self._peer = peer
        self._limits = limits
        self._parser = parser
        self._unread = unread
        self._messages: list[str] = []  # bounded by one read, but see client.py
        self._arrivals: trio.lowlevel.ParkingLot | None = None  # who waits while another task listens
        self._listening_since: float | None = None
        self._looked_at = self._heard_at = self._clock.current_time()
        self._silent_s = 0.0  # how long we have listened in vain
        self._pinged_at: float | None = None  # since it was last heard
        self._coalesce_bytes = 1
        self._looks = trio.lowlevel.ParkingLot()  # the watcher, until its next look
        self._pings = self._answered = 0  # how many, and the last that was
        self._out = WriteQueue(wire, send_s=limits.send_s, buffer_bytes=limits.buffer_bytes, unread=self._break_unread)
        self._service = trio.CancelScope()  # around `hold`
        self._close_by: float | None = None  # set by the first close
        self._theirs = ReadState.OPEN
        self._loss: tuple[str, int | None, str] | None = None  # why it is over: problem, code, reason
        self._cause: Exception | None = None
        wire.limit_unsent(limits.unsent_bytes)

    @property
    def peer(self) -> str:
        return self._peer

    @abstractmethod
    def _encoded(self, opcode: Opcode, payload: bytes) -> bytes:
        """Return a frame as this end sends it."""

    @abstractmethod
    def _encoded_close(self, code: int, reason: str) -> bytes:
        """Return a close frame as this end sends it."""

    def _judge(self, now: float) -> Faulted | None:  # noqa: ARG002
        """Say what is legal frame by frame, and yet too much."""
        return None

    # --- the connection's tasks ----------------------------------------------------------

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Write what waits, and watch the peer, until `close` is done; never raises by itself.

        Once it has started, the one who started it calls `outlive_cancellation`.
        """
        with self._service:
            async with trio.open_nursery() as nursery:
                if self._unread:
                    self._take(self._unread, self._clock.current_time())
                nursery.start_soon(self._out.write_what_waits)
                nursery.start_soon(self._watch)
                task_status.started()

    def outlive_cancellation(self) -> None:
        """From here on only `close` ends `hold`, so that a close frame can leave whoever is cancelled."""
        self._service.shield = True

    async def _watch(self) -> None:
        while self._loss is None:
            again_in_s = self._look()
            gathers = self._coalesce_bytes > 1
            with trio.move_on_after(min(again_in_s, _GATHERED_S) if gathers else again_in_s) as pause:
                await self._looks.park()
            if gathers and pause.cancelled_caught:
                self._wire.coalesce(1)  # whatever has gathered, until something is read

    def _look(self) -> float:
        """Judge the peer's silence; return in how many seconds to look again."""
        limits, silent_s = self._limits, self._silent_s
        if self._listening_since is not None:
            silent_s += self._clock.current_time() - self._listening_since
        patience_s = limits.ping_every_s if self._pinged_at is None else limits.gone_after_s
        if silent_s < patience_s - _EARLY_S:
            return patience_s - silent_s
        if self._pinged_at is None:
            self._ping()
        else:
            self._break(f"was silent for {limits.gone_after_s} s")
        return limits.gone_after_s - limits.ping_every_s

    def _ping(self) -> int:
        """Ping the peer, and return the number that its pong will carry."""
        self._pinged_at = self._clock.current_time()
        self._pings += 1
        self._put_aside(self._encoded(Opcode.PING, b"%d" % self._pings))
        return self._pings

    # --- receiving -----------------------------------------------------------------------

    async def receive(self) -> list[str]:
        if self._messages:
            await trio.lowlevel.checkpoint()
        while not self._messages:
            if self._loss is not None:
                raise self._error()
            await self._listen()
        messages, self._messages = self._messages, []
        self._tell_of_arrivals()  # of room, see client.py
        return messages

    def coalesce(self, min_bytes: int) -> None:
        """See `voicecore.net.websocket.protocol.WebSocket`."""
        self._coalesce_bytes = min_bytes
        self._wire.coalesce(min_bytes)
        self._looks.unpark_all()

    async def _listen(self) -> None:
        """Take what the peer says next, or wait until another task has that listens already."""
        if self._listening_since is not None:
            await self._wait_for_arrivals()
            return
        data: bytes | None = None
        since = self._listening_since = self._clock.current_time()
        try:
            await self._wire.wait_readable()
            data = self._wire.read_now(READ_BYTES)
        except _GONE as error:
            self._cause, data = self._cause or error, b""
        finally:  # only time spent listening counts: an owner that was busy elsewhere has missed nothing
            now = self._clock.current_time()
            if data is None:
                self._silent_s += now - since
            else:  # what lay there already may be as old as our last look
                self._hear(now - (since - self._looked_at))
            self._listening_since, self._looked_at = None, now
            self._tell_of_arrivals()
        if data is not None:
            if self._coalesce_bytes > 1:
                self._wire.coalesce(self._coalesce_bytes)
            self._take(data, now)

    async def _wait_for_arrivals(self) -> None:
        self._arrivals = self._arrivals if self._arrivals is not None else trio.lowlevel.ParkingLot()
        await self._arrivals.park()

    def _tell_of_arrivals(self) -> None:
        if self._arrivals is not None:
            self._arrivals.unpark_all()
            self._arrivals = None

    def _hear(self, at: float) -> None:
        self._heard_at, self._silent_s, self._pinged_at = at, 0.0, None

    def _take(self, data: bytes, now: float) -> None:
        if not data:
            self._lose("ended the connection without a close")
            self._theirs = ReadState.ENDED
            return
        pongs, end = b"", None
        for event in self._parser.feed(data):
            if isinstance(event, str):
                self._keep(event)
            elif isinstance(event, PingReceived):
                pongs += self._encoded(Opcode.PONG, event.payload)
            elif isinstance(event, PongReceived):
                self._hear_pong(event.payload)
            else:
                end = event
        end = end or self._judge(now)
        if end is not None:
            self._take_end(end)
        elif pongs:
            self._put_aside(pongs)

    def _keep(self, text: str) -> None:
        if self._out.state is not WriteState.CLOSED:  # behind our close it is for nobody
            self._messages.append(text)

    def _hear_pong(self, payload: bytes) -> None:
        """Take note of which ping was answered."""
        with suppress(ValueError):  # of no ping of ours
            self._answered = max(self._answered, min(int(payload), self._pings))

    def _take_end(self, end: CloseReceived | Faulted) -> None:
        if isinstance(end, Faulted):
            self._lose(end.problem, end.code)
            self._out.take_close(self._encoded_close(end.code, end.problem))
        else:
            self._lose("closed", end.code, end.reason)
            self._theirs = ReadState.ANSWERED if self._out.state is WriteState.CLOSED else ReadState.CLOSED
            self._out.take_close(self._encoded_close(NORMAL_CLOSURE if end.code == _NO_CODE else end.code, ""))

    # --- sending -------------------------------------------------------------------------

    def send_nowait(self, text: str) -> bool:
        self._check_open()
        return self._out.take(self._encoded(Opcode.TEXT, text.encode()))

    async def send(self, text: str) -> None:
        await trio.lowlevel.checkpoint_if_cancelled()
        self._check_open()
        await self._out.send(self._encoded(Opcode.TEXT, text.encode()), self._check_open)
        if self._out.state is WriteState.BROKEN:
            raise self._error()
        if self._out.state is WriteState.UNHEARD:
            await self._hear_last_words()

    async def _hear_last_words(self) -> None:
        """Read to the end of a peer that has gone, bounded, and raise what it gave as its reason."""
        self.coalesce(1)
        with trio.move_on_after(self._limits.close_s):
            while self._loss is None:
                await self._listen()
        self._lose("ended the connection")
        raise self._error()

    def _check_open(self) -> None:
        """Raise where nothing more may be sent; a peer that has gone is found gone by reading."""
        state = self._out.state  # compared one by one: the hash of an enum is a function in Python
        if self._loss is not None or state is WriteState.CLOSED or state is WriteState.BROKEN:
            raise self._error()

    def _put_aside(self, frames: bytes) -> None:
        if not self._out.take_aside(frames):
            self._break("did not read the pongs that it asked for")

    # --- closing -------------------------------------------------------------------------

    async def close(self, code: int = NORMAL_CLOSURE, reason: str = "") -> None:
        if self._close_by is None:  # one bound for all who close
            self._close_by = self._clock.current_time() + self._limits.close_s
        self.coalesce(1)
        with trio.move_on_at(self._close_by, shield=True):
            self._out.take_close(self._encoded_close(code, reason))
            await self._out.wait_until_empty()
            # Closing on unread input would reset the connection over our close.
            while self._out.state is WriteState.CLOSED and not self._has_parted:
                await self._listen()
        self._lose("was closed by us", code)
        self._out.cut()
        self._service.cancel()

    @property
    def _has_parted(self) -> bool:
        """Whether, once our close has left, the connection may be closed."""
        return self._theirs is not ReadState.OPEN

    def _break_unread(self) -> None:
        self._break(f"did not read for {self._limits.send_s} s")

    def _break(self, problem: str) -> None:
        """Give the connection up: there is nobody to be told."""
        self._lose(problem)
        self._out.cut()

    def _lose(self, problem: str, code: int | None = None, reason: str = "") -> None:
        if self._loss is None:
            self._loss = (problem, code, reason)

    def _error(self) -> ConnectionLost:
        problem, code, reason = self._loss or ("is being closed", None, "")
        error = ConnectionLost(problem, peer=self._peer, code=code, reason=reason)
        error.__cause__ = self._cause or self._out.failure
        return error
