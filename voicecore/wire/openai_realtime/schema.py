"""A class's annotations are the shape of its JSON object; this derives the reader.

    str int float        must be there
    bytes                must be there, as base64
    another attrs class  must be there, as an object
    tuple[X, ...]        must be there, as a list of any of these
    Mapping[str, str]    must be there, as an object of texts
    X | None             may be absent or null

Rule 1: a field has the name that it has on the wire; what a class does not
mention is not read.
Rule 2: a shape that annotations cannot say has a reader of its own, given to
`Schema` beside the class.
Rule 3: everything is worked out when the module is imported; a shape that
cannot be read fails there, not in a call.

Used by codec.py and effective.py.
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
    int: Fields.integer,
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
            plan = [(field.name, self._take(hints[field.name])) for field in attrs.fields(shape)]
            self._reads[shape] = lambda fields: shape(**{name: take(fields, name) for name, take in plan})
        return self._reads[shape]

    def _take(self, annotation: Any) -> Take:
        if annotation in _SCALARS:
            return _SCALARS[annotation]
        if annotation in self._reads or attrs.has(annotation):
            return _object(self.reader(annotation))
        if get_origin(annotation) in {Union, types.UnionType}:
            return _optional(self._take(_without_none(annotation)))
        if get_origin(annotation) is tuple:
            return self._list(get_args(annotation)[0])
        if annotation == Mapping[str, str]:
            return _texts_by_name
        raise TypeError(f"{annotation} has no shape on the wire")

    def _list(self, annotation: Any) -> Take:
        if annotation is str:
            return texts
        read = self.reader(annotation)
        return lambda fields, name: tuple(read(each) for each in fields.children(name))


def _without_none(annotation: Any) -> Any:
    """Return ``X`` for ``X | None``; of other unions, nothing that could be read."""
    kept = tuple(each for each in get_args(annotation) if each is not type(None))
    if len(kept) == len(get_args(annotation)):
        raise TypeError(f"{annotation} is a choice; it needs a reader of its own")
    return Union[kept]  # noqa: UP007 - made at run time


def _optional(take: Take) -> Take:
    return lambda fields, name: take(fields, name) if name in fields else None


def _object(read: Read) -> Take:
    return lambda fields, name: read(fields.child(name))


def texts(fields: Fields, name: str) -> tuple[str, ...]:
    """Return a list of texts. Raises RemoteProtocolError naming the field."""
    value = fields.raw.get(name)
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise fields.wrong(name, "must be a list of texts")
    return tuple(value)


def _texts_by_name(fields: Fields, name: str) -> Mapping[str, str]:
    held = fields.child(name)
    return {key: held.text(key) for key in held.raw}
