"""Whole conversations: what a call costs, how late its audio is, how soon a barge-in is obeyed.

    this process                      child, on a processor of its own
    carrier's lines ──────────────► engine ──► provider's sessions ┐
          ▲  plays what it gets       │                            │  (this process again)
          └───────────────────────────┴──── answers, 5 × as fast ◄─┘

The user's frames flow all the time, 50 a second; turns follow rhythm.py; the
provider generates faster than speech, so that somebody has to hold it back; in a
third of the turns the user cuts the answer.  calls.py is the other load: an
echo, which never runs ahead.

Rule 1: any program can stand in the middle that speaks the child's half of
controlled.py; how it is started and called is a `Target`.
Rule 2: a figure is one of the measured stretch; every frame counts for the
faults, from the first call to the last.
"""

from __future__ import annotations

import gc
import itertools
import os
import random
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from time import perf_counter

import attrs

from voicecore.bench.load.raw_loop import HOST, Connection, Loop, listen
from voicecore.bench.micro.coded_books import CodedAnswers, CodedTrack
from voicecore.bench.micro.frames import FRAME_BYTES, FRAME_S, Faults, Track
from voicecore.bench.micro.rhythm import QUICK, Rhythm
from voicecore.bench.processes.carrier_side import (
    CallBooks,
    CarrierLine,
    Counts,
    Entrance,
    Phase,
    ProviderAudio,
    dial,
    report_end,
)
from voicecore.bench.processes.child import apart_from_children
from voicecore.bench.processes.controlled import Usage, others, own_usage, share
from voicecore.bench.processes.measured_process import MeasuredProcess, open_process
from voicecore.bench.processes.provider_side import PLAIN_PATH, PlainSession, ProviderSession
from voicecore.bench.report.answers import AnswerBooks, within
from voicecore.bench.report.result import BenchmarkFailed, Plan, Size

_SLICES = 3  #: of a level's time; CPU is told as their median, least and most
_READY_S = 20.0
_LOOK_S = 0.05
_GREETS_WITHIN_S, _GREETED_S = 0.2, 3.0
_ARRIVE_S = 3.0  #: for what is still on its way at the end
_HUNG_UP_S = 0.5  #: for the other side to take note of the end
_PACKAGE_PARENT = Path(__file__).parents[3]


@attrs.frozen(kw_only=True)
class Target:
    """A program to be measured."""

    name: str
    command: Callable[[str, int], Sequence[str]]
    """Makes the command, given the provider's base URL (``ws://HOST:PORT``) and the most calls at once."""
    entrance: Entrance
    audio: ProviderAudio = ProviderAudio.PCMU
    """What it speaks with its provider."""
    environment: Mapping[str, str] | None = None
    """None: this process's own, with this very package to be found."""
    opening_s: float = _READY_S
    """How long a call may take to have its session open."""


def engine_target(audio: ProviderAudio = ProviderAudio.PCMU, *, coalesce_ms: int = 0) -> Target:
    """Return voicecore, from settings; ``coalesce_ms`` of user audio gather before they go on."""
    converts = audio is ProviderAudio.PCM
    told = [f"server.coalesce_ms={coalesce_ms}", *(["providers.openai_realtime.audio=pcm"] if converts else [])]

    def command(provider: str, calls: int) -> Sequence[str]:
        return [sys.executable, "-m", "voicecore.bench.processes.engine_process", f"{provider}/v1", str(calls), *told]

    return Target(
        name="engine, 24 kHz" if converts else "engine",
        command=command,
        entrance=Entrance(webhook="/twilio/voice", status="/twilio/status"),
        audio=audio,
    )


def relay_target() -> Target:
    """Return voicecore's sockets alone: messages handed over unread."""

    def command(provider: str, _calls: int) -> Sequence[str]:
        return [sys.executable, "-m", "voicecore.bench.processes.relay_process", provider + PLAIN_PATH]

    return Target(name="relay", command=command, entrance=Entrance())


@attrs.frozen(kw_only=True)
class Level:
    """What was seen of one number of calls through one target."""

    target: str
    calls: int
    seconds: float
    cpu_ms: Sequence[float]
    """Per call-second, one a slice."""
    memory_kib: float | None
    """Per call, above one call's."""
    to_provider_s: Sequence[float]
    """Of the user's frames."""
    first_audio_s: Sequence[float]
    """Of answers whose first audio had nothing to wait for."""
    barge_in_s: Sequence[float]
    """From the provider's word that the user speaks to the clear at the carrier."""
    messages: Mapping[str, float]
    """Per call-second, by way."""
    faults: Faults
    """Of the user's frames and of the agent's."""
    stale_frames: float
    """20 ms of a cut answer that came after its clear."""
    missed_barge_ins: int
    """Cuts without a clear."""
    wrong_clears: int
    filled_frames: float
    """20 ms of silence that the engine put in."""
    holes_s: Sequence[float]
    """Silence within answers."""
    heard_s: float
    """Answers heard, all calls together."""
    asked_in_vain: Sequence[str]
    """What the provider does not know."""
    lateness_s: Sequence[float]
    load: float
    """Share of a processor that this process used."""
    others: float | None
    """Share of a processor that everything else on the machine used."""

    @property
    def holes_a_minute(self) -> float | None:
        """Holes of more than a frame in a minute of speech; None: nobody spoke."""
        holes = sum(hole > FRAME_S for hole in self.holes_s)
        return holes / self.heard_s * 60 if self.heard_s else None


def warm_up_s(plan: Plan) -> float:
    """Return how long conversations go on before anything is measured: until first answers are behind them."""
    return plan.pick(0.2, 2.0, 3.0)


def run_level(target: Target, calls: int, plan: Plan, rhythm: Rhythm | None = None) -> Level:
    """Hold so many calls through a fresh process, and look; None: they talk in the rhythm of the plan.

    Raises:
        BenchmarkFailed: A call was not taken, or ended by itself.
    """
    loop = Loop()
    try:
        with _no_collector(), _Exchange.open(loop, target, plan, rhythm) as exchange:
            command = target.command(f"ws://{HOST}:{exchange.provider_port}", calls + 1)
            with open_process(loop, command, _environment(target)) as process:
                exchange.port = process.port
                with exchange.talk([0]):  # what is made once a process is made now
                    loop.run(perf_counter() + warm_up_s(plan))
                idle = process.usage()
                with exchange.talk(range(1, calls + 1)) as books:
                    watch = _watch(loop, process, plan, exchange, books)
                return _level_of(plan, exchange, watch, idle, books)
    finally:
        loop.close()


@attrs.define
class _Exchange:
    """Carrier and provider around one process."""

    loop: Loop
    target: Target
    seed: int
    rhythm: Rhythm
    provider_port: int = 0
    port: int = 0
    counts: Counts = attrs.field(factory=Counts)
    lateness_s: list[float] = attrs.field(factory=list)
    sessions: list[ProviderSession] = attrs.field(factory=list)
    lines: list[CarrierLine] = attrs.field(factory=list)
    _dialled: CallBooks | None = None

    @classmethod
    @contextmanager
    def open(cls, loop: Loop, target: Target, plan: Plan, rhythm: Rhythm | None) -> Iterator[_Exchange]:
        """Listen as the provider while the block runs."""
        exchange = cls(loop, target, plan.seed, rhythm or (QUICK if plan.size is Size.SMALL else Rhythm()))
        exchange.provider_port, stop = listen(loop, exchange._accepted)
        try:
            yield exchange
        finally:
            stop()

    @contextmanager
    def talk(self, calls: Sequence[int]) -> Iterator[list[CallBooks]]:
        """Hold these calls while the block runs: every session open, every user speaking."""
        books: list[CallBooks] = []
        self.sessions, self.lines = [], []
        for call in calls:
            books.append(self._new_books(call))
            self._dial(books[-1])
        self._let_greet()
        moment = perf_counter() + 0.01
        for index, (line, session) in enumerate(zip(self.lines, self.sessions, strict=True)):
            line.speak_from(moment + index / len(calls) * FRAME_S)
            session.begin()
        yield books
        for line in self.lines:
            line.hang_up()
        with suppress(BenchmarkFailed):  # one that has too much to do by now: what was measured stands
            self._report_ends(calls)
        self.loop.run(perf_counter() + _HUNG_UP_S)

    def _report_ends(self, calls: Sequence[int]) -> None:
        if self.target.entrance.status is not None:
            for call in calls:
                report_end(self.loop, self.port, self.target.entrance.status, call)

    def _dial(self, books: CallBooks) -> None:
        """Open one call; the session that opens meanwhile is its own."""
        self._dialled = books
        before = len(self.sessions)
        self.lines.append(dial(self.loop, self.port, self.target.entrance, books, self.lateness_s))
        self.loop.run(
            perf_counter() + self.target.opening_s,
            lambda: len(self.sessions) > before and all(each.is_ready for each in self.sessions[before:]),
        )
        if len(self.sessions) != before + 1 or not self.sessions[-1].is_ready:
            raise BenchmarkFailed(f"a call of {self.target.name} opened {len(self.sessions) - before} sessions")

    def _let_greet(self) -> None:
        """Wait for what engines say that speak first: turns begin behind it."""
        self.loop.run(perf_counter() + _GREETS_WITHIN_S)
        self.loop.run(perf_counter() + _GREETED_S, lambda: not any(map(self._is_busy, self.lines, self.sessions)))

    def _is_busy(self, line: CarrierLine, session: ProviderSession) -> bool:
        return session.is_answering or line.is_playing(perf_counter())

    def _accepted(self, connection: Connection, head: str) -> None:
        books = self._dialled
        if books is None:
            raise BenchmarkFailed(f"{self.target.name} opened a session before any call")
        kind = PlainSession if head.startswith(f"GET {PLAIN_PATH} ") else ProviderSession
        self.sessions.append(kind(self.loop, connection, books, self.rhythm))

    def _new_books(self, call: int) -> CallBooks:
        rng, audio = random.Random(f"{self.seed}/{call}"), self.target.audio
        if audio is ProviderAudio.PCM:
            return CallBooks(call, audio, CodedTrack(call, rng), CodedAnswers(call, rng), self.counts)
        return CallBooks(call, audio, Track(call, rng), AnswerBooks(call, rng), self.counts)


@attrs.frozen
class _Watch:
    """What was noted while the calls ran."""

    usages: Sequence[Usage]
    """Of the child, at the borders of the slices."""
    own: Sequence[Usage]
    """Of this process, at the first and the last."""
    messages: Mapping[str, int]


def _watch(loop: Loop, process: MeasuredProcess, plan: Plan, exchange: _Exchange, books: Sequence[CallBooks]) -> _Watch:
    """Let the calls go on; look from the end of the warm-up on."""
    loop.run(perf_counter() + warm_up_s(plan))
    exchange.lateness_s.clear()
    before = attrs.asdict(exchange.counts)
    own, usages = [own_usage()], [process.usage()]
    began_at = perf_counter()
    for part in range(1, _SLICES + 1):
        loop.run(began_at + plan.seconds * part / _SLICES)
        usages.append(process.usage())
    own.append(own_usage())
    messages = {way: count - before[way] for way, count in attrs.asdict(exchange.counts).items()}
    for session in exchange.sessions:
        session.end()
    for line in exchange.lines:
        line.fall_silent()
    if any(line.phase is Phase.ENDED for line in exchange.lines):
        raise BenchmarkFailed(f"{exchange.target.name} ended a call by itself")
    arrived_by = perf_counter() + _ARRIVE_S
    while any(each.user.to_provider.waiting for each in books) and perf_counter() < arrived_by:
        loop.run(perf_counter() + _LOOK_S)
    return _Watch(usages, own, messages)


def _level_of(plan: Plan, exchange: _Exchange, watch: _Watch, idle: Usage, books: Sequence[CallBooks]) -> Level:
    begin, end = watch.usages[0], watch.usages[-1]
    calls, stretch = len(books), (begin.at_s, end.at_s)
    answers = [each.answers for each in books]
    for each in answers:
        each.finish(end.at_s)
    both = None if idle.rss_bytes is None or end.rss_bytes is None else end.rss_bytes - idle.rss_bytes
    return Level(
        target=exchange.target.name,
        calls=calls,
        seconds=plan.seconds,
        cpu_ms=[used / calls * 1000 for used in itertools.starmap(share, itertools.pairwise(watch.usages))],
        memory_kib=None if both is None else both / 1024 / calls,
        to_provider_s=[delay for each in books for delay in each.user.to_provider.delays(*stretch)],
        first_audio_s=[delay for each in answers for delay in within(each.first_audio, *stretch)],
        barge_in_s=[delay for each in answers for delay in within(each.clears, *stretch)],
        messages={way: count / (end.at_s - begin.at_s) / calls for way, count in watch.messages.items()},
        faults=sum((_faults(each) for each in books), Faults()),
        stale_frames=sum(each.stale_bytes for each in answers) / FRAME_BYTES,
        missed_barge_ins=sum(each.missed(end.at_s) for each in answers),
        wrong_clears=sum(each.wrong_clears for each in answers),
        filled_frames=sum(each.filled_bytes for each in answers) / FRAME_BYTES,
        holes_s=[hole for each in answers for hole in within(each.holes, *stretch)],
        heard_s=sum(sum(within(each.heard, *stretch)) for each in answers),
        asked_in_vain=sorted({fault for session in exchange.sessions for fault in session.faults}),
        lateness_s=exchange.lateness_s,
        load=share(*watch.own),
        others=others(watch.own, watch.usages),
    )


def _faults(books: CallBooks) -> Faults:
    """Return what went wrong with the frames of a call, both ways; parts of frames count as frames."""
    agent = books.answers
    return books.user.to_provider.faults() + Faults(
        lost=_frames(agent.lost_bytes), doubled=_frames(agent.doubled_bytes), altered=_frames(agent.altered_bytes)
    )


def _frames(size_bytes: int) -> int:
    return -(-size_bytes // FRAME_BYTES)


def _environment(target: Target) -> Mapping[str, str]:
    if target.environment is not None:
        return target.environment
    return {**os.environ, "PYTHONPATH": str(_PACKAGE_PARENT)}


@contextmanager
def _no_collector() -> Iterator[None]:
    """Keep the load's own garbage collector from standing in the way of its frames."""
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        with apart_from_children():
            yield
    finally:
        gc.enable()
        gc.unfreeze()
