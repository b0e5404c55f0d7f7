"""Before the media: every state has a limit with its cause, and carriers' statuses move a call forward only."""

from __future__ import annotations

import itertools

import pytest

from voicecore.engine.agent import Agent
from voicecore.engine.call_origin import CARRIER_MOVES, DIAL_OUTCOMES, CallOrigin, Inbound, Outbound
from voicecore.engine.call_state import AWAITS_MEDIA, CallMove, CallState
from voicecore.engine.hosted_call import HostedCall
from voicecore.engine.settings import DialOptions
from voicecore.facts import EndCause
from voicecore.ports import MachineDetection
from voicecore.statuses import CarrierStatus

OPTIONS = DialOptions(ring_timeout_s=30, queue_s=100.0, grace_s=10.0, media_s=15.0, verdict_s=35.0)


def hosted(origin: CallOrigin) -> HostedCall:
    return HostedCall(
        call_id="call_1",
        caller="+1",
        callee="+2",
        agent=Agent(instructions="Be brief."),
        started_at="2026-01-01T09:00:00+00:00",
        announced_at=0.0,
        token="token",
        origin=origin,
    )


@pytest.mark.parametrize(
    ("move", "wait_s", "cause"),
    [
        (CallMove.UNCLEAR, 40.0, EndCause.DIAL_UNCERTAIN),
        (CallMove.QUEUED, 140.0, EndCause.RING_TIMEOUT),
        (CallMove.RANG, 40.0, EndCause.RING_TIMEOUT),
        (CallMove.ANSWERED, 15.0, EndCause.MEDIA_NEVER_CAME),
    ],
)
def test_every_state_before_the_media_has_its_limit_and_its_cause(
    move: CallMove, wait_s: float, cause: EndCause
) -> None:
    """Counted from when it was reached: a moment before it nothing happens, at it the call ends."""
    call = hosted(Outbound(options=OPTIONS))
    assert call.limit_at == 140.0
    assert call.advance(move, 5.0)
    assert call.limit_at == 5.0 + wait_s
    call.expire(call.limit_at - 0.001)
    assert not call.has_ended
    call.expire(call.limit_at)
    assert call.ending is not None
    assert (call.ending.cause, call.ending.at) == (cause, call.limit_at)


def test_a_doubt_is_named_where_it_ended_the_call_and_nowhere_else() -> None:
    """The carrier's unclear answer explains a call of which nothing more was heard."""
    for move, detail in ((CallMove.UNCLEAR, "no answer in time"), (CallMove.RANG, "")):
        call = hosted(Outbound(options=OPTIONS, doubt="no answer in time"))
        call.advance(move, 0.0)
        call.expire(call.limit_at)
        assert call.ending is not None
        assert call.ending.detail == detail


def test_f1_states_go_forward_only_in_every_order_of_statuses() -> None:
    """Callbacks overtake each other: one that comes late changes nothing."""
    places = list(CallState)
    statuses = [CarrierStatus.QUEUED, CarrierStatus.INITIATED, CarrierStatus.RINGING, CarrierStatus.IN_PROGRESS]
    for order in itertools.permutations([*statuses, CarrierStatus.RINGING]):
        call = hosted(Outbound(options=OPTIONS))
        seen = [places.index(call.state)]
        for moment, status in enumerate(order):
            call.advance(CARRIER_MOVES[status], float(moment))
            seen.append(places.index(call.state))
        assert seen == sorted(seen)
        assert call.state is CallState.ANSWERED
        assert call.limit_at == order.index(CarrierStatus.IN_PROGRESS) + 15.0


def test_detection_before_the_media_gives_them_more_time() -> None:
    """The stream waits for the result."""
    options = DialOptions(detection=MachineDetection.SYNC, media_s=15.0, verdict_s=35.0)
    call = hosted(Outbound(options=options))
    call.advance(CallMove.ANSWERED, 0.0)
    assert call.limit_at == 50.0


def test_of_an_incoming_call_only_the_media_are_waited_for() -> None:
    """No status changes that."""
    call = hosted(Inbound(media_s=120.0))
    assert not call.advance(CallMove.RANG, 5.0)
    call.expire(120.0)
    assert call.ending is not None
    assert call.ending.cause is EndCause.MEDIA_NEVER_CAME


@pytest.mark.parametrize("origin", [Inbound(media_s=15.0), Outbound(options=OPTIONS)])
def test_exactly_the_states_that_wait_for_media_have_a_limit(origin: CallOrigin) -> None:
    """A call with media ends by its own deadlines; states that the other direction has do not count."""
    others = {CallState.ANNOUNCED} if isinstance(origin, Outbound) else AWAITS_MEDIA - {CallState.ANNOUNCED}
    assert {state for state in CallState if origin.limit(state)} == AWAITS_MEDIA - others


def test_every_status_says_something() -> None:
    """Words that nobody knows, too."""
    assert set(DIAL_OUTCOMES) == {status for status in CarrierStatus if status.is_terminal}
    assert set(CARRIER_MOVES) == {status for status in CarrierStatus if not status.is_terminal}
