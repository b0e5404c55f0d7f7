"""The conversation load: two real calls through a real engine, and the search for the most."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import pytest

from voicecore.bench.carrier_side import Entrance
from voicecore.bench.conversation import Target, engine_target, relay_target, run_level
from voicecore.bench.conversation_limit import find_limit, limit_table
from voicecore.bench.conversation_tables import tables
from voicecore.bench.frames import FRAME_S, Faults
from voicecore.bench.result import SMALL, BenchmarkFailed


@pytest.mark.parametrize("target", [engine_target(), relay_target()], ids=lambda target: target.name)
def test_two_conversations(target: Target) -> None:
    """Nothing is lost; answers come, are cut, and the clear is seen; every figure is there."""
    level = run_level(target, 2, SMALL)
    assert level.faults == Faults()
    assert (level.missed_barge_ins, level.wrong_clears, level.asked_in_vain) == (0, 0, [])
    assert level.stale_frames == 0
    assert level.heard_s > 0.1
    assert len(level.to_provider_s) >= 2 * SMALL.seconds / FRAME_S - 2
    for delays in (level.to_provider_s, level.first_audio_s, level.barge_in_s):
        assert delays
        assert 0 < min(delays) <= max(delays) < 1
    assert min(level.cpu_ms) > 0
    assert level.messages["from_carrier"] >= 45
    for table in tables([level]):
        (row,) = table.rows
        assert row["calls"] == 2


def test_the_search_ends_at_what_was_asked_for() -> None:
    """A small one tries no more calls than the plan has; the table says so."""
    told: list[str] = []
    limit = find_limit(relay_target(), SMALL, told.append)
    assert told
    (row,) = limit_table([limit]).rows
    assert row["calls"] in {0, *range(SMALL.calls[0] + 1)}
    assert row["through"] == "relay"


def test_a_program_that_does_not_start_is_a_failure() -> None:
    """Without a line about its port there is nothing to call."""

    def command(_provider: str, _calls: int) -> Sequence[str]:
        return [sys.executable, "-c", ""]

    with pytest.raises(BenchmarkFailed, match="did not start"):
        run_level(Target(name="nothing", command=command, entrance=Entrance()), 1, SMALL)


def test_a_program_that_opens_no_session_is_a_failure() -> None:
    """It takes the call, and nobody answers."""
    deaf = Target(
        name="deaf",
        command=lambda _provider, calls: relay_target().command("ws://127.0.0.1:1", calls),
        entrance=Entrance(),
        opening_s=0.3,
    )
    with pytest.raises(BenchmarkFailed, match="opened 0 sessions"):
        run_level(deaf, 1, SMALL)
