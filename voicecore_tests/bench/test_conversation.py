"""The conversation load: two real calls through a real engine, and the search for the most."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import attrs
import pytest

from voicecore.bench.load import limit as limit_search
from voicecore.bench.load.call_log import ProviderAudio
from voicecore.bench.load.carrier_line import Entrance
from voicecore.bench.load.conversation import tables
from voicecore.bench.load.conversation_load import Level, run_level
from voicecore.bench.load.frames import FRAME_S, Faults
from voicecore.bench.load.limit import find_limit, limit_table
from voicecore.bench.load.targets import Target, engine_target, relay_target
from voicecore.bench.report.result import SMALL, BenchmarkFailed, Plan
from voicecore_tests.chance import REAL_TIME

pytestmark = REAL_TIME

TARGETS = [engine_target(), engine_target(ProviderAudio.PCM), relay_target()]


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_two_conversations(target: Target) -> None:
    """Nothing is lost; answers come, are cut, and the clear is seen; every figure is there.

    A machine that stands still for half a second makes a user speak over an answer
    that has not come, or that is over: one of three tries has to be clean.
    """
    tries = (run_level(target, 2, SMALL) for _ in range(3))
    level = next(level for level in tries if level.faults == Faults() and not level.wrong_clears)
    assert (level.missed_barge_ins, level.unknown_requests) == (0, [])
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


@pytest.mark.parametrize(
    ("holds", "found", "fails_with", "because"),
    [
        (57, 57, 59, "to provider: p99 30 ms"),
        (0, 0, 1, "to provider: p99 30 ms"),
        (1000, 400, None, "more than 400 were not tried"),
    ],
)
def test_a_limit_is_found(
    holds: int, found: int, fails_with: int | None, because: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two levels, below the first, or not at all: then nothing "fails with" anything."""
    monkeypatch.setattr(limit_search, "run_level", lambda _, calls, __: level(calls, 0.030 * (calls > holds)))
    limit = find_limit(relay_target(), Plan(), lambda _: None)
    (row,) = limit_table([limit]).rows
    assert (row["calls"], row["fails with"], row["because"]) == (found, fails_with, because)
    assert (row["CPU"] is None) == (found == 0)


def test_the_load_s_own_limit_is_not_the_target_s(monkeypatch: pytest.MonkeyPatch) -> None:
    """The search ends there, and says so."""
    monkeypatch.setattr(limit_search, "run_level", lambda _, calls, __: level(calls, 0.001, load=calls / 200))
    limit = find_limit(relay_target(), Plan(), lambda _: None)
    assert limit.best is not None
    assert (limit.best.calls, limit.fails_with, limit.because) == (200, None, "the load's own limit, at 200 calls")


@pytest.mark.parametrize(
    ("good", "bad", "expected"),
    [(10, 401, 12), (10, 30, 20), (0, 10, 8), (0, 2, 1), (390, 401, 400), (1, 401, 2)],
)
def test_the_next_level_to_try(good: int, bad: int, expected: int) -> None:
    """Up or down by the step while one side is open, then halfway."""
    assert limit_search._next(good, bad, 400, 1.25) == expected


def level(calls: int, delay_s: float, load: float = 0.5) -> Level:
    """Return a level on which nothing went wrong but, maybe, the delay."""
    return Level(
        target="relay",
        calls=calls,
        seconds=1.0,
        cpu_ms=[1.0, 2.0, 3.0],
        memory_kib=1.0,
        to_provider_s=[delay_s],
        first_audio_s=[0.001],
        barge_in_s=[0.001],
        messages={},
        faults=Faults(),
        stale_frames=0.0,
        missed_barge_ins=0,
        wrong_clears=0,
        filled_frames=0.0,
        holes_s=[],
        heard_s=1.0,
        unknown_requests=[],
        lateness_s=[0.0],
        load=load,
        others=0.0,
    )


def test_a_session_in_another_format_is_a_failure() -> None:
    """What the load would compare is not what is said."""
    deceived = attrs.evolve(engine_target(), audio=ProviderAudio.PCM)
    with pytest.raises(BenchmarkFailed, match="a session's input is audio/pcmu, not audio/pcm"):
        run_level(deceived, 1, SMALL)


def test_a_program_that_does_not_start_is_a_failure() -> None:
    """Without a line about its port there is nothing to call."""

    def command(_provider: str, _calls: int) -> Sequence[str]:
        return [sys.executable, "-c", ""]

    with pytest.raises(BenchmarkFailed, match="did not start"):
        run_level(Target(name="nothing", command=command, entrance=Entrance()), 1, SMALL)


def test_a_program_that_opens_no_session_is_a_failure() -> None:
    """It takes the call, and nobody answers."""
    detection_off = Target(
        name="detection off",
        command=lambda _provider, calls: relay_target().command("ws://127.0.0.1:1", calls),
        entrance=Entrance(),
        opening_s=0.3,
    )
    with pytest.raises(BenchmarkFailed, match="opened 0 sessions"):
        run_level(detection_off, 1, SMALL)
