"""Options of a file, derived from the fields of the engine's own settings classes.

A field such as ``PlayoutSettings.lead_s`` is the one definition of its option.  A
section names it (``lead_ms: int = derived(PlayoutSettings, "lead_s")``) and gets its
default, bounds and docstring, in the file's form:

| in Python | in a file |
| --- | --- |
| seconds (``lead_s``) | whole milliseconds (``lead_ms``), or whole seconds with ``unit="s"`` |
| a member of an enum | its value |
| None | "" |

Level 4.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping
from typing import Any, Final, Literal, TypeVar

import attrs

from voicecore.errors import ConfigError
from voicecore.kinds import Kind, one_of, optional, whole
from voicecore.wire.openai_realtime.checks import PathCheck

T = TypeVar("T")
Unit = Literal["ms", "s"]

_SOURCE: Final = "voicecore.config.source"
_PER_SECOND: Mapping[Unit, int] = {"ms": 1000, "s": 1}
_TINY = 1e-9  #: what multiplying by 1000 may add


_ANY: Kind[Any] = Kind(accept=lambda value: value)


class _Same(enum.Enum):
    SAME = "same"


@attrs.frozen
class Source:
    """The field that an option comes from."""

    owner: type[attrs.AttrsInstance]
    name: str
    unit: Unit
    none: object
    """The file's value for None."""

    def to_python(self, value: object) -> object:
        """Return the engine's value for a file's."""
        kind = kind_of(self.owner, self.name)
        if value is None or value == self.none:
            return None
        if kind.is_time and isinstance(value, int | float):
            return value / _PER_SECOND[self.unit]
        return kind.choices(value) if kind.choices is not None else value


def kind_of(owner: type[attrs.AttrsInstance], name: str) -> Kind[Any]:
    """Return what a field may be; anything, where its check is of another sort and the section names the kind."""
    validator: object = attrs.fields_dict(owner)[name].validator
    kind = validator.kind if isinstance(validator, PathCheck) else validator
    return kind if isinstance(kind, Kind) else _ANY


def setting(kind: Kind[T], default: object = attrs.NOTHING) -> Any:
    """Return a field that only files have: a path, an address, a choice of the section's own."""
    return attrs.field(default=default, converter=kind.final, validator=kind)


def derived(
    owner: type[attrs.AttrsInstance],
    name: str,
    *,
    unit: Unit = "ms",
    kind: Kind[Any] | None = None,
    default: object = _Same.SAME,
    none: object = "",
) -> Any:
    """Return a section's field for a field of the engine's.

    Args:
        owner: The engine's class.
        name: Its field.
        unit: Of a time, in the file.
        kind: What the file may have; None: the same, in the file's form.
        default: The file's; left out: the field's own, in the file's form.
        none: The file's value for None, beside the empty text.
    """
    source = Source(owner, name, unit, none)
    python_kind = kind_of(owner, name)
    if default is _Same.SAME:
        default = _in_file(python_kind, attrs.fields_dict(owner)[name].default, unit)
    if kind is None and python_kind is _ANY:
        raise TypeError(f"{owner.__name__}.{name} has no kind; name one")
    kind = kind or _file_kind(python_kind, unit)
    return attrs.field(default=default, converter=kind.final, validator=kind, metadata={_SOURCE: source})


def source_of(field: attrs.Attribute[Any]) -> Source | None:
    """Return where a section's field comes from; None: it is the section's own."""
    source = field.metadata.get(_SOURCE)
    return source if isinstance(source, Source) else None


def built(section: attrs.AttrsInstance, owner: type[T], **others: object) -> T:
    """Return the engine's value that a section describes; ``others`` are fields that it does not have.

    Raises:
        ConfigError: The values do not fit together; named as in Python.
    """
    values, given = dict(others), attrs.asdict(section, recurse=False)
    for field in attrs.fields(type(section)):
        source = source_of(field)
        if source is not None and source.owner is owner:
            values.setdefault(source.name, source.to_python(given[field.name]))
    return owner(**values)


def renamed(error: ConfigError, sections: Mapping[str, type[attrs.AttrsInstance]], dotted: str) -> ConfigError:
    """Return an error that names a Python value with the dotted key of the option in a section."""
    owner, _, name = error.key.rpartition(".")
    section = sections[dotted]
    for field in attrs.fields(section):
        source = source_of(field)
        if (owner, name) == (section.__name__, field.name) or (
            source is not None and (owner, name) == (source.owner.__name__, source.name)
        ):
            return ConfigError(f"{dotted}.{field.name}", error.problem)
    return error


def _file_kind(kind: Kind[Any], unit: Unit) -> Kind[Any]:
    derived_kind: Kind[Any] = kind
    if kind.is_time and kind.low is not None and kind.high is not None:
        per_second = _PER_SECOND[unit]
        low, high = math.ceil(kind.low * per_second - _TINY), math.floor(kind.high * per_second + _TINY)
        derived_kind = whole(max(low, 1) if kind.low > 0 else low, high)
    elif kind.choices is not None:
        derived_kind = one_of([each.value for each in kind.choices])
    return optional(derived_kind) if kind.is_optional else derived_kind


def _in_file(kind: Kind[Any], default: object, unit: Unit) -> Any:
    if isinstance(default, enum.Enum):
        return default.value
    if kind.is_time and isinstance(default, int | float):
        return round(default * _PER_SECOND[unit])
    return default
