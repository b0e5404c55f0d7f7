"""The keypad: when an entry is over, and that nothing of ours shows what was keyed in."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicecore import events as ev
from voicecore.audio.formats import PCMU_8K
from voicecore.errors import ConfigError
from voicecore.turns.conversation import Conversation
from voicecore.turns.keypad import KEYS, Entry, Keypad, KeypadSettings
from voicecore.turns.orders import Notify, Order

TICK_S = 0.001
SETTINGS = KeypadSettings(pause_s=2.0, terminator="#", most_keys=4)


def keyed(keypad: Keypad, keys: str, now: float = 0.0) -> list[str]:
    """Press keys one after the other; return the entries that they end."""
    return [entry.keys for key in keys if (entry := keypad.press(key, now)) is not None]


# --- when an entry is over ---------------------------------------------------------------


def test_a_terminator_ends_the_entry_and_is_not_part_of_it() -> None:
    """The next key begins another one."""
    keypad = Keypad(SETTINGS)
    assert keyed(keypad, "12#3") == ["12"]
    assert keyed(keypad, "#") == ["3"]
    assert (keypad.is_collecting, keypad.deadline(), keypad.pressed) == (False, None, 5)


def test_only_a_terminator_is_no_entry() -> None:
    """Nothing was keyed in."""
    keypad = Keypad(SETTINGS)
    assert keyed(keypad, "###") == []
    assert (keypad.is_collecting, keypad.deadline(), keypad.pressed, keypad.ignored) == (False, None, 3, 0)


@pytest.mark.parametrize(
    ("beside_s", "is_over"), [(-2.0, False), (-TICK_S, False), (0.0, True), (TICK_S, True)], ids=str
)
def test_a_pause_ends_the_entry(beside_s: float, is_over: bool) -> None:
    """At once, a tick before the deadline, at it and a tick after it; it is ended once."""
    keypad = Keypad(SETTINGS)
    keyed(keypad, "12", 5.0)
    assert keypad.deadline() == 7.0
    assert keypad.expire(7.0 + beside_s) == (Entry("12") if is_over else None)
    assert keypad.is_collecting is not is_over
    assert (keypad.deadline() is None) == is_over
    if is_over:
        assert keypad.expire(99.0) is None


def test_each_key_begins_the_pause_anew() -> None:
    """Slow fingers are waited for, key by key."""
    keypad = Keypad(SETTINGS)
    for number, key in enumerate("123"):
        assert keypad.press(key, number * 1.5) is None
        assert keypad.expire(number * 1.5 + 1.25) is None
    assert keypad.expire(5.0) == Entry("123")


def test_a_full_entry_is_over_and_the_keys_beyond_are_the_next() -> None:
    """Nothing is lost, and nothing waits."""
    keypad = Keypad(SETTINGS)
    assert keyed(keypad, "123456") == ["1234"]
    assert keyed(keypad, "#") == ["56"]


def test_the_terminator_behind_a_full_entry_ends_nothing() -> None:
    """A PIN of four keys and a habit."""
    assert keyed(Keypad(SETTINGS), "1234#") == ["1234"]


def test_without_a_terminator_only_a_pause_ends_an_entry() -> None:
    """Every key counts as what it is."""
    keypad = Keypad(attrs.evolve(SETTINGS, terminator=None))
    assert keyed(keypad, "*1#", 1.0) == []
    assert keypad.expire(3.0) == Entry("*1#")


def test_another_key_may_be_the_terminator() -> None:
    """Then the usual one is part of the entry."""
    assert keyed(Keypad(attrs.evolve(SETTINGS, terminator="*")), "1#*") == ["1#"]


def test_keys_that_no_telephone_has_are_counted_and_change_nothing() -> None:
    """Neither the entry nor its pause."""
    keypad = Keypad(SETTINGS)
    keyed(keypad, "1", 1.0)
    for key in ("", "12", "a", "E", "٣", "\n"):
        assert keypad.press(key, 2.0) is None
    assert (keypad.pressed, keypad.ignored, keypad.deadline()) == (1, 6, 3.0)
    assert keypad.expire(3.0) == Entry("1")


@pytest.mark.parametrize("wrong", [{"pause_s": 0.0}, {"terminator": "x"}, {"most_keys": 0}, {"most_keys": 65}], ids=str)
def test_settings_that_no_entry_could_follow_are_refused(wrong: dict[str, float | str]) -> None:
    """A pause, a key that exists, and room for one."""
    with pytest.raises(ConfigError, match=r"must be|expected"):
        KeypadSettings(**wrong)  # type: ignore[arg-type]


@given(
    st.lists(st.tuples(st.sampled_from([*sorted(KEYS), "x"]), st.floats(0.0, 4.0)), max_size=40),
    st.sampled_from([None, "#", "*"]),
    st.integers(1, 5),
)
def test_each_key_is_in_exactly_one_entry(
    presses: list[tuple[str, float]], terminator: str | None, most_keys: int
) -> None:
    """In their order; a deadline exists exactly while something is gathered, and gathering ends by it."""
    keypad = Keypad(KeypadSettings(pause_s=2.0, terminator=terminator, most_keys=most_keys))
    entries, now = [], 0.0
    for key, gap_s in presses:
        now += gap_s
        entries += [keypad.expire(now), keypad.press(key, now)]
        assert keypad.is_collecting == (keypad.deadline() is not None)
        assert keypad.deadline() is None or now < (keypad.deadline() or 0.0) <= now + 2.0
    entries.append(keypad.expire(now + 2.0))
    assert not keypad.is_collecting
    texts = [entry.keys for entry in entries if entry is not None]
    assert "".join(texts) == "".join(key for key, _ in presses if key in KEYS and key != terminator)
    assert all(1 <= len(text) <= most_keys for text in texts)
    assert keypad.pressed + keypad.ignored == len(presses)


# --- what is shown -----------------------------------------------------------------------

PAIRS = st.integers(1, 64).flatmap(
    lambda length: st.tuples(*[st.text(sorted(KEYS), min_size=length, max_size=length)] * 2)
)


@given(PAIRS, st.sampled_from([repr, str, "{}".format]))
def test_an_entry_shows_how_many_keys_it_has_and_none_of_them(
    pair: tuple[str, str], shown: Callable[[object], str]
) -> None:
    """Two entries of one length look alike."""
    assert shown(Entry(pair[0])) == shown(Entry(pair[1]))
    assert shown(Entry("90210")) == "Entry(keys=<5 keys>)"


@given(PAIRS, st.sampled_from([repr, str, "{}".format]))
def test_what_is_told_to_the_agent_shows_none_of_the_keys_on_its_way(
    pair: tuple[str, str], shown: Callable[[object], str]
) -> None:
    """The order that carries them may stand in a log or a traceback."""
    assert shown(ev.AddUserText(f"keys: {pair[0]}")) == shown(ev.AddUserText(f"keys: {pair[1]}"))


def a_call_with(keys: str) -> list[Order]:
    """Return what a call comes to in which these keys are pressed."""
    talk = Conversation(PCMU_8K, 0.0)
    able = ev.Capabilities(detects_turns=True, replies=True, interrupts=True, speaks=True, transcribes_user=True)
    orders = talk.session_ready(able, 0.0)
    for number, key in enumerate(keys):
        orders += talk.handle_leg(ev.DigitPressed(key), number * 0.5)
    orders += talk.expire(len(keys) * 0.5 + 9.0)
    lines = talk.speech.transcript.lines()
    assert [line.text for line in lines] == [f"(pressed {len(keys)} {'key' if len(keys) == 1 else 'keys'})"]
    return orders


def test_no_fact_of_a_call_shows_what_was_keyed_in() -> None:
    """Only the order for the agent has it."""
    orders = a_call_with("90210")
    assert [order for order in orders if isinstance(order, Notify)] == [
        order for order in a_call_with("48376") if isinstance(order, Notify)
    ]
    assert [order.text.count("90210") for order in orders if isinstance(order, ev.AddUserText)] == [1]
    assert repr(ev.DigitPressed("7")) == repr(ev.DigitPressed("8"))
