"""What a setting of the session may be, checked when it is made.

Each function returns an attrs validator that raises `ConfigError`, naming the
field as the server would: its dotted path inside the session object.

Rule 1: a refused value is not repeated in the message; it may be a secret.
Rule 2: `UNSET` (do not mention it) passes only where ``if_set`` is said, None
(off) only where ``optional`` is.
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
    """The one value that means "do not mention it": the server's present setting stays."""

    UNSET = "unset"

    def __repr__(self) -> str:
        return "UNSET"


UNSET: Final = Unset.UNSET

WAIT_LIMIT_MS: Final = 60_000
"""No wait inside turn detection is a minute long; the API states no bound of its own."""


def text(path: str) -> Check:
    """Accept a text with something in it."""

    def check(_instance: object, _attribute: object, value: object) -> None:
        _require_unicode(path, value)
        if not value:
            raise ConfigError(path, "must not be empty")

    return check


def any_text(path: str) -> Check:
    """Accept any text, the empty one too."""

    def check(_instance: object, _attribute: object, value: object) -> None:
        _require_unicode(path, value)

    return check


def secret(path: str) -> Check:
    """Accept a secret that UTF-8 can carry."""

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
    """Accept what one of two checks accepts; the second one words the refusal."""

    def check(instance: object, attribute: object, value: object) -> None:
        try:
            first(instance, attribute, value)
        except ConfigError:
            second(instance, attribute, value)

    return check


def many(path: str, each: Check) -> Check:
    """Accept a tuple whose every entry passes."""

    def check(instance: object, attribute: object, value: object) -> None:
        if not isinstance(value, tuple):
            raise ConfigError(path, "must be a tuple")
        for entry in value:
            each(instance, attribute, entry)

    return check


def by_name(name: Check, each: Check) -> Check:
    """Accept a mapping whose every name and value pass."""

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
    """Return a whole number as a float, so that 1 and 1.0 are one setting; leave the rest for the check to refuse."""
    return float(value) if type(value) is int and abs(value) < 1_000_000 else value


def json_copy(path: str, value: object) -> dict[str, object]:
    """Return a deep copy of a mapping as plain JSON values, so that nobody else can change it.

    Raises:
        ConfigError: It is no mapping, or holds something that JSON cannot say.
    """
    try:
        copied = orjson.loads(orjson.dumps(value, default=_plain_mapping))
    except (TypeError, ValueError):  # orjson: what it cannot write, or a number beyond 64 bits
        copied = None
    if not isinstance(copied, dict):
        raise ConfigError(path, "must be a mapping of JSON values")
    return copied


def _plain_mapping(value: object) -> dict[Any, Any]:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError("not a JSON value")


def _require_unicode(path: str, value: object) -> None:
    """Refuse what is no text, and text that UTF-8 (and so a WebSocket) cannot carry."""
    if not isinstance(value, str):
        raise ConfigError(path, "must be a text")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ConfigError(path, "must be valid Unicode: it has a lone surrogate") from None
