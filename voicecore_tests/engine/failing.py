"""A host whose every port can be made to raise anything, anywhere, in one of two calls.

`run` runs two calls at the same time: the victim, which is placed, and the
witness, which comes in.  The neighbours are puppets; a `Trap` makes one of them
raise once, at its n-th use by the victim.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from random import Random

import attrs
import trio

from voicecore import events as ev
from voicecore.audio.formats import PCMU_8K, AudioFormat
from voicecore.engine.agent import Agent
from voicecore.engine.host import Host, open_host
from voicecore.engine.host_parts import HostParts
from voicecore.engine.settings import HostSettings
from voicecore.facts import CallEnded, CallReport, Fact, TranscriptLine
from voicecore.net.http.messages import Request
from voicecore.net.http.routes import Routes
from voicecore.ports import (
    Brief,
    CallControl,
    CallHost,
    Dialler,
    DialOrder,
    LineWriter,
    Recorder,
    RingingCall,
    Session,
    StatusReport,
)
from voicecore.simulation.world import simulated_world
from voicecore.statuses import CarrierStatus
from voicecore.world import World
from voicecore_tests.engine.puppets import DOES_ALL
from voicecore_tests.kit import living_tasks

VICTIM, WITNESS = "victim", "witness"
FRAME = bytes([255]) * 160
TALK_S = 2.0


@attrs.define
class Trap:
    """Raises at the n-th use of a place by the victim."""

    place: str = ""
    failure: Callable[[], BaseException] = RuntimeError
    use: int = 1
    uses: Counter[str] = attrs.field(factory=Counter)

    @property
    def sprung(self) -> bool:
        return self.uses[self.place] >= self.use

    def step(self, who: str, place: str) -> None:
        if who != VICTIM:
            return
        self.uses[place] += 1
        if place == self.place and self.uses[place] == self.use:
            raise self.failure()


class TrappedSession:
    """A session that detects one turn and answers it."""

    session_id = "puppet"
    user_format: AudioFormat = PCMU_8K
    agent_format: AudioFormat = PCMU_8K
    capabilities = DOES_ALL
    lock = ev.LockoutState.NOT_REQUESTED

    def __init__(self, who: str, trap: Trap) -> None:
        self._who = who
        self._trap = trap
        self._heard = 0
        self._waiting: list[ev.SessionEvent] = []
        self._news = trio.Event()

    async def prove_alive(self, fresh_s: float) -> None:
        del fresh_s
        self._trap.step(self._who, "session.prove_alive")
        await trio.lowlevel.checkpoint()

    async def receive(self) -> list[ev.SessionEvent]:
        self._trap.step(self._who, "session.receive")
        await trio.lowlevel.checkpoint()
        while not self._waiting:
            self._news = trio.Event()
            await self._news.wait()
        events, self._waiting = self._waiting, []
        return events

    async def send(self, order: ev.SessionOrder) -> None:
        self._trap.step(self._who, "session.send")
        await trio.lowlevel.checkpoint()
        self._take(order)

    def send_nowait(self, order: ev.SessionOrder) -> bool:
        self._trap.step(self._who, "session.send_nowait")
        if isinstance(order, ev.AppendUserAudio) and self._heard == 0:
            self._heard = 1
            return False  # once by the way that waits
        self._take(order)
        return True

    def _take(self, order: ev.SessionOrder) -> None:
        if isinstance(order, ev.AppendUserAudio):
            self._heard += len(order.audio)
            if self._heard >= 20 * len(FRAME) and not self._waiting:
                self._heard = -(10**6)
                self._answer()

    def _answer(self) -> None:
        self._waiting += [
            ev.UserTurnCommitted("turn"),
            ev.UserTranscriptDone("turn", "Hello?"),
            ev.ResponseStarted("response"),
            ev.AgentItemAdded("response", "item"),
            ev.AgentTextDone("response", "item", "Hello yourself."),
            ev.AgentAudio("response", "item", FRAME * 20),
            ev.AgentAudioEnded("response", "item"),
            ev.ResponseEnded(response_id="response", status=ev.ResponseStatus.COMPLETED),
        ]
        self._news.set()


class TrappedProvider:
    """Implements `voicecore.ports.Provider`."""

    name = "puppet"

    def __init__(self, trap: Trap) -> None:
        self._trap = trap
        self.open = 0

    def filled_from(self, environ: Mapping[str, str]) -> TrappedProvider:
        del environ
        return self

    def fingerprint(self, brief: Brief) -> str:
        self._trap.step(brief.instructions, "provider.fingerprint")
        return brief.instructions

    def open_session(self, world: World, brief: Brief) -> AbstractAsyncContextManager[Session]:
        del world
        self._trap.step(brief.instructions, "provider.open_session")
        return self._open(brief.instructions)

    @asynccontextmanager
    async def _open(self, who: str) -> AsyncIterator[Session]:
        await trio.lowlevel.checkpoint()
        self._trap.step(who, "provider.open_session, entering")
        self.open += 1
        try:
            yield TrappedSession(who, self._trap)
        finally:
            self.open -= 1
            self._trap.step(who, "provider.open_session, leaving")


class TrappedLeg:
    """A carrier's stream: frames for a while, returned marks, a stop."""

    def __init__(self, who: str, carrier_call_id: str, trap: Trap) -> None:
        self.ledger: list[tuple[float, ev.LegOrder]] = []
        self._started = ev.LegStarted("stream", carrier_call_id, PCMU_8K)
        self._who = who
        self._trap = trap
        self._marks: list[ev.LegEvent] = []
        self._ends_at = trio.current_time() + TALK_S

    @property
    def started(self) -> ev.LegStarted:
        return self._started

    async def receive(self) -> Sequence[ev.LegEvent]:
        self._trap.step(self._who, "leg.receive")
        await trio.sleep(0.02)
        if trio.current_time() >= self._ends_at:
            return [ev.LegStopped()]
        marks, self._marks = self._marks, []
        return [ev.UserAudio(FRAME), *marks]

    async def send(self, order: ev.LegOrder) -> None:
        self._trap.step(self._who, "leg.send")
        await trio.lowlevel.checkpoint()
        self._take(order)

    def send_nowait(self, order: ev.LegOrder) -> bool:
        self._trap.step(self._who, "leg.send_nowait")
        if not self.ledger:
            return False  # once by the way that waits
        self._take(order)
        return True

    def _take(self, order: ev.LegOrder) -> None:
        self.ledger.append((trio.current_time(), order))
        if isinstance(order, ev.PlaceMark):
            self._marks.append(ev.MarkReturned(order.name))


class TrappedStore:
    """Implements `voicecore.ports.CallStore`; ``whose`` distinguishes the calls."""

    def __init__(self, trap: Trap, whose: Callable[[str], str]) -> None:
        self.saved: dict[str, CallReport] = {}
        self._trap = trap
        self._whose = whose

    async def save(self, report: CallReport) -> None:
        self._trap.step(self._whose(report.call_id), "store.save")
        await trio.lowlevel.checkpoint()
        self._trap.step(self._whose(report.call_id), "store.save, later")
        self.saved[report.call_id] = report

    def one_line(self, report: CallReport) -> str:
        return report.call_id

    @asynccontextmanager
    async def recorder(self, call_id: str) -> AsyncIterator[Recorder]:
        await trio.lowlevel.checkpoint()
        who = self._whose(call_id)
        self._trap.step(who, "store.recorder")
        yield _TrappedWriter(who, self._trap)
        self._trap.step(who, "store.recorder, leaving")

    @asynccontextmanager
    async def growing_transcript(self, call_id: str) -> AsyncIterator[LineWriter]:
        await trio.lowlevel.checkpoint()
        who = self._whose(call_id)
        self._trap.step(who, "store.growing_transcript")
        yield _TrappedWriter(who, self._trap)

    async def tidy(self) -> None:
        await trio.lowlevel.checkpoint()
        self._trap.step(VICTIM, "store.tidy")


class _TrappedWriter:
    def __init__(self, who: str, trap: Trap) -> None:
        self._who = who
        self._trap = trap

    async def write(self, interleaved_pcm16: bytes) -> None:
        del interleaved_pcm16
        self._trap.step(self._who, "recorder.write")
        await trio.lowlevel.checkpoint()

    async def append(self, lines: Sequence[TranscriptLine]) -> None:
        del lines
        self._trap.step(self._who, "transcript.append")
        await trio.lowlevel.checkpoint()


@attrs.frozen(kw_only=True)
class OpenParts:
    """An open carrier made of parts; implements `voicecore.ports.OpenCarrier`."""

    name: str = "parts"
    media_format: AudioFormat = PCMU_8K
    outlives_stream: bool = True
    control: CallControl | None = None
    dialler: Dialler | None = None

    def routes(self, _host: CallHost) -> Routes:
        return {}

    def unrouted(self, _request: Request, _status: int) -> None:
        """Notice nothing."""


class TrappedDialler:
    """Implements `voicecore.ports.Dialler` and `CallControl`; the phone is picked up after a moment."""

    number = "+15550100002"

    def __init__(self, trap: Trap) -> None:
        self.hung_up: list[str] = []
        self.orders: list[DialOrder] = []
        self._trap = trap

    async def dial(self, order: DialOrder) -> str:
        self._trap.step(VICTIM, "dialler.dial")
        self.orders.append(order)
        await trio.sleep(0.1)
        self._trap.step(VICTIM, "dialler.dial, later")
        return "CA-victim"

    async def hang_up(self, carrier_call_id: str) -> None:
        self._trap.step(VICTIM, "dialler.hang_up")
        await trio.lowlevel.checkpoint()
        self.hung_up.append(carrier_call_id)


class TrappedChance(Random):
    """Randomness that may fail; ids and tokens come from it."""

    trap: Trap | None = None

    def getrandbits(self, k: int) -> int:
        if self.trap is not None:
            self.trap.step(VICTIM, "world.random")
        return super().getrandbits(k)


@attrs.define(eq=False)
class Result:
    """What became of the two calls."""

    trap: Trap
    store: TrappedStore
    reports: list[CallReport] = attrs.field(factory=list)
    witness: list[tuple[float, ev.LegOrder]] = attrs.field(factory=list)
    raised: BaseException | None = None
    """What the program that placed the victim got to see."""
    tasks_left: int = -1
    sessions_left: int = -1

    def report_of(self, direction: str) -> list[CallReport]:
        return [report for report in self.reports if report.direction == direction]


async def run(trap: Trap) -> Result:
    """Run both calls to their ends, and one more at the end: the host still works."""
    names: dict[str, str] = {}
    outcome = Result(trap, TrappedStore(trap, lambda call_id: names.get(call_id, WITNESS)))
    world, provider, dialler = _world(trap), TrappedProvider(trap), TrappedDialler(trap)

    def observe(call_id: str, fact: Fact) -> None:
        if isinstance(fact, CallEnded):
            outcome.reports.append(fact.report)
        trap.step(names.get(call_id, VICTIM if not names else WITNESS), f"observer of {type(fact).__name__}")

    parts = HostParts(
        providers={provider.name: provider},
        agent=Agent(instructions=WITNESS),
        carriers=[OpenParts(control=dialler, dialler=dialler)],
        store=outcome.store,
        records_audio=True,
        observers=[observe],
    )
    settings = HostSettings(status_wait_s=2.0, token_s=20.0)
    with trio.fail_after(600):
        async with open_host(world, parts, settings) as host, trio.open_nursery() as nursery:
            await trio.testing.wait_all_tasks_blocked()
            before = len(list(living_tasks()))
            nursery.start_soon(_dial, host, dialler, names, outcome)
            await trio.sleep(0.3)
            outcome.witness = await _take_call(host, trap, "CA-witness")
            await trio.sleep(60.0)  # statuses that never come, records that are tried again
            outcome.tasks_left = len(list(living_tasks())) - before
            outcome.sessions_left = provider.open
            await _take_call(host, trap, "CA-later")
            await host.wait_idle()
    return outcome


def _world(trap: Trap) -> World:
    chance = TrappedChance(1)
    chance.trap = trap

    def wall_clock() -> datetime:
        trap.step(VICTIM, "world.wall_clock")
        return datetime(2026, 1, 1, tzinfo=UTC)

    simulated = simulated_world()
    return attrs.evolve(simulated.world, random=chance, wall_clock=wall_clock)


async def _dial(host: Host, dialler: TrappedDialler, names: dict[str, str], outcome: Result) -> None:
    """The program that places the victim, and the carrier's side of it."""
    trap = outcome.trap
    try:
        async with host.dial("+15550100001", agent=Agent(instructions=VICTIM)) as call, trio.open_nursery() as nursery:
            names[call.call_id] = VICTIM
            nursery.start_soon(_pick_up, host, dialler, trap)
            with trio.move_on_after(TALK_S + 1.0):
                async for _ in call.facts():
                    pass
            nursery.cancel_scope.cancel()
    except* Exception as failure:  # noqa: BLE001 - any: what is raised is what the test looks at
        outcome.raised = failure


async def _pick_up(host: Host, dialler: TrappedDialler, trap: Trap) -> None:
    await trio.sleep(0.2)
    if not dialler.orders:
        return
    order = dialler.orders[-1]
    host.status(
        StatusReport(carrier_call_id="CA-victim", call_id=order.call_id, status=CarrierStatus.IN_PROGRESS, word="a")
    )
    if (media := host.take_token(order.token)) is not None:
        await media.run_call(TrappedLeg(VICTIM, "CA-victim", trap))


async def _take_call(host: Host, trap: Trap, carrier_call_id: str) -> list[tuple[float, ev.LegOrder]]:
    """A call that comes in, is picked up, talks and ends."""
    ringing = RingingCall(carrier_call_id=carrier_call_id, caller="+15550100003", callee=TrappedDialler.number)
    began_at = trio.current_time()
    token = host.incoming(ringing, host._parts.carriers[0])
    media = host.take_token(token) if isinstance(token, str) else None
    assert media is not None, "no more calls are taken"
    leg = TrappedLeg(WITNESS, carrier_call_id, trap)
    await media.run_call(leg)
    host.status(StatusReport(carrier_call_id=carrier_call_id, status=CarrierStatus.COMPLETED, word="completed"))
    return [(round(at - began_at, 6), order) for at, order in leg.ledger]
