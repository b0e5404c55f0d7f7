"""The host: every accepted call ends in one report with one cause, whatever order its ends come in."""

from __future__ import annotations

import json
from functools import partial

import pytest
import trio
import trio.lowlevel
from trio.testing import MockClock

from voicecore.assembly import open_engine
from voicecore.engine.settings import CallSettings, HostSettings
from voicecore.facts import CallBegan, CallEnded, EndCause, Fact
from voicecore.net.http.client import open_http_client
from voicecore.simulation.openai_realtime import RealtimeTwin, Recorded, Reply, Script
from voicecore.simulation.twilio import At, HangUp, LineFaults, Say, StatusFaults, StreamEnd, open_twilio
from voicecore.simulation.twilio.signing import sign
from voicecore.simulation.world import simulated_world
from voicecore_tests.kit import rig, run_seeded, settings, ulaw

HELLO = Script(replies=(Reply("Hello.", speech=Recorded("agent-hello")),), hears=("hello?",))
STEPS = (Say(At(1.5), ulaw("caller-hello-it")), HangUp(At(4.0)))


@pytest.mark.parametrize(
    "statuses",
    [
        StatusFaults(),
        StatusFaults(repeats=3),
        StatusFaults(reversed=True),
        StatusFaults(reversed=True, repeats=2),
        StatusFaults(completed_before_stop_s=0.05),
        StatusFaults(completed_before_stop_s=0.2, repeats=2),
    ],
    ids=["plain", "repeated", "reversed", "reversed-repeated", "early", "early-repeated"],
)
async def test_f1_every_order_of_status_and_stop_gives_the_same_record(
    autojump_clock: MockClock, statuses: StatusFaults
) -> None:
    """I14: one record, with the last turn in it, the same in every field that is not a time."""
    async with rig(HELLO, agent__first_message="Hello.") as it:
        await it.carrier.call(it.engine.url, STEPS, statuses=statuses)
        await it.engine.drain()
    (record,) = it.records()
    assert (record["outcome"], record["carrier_status"]) == ("remote_hung_up", "completed")
    assert [line["text"] for line in record["transcript"]] == ["Hello.", "hello?", "Hello."]
    assert record["caller"] == "+15550100001"


async def test_a_record_without_a_last_word_of_the_carrier_is_closed_in_bound(autojump_clock: MockClock) -> None:
    """CH never comes: ten seconds after the stop, and marked by the missing status."""
    async with rig(HELLO) as it:
        await it.carrier.call(it.engine.url, [HangUp(At(1.0))], statuses=StatusFaults(sends=False))
        await trio.sleep(9.0)
        assert it.reports == []
        await trio.sleep(2.0)
    assert (it.report.outcome, it.report.carrier_status) == (EndCause.REMOTE_HUNG_UP, None)


async def test_f11_the_terminal_status_ends_a_call_whose_stream_never_stops(autojump_clock: MockClock) -> None:
    """Two seconds after the carrier said that it is over."""
    async with rig(HELLO) as it:
        with trio.move_on_after(10):
            await it.carrier.call(
                it.engine.url,
                [HangUp(At(1.0))],
                faults=LineFaults(stream_end=StreamEnd.HANG),
                statuses=StatusFaults(completed_before_stop_s=0.0),
            )
        await it.engine.drain()
    assert it.report.outcome is EndCause.REMOTE_HUNG_UP
    assert 2.9 < it.report.duration_s < 3.2


async def test_a_call_whose_media_never_come_is_closed_when_its_token_expires(autojump_clock: MockClock) -> None:
    """The webhook was answered; no stream was opened."""
    async with rig(HELLO, host=HostSettings(token_s=30.0)) as it:
        await ring(it.engine.url, it.simulated.world.network, "CA1")
        assert it.engine.statistics().ringing == 1
        await trio.sleep(31.0)
    assert (it.report.outcome, it.report.duration_s) == (EndCause.MEDIA_NEVER_CAME, 30.0)


@pytest.mark.parametrize("status", ["no-answer", "busy", "failed", "canceled", "completed", "a-new-word"])
async def test_f3_a_terminal_status_before_any_media_ends_the_call(autojump_clock: MockClock, status: str) -> None:
    """A phantom call is worse than an ended one; unknown words are terminal too."""
    async with rig(HELLO) as it:
        await ring(it.engine.url, it.simulated.world.network, "CA1")
        await ring(it.engine.url, it.simulated.world.network, "CA1", status)
        await it.engine.drain()
    assert it.report.outcome is EndCause.REMOTE_HUNG_UP
    assert it.report.carrier_status == status
    assert it.report.duration_s < 1.0


async def ring(url: str, network: object, call_sid: str, status: str | None = None) -> bytes:
    """Post one signed webhook: a voice request, or a status."""
    target = f"{url}/twilio/{'status' if status else 'voice'}"
    fields = {
        "CallSid": call_sid,
        "AccountSid": "AC1",
        "From": "+15550100001",
        "To": "+15550100002",
        "CallStatus": status or "ringing",
    }
    async with open_http_client(network) as http:  # type: ignore[arg-type]
        headers = {"X-Twilio-Signature": sign("voicecore-test-token", target, fields)}
        answer = await http.post_form(target, fields, headers=headers)
    assert answer.status in {200, 204}
    return answer.body


async def test_j11_beyond_its_limit_a_host_answers_busy(autojump_clock: MockClock) -> None:
    """Running calls go on; a call beyond the limit is rejected at once."""
    async with rig(HELLO, host=HostSettings(max_calls=1)) as it:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(it.carrier.call, it.engine.url, STEPS)
            await trio.sleep(1)
            assert await it.carrier.call(it.engine.url, STEPS) is None
        await it.engine.drain()
    assert len(it.reports) == 1


async def test_draining_takes_no_more_calls_and_waits_for_those_that_run(autojump_clock: MockClock) -> None:
    """F20: one end fact and one record a call, then the host is done."""
    async with rig(HELLO, agent__first_message="Hello.") as it:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(it.carrier.call, it.engine.url, STEPS)
            await trio.sleep(1)
            nursery.start_soon(it.engine.drain)
            await trio.sleep(0.1)
            assert await it.carrier.call(it.engine.url, STEPS) is None
        assert it.engine.statistics().filed == 1
    assert it.report.outcome is EndCause.REMOTE_HUNG_UP


async def test_draining_waits_a_few_seconds_for_the_media_of_announced_calls(autojump_clock: MockClock) -> None:
    """A call whose stream arrives meanwhile runs to its end; one without a stream ends, with its record."""
    async with rig(HELLO, agent__first_message="Hello.") as it:
        await ring(it.engine.url, it.simulated.world.network, "CA1")
        began_at = trio.current_time()
        await it.engine.drain()
        assert 2.5 < trio.current_time() - began_at < 4.0
    assert (it.report.outcome, it.report.outcome_detail) == (
        EndCause.SHUT_DOWN,
        "its media had not come when the engine was stopped",
    )
    async with rig(HELLO, agent__first_message="Hello.") as it, trio.open_nursery() as nursery:
        nursery.start_soon(it.carrier.call, it.engine.url, STEPS)
        while not it.engine.statistics().ringing:
            await trio.lowlevel.checkpoint()
        await it.engine.drain()
    assert it.report.outcome is EndCause.REMOTE_HUNG_UP


async def test_draining_does_not_wait_for_statuses_of_calls_that_are_over(autojump_clock: MockClock) -> None:
    """Half a second for the carrier's last word, not ten; with nothing to wait for, none at all."""
    async with rig(HELLO) as it:
        await it.carrier.call(it.engine.url, [HangUp(At(1.0))], statuses=StatusFaults(sends=False))
        began_at = trio.current_time()
        await it.engine.drain()
        assert trio.current_time() - began_at <= 0.6
        await it.engine.drain()
        assert trio.current_time() - began_at <= 0.6
    assert (it.report.outcome, len(it.records())) == (EndCause.REMOTE_HUNG_UP, 1)


async def test_leaving_the_engine_ends_running_calls_with_one_record_each(autojump_clock: MockClock) -> None:
    """Shut down: the cause says so, and the files are whole."""
    async with trio.open_nursery() as nursery, rig(HELLO, agent__first_message="Hello.") as it:
        for _ in range(3):
            nursery.start_soon(it.carrier.call, it.engine.url, STEPS)
        await trio.sleep(2)
        nursery.cancel_scope.cancel()
    assert {report.outcome for report in it.reports} == {EndCause.SHUT_DOWN}
    assert len(it.records()) == 3


async def test_an_observer_that_raises_changes_nothing(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """UC: a callback never ends a call; what it did is logged."""
    simulated, seen = simulated_world(), []

    def broken(_call_id: str, fact: Fact) -> None:
        seen.append(type(fact))
        raise RuntimeError("the observer's own bug")

    async with (
        RealtimeTwin(simulated.world, HELLO).serve() as base_url,
        open_engine(settings(base_url), world=simulated.world, observers=[broken]) as engine,
        open_twilio(simulated.world) as carrier,
    ):
        await carrier.call(engine.url, STEPS)
        await engine.drain()
    assert CallBegan in seen
    assert seen[-1] is CallEnded
    assert "the observer's own bug" in caplog.text


async def test_f18_a_bug_in_one_call_is_reported_once_and_ends_that_call_only(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The boundary: its cause is FAILED, its record is there, the next call is fine."""
    from voicecore.engine.live_call import LiveCall  # noqa: PLC0415

    healthy = LiveCall.handle_session

    async with rig(HELLO, agent__first_message="Hello.") as it:
        monkeypatch.setattr(LiveCall, "handle_session", lambda *_: 1 / 0)
        await it.carrier.call(it.engine.url, STEPS)
        monkeypatch.setattr(LiveCall, "handle_session", healthy)
        await it.carrier.call(it.engine.url, STEPS)
        await it.engine.drain()
    assert [report.outcome for report in it.reports] == [EndCause.FAILED, EndCause.REMOTE_HUNG_UP]
    assert it.reports[0].outcome_detail == "ZeroDivisionError"
    assert caplog.text.count("Traceback") >= 1
    assert len(it.records()) == 2


async def test_the_calls_own_limit_ends_it(autojump_clock: MockClock) -> None:
    """F11: a maximum length, with its own cause."""
    host = HostSettings(call=CallSettings(max_call_s=3.0))
    async with rig(HELLO, host=host) as it:
        await it.carrier.call(it.engine.url, [HangUp(At(60.0))])
        await it.engine.drain()
    assert (it.report.outcome, it.report.duration_s) == (EndCause.TIME_LIMIT, 3.0)


def test_i23_the_same_seed_gives_the_same_call() -> None:
    """Ids, times, bytes: everything that was sent and received, and the record, twice alike."""

    async def run(seed: int) -> tuple[object, ...]:
        async with rig(HELLO, seed=seed, agent__first_message="Hello.") as it:
            line = await it.carrier.call(it.engine.url, STEPS)
            await it.engine.drain()
        assert line is not None
        return tuple(line.ledger), json.dumps(it.records()), it.simulated.world.random.random()

    first, again, other = (run_seeded(partial(run, seed)) for seed in (1, 1, 2))
    assert first == again
    assert first[2] != other[2]
