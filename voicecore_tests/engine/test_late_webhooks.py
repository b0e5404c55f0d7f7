"""Webhooks that come late, again, or together: one call, one session, one record; for a call that is over, nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
import trio
from trio.testing import MockClock

from voicecore.facts import EndCause, ParkingOutcome
from voicecore.simulation.openai_realtime import Recorded, Reply, Script
from voicecore.simulation.twilio import At, HangUp, StatusFaults, WebhookFaults
from voicecore_tests.kit import Rig, nothing_is_left, rig

HELLO = Script(replies=(Reply("Hello.", speech=Recorded("agent-hello")),))
SHORT = (HangUp(At(3.0)),)


async def post(it: Rig, path: str, call_sid: str, status: str) -> bytes:
    """Deliver one signed webhook of a call."""
    account = it.carrier.account
    fields = {
        "CallSid": call_sid,
        "AccountSid": account.account_sid,
        "From": account.caller,
        "To": account.callee,
        "CallStatus": status,
    }
    answer = await it.carrier.post(f"{it.engine.url}/twilio/{path}", fields, None)
    assert answer.status in {200, 204}
    return answer.body


@pytest.mark.parametrize("times", [2, 5])
async def test_f8_deliveries_at_the_same_moment_make_one_call_and_one_record(
    autojump_clock: MockClock, times: int
) -> None:
    """Each is offered the same stream; it is used once."""
    async with rig(HELLO, agent__first_message="Hello.") as it:
        line = await it.carrier.call(it.engine.url, SHORT, webhooks=WebhookFaults(voice_times=times))
        await it.engine.drain()
        nothing_is_left(it)
    assert line is not None
    assert (it.report.outcome, len(it.records()), len(it.provider.connections)) == (EndCause.REMOTE_HUNG_UP, 1, 1)


@pytest.mark.parametrize("status", ["completed", "busy", "failed", "no-answer", "canceled"])
async def test_a_voice_webhook_that_calls_its_call_over_opens_nothing(autojump_clock: MockClock, status: str) -> None:
    """The number's status callback may have the voice address."""
    async with rig(HELLO, agent__first_message="Hello.") as it:
        assert b"<Hangup" in await post(it, "voice", "CA1", status)
        await trio.sleep(1)
        assert (it.provider.connections, it.engine.statistics().ringing) == ([], 0)
    assert it.records() == []


@pytest.mark.parametrize("status", ["ringing", "in-progress", "completed"])
@pytest.mark.parametrize("after_s", [0.0, 1.0, 600.0])
async def test_a_webhook_of_a_call_that_was_filed_opens_nothing(
    autojump_clock: MockClock, after_s: float, status: str
) -> None:
    """However often it is delivered; nothing of it is counted, parked or kept."""
    async with rig(HELLO, agent__first_message="Hello.") as it:
        line = await it.carrier.call(it.engine.url, SHORT)
        assert line is not None
        while not it.reports:  # noqa: ASYNC110  (virtual time)
            await trio.sleep(0.01)
        await trio.sleep(after_s)
        for _ in range(3):
            assert b"<Stream" not in await post(it, "voice", line.call_sid, status)
        await trio.sleep(1)
        assert it.engine.statistics().ringing == 0
        nothing_is_left(it)
    assert (len(it.records()), len(it.provider.connections)) == (1, 1)


async def test_a_webhook_between_the_end_and_the_record_opens_nothing(autojump_clock: MockClock) -> None:
    """The record waits for the carrier's last word; meanwhile the first one comes again."""
    async with rig(HELLO, agent__first_message="Hello.") as it:
        line = await it.carrier.call(it.engine.url, SHORT, statuses=StatusFaults(sends=False))
        assert line is not None
        await trio.sleep(1)
        assert b"<Stream" not in await post(it, "voice", line.call_sid, "ringing")
        await it.engine.drain()
    assert (len(it.records()), len(it.provider.connections)) == (1, 1)


async def test_a_webhook_of_a_running_call_changes_nothing(autojump_clock: MockClock) -> None:
    """It gets the answer that the first one got; the stream that would come of it is refused."""
    async with rig(HELLO, agent__first_message="Hello.") as it:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(it.carrier.call, it.engine.url, SHORT)
            await trio.sleep(1)
            (call,) = it.carrier.inbound
            assert b"<Stream" in await post(it, "voice", call.answered_sid, "ringing")
        await it.engine.drain()
    assert (it.report.outcome, len(it.records()), len(it.provider.connections)) == (EndCause.REMOTE_HUNG_UP, 1, 1)


async def test_f1_a_status_that_overtakes_the_first_webhook_counts(autojump_clock: MockClock) -> None:
    """The user was quick, and a proxy slow: the call is over before we hear that it rang."""
    async with rig(HELLO, agent__first_message="Hello.") as it:
        await post(it, "status", "CA1", "completed")
        assert b"<Stream" not in await post(it, "voice", "CA1", "ringing")
        assert (it.provider.connections, it.records()) == ([], [])


@pytest.mark.parametrize("order", [("voice", "status"), ("status", "voice")])
async def test_a_first_webhook_and_the_last_at_the_same_moment_leave_nothing(
    autojump_clock: MockClock, order: tuple[str, str]
) -> None:
    """One record at most, and no session that stays."""
    words = {"voice": "ringing", "status": "completed"}
    async with rig(HELLO, agent__first_message="Hello.") as it:
        async with trio.open_nursery() as nursery:
            for path in order:
                nursery.start_soon(post, it, path, "CA1", words[path])
        await it.engine.drain()
        nothing_is_left(it)
    assert len(it.records()) <= 1
    assert {report.outcome for report in it.reports} <= {EndCause.REMOTE_HUNG_UP}


Word = Callable[[Rig], Awaitable[object]]


async def no_word(_it: Rig) -> None:
    await trio.lowlevel.checkpoint()


async def its_end(it: Rig) -> None:
    await trio.sleep(4.0)
    await post(it, "status", "CA1", "completed")


async def its_end_at_the_voice_address(it: Rig) -> None:
    await trio.sleep(4.0)
    await post(it, "voice", "CA1", "completed")


@pytest.mark.parametrize(
    ("word", "within_s", "outcome"),
    [
        (no_word, 17.0, EndCause.MEDIA_NEVER_CAME),
        (its_end, 5.0, EndCause.REMOTE_HUNG_UP),
        (its_end_at_the_voice_address, 5.0, EndCause.REMOTE_HUNG_UP),
    ],
    ids=["no word", "status", "voice"],
)
async def test_a_call_whose_stream_never_comes_lets_its_session_go(
    autojump_clock: MockClock, word: Word, within_s: float, outcome: EndCause
) -> None:
    """Within seconds of the carrier's word, and within a bound without it; its place is free again as well."""
    async with rig(HELLO, agent__first_message="Hello.") as it:
        began_at = trio.current_time()
        await post(it, "voice", "CA1", "ringing")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(word, it)
            while it.engine.statistics().ringing:  # noqa: ASYNC110  (virtual time)
                await trio.sleep(0.05)
            assert trio.current_time() - began_at < within_s
            assert it.engine.statistics().parked.waiting == 0
            assert all(connection.ended.is_set() for connection in it.provider.connections)
        await it.engine.drain()
    assert (it.report.outcome, [parked.outcome for parked in it.report.parked]) == (outcome, [ParkingOutcome.HUNG_UP])
