"""How the value of one JSON member becomes an attribute, made from the attribute's annotation."""

import enum
import typing
from collections.abc import Callable
from typing import Any, TypeAlias, TypeGuard

import attrs

from kfstate.wire.model import SPELLINGS, ZERO_ONE, WireModel

__all__ = ["Field", "JsonObject", "ModelReader", "Reader", "field_of", "is_list", "is_object", "none"]

JsonObject: TypeAlias = dict[str, object]

Reader: TypeAlias = Callable[[Any], object]
"""Gives the attribute for a JSON value, or None where the value is not one of the attribute's."""

Readers: TypeAlias = dict[type, Reader | None]
"""The reader for each type of JSON value; None stands for taking the value as it is. A boolean is no integer here."""

ModelReader: TypeAlias = Callable[[type[WireModel]], Reader]
"""Gives the reader of an inner model."""

INT64 = 2**63
"""What databases and other languages can hold: a number beyond is kept, but not as an attribute."""


def is_object(value: object) -> TypeGuard[JsonObject]:
    """Return whether *value* is a JSON object as JSON readers make it."""
    return type(value) is dict


def is_list(value: object) -> TypeGuard[list[object]]:
    """Return whether *value* is a JSON list as JSON readers make it."""
    return type(value) is list


def none(_: object) -> None:
    """Read nothing."""


@attrs.frozen(kw_only=True)
class Field:
    """One attribute of a wire model.

    ``readers`` take the documented form, ``loose`` what can be understood all the same; ``others`` are other spellings.
    """

    name: str
    default: object
    readers: Readers
    loose: Reader = none
    others: tuple[str, ...] = ()
    zero_one: bool = False

    def read(self, value: object) -> object:
        """Return the attribute that *value* gives, or None."""
        typed = _exact(self.readers, value)
        return self.loose(value) if typed is None else typed


def field_of(attribute: "attrs.Attribute[Any]", model_reader: ModelReader) -> Field:
    """Return how *attribute* is read, by its annotation and metadata."""
    # every field of a wire model is a union with None, but for tuples
    annotation: Any = attribute.type
    kinds: tuple[Any, ...] = (annotation,) if typing.get_origin(annotation) is tuple else typing.get_args(annotation)
    zero_one = ZERO_ONE in attribute.metadata
    readers: Readers = {}
    loose: Reader = none
    for kind in kinds:
        if typing.get_origin(kind) is tuple:
            item: Readers = {}
            _add(item, typing.get_args(kind)[0], model_reader)
            readers[list], loose = _every(item), _readable(item)
        elif kind is bool:
            readers |= {int: _zero_one} if zero_one else {bool: None}
            loose = _truth
        else:
            _add(readers, kind, model_reader)
    others = attribute.metadata.get(SPELLINGS, ())
    return Field(
        name=attribute.name, default=attribute.default, readers=readers, loose=loose, others=others, zero_one=zero_one
    )


def _add(readers: Readers, kind: Any, model_reader: ModelReader) -> None:
    """Add the readers of one part of a union; an enum stands before the plain type that keeps it open."""
    if issubclass(kind, WireModel):
        readers[dict] = model_reader(kind)
    elif issubclass(kind, enum.StrEnum):
        readers[str] = _OpenNames({member.value: member for member in kind}).__getitem__
    elif issubclass(kind, enum.IntEnum):
        readers[int] = _OpenNumbers({member.value: member for member in kind}).__getitem__
    elif kind is str:
        readers.setdefault(str, None)
    elif kind is int:
        readers.setdefault(int, _int64)
    elif kind is float:
        readers |= {float: None, int: _int64}


class _OpenNames(dict[str, str]):
    """The members of an enum by name; an unknown name stands for itself."""

    def __missing__(self, name: str) -> str:
        return name


class _OpenNumbers(dict[int, int]):
    """The members of an enum by number; an unknown number stands for itself where it fits 64 bits."""

    def __missing__(self, number: int) -> int | None:
        return _int64(number)


def _int64(value: int) -> int | None:
    return value if -INT64 <= value < INT64 else None


def _zero_one(value: int) -> bool | None:
    return bool(value) if value in {0, 1} else None


def _truth(value: object) -> bool | None:
    return bool(value) if isinstance(value, int) else None


def _exact(readers: Readers, value: object) -> object:
    reader = readers.get(value.__class__, none)
    return value if reader is None else reader(value)


def _every(item: Readers) -> Reader:
    """Read a list when each of its items can be read, and there is one: an empty tuple would not be written."""

    def every(values: list[object]) -> tuple[object, ...] | None:
        read = tuple(_exact(item, value) for value in values)
        return None if not read or None in read else read

    return every


def _readable(item: Readers) -> Reader:
    """Read the items of a list that can be read."""

    def readable(values: object) -> tuple[object, ...]:
        read = (_exact(item, value) for value in values) if is_list(values) else ()
        return tuple(value for value in read if value is not None)

    return readable
