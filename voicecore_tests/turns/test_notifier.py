"""Problems in bounds: whatever peers call them, and however many there are."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from voicecore.facts import ProblemSeen
from voicecore.turns.notifier import (
    MESSAGE_CHARS,
    NAME_CHARS,
    NAMES_LIMIT,
    NAMES_OF_KIND_LIMIT,
    NOT_TOLD,
    REPORTED_LIMIT,
    REPORTED_S,
    Notifier,
    Problems,
)

NAMES = st.text(max_size=3) | st.text(min_size=90, max_size=200) | st.text(max_size=3).map("notice: {}".format)


def told(notifier: Notifier, names: list[str], now: float = 0.0) -> list[ProblemSeen]:
    facts = [notify.fact for name in names for notify in notifier.problem(name, "words", now)]
    return [fact for fact in facts if isinstance(fact, ProblemSeen)]


def test_a_problem_is_told_once_and_counted_always() -> None:
    """By its name."""
    notifier = Notifier(0.0)
    assert [fact.code for fact in told(notifier, ["a", "b", "a", "a"])] == ["a", "b"]
    assert dict(notifier.problems) == {"a": 3, "b": 1}


def test_names_of_one_kind_do_not_crowd_out_others() -> None:
    """20,000 events of unheard-of types are sixteen names and the rest; a real error keeps its own."""
    notifier = Notifier(0.0)
    told(notifier, [f"notice: unheard.of.{number}" for number in range(20_000)])
    told(notifier, ["rate_limit_exceeded", "notice: unheard.of.3"])
    assert len(notifier.problems) == NAMES_OF_KIND_LIMIT + 2
    assert notifier.problems["notice: other"] == 20_000 - NAMES_OF_KIND_LIMIT
    assert notifier.problems["rate_limit_exceeded"] == 1
    assert notifier.problems["notice: unheard.of.3"] == 2


def test_a_name_is_short_and_printable() -> None:
    """A megabyte of a peer's words, line breaks included."""
    notifier = Notifier(0.0)
    (fact,) = told(notifier, ["x\n" * 500_000])
    (name,) = notifier.problems
    assert fact.code == name
    assert len(name) <= NAME_CHARS
    assert "\n" not in name
    (long,) = [notify.fact for notify in notifier.problem("y", "m" * 10_000, 0.0)]
    assert isinstance(long, ProblemSeen)
    assert len(long.message) == MESSAGE_CHARS + 1


def test_at_most_twenty_are_told_a_minute_and_the_rest_as_one() -> None:
    """Whenever they come; none is swallowed."""
    notifier = Notifier(0.0)
    moments: list[tuple[float, object]] = []
    for step in range(60):
        now = step * 3.0
        moments += [(now, fact) for fact in told(notifier, [f"{step}", f"{step}b"], now)]
    moments += [(180.0, notify.fact) for notify in notifier.untold(180.0)]
    for at, _ in moments:
        assert sum(at - REPORTED_S < other <= at for other, _ in moments) <= REPORTED_LIMIT
    untold = [fact for _, fact in moments if isinstance(fact, ProblemSeen) and fact.code == NOT_TOLD]
    assert sum(int(fact.message.split()[0]) for fact in untold) + len(moments) - len(untold) == len(notifier.problems)
    assert untold


@given(st.lists(NAMES, max_size=300))
def test_every_problem_is_counted_under_a_bounded_number_of_names(names: list[str]) -> None:
    """Nothing is lost, nothing grows."""
    problems = Problems()
    for name in names:
        problems[name] += 1
    assert problems.total() == len(names)
    assert len(problems) <= NAMES_LIMIT + 6
    assert all(name.isprintable() for name in problems)
