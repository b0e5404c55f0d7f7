"""Idle prompts: silence is a function of the states, and one deadline is computed anew at each event."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicecore.errors import ConfigError
from voicecore.turns.idle import Idle, IdlePolicy, IdleStep, ThenIdle

TICK_S = 0.001
POLICY = IdlePolicy(after_s=8.0, prompts=2)
STAYS = attrs.evolve(POLICY, then=ThenIdle.STAY)


def quiet_since(now: float, policy: IdlePolicy | None = POLICY) -> Idle:
    idle = Idle(policy)
    idle.notice(quiet=True, now=now)
    return idle


def prompt(idle: Idle, now: float) -> IdleStep | None:
    """Let the silence end in whatever it leads to, and that be said and over; it is quiet again at ``now`` + 9."""
    step = idle.expire(now + 8.0)
    idle.notice(quiet=False, now=now + 8.0)
    idle.notice(quiet=True, now=now + 9.0)
    return step


@pytest.mark.parametrize(
    ("beside_s", "prompts"), [(-8.0, False), (-TICK_S, False), (0.0, True), (TICK_S, True)], ids=str
)
def test_d23_silence_leads_to_a_prompt_at_its_deadline(beside_s: float, prompts: bool) -> None:
    """At once, a tick before it, at it and a tick after it."""
    idle = quiet_since(5.0)
    assert idle.deadline() == 13.0
    assert idle.expire(13.0 + beside_s) is (IdleStep.PROMPT if prompts else None)
    assert idle.prompted == int(prompts)


def test_d23_a_prompt_is_made_once() -> None:
    """The silence is over with it; another one has to begin."""
    idle = quiet_since(0.0)
    assert idle.expire(8.0) is IdleStep.PROMPT
    assert (idle.deadline(), idle.expire(8.0), idle.expire(99.0)) == (None, None, None)
    idle.notice(quiet=True, now=8.0)  # the prompt was lost
    assert idle.deadline() == 16.0


def test_d23_the_deadline_counts_from_the_last_moment_that_was_not_quiet() -> None:
    """Each event computes it anew: what goes on takes it away, and what goes on being quiet does not move it."""
    idle = quiet_since(0.0)
    idle.notice(quiet=True, now=3.0)
    assert idle.deadline() == 8.0
    idle.notice(quiet=False, now=7.0)
    assert (idle.deadline(), idle.expire(8.0), idle.expire(60.0)) == (None, None, None)
    idle.notice(quiet=True, now=60.0)
    assert idle.deadline() == 68.0


def test_d23_time_that_passes_while_somebody_speaks_does_not_count() -> None:
    """Also where it was quiet for almost long enough before."""
    idle = quiet_since(0.0)
    idle.notice(quiet=False, now=8.0 - TICK_S)
    idle.notice(quiet=True, now=8.0)
    assert (idle.expire(16.0 - TICK_S), idle.expire(16.0)) == (None, IdleStep.PROMPT)


def test_nothing_is_due_before_it_is_quiet() -> None:
    """A call begins with neither."""
    assert (Idle(POLICY).deadline(), Idle(POLICY).expire(99.0)) == (None, None)


def test_without_a_policy_nobody_is_prompted() -> None:
    """Silence is waited out."""
    idle = quiet_since(0.0, None)
    assert (idle.deadline(), idle.expire(99.0), idle.prompted) == (None, None, 0)


def test_d23_prompts_are_counted_and_then_the_user_is_given_up() -> None:
    """In real silence, twice: two prompts, and the end at the third deadline; nothing after it."""
    idle = quiet_since(0.0)
    steps = [prompt(idle, now) for now in (0.0, 9.0, 18.0, 27.0)]
    assert steps == [IdleStep.PROMPT, IdleStep.PROMPT, IdleStep.GIVE_UP, None]
    assert idle.deadline() is None


def test_a_policy_that_stays_prompts_no_more_and_hangs_up_never() -> None:
    """The line is left open, in silence."""
    idle = quiet_since(0.0, STAYS)
    assert [prompt(idle, now) for now in (0.0, 9.0, 18.0, 27.0)] == [IdleStep.PROMPT, IdleStep.PROMPT, None, None]
    assert idle.deadline() is None


@pytest.mark.parametrize("policy", [POLICY, STAYS], ids=["hangs up", "stays"])
@pytest.mark.parametrize("before", [1, 2, 3])
def test_a_user_who_acts_is_prompted_anew(policy: IdlePolicy, before: int) -> None:
    """However many prompts there were, also after all of them."""
    idle = quiet_since(0.0, policy)
    for number in range(before):
        prompt(idle, number * 9.0)
    idle.user_acted()
    idle.notice(quiet=False, now=100.0)
    idle.notice(quiet=True, now=101.0)
    assert (idle.prompted, idle.deadline()) == (0, 109.0)
    assert [prompt(idle, now) for now in (101.0, 110.0)] == [IdleStep.PROMPT] * 2


@pytest.mark.parametrize("wrong", [{"after_s": 0.0}, {"prompts": 0}, {"text": ""}], ids=str)
def test_policies_without_time_prompts_or_words_are_refused(wrong: dict[str, float | str]) -> None:
    """They would prompt always, never, or with nothing."""
    with pytest.raises(ConfigError, match="must "):
        IdlePolicy(**wrong)  # type: ignore[arg-type]


EVENTS = st.tuples(st.sampled_from(["quiet", "busy", "acted", "time"]), st.sampled_from([0.0, 1.0, 7.875, 8.0, 20.0]))


@given(st.lists(EVENTS, max_size=60), st.sampled_from(ThenIdle), st.integers(1, 3))
def test_d23_idle_follows_from_the_events_since_it_was_last_not_quiet(
    events: list[tuple[str, float]], then: ThenIdle, prompts: int
) -> None:
    """Against the same rule, said of the whole history: no prompt at a wrong time, and none is missing."""
    idle = Idle(IdlePolicy(after_s=8.0, prompts=prompts, then=then))
    now, began, count = 0.0, None, 0
    for event, after_s in events:
        now += after_s
        if event == "time":
            due = began is not None and count <= prompts and now - began >= 8.0
            step = idle.expire(now)
            count += due
            began = None if due else began
            last = IdleStep.GIVE_UP if then is ThenIdle.HANG_UP else None
            assert step is ((IdleStep.PROMPT if count <= prompts else last) if due else None)
        elif event == "acted":
            idle.user_acted()
            count = 0
        else:
            idle.notice(quiet=event == "quiet", now=now)
            began = None if event == "busy" else now if began is None else began
        expected = None if began is None or count > prompts else began + 8.0
        assert (idle.deadline(), idle.prompted) == (expected, count)
