"""The REST interface: who may ask, what is answered, how calls are ended, and what goes wrong on purpose."""

from __future__ import annotations

import math
import re

import pytest
import trio
from trio.testing import MockClock

from voicecore.simulation.memory_network import LinkSettings
from voicecore.simulation.twilio import At, DialPlan, HangUp, Pickup, Refusal
from voicecore.simulation.twilio.rest import RestRequest
from voicecore_tests.kit import CancelAtStep, living_tasks, run_seeded
from voicecore_tests.simulation.twilio.kit import (
    ACCOUNT,
    AUTH,
    CALLEE,
    CALLS,
    NUMBER,
    Office,
    http,
    office,
    until,
)

SOON = DialPlan(script=[HangUp(At(1.0))])


async def test_a_call_is_created_as_queued_and_can_be_fetched(autojump_clock: MockClock) -> None:
    """201 with Twilio's fields; a fetch shows where the call is."""
    async with office() as it:
        it.carrier.expect(DialPlan(queue_s=1.0, ring_s=5.0, script=[HangUp(At(2.0))]))
        status, created = await it.ask("POST", f"{CALLS}.json", it.form())
        assert (status, created["status"], created["direction"]) == (201, "queued", "outbound-api")
        assert (created["from"], created["to"]) == (NUMBER, CALLEE)
        assert re.fullmatch("CA[0-9a-f]{32}", created["sid"])
        seen = [(await it.fetch(created["sid"]))[1]["status"]]
        for seconds in (2.0, 4.0, 3.0):
            await trio.sleep(seconds)
            seen.append((await it.fetch(created["sid"]))[1]["status"])
        assert seen == ["queued", "ringing", "in-progress", "completed"]
        assert (await it.fetch(created["sid"]))[1]["duration"] == "2"


@pytest.mark.parametrize("auth", [(AUTH[0], "wrong"), ("AC0", AUTH[1]), ("", ""), (AUTH[0], "µ")])
async def test_nobody_else_may_ask(autojump_clock: MockClock, auth: tuple[str, str]) -> None:
    """401 with 20003; nothing rings."""
    async with office() as it:
        status, error = await it.ask("POST", f"{CALLS}.json", it.form(), auth)
        assert (status, error["code"], error["status"]) == (401, 20003, 401)
    assert it.carrier.dials == []


@pytest.mark.parametrize(
    "path",
    ["/2010-04-01/Accounts/ACffffffffffffffffffffffffffffffff/Calls.json", f"{CALLS}/CA{'0' * 32}.json"],
)
async def test_what_does_not_exist_is_not_found(autojump_clock: MockClock, path: str) -> None:
    """404 with 20404, for another's account and for a call that never was."""
    async with office() as it:
        form = it.form() if path.endswith("Calls.json") else [("Status", "completed")]
        status, error = await it.ask("POST", path, form)
        assert (status, error["code"]) == (404, 20404)
        assert error["more_info"].endswith("/20404")
    assert it.carrier.violations == []


async def test_a_request_that_twilio_would_not_take_is_refused_and_kept(autojump_clock: MockClock) -> None:
    """400, a violation, and no call."""
    async with office() as it:
        status, error = await it.ask("POST", f"{CALLS}.json", it.form(("Colour", "red")))
        assert (status, error["code"]) == (400, 21200)
    assert it.carrier.violations == ["21200: the parameter 'Colour' is unknown, or not simulated by this twin"]
    assert (it.carrier.dials, [request.status for request in it.carrier.rest_requests]) == ([], [400])


async def test_every_request_stands_in_the_ledger(autojump_clock: MockClock) -> None:
    """With its moment, its form with repeated parameters, and the status of its answer."""
    async with office() as it:
        it.carrier.expect(SOON)
        call_sid = await it.dial()
        await it.carrier.dials[0].over.wait()
        await it.fetch(call_sid)
    create, fetch = it.carrier.rest_requests
    assert (create.method, create.path, create.status) == ("POST", f"{CALLS}.json", 201)
    assert list(create.form["StatusCallbackEvent"]) == ["initiated", "ringing", "answered", "completed"]
    assert fetch == RestRequest(fetch.at, "GET", f"{CALLS}/{call_sid}.json", {}, 200)
    assert create.at < fetch.at
    assert it.carrier.dials[0].request.form == create.form


# --- hanging up --------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["completed", "canceled"])
async def test_a_ringing_call_is_canceled(autojump_clock: MockClock, word: str) -> None:
    """By either word, at once; the phone stops ringing."""
    async with office() as it:
        it.carrier.expect(DialPlan(ring_s=20.0))
        call_sid = await it.dial()
        await trio.sleep(3.0)
        assert (await it.update(call_sid, word))[1]["status"] == "canceled"
        await it.carrier.dials[0].over.wait()
    assert it.app.statuses == ["initiated", "ringing", "canceled"]
    assert (it.carrier.dials[0].ended_by, it.app.streams) == ("rest", [])


async def test_a_call_in_the_queue_is_canceled_before_anything_rings(autojump_clock: MockClock) -> None:
    """The phone never hears of it."""
    async with office() as it:
        it.carrier.expect(DialPlan(queue_s=20.0))
        await it.update(await it.dial(), "completed")
        await it.carrier.dials[0].over.wait()
    assert (it.app.statuses, it.carrier.dials[0].rang) == (["canceled"], 0)


async def test_a_live_call_is_completed_and_its_stream_stopped(autojump_clock: MockClock) -> None:
    """And what stands behind the stream is not spoken."""
    async with office() as it:
        call_sid = await it.dial(("Twiml", it.app.twiml("<Say>Never heard.</Say>")), without=["Twiml"])
        await until(lambda: bool(it.app.streams))
        assert (await it.update(call_sid, "completed"))[0] == 200
        await it.carrier.dials[0].over.wait()
        assert (await it.fetch(call_sid))[1]["status"] == "completed"
    assert it.app.events == ["connected", "start", "stop", "closed"]
    (line,) = it.carrier.lines
    assert (it.carrier.dials[0].ended_by, line.ended_by, line.said_after) == ("rest", "rest", "")


async def test_a_call_that_is_ended_while_its_stream_closes_says_nothing_more(autojump_clock: MockClock) -> None:
    """An application that closes and hangs up at once does not want the words behind the stream."""
    async with office(LinkSettings(delay_s=0.2)) as it:
        it.app.closes_after_s = 2.0
        call_sid = await it.dial(("Twiml", it.app.twiml("<Say>Never heard.</Say>")), without=["Twiml"])
        await until(lambda: any(line.ended_by == "application" for line in it.carrier.lines))
        (line,) = it.carrier.lines
        assert not line.over.is_set()
        it.carrier.dials[0].complete()
        await it.carrier.dials[0].over.wait()
        assert (await it.fetch(call_sid))[1]["status"] == "completed"
    assert line.said_after == ""


async def test_canceling_does_not_touch_a_live_call(autojump_clock: MockClock) -> None:
    """It ends calls that are queued or ringing."""
    async with office() as it:
        it.carrier.expect(DialPlan(script=[HangUp(At(3.0))]))
        call_sid = await it.dial()
        await until(lambda: bool(it.app.streams))
        status, call = await it.update(call_sid, "canceled")
        assert (status, call["status"]) == (200, "in-progress")
        await it.carrier.dials[0].over.wait()
    assert it.carrier.dials[0].ended_by == "callee"


async def test_a_call_that_has_ended_cannot_be_ended(autojump_clock: MockClock) -> None:
    """400 with 21220; it is nobody's fault."""
    async with office() as it:
        it.carrier.expect(DialPlan(end=Pickup.BUSY))
        call_sid = await it.dial()
        await it.carrier.dials[0].over.wait()
        status, error = await it.update(call_sid, "completed")
        assert (status, error["code"]) == (400, 21220)
    assert (it.carrier.violations, it.app.statuses[-1]) == ([], "busy")


@pytest.mark.parametrize("form", [[], [("Status", "ended")], [("Twiml", "<Response/>")], [("Status", "completed")] * 2])
async def test_an_update_is_read_strictly(autojump_clock: MockClock, form: list[tuple[str, str]]) -> None:
    """Status, once, completed or canceled; redirecting is not played."""
    async with office() as it:
        status, error = await it.ask("POST", f"{CALLS}/{await it.dial()}.json", form)
        assert (status, error["code"]) == (400, 21200)
        assert len(it.carrier.violations) == 1


# --- what goes wrong on purpose ----------------------------------------------------------


async def test_a_refusal_is_answered_so_many_times(autojump_clock: MockClock) -> None:
    """Then the same plan goes on; nothing rang before."""
    async with office() as it:
        refusal = Refusal(status=429, code=20429, times=2)
        it.carrier.expect([DialPlan(refuse=refusal, end=Pickup.BUSY), SOON])
        answers = [await it.ask("POST", f"{CALLS}.json", it.form()) for _ in range(3)]
        assert [status for status, _ in answers] == [429, 429, 201]
        assert answers[0][1]["code"] == 20429
        await it.carrier.dials[0].over.wait()
    assert (it.app.statuses[-1], it.carrier.dials[0].rang, it.carrier.violations) == ("busy", 1, [])


async def test_a_refusal_may_be_for_ever(autojump_clock: MockClock) -> None:
    """For this number; the next plan is for the next one."""
    async with office() as it:
        it.carrier.expect([DialPlan(refuse=Refusal(status=400, code=21211)), SOON])
        statuses = [(await it.ask("POST", f"{CALLS}.json", it.form()))[0] for _ in range(5)]
        assert statuses == [400] * 5
        await it.dial_through(("To", "+15550100078"), without=["To"])
    assert [dialled.status for dialled in it.carrier.dials] == ["completed"]


async def test_a_plan_may_be_chosen_by_the_request(autojump_clock: MockClock) -> None:
    """By number, or by anything that was asked for."""
    async with office() as it:
        it.carrier.expect(lambda request: DialPlan(end=Pickup.BUSY) if request.to == CALLEE else SOON)
        await it.dial_through()
        await it.dial_through(("To", "+15550100078"), without=["To"])
    assert [dialled.status for dialled in it.carrier.dials] == ["busy", "completed"]


async def test_an_answer_may_come_late(autojump_clock: MockClock) -> None:
    """The call does not wait for it: it is answered before its CallSid is known."""
    async with office() as it:
        it.carrier.expect(DialPlan(ring_s=1.0, answer_s=3.0, script=[HangUp(At(10.0))]))
        began_at = trio.current_time()
        _, created = await it.ask("POST", f"{CALLS}.json", it.form())
        assert trio.current_time() - began_at == pytest.approx(3.0)
        assert it.app.statuses == ["initiated", "ringing", "in-progress"]
        assert created["status"] == "queued"


async def test_an_answer_may_never_come(autojump_clock: MockClock) -> None:
    """The phone rings all the same; the ledger has no status."""
    async with office() as it:
        it.carrier.expect(DialPlan(answer_s=math.inf, end=Pickup.BUSY))
        with trio.move_on_after(30.0) as waited:
            await it.dial()
        assert waited.cancelled_caught
    assert (it.app.statuses[-1], it.carrier.rest_requests[0].status) == ("busy", None)


async def test_an_answer_may_be_lost(autojump_clock: MockClock) -> None:
    """The connection is closed without a byte, and the phone rings."""
    async with office() as it:
        it.carrier.expect(DialPlan(answer_lost=True, script=[HangUp(At(1.0))]))
        form = "To=%2B15550100077&From=%2B15550100002&Twiml=%3CResponse%2F%3E"
        assert await http(it.simulated.world, "POST", f"{it.api}{CALLS}.json", form, AUTH) == (0, "")
        await it.carrier.dials[0].over.wait()
    assert (it.carrier.dials[0].rang, it.carrier.dials[0].status) == (1, "completed")


async def test_a_call_may_come_under_another_id(autojump_clock: MockClock) -> None:
    """Callbacks and stream say the other one; it is found under both."""
    async with office() as it:
        it.carrier.expect(DialPlan(switches_id=True))
        answered_sid = await it.dial()
        await until(lambda: bool(it.app.streams))
        (dialled,) = it.carrier.dials
        assert dialled.call_sid != dialled.answered_sid == answered_sid
        assert it.app.streams[0]["callSid"] == it.app.came("/status")[0]["CallSid"] == dialled.call_sid
        assert (await it.fetch(dialled.call_sid))[1]["sid"] == answered_sid
        await it.update(answered_sid, "completed")
        await dialled.over.wait()
    assert dialled.ended_by == "rest"


async def test_phones_that_ring_twice_are_counted(autojump_clock: MockClock) -> None:
    """By number: what an application that asks again in doubt would do."""
    async with office() as it:
        it.carrier.expect(DialPlan(end=Pickup.BUSY))
        for _ in range(2):
            await it.dial_through()
    assert [dialled.rang for dialled in it.carrier.dials] == [2, 2]


async def test_leaving_ends_every_call(autojump_clock: MockClock) -> None:
    """In whatever state: no task, no socket, no callback is left."""
    async with office() as it:
        it.carrier.expect([DialPlan(queue_s=100.0), DialPlan(ring_s=50.0), DialPlan(ring_s=0.5)])
        for _ in range(3):
            await it.dial()
        await until(lambda: bool(it.app.streams))
    assert list(living_tasks()) == []
    assert [dialled.status for dialled in it.carrier.dials] == ["queued", "ringing", "in-progress"]


def test_a_call_cut_off_at_any_step_leaves_nothing() -> None:
    """Placing, ringing, fetching TwiML, streaming, detecting, ending: every third step of any task."""
    steps = _cut_off(10**9)
    assert steps > 200
    for step in range(1, steps, 3):
        _cut_off(step)


def _cut_off(step: int) -> int:
    """Run one short call and cancel it at a step; return how many there were. `office` looks at what is left."""

    async def scenario() -> int:
        offices: list[Office] = []  # none when it is cancelled while it opens
        with trio.CancelScope() as scope:
            instrument = CancelAtStep(scope, step)
            trio.lowlevel.add_instrument(instrument)
            async with office() as it:
                offices.append(it)
                it.carrier.expect(DialPlan(ring_s=0.1, script=[HangUp(At(0.1))]))
                amd = [("MachineDetection", "Enable"), ("AsyncAmd", "true"), ("AsyncAmdStatusCallback", it.app.url)]
                await it.dial_through(("Url", f"{it.app.url}/voice"), *amd, without=["Twiml"])
        trio.lowlevel.remove_instrument(instrument)
        for it in offices:
            assert it.simulated.network.open_streams == 0
            assert all(dialled.over.is_set() for dialled in it.carrier.dials)
        assert list(living_tasks()) == []
        return instrument.steps

    return run_seeded(scenario)


async def test_the_ledger_shows_no_form_when_printed() -> None:
    """TwiML carries media tokens."""
    request = RestRequest(0.0, "POST", f"{CALLS}.json", {"Twiml": ["planted-token"]})
    assert ACCOUNT.auth_token.reveal() not in repr(ACCOUNT)
    assert "planted-token" not in repr(request)
