"""One call's trouble stays with that call: whatever is raised, wherever it is raised, the host goes on."""

from __future__ import annotations

import contextlib
import errno
import logging
from collections.abc import Callable
from functools import partial

import pytest
import trio
from trio.testing import MockClock

from voicecore.engine.boundary import contained, guarded
from voicecore.engine.host import Host
from voicecore.errors import (
    CarrierRefused,
    CarrierUnavailable,
    CarrierUncertain,
    ConfigError,
    ConnectionLost,
    EngineBusy,
    LegLost,
    LocalProtocolError,
    ProviderRefused,
    ProviderUnavailable,
    RemoteProtocolError,
    SessionLost,
)
from voicecore.facts import EndCause
from voicecore.simulation.openai_realtime import Recorded, Reply, Script
from voicecore.simulation.twilio import At, HangUp, Say
from voicecore_tests.engine.failing import Result, Trap, run
from voicecore_tests.kit import nothing_is_left, rig, ulaw

FAILURES: dict[str, Callable[[], BaseException]] = {
    "OSError": lambda: OSError(errno.EIO, "Input/output error"),
    "RuntimeError": lambda: RuntimeError("can't start new thread"),
    "ValueError": lambda: ValueError("bad"),
    "TypeError": lambda: TypeError("Integer exceeds 64-bit range"),
    "KeyError": lambda: KeyError("missing"),
    "RecursionError": lambda: RecursionError("maximum recursion depth exceeded"),
    "MemoryError": MemoryError,
    "AssertionError": AssertionError,
    "TimeoutError": TimeoutError,
    "StopIteration": StopIteration,
    "StopAsyncIteration": StopAsyncIteration,
    "group": lambda: ExceptionGroup("several", [ValueError("a"), ExceptionGroup("inner", [KeyError("b")])]),
    "group of ours": lambda: ExceptionGroup("several", [SessionLost("a"), LegLost("b")]),
    "BrokenResourceError": trio.BrokenResourceError,
    "ClosedResourceError": trio.ClosedResourceError,
    "BusyResourceError": trio.BusyResourceError,
    "TooSlowError": trio.TooSlowError,
    "LocalProtocolError": lambda: LocalProtocolError("not now"),
    "RemoteProtocolError": lambda: RemoteProtocolError("odd", peer="peer"),
    "ConnectionLost": lambda: ConnectionLost("gone", peer="peer"),
    "CarrierRefused": lambda: CarrierRefused("no", status=400),
    "CarrierUnavailable": lambda: CarrierUnavailable("nobody there"),
    "CarrierUncertain": lambda: CarrierUncertain("no answer"),
    "LegLost": lambda: LegLost("gone"),
    "ProviderUnavailable": lambda: ProviderUnavailable("nobody there"),
    "ProviderRefused": lambda: ProviderRefused("no", status=401),
    "SessionLost": lambda: SessionLost("gone"),
    "EngineBusy": lambda: EngineBusy("full"),
    "ConfigError": lambda: ConfigError("key", "wrong"),
}

HARMLESS = (
    "dialler.hang_up",
    "recorder.write",
    "store.growing_transcript",
    "store.recorder",
    "store.recorder, leaving",
    "store.save",
    "store.save, later",
    "store.tidy",
    "transcript.append",
)
"""Places whose trouble takes nothing from the call; so do all observers."""

DEADLY = (
    "dialler.dial",
    "dialler.dial, later",
    "leg.receive",
    "leg.send",
    "leg.send_nowait",
    "provider.fingerprint",
    "provider.open_session",
    "provider.open_session, entering",
    "provider.open_session, leaving",
    "session.prove_alive",
    "session.receive",
    "session.send",
    "session.send_nowait",
    "world.random",
    "world.wall_clock",
)
"""Places whose trouble may end the call."""

OBSERVERS = (
    "FirstAudioSent",
    "ResponsePlayed",
    "FirstAudioReceived",
    "FirstAudioHeard",
    "AgentSaid",
    "Answered",
    "CallBegan",
    "CallEnded",
    "UserSaid",
    "UserTurn",
    "Dialling",
    "MarkReceived",
    "SessionParked",
    "SessionReady",
    "TurnEnded",
)
OF_OBSERVERS = tuple(f"observer of {name}" for name in OBSERVERS)


def run_with(trap: Trap) -> Result:
    return trio.run(partial(run, trap), clock=MockClock(autojump_threshold=0))


@pytest.fixture(scope="module")
def healthy() -> Result:
    return run_with(Trap())


def test_every_place_where_the_host_waits_or_asks_is_tried(healthy: Result) -> None:
    """The lists above name all of them: a neighbour's new method, or a new fact, has to be added."""
    assert set(healthy.trap.uses) == {*HARMLESS, *DEADLY, *OF_OBSERVERS}
    assert {report.outcome for report in healthy.reports} == {EndCause.REMOTE_HUNG_UP}
    assert len(healthy.reports) == 3


def check_the_host_lives(trap: Trap, healthy: Result) -> Result:
    """The other call is the same to the byte and the moment, the next one is taken, and nothing is left."""
    outcome = run_with(trap)
    assert trap.sprung
    assert outcome.witness == healthy.witness
    assert [report.outcome for report in outcome.report_of("inbound")] == [EndCause.REMOTE_HUNG_UP] * 2
    assert len(outcome.report_of("outbound")) == (0 if outcome.raised is not None else 1)
    assert (outcome.tasks_left, outcome.sessions_left) == (0, 0)
    assert {report.call_id for report in outcome.reports} == set(outcome.store.saved)
    return outcome


@pytest.mark.parametrize("place", [*HARMLESS, *OF_OBSERVERS])
def test_no_exception_of_store_observer_or_hang_up_takes_anything_from_a_call(place: str, healthy: Result) -> None:
    """Every class of exception at every one of these steps: the call is whole, its record is written."""
    (whole,) = healthy.report_of("outbound")
    for name, failure in FAILURES.items():
        outcome = check_the_host_lives(Trap(place, failure), healthy)
        (report,) = outcome.report_of("outbound")
        assert report == whole, name
        assert outcome.raised is None


@pytest.mark.parametrize("place", DEADLY)
def test_no_exception_at_any_step_of_a_call_reaches_the_host_or_another_call(
    place: str, healthy: Result, caplog: pytest.LogCaptureFixture
) -> None:
    """Every class of exception at every other step, at its first and a later use.

    That call has one cause and one record; what fails it unforeseen is one ERROR with its traceback.
    """
    last = 1 if place == "world.wall_clock" else min(2, healthy.trap.uses[place])  # its second use is the witness's
    for use in {1, last}:
        for failure in FAILURES.values():
            caplog.clear()
            outcome = check_the_host_lives(Trap(place, failure, use), healthy)
            for report in outcome.report_of("outbound"):
                errors = [record for record in caplog.records if record.levelno >= logging.ERROR and record.exc_info]
                assert (report.outcome is not EndCause.FAILED) or len(errors) == 1
            assert outcome.raised is None or place.startswith("world.")


@pytest.mark.parametrize("method", ["incoming", "token_valid", "take_token", "status"])
async def test_a_reception_that_raises_fails_one_request_only(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """Through the carrier's own webhooks and sockets: each class of exception, then a call like any other."""
    steps = (Say(At(0.5), ulaw("caller-hello-it")), HangUp(At(4.0)))
    async with rig(Script(replies=(Reply("Hello.", speech=Recorded("agent-hello")),), hears=("hello?",))) as it:
        healthy = vars(Host)[method]
        for failure in FAILURES.values():

            def fail(*_: object, failure: Callable[[], BaseException] = failure) -> object:
                raise failure()

            monkeypatch.setattr(Host, method, fail)
            with trio.move_on_after(30.0), contextlib.suppress(Exception):  # what the carrier makes of it is its own
                await it.carrier.call(it.engine.url, steps)
            monkeypatch.setattr(Host, method, healthy)
        await trio.sleep(150.0)  # tokens that nobody used
        failed = len(it.reports)
        await it.carrier.call(it.engine.url, steps)
        await it.engine.drain()
        nothing_is_left(it)
    assert len(it.reports) == failed + 1
    assert [line.text for line in it.reports[-1].transcript] == ["hello?", "Hello."]
    assert "Traceback" in caplog.text


async def test_a_failure_beside_a_cancellation_is_logged_and_the_cancellation_passes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Both at once, as a nursery raises them: neither hides the other."""
    failures: list[BaseException] = []

    async def fail_when_cancelled() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            try:
                await trio.sleep_forever()
            finally:
                raise ValueError("on its way out")

    with trio.CancelScope() as scope:
        scope.cancel()
        await contained("a task", fail_when_cancelled, failures.append)
        raise AssertionError("it went on")
    assert scope.cancelled_caught
    assert [str(failure) for failure in failures] == ["on its way out"]
    assert caplog.text.count("a task failed") == 1


async def test_what_is_done_about_a_failure_may_fail_too(caplog: pytest.LogCaptureFixture) -> None:
    """Said, and over."""

    async def fail() -> None:
        await trio.lowlevel.checkpoint()
        raise ValueError("first")

    def fail_again(_: BaseException) -> None:
        raise KeyError("second")

    await contained("a task", fail, fail_again)
    assert guarded("a value", lambda: 1 // 0, 7) == 7
    assert [record.getMessage() for record in caplog.records] == [
        "a task failed",
        "a task, while it was failing, failed",
        "a value failed",
    ]
