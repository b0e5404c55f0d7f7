"""Kinds of settings: what a value may be, checked in one way wherever it comes from.

A `Kind` is the attrs validator of a field.  The field is the one definition of its
option: name, default, kind (type, unit, bounds) and docstring.  Files, environment
variables and the reference page are derived from it (config/derived.py).

Rule 1: ``accept`` raises ValueError with the problem in words, nothing else.
Rule 2: a text is repeated in a problem only where a number or one of a few
words was expected: a text in any other place may be a secret.

Level 0.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

import attrs

from voicecore.errors import ConfigError, printable

T = TypeVar("T")
E = TypeVar("E", bound=enum.Enum)

DAY_S = 86_400.0  #: the longest time that any setting may name
MANY = 1_000_000  #: the largest count

_SHOWN_CHARS = 40
_SHOWN_BITS = 64  #: larger integers are not written out; Python refuses beyond 4,300 digits


@attrs.frozen(kw_only=True)
class Kind(Generic[T]):
    """What one setting may be; an attrs validator."""

    accept: Callable[[object], T]
    """Return the value in its final form. Raises ValueError saying what was expected."""
    parse: Callable[[str], object] = str
    """Turn the environment's text into a value; raises ValueError where it cannot."""
    noun: str = "text"
    """What it is called in the reference."""
    bounds: str = ""
    """Its bounds in words."""
    low: float | None = None
    high: float | None = None
    choices: type[enum.Enum] | None = None
    """The members it is one of."""
    is_time: bool = False
    """Seconds in Python; files have whole milliseconds or whole seconds."""
    is_optional: bool = False

    def from_text(self, text: str) -> object:
        """Return the value that the text stands for, or the text itself for ``accept`` to refuse."""
        try:
            return self.parse(text)
        except ValueError:
            return text

    def final(self, value: object) -> object:
        """Return a value in its final form, one that is wrong as it is: a converter for a field that is checked."""
        try:
            return self.accept(value)
        except ValueError:
            return value

    def __call__(self, instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
        """Check a field, as attrs asks its validators to. Raises ConfigError with the field's Python name."""
        try:
            self.accept(value)
        except ValueError as error:
            raise ConfigError(f"{type(instance).__name__}.{attribute.name}", str(error)) from None


def shown(value: object) -> str:
    """Return a value for a message, short and printable."""
    match value:
        case str():
            return f"'{printable(value, _SHOWN_CHARS)}'"
        case bool():
            return "true" if value else "false"
        case int() if value.bit_length() > _SHOWN_BITS:
            return "a huge integer"
        case int() | float():
            return str(value)
    return type_name(value)


def type_name(value: object) -> str:
    """Return what kind of value it is, in TOML's words, without repeating it."""
    names = {str: "a text", bool: "a boolean", int: "an integer", float: "a number", type(None): "nothing"}
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, list | tuple):
        return "a list"
    return names.get(type(value), f"a {type(value).__name__}")


def whole(low: int, high: int = MANY) -> Kind[int]:
    """An integer from ``low`` to ``high``, both included."""

    def accept(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise ValueError(f"expected an integer, got {shown(value)}")  # noqa: TRY004
        if not low <= value <= high:
            raise ValueError(f"must be from {low} to {high}, got {shown(value)}")
        return value

    return Kind(accept=accept, parse=int, noun="integer", bounds=f"{low} to {high}", low=low, high=high)


def number(low: float, high: float) -> Kind[float]:
    """A number from ``low`` to ``high``, both included."""

    def accept(value: object) -> float:
        number = _finite(value)
        if not low <= number <= high:
            raise ValueError(f"must be from {low} to {high}, got {shown(value)}")
        return number

    return Kind(accept=accept, parse=float, noun="number", bounds=f"{low} to {high}", low=low, high=high)


def seconds(low: float = 0.0, high: float = DAY_S, *, above: float | None = None) -> Kind[float]:
    """A time from ``low`` to ``high`` seconds, both included; with ``above``, more than that and up to ``high``."""
    words = f"from {low:g} to {high:g}" if above is None else f"more than {above:g} and at most {high:g}"

    def accept(value: object) -> float:
        number = _finite(value)
        is_long_enough = number > above if above is not None else number >= low
        if not (is_long_enough and number <= high):
            raise ValueError(f"must be {words} seconds, got {shown(value)}")
        return number

    lowest = low if above is None else math.nextafter(above, math.inf)
    return Kind(
        accept=accept,
        parse=float,
        noun="seconds",
        bounds=words.removeprefix("from "),
        low=lowest,
        high=high,
        is_time=True,
    )


def _finite(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise ValueError(f"expected a number, got {shown(value)}")  # noqa: TRY004
    try:
        number = float(value)
    except OverflowError:
        raise ValueError(f"expected a number, got {shown(value)}") from None
    if not math.isfinite(number):
        raise ValueError(f"expected a finite number, got {shown(value)}")
    return number


def member(choices: type[E]) -> Kind[E]:
    """A member of an enum; its value in files."""

    def accept(value: object) -> E:
        if not isinstance(value, choices):
            names = " or ".join(f"{choices.__name__}.{each.name}" for each in choices)
            raise ValueError(f"expected {names}, got {shown(value)}")  # noqa: TRY004
        return value

    bounds = ", ".join(f"`{each.name}`" for each in choices)
    return Kind(accept=accept, noun=choices.__name__, bounds=bounds, choices=choices)


def one_of(words: Sequence[T]) -> Kind[T]:
    """One of a few words."""

    def accept(value: object) -> T:
        for word in words:
            if type(value) is type(word) and value == word:
                return word
        expected = " or ".join(f"'{word}'" for word in words)
        raise ValueError(f"expected {expected}, got {shown(value)}")

    return Kind(accept=accept, noun="one of", bounds=", ".join(f'`"{word}"`' for word in words))


def instance(*classes: type) -> Kind[Any]:
    """A value of one of the classes, which has been checked when it was made."""
    names = " or ".join(each.__name__ for each in classes)

    def accept(value: object) -> object:
        if not isinstance(value, classes):
            raise ValueError(f"expected {names}, got {type_name(value)}")  # noqa: TRY004
        return value

    return Kind(accept=accept, noun=names)


def either(first: Kind[Any], second: Kind[Any]) -> Kind[Any]:
    """What one of two kinds accepts."""

    def accept(value: object) -> object:
        try:
            return first.accept(value)
        except ValueError as refused:
            try:
                return second.accept(value)
            except ValueError as also:
                raise ValueError(f"{refused}; or {also}") from None

    return Kind(accept=accept, noun=f"{first.noun} or {second.noun}", bounds=first.bounds)


def many(each: Kind[T], *, at_least: int = 0) -> Kind[tuple[T, ...]]:
    """A tuple of values of one kind; a list in files; separated by commas in the environment."""

    def accept(value: object) -> tuple[T, ...]:
        if not isinstance(value, list | tuple):
            raise ValueError(f"expected a list, got {type_name(value)}")  # noqa: TRY004
        if len(value) < at_least:
            raise ValueError(f"must have {at_least} or more entries")
        return tuple(each.accept(entry) for entry in value)

    def parse(text: str) -> object:
        return [part.strip() for part in text.split(",") if part.strip()]

    return Kind(accept=accept, parse=parse, noun=f"list: {each.noun}", bounds=each.bounds)


def optional(kind: Kind[T]) -> Kind[T | None]:
    """The same, or None; in files and in the environment an empty text means None: TOML has no word for it."""

    def accept(value: object) -> T | None:
        return None if value is None else kind.accept(value)

    return Kind(
        accept=accept,
        parse=kind.parse,
        noun=kind.noun,
        bounds=kind.bounds,
        low=kind.low,
        high=kind.high,
        choices=kind.choices,
        is_time=kind.is_time,
        is_optional=True,
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"expected a text, got {type_name(value)}")  # noqa: TRY004
    if not value.strip():
        raise ValueError("must not be empty")
    return value


def _word(value: object) -> str:
    text = _text(value)
    if not text.isprintable() or " " in text:
        raise ValueError("must be one word: no spaces, no control characters")
    return text


def _audio(value: object) -> bytes:
    if not isinstance(value, bytes):
        raise ValueError(f"expected bytes, got {type_name(value)}")  # noqa: TRY004
    if not value:
        raise ValueError("must not be empty")
    return value


def _switch(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"expected true or false, got {shown(value)}")  # noqa: TRY004
    return value


def _parse_switch(text: str) -> bool:
    match text.strip().lower():
        case "true" | "1":
            return True
        case "false" | "0":
            return False
    raise ValueError(text)


TEXT = Kind(accept=_text)
OPTIONAL_TEXT = optional(TEXT)
WORD = Kind(accept=_word, bounds="one word")
OPTIONAL_WORD = optional(WORD)
SWITCH = Kind(accept=_switch, parse=_parse_switch, noun="true or false")
AUDIO = Kind(accept=_audio, noun="bytes")
