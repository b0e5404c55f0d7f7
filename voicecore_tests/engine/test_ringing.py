"""The time before the media: forward only, and every phase has its deadline and its cause."""

from __future__ import annotations

import itertools

import pytest

from voicecore.engine.ringing import OUTCOMES, Ringing, RingPhase
from voicecore.engine.settings import DialOptions
from voicecore.facts import EndCause
from voicecore.ports import MachineDetection
from voicecore.statuses import CarrierStatus

OPTIONS = DialOptions(ring_timeout_s=30, queue_s=100.0, grace_s=10.0, media_s=15.0, verdict_s=35.0)


@pytest.mark.parametrize(
    ("phase", "wait_s", "cause"),
    [
        (RingPhase.UNCERTAIN, 40.0, EndCause.DIAL_UNCERTAIN),
        (RingPhase.PLACED, 140.0, EndCause.RING_TIMEOUT),
        (RingPhase.RINGS, 40.0, EndCause.RING_TIMEOUT),
        (RingPhase.ANSWERED, 15.0, EndCause.MEDIA_NEVER_CAME),
    ],
)
def test_every_phase_has_its_deadline_and_its_cause(phase: RingPhase, wait_s: float, cause: EndCause) -> None:
    """Counted from when it was reached."""
    ringing = Ringing.placed_by_us(0.0, OPTIONS)
    assert ringing.deadline == 140.0
    assert ringing.reach(phase, 5.0)
    assert (ringing.deadline, ringing.cause) == (5.0 + wait_s, cause)


def test_f1_phases_go_forward_only_in_every_order_of_statuses() -> None:
    """Callbacks overtake each other: what is behind changes nothing."""
    statuses = [CarrierStatus.QUEUED, CarrierStatus.INITIATED, CarrierStatus.RINGING, CarrierStatus.IN_PROGRESS]
    for order in itertools.permutations([*statuses, CarrierStatus.RINGING]):
        ringing = Ringing.placed_by_us(0.0, OPTIONS)
        phases = [ringing.phase.value]
        for moment, status in enumerate(order):
            ringing.status(status, float(moment))
            phases.append(ringing.phase.value)
        assert phases == sorted(phases)
        assert ringing.deadline == order.index(CarrierStatus.IN_PROGRESS) + 15.0


def test_detection_before_the_media_gives_them_more_time() -> None:
    """The stream waits for the verdict."""
    before = DialOptions(detection=MachineDetection.SYNC, media_s=15.0, verdict_s=35.0)
    ringing = Ringing.placed_by_us(0.0, before)
    ringing.reach(RingPhase.ANSWERED, 0.0)
    assert ringing.deadline == 50.0


def test_of_an_incoming_call_only_the_media_are_awaited() -> None:
    """No status moves that."""
    ringing = Ringing.incoming(0.0, 120.0)
    assert not ringing.status(CarrierStatus.RINGING, 5.0)
    assert (ringing.deadline, ringing.cause) == (120.0, EndCause.MEDIA_NEVER_CAME)


def test_every_terminal_status_has_an_outcome() -> None:
    """Also for unknown statuses."""
    assert set(OUTCOMES) == {status for status in CarrierStatus if status.is_terminal}
