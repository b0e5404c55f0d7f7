"""Statuses of carriers: ranked, and terminal when in doubt."""

from __future__ import annotations

from voicecore.statuses import CarrierStatus


def test_a_calls_life_rises_to_one_terminal_rank() -> None:
    """What rings later never takes back what was answered."""
    life = [CarrierStatus.QUEUED, CarrierStatus.INITIATED, CarrierStatus.RINGING, CarrierStatus.IN_PROGRESS]
    assert [status.rank() for status in life] == [0, 1, 2, 3]
    terminal = set(CarrierStatus) - set(life)
    assert {status.rank() for status in terminal} == {4}
    assert all(status.is_terminal for status in terminal)
    assert not any(status.is_terminal for status in life)


def test_f3_an_unknown_word_is_terminal() -> None:
    """Of two mistakes the one that ends."""
    assert CarrierStatus.UNKNOWN.is_terminal
