"""What carriers report: in any order, late and repeated, it moves a call forward once, and its observers with it."""

from __future__ import annotations

import itertools

import pytest
from trio.testing import MockClock

from voicecore.engine.agent import Agent
from voicecore.engine.call_at_carrier import CallAtCarrier
from voicecore.engine.call_origin import CallOrigin, Inbound, Outbound
from voicecore.engine.call_registry import CallRegistry
from voicecore.engine.call_state import CallState
from voicecore.engine.carrier_reports import CarrierReports
from voicecore.engine.fact_dispatcher import FactDispatcher
from voicecore.engine.hosted_call import HostedCall
from voicecore.engine.settings import DialOptions, OnVoicemail
from voicecore.facts import AmdDecided, Answered, EndCause, Fact, Ringing
from voicecore.ports import AmdResult, MachineDetection, StatusReport
from voicecore.statuses import AnsweredBy, CarrierStatus
from voicecore_tests.engine.failing import WITNESS, Trap, TrappedLeg


class Scene:
    """One call, and everything that its observers were notified of."""

    def __init__(self, origin: CallOrigin) -> None:
        self.now = 0.0
        self.facts: list[Fact] = []
        self.registry = CallRegistry(1)
        dispatcher = FactDispatcher([lambda _, fact: self.facts.append(fact)], lambda: self.now)
        self.reports = CarrierReports(self.registry, dispatcher, lambda: self.now)
        self.hosted = HostedCall(
            call_id="call_1",
            caller="+1",
            callee="+2",
            agent=Agent(instructions="Be brief."),
            started_at="2026-01-01T09:00:00+00:00",
            announced_at=0.0,
            token="token",
            origin=origin,
            at_carrier=CallAtCarrier(ids=["CA1"]),
        )
        assert self.registry.enter(self.hosted)

    def status(self, status: CarrierStatus) -> None:
        self.now += 1.0
        self.reports.status(StatusReport(carrier_call_id="CA1", status=status, word=status.value))

    def amd(self, answered_by: AnsweredBy) -> AmdResult:
        return AmdResult(call_id="call_1", carrier_call_id="CA1", answered_by=answered_by, word=answered_by.value)

    @property
    def kinds(self) -> list[type[Fact]]:
        return [type(fact) for fact in self.facts]


def test_a_call_that_is_queued_does_not_ring() -> None:
    """Observers learn that it rings when it does."""
    scene = Scene(Outbound(options=DialOptions()))
    scene.status(CarrierStatus.QUEUED)
    assert (scene.hosted.state, scene.kinds) == (CallState.QUEUED, [])
    scene.status(CarrierStatus.INITIATED)
    scene.status(CarrierStatus.RINGING)
    assert (scene.hosted.state, scene.kinds) == (CallState.RINGING, [Ringing])


def test_f1_whatever_order_statuses_come_in_each_fact_is_passed_on_once() -> None:
    """And never Ringing after Answered."""
    statuses = [CarrierStatus.QUEUED, CarrierStatus.INITIATED, CarrierStatus.RINGING, CarrierStatus.IN_PROGRESS]
    for order in itertools.permutations([*statuses, CarrierStatus.IN_PROGRESS]):
        scene = Scene(Outbound(options=DialOptions()))
        for status in order:
            scene.status(status)
        assert scene.kinds in ([Answered], [Ringing, Answered])
        assert scene.hosted.state is CallState.ANSWERED


@pytest.mark.parametrize(
    ("origin", "cause"),
    [(Inbound(media_s=15.0), EndCause.REMOTE_HUNG_UP), (Outbound(options=DialOptions()), EndCause.MEDIA_NEVER_CAME)],
)
def test_a_terminal_status_before_the_media_ends_the_call_by_its_direction(origin: CallOrigin, cause: EndCause) -> None:
    """A caller who gave up, or an answer that led to nothing; what comes later changes nothing."""
    scene = Scene(origin)
    scene.status(CarrierStatus.COMPLETED)
    scene.status(CarrierStatus.RINGING)
    assert scene.hosted.ending is not None
    assert (scene.hosted.ending.cause, scene.hosted.ending.at, scene.kinds) == (cause, 1.0, [])


def test_only_the_first_result_of_machine_detection_counts() -> None:
    """A second one would change course twice."""
    options = DialOptions(detection=MachineDetection.ASYNC, on_voicemail=OnVoicemail.HANG_UP)
    scene = Scene(Outbound(options=options))
    scene.reports.amd_result(scene.amd(AnsweredBy.HUMAN))
    scene.reports.amd_result(scene.amd(AnsweredBy.MACHINE_GREETING))
    assert not scene.hosted.has_ended
    assert scene.kinds == [AmdDecided]


def test_an_incoming_call_is_neither_answered_by_a_machine_nor_asked_about() -> None:
    """Whatever a confused carrier says."""
    scene = Scene(Inbound(media_s=15.0))
    assert scene.reports.answered(scene.amd(AnsweredBy.MACHINE_GREETING)) is None
    assert (scene.hosted.state, scene.kinds) == (CallState.ANNOUNCED, [])


def test_who_asks_about_a_call_that_has_ended_is_to_hang_up() -> None:
    """Also while something of it still runs."""
    scene = Scene(Outbound(options=DialOptions()))
    assert scene.reports.answered(scene.amd(AnsweredBy.HUMAN)) == "token"
    scene.hosted.end(EndCause.HUNG_UP, "", 1.0)
    assert scene.reports.answered(scene.amd(AnsweredBy.HUMAN)) is None


async def test_media_that_come_after_the_end_do_not_bring_a_call_back(autojump_clock: MockClock) -> None:
    """In each state from the end on."""
    hosted = Scene(Inbound(media_s=15.0)).hosted
    hosted.end(EndCause.HUNG_UP, "", 1.0)
    leg = TrappedLeg(WITNESS, "CA1", Trap())
    for after in (hosted.release_media, lambda: hosted.stop(2.0), hosted.file):
        before = hosted.state
        hosted.media_came(leg)
        assert hosted.state is before
        after()
    assert (hosted.state, hosted.runs) == (CallState.FILED, False)
