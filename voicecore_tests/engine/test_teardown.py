"""A call may end at any moment and in any way: nothing of it is left, and there is one record."""

from __future__ import annotations

import random
from contextlib import AbstractAsyncContextManager

import pytest
import trio
from trio.testing import MockClock

from voicecore.facts import CallEnded, CallReport, EndCause, ParkingOutcome
from voicecore.simulation.openai_realtime import (
    Behaviour,
    End,
    Ending,
    Handshake,
    Pace,
    Recorded,
    Reply,
    Script,
    Updates,
)
from voicecore.simulation.twilio import At, HangUp, LineFaults, Say, StatusFaults, StreamEnd
from voicecore_tests.kit import CancelAtStep, Rig, living_tasks, rig, ulaw

TALK = Script(
    replies=(Reply("Hello.", speech=Recorded("agent-hello")), Reply("Next.", speech=Recorded("agent-you-are-next"))),
    hears=("hello?",),
)
DISTANT = Behaviour(
    handshake=Handshake(accept_s=0.05, created_s=0.05), updates=Updates(answer_s=0.05, effect_s=0.05), pace=Pace()
)
QUICK = Behaviour(
    handshake=Handshake(accept_s=0.02, created_s=0.02),
    updates=Updates(answer_s=0.02, effect_s=0.02),
    pace=Pace(first_delta_s=0.02),
)
SHORT = (Say(At(0.3), ulaw("caller-hello-it")[:2400]), HangUp(At(1.0)))  # greeted, barged in on, answered: one second
STEPS = (Say(At(1.5), ulaw("caller-hello-it")), Say(At(4.5), ulaw("caller-hello-it")))


def nothing_is_left(it: Rig, *, stalled: int = 0) -> None:
    """No entry, no session (but those whose twin plays dead), and one record a report."""
    assert it.engine.statistics().live == 0
    assert it.engine.statistics().unfiled == 0
    open_sessions = [connection for connection in it.provider.connections if not connection.ended.is_set()]
    assert len(open_sessions) == stalled
    assert len(it.reports) == len(it.records())


async def base_of(it: Rig) -> tuple[int, int]:
    await trio.testing.wait_all_tasks_blocked()
    return len(list(living_tasks())), it.simulated.network.open_streams


async def test_a_call_ended_at_200_random_moments_leaves_nothing_and_one_record_each(
    autojump_clock: MockClock,
) -> None:
    """Whatever the call is doing: opening, greeting, listening, thinking, talking, being interrupted."""
    moments = random.Random(7)
    async with rig(TALK, DISTANT, agent__first_message="Hello.") as it:
        base = await base_of(it)
        for number in range(1, 201):
            stream_end = moments.choice([StreamEnd.STOP, StreamEnd.CLOSE, StreamEnd.CUT])
            faults = LineFaults(ends_at_s=moments.choice([0.0, 0.02, moments.uniform(0, 8)]), stream_end=stream_end)
            await it.carrier.call(it.engine.url, STEPS, faults=faults)
            await trio.sleep(3.0)
            assert await base_of(it) == base, f"something of call {number} is left ({faults})"
            assert len(it.reports) == number
        nothing_is_left(it)
    causes = {report.outcome for report in it.reports}
    assert causes == {EndCause.REMOTE_HUNG_UP}
    assert len({record["call_id"] for record in it.records()}) == 200


def short_rig() -> AbstractAsyncContextManager[Rig]:
    return rig(TALK, QUICK, agent__first_message="Hello.", providers__openai_realtime__silence_duration_ms=200)


async def test_the_short_call_has_everything_in_it(autojump_clock: MockClock) -> None:
    """What the tests below cancel: a greeting, a barge-in, a turn and an answer."""
    async with short_rig() as it:
        await it.carrier.call(it.engine.url, SHORT)
        await it.engine.drain()
    assert [(entry.speaker.value, entry.interrupted) for entry in it.report.transcript] == [
        ("agent", True),
        ("user", False),
        ("agent", True),
    ]
    assert it.report.barge_ins == 1


async def run_until_step(step: int) -> tuple[Rig, int, int]:
    """Run the short call with its carrier cancelled after ``step`` task steps; return what is left of it."""
    async with short_rig() as it:
        with trio.CancelScope() as scope:
            instrument = CancelAtStep(scope, step)
            trio.lowlevel.add_instrument(instrument)
            try:
                await it.carrier.call(it.engine.url, SHORT)
            finally:
                trio.lowlevel.remove_instrument(instrument)
        await it.engine.drain()
        await trio.testing.wait_all_tasks_blocked()
        nothing_is_left(it)
    return it, instrument.steps, it.simulated.network.open_streams


async def test_the_line_may_vanish_at_every_step_of_a_whole_call(autojump_clock: MockClock) -> None:
    """The carrier's side is cancelled at every 9th step that any task takes: the engine cleans up after it."""
    _, steps, _ = await run_until_step(10**9)
    for step in range(1, steps, 9):
        it, _, open_streams = await run_until_step(step)
        assert open_streams == 0, f"cancelled at step {step}"
        assert len(it.reports) <= 1


async def engine_cancelled_at(step: int) -> tuple[list[CallReport], int, int]:
    """Run a scripted call whose engine is cancelled, with everything in it, after ``step`` task steps."""
    reports: list[CallReport] = []
    async with trio.open_nursery() as nursery:
        with trio.CancelScope() as scope:
            instrument = CancelAtStep(scope, step)
            async with short_rig() as it:
                trio.lowlevel.add_instrument(instrument)
                try:
                    await it.carrier.call(it.engine.url, SHORT)
                    await it.engine.drain()
                finally:
                    trio.lowlevel.remove_instrument(instrument)
        reports += [fact.report for fact in it.facts if isinstance(fact, CallEnded)]
        left = len(list(living_tasks()))
        nursery.cancel_scope.cancel()
    assert len(it.records()) == len(reports)
    return reports, instrument.steps, it.simulated.network.open_streams + left


@pytest.mark.parametrize("offset", range(4))
async def test_cancellation_at_every_checkpoint_of_a_whole_call_leaves_nothing(
    autojump_clock: MockClock, offset: int
) -> None:
    """I31: the process may be stopped after any step; a call that had begun still has its one record."""
    _, steps, _ = await engine_cancelled_at(10**9)
    for step in range(1 + offset, steps, 4):
        reports, _, left = await engine_cancelled_at(step)
        assert left == 0, f"cancelled at step {step}"
        assert len(reports) <= 1


@pytest.mark.parametrize("how", list(End))
@pytest.mark.parametrize("at_s", [0.3, 0.6, 2.0, 3.5])
async def test_a_session_that_dies_ends_the_call_with_its_cause(
    autojump_clock: MockClock, how: End, at_s: float
) -> None:
    """F11, I1: noticed by the reader; the call ends, and its record says why."""
    behaviour = Behaviour(endings=(Ending(how=how, at_s=at_s),))
    async with rig(TALK, behaviour, agent__first_message="Hello.") as it:
        await it.carrier.call(it.engine.url, [*STEPS, HangUp(At(60.0))])
        await it.engine.drain()
        nothing_is_left(it, stalled=how is End.STALL)
    assert it.report.outcome is EndCause.SESSION_LOST
    assert it.report.duration_s < (31 if how is End.STALL else at_s + 1.2)


@pytest.mark.parametrize(
    ("behaviour", "cause", "attempts"),
    [
        (Behaviour(handshake=Handshake(refuse_status=401)), EndCause.SESSION_REFUSED, 1),
        (Behaviour(handshake=Handshake(refuse_status=403)), EndCause.SESSION_REFUSED, 1),
        (Behaviour(handshake=Handshake(refuse_status=429)), EndCause.SESSION_REFUSED, 2),
        (Behaviour(handshake=Handshake(refuse_status=503)), EndCause.SESSION_REFUSED, 2),
        (Behaviour(handshake=Handshake(accept_s=None)), EndCause.SESSION_UNAVAILABLE, 2),
        (Behaviour(handshake=Handshake(created_s=None)), EndCause.SESSION_UNAVAILABLE, 2),
        (Behaviour(handshake=Handshake(first_error="invalid_api_key")), EndCause.SESSION_REFUSED, 1),
        (Behaviour(updates=Updates(refused=frozenset({1, 2}))), EndCause.SESSION_REFUSED, 1),
        (Behaviour(endings=(Ending(how=End.CUT, after_events=1),)), EndCause.SESSION_UNAVAILABLE, 2),
        (Behaviour(endings=(Ending(how=End.STALL, after_events=1),)), EndCause.SESSION_UNAVAILABLE, 2),
        (Behaviour(endings=(Ending(how=End.BETA_DISABLED, after_events=1),)), EndCause.SESSION_REFUSED, 1),
    ],
    ids=[
        "401",
        "403",
        "429",
        "503",
        "no-upgrade",
        "no-created",
        "bad-key",
        "update-refused",
        "cut",
        "stall",
        "beta",
    ],
)
async def test_fault_ph_a_provider_that_refuses_hangs_or_dies_at_each_step_of_its_handshake(
    autojump_clock: MockClock, behaviour: Behaviour, cause: EndCause, attempts: int
) -> None:
    """One more try where that can help, then the call ends with its cause, bounded and clean."""
    dies = behaviour.endings[0].how if behaviour.endings else None
    async with rig(TALK, behaviour, agent__first_message="Hello.") as it:
        await it.carrier.call(it.engine.url, [*STEPS, HangUp(At(60.0))])
        await it.engine.drain()
        nothing_is_left(it, stalled=attempts + 1 if dies is End.STALL else 0)  # the parked one too
    assert (it.report.outcome, it.report.session_attempts) == (cause, attempts)
    assert it.report.duration_s < 15.0
    assert "sk-planted-secret" not in repr(it.report)


async def test_fault_ph_the_second_try_carries_the_call(autojump_clock: MockClock) -> None:
    """The session that was to wait could not be had; the next one carries the first words of the user too."""
    behaviour = (Behaviour(handshake=Handshake(refuse_status=503)), Behaviour())
    async with rig(TALK, behaviour) as it:
        line = await it.carrier.call(it.engine.url, [Say(At(0.0), ulaw("caller-hello-it")), HangUp(At(4.0))])
        await it.engine.drain()
    assert line is not None
    assert [parked.outcome for parked in it.report.parked] == [ParkingOutcome.DIED]
    assert it.report.session_attempts == 1
    assert bytes(line.sent_audio).startswith(bytes(it.session.session.user_audio))
    assert [entry.text for entry in it.report.transcript] == ["hello?", "Hello."]


async def test_other_calls_notice_nothing_of_one_calls_fault(autojump_clock: MockClock) -> None:
    """I17: three calls at once; the session of the second dies."""
    behaviours = (Behaviour(), Behaviour(endings=(Ending(how=End.CUT, at_s=1.0),)), Behaviour())
    async with rig(TALK, behaviours, agent__first_message="Hello.") as it:
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(it.carrier.call, it.engine.url, (*STEPS, HangUp(At(8.0))))
                await trio.sleep(0.1)
        await it.engine.drain()
    causes = sorted(report.outcome.value for report in it.reports)
    assert causes == ["remote_hung_up", "remote_hung_up", "session_lost"]
    lengths = {report.duration_s for report in it.reports if report.outcome is EndCause.REMOTE_HUNG_UP}
    assert all(abs(length - 8.0) < 0.1 for length in lengths)


async def test_f24_a_silent_line_is_given_up(autojump_clock: MockClock) -> None:
    """F11: half-open: no frames, no close; ended by the socket's own watch."""
    async with rig(TALK, agent__first_message="Hello.") as it:
        with trio.move_on_after(40):
            await it.carrier.call(
                it.engine.url,
                [HangUp(At(2.0))],
                faults=LineFaults(stream_end=StreamEnd.HANG),
                statuses=StatusFaults(sends=False),
            )
        await it.engine.drain()
        nothing_is_left(it)
    assert it.report.outcome is EndCause.LEG_LOST
    assert it.report.carrier_status is None
