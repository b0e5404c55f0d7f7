"""Validators for the values of a session configuration.

Each function returns an attrs validator that raises `ConfigError` with the dotted
path of the field in the session object, as the server would name it.

Rule 1: error messages do not repeat the value, which may be a secret.
Rule 2: `UNSET` (leave it out) passes only through ``if_set``, None (off) only
through ``optional``.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

import attrs
import orjson

from voicecore import kinds
from voicecore.errors import ConfigError
from voicecore.secrets import Secret

Check = Callable[[Any, Any, Any], None]
"""An attrs validator: instance, attribute, value."""


@attrs.frozen
class PathCheck:
    """A check by a kind of setting, so that files and the reference can be derived from the field."""

    path: str
    kind: kinds.Kind[Any]
    problem: str
    besides: tuple[object, ...] = ()
    """Values that pass too: None, `UNSET`."""

    def __call__(self, _instance: Any, _attribute: Any, value: Any) -> None:
        """Check a field. Raises ConfigError with the path in the session object."""
        if any(value is each for each in self.besides):
            return
        try:
            self.kind.accept(value)
        except ValueError:
            raise ConfigError(self.path, self.problem) from None


class Unset(enum.Enum):
    """The type of `UNSET`, which leaves a field out of the update: the server's current value stays."""

    UNSET = "unset"

    def __repr__(self) -> str:
        return "UNSET"


UNSET: Final = Unset.UNSET

WAIT_LIMIT_MS: Final = 60_000
"""Limit of every wait in turn detection; the API documents none."""


def text(path: str) -> Check:
    """Accept a non-empty string."""

    def check(_instance: object, _attribute: object, value: object) -> None:
        _require_unicode(path, value)
        if not value:
            raise ConfigError(path, "must not be empty")

    return check


def any_text(path: str) -> Check:
    """Accept any string, also an empty one."""

    def check(_instance: object, _attribute: object, value: object) -> None:
        _require_unicode(path, value)

    return check


def secret(path: str) -> Check:
    """Accept a secret that is valid UTF-8."""

    def check(_instance: object, _attribute: object, value: Secret) -> None:
        _require_unicode(path, value.reveal())

    return check


def flag(path: str) -> Check:
    """Accept true or false."""

    def check(_instance: object, _attribute: object, value: object) -> None:
        if not isinstance(value, bool):
            raise ConfigError(path, "must be True or False")

    return check


def number(path: str, low: float, high: float) -> PathCheck:
    """Accept a number from ``low`` to ``high``, both included."""
    return PathCheck(path, kinds.number(low, high), f"must be a number from {low} to {high}")


def whole(path: str, low: int, high: int) -> PathCheck:
    """Accept an integer from ``low`` to ``high``, both included."""
    return PathCheck(path, kinds.whole(low, high), f"must be a whole number from {low} to {high}")


def one_of(path: str, allowed: Collection[Any]) -> PathCheck:
    """Accept one of a few values."""
    return PathCheck(path, kinds.one_of(tuple(allowed)), f"must be one of {', '.join(map(str, allowed))}")


def kind(path: str, *kinds: type) -> Check:
    """Accept an instance of one of the classes."""

    def check(_instance: object, _attribute: object, value: object) -> None:
        if not isinstance(value, kinds):
            raise ConfigError(path, f"must be {' or '.join(each.__name__ for each in kinds)}")

    return check


def either(first: Check, second: Check) -> Check:
    """Accept what either check accepts; the error is that of the second."""

    def check(instance: object, attribute: object, value: object) -> None:
        try:
            first(instance, attribute, value)
        except ConfigError:
            second(instance, attribute, value)

    return check


def many(path: str, each: Check) -> Check:
    """Accept a tuple if every entry passes."""

    def check(instance: object, attribute: object, value: object) -> None:
        if not isinstance(value, tuple):
            raise ConfigError(path, "must be a tuple")
        for entry in value:
            each(instance, attribute, entry)

    return check


def by_name(name: Check, each: Check) -> Check:
    """Accept a mapping if every name and value pass."""

    def check(instance: object, attribute: object, value: Mapping[object, object]) -> None:
        for key, entry in value.items():
            name(instance, attribute, key)
            each(instance, attribute, entry)

    return check


def optional(inner: Check) -> Check:
    """Accept None too."""
    if isinstance(inner, PathCheck):
        return attrs.evolve(inner, kind=kinds.optional(inner.kind), besides=(*inner.besides, None))

    def check(instance: object, attribute: object, value: object) -> None:
        if value is not None:
            inner(instance, attribute, value)

    return check


def if_set(inner: Check) -> Check:
    """Accept `UNSET` too."""
    if isinstance(inner, PathCheck):
        return attrs.evolve(inner, besides=(*inner.besides, UNSET))

    def check(instance: object, attribute: object, value: object) -> None:
        if value is not UNSET:
            inner(instance, attribute, value)

    return check


def as_float(value: Any) -> Any:
    """Convert an integer to a float, so that 1 and 1.0 are equal settings; leave other values to the check."""
    return float(value) if type(value) is int and abs(value) < 1_000_000 else value


def json_copy(path: str, value: object) -> dict[str, object]:
    """Return a deep copy of a mapping as plain JSON values, so that later changes have no effect.

    Raises:
        ConfigError: Not a mapping, or a value in it is not valid JSON.
    """
    try:
        copied = orjson.loads(orjson.dumps(value, default=_plain_mapping))
    except (TypeError, ValueError):  # a value that orjson cannot write, or a number beyond 64 bits
        copied = None
    if not isinstance(copied, dict):
        raise ConfigError(path, "must be a mapping of JSON values")
    return copied


def _plain_mapping(value: object) -> dict[Any, Any]:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError("not a JSON value")


def _require_unicode(path: str, value: object) -> None:
    """Refuse values that are not strings, and strings that are not valid UTF-8, which a WebSocket cannot carry."""
    if not isinstance(value, str):
        raise ConfigError(path, "must be a string")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ConfigError(path, "must be valid Unicode: it has a lone surrogate") from None
