"""A class's annotations are the shape of its JSON object; this derives the reader.

    str                  text
    int                  a whole number from 0 to `LARGEST_WHOLE`, however it is written
    float                a number
    bytes                base64
    another attrs class  an object
    tuple[X, ...]        a list of any of these; an entry that is none is left out
    Mapping[str, str]    an object of texts; an entry that is none is left out

Rule 1: a field without a default is *needed*: absent, null or wrong, it costs the
object that it is in.  Only what is used is needed.
Rule 2: a field with a default is not: absent or null it is the default; wrong, it
is that too, and is noted (see `Fields.spare`).
Rule 3: a field has the name that it has on the wire; what a class does not
mention is not read, so nothing about it can be wrong.
Rule 4: a shape that annotations cannot say has a reader of its own, given to
`Schema` beside the class.
Rule 5: everything is worked out when the module is imported; a shape that
cannot be read fails there, not in a call.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar, Union, get_args, get_origin, get_type_hints

import attrs

from voicecore.wire.fields import Fields

T = TypeVar("T", bound=attrs.AttrsInstance)

Take = Callable[[Fields, str], Any]
"""Reads one named field of an object. Raises RemoteProtocolError naming it."""

Read = Callable[[Fields], Any]
"""Reads a whole object. Raises RemoteProtocolError naming the field that is wrong."""

_SCALARS: Final[Mapping[object, Take]] = {
    str: Fields.text,
    int: Fields.whole,
    float: Fields.number,
    bytes: Fields.base64,
}


class Schema:
    """Makes readers; ``special`` has those of shapes that annotations cannot say."""

    def __init__(self, special: Mapping[object, Read]) -> None:
        self._reads: dict[object, Read] = dict(special)

    def reader(self, shape: type[T]) -> Callable[[Fields], T]:
        """Return the function that reads an object into an attrs class.

        Raises:
            TypeError: An annotation that has no meaning here.
        """
        if shape not in self._reads:
            hints = get_type_hints(shape)
            plan = [(field.name, self._field(field, hints[field.name])) for field in attrs.fields(shape)]
            self._reads[shape] = lambda fields: shape(**{name: take(fields, name) for name, take in plan})
        return self._reads[shape]

    def _field(self, field: attrs.Attribute[Any], annotation: Any) -> Take:
        if field.default is attrs.NOTHING:
            return self._take(annotation)
        return _spared(self._take(_without_none(annotation)), field.default)

    def _take(self, annotation: Any) -> Take:
        if annotation in _SCALARS:
            return _SCALARS[annotation]
        if annotation in self._reads or attrs.has(annotation):
            return _object(self.reader(annotation))
        if get_origin(annotation) in {Union, types.UnionType}:
            raise TypeError(f"{annotation} is a choice; it needs a reader of its own, or a default")
        if get_origin(annotation) is tuple:
            return self._list(get_args(annotation)[0])
        if annotation == Mapping[str, str]:
            return Fields.texts_by_name
        raise TypeError(f"{annotation} has no shape on the wire")

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


def _spared(take: Take, default: object) -> Take:
    return lambda fields, name: fields.spare(take, name, default)


def _object(read: Read) -> Take:
    return lambda fields, name: read(fields.child(name))
