"""Each end of ours says to the carrier what comes next: it hangs up, or it says the apology; in both directions."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from voicecore.carriers.twilio import TwilioControl
from voicecore.engine.live_call import LiveCall
from voicecore.engine.next_step import NEXT_STEPS
from voicecore.engine.settings import CallSettings, DialOptions, HostSettings, OnVoicemail
from voicecore.errors import LocalProtocolError
from voicecore.facts import CallBegan, EndCause
from voicecore.ports import MachineDetection
from voicecore.simulation.openai_realtime import Behaviour, End, Ending, Handshake, Recorded, Reply, Script
from voicecore.simulation.twilio import (
    AmdCallback,
    At,
    DialPlan,
    HangUp,
    LineFaults,
    Refusal,
    StatusFaults,
    UpdateFaults,
)
from voicecore_tests.kit import Rig, nothing_is_left, rig

HELLO = Script(replies=(Reply("Hello.", speech=Recorded("agent-hello")),))
SORRY = "We are sorry."
NEVER = (HangUp(At(500.0)),)
IDLE: Mapping[str, object] = {"idle__after_ms": 1000, "idle__prompts": 1, "idle__text": "Still there?"}
SHORT = HostSettings(call=CallSettings(max_call_s=3.0))

Placing = Callable[..., Awaitable[None]]


async def inbound(it: Rig, faults: LineFaults | None = None) -> None:
    """The user stays on the line until the other side ends the call."""
    await it.carrier.call(it.engine.url, NEVER, faults=faults)
    await it.engine.drain()


async def outbound(it: Rig, faults: LineFaults | None = None) -> None:
    """And so does the callee."""
    await it.dial(DialPlan(ring_s=1.0, script=NEVER, line=faults or LineFaults()))
    await it.dialled.over.wait()


def heard_of_the_end(it: Rig) -> tuple[EndCause, str, str | None, list[int | None]]:
    """The cause, what the carrier said behind the stream, who ended the line, and the answers of REST updates."""
    (line,) = it.carrier.lines
    updates = [request.status for request in it.carrier.rest_requests if not request.path.endswith("/Calls.json")]
    assert "31921" not in str(it.carrier.violations)
    return it.report.outcome, line.said_after, line.ended_by, updates


def test_every_cause_has_its_next_step() -> None:
    """A new one cannot be forgotten."""
    assert set(NEXT_STEPS) == set(EndCause)


@pytest.mark.parametrize("place", [inbound, outbound])
@pytest.mark.parametrize(
    ("cause", "host", "settings"),
    [(EndCause.USER_SILENT, None, IDLE), (EndCause.TIME_LIMIT, SHORT, {})],
    ids=["silent", "limit"],
)
async def test_an_end_that_we_want_is_a_hang_up_at_the_carrier_and_no_apology(
    autojump_clock: MockClock,
    place: Placing,
    cause: EndCause,
    host: HostSettings | None,
    settings: Mapping[str, object],
) -> None:
    """Requested once, before the stream is closed; it needs no phone number of ours."""
    number = {} if place is outbound else {"carriers__twilio__phone_number": None}
    given: dict[str, Any] = {"carriers__twilio__apology": SORRY, **number, **settings}
    async with rig(HELLO, host=host, agent__first_message="Hello.", **given) as it:
        await place(it)
        nothing_is_left(it)
        assert heard_of_the_end(it) == (cause, "", "rest", [200])
    assert it.report.carrier_status == "completed"


@pytest.mark.parametrize("on_voicemail", [OnVoicemail.HANG_UP, OnVoicemail.LEAVE_MESSAGE])
async def test_a_machine_is_hung_up_on(autojump_clock: MockClock, on_voicemail: OnVoicemail) -> None:
    """At once, or behind its message."""
    options = DialOptions(
        detection=MachineDetection.ASYNC, on_voicemail=on_voicemail, voicemail_message="Call us back."
    )
    async with rig(HELLO, agent__first_message="Hello.", carriers__twilio__apology=SORRY) as it:
        word = "machine_start" if on_voicemail is OnVoicemail.HANG_UP else "machine_end_beep"
        await it.dial(DialPlan(ring_s=1.0, script=NEVER, machine=AmdCallback(word=word)), options=options)
        await it.dialled.over.wait()
        cause = EndCause.MACHINE_ANSWERED if on_voicemail is OnVoicemail.HANG_UP else EndCause.MESSAGE_LEFT
        assert heard_of_the_end(it) == (cause, "", "rest", [200])


async def test_leaving_the_block_of_a_dial_is_a_hang_up_asked_for_once(autojump_clock: MockClock) -> None:
    """Once confirmed, it is not requested again at the end of the call, even if no status ever arrives."""
    plan = DialPlan(ring_s=1.0, script=NEVER, statuses=StatusFaults(sends=False))
    async with rig(HELLO, agent__first_message="Hello.", carriers__twilio__apology=SORRY) as it:
        it.carrier.expect(plan)
        async with it.engine.dial("+15550100077") as call:
            async for fact in call.facts():
                if isinstance(fact, CallBegan):
                    break
        assert heard_of_the_end(it) == (EndCause.HUNG_UP, "", "rest", [200])


@pytest.mark.parametrize("place", [inbound, outbound])
async def test_shutting_down_hangs_up(autojump_clock: MockClock, place: Placing) -> None:
    """Calls that the drain did not see the end of."""
    async with trio.open_nursery() as nursery:
        async with rig(HELLO, agent__first_message="Hello.", carriers__twilio__apology=SORRY) as it:
            nursery.start_soon(leave_to_itself, place, it)
            await trio.sleep(3)
        nursery.cancel_scope.cancel()
    assert heard_of_the_end(it) == (EndCause.SHUT_DOWN, "", "rest", [200])


async def leave_to_itself(place: Placing, it: Rig) -> None:
    with trio.CancelScope():
        await place(it)


@pytest.mark.parametrize("place", [inbound, outbound])
@pytest.mark.parametrize(
    ("cause", "behaviour", "faults"),
    [
        (EndCause.SESSION_REFUSED, Behaviour(handshake=Handshake(refuse_status=401)), None),
        (EndCause.SESSION_UNAVAILABLE, Behaviour(handshake=Handshake(accept_s=None)), None),
        (EndCause.SESSION_LOST, Behaviour(endings=(Ending(how=End.CUT, at_s=4.0),)), None),
        (EndCause.LEG_MISBEHAVED, None, LineFaults(malformed_every=1)),
    ],
    ids=["refused", "unavailable", "lost", "misbehaved"],
)
async def test_a_call_that_cannot_go_on_is_closed_and_the_carrier_says_so(
    autojump_clock: MockClock, place: Placing, cause: EndCause, behaviour: Behaviour | None, faults: LineFaults | None
) -> None:
    """No request to the carrier: the apology follows the stream."""
    async with rig(HELLO, behaviour, agent__first_message="Hello.", carriers__twilio__apology=SORRY) as it:
        await place(it, faults)
        nothing_is_left(it)
        assert heard_of_the_end(it) == (cause, SORRY, "application", [])


@pytest.mark.parametrize("place", [inbound, outbound])
async def test_a_bug_in_a_call_ends_it_with_the_apology(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, place: Placing
) -> None:
    """Whatever went wrong, the user hears something."""
    monkeypatch.setattr(LiveCall, "handle_session", lambda *_: 1 / 0)
    async with rig(HELLO, agent__first_message="Hello.", carriers__twilio__apology=SORRY) as it:
        await place(it)
        assert heard_of_the_end(it) == (EndCause.FAILED, SORRY, "application", [])


@pytest.mark.parametrize("place", [inbound, outbound])
async def test_a_user_who_hangs_up_needs_no_request(autojump_clock: MockClock, place: Placing) -> None:
    """Nothing is left to be ended."""
    async with rig(HELLO, agent__first_message="Hello.", carriers__twilio__apology=SORRY) as it:
        await place(it, LineFaults(ends_at_s=2.0))
        assert heard_of_the_end(it) == (EndCause.REMOTE_HUNG_UP, "", "user", [])


@pytest.mark.parametrize(
    ("faults", "why"),
    [
        (UpdateFaults(refuse=Refusal(status=503)), "HTTP status 503"),
        (UpdateFaults(answer_s=60.0), "did not answer in time"),
    ],
    ids=["refused", "silent"],
)
async def test_a_carrier_that_does_not_hang_up_costs_a_bounded_moment_and_a_line(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, faults: UpdateFaults, why: str
) -> None:
    """Then the media are closed all the same: better the wrong words than an open line."""
    async with rig(HELLO, host=SHORT, agent__first_message="Hello.", carriers__twilio__apology=SORRY) as it:
        it.carrier.disturb_updates(faults)
        began_at = trio.current_time()
        await it.carrier.call(it.engine.url, NEVER)
        assert trio.current_time() - began_at < 7.5
        await it.engine.drain()
        nothing_is_left(it)
    (line,) = it.carrier.lines
    assert (it.report.outcome, line.said_after) == (EndCause.TIME_LIMIT, SORRY)
    (said,) = [record.getMessage() for record in caplog.records if "could not be hung up" in record.getMessage()]
    assert why in said


@pytest.mark.parametrize(
    ("refusal", "requests"), [(Refusal(status=404, code=20404), 1), (Refusal(status=400, code=21220), 1)]
)
async def test_a_hang_up_that_finds_the_call_over_is_one(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, refusal: Refusal, requests: int
) -> None:
    """The user was quicker: requested once, and not reported."""
    async with rig(HELLO, host=SHORT, agent__first_message="Hello.") as it:
        it.carrier.disturb_updates(UpdateFaults(refuse=refusal))
        await it.dial(DialPlan(ring_s=1.0, script=NEVER, statuses=StatusFaults(sends=False)))
        updates = [request for request in it.carrier.rest_requests if not request.path.endswith("/Calls.json")]
    assert len(updates) == requests
    assert "hung up" not in caplog.text


@pytest.mark.parametrize("failure", [ZeroDivisionError("a bug"), OSError("no sockets"), LocalProtocolError("no form")])
@pytest.mark.parametrize("place", [inbound, outbound])
async def test_a_bug_in_hanging_up_costs_its_own_call_only(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, place: Placing, failure: Exception
) -> None:
    """The record is kept, the media are closed, and the engine takes the next call."""

    async def fails(_self: TwilioControl, _carrier_call_id: str) -> None:
        raise failure

    monkeypatch.setattr(TwilioControl, "hang_up", fails)
    async with rig(HELLO, host=SHORT, agent__first_message="Hello.") as it:
        if place is outbound:
            await outbound(it)
        await inbound(it)
        nothing_is_left(it)
    assert {report.outcome for report in it.reports} == {EndCause.TIME_LIMIT}
    assert len(it.records()) == len(it.reports) == (2 if place is outbound else 1)
