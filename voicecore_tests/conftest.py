"""What holds for all tests: chance is in hand."""

from __future__ import annotations

import pytest

from voicecore_tests.chance import register_profiles, seed_trio

register_profiles()


@pytest.fixture(autouse=True)
def _trio_is_seeded() -> None:
    """Whatever ran before, a test meets the same choices of Trio's."""
    seed_trio()
