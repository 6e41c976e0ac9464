"""Both directions between a JSON object and the attributes of a wire model.

Reading: a member whose value has the type of its attribute becomes the attribute. Every other member is kept in
``extra``; where such a member can be understood all the same (another spelling, ``true`` for 1, the readable items of a
list) the attribute says what it means.

Writing: ``extra`` goes out as it is. An attribute goes out under its documented name unless ``extra`` says its value
already; where ``extra`` says another one, the model was changed by hand, and the attribute takes its place.

Hence a model that nobody changed goes out equal to what came in.
"""

import enum
from collections.abc import Callable
from typing import Any, cast

import attrs
import msgspec

from kfstate.wire.model import WireModel
from kfstate.wire.readers import Field, JsonObject, ModelReader, field_of, none

__all__ = ["Shape"]


class Shape:
    """How one class of wire models is read and written; made once, from the annotations of the class.

    An attribute that holds any model (``KfMsg.body``) is left to the caller.
    """

    def __init__(self, model: type[WireModel], model_reader: ModelReader) -> None:
        self._defaults: JsonObject = {
            attribute.name: attribute.default for attribute in attrs.fields(model) if attribute.name != "extra"
        }
        self._fields = tuple(
            field_of(attribute, model_reader)
            for attribute in attrs.fields(model)
            if attribute.name != "extra" and attribute.type != WireModel | None
        )
        self._readers = {field.name: field.readers for field in self._fields}
        self._loose = {field.name: field.loose for field in self._fields}
        self._spelled = tuple(field for field in self._fields if field.others)

    def values(self, data: JsonObject) -> JsonObject:
        """Return the attributes, ``extra`` among them, that *data* gives."""
        readers_of = self._readers.get
        values = self._defaults.copy()
        extra: JsonObject = {}
        for key, value in data.items():
            readers = readers_of(key)
            if readers is None:
                extra[key] = value
                continue
            reader = readers.get(value.__class__, none)
            typed = value if reader is None else reader(value)
            if typed is None:
                extra[key] = value
                typed = self._loose[key](value)
            if typed is not None:
                values[key] = typed
        if extra and self._spelled:
            self._read_other_spellings(values, extra, data)
        values["extra"] = extra
        return values

    def _read_other_spellings(self, values: JsonObject, extra: JsonObject, data: JsonObject) -> None:
        """Read the members that go by another name; the documented name wins.

        ``extra`` then keeps every member of that attribute, for only so can writing tell whether it was changed.
        """
        for field in self._spelled:
            for other in field.others:
                if other not in extra:
                    continue
                if field.name in data:
                    extra[field.name] = data[field.name]
                if values[field.name] is None:
                    values[field.name] = field.read(extra[other])

    def wire(self, model: WireModel, write: Callable[[Any], object]) -> JsonObject:
        """Return the JSON object for *model*, sharing nothing with it; ``write`` turns an inner value into JSON."""
        wire: JsonObject = msgspec.to_builtins(dict(model.extra))
        said = self.values(wire) if wire else self._defaults
        for field in self._fields:
            value = getattr(model, field.name)
            if value == said[field.name]:
                continue
            for name in (field.name, *field.others):
                wire.pop(name, None)
            if value != field.default:
                wire[field.name] = _written(field, value, write)
        return wire


def _written(field: Field, value: object, write: Callable[[Any], object]) -> object:
    if isinstance(value, tuple):
        return [_plain(item, write) for item in cast("tuple[object, ...]", value)]
    return int(bool(value)) if field.zero_one else _plain(value, write)


def _plain(value: object, write: Callable[[Any], object]) -> object:
    """Return an inner value as JSON; cattrs leaves members of a ``StrEnum`` as they are."""
    return value.value if isinstance(value, enum.Enum) else write(value)
