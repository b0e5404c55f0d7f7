"""Behind a clear: orders for the session wait until it is on the wire, for a moment at most, and in sequence."""

from __future__ import annotations

import pytest

from voicecore.engine.clear_barrier import ClearBarrier
from voicecore.events import CancelResponse, DeleteItem, SessionOrder

ORDERS: list[SessionOrder] = [CancelResponse("r1"), DeleteItem("i1")]


def test_without_a_clear_nothing_waits() -> None:
    """The generation of a call that never cleared is 0."""
    barrier = ClearBarrier()
    barrier.watch(0, 1.0)
    assert (barrier.deadline, barrier.stop(ORDERS[0])) == (None, False)


def test_orders_wait_for_the_clear_and_go_in_sequence() -> None:
    """Once; what comes after it goes at once."""
    barrier = ClearBarrier()
    barrier.watch(1, 1.0)
    assert [barrier.stop(order) for order in ORDERS] == [True, True]
    assert barrier.written(1) == ORDERS
    barrier.watch(1, 2.0)
    assert (barrier.deadline, barrier.stop(ORDERS[0]), barrier.written(1)) == (None, False, [])


def test_a_carrier_that_does_not_read_delays_them_for_a_moment() -> None:
    """Counted from the first moment: another clear meanwhile does not prolong it."""
    barrier = ClearBarrier()
    barrier.watch(1, 1.0)
    barrier.stop(ORDERS[0])
    barrier.watch(2, 1.2)
    assert barrier.deadline == pytest.approx(1.25)
    assert barrier.expire(1.24) == []
    assert barrier.expire(1.25) == [ORDERS[0]]
    assert barrier.deadline is None
