"""A user hangs up: status, stop, close and reset in every order and number leave one record with one content."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from trio.testing import MockClock

from voicecore.facts import EndCause
from voicecore.simulation.openai_realtime import Behaviour, End, Ending, Recorded, Reply, Script
from voicecore.simulation.twilio import At, DialPlan, HangUp, LineFaults, Say, StatusFaults, StreamEnd
from voicecore_tests.kit import Rig, nothing_is_left, rig, ulaw

TALK = Script(replies=(Reply("Hello.", speech=Recorded("agent-hello")),) * 2, hears=("hello?",))
STEPS = (Say(At(1.5), ulaw("caller-hello-it")), HangUp(At(7.0)))
NEVER = (HangUp(At(500.0)),)

FIRST = [StatusFaults(completed_before_stop_s=ahead_s) for ahead_s in (0.0, 0.05, 0.2, 1.9)]
BETWEEN = [StatusFaults(completed_before_close_s=ahead_s) for ahead_s in (0.0, 0.05, 1.9)]
LAST = [StatusFaults(), StatusFaults(late_s=0.2), StatusFaults(late_s=1.5)]
ORDERS = [
    (stream_end, status)
    for stream_end, statuses in (
        (StreamEnd.STOP, [*FIRST, *BETWEEN, *LAST, StatusFaults(late_s=5.0)]),
        (StreamEnd.CLOSE, [*FIRST, *LAST]),
        (StreamEnd.CUT, [*FIRST, *LAST]),
    )
    for status in statuses
]


def told(statuses: StatusFaults) -> str:
    """When the terminal status comes, for a test's name."""
    if statuses.completed_before_stop_s is not None:
        return f"status-{statuses.completed_before_stop_s}-before"
    if statuses.completed_before_close_s is not None:
        return f"status-{statuses.completed_before_close_s}-between"
    return f"status-{statuses.late_s}-behind"


def content(record: Any) -> Any:
    """A record without what differs between any two calls: times, sizes and ids."""
    if isinstance(record, dict):
        dropped = {"call_id", "carrier_call_id", "session_id", "started_at", "item_id", "items", "response_id", "media"}
        return {name: content(value) for name, value in record.items() if name not in dropped and name[-2:] != "_s"}
    if isinstance(record, list):
        return [content(each) for each in record]
    return None if isinstance(record, float) else record


async def inbound(it: Rig, stream_end: StreamEnd, statuses: StatusFaults) -> None:
    await it.carrier.call(it.engine.url, STEPS, faults=LineFaults(stream_end=stream_end), statuses=statuses)
    await it.engine.drain()


async def outbound(it: Rig, stream_end: StreamEnd, statuses: StatusFaults) -> None:
    await it.dial(DialPlan(ring_s=1.0, script=STEPS, line=LineFaults(stream_end=stream_end), statuses=statuses))


async def record_of(place: Any, stream_end: StreamEnd, statuses: StatusFaults) -> Any:
    async with rig(TALK, agent__first_message="Hello.") as it:
        await place(it, stream_end, statuses)
        nothing_is_left(it)
    (record,) = it.records()
    return record


PLAIN: dict[Any, Any] = {}


async def plain_content(place: Any) -> Any:
    """The content of the plain order, made once."""
    if place not in PLAIN:
        PLAIN[place] = content(await record_of(place, StreamEnd.STOP, StatusFaults()))
    return PLAIN[place]


@pytest.mark.parametrize("place", [inbound, outbound])
@pytest.mark.parametrize(("stream_end", "statuses"), ORDERS, ids=lambda each: getattr(each, "value", "") or told(each))
async def test_i14_a_hang_up_is_one_record_with_one_content_in_every_order(
    autojump_clock: MockClock, place: Any, stream_end: StreamEnd, statuses: StatusFaults
) -> None:
    """As that of the plain order: stop, close, status."""
    plain = await plain_content(place)
    assert (plain["outcome"], plain["outcome_detail"], plain["carrier_status"]) == ("remote_hung_up", "", "completed")
    assert [line["text"] for line in plain["transcript"]] == ["Hello.", "hello?", "Hello."]
    assert content(await record_of(place, stream_end, statuses)) == plain


@pytest.mark.parametrize("place", [inbound, outbound])
@pytest.mark.parametrize(("repeats", "is_reversed"), [(2, False), (3, True)])
async def test_i14_repeated_and_reversed_statuses_change_nothing(
    autojump_clock: MockClock, place: Any, repeats: int, is_reversed: bool
) -> None:
    """With a stop, and with a reset."""
    faults = StatusFaults(repeats=repeats, reversed=is_reversed)
    records = [
        content(await record_of(place, stream_end, faults))
        for stream_end in StreamEnd
        if stream_end is not StreamEnd.HANG
    ]
    assert all(a == b for a, b in itertools.pairwise(records))
    assert records[0]["outcome"] == "remote_hung_up"


@pytest.mark.parametrize("goodbye", [StreamEnd.CLOSE, StreamEnd.CUT])
async def test_a_stream_that_breaks_off_without_any_word_is_lost(autojump_clock: MockClock, goodbye: StreamEnd) -> None:
    """Nothing says that the remote side hung up."""
    record = await record_of(inbound, goodbye, StatusFaults(sends=False))
    assert (record["outcome"], record["carrier_status"]) == ("leg_lost", None)


@pytest.mark.parametrize("place", ["inbound", "outbound"])
async def test_a_stream_that_is_lost_in_a_call_that_goes_on_is_no_hang_up(
    autojump_clock: MockClock, place: str
) -> None:
    """The carrier says the apology, and then that the call is over: the cause is the stream."""
    broken = LineFaults(breaks_at_s=4.0)
    async with rig(TALK, agent__first_message="Hello.") as it:
        if place == "inbound":
            line = await it.carrier.call(it.engine.url, NEVER, faults=broken)
        else:
            await it.dial(DialPlan(ring_s=1.0, script=NEVER, line=broken))
            line = it.dialled.line
        await it.engine.drain()
        nothing_is_left(it)
    assert line is not None
    assert line.said_after != ""
    assert (it.report.outcome, it.report.carrier_status) == (EndCause.LEG_LOST, "completed")


@pytest.mark.parametrize("place", ["inbound", "outbound"])
async def test_without_an_apology_a_stream_that_is_lost_ends_the_call_and_is_the_cause(
    autojump_clock: MockClock, place: str
) -> None:
    """The carrier reports at once that the call is over, as after a hang-up, but there was no stop."""
    broken = LineFaults(breaks_at_s=4.0)
    async with rig(TALK, agent__first_message="Hello.", carriers__twilio__apology="") as it:
        if place == "inbound":
            await it.carrier.call(it.engine.url, NEVER, faults=broken)
        else:
            await it.dial(DialPlan(ring_s=1.0, script=NEVER, line=broken))
        await it.engine.drain()
        nothing_is_left(it)
    assert (it.report.outcome, it.report.carrier_status) == (EndCause.LEG_LOST, "completed")


@pytest.mark.parametrize("stream_end", [StreamEnd.STOP, StreamEnd.CLOSE, StreamEnd.CUT])
async def test_without_an_apology_a_hang_up_that_the_carrier_has_told_first_is_one(
    autojump_clock: MockClock, stream_end: StreamEnd
) -> None:
    """By its status or by a stop, whatever becomes of the stream."""
    statuses = StatusFaults() if stream_end is StreamEnd.STOP else StatusFaults(completed_before_stop_s=0.05)
    async with rig(TALK, agent__first_message="Hello.", carriers__twilio__apology="") as it:
        await inbound(it, stream_end, statuses)
    assert it.report.outcome is EndCause.REMOTE_HUNG_UP


@pytest.mark.parametrize("how", [End.CUT, End.IDLE])
async def test_a_session_that_dies_behind_the_carriers_last_word_changes_nothing(
    autojump_clock: MockClock, how: End
) -> None:
    """The call was over: what happens in the two seconds of waiting for the stop is no cause."""
    behaviour = Behaviour(endings=(Ending(how=how, at_s=8.0),))
    async with rig(TALK, behaviour, agent__first_message="Hello.") as it:
        statuses = StatusFaults(completed_before_stop_s=1.9)
        await it.carrier.call(it.engine.url, STEPS, statuses=statuses)
        await it.engine.drain()
    assert it.report.outcome is EndCause.REMOTE_HUNG_UP
