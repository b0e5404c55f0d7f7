"""Derives JSON readers from the annotations of attrs classes.

    str                  a string
    int                  an integer from 0 to `LARGEST_WHOLE`, however it is written
    float                a number
    bytes                base64
    another attrs class  an object
    tuple[X, ...]        a list of any of these; wrong entries are left out
    Mapping[str, str]    an object of strings; wrong values are left out

Rule 1: a field without a default is required: if it is absent, null or wrong, its
object cannot be read. Only fields that are used are required.
Rule 2: a field with a default is optional: if it is absent, null or wrong, it has
the default; a wrong value is noted (see `Fields.optional`).
Rule 3: a field has its wire name; fields that a class does not declare are not read.
Rule 4: a shape that annotations cannot express gets its own reader, which is passed
to `Schema` with the class.
Rule 5: readers are built when the module is imported, so an unsupported annotation
fails there and not in a call.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar, Union, get_args, get_origin, get_type_hints

import attrs

from voicecore.wire.fields import Fields

T = TypeVar("T", bound=attrs.AttrsInstance)

Take = Callable[[Fields, str], Any]
"""Reads one named field of an object. Raises RemoteProtocolError, which names it."""

Read = Callable[[Fields], Any]
"""Reads a whole object. Raises RemoteProtocolError, which names the wrong field."""

_SCALARS: Final[Mapping[object, Take]] = {
    str: Fields.text,
    int: Fields.whole,
    float: Fields.number,
    bytes: Fields.base64,
}


class Schema:
    """Builds readers; ``special`` has those of shapes that annotations cannot express."""

    def __init__(self, special: Mapping[object, Read]) -> None:
        self._reads: dict[object, Read] = dict(special)

    def reader(self, shape: type[T]) -> Callable[[Fields], T]:
        """Return the function that reads an object into an attrs class.

        Raises:
            TypeError: An annotation is not supported.
        """
        if shape not in self._reads:
            hints = get_type_hints(shape)
            plan = [(field.name, self._field(field, hints[field.name])) for field in attrs.fields(shape)]
            self._reads[shape] = lambda fields: shape(**{name: take(fields, name) for name, take in plan})
        return self._reads[shape]

    def _field(self, field: attrs.Attribute[Any], annotation: Any) -> Take:
        if field.default is attrs.NOTHING:
            return self._take(annotation)
        return _optional(self._take(_without_none(annotation)), field.default)

    def _take(self, annotation: Any) -> Take:
        if annotation in _SCALARS:
            return _SCALARS[annotation]
        if annotation in self._reads or attrs.has(annotation):
            return _object(self.reader(annotation))
        if get_origin(annotation) in {Union, types.UnionType}:
            raise TypeError(f"{annotation} is a union; it needs its own reader, or a default")
        if get_origin(annotation) is tuple:
            return self._list(get_args(annotation)[0])
        if annotation == Mapping[str, str]:
            return Fields.texts_by_name
        raise TypeError(f"{annotation} is not supported")

    def _list(self, annotation: Any) -> Take:
        if annotation is str:
            return Fields.texts
        read = self.reader(annotation)
        return lambda fields, name: fields.entries(name, read)


def _without_none(annotation: Any) -> Any:
    """Return ``X`` for ``X | None``."""
    if annotation is None or get_origin(annotation) not in {Union, types.UnionType}:
        return annotation
    kept = tuple(each for each in get_args(annotation) if each is not type(None))
    return Union[kept]  # noqa: UP007 - made at run time


def _optional(take: Take, default: object) -> Take:
    return lambda fields, name: fields.optional(take, name, default)


def _object(read: Read) -> Take:
    return lambda fields, name: read(fields.child(name))
