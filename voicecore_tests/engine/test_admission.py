"""Whether a host takes calls: never again once it has stopped."""

from __future__ import annotations

import itertools

from voicecore.engine.admission import NEXT_ADMISSION, AdmissionMove, AdmissionState


def test_every_pair_is_listed_and_nothing_opens_a_host_again() -> None:
    """Draining after a shutdown changes nothing, however often it is asked for."""
    pairs = {(state, move) for state, row in NEXT_ADMISSION.items() for move in row}
    assert pairs == set(itertools.product(AdmissionState, AdmissionMove))
    places = list(AdmissionState)
    for state, row in NEXT_ADMISSION.items():
        assert all(places.index(after) >= places.index(state) for after in row.values())
    assert AdmissionState.OPEN not in {after for row in NEXT_ADMISSION.values() for after in row.values()}
