"""Carrier and provider around one measured process, in this process and on one clock.

    run = run_calls(target, 50, warm_up_s=2.0, seconds=5.0, new_log=..., new_session=...)
    run.logs                what each call sent and received
    run.observed            what the measured process used

Rule 1: a session belongs to the call that is being opened when it opens.
Rule 2: after the measured stretch nobody speaks, and what is still on its way has time to arrive.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from time import perf_counter
from typing import Protocol

import attrs

from voicecore.bench.load.call_log import CallLog, MessageCounts
from voicecore.bench.load.carrier_line import CarrierLine, Phase, dial, report_end
from voicecore.bench.load.frames import FRAME_S, directions
from voicecore.bench.load.selector_loop import HOST, Connection, Loop, listen
from voicecore.bench.load.targets import Target
from voicecore.bench.processes.child import apart_from_children
from voicecore.bench.processes.measured_process import MeasuredProcess, open_process
from voicecore.bench.processes.usage import Usage, own_usage
from voicecore.bench.report.result import BenchmarkFailed

SLICES = 3  #: of the measured stretch; CPU is reported as their median, least and most

_POLL_S = 0.05
_GREETS_WITHIN_S, _GREETING_S = 0.2, 3.0
_ARRIVAL_S = 3.0  #: for what is still on its way at the end
_HANG_UP_S = 0.5  #: for the other side to notice the end


class Session(Protocol):
    """The provider's end of one call."""

    is_ready: bool
    """Whether it is open, and configured where that is part of opening."""
    faults: list[str]
    """What the client should not have sent."""

    @property
    def is_answering(self) -> bool:
        """Whether a response is in progress."""
        ...

    def begin(self) -> None:
        """Let the conversation begin."""
        ...

    def end(self) -> None:
        """Begin nothing more."""
        ...


NewSession = Callable[[Loop, Connection, CallLog, str], Session]
"""Makes the session of a connection; the last argument is the head of its upgrade request."""


@attrs.define
class Peers:
    """Carrier and provider. Made by `open_peers`."""

    loop: Loop
    target: Target
    new_log: Callable[[int, MessageCounts], CallLog]
    new_session: NewSession
    provider_port: int = 0
    port: int = 0
    """Of the measured process."""
    counts: MessageCounts = attrs.field(factory=MessageCounts)
    lateness_s: list[float] = attrs.field(factory=list)
    sessions: list[Session] = attrs.field(factory=list)
    lines: list[CarrierLine] = attrs.field(factory=list)
    _opening: CallLog | None = None

    @contextmanager
    def calls(self, numbers: Sequence[int]) -> Iterator[list[CallLog]]:
        """Run these calls while the block runs: every session open, every user speaking.

        Raises:
            BenchmarkFailed: A call was not answered.
        """
        logs = [self.new_log(number, self.counts) for number in numbers]
        self.sessions, self.lines = [], []
        for log in logs:
            self._dial(log)
        self._wait_for_greetings()
        moment = perf_counter() + 0.01
        for index, (line, session) in enumerate(zip(self.lines, self.sessions, strict=True)):
            line.speak_from(moment + index / len(numbers) * FRAME_S)
            session.begin()
        yield logs
        for line in self.lines:
            line.hang_up()
        with suppress(BenchmarkFailed):  # a process that is overloaded by now: what was measured still counts
            self._report_ends(numbers)
        self.loop.run(perf_counter() + _HANG_UP_S)

    def accept(self, connection: Connection, head: str) -> None:
        """Take a connection to the provider."""
        log = self._opening
        if log is None:
            raise BenchmarkFailed(f"{self.target.name} opened a session before any call")
        self.sessions.append(self.new_session(self.loop, connection, log, head))

    def _report_ends(self, numbers: Sequence[int]) -> None:
        if self.target.entrance.status is not None:
            for number in numbers:
                report_end(self.loop, self.port, self.target.entrance.status, number)

    def _dial(self, log: CallLog) -> None:
        """Open one call; the session that opens meanwhile is its own."""
        self._opening = log
        before = len(self.sessions)
        self.lines.append(dial(self.loop, self.port, self.target.entrance, log, self.lateness_s))
        self.loop.run(
            perf_counter() + self.target.opening_s,
            lambda: len(self.sessions) > before and all(each.is_ready for each in self.sessions[before:]),
        )
        if len(self.sessions) != before + 1 or not self.sessions[-1].is_ready:
            raise BenchmarkFailed(f"a call of {self.target.name} opened {len(self.sessions) - before} sessions")

    def _wait_for_greetings(self) -> None:
        """Wait until engines that speak first have done so: turns begin after it."""
        self.loop.run(perf_counter() + _GREETS_WITHIN_S)
        self.loop.run(perf_counter() + _GREETING_S, lambda: not any(map(self._is_busy, self.lines, self.sessions)))

    def _is_busy(self, line: CarrierLine, session: Session) -> bool:
        return session.is_answering or line.is_playing(perf_counter())


@attrs.frozen
class Observed:
    """What was noted while the calls ran."""

    usages: Sequence[Usage]
    """Of the measured process, at the borders of the slices."""
    own: Sequence[Usage]
    """Of this process, at the first and the last border."""
    messages: Mapping[str, int]
    """By way, of the measured stretch."""

    @property
    def stretch(self) -> tuple[float, float]:
        """When the measured stretch began and ended."""
        return self.usages[0].at_s, self.usages[-1].at_s


@attrs.frozen
class Run:
    """One number of calls through one fresh process."""

    idle: Usage
    """Of the measured process, after one first call."""
    observed: Observed
    logs: Sequence[CallLog]
    peers: Peers

    @property
    def memory_kib(self) -> float | None:
        """Per call, above one call's; None where the system does not say."""
        before, after = self.idle.rss_bytes, self.observed.usages[-1].rss_bytes
        return None if before is None or after is None else (after - before) / 1024 / len(self.logs)


def run_calls(
    target: Target,
    calls: int,
    *,
    warm_up_s: float,
    seconds: float,
    new_log: Callable[[int, MessageCounts], CallLog],
    new_session: NewSession,
) -> Run:
    """Run this many calls through a fresh process, and observe them.

    Raises:
        BenchmarkFailed: A call was not answered, or ended by itself.
    """
    loop = Loop()
    try:
        with _no_gc(), _open_peers(loop, target, new_log, new_session) as peers:
            command = target.command(f"ws://{HOST}:{peers.provider_port}", calls + 1)
            with open_process(loop, command, target.process_environment) as process:
                peers.port = process.port
                with peers.calls([0]):  # what is made once per process is made now
                    loop.run(perf_counter() + warm_up_s)
                idle = process.usage()
                with peers.calls(range(1, calls + 1)) as logs:
                    observed = _observe(peers, process, warm_up_s, seconds, logs)
                return Run(idle, observed, logs, peers)
    finally:
        loop.close()


@contextmanager
def _open_peers(
    loop: Loop, target: Target, new_log: Callable[[int, MessageCounts], CallLog], new_session: NewSession
) -> Iterator[Peers]:
    """Listen as the provider while the block runs."""
    peers = Peers(loop, target, new_log, new_session)
    peers.provider_port, stop = listen(loop, peers.accept)
    try:
        yield peers
    finally:
        stop()


def _observe(
    peers: Peers, process: MeasuredProcess, warm_up_s: float, seconds: float, logs: Sequence[CallLog]
) -> Observed:
    """Let the calls go on; observe them from the end of the warm-up on."""
    loop = peers.loop
    loop.run(perf_counter() + warm_up_s)
    peers.lateness_s.clear()
    before = attrs.asdict(peers.counts)
    own, usages = [own_usage()], [process.usage()]
    began_at = perf_counter()
    for part in range(1, SLICES + 1):
        loop.run(began_at + seconds * part / SLICES)
        usages.append(process.usage())
    own.append(own_usage())
    messages = {way: count - before[way] for way, count in attrs.asdict(peers.counts).items()}
    _stop_talking(peers, logs)
    return Observed(usages, own, messages)


def _stop_talking(peers: Peers, logs: Sequence[CallLog]) -> None:
    for session in peers.sessions:
        session.end()
    for line in peers.lines:
        line.fall_silent()
    if any(line.phase is Phase.ENDED for line in peers.lines):
        raise BenchmarkFailed(f"{peers.target.name} ended a call by itself")
    ways = list(directions([log.user for log in logs]))
    arrived_by = perf_counter() + _ARRIVAL_S
    while any(way.waiting for way in ways) and perf_counter() < arrived_by:
        peers.loop.run(perf_counter() + _POLL_S)


@contextmanager
def _no_gc() -> Iterator[None]:
    """Keep this process's own garbage collector from delaying its frames, and both off the child's processor."""
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        with apart_from_children():
            yield
    finally:
        gc.enable()
        gc.unfreeze()
