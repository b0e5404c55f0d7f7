"""Parked and adopted sessions: one reader, one close, one outcome; whatever happens in the same instant."""

from __future__ import annotations

import functools
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import attrs
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from voicecore.audio.formats import PCMU_8K
from voicecore.engine.parking.adopted_session import NotAdopted
from voicecore.engine.parking.parked_session import ParkedSession, ParkedSessions
from voicecore.engine.parking.pool import ParkingSettings, ParkingStage
from voicecore.events import AgentAudio, RequestResponse, ResponseStarted, SessionProblem, Severity
from voicecore.facts import ParkingOutcome
from voicecore.ports import Brief
from voicecore.simulation.world import simulated_world
from voicecore.world import World
from voicecore_tests.chance import examples
from voicecore_tests.engine.puppets import PuppetProvider
from voicecore_tests.kit import run_seeded

BRIEF = Brief(instructions="Be brief.", audio_format=PCMU_8K)
PRINT = "print Be brief."
LIMIT_S = 40.0


@attrs.define(eq=False)
class Lot:
    """The registry, a provider and a clock."""

    provider: PuppetProvider
    sessions: ParkedSessions
    world: World

    def park(self, call_id: str = "call", first: RequestResponse | None = None) -> ParkedSession:
        until = self.world.now() + LIMIT_S
        parked = self.sessions.park(call_id, self.provider, BRIEF, until=until, first=first)
        assert parked is not None
        return parked

    @property
    def outcomes(self) -> dict[ParkingOutcome, int]:
        return dict(self.sessions.pool.outcomes)


@asynccontextmanager
async def pool(provider: PuppetProvider | None = None, **bounds: float) -> AsyncIterator[Lot]:
    """Run a registry; at its end nothing of it is left, and everything that was opened was closed once."""
    provider = provider or PuppetProvider()
    world = simulated_world().world
    async with trio.open_nursery() as nursery:
        it = Lot(provider, ParkedSessions(nursery, world, ParkingSettings(**bounds)), world)  # type: ignore[arg-type]
        yield it
        it.sessions.shut_down()
        with trio.fail_after(5):
            while provider.opened != provider.closed or it.sessions.pool.statistics().waiting:
                await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert provider.opened == provider.closed
    assert all(session.most_readers <= 1 for session in provider.sessions)


async def settled() -> None:
    await trio.testing.wait_all_tasks_blocked()


async def test_a5_the_owner_has_stopped_reading_before_the_call_reads(autojump_clock: MockClock) -> None:
    """One reader at each step; what was said before pick-up comes first, in order."""
    async with pool() as it:
        parked = it.park()
        await settled()
        session = it.provider.sessions[0]
        session.says(ResponseStarted("r1"))
        await settled()
        async with parked.adopt(PRINT) as adopted:
            session.says(ResponseStarted("r2"))
            assert [*await adopted.receive(), *await adopted.receive()] == [
                ResponseStarted("r1"),
                ResponseStarted("r2"),
            ]
        assert (it.provider.closed, it.outcomes) == (1, {ParkingOutcome.ADOPTED: 1})


async def test_a5_an_owner_that_is_slow_to_stop_is_waited_for(autojump_clock: MockClock) -> None:
    """The hand-over is joined, not hoped for."""
    async with pool() as it:
        parked = it.park()
        await settled()
        session = it.provider.sessions[0]
        session.lets_go_after_s = 0.2
        async with parked.adopt(PRINT) as adopted:
            session.lets_go_after_s = 0.0
            session.says(ResponseStarted("r1"))
            assert await adopted.receive() == [ResponseStarted("r1")]
        assert session.most_readers == 1


async def test_a7_an_adopted_session_outlives_the_parking_limit(autojump_clock: MockClock) -> None:
    """The limit is for those who wait."""
    async with pool() as it:
        parked = it.park()
        await trio.sleep(LIMIT_S - 1)
        async with parked.adopt(PRINT) as adopted:
            await trio.sleep(LIMIT_S)
            await adopted.send(RequestResponse(request_id="r"))
            assert it.provider.closed == 0


async def test_a1_a_session_that_still_opens_at_pick_up_is_waited_for(autojump_clock: MockClock) -> None:
    """One handshake; the call waits for that one."""
    async with pool(PuppetProvider(opens_at_once=False)) as it:
        parked = it.park()
        await settled()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(adopt_and_leave, parked)
            await trio.sleep(1)
            it.provider.open()
        assert (it.provider.handshakes, it.outcomes) == (1, {ParkingOutcome.ADOPTED: 1})


async def adopt_and_leave(parked: ParkedSession) -> None:
    async with parked.adopt(PRINT):
        await trio.lowlevel.checkpoint()


async def test_a10_the_wait_for_a_session_that_opens_is_bounded(autojump_clock: MockClock) -> None:
    """Then the call goes cold, and a late success is closed."""
    async with pool(PuppetProvider(opens_at_once=False), open_wait_s=2.0) as it:
        parked = it.park()
        began_at = trio.current_time()
        with pytest.raises(NotAdopted):
            await adopt_and_leave(parked)
        assert trio.current_time() - began_at == pytest.approx(2.0)
        it.provider.open()
        await settled()
        assert (it.provider.opened, it.outcomes) == (0, {ParkingOutcome.EXPIRED: 1})


async def test_a6_a_dead_session_is_found_at_once(autojump_clock: MockClock) -> None:
    """Its death was read while it was parked."""
    async with pool() as it:
        parked = it.park()
        await settled()
        it.provider.sessions[0].dies()
        await settled()
        with pytest.raises(NotAdopted, match="dead"):
            await adopt_and_leave(parked)
        assert it.outcomes == {ParkingOutcome.DIED: 1}


async def test_a6_a_half_open_session_is_found_by_its_silence(autojump_clock: MockClock) -> None:
    """A peer that answers no ping counts as dead, within the bound."""
    async with pool(proof_s=0.5) as it:
        parked = it.park()
        await settled()
        it.provider.sessions[0].answers_pings = False
        await trio.sleep(2)
        began_at = trio.current_time()
        with pytest.raises(NotAdopted):
            await adopt_and_leave(parked)
        assert trio.current_time() - began_at == pytest.approx(0.5)
        assert it.outcomes == {ParkingOutcome.DIED: 1}


async def test_a6_a_half_open_session_is_given_up_while_it_is_parked(autojump_clock: MockClock) -> None:
    """Pinged every few seconds; nobody waits for the pick-up to find out."""
    async with pool(probe_every_s=5.0, proof_s=0.5) as it:
        it.park()
        await settled()
        it.provider.sessions[0].answers_pings = False
        await trio.sleep(6)
        assert it.outcomes == {ParkingOutcome.DIED: 1}


async def test_a7_a_session_is_kept_for_the_whole_ringing_and_not_longer(autojump_clock: MockClock) -> None:
    """Extended with it; then its time is over, and it is closed."""
    async with pool() as it:
        parked = it.park()
        await trio.sleep(LIMIT_S - 1)
        parked.extend(trio.current_time() + LIMIT_S)
        await trio.sleep(LIMIT_S - 1)
        assert it.outcomes == {}
        await trio.sleep(2)
        assert (it.outcomes, it.provider.closed) == ({ParkingOutcome.EXPIRED: 1}, 1)


async def test_a4_an_adoption_that_fails_leaves_nothing_to_its_call(autojump_clock: MockClock) -> None:
    """Cancelled while it waits: closed, with its outcome, and nothing runs."""
    async with pool(PuppetProvider(opens_at_once=False)) as it:
        parked = it.park()
        with trio.move_on_after(1):
            await adopt_and_leave(parked)
        await settled()
        assert (it.outcomes, parked.entry.stage) == ({ParkingOutcome.HUNG_UP: 1}, ParkingStage.GONE)


async def test_a16_a_session_is_adopted_once(autojump_clock: MockClock) -> None:
    """Whoever comes second gets nothing, and the first keeps what it has."""
    async with pool() as it:
        parked = it.park()
        await settled()
        async with parked.adopt(PRINT) as adopted:
            with pytest.raises(NotAdopted):
                await adopt_and_leave(parked)
            await adopted.send(RequestResponse(request_id="r"))
            assert not parked.closed.is_set()


async def test_a15_what_was_sent_before_pick_up_travels_with_the_session(autojump_clock: MockClock) -> None:
    """The request for a prepared message is sent once; the adopted session says that it was."""
    async with pool() as it:
        first = RequestResponse(request_id="first-message-1")
        parked = it.park(first=first)
        await settled()
        async with parked.adopt(PRINT) as adopted:
            assert adopted.asked
        assert it.provider.sessions[0].sent == [first]


async def test_speech_before_pick_up_is_bounded(autojump_clock: MockClock) -> None:
    """A session that says more than there is room for is given up."""
    async with pool(prepared_limit_s=2.0) as it:
        parked = it.park(first=RequestResponse(request_id="first"))
        await settled()
        it.provider.sessions[0].says(AgentAudio("r1", "i1", bytes(8000 * 3)))
        await settled()
        assert (it.outcomes, parked.entry.prepared_s) == ({ParkingOutcome.DIED: 1}, 3.0)


async def test_a_session_whose_provider_ended_it_is_dead(autojump_clock: MockClock) -> None:
    """A fatal error may come long before the close."""
    async with pool() as it:
        it.park()
        await settled()
        it.provider.sessions[0].says(SessionProblem(code="session_expired", message="", severity=Severity.FATAL))
        await settled()
        assert it.outcomes == {ParkingOutcome.DIED: 1}


async def test_a_bug_in_a_provider_ends_its_session_only(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F18: logged with its traceback; the next session is fine."""
    async with pool() as it:
        with monkeypatch.context() as broken:
            broken.setattr(it.provider, "open_session", lambda *_: 1 / 0)
            it.park()
            await settled()
        it.park()
        await settled()
        assert (it.outcomes, it.provider.opened) == ({ParkingOutcome.DIED: 1}, 1)
    assert "ZeroDivisionError" in caplog.text


async def test_a13_the_registry_holds_no_more_than_its_cap(autojump_clock: MockClock) -> None:
    """A thousand are parked and never adopted; at most two hundred are open, every one is closed once."""
    async with pool() as it:
        for number in range(1000):
            it.park(f"call {number}")
            if number % 50 == 0:
                await settled()
                assert it.provider.opened - it.provider.closed <= 200
        await settled()
        assert it.provider.opened - it.provider.closed <= 200
        assert it.outcomes == {ParkingOutcome.EXPIRED: 800}
        await trio.sleep(LIMIT_S + 1)
        assert (it.outcomes, it.provider.closed) == ({ParkingOutcome.EXPIRED: 1000}, it.provider.opened)


# --- every order -------------------------------------------------------------------------

Event = Callable[["Scene"], None]


class Scene:
    """One call's session, and what can happen to it, each thing once."""

    def __init__(self, it: Lot, nursery: trio.Nursery) -> None:
        self.it = it
        self.parked = it.park()
        self.adopted: list[bool] = []
        self._nursery = nursery
        self._call = trio.CancelScope()

    def opens(self) -> None:
        self.it.provider.open()

    def fails(self) -> None:
        self.it.provider.fail()

    def picks_up(self) -> None:
        self._nursery.start_soon(self._keep_open)

    def hangs_up(self) -> None:
        self.parked.settle(ParkingOutcome.HUNG_UP, "terminal status")
        self._call.cancel()

    def dies(self) -> None:
        for session in self.it.provider.sessions:
            session.dies()

    def shuts_down(self) -> None:
        self.it.sessions.shut_down()

    async def _keep_open(self) -> None:
        with self._call:
            try:
                async with self.parked.adopt(PRINT):
                    self.adopted.append(True)
                    await trio.sleep(1)
            except NotAdopted:
                self.adopted.append(False)


EVENTS = ("opens", "picks_up", "hangs_up", "dies", "shuts_down", "expires")


async def pause(seconds: float) -> None:
    """Let others run, for no time at all or for some."""
    if seconds:
        await trio.sleep(seconds)
    else:
        await trio.lowlevel.checkpoint()


async def play(order: tuple[str, ...], between_s: float) -> ParkingOutcome | None:
    """Let things happen in this order, with ``between_s`` between them; return the one outcome."""
    async with pool(PuppetProvider(opens_at_once=False), open_wait_s=3.0) as it, trio.open_nursery() as nursery:
        scene = Scene(it, nursery)
        for name in order:
            if name == "expires":
                await trio.sleep_until(max(trio.current_time(), scene.parked.entry.deadline))
            else:
                getattr(scene, name)()
            await pause(between_s)
        await trio.sleep(LIMIT_S + 10)
        entry = scene.parked.entry
        assert sum(it.outcomes.values()) == 1
        assert entry.stage is ParkingStage.GONE
        assert it.provider.handshakes == 1
        assert any(scene.adopted) == (entry.outcome is ParkingOutcome.ADOPTED)
    return entry.outcome


def test_a8_every_order_of_everything_that_can_happen_to_one_session() -> None:
    """Exhaustive: each order of opening (or failing), pick-up, hang-up, death, shutdown and expiry."""
    outcomes: set[ParkingOutcome | None] = set()
    for first in ("opens", "fails"):
        names = (first, *EVENTS[1:])
        for length, between_s in itertools.product((3, len(names)), (0.0, 0.01)):
            for order in itertools.permutations(names, length):
                outcomes.add(run_seeded(functools.partial(play, order, between_s)))
    assert outcomes == set(ParkingOutcome) - {ParkingOutcome.REFUSED}  # which is the fingerprint's


@given(
    st.lists(st.tuples(st.integers(0, 1), st.sampled_from(EVENTS)), max_size=12),
    st.sampled_from([0.0, 0.01, 1.0]),
    st.integers(0, 2**16),
)
@examples(150)
def test_a8_two_calls_and_every_interleaving(steps: list[tuple[int, str]], between_s: float, seed: int) -> None:
    """One outcome each; nothing left; never two handshakes for one call."""

    async def run() -> None:
        async with pool(PuppetProvider(opens_at_once=False), open_wait_s=3.0) as it, trio.open_nursery() as nursery:
            scenes = [Scene(it, nursery), Scene(it, nursery)]
            done: set[tuple[int, str]] = set()
            for which, name in steps:
                if (which, name) in done:
                    continue
                done.add((which, name))
                if name == "expires":
                    await trio.sleep_until(max(trio.current_time(), scenes[which].parked.entry.deadline))
                else:
                    getattr(scenes[which], name)()
                await pause(between_s)
            await trio.sleep(LIMIT_S + 10)
            assert sum(it.outcomes.values()) == 2
            assert it.provider.handshakes <= 2
            assert all(scene.parked.entry.stage is ParkingStage.GONE for scene in scenes)

    run_seeded(run, seed)
